"""A run along training: what does not move is constant and the theory's, the last epoch is that of
the report, and every turn of a smoother is told."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import nets
from analysis.along.dampings import kept_dampings
from analysis.along.results import Along, Moment, Smoother
from analysis.along.text import along_text, several_text, smoother_text
from analysis.along.training import (
    NO_IMAGES,
    NOTHING_KEPT,
    along_recorded,
    along_training,
    learned_factors,
)
from analysis.runs.report import analyse
from nets.config import load_config
from nets.start.report import InitReport
from nets.training.history import kept_models

SETS = [
    *("width=4", "levels=2", "batch_size=256", "tensorboard=false", "epochs=3"),
    *("placement=relu_outside_nobn", "init=chebyshev4", "init.operator=laplacian"),
]


def trained(folder, *sets):
    nets.train(load_config("digits", [*SETS, *sets]), folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A learning rate so small that no weight in single precision moves."""
    return trained(tmp_path_factory.mktemp("along") / "still", "lr=1e-30", "model.name=q4")


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Steps so large that levels which start as smoothers do not stay some."""
    sets = ("lr=0.05", "coefficient_lr=5", "schedule=constant")
    return trained(tmp_path_factory.mktemp("along") / "moving", *sets)


def test_without_measuring_it_is_what_is_recorded_and_the_report(moving):
    """Roots of every epoch, start and end as in the report; and what was measured, once it is
    there."""
    copy = shutil.copytree(moving, moving.with_name("copy"))
    shutil.rmtree(copy / "report", ignore_errors=True)
    report = analyse(copy)
    brief = along_recorded(report)
    sooner = along_recorded(replace(report, facts={**report.facts, "chosen_epoch": 2}))
    assert [one.epoch for one in sooner.of(1)] == [0, sooner.end] == [0, 2]
    found = along_training(copy)
    assert (brief.epochs, brief.roots, brief.end) == (found.epochs, found.roots, found.end)
    assert repr(found) == f"Along({copy}, 2 levels, epochs 0 to 3)"
    for level in (1, 2):
        ends, every = brief.of(level), found.of(level)
        assert [one.epoch for one in ends] == [0, 3]
        for one, known in zip(ends, (every[0], every[-1]), strict=True):
            for name in ("radius", "max_modulus", "smoothing_factor", "identifiable"):
                assert getattr(one, name) == pytest.approx(getattr(known, name), rel=1e-6), name
        assert (ends[0].effective_factor, every[0].effective_factor) == (None, None)
        assert ends[1].effective_factor == pytest.approx(every[-1].effective_factor, rel=1e-6)
    assert f"polymgnet report {copy} measures" in brief.notes[0]
    other = analyse(copy, reference="richardson", write=False)  # nothing along is measured by it
    for one in (report, other):
        assert along_recorded(one).table().equals(found.table())


def test_what_does_not_move_is_what_the_start_reports(still):
    found = along_training(still)
    start = InitReport.from_dict(json.loads((still / "init.json").read_text()))
    assert found.epochs == (0, 1, 2, 3)
    for level in start.levels:
        paths, moments = found.paths(level.level), found.of(level.level)
        assert paths.shape == (4, 4)
        assert (paths == level.roots).all()
        assert [one.epoch for one in moments] == [0, 1, 2, 3]
        for one in moments:
            assert one.radius == pytest.approx(level.radius, rel=1e-12)
            assert one.max_modulus == pytest.approx(level.max_modulus, rel=1e-12)
            assert one.smoothing_factor == pytest.approx(level.smoothing_factor, rel=1e-12)
            # the weights are in single precision
            assert (one.nearest.family, one.nearest.degree) == ("chebyshev4", 4)
            assert one.nearest.distance < 1e-5
        assert moments[0].jacobian_norm == pytest.approx(moments[-1].jacobian_norm, rel=1e-2)
        assert moments[0].jacobian_norm > 0
        assert [one.jacobian_norm for one in moments[1:-1]] == [None, None]
    assert all(one.stays for one in found.smoothers())
    assert "a smoother throughout: µ" in along_text(found)


def test_maps_on_the_way_are_those_of_the_report(still):
    """Of what does not move; on the grid of the symbol, which is no smaller than 16 x 16."""
    maps, report = kept_dampings(still), analyse(still)
    assert list(maps) == [1, 2]
    for own in maps.values():
        for found, level in zip(own, report.levels, strict=True):
            expected = level.arrays["damping/learned"]
            assert found.shape == expected.shape == (16, 16)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_end_is_that_of_the_report(moving):
    found, report = along_training(moving), analyse(moving)
    for level in report.levels:
        first, last = found.of(level.level)[0], found.of(level.level)[-1]
        for moment, role in ((first, "start"), (last, "learned")):
            view = level.views[role]
            assert moment.radius == pytest.approx(level.operators[role].radius, rel=1e-9)
            assert moment.max_modulus == pytest.approx(view.max_modulus, rel=1e-6)
            assert moment.smoothing_factor == pytest.approx(view.smoothing_factor, rel=1e-6)
            roots = found.paths(level.level)[found.epochs.index(moment.epoch)]
            np.testing.assert_allclose(np.sort(roots), np.sort(view.polynomial.roots), rtol=1e-12)
        effective = level.views["effective"].smoothing_factor
        assert last.effective_factor == pytest.approx(effective, rel=1e-6)
        assert first.effective_factor is None
    assert not np.allclose(found.paths(1)[0], found.paths(1)[-1])
    ends = [found.of(level.level)[-1] for level in report.levels]
    for name, values in learned_factors(moving).items():
        assert values == pytest.approx([getattr(one, name) for one in ends], rel=1e-9)


def test_smoothers_that_turn_are_told(moving):
    found = along_training(moving)
    own = found.smoothers()
    assert all(one.starts for one in own)
    assert not all(one.stays for one in own)
    text = along_text(found)
    lost = next(one for one in own if one.changes)
    assert f"none at epoch {lost.changes[0][0]} (µ " in text
    assert "norms folded in: " in text
    named = several_text({"one": found, "other": found}, {"one": 0.9, "other": 0.8})
    assert "Spearman" not in named  # of two runs
    assert named.count("| one ") == named.count("| other ") == 2


def moments(*factors, folded=()):
    folded = folded or [None] * len(factors)
    return [
        Moment(2**k, 1, 1.0, 2.0, mu, True, effective_factor=effective)
        for k, (mu, effective) in enumerate(zip(factors, folded))
    ]


def test_smoother_of_moments():
    """A factor of 1 does not smooth."""
    stays = Smoother.of(moments(0.3, 0.999))
    assert (stays.starts, stays.stays, stays.changes) == (True, True, ())
    turns = Smoother.of(moments(0.3, 1.0, 0.5, 0.6))
    assert (turns.starts, turns.stays, turns.changes) == (True, False, ((2, 1.0), (4, 0.5)))
    assert smoother_text(turns) == (
        "a smoother at epoch 1 (µ 0.3), none at epoch 2 (µ 1), one at epoch 4 (µ 0.5), 0.6 at the"
        " end"
    )
    never = Smoother.of(moments(0.3, 0.4, folded=(1.5, 2.5)), folded=True)
    assert smoother_text(never) == "never a smoother: µ 1.5 at epoch 1, 2.5 at the end"
    # what has no meaning as it stands has one with the norms folded in
    lost = [replace(one, identifiable=False) for one in moments(0.3, 0.4, folded=(0.5, 0.6))]
    assert Smoother.of(lost).first is None
    assert Smoother.of(lost, folded=True).last == (2, 0.6)
    nothing = Smoother.of(moments(0.3), folded=True)
    assert (nothing.first, nothing.starts) == (None, False)


def test_correlation_of_runs():
    """max |q| at the start of five runs, the accuracies in the reverse order: -1."""
    epochs, root = (0, 1), ((1.0, 0.0),)
    runs = {
        str(k): Along(
            str(k),
            epochs,
            ((root,),) * 2,
            tuple(Moment(e, 1, 1.0, 2.0 + k * (1 - e), 0.5, True) for e in epochs),
            *(1, (), ""),
        )
        for k in range(5)
    }
    text = several_text(runs, {str(k): 1 - k / 10 for k in range(5)})
    assert "over 5 runs: -1.00." in text


@pytest.mark.parametrize(
    ("factors", "word"),
    [
        ((0.3, 0.4, 0.5), "stays one"),
        ((1.5, 2.0, 3.0), "never one"),
        ((0.3, 1.5, 2.0), "none from epoch 1 on"),
        ((1.5, 1.2, 0.5), "one from epoch 2 on"),
        ((0.3, 1.5, 0.5), "none from epoch 1, one from epoch 2 on"),
    ],
)
def test_a_table_says_from_where_on_a_level_smooths(factors, word):
    way = tuple(Moment(epoch, 1, 1.0, 2.0, mu, True) for epoch, mu in enumerate(factors))
    run = Along("run", (0, 1, 2), ((((1.0, 0.0),),),) * 3, way, 2, (), "")
    assert f"| {word} |" in several_text({"run": run}, {"run": None})


def test_a_run_that_kept_nothing(planted):
    """Root 5 on a Laplacian with zero padding on 8 x 8 points: mu and b in closed form; no images
    of that size are here."""
    found = along_training(planted, write=False)
    assert found.notes == (NOTHING_KEPT, NO_IMAGES)
    assert [one.epoch for one in found.of(1)] == [0, 3]
    theta = np.pi * np.arange(1, 9) / 9
    values = 4 - 2 * np.cos(theta)[:, None] - 2 * np.cos(theta)
    high = np.maximum.outer(theta, theta) >= np.pi / 2
    for one in found.of(1):
        assert one.radius == pytest.approx(values.max(), rel=1e-12)
        assert one.max_modulus == pytest.approx(np.abs(1 - values / 5).max(), rel=1e-12)
        assert one.smoothing_factor == pytest.approx(np.abs(1 - values / 5)[high].max(), rel=1e-12)
        assert one.jacobian_norm is None
        # of degree 1 every family with a parameter is the same
        assert (one.nearest.degree, one.nearest.distance < 1e-6) == (1, True)
    assert NOTHING_KEPT in along_text(found)
    assert analyse(planted, write=False).levels  # and everything else works


def test_the_end_is_the_epoch_of_the_weights_and_every_level_has_its_own_jacobian(
    planted, tmp_path, monkeypatch
):
    run = shutil.copytree(planted, tmp_path / "run")
    summary = json.loads((run / "summary.json").read_text()) | {"best_epoch": 2}
    (run / "summary.json").write_text(json.dumps(summary))
    norms = {"start": [1.5, 2.5], "learned": [3.5, 4.5]}
    monkeypatch.setattr(
        "analysis.along.training._jacobian_norms", lambda record, which: norms[which]
    )
    found = along_training(run, write=False)
    assert (found.end, found.epochs) == (2, (0, 2))
    for level in (1, 2):
        measured = {one.epoch: one.jacobian_norm for one in found.of(level)}
        assert measured == {0: norms["start"][level - 1], 2: norms["learned"][level - 1]}


def test_what_was_measured_is_kept_while_the_run_is_the_same(moving, tmp_path, monkeypatch):
    run = shutil.copytree(moving, tmp_path / "run")
    first = along_training(run)
    monkeypatch.setattr("analysis.along.training._measured", None)
    assert along_training(run).to_dict() == first.to_dict()
    table = (run / "report" / "along.csv").read_text().splitlines()
    assert len(table) == 1 + len(first.moments) == 1 + 2 * 4
    kept = kept_models(run)
    own = kept[1].read_bytes()
    kept[1].write_bytes(kept[2].read_bytes())
    with pytest.raises(TypeError):  # measured again
        along_training(run)
    kept[1].write_bytes(own)
    (run / "coefficients.jsonl").write_text("no coefficients")
    with pytest.raises(ValueError, match="line 1: no coefficients of an epoch"):
        along_training(run)
    monkeypatch.undo()
    (run / "coefficients.jsonl").unlink()
    kept_models(run)[1].write_bytes(b"")
    with pytest.raises(ValueError, match=r"0001\.safetensors: truncated"):
        along_training(run)
