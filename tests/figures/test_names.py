"""Names beside points: near their own, apart from one another, and left out where there is no
room."""

import tracemalloc

import numpy as np

from analysis.studies.grid import Grid
from analysis.studies.question import Question
from figures.names import AWAY, _boxes, _size, _together, place_names
from figures.studies import draw_costs, study_figure
from figures.style import BLACK, GREY, figure, paper

QUESTION = Question.of({"title": "x", "compare": "net", "measures": ["train_loss"]})


def test_names_stand_beside_their_points_and_apart():
    """Twelve networks in a heap: no name covers another's middle, none is far from its point."""
    rows = [
        ({"seed": seed, "net": f"q{k}"}, {"train_loss": 0.5 + 0.002 * (k % 4), "parameters": 1e4})
        for k in range(9)
        for seed in (0, 1)
    ]
    rows += [({"seed": 0, "net": "ResNet-8"}, {"train_loss": 0.4, "parameters": 2e5})]
    with paper():
        made = study_figure(Grid.of(rows, "net"), QUESTION)
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


def test_names_keep_off_the_frame():
    """The nearest place of the first lies between its point and the axis, and fills that."""
    nets = {"q2": [(29_000, 3.0), (29_000, 3.26)], "g4": [(56_600, 2.6)]}
    rows = [
        ({"seed": seed, "net": name}, {"train_loss": y, "parameters": x, "flops_per_image": x})
        for name, runs in nets.items()
        for seed, (x, y) in enumerate(runs)
    ]
    with paper():
        made = study_figure(Grid.of(rows, "net"), QUESTION)
        for ax in made.axes:
            frame = ax.get_window_extent()
            for one in (text.get_window_extent() for text in ax.texts if text.get_gid()):
                assert (one.min > frame.min + 1).all()
                assert (one.max < frame.max - 1).all()


def test_names_make_room_for_one_another():
    """The first has a place as good as the one that leaves the second nothing near."""
    near, far, aside = (0.0, 0.0, 4.0, 2.0), (0.0, 20.0, 4.0, 22.0), (5.0, 0.0, 9.0, 2.0)
    boxes = np.array([[near, aside], [near, far]])
    costs = np.array([[5.0, 14.0], [5.0, 22.0]])
    assert _together(boxes, costs, 1.0) == [1, 0]
    assert _together(boxes[:, ::-1], costs[:, ::-1], 1.0) == [0, 1]
    assert _together(boxes, np.array([[5.0, 24.0], [5.0, 9.0]]), 1.0) == [0, 1]


def test_memory_grows_with_the_number_of_names():
    """Not with its square: of 300 names with 60 places each, all pairs of places are 2.6 GB."""
    points = np.stack(np.meshgrid(60.0 * np.arange(15), 40.0 * np.arange(20)), axis=-1)
    boxes = _boxes(points.reshape(-1, 2), np.tile([[30.0, 8.0]], (300, 1)), 1.0)
    costs = np.tile(AWAY, (300, 1))
    tracemalloc.start()
    chosen = _together(boxes, costs, 1.0)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert chosen == [0] * 300  # each has room for its name at the nearest of its places
    assert most < 5e6


def named_points(rows):
    """Axes on which as many points have names as there are."""
    made, axes = figure(width=7.0, height=3.8)
    draw_costs(axes[0, 0], Grid.of(rows, "net"), "train_loss", "parameters")
    place_names(made)
    return axes[0, 0]


def test_more_names_than_a_panel_holds():
    """Long ones: the best stand, in spite of the many; none covers another's middle."""
    rows = [
        ({"seed": 0, "net": f"{k} {'long ' * 12}"}, {"train_loss": 0.5 + 0.01 * k})
        for k in range(40)
    ]
    for k, (_, row) in enumerate(rows):
        row["parameters"] = 1e4 + 1e3 * (k * 7 % 40)
    with paper():
        ax = named_points(rows)
        shown = [one for one in ax.texts if one.get_gid() and one.get_visible()]
        assert 10 <= len(shown) < 40
        assert shown[0].get_text().startswith("0 long")
        boxes = [_size(one) for one in shown]
        for k, one in enumerate(boxes):
            for other in boxes[:k]:
                assert not other.contains(*one.get_points().mean(axis=0))


def test_a_heap_keeps_the_names_that_the_panel_needs():
    """The line's and the best of each kind, with their costs; none of the others covers a thing."""
    nets = {"q2": (10_000, 0.50), "ResNet-8": (75_002, 0.502), "MgNet": (10_400, 0.56)}
    nets |= {f"g{k}": (10_000 + 30 * k, 0.55 + 0.0005 * k) for k in range(12)}
    rows = [
        ({"seed": 0, "net": name}, {"train_loss": loss, "parameters": cost})
        for name, (cost, loss) in nets.items()
    ]
    with paper():
        ax = named_points(rows)
        shown = [one for one in ax.texts if one.get_visible() and one.get_text()[0] in "qgRM"]
        texts = [one.get_text() for one in shown]
        assert texts[:3] == ["q2: 10 k", "ResNet-8: 75 k", "MgNet: 10.4 k"]
        assert [one.get_color() for one in shown[:2]] == [BLACK, GREY]  # beaten by q2 in both
        assert len(texts) < 12
        boxes = [one.get_window_extent() for one in shown]
        for k, box in enumerate(boxes[3:], 3):
            assert not box.overlaps(boxes[0])
            assert sum(box.overlaps(other) for other in boxes[3:]) == 1, texts[k]
