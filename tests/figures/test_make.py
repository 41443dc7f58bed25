"""Figures of real runs: every one is written twice, shows the report's numbers, has legends inside
the page, and equals itself."""

import shutil
from dataclasses import replace
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest

import analysis
from analysis.runs.records import read_metrics
from figures import style
from figures.gallery import GALLERY
from figures.registry import COMMON_FIGURES, RUN_FIGURES, Run, Together, make, make_gallery
from figures.style import DOUBLE, SINGLE, figure, figure_legend, paper, save, save_as
from mgtheory import derive, smoothing_factor
from mgtheory.problems.stencils import laplacian

FONT = style._RC["pdf.fonttype"]  # before tests take a quicker one


def line(ax, label):
    (found,) = [one for one in ax.lines if one.get_label() == label]
    return found


def inside_and_apart(made):
    """The legend lies on the page and over no axes; every visible axes lies on the page."""
    made.canvas.draw()
    page = made.bbox
    boxes = [legend.get_window_extent() for legend in made.legends]
    for box in [*boxes, *(ax.get_tightbbox() for ax in made.axes if ax.get_visible())]:
        assert page.x0 - 2 <= box.x0 < box.x1 <= page.x1 + 2
        assert page.y0 - 2 <= box.y0 < box.y1 <= page.y1 + 2
    for box in boxes:
        assert not any(box.overlaps(ax.get_window_extent()) for ax in made.axes if ax.get_visible())


@pytest.mark.parametrize("name", RUN_FIGURES)
@pytest.mark.parametrize("run", ["theory", "regular", "mgnet", "resnet"])
def test_every_figure_of_every_kind_of_run(runs, run, name):
    report = analysis.analyse(runs[run])
    with paper():
        made = RUN_FIGURES[name](report)
        if made is None:
            assert not report.levels or (
                not report.has_polynomial and name in ("polynomials", "convergence", "along")
            )
            return
        inside_and_apart(made)
        assert made.get_figwidth() in (SINGLE, DOUBLE, DOUBLE / 2)
        sizes = [
            text.get_fontsize()
            for ax in made.axes
            for text in (ax.xaxis.label, ax.yaxis.label, ax.title)
        ]
        assert min(sizes) >= 7.5


@pytest.mark.parametrize("zero", [1, 2])
def test_levels_whose_operator_became_zero(runs, zero):
    """Of one there is nothing in units of b to be drawn, of all no such figure."""
    report = analysis.analyse(runs["theory"])
    gone = replace(report.levels[0].operators["learned"], radius=0.0)
    changed = [
        replace(level, operators={**level.operators, "learned": gone})
        for level in report.levels[:zero]
    ]
    report = replace(report, levels=(*changed, *report.levels[zero:]))
    with paper():
        made = {name: draw(report) for name, draw in RUN_FIGURES.items()}
    assert made["convergence"] is None
    assert (made["polynomials"] is None) == (zero == 2)
    assert made["polynomials"] is None or len(made["polynomials"].axes) == 1
    for shown in filter(None, made.values()):
        shown.canvas.draw()


def test_long_names_of_rows_stand_apart(runs):
    """Six lines each, as settings that tell configurations apart may have."""
    report = analysis.analyse(runs["theory"])
    one = Run(report, read_metrics(runs["theory"]), "", "")
    names = [f"{k} {'a setting of a sweep and its value ' * 4}" for k in range(3)]
    with paper():
        made = COMMON_FIGURES["accuracies"](Together({name: [one] for name in names}, {}))
        made.canvas.draw()
        boxes = [text.get_window_extent() for text in made.axes[0].get_yticklabels()]
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(boxes))


def test_polynomials_show_the_report(runs):
    report = analysis.analyse(runs["theory"])
    with paper():
        made = RUN_FIGURES["polynomials"](report)
    for ax, level in zip(made.axes, report.levels):
        t, values = line(ax, "learned").get_data()
        np.testing.assert_allclose(
            values,
            level.views["learned"].polynomial(t * level.operators["learned"].radius),
            rtol=1e-10,
            atol=1e-12,
        )
        t, values = line(ax, "start").get_data()
        # float32
        np.testing.assert_allclose(
            values,
            level.views["theory"].polynomial(t * level.operators["learned"].radius),
            atol=1e-6,
        )
        assert ax.get_title().startswith(f"level {level.level}, b = ")


def test_spectra_show_the_report(runs):
    report = analysis.analyse(runs["regular"])
    with paper():
        made = RUN_FIGURES["spectra"](report)
    level = report.levels[1]
    radius = {name: operator.radius for name, operator in level.operators.items()}
    drawn = np.concatenate(
        [
            line(made.axes[1], f"_symbol, {name} frequencies").get_xydata() @ [1, 1j]
            for name in ("high", "low")
        ]
    )
    np.testing.assert_allclose(
        np.sort(drawn), np.sort(level.arrays["symbol/learned"].ravel() / radius["learned"])
    )
    applied = line(made.axes[1], "_eigenvalues as applied").get_xydata() @ [1, 1j]
    np.testing.assert_allclose(
        np.sort(applied), np.sort(level.arrays["eigenvalues/learned"] / radius["learned"])
    )
    assert np.abs(applied).max() == pytest.approx(1.0)
    labels = made.axes[1].get_legend_handles_labels()[1]
    assert {"roots, effective (norms folded in)", "|q| < 1, q effective (norms folded in)"} <= set(
        labels
    )
    # a batch norm takes their meaning away
    assert not {"roots, learned", "|q| < 1, q learned"} & set(labels)
    # in units of its own operator's b
    near = level.views["start"].polynomial.roots.real / radius["start"]
    near = near[np.abs(near) <= made.axes[1].get_xlim()[1]]
    np.testing.assert_allclose(
        np.sort(line(made.axes[1], "roots, start").get_xdata()), np.sort(near)
    )


def test_damping_has_a_row_for_each_role_and_the_reports_factors(runs):
    """Learned and effective stand in rows of their own, each under its name; where a norm takes the
    learned's meaning, it is left out."""
    report = analysis.analyse(runs["theory"])
    roles = {
        "theory": "theory (chebyshev4)",
        "start": "start",
        "learned": "learned",
        "effective": "effective (norms folded in)",
    }
    with paper():
        grid = np.array(RUN_FIGURES["damping"](report).axes[:-1]).reshape(
            len(roles), 1 + len(report.levels)
        )
        regular = RUN_FIGURES["damping"](analysis.analyse(runs["regular"]))
    for (role, name), row in zip(roles.items(), grid):
        assert " ".join(row[0].get_ylabel().splitlines()) == f"{name} θ₁ (rad)"
        for ax, level in zip(row[1:], report.levels):
            assert ax.get_title().splitlines()[-1] == f"µ = {level.views[role].symbol_factor:.3g}"
    # on the Laplacian theory has the factor that it was derived for
    mu = smoothing_factor(laplacian(2), derive("chebyshev4", 2, laplacian(2))).factor
    assert grid[0][0].get_title().endswith(f"µ = {mu:.3g}")
    assert not any("learned" in ax.get_ylabel() for ax in regular.axes)


def test_convergence_is_on_the_problems_own_scale(runs):
    """A start from theory on a Laplacian solves Poisson's problem: V(1,1) leaves a third."""
    with paper():
        ax = RUN_FIGURES["convergence"](analysis.analyse(runs["theory"])).axes[0]
    for role in ("theory", "start"):
        norms = line(ax, role).get_ydata()
        assert norms[-1] < (1 / 3) ** (len(norms) - 1)


def test_convergence_uses_effective_where_coefficients_are_lost(runs):
    with paper():
        labels = {
            name: {
                one.get_label()
                for one in RUN_FIGURES["convergence"](analysis.analyse(runs[name])).axes[0].lines
            }
            for name in ("theory", "regular")
        }
    bare = {
        name: {label.removesuffix(", diverged") for label in found}
        for name, found in labels.items()
    }
    assert bare["theory"] == {"theory", "start", "learned", "effective (norms folded in)"}
    assert bare["regular"] == {"theory", "start", "effective (norms folded in)"}


def test_make_writes_everything_and_equal_runs_give_equal_files(runs, tmp_path, monkeypatch):
    # drawn above; what is left shows the rules
    for name in ("polynomials", "damping", "convergence", "along"):
        monkeypatch.delitem(RUN_FIGURES, name)
    first = make([runs["theory"], runs["resnet"]], tmp_path / "a")
    names = [path.name for path in first]
    assert names == [
        f"{name}.{kind}"
        for name in [*(f"theory_{n}" for n in RUN_FIGURES), *COMMON_FIGURES]
        for kind in ("png", "pdf")
    ]
    assert all(path.stat().st_size > 5000 for path in first)
    assert first[0].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert first[1].read_bytes()[:5] == b"%PDF-"
    # whose it is, and what is seen in it
    assert b"/Title (q2 chebyshev4, theory)" in first[1].read_bytes()
    assert b"/Subject (Eigenvalues of each level's" in first[1].read_bytes()
    assert not [path for path in (tmp_path / "a").iterdir() if path not in first]
    second = make([runs["theory"]], tmp_path / "b")
    assert [path.name for path in second] == [
        f"{name}.{kind}" for name in [*RUN_FIGURES, "training"] for kind in ("png", "pdf")
    ]
    for one, other in zip(first[:4], second[:4]):
        assert one.read_bytes() == other.read_bytes()


def test_a_new_figure_is_one_function_and_one_entry(runs, tmp_path, monkeypatch):
    """Entered in its registry, it is drawn by `polymgnet figures` and named in its answer, beside
    the others; one that has nothing to show is left out."""
    from polymgnet.cli import main

    def drawn(given):
        made, axes = figure()
        axes[0, 0].plot([0, 1], [0, len(getattr(given, "levels", [1]))])
        return made

    for registry, own in (
        (RUN_FIGURES, {"own": drawn, "empty": lambda report: None}),
        (COMMON_FIGURES, {"own_together": drawn}),
        (GALLERY, {"own_theory": lambda: drawn(None)}),
    ):
        for name in list(registry):
            monkeypatch.delitem(registry, name)  # the others are drawn above
        for name, draw in own.items():
            monkeypatch.setitem(registry, name, draw)
    assert main(["figures", str(runs["theory"]), "--out", str(tmp_path / "runs")]) == 0
    assert main(["figures", "--theory", "--out", str(tmp_path / "theory")]) == 0
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    names = ("runs/own", "runs/own_together", "theory/own_theory")
    assert written == {f"{name}.{kind}" for name in names for kind in ("png", "pdf")}


def test_equal_names_are_told_apart(runs, tmp_path, monkeypatch):
    """Runs of one name, of different folders, are numbered in the names of their figures."""
    for registry, kept in ((RUN_FIGURES, "levels"), (COMMON_FIGURES, "accuracies")):
        for name in set(registry) - {kept}:  # one figure of a run has its name as any other
            monkeypatch.delitem(registry, name)
        monkeypatch.setitem(registry, kept, lambda given: figure()[0])  # nothing to draw
    for folder in "ab":
        shutil.copytree(runs["theory"], tmp_path / folder / "q2")
    written = make(
        [tmp_path / "a" / "q2", tmp_path / "b" / "q2", runs["regular"]], tmp_path / "out"
    )
    prefixes = {path.name.split("_")[0] for path in written}
    assert {"q2-1", "q2-2", runs["regular"].name} <= prefixes
    assert "q2" not in prefixes


def test_make_refuses(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        make([], tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        make([tmp_path / "nowhere"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=", ".join(GALLERY)):
        make_gallery(tmp_path, names=["zebra"])


def test_gallery_on_paper(tmp_path, monkeypatch):
    monkeypatch.setattr("figures.gallery.DEGREES", (1, 2))
    with paper():
        for name in ("families", "two_grid_against_work", "spectra_with_roots"):
            inside_and_apart(GALLERY[name]())
    assert [path.name for path in make_gallery(tmp_path, names=["damping_maps"])] == [
        "damping_maps.png",
        "damping_maps.pdf",
    ]


@pytest.mark.parametrize("words", ["", "long", "long name", "rather long and long name " * 2])
def test_legend_takes_as_many_columns_as_fit(words):
    """One more would be wider than the page, whose last twentieth is kept."""
    with paper():
        made, axes = figure(1, 2, width=DOUBLE)
        for ax in axes.flat:
            for k in range(9):
                ax.plot([0, 1], [0, k], label=f"a curve with a {words * (1 + k % 2)}, {k}")
        legend = figure_legend(made)
        assert len(legend.get_texts()) == 9
        room, columns = 0.95 * made.bbox.width, legend._ncols
        assert legend.get_window_extent().width <= room
        handles, labels = axes[0, 0].get_legend_handles_labels()
        wider = made.legend(handles, labels, ncols=columns + 1, loc="outside upper center")
        assert wider.get_window_extent().width > room
        empty, _ = figure()
        with pytest.raises(ValueError, match="no labelled curve"):
            figure_legend(empty)


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_a_figure_drawn_once_is_what_matplotlib_saves(tmp_path, suffix):
    """With its layout, a legend outside and equal axes; the canvas stays."""

    def drawn():
        made, axes = figure()
        axes[0, 0].plot([0, 1], [0, 1], label="a", rasterized=True)
        axes[0, 0].set_aspect("equal")
        figure_legend(made)
        return made

    with paper(), mpl.rc_context({"svg.hashsalt": "equal names for equal parts"}):
        made = drawn()
        canvas, dpi = made.canvas, made.dpi
        path = save_as(made, tmp_path / f"a{suffix}")
        assert (made.canvas, made.dpi) == (canvas, dpi)
        finer = 72 * (1.0 if suffix == ".png" else style.FINER)
        twin = tmp_path / f"b{suffix}"
        drawn().savefig(twin, dpi=finer, metadata=style.METADATA[suffix])
    assert path.read_bytes() == twin.read_bytes()


def test_style_leaves_nothing_behind(tmp_path, monkeypatch):
    """And a PDF has its fonts embedded, as journals want them."""
    import matplotlib as mpl

    monkeypatch.setitem(style._RC, "pdf.fonttype", FONT)
    before = dict(mpl.rcParams)
    with paper():
        made, axes = figure()
        axes[0, 0].plot([0, 1], [0, 1])
        paths = save(made, tmp_path / "new" / "folder" / "x")
    assert dict(mpl.rcParams) == before
    assert [path.suffix for path in paths] == [".png", ".pdf"]
    assert b"/FontFile2" in paths[1].read_bytes()
