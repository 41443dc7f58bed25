"""Sizes, numbers and lists at the edge of what is allowed and beyond: one line that names the
option or the entry, the value, and what is allowed; no warning of a library."""

import numpy as np
import pytest
import scipy.io

SIZES = {
    "derive --family chebyshev --degree 2": 1,
    "derive --family two_grid_optimal --degree 2": 1,
    "derive --family chebyshev --degree 2 --boundary neumann": 2,
    "solve": 1,
    "solve --boundary periodic": 2,
    "solve --problem poisson3d": 1,
    "compare-smoothers --degrees 1": 1,
    "lfa": 2,
}


@pytest.mark.parametrize("n", [0, -3])
@pytest.mark.parametrize("line", SIZES)
def test_a_size_is_named_as_it_was_given(refused, line, n):
    said = refused(*line.split(), "--n", n)
    assert f"--n is {n}, allowed are whole numbers, each at least {SIZES[line]} with" in said


@pytest.mark.parametrize("line", ["solve", "lfa", "compare-smoothers"])
def test_axes_are_letters_of_the_problem(refused, line):
    said = refused(*line.split(), "--n", 8, "--axes", "z")
    assert "--axes is 'z', allowed are auto, all, or letters of xy, each once\n" in said


@pytest.mark.parametrize("source", ["--interval 1 2", "--lmax 2"])
def test_axes_beside_what_has_no_grid(refused, source):
    line = f"derive --family bounded --degree 2 --axes x {source}"
    assert "--axes belongs to a grid" in refused(*line.split())


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("0x49", "--shape is '0x49', allowed are sizes from 1 on"),
        ("7x-7", "--shape is '7x-7', allowed are sizes from 1 on"),
        ("1x1x7x7", "--shape is '1x1x7x7', allowed are 1 to 3 sizes"),
    ],
)
def test_a_shape_is_named_as_it_was_given(refused, tmp_path, shape, said):
    assert said in refused("solve", "--matrix", tmp_path / "A.mtx", "--shape", shape)


FAR = {
    "derive --family chebyshev4 --degree 3 --lmax 1e308": "allowed are 1e-300 to 1e+300",
    "derive --family chebyshev4_opt --degree 3 --lmax 1.7e308": "allowed are 1e-300 to 1e+300",
    "derive --family chebyshev --degree 3 --interval 1 1e308": "allowed are 1e-300 to 1e+300",
    "derive --family bounded --degree 4 --lmax 1e308 --amplification 2": "1e-300 to 1e+300",
    "derive --family chebyshev4 --degree 3 --lmax nan": "--lmax is nan, must be a number larger",
    "derive --family chebyshev4 --degree 3 --lmax 0": "--lmax is 0.0, must be a number larger",
    "lfa --problem rotated2d:epsilon=1e308": "epsilon is 1e+308, must be a number larger than 0,",
    "solve --problem convection2d:peclet=1e308": "peclet is 1e+308, must be a number at least 0,",
    "solve --problem rotated2d:angle=1e300": "angle is 1e+300, must be a number of any sign, of",
    "lfa --problem rotated2d:angle=1,angle=2": "angle stands there twice; give it once",
    "config --set lr=1e300": "optim.lr is 1e+300; allowed are numbers of modulus up to 1e+30",
    "train --out run --set width=2 --set devices=99999": "train.devices is 99999",
    "train --out run --set width=2 --set cutout=9": "augment.cutout is 9; allowed are 0 to 8",
}


@pytest.mark.parametrize("line", FAR)
def test_numbers_beyond_what_is_computed(refused, monkeypatch, tmp_path, line):
    """No warning of an overflow stands beside the line, and no process is started."""
    monkeypatch.chdir(tmp_path)
    assert FAR[line] in refused(*line.split())


@pytest.mark.parametrize(
    ("text", "line"), [("1\nnan\n3\n", 2), ("1 2\n3 -inf\n", 2), ("1e999\n", 1)]
)
def test_a_point_that_is_not_finite_is_named_with_its_line(refused, tmp_path, text, line):
    path = tmp_path / "points.txt"
    path.write_text(text)
    said = refused("derive", "--family", "minimax", "--degree", 1, "--points", path)
    assert f"line {line} is {text.splitlines()[line - 1]!r}; numbers must be finite" in said


def test_an_entry_that_is_not_finite_is_named_with_its_place(refused, tmp_path):
    A, b = 4.0 * np.eye(9), np.ones(9)
    path, rhs = tmp_path / "A.mtx", tmp_path / "b.npy"
    b[7] = np.nan
    np.save(rhs, b)
    words = ("solve", "--matrix", path, "--shape", "3x3")
    scipy.io.mmwrite(path, scipy.sparse.csr_array(A))
    assert "entry 7, counted from 0, is nan" in refused(*words, "--rhs", rhs)
    A[5, 2] = np.inf
    scipy.io.mmwrite(path, scipy.sparse.csr_array(A))
    assert "entry (5, 2), counted from 0, is inf" in refused(*words)


def test_a_folder_in_the_place_of_a_file(refused, tmp_path):
    for words in (
        ("solve", "--init", tmp_path),
        ("derive", "--family", "minimax", "--degree", 1, "--points", tmp_path),
        ("study", tmp_path),
    ):
        assert f"{tmp_path} is a folder, a file is needed" in refused(*words)


def test_a_run_folder_in_the_place_of_a_configuration(refused, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert f"the configuration of that run is {tmp_path}/config.json" in refused("config", tmp_path)
