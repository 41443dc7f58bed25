"""Sizes, numbers and lists at the edge of what is allowed and beyond: one line that names the
option or the entry, the value, and what is allowed; no warning of a library."""

import pytest

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
