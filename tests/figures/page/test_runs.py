"""The page of runs: its numbers are the analysis's, it refers to nothing outside, Plotly takes its
pictures, and it says in words what was measured."""

import base64
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from PIL import Image

import analysis
from analysis.along.training import NOTHING_KEPT
from analysis.levels.verdict import AWAY, NEAR
from analysis.numbers import number, plain
from analysis.runs.in_short import run_in_short, runs_in_short
from analysis.runs.mistakes import measured_again
from figures.page import write
from figures.page.levels import Moving
from figures.page.mistakes import png
from figures.page.runs import _of_runs, write_page

MEGABYTE = 1e6


def page_of(tmp_path, *runs):
    path = write_page(runs, tmp_path / "page.html", command="polymgnet report <a run>")
    return path.read_text(encoding="utf-8")


def figures_in(text):
    """Name -> what Plotly is given."""
    found = re.findall(r'class="plot-data" data-for="([^"]*)">(.*?)</script>', text, re.S)
    return {name: json.loads(content) for name, content in found}


def numbers_in(text):
    (found,) = re.findall(r'"numbers.json" href="data:application/json;base64,([^"]*)"', text)
    return json.loads(base64.b64decode(found))


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    return page_of(tmp_path_factory.mktemp("page"), runs["theory"])


def test_numbers_are_those_of_the_analysis(runs, page):
    report, way = analysis.analyse(runs["theory"]), analysis.along_training(runs["theory"])
    assert numbers_in(page) == plain({**report.to_dict(), "along": way}, infinite=False)
    assert page.count('<h2 id="level') == len(report.levels)
    for level in report.levels:
        for view in level.views.values():
            assert f'<td class="n">{number(view.smoothing_factor)}</td>' in page
    assert f"{100 * report.facts['test_accuracy']:.2f} % of {report.facts['tested_on']}" in page
    largest = max(level.views["start"].max_modulus for level in report.levels)
    assert f"max |q| of a level is up to {largest:.3g}" in page


def test_page_refers_to_nothing_outside_and_is_small(page):
    own = page.replace(write._library(), "")
    assert "http" not in own
    assert not re.findall(r'(?:src|href)="(?!#|data:)', own)
    assert len(own) < MEGABYTE
    assert len(page) < 3 * MEGABYTE
    assert "polymgnet report &lt;a run&gt;" in own


def test_mistakes_are_shown_as_they_are_in_the_data(runs, page, tmp_path):
    """At most 20 small pictures, of the very pixels; none on a brief page, nor without the data."""
    tested, data = measured_again(runs["theory"])
    (part,) = re.findall(r'<ul class="thumbnails">(.*?)</ul>', page, re.S)
    shown = re.findall(
        r'base64,([^"]*)" alt="test image (\d+)">(\d), taken for (\d)<br>([\d.]+) %', part
    )
    assert len(shown) == len(tested.mistakes) == 20
    assert (len(data.test), tested.right) == (359, round(359 * tested.accuracy))
    for (held, *said), one in zip(shown, tested.mistakes, strict=True):
        with Image.open(io.BytesIO(base64.b64decode(held))) as picture:
            assert np.array_equal(picture, data.images[one.index][0])
        assert said == [one.image, one.truth, one.answer, f"{100 * one.probability:.1f}"]
    large = base64.b64decode(png(np.zeros((3, 400, 200), np.uint8)).partition(",")[2])
    with Image.open(io.BytesIO(large)) as picture:
        assert (picture.size, picture.mode) == ((32, 64), "RGB")
    brief = write_page([runs["theory"]], tmp_path / "brief.html", command="", brief=True)
    assert "Mistakes" not in brief.read_text(encoding="utf-8")
    other = shutil.copytree(runs["theory"], tmp_path / "other")
    facts = json.loads((other / "data.json").read_text())
    (other / "data.json").write_text(json.dumps(facts | {"digest": "0"}))
    assert measured_again(other) is None


def test_plotly_takes_every_picture(page):
    made = figures_in(page)
    kinds = ("polynomials", "roots", "damping", "along")
    assert {f"level{k}-{kind}" for k in (1, 2) for kind in kinds} < set(made)
    for one in made.values():
        go.Figure(one["data"], one["layout"])
        assert one["config"]["toImageButtonOptions"]["format"] == "svg"
        assert one["config"]["showSendToCloud"] is False


def test_slider_ends_at_the_learned_polynomial(runs, page):
    report, way = analysis.analyse(runs["theory"]), analysis.along_training(runs["theory"])
    moving, t = Moving(way, 1), np.linspace(0, 1, 7)
    for index, role in ((0, "start"), (-1, "learned")):
        expected = report.levels[0].relative[role](t)
        np.testing.assert_allclose(moving.values(index, t), expected, rtol=1e-5, atol=1e-6)
    made = figures_in(page)["level1-polynomials"]
    (slider,) = made["layout"]["sliders"]
    assert [step["label"] for step in slider["steps"]] == ["0", "1"]
    ((values,),) = slider["steps"][0]["args"][0].values()
    shown = next(one["y"] for one in made["data"] if one["name"] == "start")
    np.testing.assert_allclose(values, shown, rtol=1e-3, atol=1e-3)


def test_run_of_an_earlier_version(runs, tmp_path):
    old = shutil.copytree(runs["theory"], tmp_path / "old")
    (old / "coefficients.jsonl").unlink()
    shutil.rmtree(old / "epochs", ignore_errors=True)
    text = page_of(tmp_path, old)
    assert NOTHING_KEPT[1:] in re.sub(r"</?abbr[^>]*>", "", text)
    steps = figures_in(text)["level1-roots"]["layout"]["sliders"][0]["steps"]
    assert [step["label"] for step in steps] == ["0", "1"]


def test_every_kind_of_run_side_by_side(runs, tmp_path):
    text = page_of(tmp_path, *runs.values())
    made = figures_in(text)
    names = {"accuracies", "pareto", "factors", "polynomials-level1", "roots-level2"}
    assert {f"together-{name}" for name in names} < set(made)
    pareto = made["together-pareto"]
    drawn = {one["name"] for one in pareto["data"]}
    weights, _ = pareto["layout"]["updatemenus"][0]["buttons"]  # the first changes nothing
    for axis in "xy":
        for one, same in zip(pareto["data"], weights["args"][0][axis], strict=True):
            assert same == pytest.approx(one[axis], rel=1e-3)  # drawn with four digits
    found = analysis.compare(list(runs.values()))
    assert set(found.groups["configuration"]) < drawn
    assert len(numbers_in(text)["reports"]) == len(runs)
    assert all(sentence.endswith(".") for sentence in runs_in_short(found))
    for one in made.values():
        go.Figure(one["data"], one["layout"])


def test_several_runs_move_over_the_epochs(runs, tmp_path):
    """The start of a slider is the start's polynomial and roots, its end what was learned; a
    configuration whose coefficients have no meaning stands still."""
    made = figures_in(page_of(tmp_path, runs["theory"], runs["regular"]))
    level = analysis.analyse(runs["theory"]).levels[0]
    picture = made["together-polynomials-level1"]
    (slider,) = picture["layout"]["sliders"]
    assert [step["label"] for step in slider["steps"]] == ["start", "epoch 1", "learned"]
    names = [one["name"] for one in picture["data"]]
    for step, role in ((0, "start"), (-1, "learned")):
        values, _, traces = slider["steps"][step]["args"]
        assert [names[k] for k in traces] == ["q2 chebyshev4"]
        x = np.array(picture["data"][traces[0]]["x"])
        size = np.abs(np.real(level.relative[role](x)))
        log = picture["layout"]["yaxis"].get("type") == "log"
        shown = np.maximum(size, 1e-3) if log else np.real(level.relative[role](x))
        np.testing.assert_allclose(values["y"][0], shown, rtol=2e-3, atol=2e-3)
    (slider,) = made["together-roots-level1"]["layout"]["sliders"]
    roots = level.relative["start"].roots
    moved = slider["steps"][0]["args"][0]
    np.testing.assert_allclose(np.sort(moved["x"][0]), np.sort(roots.real), rtol=1e-3)


@pytest.mark.parametrize("name", ["regular", "mgnet", "resnet"])
def test_page_of_every_kind_of_run(runs, tmp_path, name):
    text = page_of(tmp_path, runs[name])
    (facts,) = re.findall(r'<dl class="facts">(.*?)</dl>', text, re.S)
    assert (">operator</abbr>" in facts) == (name != "resnet")
    assert numbers_in(text)["run"] == str(runs[name])
    assert len(re.findall(r"<p>", text.split('class="verdict"')[1].split("</section>")[0])) == 3


def test_what_the_norms_leave_is_told_by_level(runs):
    report = analysis.analyse(runs["regular"])

    def folded(*words):
        levels = [
            replace(level, effective_verdict=replace(level.effective_verdict, word=word))
            for level, word in zip(report.levels, words, strict=True)
        ]
        return run_in_short(replace(report, levels=tuple(levels)))[1]

    near, away = "near the theory's polynomial", "away from the theory's polynomial"
    assert f"what is left is {away} on level 1 and {near} on level 2)" in folded(AWAY, NEAR)
    assert f"what is left is {near})" in folded(NEAR, NEAR)


def test_pairs_of_one_seed_are_no_table(runs):
    """Of one seed alone nothing is known but the difference, which the table of runs has."""
    chosen = [runs["theory"], runs["regular"]]
    found = analysis.compare(chosen)
    pairs = pd.concat([found.pairs.assign(seeds=n, wins=n) for n in (1, 3, 1)])
    tables = _of_runs(replace(found, pairs=pairs), chosen, [None, None]).sections[0].tables
    (differences,) = [one for one in tables if one.caption.startswith("Differences")]
    assert [row[list(differences.columns).index("wins")] for row in differences.rows] == [3]


def test_accuracies_on_different_images_are_not_compared(runs):
    found = analysis.compare([runs["theory"], runs["regular"]])
    first, second = found.reports
    other = replace(second, facts=second.facts | {"data": "folder:photos"})
    apart, ending = runs_in_short(replace(found, reports=(first, other)))
    assert "different images (digits, folder:photos)" in apart
    assert ending == runs_in_short(found)[2]


def test_words_follow_the_numbers(runs):
    report = analysis.analyse(runs["theory"])

    def with_mu(*given):
        levels = [
            replace(
                level,
                views={r: replace(v, smoothing_factor=mu) for r, v in level.views.items()},
            )
            for level, mu in zip(report.levels, given * 2)
        ]
        return run_in_short(replace(report, levels=tuple(levels)))

    assert with_mu(0.5)[2].startswith("Every level is a smoother")
    assert "0.5 of the errors" in with_mu(0.5)[2]
    assert with_mu(1.5)[2].startswith("No level is a smoother")
    # the level that is named is the one that smooths least, which decides
    first, second = with_mu(0.5, 0.7)[2], with_mu(0.7, 0.5)[2]
    assert ("at most 0.7" in first, "largest at level 2" in first) == (True, True)
    assert ("at most 0.7" in second, "largest at level 1" in second) == (True, True)
    assert with_mu(0.5, 1.5)[2].startswith("Only level 1 of 2 levels is a smoother")
    unknown = replace(report, facts={**report.facts, "test_accuracy": None})
    assert "not tested" in run_in_short(unknown)[0]
