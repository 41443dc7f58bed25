"""The demo goes on where it was after a kill at any moment, redoes nothing when finished, and never
touches what is not its own."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from polymgnet import demo

TINY = demo.Settings(epochs=2, width=2, grid=15)


def contents(folder):
    """Every file with its bytes and time of change."""
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def no_figures(monkeypatch):
    """Drawing is tested with the figures; here a text stands for each."""

    def draw(folder, floors, *, progress):
        assert list(floors) == [demo.FLOOR]
        assert 0.95 < floors[demo.FLOOR] <= 1
        (folder / "pictures").mkdir(exist_ok=True)
        (folder / "pictures" / "training.png").write_text("drawn")
        return [folder / "pictures" / "training.png"]

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
            report=lambda done, state="", *, finished="": steps.append((done, state, finished)),
        )
    return folder, result, steps


def test_table(finished):
    folder, result, _ = finished
    table = {entry["name"]: entry for entry in result["table"]}
    assert tuple(table) == demo.NETWORKS
    for entry in table.values():
        assert 0 <= entry["test_accuracy"] <= 1
        assert entry["parameters"] > 0
    assert len(table["theory"]["smoothing_factors"]["start"]) == 3
    assert table["resnet"]["smoothing_factor_start"] is None
    assert result["nearest_neighbour"]["test_accuracy"] > 0.95
    assert all((folder / name).is_file() for name in result["figures"])


def test_progress_is_a_line_a_stage(finished):
    """Every stage is begun once and ends once, in order, under one number, with its seconds; the
    epochs of the networks are told."""
    _, _, steps = finished
    ends = [(done, end.rpartition(", ")[0]) for done, _, end in steps if end]
    names = [
        "derive",
        *(f"{what} {name}" for what in ("train", "analyse") for name in demo.NETWORKS),
        "nearest neighbour",
        "draw",
    ]
    titles = [f"{number}/{len(names)} {name}" for number, name in enumerate(names, start=1)]
    assert ends == list(enumerate(titles, start=1))
    assert len(names) == demo.STAGES
    for done, state, _ in steps:  # as many are finished as stand before the one that is told of
        assert not state or int(state.partition("/")[0]) == done + 1
    assert all(end.endswith(" s") for _, _, end in steps if end)
    states = [state for _, state, _ in steps]
    assert [state for state in states if state in titles] == titles
    assert "5/11 train resnet, epoch 2/2" in states
    assert any(state.startswith("6/11 analyse theory, level 3") for state in states)


def test_a_stage_of_an_earlier_call_says_so(finished, monkeypatch):
    """Started again without its result and one of its reports: the same numbers, and what is there
    was done before."""
    folder, result, _ = finished
    told = []
    (folder / "result.json").unlink()
    (folder / "runs" / "xavier" / "report" / "report.json").unlink()
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
    assert anew == ["analyse xavier", "nearest neighbour", "draw"]


def test_verdict_knows_the_noise():
    """355 and 359 of 359: intervals to 99.57 % and from 98.94 % overlap; 300 of 359 stand apart
    from both."""
    table = [
        {
            "name": name,
            "test_accuracy": right / 359,
            "smoothing_factor_learned": None,
            "smoothing_factor_start": None,
        }
        for name, right in (("a", 359), ("b", 355), ("c", 300))
    ]
    best, floor, noise = demo.verdict(table, 310 / 359, 359)
    assert best == "Best test accuracy: a, 100.00 %; below it by more than the noise: c."
    assert floor == "Above 1-nearest neighbour: a, b; by more than the noise: a, b."
    assert "one of the 359 test images is 0.28 %" in noise
    assert (
        demo.verdict(table[:1], 355 / 359, 359)[1]
        == "Above 1-nearest neighbour: a; by more than the noise: none."
    )


def test_networks_differ_in_their_start_alone(finished):
    folder, *_ = finished
    configs = [
        json.loads((folder / "runs" / name / "config.json").read_text())
        for name in ("theory", "constant", "xavier")
    ]
    for config in configs:
        assert config["model"]["placement"] == "relu_outside_nobn"
        config["init"].pop("scheme")
    assert configs[0] == configs[1] == configs[2]


def test_theory_starts_from_the_derived_coefficients(finished):
    """Level 1: the learned network's start is the fourth kind on (0, b], b the radius of A: roots b
    sin^2(pi i/5)."""
    import math

    import nets

    folder, *_ = finished
    level = nets.load(folder / "runs" / "theory", which="start").levels[0]
    radius = json.loads((folder / "runs" / "theory" / "init.json").read_text())["levels"][0][
        "radius"
    ]
    roots = sorted(level.polynomial().roots.real)
    assert roots == pytest.approx(
        [radius * math.sin(math.pi * i / 5) ** 2 for i in (1, 2)], rel=1e-5
    )


def test_finished_demo_is_left_alone(finished, monkeypatch):
    folder, result, _ = finished
    before = contents(folder)
    for name in ("train_network", "draw", "nearest_neighbour"):
        monkeypatch.setattr(demo, name, None)
    monkeypatch.setattr("analysis.report.analyse", None)
    assert demo.run(folder, settings=TINY) == {**result, "folder": str(folder)}
    assert contents(folder) == before


def test_a_finished_demo_says_so(finished, run, monkeypatch):
    folder, result, _ = finished
    monkeypatch.setattr(demo, "run", lambda *_, **__: {**result, "folder": str(folder)})
    assert "was finished before, nothing was done again" in run("demo", "--out", folder).err
    assert "finished before" not in run("demo", "--out", folder, "--force").err


def test_show_prints_everything(finished, capsys):
    folder, result, _ = finished
    demo.show(result)
    out = capsys.readouterr().out
    assert all(
        name in out
        for name in (
            *demo.NETWORKS,
            "1-nearest neighbour",
            "Best test accuracy",
            str(folder / "pictures" / "training.png"),
        )
    )


def test_killed_demo_goes_on(forked, finished, tmp_path):
    """kill -9 again and again while it trains: the weights that come out are those of the demo that
    was never killed."""
    folder, kills = tmp_path / "demo", 0
    reference, *_ = finished
    marks = ["init.json", "runs/theory/checkpoint", "runs/constant/start.safetensors"]
    for mark in marks:
        process = forked(_run_tiny, folder)
        while not (folder / mark).exists() and process.is_alive():
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        assert not (folder / "result.json").exists()
    assert kills == len(marks)
    with pytest.MonkeyPatch.context() as patch:
        no_figures(patch)
        demo.run(folder, settings=TINY)
    for name in demo.NETWORKS:
        weights = Path("runs", name, "model.safetensors")
        assert (folder / weights).read_bytes() == (reference / weights).read_bytes(), name


def _run_tiny(folder):
    demo.run(folder, settings=TINY)


def test_force_starts_again(finished, monkeypatch, tmp_path):
    import shutil

    folder = tmp_path / "demo"
    shutil.copytree(finished[0], folder)
    done = []
    monkeypatch.setattr(
        demo,
        "derive_coefficients",
        lambda path, settings: done.append(sorted(p.name for p in path.parent.iterdir())) or 1 / 0,
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
    path = finished[0] / "runs" / "theory"
    report = document("analyze", path)
    assert report["model"] == "q2"
    assert len(report["levels"]) == 3
    assert "level" in run("analyze", path).out
    result = run("train", "--out", path, "--set", "epochs=1", "--set", "width=2")
    assert result.status == 2
    assert "finished run" in result.err


def test_figures_command(finished, document, monkeypatch, tmp_path):
    path = finished[0] / "runs" / "theory"
    monkeypatch.setattr(
        "figures.make", lambda runs, out, progress: [out / f"{run.name}.png" for run in runs]
    )
    assert document("figures", path)["figures"] == [str(path / "pictures" / "theory.png")]
    assert document("figures", path, "--out", tmp_path)["figures"] == [str(tmp_path / "theory.png")]


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
