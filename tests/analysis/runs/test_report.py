"""The whole chain on planted truth: mu = 0.6 and the roots come back, one flipped sign is noticed,
files round-trip."""

import csv
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

import nets
from analysis.levels.report import Operator, known_eigenvalues
from analysis.levels.verdict import Nearest
from analysis.numbers import number
from analysis.runs.comparison import compare_reports
from analysis.runs.in_short import level_rows, run_in_short
from analysis.runs.records import read_run
from analysis.runs.report import analyse, analyse_record
from analysis.runs.results import SpectralReport
from analysis.runs.text import report_text
from mgtheory import derive
from mgtheory.polynomials.classical import chebyshev4
from nets.start.spectrum import convolution_spectrum

from ..conftest import SIZE, planted_model, write_run


@pytest.fixture(scope="module")
def report(planted):
    return analyse(planted)


def test_planted_truth_comes_back(report):
    first, second = report.levels
    for role in ("start", "learned", "effective"):
        # the norms in rho divide by sqrt(1 + 1e-5): the effective numbers are off by that, the
        # others by rounding
        tolerance = 2e-5 if role == "effective" else 1e-13
        # the symbol's are the numbers of theory; with zero padding those of the sines on 8 x 8
        # and on 4 x 4 points
        for level, power, n in ((first, 1, 8), (second, 2, 4)):
            smoothing = level.views[role]
            assert smoothing.symbol_factor == pytest.approx(0.6**power, rel=tolerance)
            theta = np.pi * np.arange(1, n + 1) / (n + 1)
            values = 4 - 2 * np.cos(theta)[:, None] - 2 * np.cos(theta)
            w = 0.2 / np.sqrt(1 + 1e-5) if role == "effective" else 0.2
            left = np.abs(1 - w * values) ** power
            high = np.maximum.outer(theta, theta) >= np.pi / 2
            assert smoothing.smoothing_factor == pytest.approx(left[high].max(), rel=1e-12)
            assert smoothing.max_modulus == pytest.approx(left.max(), rel=1e-12)
        np.testing.assert_allclose(first.views[role].polynomial.roots, [5.0], rtol=tolerance)
        np.testing.assert_allclose(second.views[role].polynomial.roots, [5.0, 5.0], rtol=tolerance)
        assert first.views[role].verdict == "smoother"
        assert first.arrays[f"damping/{role}"].max() == pytest.approx(1.0)  # of the symbol
    # 8 cos(pi / 18)^2 on 8 x 8 points; of the symbol 8
    radius = 8 * np.cos(np.pi / 18) ** 2
    assert first.operators["learned"].radius == pytest.approx(radius, rel=1e-13)
    assert first.operators["learned"].padding == "zero"
    assert np.abs(first.arrays["symbol/learned"]).max() == pytest.approx(8.0, rel=1e-14)
    assert first.operators["learned"].positive
    assert first.arrays["symbol/learned"].shape == (16, 16, 3)
    assert first.arrays["eigenvalues/learned"].shape == (3 * SIZE[0] * SIZE[1],)
    assert not first.largest_only
    few = {**first.arrays, "eigenvalues/learned": first.arrays["eigenvalues/learned"][:6]}
    assert replace(first, arrays=few).largest_only
    np.testing.assert_allclose(
        first.arrays["effective/step1"], np.full((3, 1), 0.2 / np.sqrt(1 + 1e-5)), rtol=1e-14
    )
    assert all(reading.identifiable for level in report.levels for reading in level.readings)
    assert report.levels[0].coefficients_moved == 0.0


def test_levels_share_the_cores_without_threads_of_blas(planted):
    """While levels are measured side by side every BLAS has one thread, or they wait for one
    another; before and after what it had."""
    from threadpoolctl import threadpool_info, threadpool_limits

    def threads():
        return {
            library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
        }

    seen = []
    with threadpool_limits(2, user_api="blas"):
        analyse_record(read_run(planted), progress=lambda level, word: seen.append(threads()))
        assert threads() == {2}
    assert seen
    assert all(found == {1} for found in seen)


def test_each_moment_is_measured_by_its_own_operator(tmp_path):
    """A doubled and w halved by training: nothing happened in units of A, and a relative distance
    is one from the start."""
    start, learned = planted_model([[0.2], [0.2, 0.2]]), planted_model([[0.1], [0.1, 0.1]])
    for level in learned.levels:
        level.A.weight.data.mul_(2.0)
    theory = derive("chebyshev4", 1, 8.0)
    for found, n in zip(
        analyse(
            write_run(tmp_path / "scaled", start, learned, sources=(theory,)), write=False
        ).levels,
        (8, 4),
    ):
        b = 8 * np.cos(np.pi / (2 * n + 2)) ** 2
        assert [found.operators[name].radius for name in ("start", "learned")] == pytest.approx(
            [b, 2 * b], rel=1e-13
        )
        assert found.coefficients_moved == pytest.approx(0.5)  # |0.1 - 0.2| / 0.2, not / 0.1
        assert found.verdict.moved == pytest.approx(0.0, abs=1e-12)
        assert found.verdict.start_distance == pytest.approx(
            found.verdict.learned_distance, rel=1e-12
        )
        # 1 / 0.2 at b = 8, twice that at b = 16
        np.testing.assert_allclose(found.views["theory"].polynomial.roots, 10.0, rtol=1e-12)


def test_one_flipped_sign_is_noticed(tmp_path):
    run = write_run(
        tmp_path / "flipped",
        planted_model([[0.2], [0.2, 0.2]]),
        planted_model([[0.2], [0.2, -0.2]]),
    )
    first, second = analyse(run, write=False).levels
    assert first.views["learned"].verdict == "smoother"
    assert second.views["learned"].verdict == "not a smoother"
    # |1 - 64/25| at lambda = 8
    assert second.views["learned"].symbol_factor == pytest.approx(0.6 * 2.6)
    b = 8 * np.cos(np.pi / 10) ** 2
    assert second.views["learned"].smoothing_factor == pytest.approx(b * b / 25 - 1)
    assert sorted(second.views["learned"].polynomial.roots.real) == pytest.approx([-5.0, 5.0])
    assert second.coefficients_moved == pytest.approx(np.sqrt(2.0))
    assert "not a smoother" in report_text(analyse(run, write=False))


def test_kept_left_rediscovered_and_elsewhere(tmp_path):
    radii = 8 * np.cos(np.pi / np.array([34, 18])) ** 2  # on 16 x 16 and on 8 x 8 points
    theory = derive("chebyshev4", 2, 8.0)
    good, bad = theory.weights.real.tolist(), [0.3, -0.1]
    cases = {
        "kept": (good, good, (theory,)),
        "left": (good, bad, (theory,)),
        "rediscovered": (bad, good, ()),
        "elsewhere": (bad, bad, ()),
    }
    cases["rescaled"] = (good, [0.4 * w for w in good], (theory,))
    for word, (start, learned, sources) in cases.items():
        run = write_run(
            tmp_path / word,
            planted_model([start, start]),
            planted_model([learned, learned]),
            sources=sources,
            size=(16, 16),
        )
        found = analyse(run, write=False)
        assert [level.verdict.word for level in found.levels] == [word, word]
        assert found.theory["origin"] == ("start" if sources else "reference")
        assert found.levels[0].verdict.nearest.family == "chebyshev4" if learned == good else True
        # the start's as it stands; the reference is scaled to each level's b
        for level, b in zip(found.levels, radii, strict=True):
            np.testing.assert_allclose(
                np.sort(level.views["theory"].polynomial.roots.real),
                (1.0 if sources else b / 8) * np.sort(theory.roots.real),
                rtol=1e-12,
            )


def test_nothing_is_read_into_lost_coefficients(tmp_path):
    weights = [[0.2], [0.2, 0.2]]
    run = write_run(
        tmp_path / "lost",
        planted_model(weights, placement="regular"),
        planted_model(weights, placement="regular"),
    )
    found = analyse(run, write=False)
    assert [level.verdict.word for level in found.levels] == ["not identifiable"] * 2
    assert found.levels[0].verdict.learned_distance is None
    # what the norms make of it does have a meaning
    assert found.levels[0].effective_verdict.word == "away from theory"
    level = found.to_dict()["levels"][1]
    assert level["not_identifiable"] == ["step 1: w", "step 2: w"]
    assert [reading["name"] for reading in level["coefficients"]] == ["w", "w"]
    assert (
        "Not identifiable: level 1 step 1 w, level 2 step 1 w, level 2 step 2 w: a batch norm"
        " follows" in report_text(found)
    )


def test_one_lost_coefficient_silences_its_level(tmp_path):
    """On level 1 at `outside` the first step's size is lost and the second's is not: nothing is
    said of their product."""
    model = planted_model([[0.2, 0.2], [0.2, 0.2]], placement="outside")
    found = analyse(write_run(tmp_path / "partly", model, model), write=False)
    first, second = found.levels
    assert [reading.identifiable for reading in first.readings] == [False, True]
    assert first.verdict.word == "not identifiable"
    assert second.verdict.word != "not identifiable"
    row = compare_reports([found], ["{}"]).runs.iloc[0]
    assert row["mu_learned"] is None
    assert row["mu_effective"] > 0


def test_a_kept_report_answers_its_own_question_alone(tmp_path):
    weights = [[0.2], [0.2, 0.2]]
    run = write_run(tmp_path / "run", planted_model(weights), planted_model(weights))
    first = analyse(run)
    assert analyse(run, tolerance=5.0).levels[0].verdict.tolerance == 5.0
    other = analyse(run, reference="richardson")
    assert (first.theory["name"], other.theory["name"]) == ("chebyshev4", "richardson")
    assert analyse(run).theory["name"] == "chebyshev4"


def test_a_run_that_moved_nothing_left_nothing(tmp_path):
    """Norms folded in take the learned polynomial away from the theory's; the training did not."""
    theory = chebyshev4(1, lmax=1.0)
    weights = [[theory.weights[0].real / 8.0], [theory.weights[0].real / 8.0] * 2]
    model = planted_model(weights)
    for level in model.levels:
        for step in level.steps:
            step.residual_norm.weight.data.fill_(3.0)
    found = analyse(write_run(tmp_path / "still", model, model), write=False)
    assert [level.verdict.moved for level in found.levels] == [0.0, 0.0]
    assert {level.effective_verdict.word for level in found.levels} == {"away from theory"}
    row = compare_reports([found], ["{}"]).runs.iloc[0]
    assert "left" not in row["training"]
    assert row["norms_folded"] == "away from theory"


def test_files_and_reading_them_again(report, planted):
    folder = planted / "report"
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.json",
        "spectra.npz",
        "table.csv",
        "table.md",
    ]
    document = json.loads((folder / "report.json").read_text())
    assert (document["kind"], document["schema"]) == ("spectral_report", 5)
    assert document["levels"][0]["verdict"]["meaning"].startswith("started")
    assert document["levels"][0]["views"]["learned"]["roots"] == [[5.0, 0.0]]
    rows = list(csv.DictReader((folder / "table.csv").open()))
    assert [(row["level"], row["role"]) for row in rows if row["level"] == "1"] == [
        ("1", role) for role in ("theory", "start", "learned", "effective")
    ]
    # |1 - b/5| on 8 x 8 points
    assert float(
        next(row for row in rows if row["role"] == "learned")["smoothing_factor"]
    ) == pytest.approx(8 * np.cos(np.pi / 18) ** 2 / 5 - 1)
    again = SpectralReport.load(folder)
    assert again.to_json() == report.to_json()
    np.testing.assert_array_equal(
        again.levels[1].arrays["eigenvalues/learned"],
        report.levels[1].arrays["eigenvalues/learned"],
    )


def test_a_fresh_report_is_kept_and_an_old_or_damaged_one_replaced(tmp_path):
    weights = [[0.2], [0.2, 0.2]]
    run = write_run(tmp_path / "run", planted_model(weights), planted_model(weights))
    first = analyse(run)
    path = run / "report" / "report.json"
    stamp = path.stat().st_mtime_ns
    assert analyse(run).to_json() == first.to_json()
    assert path.stat().st_mtime_ns == stamp
    path.write_text(path.read_text()[:200])
    assert analyse(run).to_json() == first.to_json()
    write_run(run, planted_model(weights), planted_model([[0.2], [0.2, -0.2]]))
    assert analyse(run).levels[1].views["learned"].verdict == "not a smoother"
    path.write_text(path.read_text().replace('"schema": 5', '"schema": 7'))
    with pytest.raises(ValueError, match="schema 7"):
        SpectralReport.load(run / "report")


def test_an_archive_for_reading_alone_is_analysed_and_left_as_it_is(tmp_path, monkeypatch):
    weights = [[0.2], [0.2, 0.2]]
    run = write_run(tmp_path / "run", planted_model(weights), planted_model(weights))
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    found = analyse(run)
    assert not (run / "report").exists()
    monkeypatch.undo()
    assert analyse(run).to_json() == found.to_json()
    assert (run / "report" / "report.json").exists()


@pytest.mark.parametrize(
    ("name", "options"), [("mgnet", {"channels": (3, 4), "steps": 2}), ("resnet20", {"width": 4})]
)
def test_models_without_a_polynomial(tmp_path, name, options):
    model = nets.create_model(name, in_channels=1, **options)
    found = analyse(write_run(tmp_path / name, model, model, scheme="none"))
    assert not found.has_polynomial
    document = json.loads(found.to_json())
    if name == "mgnet":
        level = found.levels[0]
        assert level.verdict.word == "no polynomial"
        assert set(level.operators) == {"start", "learned", "B1"}
        assert level.arrays["eigenvalues/B1"].shape == (8 * 8 * 3,)
        assert document["levels"][0]["views"]["learned"]["roots"] is None
    else:
        assert found.levels == ()
        assert "accuracies only" in report_text(found)
        assert "90.00 %" in report_text(found)


@pytest.mark.parametrize("zero", ["start", "learned"])
def test_an_operator_of_zeros(tmp_path, zero):
    """Every q is 1 on its spectrum, so it is no smoother; its steps are polynomials all the same,
    and tables and sentences are made of what there is."""
    models = {role: planted_model([[0.2], [0.2, 0.2]]) for role in ("start", "learned")}
    with torch.no_grad():
        for level in models[zero].levels:
            level.A.weight.zero_()
    found = analyse(write_run(tmp_path / "run", **models))
    words = {"start": "away from theory", "learned": "no spectrum"}
    assert {level.verdict.word for level in found.levels} == {words[zero]}
    assert found.has_polynomial
    view = found.levels[1].views[zero]
    assert (view.max_modulus, view.smoothing_factor) == pytest.approx((1.0, 1.0))
    assert f"*{words[zero]}*" in report_text(found)
    said = " ".join(run_in_short(found))
    assert {"start": "ended away", "learned": "spectral radius 0"}[zero] in said
    assert ("by 1, not below 1" in said) == (zero == "learned")


@pytest.mark.parametrize("name", ["q2", "g4", "g6", "g8", "r4", "p3"])
def test_every_polynomial_model_is_analysed(tmp_path, name):
    drawn = torch.Generator().manual_seed(0)
    size = (16, 16) if name == "g6" else SIZE  # two channels of it go to Arnoldi's method
    model = nets.create_model(name, in_channels=1, channels=(2, 4), generator=drawn)
    nets.initialise(model, "chebyshev4", operator="laplacian", size=size, generator=drawn)
    found = analyse(write_run(tmp_path / name, model, model, size=size), write=False)
    for level, built in zip(found.levels, model.levels):
        learned = level.views["learned"]
        assert learned.polynomial.degree == built.degree == level.views["theory"].polynomial.degree
        spectrum = convolution_spectrum(built.A.weight.detach().double().numpy(), level.size)
        assert learned.max_modulus == pytest.approx(
            np.abs(built.polynomial()(spectrum.values)).max(), rel=1e-6
        )
        assert learned.smoothing_norm >= learned.symbol_factor * (1 - 1e-12)


def test_ends_of_a_wide_spectrum_are_looked_for(monkeypatch):
    """Of a Laplacian whose largest eigenvalues alone are at hand: the least real part is that of
    the smoothest mode, 2 sum (1 - cos(pi/(n + 1)))."""
    for limit in ("SMALL", "DENSE"):
        monkeypatch.setattr(f"nets.start.padded.{limit}", 64)
    kernel = np.array([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])
    spectrum = convolution_spectrum(kernel[None, None], (13, 17))  # not measured before
    found = Operator.of(spectrum, known_eigenvalues(spectrum))
    ends = [4 + sign * sum(2 * np.cos(np.pi / (n + 1)) for n in (13, 17)) for sign in (-1, 1)]
    assert not spectrum.complete
    assert [found.real_min, found.real_max] == pytest.approx(ends, abs=2e-3 * ends[1])


def test_rows_for_a_terminal_are_of_the_end(planted):
    """b, mu and max |q| with the norms folded in; the nearest is that of q as it stands where this
    has one."""
    level = analyse(planted, write=False).levels[0]
    own, folded = (Nearest("chebyshev", k, 0.1, False, k / 10) for k in (2, 3))
    verdicts = {"verdict": own, "effective_verdict": folded}
    given = {name: replace(getattr(level, name), nearest=near) for name, near in verdicts.items()}
    given["views"] = {
        role: replace(view, smoothing_factor=k / 8, max_modulus=k / 4.0)
        for k, (role, view) in enumerate(level.views.items())
    }
    report = replace(analyse(planted, write=False), levels=(replace(level, **given),))
    start, end = (list(level.views).index(role) for role in ("start", "effective"))
    (row,) = level_rows(report)
    numbers = (level.operators["learned"].radius, start / 8, end / 8, end / 4)
    assert row == [1, *(number(x, 3) for x in numbers), "chebyshev 2", "0.2"]
