"""Sizes, numbers and lists at the edge of what is allowed and beyond: one line that names the
option or the entry, the value, and what is allowed; no warning of a library."""

import json
import os

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


ENDLESS = {
    "solve --n 7 --pre 99999999999999999999": "--pre",
    "lfa --post 1001": "--post",
    "compare-smoothers --n 7 --repeats 99999999999": "--repeats",
    "models q2 --size 99999999999999999999": "--size",
    "models resnet18 --size 1000000000": "--size",
    "models q2 --channels 99999999999999999999": "--channels",
    "models q2 --classes 99999999999999999999": "--classes",
}


@pytest.mark.parametrize("line", ENDLESS)
def test_counts_that_no_machine_works_off(refused, line):
    said = refused(*line.split())
    assert f"'{ENDLESS[line]}': must be less than or equal to" in said
    assert said.split("got ")[1].startswith(repr(line.split()[-1]))


def test_a_model_has_no_more_channels_than_torch_takes():
    import nets

    for option in ("in_channels", "num_classes"):
        with pytest.raises(ValueError, match=f"{option} is 10{{20}}, must be .* at most 1,048,576"):
            nets.create_model("q2", **{option: 10**20})


def test_what_is_offered_is_what_is_taken(refused):
    """A family's name is refused as --smoother, so that it is not offered there."""
    said = refused("solve", "--n", 7, "--smoother", "line")
    assert said.endswith("known are: jacobi, gauss_seidel, red_black, multicolour\n")
    for command in ("solve", "compare-smoothers"):
        said = refused(command, "--n", 7, "--coarsening", "pyamg")
        assert "--coarsening is pyamg, which belongs to --matrix; of a model problem" in said


def test_levels_stand_in_the_document_too(document):
    found = document("solve", "--n", 31, "--levels")
    assert [level["grid"] for level in found["levels"]][:2] == [[31, 31], [15, 15]]


def test_an_empty_value_before_the_command(refused):
    assert "--import has an empty value" in refused("--import", "", "config")


WRITES = {
    "derive --family chebyshev4 --degree 2 --out a.json": ("mgtheory.derive",),
    "solve --n 7 --out x.npy": ("mgtheory.solving.solve",),
    "solve --n 7 --plot x.png": ("mgtheory.solving.solve",),
    "lfa --report x.html": ("mgtheory.fourier.smoothing_factor",),
    "compare-smoothers --n 7 --report x.html": ("mgtheory.comparison.compare_smoothers",),
    "export init.json --to petsc --out x": ("mgtheory.InitialCoefficients.load",),
    "study study.toml": ("polymgnet.study.run_local",),
}


@pytest.mark.parametrize("line", WRITES)
def test_a_place_for_reading_alone_is_refused_before_the_work(refused, monkeypatch, tmp_path, line):
    """As for a user, not for root, who may write anywhere."""

    def work(*_, **__):
        raise AssertionError("the work was begun")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text('config = "q2"\nout = "runs"\n')
    monkeypatch.setattr(WRITES[line][0], work)
    monkeypatch.setattr("mgtheory._files.os.access", lambda _, mode, **__: mode != os.W_OK)
    assert "is for reading alone; " in refused(*line.split())
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_a_solution_is_whole_or_not_there(monkeypatch, run, tmp_path):
    """A full disk leaves what was there before."""
    out = tmp_path / "x.npy"
    assert run("solve", "--n", 7, "--out", out).status == 0
    before = out.read_bytes()
    assert np.load(out).shape == (49,)

    def full(file, array):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    result = run("solve", "--n", 7, "--out", out, "--force")
    assert result.status == 1
    assert "No space left on device" in result.err
    assert out.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("width=0", "width is 0, must be a whole number of channels"),
        ("model.name=q0", "unknown model 'q0'"),
        ("init=constant:value=nan", "value of scheme constant is nan"),
        ("data=nope", "unknown data set 'nope'"),
    ],
)
def test_a_configuration_that_cannot_be_trained_is_not_written(refused, setting, said):
    assert said in refused("config", "--set", setting, "--json")


def test_a_configuration_is_shown_where_its_files_are_not(run):
    result = run("config", "--set", "init=file:gone.json", "--json")
    assert result.status == 0
    assert "warning: training would not start here: " in result.err
    assert "gone.json" in result.err
    assert json.loads(result.out)["init"]["scheme"] == "file:gone.json"


@pytest.mark.parametrize("line", ["lfa --verify", "derive --family harmonic_ritz --degree 2"])
def test_a_grid_beyond_the_memory(refused, line):
    said = refused(*line.split(), "--n", 10**7)
    assert "poisson2d has 100,000,000,000,000 unknowns, which take" in said
    assert "at most --n" in said
    assert "backend" not in said  # which these commands do not have
