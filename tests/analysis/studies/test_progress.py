"""What is left of a study takes as long as what is like it did, and who made the rest."""

import pytest

from analysis.studies.grid import Grid
from analysis.studies.progress import Left, left_of, left_text, made_text

HOUR = 3600


@pytest.fixture
def grid():
    """An hour at degree 2, nine at 4, of each of two starts; and who made them."""
    by = {"device": "cpu (x)", "threads": 1, "torch": "2", "revision": "abc"}
    rows = [
        ({"seed": 0, "degree": degree, "start": start}, {"seconds": time * HOUR, **by})
        for start in ("mine", "near")
        for degree, time in ((2, 1.0), (4, 9.0))
    ]
    rows[2][1].update(revision="def")
    rows[3][1].update(device="cuda (y)", threads=2)
    return Grid.of(rows, "start")


DONE = [{"seed": 0, "degree": k, "start": start} for start in ("mine", "near") for k in (2, 4)]


def test_what_is_left_takes_as_long_as_what_is_like_it(grid):
    """One run of 2 and two of 4 are left, and one of 8, which is no mean of the others."""
    points = [*DONE, *({"seed": 1, "degree": degree, "start": "mine"} for degree in (2, 4))]
    points += [{"seed": 0, "degree": degree, "start": "far"} for degree in (4, 8)]
    left = left_of(grid, points, along="degree")
    assert left == Left(4, 3, 19 * HOUR)
    text = left_text(left, len(points))
    assert text.startswith("4 of 8 runs have rows; 4 are left to run, some 19 hours of one process")
    assert "for 3 of them; none like the other 1 has finished. The number of seeds" in text
    assert left_of(grid, points[:-1], along="degree").text() == ", some 19 hours of one process"
    assert left_text(left_of(grid, DONE), len(DONE)) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *((0.5, "0.5 s"), (119, "119 s"), (120, "2 minutes"), (7199, "120 minutes")),
        *((30600, "8.5 hours"), (1e6, "278 hours")),
    ],
)
def test_the_time_is_told_in_the_unit_that_has_two_of_it(seconds, said):
    assert said in Left(1, 1, seconds).text()


def test_every_device_is_told_with_its_revisions(grid):
    text = made_text(grid, 5)
    assert "4 of 5 runs have rows, by device and revision of the code:" in text
    assert "- cpu (x), 1 thread, torch 2: abc (2), def (1)\n" in text
    assert text.endswith("- cuda (y), 2 threads, torch 2: abc (1)")
