"""analyze and figures on several real runs: every report, the comparison over seeds, and what the
progress bar is told."""

import json
import os
import subprocess
import sys

import pytest

from polymgnet import console
from polymgnet.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two starts, two seeds each, trained for one epoch."""
    folder = tmp_path_factory.mktemp("runs")
    paths = {
        (scheme, seed): folder / f"{scheme}-{seed}"
        for scheme in ("constant", "chebyshev4")
        for seed in (0, 1)
    }
    sets = ["epochs=1", "width=2", "tensorboard=false", "batch_size=500"]
    for (scheme, seed), path in paths.items():
        words = [part for value in [*sets, f"seed={seed}"] for part in ("--set", value)]
        assert main(["train", "--out", str(path), "--init", scheme, *words, "--json"]) == 0
    return list(paths.values())


@pytest.fixture
def told(monkeypatch):
    """What progress bars are told, (done, text) each."""
    steps = []

    class Told:
        def __init__(self, *args, **options):
            pass

        def __enter__(self):
            return lambda done, text="": steps.append((done, text))

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(console, "progress", Told)
    return steps


def test_one_run_is_its_report(document, runs):
    report = document("analyze", runs[0])
    assert report["run"] == str(runs[0])
    assert report["levels"]
    way = report["along"]
    assert way["epochs"] == [0, 1]
    assert len(way["moments"]) == 2 * len(report["levels"])


def test_several_runs_are_compared(document, run, runs):
    data = document("analyze", *runs)
    assert [report["run"] for report in data["reports"]] == [str(path) for path in runs]
    groups = {row["configuration"]: row for row in data["comparison"]["groups"]}
    accuracies = [report["facts"]["test_accuracy"] for report in data["reports"]]
    assert [row["n"] for row in groups.values()] == [2, 2]
    assert [row["mean"] for row in groups.values()] == pytest.approx(
        [sum(accuracies[:2]) / 2, sum(accuracies[2:]) / 2]
    )
    assert data["comparison"]["pairs"][0]["seeds"] == 2
    out = run("analyze", *runs).out
    assert all(f"written to {path / 'report'}" in out for path in runs)
    assert out.count("## Along training: measured at 0, 1\n") == len(runs)
    assert out.count("\n## Along training\n") == 1
    assert "## Configurations" in out
    assert "## Differences, paired by seed" in out


def test_progress_names_run_and_level(run, runs, told):
    for path in runs[:2]:
        for file in (path / "report").glob("*"):
            file.unlink()
    assert run("analyze", *runs[:2]).status == 0
    assert {done for done, _ in told} == {0, 1}
    assert any(text.startswith(f"{runs[0].name}, level 1: spectrum") for _, text in told)


def test_figures_tell_their_progress(document, monkeypatch, runs, told, tmp_path):
    def make(paths, out, progress, guard):
        progress(0, "training")
        return [out / f"{path.name}.png" for path in paths]

    monkeypatch.setattr("figures.make", make)
    assert document("figures", runs[0])["figures"] == [
        str(runs[0] / "pictures" / f"{runs[0].name}.png")
    ]
    assert document("figures", *runs[:2], "--out", tmp_path)["figures"] == [
        str(tmp_path / f"{path.name}.png") for path in runs[:2]
    ]
    assert (0, "training") in told


def test_several_processes_speak_with_one_voice(tmp_path):
    """Two CPU processes of one run: one JSON document, and nothing of the libraries'
    announcements."""
    words = [sys.executable, "-m", "polymgnet", "train", "--out", str(tmp_path / "run"), "--json"]
    for value in ("devices=2", "epochs=1", "width=2", "tensorboard=false", "batch_size=500"):
        words += ["--set", value]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["finished"]


def test_report_takes_runs_a_folder_of_them_and_a_study(document, runs, tmp_path):
    """Each is the page of the same runs; of one run it lies in its folder."""
    one = document("report", runs[0])
    assert one == {"page": str(runs[0] / "report" / "report.html"), "runs": [str(runs[0])]}
    out = tmp_path / "page.html"
    several = document("report", *runs, "--out", out)
    assert several["runs"] == list(map(str, runs))
    text = out.read_text(encoding="utf-8")
    assert f"polymgnet report {' '.join(map(str, runs))} --out {out}" in text
    folder = document("report", runs[0].parent, "--out", out)
    assert sorted(folder["runs"]) == sorted(several["runs"])
