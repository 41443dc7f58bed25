"""Figures of studies: the curves are the means, the best of the searched is joined, and the worst
means do not hide the others."""

import numpy as np
import pytest

from analysis.studies.grid import Grid
from analysis.studies.question import Question
from figures.studies import (
    BEYOND,
    KINDS,
    MEANS,
    _look,
    draw_along,
    draw_costs,
    draw_start,
    kind_of,
    start_figure,
    study_figure,
    undominated,
)
from figures.style import BLACK, paper

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
    (places,) = made.panels(QUESTION.along).values()
    draw_along(ax, made, places, "train_loss", question=QUESTION)
    curves = {box.get_label(): box.lines[0].get_ydata() for box in ax.containers}
    np.testing.assert_allclose(curves["mine"], [0.505, 0.405])
    np.testing.assert_allclose(curves["other"], [0.705, 9.005])
    (best,) = [one for one in ax.lines if one.get_label() == "best of the searched"]
    np.testing.assert_allclose(best.get_ydata(), [0.405, 0.305])
    assert ax.get_ylim()[1] < 2  # 9 lies beyond
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["q2", "q4"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("model", "training loss")


def test_intervals_have_the_unit_of_the_means(ax):
    """Accuracies 0.80, 0.82 are 81 +- t_1 1 %, in per cent as their mean."""
    made = Grid.of(
        [({"seed": k, "start": "mine"}, {"test_accuracy": 0.80 + 0.02 * k}) for k in (0, 1)],
        "start",
    )
    question = Question.of({**GIVEN, "measures": ["test_accuracy"]})
    draw_along(ax, made, {"": ()}, "test_accuracy", question=question)
    (box,) = ax.containers
    ((_, bottom), (_, top)) = box.lines[2][0].get_segments()[0]
    assert box.lines[0].get_ydata() == pytest.approx([81.0])
    assert (top - 81.0, 81.0 - bottom) == pytest.approx((12.7062, 12.7062), rel=1e-4)


@pytest.mark.parametrize("starts", [("a",), ("a", "b", "other")])
def test_values_without_a_candidate_stand_around_their_place(ax, starts):
    """Symmetric to its tick, which is in the middle: no room is kept for a candidate."""
    made = Grid.of(
        [
            ({"seed": seed, "start": start}, {"train_loss": LOSSES[start][0] + seed})
            for start in starts
            for seed in (0, 1)
        ],
        "start",
    )
    question = Question.of({k: v for k, v in GIVEN.items() if k != "candidate"})
    draw_along(ax, made, {"": ()}, "train_loss", question=question)
    x = np.array([float(box.lines[0].get_xdata()[0]) for box in ax.containers])
    assert x.size == len(starts)
    np.testing.assert_allclose(x, -x[::-1], atol=1e-12)
    assert sum(ax.get_xlim()) == pytest.approx(0.0)


def test_values_at_a_single_place_stand_beside_one_another(ax):
    """Each apart, in the order of the legend, within the axes with its whole interval."""
    made = Grid.of(
        [
            ({"seed": seed, "model.name": "q2", "start": start}, {"train_loss": losses[0] + seed})
            for start, losses in LOSSES.items()
            for seed in (0, 1, 2)
        ],
        "start",
    )
    (places,) = made.panels(QUESTION.along).values()
    draw_along(ax, made, places, "train_loss", question=QUESTION)
    at = {box.get_label(): box.lines[0].get_xdata().item() for box in ax.containers[1:]}
    assert np.diff(list(at.values())).min() > 0.1
    low, high = ax.get_ylim()
    for box in ax.containers:
        (bar,) = box.lines[2]
        ((_, bottom), (_, top)) = bar.get_segments()[0]
        assert low < bottom < top < high
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["q2"]


@pytest.mark.parametrize("worst", ["mine", "other"])
@pytest.mark.parametrize("far", [0.9, 9.0])
def test_what_is_cut(ax, far, worst):
    """Neither the candidate, wherever it lies, nor what leaves room for the others."""
    losses = {"mine": 0.7, "a": 0.5, "b": 0.52, "c": 0.55, "d": 0.6, "other": 0.7} | {worst: far}
    made = Grid.of(
        [({"model.name": "q2", "start": k}, {"train_loss": y}) for k, y in losses.items()], "start"
    )
    (places,) = made.panels(QUESTION.along).values()
    draw_along(ax, made, places, "train_loss", question=QUESTION)
    low, high = ax.get_ylim()
    hidden = [k for k, y in losses.items() if not low < y < high]
    assert hidden == (["other"] if (far, worst) == (9.0, "other") else [])
    assert beyond(ax) == [("^", high)] * len(hidden)


def test_intervals_end_on_the_axis_where_nothing_but_the_searched_is_compared(ax):
    """Two values that differ less than the seeds do: the axis of the means would cut both."""
    given = [
        ({"seed": seed, "k": k, "start": start}, {"train_loss": mean + 0.1 * (-1) ** seed})
        for start, mean in (("mine", 0.70), ("other", 0.71))
        for seed in range(4)
        for k in (2, 4)
    ]
    question = Question.of(
        {**GIVEN, "along": "k", "measures": ["train_loss"], "candidate": "mine"}
        | {"searched": ["other"]}
    )
    made = Grid.of(given, "start")
    (places,) = made.panels(question.along).values()
    draw_along(ax, made, places, "train_loss", question=question)
    half = made.cells[(("k", 2),)]["mine"].estimate("train_loss").half
    low, high = ax.get_ylim()
    assert low < 0.70 - half
    assert high > 0.71 + half


def beyond(ax):
    """(marker, end of the axis) of what is drawn there for a mean beyond it."""
    ends = [line for line in ax.lines if line.get_gid() == BEYOND]
    return [(line.get_marker(), y) for line in ends for y in line.get_ydata()]


@pytest.mark.parametrize("far", [9.0, None])
def test_no_mean_is_left_out_in_silence(far):
    """The worst of a shared axis stands at its end, at its own x, and the legend says what that is;
    what lies just beyond the others is no reason to cut."""
    losses = {"mine": 0.7, "a": 0.5, "b": 0.52, "c": 0.55, "d": 0.6, "near": 0.74}
    losses |= {"other": far} if far else {}
    given = [
        (
            {"seed": seed, "k": 2, "start": start},
            {"train_loss": y, "test_accuracy": 1 - y / 10, "max_modulus": [2.0 + y]},
        )
        for start, y in losses.items()
        for seed in (0, 1)
    ]
    made = Grid.of(given, "start")
    question = Question.of({**GIVEN, "along": "k", "measures": ["train_loss", "test_accuracy"]})
    with paper():
        drawn = study_figure(made, question)
        shown = start_figure(made, question, "max_modulus")
    axes = (*drawn.axes, *shown.axes)
    assert len(axes) == 3
    ends = [
        ("^", axes[0].get_ylim()[1]),
        ("v", axes[1].get_ylim()[0]),
        ("^", axes[2].get_ylim()[1]),
    ]
    assert [beyond(ax) for ax in axes] == ([[end] for end in ends] if far else [[], [], []])
    assert axes[0].get_ylim()[0] < 0.5 < 0.74 < axes[0].get_ylim()[1] < 9
    at = [line.get_xdata().item() for line in axes[2].lines if line.get_gid() == BEYOND]
    assert at == pytest.approx([11.0] if far else [])
    titles = [one.legends[0].get_title().get_text() for one in (drawn, shown)]
    said = f"; {BEYOND}" if far else ""
    assert titles == [f"{MEANS}{said}", f"means over the seeds{said}"]


def test_max_modulus(ax):
    """What lies beyond 10^6 stands there."""
    given = [
        ({"k": 2, "start": start}, {"train_loss": loss, "max_modulus": [M]})
        for start, loss, M in (("mine", 0.5, 8.0), ("a", 0.6, 2.0), ("other", 0.7, 1e30))
    ]
    made = Grid.of(given, "start")
    draw_start(ax, made, (("k", 2),), "max_modulus", question=QUESTION)
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


def test_many_panels_of_two_measures_stand_in_rows_of_one_measure():
    """At most four, each with its title: seven were too narrow for their ticks."""
    question = Question.of({**GIVEN, "along": "model.name", "measures": ["train_loss", "seconds"]})
    with paper():
        made = study_figure(grid(tuple("abcdef")), question)
    seen = [ax for ax in made.axes if ax.get_visible()]
    assert [ax.get_title() for ax in seen] == list("abcdef") * 2
    rows: dict[int, list[str]] = {}
    for ax in seen:
        (label,) = {a.get_ylabel() for a in seen if _row(a) == _row(ax)} - {""}
        rows.setdefault(_row(ax), []).append(label)
    loss, time = "training loss", "time (s)"
    assert list(rows.values()) == [[loss] * 4, [loss] * 2, [time] * 4, [time] * 2]


def _row(ax):
    return ax.get_subplotspec().rowspan.start


def test_a_title_says_what_a_number_is_of():
    """Not "2" above a panel."""
    made = grid(("plain", 2))
    titles = [ax.get_title() for ax in study_figure(made, QUESTION).axes]
    assert titles == ["plain", "placement 2"]


def test_what_costs_the_same_stands_beside_one_another():
    """As learning rates do: a mean and its interval for each value, named by the legend."""
    rates = (0.01, 0.1)
    made = Grid.of(
        [
            ({"seed": k, "lr": lr}, {"train_loss": lr + k, "parameters": 8, "seconds": 1.0 + k})
            for lr in rates
            for k in (0, 1)
        ],
        "lr",
    )
    question = Question.of({"title": "x", "compare": "lr", "measures": ["train_loss"]})
    with paper():
        (ax,) = (ax for ax in study_figure(made, question).axes if ax.get_visible())
    assert ax.get_xlabel() == "lr"
    assert [box.get_label() for box in ax.containers] == [str(lr) for lr in rates]
    means = [box.lines[0].get_ydata().item() for box in ax.containers]
    assert means == pytest.approx([lr + 0.5 for lr in rates])


def test_what_nothing_beats_in_both():
    """Cheap and good, by either direction of the measure; of equal points all."""
    points = [(1.0, 0.5), (2.0, 0.7), (3.0, 0.6), (2.0, 0.7), (1.0, 0.4)]
    assert undominated(points, smaller=False) == {0, 1, 3}
    assert undominated(points, smaller=True) == {4}
    kinds = [kind_of(name) for name in ("q4, width 8", "preact_mgnet", "ResNet-8", "regular")]
    assert kinds == ["Poly-MgNet", "MgNet", "ResNet", None]


def test_many_points_have_numbers_and_a_list_of_them():
    """By the mean of the first measure, the best first, the same in every panel, bold on the line;
    few seeds stand in the list."""
    nets = [f"q{k}" for k in range(8)] + ["ResNet-8", "MgNet", "ResNet-18"]
    rows = [
        ({"seed": seed, "net": name}, {"test_accuracy": 0.5 + 0.01 * k, "train_loss": 1.0 + k % 3})
        for k, name in enumerate(nets)
        for seed in range(5 if k else 3)
    ]
    for point, row in rows:
        row |= {"parameters": 1e4 * (1 + nets.index(point["net"])), "flops_per_image": 1e6}
    given = {"title": "x", "compare": "net", "measures": ["test_accuracy", "train_loss"]}
    with paper():
        made = study_figure(Grid.of(rows, "net"), Question.of(given))
        loss = study_figure(
            Grid.of(rows, "net"), Question.of({**given, "measures": ["train_loss"]})
        )
        few = study_figure(Grid.of(rows[:-5], "net"), Question.of(given))
    accuracy, _, losses, _ = made.axes
    at = {one.get_text(): one for one in accuracy.texts if one.get_gid()}
    assert {k: one.xy[1] for k, one in at.items()} == {
        str(k): pytest.approx(61.0 - k) for k in range(1, 12)
    }
    assert all(one.get_weight() == "bold" for one in at.values())  # dearer and better, all of them
    light = [one.get_text() for one in losses.texts if one.get_gid() and one.get_weight() != "bold"]
    assert sorted(light, key=int) == [str(k) for k in range(1, 11)]  # but q0
    _, listed = made.legends
    texts = [one.get_text() for one in listed.get_texts()]
    assert texts == [f"{k}  {name}" for k, name in enumerate(nets[:0:-1], 1)] + ["11  q0 (n = 3)"]
    colours = [one.get_color() for one in listed.get_lines()[:3]]
    assert colours == [KINDS[kind].colour for kind in ("ResNet", "MgNet", "ResNet")]
    assert "n: seeds" in listed.get_title().get_text()
    first = loss.legends[1].get_texts()[0].get_text()
    assert first.startswith("1  q0")  # the smallest loss
    assert len(few.legends) == 1
    assert {"q0: 10 k"} <= {one.get_text() for one in few.axes[0].texts}


def test_intervals_of_several_places_lie_apart_and_those_of_the_searched_on_one_another(ax):
    """In the order of the legend, around the tick, never nearer to the next place than to their
    own."""
    made = grid()
    (places,) = made.panels(QUESTION.along).values()
    draw_along(ax, made, places, "train_loss", question=QUESTION)
    at = [box.lines[0].get_xdata() for box in ax.containers]  # a, b, other, mine
    np.testing.assert_array_equal(at[0], at[1])
    first = np.array([x[0] for x in at[1:]])
    np.testing.assert_allclose(first, [-0.06, 0.0, 0.06], atol=1e-12)
    many = [f"start {k}" for k in range(30)]
    points = [
        ({"model.name": q, "start": s}, {"train_loss": 1.0}) for s in many for q in ("a", "b")
    ]
    made = Grid.of(points, "start")
    question = Question.of({**GIVEN, "along": "model.name"})
    (places,) = made.panels(question.along).values()
    ax.clear()
    draw_along(ax, made, places, "train_loss", question=question)
    first = np.array([box.lines[0].get_xdata()[0] for box in ax.containers])
    assert np.diff(first).min() > 0
    assert np.abs(first).max() < 0.4


def test_factors_have_plain_numbers_and_one_name_of_the_axis_a_row():
    rows = [
        ({"problem": p, "degree": k, "smoother": s}, {"factor": 0.4 / k})
        for p in ("one", "two")
        for k in (1, 2, 4)
        for s in ("a", "b")
    ]
    question = Question.of(
        {"title": "x", "compare": "smoother", "along": "degree", "measures": ["factor"]}
    )
    with paper():
        made = study_figure(Grid.of(rows, "smoother"), question)
        made.canvas.draw()
        left, right = made.axes
        assert (left.get_ylabel(), right.get_ylabel()) == ("convergence factor", "")
        shown = [text.get_text() for text in left.get_yticklabels()]
        assert {"0.1", "0.2"} <= set(shown)
        assert {text.get_text() for text in left.get_yticklabels(minor=True)} <= {""}
