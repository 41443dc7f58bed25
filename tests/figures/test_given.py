"""What figures are given: records and solutions as they come, in the units that the axis names, one
after another on the same axes; what cannot be drawn is refused in a line."""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.contour import ContourSet

from figures import (
    draw_accuracies,
    draw_convergence,
    draw_damping,
    draw_factors,
    draw_level_factors,
    draw_polynomials,
    draw_spectrum,
    draw_time_per_unknown,
    draw_training,
    make,
    make_gallery,
)
from figures.style import figure, paper, save
from mgtheory import (
    derive,
    poisson,
    smoothing_factor,
    solve,
    two_grid_factor,
)
from mgtheory.fourier import grid_frequencies, symbol
from mgtheory.polynomials.classical import chebyshev4
from mgtheory.problems.stencils import laplacian

from .drawn import legend_texts, line

PROBLEM = poisson((31, 31))
START = derive("chebyshev4", 3, PROBLEM)


@pytest.mark.parametrize("given", [START, START.polynomial, START.on(poisson((63, 63)))])
def test_what_knows_its_operator_is_drawn_in_units_of_its_b(ax, given):
    """Whatever the mesh width: the fourth kind on (0, 1], where roots of 8192 and less would make a
    line at 1."""
    draw_polynomials(ax, {"q": given}, eigenvalues=[0.5])
    t, values = line(ax, "q").get_data()
    np.testing.assert_allclose(values, chebyshev4(3, lmax=1.0)(t), atol=1e-12)
    assert line(ax, "_points").get_ydata() == pytest.approx(abs(values[500]))
    assert ax.get_xlabel() == "t / b"


def test_with_an_interval_polynomials_are_as_they_are(ax):
    draw_polynomials(ax, {"q": START}, interval=(0.0, 8192.0), eigenvalues=[4096.0])
    t, values = line(ax, "q").get_data()
    np.testing.assert_allclose(values, START.polynomial(t))
    assert ax.get_xlabel() == "t"
    assert ax.get_xlim()[1] > 8192.0  # the largest eigenvalue is not cut
    with pytest.raises(ValueError, match="in units of b: divide them by b, or give the interval"):
        draw_polynomials(ax, {"q": START}, eigenvalues=[4096.0])


@pytest.mark.parametrize("unit", ["", "b"])
def test_a_spectrum_takes_what_derive_returns(ax, unit):
    values = symbol(laplacian(2), grid_frequencies((8, 8))) * (1.0 if unit else 1024.0)
    draw_spectrum(
        ax, values / 8.0 if unit else values, roots={"q": START}, damping=("q", START), unit=unit
    )
    factor = 8192.0 if unit else 1.0
    np.testing.assert_allclose(line(ax, "roots, q").get_xdata(), START.roots.real / factor)
    (curve,) = [c for c in ax.collections if isinstance(c, ContourSet) and not c.filled][:1]
    points = np.concatenate(curve.allsegs[0]) @ [1, 1j]
    np.testing.assert_allclose(np.abs(START.polynomial(factor * points)), 1.0, atol=0.05)


def test_a_solution_is_a_history_and_what_ends_in_no_number_diverged(ax):
    found = solve(PROBLEM)
    draw_convergence(ax, {"FMG": found, "b": [1.0, 10.0, np.nan], "c": [1.0, np.inf]})
    np.testing.assert_allclose(
        line(ax, "FMG").get_ydata(), np.array(found.residual_norms) / found.residual_norms[0]
    )
    assert legend_texts(ax) == ["FMG", "b, diverged", "c, diverged"]


def test_a_map_takes_a_smoothing_factor_and_none_of_a_cycle(ax):
    factor = smoothing_factor(PROBLEM, START)
    draw_damping(ax, factor)
    (mesh,) = [one for one in ax.collections if isinstance(one, QuadMesh)]
    shown = np.asarray(mesh.get_array()).reshape(factor.damping.shape[0] + 1, -1)
    np.testing.assert_array_equal(shown[1:, 1:], np.minimum(factor.damping, 1.0))
    with pytest.raises(ValueError, match="the factor of a cycle, which couples modes"):
        draw_damping(ax, two_grid_factor(PROBLEM, START))


@pytest.mark.parametrize("draw", ["convergence", "factors", "training"])
def test_one_point_has_whole_numbers_at_its_axis(ax, draw):
    if draw == "convergence":
        draw_convergence(ax, {"a": [1.0]})
    elif draw == "factors":
        draw_factors(ax, {"a": ([2], [0.2])}, xlabel="degree", ylabel="µ")
    else:
        draw_training(ax, {"a": [[1.0]]}, ylabel="loss")
    low, high = ax.get_xlim()
    ticks = [t for t in ax.get_xticks() if low <= t <= high]
    assert len(ticks) == 1
    assert ticks[0] == round(ticks[0])


def test_a_missing_factor_hides_no_line_at_1(ax):
    draw_factors(ax, {"a": ([1, 2], [None, 2.0])}, xlabel="degree", ylabel="µ")
    assert any(list(one.get_ydata()) == [1.0, 1.0] for one in ax.lines)


def test_long_names_are_broken_into_lines():
    """In one column of a paper, where a legend was cut off at the border of the figure."""
    long = "a configuration with a very long name of many words and numbers"
    with paper():
        for draw, data in (
            (draw_accuracies, {long: [0.97, 0.98, 0.99]}),
            (draw_polynomials, {long: START}),
            (draw_polynomials, {f"of two\n{long}": START}),
        ):
            made, axes = figure(height=3.0)
            draw(axes[0, 0], data)
            made.draw_without_rendering()
            box = axes[0, 0].get_legend().get_window_extent()
            assert box.x0 >= 0.0
            assert box.x1 <= made.bbox.x1
            assert axes[0, 0].get_window_extent().width > 0.4 * made.bbox.width
            names = [name.get_text().replace("\n", " ") for name in axes[0, 0].get_yticklabels()]
            assert any(text.endswith(long) for text in legend_texts(axes[0, 0]) + names)


WRONG = {
    "list of polynomials": (lambda ax: draw_polynomials(ax, [START]), "is a list, must be a map"),
    "no polynomial": (lambda ax: draw_polynomials(ax, {"a": 3}), "'a' is an int, must be a Res"),
    "no label": (
        lambda ax: draw_polynomials(ax, {"a": START}, eigenvalues=[1.0], spectrum_of="b"),
        "unknown label in spectrum_of 'b', known are: a",
    ),
    "no eigenvalues": (lambda ax: draw_polynomials(ax, {"a": START}, eigenvalues=[]), "is empty"),
    "empty spectrum": (lambda ax: draw_spectrum(ax, []), "eigenvalues is empty"),
    "spectrum of NaN": (lambda ax: draw_spectrum(ax, [np.nan, 1.0]), "entry 0, .* is nan"),
    "applied NaN": (lambda ax: draw_spectrum(ax, [1.0], applied=[np.nan]), "applied has entries"),
    "roots of NaN": (lambda ax: draw_spectrum(ax, [1.0], roots={"a": [np.nan]}), "not a number"),
    "map of NaN": (lambda ax: draw_damping(ax, np.full((4, 4), np.nan)), r"entry \(0, 0\)"),
    "no work": (lambda ax: draw_convergence(ax, {"a": [1.0]}, work={"b": 2.0}), "work has no 'a'"),
    "no run": (lambda ax: draw_training(ax, {"a": []}, ylabel="x"), "runs 'a' must be a list of"),
    "flat run": (lambda ax: draw_training(ax, {"a": [1.0]}, ylabel="x"), "a run of 'a' must be a"),
    "no pair": (
        lambda ax: draw_factors(ax, {"a": [0.6, 0.2]}, xlabel="", ylabel=""),
        "'a' must be a pair",
    ),
    "unlike lengths": (
        lambda ax: draw_time_per_unknown(ax, {"a": ([1, 2], [1])}),
        "as many horizontal as vertical",
    ),
    "percent": (lambda ax: draw_accuracies(ax, {"a": [97.0]}), "must be fractions from 0 to 1"),
    "ragged": (lambda ax: draw_accuracies(ax, {"a": [[0.9], [0.8, 1]]}), "be a list of numbers"),
    "accuracy of NaN": (lambda ax: draw_accuracies(ax, {"a": [np.nan]}), "accuracies of 'a' are"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_drawn_is_refused(ax, name):
    draw, said = WRONG[name]
    with pytest.raises(ValueError, match=said):
        draw(ax)


def test_curves_drawn_one_after_another_look_different(ax):
    """As in a loop with a call for each; a label that comes again looks as before."""
    names = [f"q{k}" for k in range(9)]
    for name in [*names, names[2]]:
        draw_convergence(ax, {name: [1.0, 0.1]}, legend=False)
    colours = [line(ax, name).get_color() for name in [*names[:2], *names[3:]]]
    assert len({*colours}) == 8
    assert len({one.get_color() for one in ax.lines if one.get_label() == names[2]}) == 1
    draw_convergence(ax, {"one more": [1.0, 0.1]}, legend=False)  # colours come again


@pytest.mark.parametrize("name", ["a", "a.png", "a.PDF", "a.1"])
def test_both_files_have_the_name_that_is_given(ax, tmp_path, name):
    written = save(ax.get_figure(), tmp_path / name)
    base = "a.1" if name == "a.1" else "a"
    assert written == [tmp_path / f"{base}.png", tmp_path / f"{base}.pdf"]


def _polynomial(ax, **options):
    draw_polynomials(ax, {"a": chebyshev4(2, lmax=1.0)}, **options)


ARGUMENTS = {
    "factor": (lambda ax: draw_training(ax, {"a": [[1.0]]}, ylabel="", factor="x"), "factor is"),
    "text for runs": (lambda ax: draw_training(ax, {"a": "xy"}, ylabel=""), "runs 'a' must be"),
    "text for a run": (lambda ax: draw_training(ax, {"a": ["xy"]}, ylabel=""), "a run of 'a' must"),
    "work": (lambda ax: draw_convergence(ax, {"a": [1.0]}, work={"a": "x"}), "work of 'a' is 'x'"),
    "no table": (lambda ax: draw_convergence(ax, {"a": [1.0]}, work=3), "work is an int"),
    "tolerance": (lambda ax: draw_convergence(ax, {"a": [1.0]}, tolerance="x"), "tolerance is"),
    "complex norms": (lambda ax: draw_convergence(ax, {"a": np.array([1j])}), "history 'a' must"),
    "limit": (lambda ax: draw_damping(ax, np.ones((4, 4)), limit=0), "limit is 0, .* larger than"),
    "interval": (lambda ax: _polynomial(ax, interval=(2, 1)), r"interval is \(2, 1\), must be"),
    "an end": (lambda ax: _polynomial(ax, interval=(0,)), r"interval is \(0,\), must be two"),
    "high": (lambda ax: _polynomial(ax, high="x"), "high is a str, must be real numbers"),
    "mask": (lambda ax: draw_spectrum(ax, [1.0, 2.0], high=["low", "high"]), "must be Booleans"),
    "mask's shape": (lambda ax: draw_spectrum(ax, [1.0, 2.0], high=[True]), r"shape \(1,\)"),
    "no pair": (lambda ax: draw_spectrum(ax, [1.0], damping=("a",)), r"a pair \(label, q\)"),
    "no image": (lambda ax: draw_accuracies(ax, {"a": [0.9]}, images={"a": 0}), "images of 'a' is"),
    "floor": (lambda ax: draw_accuracies(ax, {"a": [0.9]}, floors={"b": 97}), "floor 'b' is 97"),
    "level": (lambda ax: draw_level_factors(ax, {"a": 0.5}), "factors of 'a' must be a list"),
    "rows": (lambda ax: figure(0), "rows is 0"),
    "width": (lambda ax: figure(width="x"), "width is 'x'"),
    "gallery": (lambda ax: make_gallery("nowhere", names="families"), "must be a list of names"),
    "runs": (lambda ax: make("runs/a", "nowhere"), "must be a list of run folders"),
    "floors": (lambda ax: make(["a"], "nowhere", floors={"a": 97}), "floor 'a' is 97"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_are_named(ax, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, said = ARGUMENTS[name]
    with pytest.raises(ValueError, match=said) as error:
        call(ax)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_no_figure_is_drawn_of_no_name(tmp_path):
    assert make_gallery(tmp_path, names=[]) == []
