"""The pages of solve, lfa and compare-smoothers: their numbers are those of --json and of theory,
Plotly takes their pictures, and they say in words what was measured."""

import base64
import json
import re
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from figures.page import write
from figures.page.comparing import comparison_page
from figures.page.fourier import fourier_page
from figures.page.glossary import GLOSSARY
from figures.page.levels import EIGENVALUES, _spectrum
from figures.page.several import _factors, _price
from figures.page.traces import LINE, ROW, Picture, banded, curve, log_axis, spread
from figures.page.waves import damped_waves
from figures.page.write import _terms
from mgtheory import Hierarchy, fourier, poisson
from mgtheory.comparison import Row, SmootherComparison
from mgtheory.polynomials.classical import chebyshev4
from polymgnet.backends import levels_of, predicted_factor
from polymgnet.cli import main


@pytest.fixture
def page(tmp_path, capsys):
    """page("solve --n 31") -> the text of its page, its pictures by name, what --json prints."""

    def call(line, status=0):
        out = tmp_path / "page.html"
        assert main([*line.split(), "--report", str(out), "--json", "--force"]) == status
        document = json.loads(capsys.readouterr().out)
        text = out.read_text(encoding="utf-8")
        found = re.findall(r'class="plot-data" data-for="([^"]*)">(.*?)</script>', text, re.S)
        made = {name: json.loads(content) for name, content in found}
        for one in made.values():
            go.Figure(one["data"], one["layout"])
        (inside,) = re.findall(r'"numbers.json" href="data:application/json;base64,([^"]*)"', text)
        assert json.loads(base64.b64decode(inside)) == document
        own = text.replace(write._library(), "")
        assert "http" not in own
        assert "polymgnet " + " ".join(line.split()) in own
        return text, made, document

    return call


def words(text):
    """The three sentences."""
    verdict = text.split('class="verdict"')[1].split("</section>")[0]
    return [re.sub(r"<[^>]*>", "", one) for one in re.findall(r"<p>(.*?)</p>", verdict, re.S)]


def test_solve(page):
    text, made, found = page("solve --n 31 --cycle V --family chebyshev4 --degree 2")
    predicted = fourier.two_grid_factor(poisson((31, 31)), "chebyshev4", degree=2).factor
    assert found["predicted_factor"] == pytest.approx(predicted, rel=1e-9)
    assert found["factor"] < 1.1 * predicted
    said = words(text)
    assert len(said) == 3
    assert said[0].startswith("The 961 equations of poisson2d are solved: ")
    assert f"{100 * found['error']:.2g} %" in said[1]
    assert f"two grids leaves {100 * predicted:.2g} % of the worst error, and" in said[2]
    norms = np.array(found["residual_norms"])
    drawn = made["convergence-residual"]["data"]
    np.testing.assert_allclose(drawn[0]["y"], norms / norms[0], rtol=1e-3)
    ahead = np.array(drawn[1]["y"])
    np.testing.assert_allclose(ahead[1:] / ahead[:-1], predicted, rtol=2e-3)
    assert ahead[0] == pytest.approx(norms[1] / norms[0], rel=1e-3)  # from the first cycle on
    bars = made["convergence-factors"]["data"][0]["y"]
    np.testing.assert_allclose(bars, norms[1:] / norms[:-1], rtol=1e-3)
    assert [one["unknowns"] for one in found["levels"]] == [961, 225, 49]
    assert found["levels"][0]["smoothing"] == "1 + 1 chebyshev4(2)"
    assert '<td class="n">961</td>' in text


def test_terms_are_those_of_solving(page):
    """Words of runs are not explained there, and a prediction by theory is no polynomial of a
    report on a network; A, which both have, is."""
    text, _, _ = page("lfa --problem poisson1d --family chebyshev4 --degree 2 --verify")
    assert "where theory says" in text
    terms = re.findall("<dt>(.*?)</dt><dd>", text.split('class="glossary"')[1])
    assert {"A", "cycle", "smoother"} < set(terms)
    assert not {"theory", "epoch", "placement"} & set(terms)


@pytest.mark.parametrize(
    ("text", "explained"),
    [
        ("The equations of A.mtx are solved", []),
        ("After 2 epochs on folder:data/start and data/learned/seed", []),
        ("on the spectrum of A.", ["spectrum", "A"]),
        ("A cycle leaves the residual; A level", ["cycle", "residual", "level"]),
        ("max |q| of the learned A, at the start", ["max |q|", "learned", "A", "start"]),
    ],
)
def test_names_of_files_are_no_terms(text, explained):
    assert _terms(tuple(GLOSSARY)).findall(text) == explained


def test_solve_without_a_prediction_and_without_convergence(page):
    text, _, found = page("solve --problem jump2d --n 31 --krylov cg")
    assert found["predicted_factor"] is None
    assert "Theory predicts nothing here" in words(text)[2]
    text, _, _ = page("solve --n 31 --cycle V --maxiter 1", status=1)
    assert "are not solved: maxiter" in words(text)[0]


@pytest.mark.parametrize(
    ("method", "step"), [("cg", "step of cg"), ("gmres", "restart of gmres(10)")]
)
def test_solve_by_a_krylov_method_measures_its_steps(page, method, step):
    """A cycle is predicted; beside the factors of ten cycles with gmres around them it would be
    read as theirs."""
    text, made, found = page(f"solve --n 32 --boundary neumann --krylov {method}")
    assert found["predicted_factor"] == pytest.approx(0.172, abs=1e-3)
    assert f"{found['iterations']} {step.replace(' ', 's ', 1)} made" in words(text)[0]
    assert made["convergence-residual"]["layout"]["xaxis"]["title"]["text"] == step.replace(
        " ", "s ", 1
    )
    factors = made["convergence-factors"]
    assert factors["layout"]["yaxis"]["title"]["text"] == f"factor of a {step}"
    assert not any(one["name"].startswith("predicted") for one in factors["data"])
    place = made["convergence-solution"]["data"][0]["x"]
    np.testing.assert_allclose(place, (np.arange(32) + 0.5) / 32, rtol=1e-3)  # cells


def test_what_was_predicted_for_a_matrix_is_that_of_its_problem():
    problem = poisson((31, 31))
    given = {"pre": 1, "post": 1, "backend": "sparse"}
    of_matrix = predicted_factor(problem.A, None, shape=(31, 31), boundary="dirichlet", **given)
    galerkin = predicted_factor(problem, None, coarsening="galerkin", **given)
    assert of_matrix == pytest.approx(galerkin, rel=1e-6)
    assert predicted_factor(problem.A, None, **given) is None  # without a grid
    rows = levels_of(Hierarchy.build(problem))
    assert rows[-1]["smoothing"] == "solved exactly"
    assert rows[0]["nonzeros"] == problem.A.nnz


def test_fourier(page):
    text, made, found = page("lfa --family chebyshev4 --degree 2")
    assert found["smoothing_factor"] == pytest.approx(0.25, abs=1e-9)
    assert "leaves at most 25 % of every rough wave" in words(text)[0]
    assert "some 9 cycles gain eight digits" in words(text)[1]  # 8 / log10(1 / 0.1222) = 8.8
    slider = made["smoothing-damping"]["layout"]["sliders"][0]
    assert [step["label"] for step in slider["steps"]][-2:] == ["2 smoothings", "one smoothing"]
    once, twice = (np.array(slider["steps"][k]["args"][0]["z"][0]) for k in (-1, -2))
    np.testing.assert_allclose(once**2, twice, atol=1e-3)
    assert "rough waves ≤ 0.25" in slider["steps"][-1]["args"][1]["xaxis.title.text"]
    bars = made["cycle-factors"]["data"][0]
    assert dict(zip(bars["y"], bars["x"]))["two-grid factor"] == pytest.approx(0.1222, abs=1e-4)
    smooth = made["cycle-cycle"]  # of which a coarse grid with twice the width knows half
    assert smooth["layout"]["xaxis"]["range"] == [-0.5, 0.5]
    assert (max(smooth["data"][0]["x"]), max(smooth["data"][0]["y"])) == (0.5, 0.5)
    rough = next(one for one in made["smoothing-spectrum"]["data"] if one["name"] == "rough waves")
    q = chebyshev4(2, lmax=1.0)
    np.testing.assert_allclose(rough["y"], np.abs(q(np.array(rough["x"]))), atol=1e-3)
    roots = next(one for one in made["smoothing-spectrum"]["data"] if one["name"] == "roots of q")
    np.testing.assert_allclose(np.sort(roots["x"]), np.sort(q.roots.real), rtol=1e-3)


@pytest.mark.parametrize("problem", ["poisson1d", "poisson3d"])
def test_fourier_in_other_dimensions(problem):
    of = poisson((16,) * int(problem[-2]), boundary="periodic")
    options = {"samples": 8, "refine": False}
    factors = (
        f(of, "jacobi", **options) for f in (fourier.smoothing_factor, fourier.two_grid_factor)
    )
    document = {
        **{"problem": problem, "family": "jacobi", "degree": 1, "roots": None, "pre": 1, "post": 1},
        **{"axes": tuple(range(of.dim)), "cycle": "V", "coarsening": "galerkin"},
        **{"two_grid_factor": 1.5, "three_grid_factor": 0.5},
    }
    made = fourier_page(document, of.stencil, *factors, title="t", coupled=False)
    assert "does not converge" in made.verdict[1]
    for section in made.sections:
        for one in section.pictures:
            go.Figure(one.data, one.layout)


def timed(family, seconds, ends, two):
    return Row(
        family,
        2,
        two_grid_factor=two,
        measured_factor=two,
        work_units=5.0,
        seconds_per_cycle=seconds,
        seconds_per_digit=seconds,
        seconds_range=ends,
    )


def test_comparison_names_the_fastest_and_what_ties():
    rows = (
        timed("chebyshev", 2e-3, (1.9e-3, 2.2e-3), 0.12),
        timed("chebyshev4", 3e-3, (2.05e-3, 4e-3), 0.13),
        timed("richardson", 9e-3, (8e-3, 9e-3), 0.1),
        Row("mls", 2, refused="no such degree"),
    )
    found = SmootherComparison("poisson2d", (31, 31), (0, 1), 4.0, rows)
    page = comparison_page(found, found.to_dict(), title="t", repeats=3)
    assert page.verdict[0].startswith("Of 3 smoothers chebyshev 2 is the fastest here")
    assert "2 ms (1.9 to 2.2 in 3 runs)" in page.verdict[0]
    assert page.verdict[1].startswith("chebyshev4 2 is as fast within the noise")
    assert "richardson 2, which leaves 10 %" in page.verdict[2]
    assert page.verdict[2].endswith("takes 4.5 times as long.")
    (times,) = page.sections[0].pictures
    drawn = {one["name"]: one for one in times.data}
    assert drawn["fastest"]["y"] == ["chebyshev 2"]
    assert drawn["tie within noise"]["y"] == ["chebyshev4 2"]
    assert drawn["slower"]["x"] == [9.0]
    assert drawn["slower"]["error_x"]["arrayminus"] == [1.0]
    assert drawn["tie within noise"]["error_x"]["array"] == [1.0]  # from 3 ms to 4
    alone = replace(found, rows=rows[:1])
    page = comparison_page(alone, alone.to_dict(), title="t", repeats=3)
    assert "No other comes as near" in page.verdict[1]
    assert page.verdict[2].endswith("it is the fastest too.")
    # one that promises more, takes no longer and keeps less
    promises = replace(rows[0], family="mls", two_grid_factor=0.1, measured_factor=0.15)
    promises = replace(promises, seconds_per_digit=3e-3)
    broken = replace(found, rows=(rows[0], promises))
    page = comparison_page(broken, broken.to_dict(), title="t", repeats=3)
    assert page.verdict[2].endswith("(15 % measured); but measured, chebyshev 2 leaves 12 %.")
    none = replace(found, rows=rows[3:])
    assert len(comparison_page(none, none.to_dict(), title="t", repeats=3).verdict) == 3


def test_comparison_where_nothing_is_predicted_shows_what_was_computed():
    """The factor of two grids on this grid stands in every table, not on the terminal alone, and so
    do doubts about the matrix."""
    row = timed("chebyshev", 2e-3, (1.9e-3, 2.2e-3), None)
    row = replace(row, two_grid_computed=0.087)
    found = SmootherComparison("A.mtx", (31, 31), (0, 1), 46.0, (row,), ("looks like Neumann",))
    page = comparison_page(found, found.to_dict(), title="t", repeats=3)
    assert page.verdict[2].startswith("Fourier analysis predicts nothing here")
    ((table,),) = (section.tables for section in page.sections if section.tables)
    assert dict(zip(table.columns, table.rows[0], strict=True))["two-grid"] == 0.087
    assert ("warning", "looks like Neumann") in page.sections[-1].facts
    for text in (str(found), found._repr_html_()):
        assert "0.087" in text
        assert "warning: looks like Neumann" in text


@pytest.mark.parametrize(
    ("reach", "words"),
    [
        (1.0, ["−π", "−π/2", "0", "π/2", "π"]),
        (0.5, ["−π/2", "−π/4", "0", "π/4", "π/2"]),
        (0.484375, ["−π/4", "0", "π/4"]),
    ],
)
def test_angles_are_parts_of_pi(reach, words):
    axes = damped_waves({"one": np.full((8, 8), 0.5)}, caption="c", reach=reach).layout
    for axis in ("xaxis", "yaxis"):
        assert axes[axis]["ticktext"] == words
        read = [float(Fraction(word.replace("−", "-").replace("π", "1"))) for word in words]
        assert axes[axis]["tickvals"] == read


def test_map_that_is_amplified_everywhere_says_its_numbers():
    values = np.full((8, 8), 3.0)
    values[0, 0] = 30.0
    made = damped_waves({"learned": values}, caption="c")
    words = made.layout["xaxis"]["title"]["text"].split("<b>")[1]
    assert "every rough wave is amplified, 3 to 30 times" in words.replace("<br>", " ")
    assert max(map(len, words.removesuffix("</b>").split("<br>"))) <= LINE  # of a phone
    assert "sliders" not in made.layout
    # 1 + log10 of what is larger than 1
    assert made.data[0]["z"][0][:2] == pytest.approx([1 + np.log10(30), 1 + np.log10(3)], rel=1e-3)


@pytest.mark.parametrize(("axes", "ends"), [((0, 1), (0.5, 0.5)), ((0,), (1.0, 0.5))])
def test_smooth_waves_lie_within_the_dashed_lines(axes, ends):
    """Coarsened along the first axis alone, which stands upright, all of theta_2 is within."""
    made = damped_waves({"one": np.full((8, 8), 0.5)}, caption="c", axes=axes)
    for shape in made.layout["shapes"]:
        assert (shape["x1"], shape["y1"]) == (-shape["x0"], -shape["y0"]) == ends


@pytest.mark.parametrize("largest", [0.5, 3.0, 1e2, 1e5, 1e12, 1e28])
def test_numbers_at_a_map_do_not_overlap(largest):
    """A colour bar is some 150 pixels high on a phone, a number 12."""
    made = damped_waves({"one": np.full((8, 8), largest)}, caption="c").data[0]
    gaps = np.diff(made["colorbar"]["tickvals"]) / made["zmax"]
    assert gaps.min() > 12 / 150
    assert len(made["colorbar"]["ticktext"]) == gaps.size + 1


def test_red_is_explained_where_there_is_red():
    for size, told in ((0.5, False), (2.0, True)):
        made = damped_waves({"one": np.full((8, 8), size)}, caption="Waves.")
        assert ("Red is amplified" in made.caption) == told


def test_a_band_is_the_outline_of_its_rows():
    """There along the lowest and back along the highest, and the mean."""
    outline, mean = spread(np.array([[1.0, 4.0, 2.0], [3.0, 2.0, 9.0]]))
    assert outline.tolist() == [1.0, 2.0, 2.0, 9.0, 4.0, 3.0]
    assert mean.tolist() == [2.0, 3.0, 5.5]
    area, drawn = banded("a", np.arange(3), np.array([[1.0, 4.0, 2.0], [3.0, 2.0, 9.0]]), 0)
    assert (area["x"], drawn["y"]) == ([0, 1, 2, 2, 1, 0], mean.tolist())


def test_ticks_of_a_short_logarithmic_axis():
    assert {"0.05", "0.1", "0.2"} <= set(log_axis([0.06, 0.3])["ticktext"])
    assert {"1.5", "2", "3"} <= set(log_axis([1.3, 3.2])["ticktext"])  # 2 alone would stand there
    assert log_axis([2e5, 1e6, 2.5e6])["ticktext"][-1] == "5,000,000"
    assert log_axis([7.0, 7.0])["ticktext"]  # of one value too


@pytest.mark.parametrize(("decades", "step"), [(2, 1), (4, 1), (8, 1), (28, 4)])
def test_ticks_of_a_long_logarithmic_axis(decades, step):
    """Powers of ten alone, not so many that they overlap."""
    found = log_axis([1.0], [10.0**decades])
    assert "tickvals" not in found
    assert found["dtick"] == step


def test_a_legend_has_room():
    """A picture grows with the entries of its legend, none of which is hidden behind a bar."""
    lines = [curve(f"run {k}", [0, 1], [0, 1]) for k in range(9)]
    few, many = (Picture("p", "t", "c", lines[:n], {}).figure()["layout"] for n in (5, 9))
    assert many["height"] == few["height"] + 4 * ROW
    assert many["legend"]["maxheight"] > many["height"]
    hidden = [one | {"showlegend": False} for one in lines]
    assert Picture("p", "t", "c", hidden, {}).figure()["layout"]["height"] == few["height"]


def test_smoothing_factors_stand_beside_the_line_that_judges_them():
    """Its axis has a tick at 1, far below the factors as they are."""
    level = SimpleNamespace(views={"learned": SimpleNamespace(smoothing_factor=14.0)})
    axis = _factors({"a": [SimpleNamespace(levels=[level, level])]}).layout["yaxis"]
    assert 1.0 in axis["tickvals"]


@pytest.mark.parametrize("name", ["page.pdf", "page"])
def test_report_is_a_page(tmp_path, capsys, name):
    assert main(["solve", "--n", "7", "--report", str(tmp_path / name)]) == 2
    assert "ends in .html" in capsys.readouterr().err
    (tmp_path / "x.html").write_text("mine")
    assert main(["lfa", "--report", str(tmp_path / "x.html")]) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "x.html").read_text() == "mine"


def test_what_no_other_beats_in_accuracy_and_price():
    """Of two that cost the same the better one, of two that are as good the cheaper one; bars go
    from the mean to each end."""
    rows = {"a": (10, 0.8), "b": (10, 0.9), "c": (20, 0.9), "d": (30, 0.95), "e": (40, 0.94)}
    frame = pd.DataFrame(
        [
            {"configuration": k, "parameters": n, "mean": m, "low": m - 0.2, "high": m + 0.01}
            for k, (n, m) in rows.items()
        ]
    ).assign(seconds=1.0)
    made = _price(SimpleNamespace(groups=frame), dict.fromkeys(rows, ()))
    front, *points = made.data
    assert list(zip(front["x"], front["y"])) == [(10.0, 90.0), (30.0, 95.0)]
    for one in points:
        assert one["error_y"]["array"] == pytest.approx([1.0])
        assert one["error_y"]["arrayminus"] == pytest.approx([20.0])


def test_of_many_eigenvalues_the_largest_is_shown():
    values = 3.0 * np.exp(1j * np.arange(1301)) * np.linspace(0.01, 1.0, 1301)
    level = SimpleNamespace(
        arrays={"eigenvalues/learned": values}, operators={"learned": SimpleNamespace(radius=3.0)}
    )
    shown = _spectrum(level)
    assert len(shown) <= EIGENVALUES
    assert np.abs(shown).max() == pytest.approx(1.0)
    assert np.isin(np.round(shown, 9), np.round(values / 3.0, 9)).all()
