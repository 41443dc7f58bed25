"""The demo goes on where it was after a kill at any moment, redoes nothing when finished, and never
touches what is not its own."""

import dataclasses
import json
import os
import signal
import time
from pathlib import Path

import pytest

from analysis.stats import fraction_interval
from polymgnet import demo
from polymgnet.commands.demo import show, verdict

TINY = demo.Settings(epochs=2, width=2, degree=4, grid=15, batch_size=256, seeds=2)
ONE = dataclasses.replace(TINY, seeds=1)
FIRST = [f"{name}-0" for name in demo.NETWORKS]


def contents(folder):
    """Every file with its bytes and time of change."""
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def no_figures(monkeypatch):
    """Drawing is tested with the figures; here a text stands for each."""

    def draw(folder, runs, reports, settings, *, progress):
        assert set(reports) == set(demo.ANALYSED)
        (folder / "pictures").mkdir(exist_ok=True)
        (folder / "pictures" / "starts.png").write_text("drawn")
        return [folder / "pictures" / "starts.png"]

    monkeypatch.setattr(demo, "draw", draw)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished tiny demo, drawn without pictures: its folder, its result, and what its progress
    was told."""
    steps = []
    folder = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        no_figures(patch)
        result = demo.run(
            folder,
            settings=TINY,
            jobs=1,
            report=lambda done, state="", *, finished="": steps.append((done, state, finished)),
        )
    return folder, result, steps


def test_table(finished):
    folder, result, _ = finished
    table = {entry["name"]: entry for entry in result["table"]}
    assert tuple(table) == demo.NETWORKS
    for entry in table.values():
        assert len(entry["test_accuracy"]) == TINY.seeds
        assert all(0 <= value <= 1 for value in entry["test_accuracy"])
        assert entry["parameters"] > 0
    assert 1 < table["derived"]["amplification"] < 1000
    assert table["resnet"]["amplification"] is None
    assert table["smoother"]["smoothing_factors"]["start"] < 0.5
    assert result["nearest_neighbour"]["test_accuracy"] > 0.95
    assert all((folder / name).is_file() for name in result["figures"])


def test_progress_is_a_line_a_stage(finished):
    """Every stage is begun once and ends once, in order, under one number, with its seconds; the
    epochs of the networks are told."""
    _, _, steps = finished
    ends = [(done, end.rpartition(", ")[0]) for done, _, end in steps if end]
    names = [
        *("derive", "train", *(f"analyse {name}" for name in demo.ANALYSED)),
        *("nearest neighbour", "draw"),
    ]
    titles = [f"{number}/{len(names)} {name}" for number, name in enumerate(names, start=1)]
    assert ends == list(enumerate(titles, start=1))
    assert len(names) == demo.STAGES
    for done, state, _ in steps:  # as many are finished as stand before the one that is told of
        assert not state or int(state.partition("/")[0]) == done + 1
    assert all(end.endswith(" s") for _, _, end in steps if end)
    states = [state for _, state, _ in steps]
    assert [state for state in states if state in titles] == titles
    assert "2/6 train, 5 of 12 networks: resnet-0, epoch 2/2" in states
    assert any(state.startswith("3/6 analyse derived, level 2") for state in states)


def test_a_stage_of_an_earlier_call_says_so(finished, monkeypatch):
    """Started again without its result and one of its reports: the same numbers, and what is there
    was done before."""
    folder, result, _ = finished
    told = []
    (folder / "result.json").unlink()
    (folder / "runs" / "smoother-0" / "report" / "report.json").unlink()
    no_figures(monkeypatch)
    again = demo.run(
        folder, settings=TINY, report=lambda done, state="", *, finished="": told.append(finished)
    )
    assert again == result
    ends = [end for end in told if end]
    assert [end.split("/")[0] for end in ends] == [
        str(number) for number in range(1, demo.STAGES + 1)
    ]
    anew = [
        end.partition(" ")[2].partition(",")[0] for end in ends if not end.endswith(", done before")
    ]
    assert anew == ["analyse smoother", "nearest neighbour", "draw"]


def entry(name, losses, accuracies, amplification=None, factors=None):
    return {
        "name": name,
        "train_loss": losses,
        "test_accuracy": accuracies,
        "amplification": amplification,
        "smoothing_factors": factors or {},
    }


def test_verdict_says_what_was_measured():
    """Seeds are compared one by one, a draw is no win, and a level that no longer smooths is said
    to."""
    table = [
        entry("derived", [0.6, 0.7, 0.8], [1.0, 1.0, 1.0], 8.0),
        entry("constant", [0.7, 0.6, 0.9], [0.9, 0.9, 0.9], 300.0),
        entry("xavier", [0.5, 0.7, 0.7], [0.8, 0.8, 0.8], 20.0),
        entry("chebyshev4", [2.0, 2.0, 2.0], [0.5, 0.5, 0.5], 1e4),
        entry("smoother", [1.0], [0.9], 1.0, {"start": 0.25, "learned": 1.5}),
        entry("resnet", [0.5], [0.99]),
    ]
    compared, amplified, smooths, above = verdict(table, 350 / 359, 359)
    assert "constant on 2 of 3 seeds, xavier on 0 of 3 seeds, chebyshev4 on 3 of 3" in compared
    assert "derived 8, constant 300, xavier 20, chebyshev4 1e+04" in amplified
    assert "is a smoother at the start" in smooths
    assert "0.25) and does not stay one (1.5)" in smooths
    assert "mean test accuracy: derived, resnet." in above
    assert "One of the 359 test images is 0.28 %" in above
    low, high = fraction_interval(350 / 359, 359)
    assert f"around 97.49 % is {100 * low:.1f} to {100 * high:.1f} %." in above
    table[4]["smoothing_factors"] = {"start": 0.25, "learned": 0.3}
    assert "and still is one after training (0.3)" in verdict(table, 1.0, 359)[2]


def test_starts_differ_in_their_start_alone(finished):
    folder, *_ = finished
    for seed in range(TINY.seeds):
        configs = [
            json.loads((folder / "runs" / f"{name}-{seed}" / "config.json").read_text())
            for name in demo.STARTS
        ]
        for config in configs:
            assert config["model"]["placement"] == "relu_outside_nobn"
            assert config["train"]["seed"] == seed
            config["init"].pop("scheme")
        assert all(config == configs[0] for config in configs)


def test_networks_start_from_what_was_derived(finished):
    """k equal roots b/(M^(1/k) - 1), with one M for all levels, at which the features have the
    default's size; and the fourth kind on (0, b], roots b sin^2(pi i/5)."""
    import math

    import nets
    from nets.settings import FEATURES

    folder, *_ = finished

    def start(name):
        model = nets.load(folder / "runs" / name, which="start")
        data = json.loads((folder / "runs" / name / "init.json").read_text())
        roots = [sorted(level.polynomial().roots.real) for level in model.levels]
        return roots, [level["radius"] for level in data["levels"]], data["features"]

    roots, radii, features = start("derived-0")
    k, (M, *others) = TINY.degree, [(1 + b / r[0]) ** TINY.degree for r, b in zip(roots, radii)]
    assert features == pytest.approx(FEATURES, rel=0.05)
    assert others == pytest.approx([M], rel=1e-4)
    for found, b in zip(roots, radii):
        assert found == pytest.approx([b / (M ** (1 / k) - 1)] * k, rel=1e-5)
    roots, radii, _ = start("smoother-0")
    smoothing = [radii[0] * math.sin(math.pi * i / 5) ** 2 for i in (1, 2)]
    assert roots[0] == pytest.approx(smoothing, rel=1e-5)


def test_finished_demo_is_left_alone(finished, monkeypatch):
    folder, result, _ = finished
    before = contents(folder)
    for name in ("train_networks", "draw", "nearest_neighbour"):
        monkeypatch.setattr(demo, name, None)
    monkeypatch.setattr("analysis.runs.report.analyse", None)
    assert demo.run(folder, settings=TINY) == {**result, "folder": str(folder)}
    assert contents(folder) == before


def test_a_finished_demo_says_so(finished, run, monkeypatch):
    folder, result, _ = finished
    monkeypatch.setattr(demo, "run", lambda *_, **__: {**result, "folder": str(folder)})
    assert "was finished before, nothing was done again" in run("demo", "--out", folder).err
    assert "finished before" not in run("demo", "--out", folder, "--force").err


def test_show_prints_everything(finished, capsys):
    folder, result, _ = finished
    show(result)
    out = capsys.readouterr().out
    assert all(
        name in out
        for name in (
            *demo.NETWORKS,
            "1-nearest neighbour",
            "Training loss of derived",
            str(folder / "pictures" / "starts.png"),
        )
    )


def test_killed_demo_goes_on(apart, finished, tmp_path):
    """kill -9 again and again while it trains, here one seed: the weights that come out are those
    of the demo that was never killed."""
    folder, kills = tmp_path / "demo", 0
    reference, *_ = finished
    marks = ["chebyshev4.json", "runs/derived-0/checkpoint", "runs/constant-0/start.safetensors"]
    for mark in marks:
        process = apart(_run_tiny, folder)
        while not (folder / mark).exists() and process.is_alive():
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        assert not (folder / "result.json").exists()
    assert kills == len(marks)
    with pytest.MonkeyPatch.context() as patch:
        no_figures(patch)
        demo.run(folder, settings=ONE, jobs=1)
    for name in FIRST:
        weights = Path("runs", name, "model.safetensors")
        assert (folder / weights).read_bytes() == (reference / weights).read_bytes(), name


def _run_tiny(folder):
    demo.run(folder, settings=ONE, jobs=1)


def test_force_starts_again(finished, monkeypatch, tmp_path):
    import shutil

    folder = tmp_path / "demo"
    shutil.copytree(finished[0], folder)
    done = []
    monkeypatch.setattr(
        demo,
        "derive_coefficients",
        lambda path, settings: done.append(sorted(p.name for p in path.iterdir())) or 1 / 0,
    )
    with pytest.raises(ZeroDivisionError):
        demo.run(folder, settings=TINY, force=True)
    assert done == [["demo.json"]]


@pytest.mark.parametrize("extra", [[], ["--force"]])
@pytest.mark.parametrize("way", [".", "new/.."])
def test_foreign_folder(refused, tmp_path, extra, way):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "thesis.tex" in refused("demo", "--out", f"{tmp_path}/{way}", *extra)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_other_settings(refused, finished):
    before = contents(finished[0])
    assert "--force" in refused("demo", "--out", finished[0])
    assert contents(finished[0]) == before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_damaged_result(finished, tmp_path, text):
    (tmp_path / "demo.json").write_bytes((finished[0] / "demo.json").read_bytes())
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ValueError, match="demo result"):
        demo.run(tmp_path, settings=TINY)


def test_commands_on_a_run(finished, run, document, tmp_path):
    """analyze reads the run of the demo; train refuses to overwrite it and returns its summary with
    --resume."""
    path = finished[0] / "runs" / "smoother-0"
    report = document("analyze", path)
    assert report["model"] == "q2"
    assert len(report["levels"]) == 2
    assert "level" in run("analyze", path).out
    result = run("train", "--out", path, "--set", "epochs=1", "--set", "width=2")
    assert result.status == 2
    assert "finished run" in result.err


def test_figures_command(finished, document, monkeypatch, tmp_path):
    path = finished[0] / "runs" / "smoother-0"
    monkeypatch.setattr(
        "figures.make", lambda runs, out, progress, guard: [out / f"{run.name}.png" for run in runs]
    )
    assert document("figures", path)["figures"] == [str(path / "pictures" / "smoother-0.png")]
    assert document("figures", path, "--out", tmp_path)["figures"] == [
        str(tmp_path / "smoother-0.png")
    ]


def test_train_command(run, document, tmp_path):
    """A run from the command line, its summary, and the same summary from --resume, which changes
    nothing."""
    words = [
        "train",
        "--out",
        tmp_path / "run",
        "--data",
        "digits",
        "--init",
        "chebyshev4",
        "--set",
        "epochs=1",
        "--set",
        "width=2",
    ]
    made = document(*words, "--set", "tensorboard=false")
    assert {
        "parameters",
        "test_accuracy",
        "val_accuracy",
        "epochs",
        "seconds",
        "images_per_second",
    } <= set(made)
    before = contents(tmp_path)
    assert document(*words, "--set", "tensorboard=false", "--resume") == made
    assert "analyze" in run(*words, "--set", "tensorboard=false", "--resume").out
    assert contents(tmp_path) == before
