"""Figures of studies: the curves are the means, the best of the searched is joined, and the worst
means do not hide the others."""

import numpy as np
import pytest

from analysis.studies import Grid, Question
from figures.names import _together
from figures.studies import (
    _look,
    draw_along,
    draw_costs,
    draw_modulus,
    kind_of,
    study_figure,
    undominated,
)
from figures.style import BLACK, GREY, paper

LOSSES = {"mine": (0.5, 0.4), "a": (0.6, 0.3), "b": (0.4, 0.5), "other": (0.7, 9.0)}
GIVEN = {"title": "x", "compare": "start", "measures": ["train_loss"], "candidate": "mine"}
QUESTION = Question.of({**GIVEN, "along": "model.name", "searched": ["a", "b"]})


def grid(panels=("plain",)):
    return Grid.of(
        [
            (
                {"seed": seed, "placement": panel, "model.name": f"q{2 + 2 * k}", "start": start},
                {"train_loss": loss + 0.01 * seed, "parameters": 10 * k + 1, "seconds": 2.0},
            )
            for panel in panels
            for start, losses in LOSSES.items()
            for k, loss in enumerate(losses)
            for seed in (0, 1)
        ],
        "start",
    )


def test_along(ax):
    made = grid()
    (places,) = QUESTION.panels(made).values()
    draw_along(ax, made, places, "train_loss", question=QUESTION)
    curves = {box.get_label(): box.lines[0].get_ydata() for box in ax.containers}
    np.testing.assert_allclose(curves["mine"], [0.505, 0.405])
    np.testing.assert_allclose(curves["other"], [0.705, 9.005])
    (best,) = [one for one in ax.lines if one.get_label() == "best of the searched"]
    np.testing.assert_allclose(best.get_ydata(), [0.405, 0.305])
    assert ax.get_ylim()[1] < 2  # 9 lies beyond
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["q2", "q4"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("model", "training loss")


@pytest.mark.parametrize("worst", ["mine", "other"])
@pytest.mark.parametrize("far", [0.9, 9.0])
def test_what_is_cut(ax, far, worst):
    """Neither the candidate, wherever it lies, nor what leaves room for the others."""
    losses = {"mine": 0.7, "a": 0.5, "b": 0.52, "c": 0.55, "d": 0.6, "other": 0.7} | {worst: far}
    made = Grid.of(
        [({"model.name": "q2", "start": k}, {"train_loss": y}) for k, y in losses.items()], "start"
    )
    (places,) = QUESTION.panels(made).values()
    draw_along(ax, made, places, "train_loss", question=QUESTION)
    low, high = ax.get_ylim()
    assert [k for k, y in losses.items() if not low < y < high] == (
        ["other"] if (far, worst) == (9.0, "other") else []
    )


def test_max_modulus(ax):
    """What lies beyond 10^6 stands there."""
    given = [
        ({"k": 2, "start": start}, {"train_loss": loss, "max_modulus": [M]})
        for start, loss, M in (("mine", 0.5, 8.0), ("a", 0.6, 2.0), ("other", 0.7, 1e30))
    ]
    made = Grid.of(given, "start")
    draw_modulus(ax, made, (("k", 2),), question=QUESTION)
    expected = {"mine": (8.0, 0.5), "each searched": (2.0, 0.6), "other": (1e6, 0.7)}
    assert [one.get_label() for one in ax.lines[:-1]] == list(expected)
    for one in ax.lines[:-1]:
        assert tuple(one.get_xydata()[0]) == pytest.approx(expected[one.get_label()])


def test_no_two_curves_look_alike():
    looks = [_look(k) for k in range(16)]
    assert len({(one.colour, str(one.dashes), one.marker) for one in looks}) == 16
    assert BLACK not in {one.colour for one in looks}


def test_costs(ax):
    draw_costs(ax, grid(), "train_loss", "parameters")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("weights", "training loss")
    at = [tuple(box.lines[0].get_xydata()[0]) for box in ax.containers]
    assert at[0] == pytest.approx((1, 0.505))
    assert len(at) == 8
    assert ax.get_xscale() == "log"  # 1 to 31
    ax.clear()
    draw_costs(ax, grid(), "train_loss", "seconds")  # all alike: no two numbers on one another
    assert ax.get_xscale() == "linear"


@pytest.mark.parametrize(("panels", "count"), [(("plain",), 1), (tuple("abcdef"), 6)])
def test_a_panel_for_every_combination_of_the_other_keys(panels, count):
    with paper():
        made = study_figure(grid(panels), QUESTION)
    assert sum(ax.get_visible() for ax in made.axes) == count
    flat = Question.of(GIVEN)
    with paper():
        assert len(study_figure(grid(panels), flat).axes) == 2  # weights and time


def test_what_nothing_beats_in_both():
    """Cheap and good, by either direction of the measure; of equal points all."""
    points = [(1.0, 0.5), (2.0, 0.7), (3.0, 0.6), (2.0, 0.7), (1.0, 0.4)]
    assert undominated(points, smaller=False) == {0, 1, 3}
    assert undominated(points, smaller=True) == {4}
    kinds = [kind_of(name) for name in ("q4, width 8", "preact_mgnet", "ResNet-8", "regular")]
    assert kinds == ["Poly-MgNet", "MgNet", "ResNet", None]


def test_names_stand_beside_their_points_and_apart():
    """Twelve networks in a heap: no name covers another's middle, none is far from its point."""
    rows = [
        ({"seed": seed, "net": f"q{k}"}, {"train_loss": 0.5 + 0.002 * (k % 4), "parameters": 1e4})
        for k in range(9)
        for seed in (0, 1)
    ]
    rows += [({"seed": 0, "net": "ResNet-8"}, {"train_loss": 0.4, "parameters": 2e5})]
    flat = Question.of({**GIVEN, "compare": "net", "candidate": None})
    with paper():
        made = study_figure(Grid.of(rows, "net"), flat)
        (ax,) = made.axes
        names = [one for one in ax.texts if one.get_text()[0] in "qR"]
        assert len(names) == 10
        # those on the line, and the others where there is room
        shown = [one for one in names if one.get_visible()]
        assert {"q0: 10 k", "q4: 10 k", "q8: 10 k"} <= {one.get_text() for one in shown}
        boxes = [one.get_window_extent() for one in shown]
        for k, one in enumerate(boxes):
            for other in boxes[:k]:
                assert not other.contains(*one.get_points().mean(axis=0))
        line = next(one for one in ax.lines if one.get_label().startswith("no other"))
        ends = line.get_xydata()[[0, -1]]  # equal ones are all of it
        np.testing.assert_allclose(ends, [[1e4, 0.5], [2e5, 0.4]])


def test_names_make_room_for_one_another():
    """The first has a place as good as the one that leaves the second nothing near."""
    near, far, aside = (0.0, 0.0, 4.0, 2.0), (0.0, 20.0, 4.0, 22.0), (5.0, 0.0, 9.0, 2.0)
    boxes = np.array([[near, aside], [near, far]])
    costs = np.array([[5.0, 14.0], [5.0, 22.0]])
    assert _together(boxes, costs, 1.0) == [1, 0]
    assert _together(boxes[:, ::-1], costs[:, ::-1], 1.0) == [0, 1]
    assert _together(boxes, np.array([[5.0, 24.0], [5.0, 9.0]]), 1.0) == [0, 1]


def test_a_heap_keeps_the_names_that_the_panel_needs():
    """The line's and the best of each kind, with their costs; none of the others covers a thing."""
    nets = {"q2": (10_000, 0.50), "ResNet-8": (75_002, 0.502), "MgNet": (10_400, 0.56)}
    nets |= {f"g{k}": (10_000 + 30 * k, 0.55 + 0.0005 * k) for k in range(12)}
    rows = [
        ({"seed": 0, "net": name}, {"train_loss": loss, "parameters": cost})
        for name, (cost, loss) in nets.items()
    ]
    flat = Question.of({**GIVEN, "compare": "net", "candidate": None})
    with paper():
        made = study_figure(Grid.of(rows, "net"), flat)
        (ax,) = made.axes
        shown = [one for one in ax.texts if one.get_visible() and one.get_text()[0] in "qgRM"]
        texts = [one.get_text() for one in shown]
        assert texts[:3] == ["q2: 10 k", "ResNet-8: 75 k", "MgNet: 10.4 k"]
        assert [one.get_color() for one in shown[:2]] == [BLACK, GREY]  # beaten by q2 in both
        assert len(texts) < 12
        boxes = [one.get_window_extent() for one in shown]
        for k, box in enumerate(boxes[3:], 3):
            assert not box.overlaps(boxes[0])
            assert sum(box.overlaps(other) for other in boxes[3:]) == 1, texts[k]
