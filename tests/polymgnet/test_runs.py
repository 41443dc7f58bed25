"""analyze and figures on several real runs: every report, the comparison over seeds, and what the
progress bar is told."""

import json
import os
import subprocess
import sys

import pytest

import analysis
from analysis.numbers import number
from analysis.runs import in_short
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
        assert (
            main(["train", "--out", str(path), "--init", scheme, *words, "--no-report", "--json"])
            == 0
        )
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


def test_several_runs_are_compared(document, run, refused, runs, tmp_path, monkeypatch):
    data = document("analyze", *runs)
    assert [report["run"] for report in data["reports"]] == [str(path) for path in runs]
    groups = {row["configuration"]: row for row in data["comparison"]["groups"]}
    accuracies = [report["facts"]["test_accuracy"] for report in data["reports"]]
    assert [row["n"] for row in groups.values()] == [2, 2]
    assert [row["mean"] for row in groups.values()] == pytest.approx(
        [sum(accuracies[:2]) / 2, sum(accuracies[2:]) / 2]
    )
    assert data["comparison"]["pairs"][0]["seeds"] == 2
    monkeypatch.setenv("COLUMNS", "80")
    out = run("analyze", runs[0].parent, "--out", tmp_path).out
    assert max(len(line) for line in out.splitlines() if "runs" not in line) <= 80
    ways = [(path / "report" / "along.md").read_text(encoding="utf-8") for path in runs]
    assert sum(text.startswith("## Along training: measured at 0, 1\n") for text in ways) == len(
        runs
    )
    assert (tmp_path / "along.md").read_text(encoding="utf-8").startswith("## Along training\n")
    text = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert "## Configurations" in text
    assert "## Differences, paired by seed" in text
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "pairs.csv").write_text("mine")
    assert "pairs.csv exists" in refused("analyze", runs[0].parent, "--out", theirs)
    assert [path.read_text() for path in theirs.iterdir()] == ["mine"]
    alone = tmp_path / "alone"
    assert "for several runs; one run's tables" in refused("analyze", runs[0], "--out", alone)
    assert not alone.exists()


def test_a_run_is_six_lines_and_a_table(run, runs):
    """The numbers of the report, in the words that the page takes too."""
    report = analysis.analyse(runs[0])
    out = run("analyze", runs[0]).out
    title, *lines = out.splitlines()[:7]
    assert title == f"{report.label}: {runs[0]}"
    names = ("trained on", "accuracy", "theory", "training", "smoothing", "all of it")
    assert tuple(line[2:12].rstrip() for line in lines) == names
    assert f"{100 * report.facts['test_accuracy']:.2f} % of {report.facts['tested_on']}" in lines[1]
    assert lines[5].endswith(f"written to {runs[0] / 'report'}")
    mu = max(in_short.judged(level).smoothing_factor for level in report.levels)
    assert f"largest µ {number(mu, 3)}, level" in lines[4]
    rows = [line.split() for line in out.splitlines() if line.split()[:1] == ["1"]]
    b, start = report.levels[0].operators["learned"].radius, report.levels[0].views["start"]
    assert rows[0][1:3] == [number(b, 3), number(start.smoothing_factor, 3)]


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
    shown = []
    monkeypatch.setattr("analysis.runs.board.write_pictures", lambda run, found: shown.append(run))
    assert document("figures", runs[0])["figures"] == [
        str(runs[0] / "pictures" / f"{runs[0].name}.png")
    ]
    document("figures", runs[0], "--out", tmp_path)
    assert shown == [runs[0]]  # in its TensorBoard, where its pictures are its own
    assert document("figures", *runs[:2], "--out", tmp_path)["figures"] == [
        str(tmp_path / f"{path.name}.png") for path in runs[:2]
    ]
    assert (0, "training") in told
    # of a folder of runs, as a study's: all of them, and beside them
    several = document("figures", runs[0].parent)["figures"]
    assert sorted(several) == sorted(
        str(path.parent / "pictures" / f"{path.name}.png") for path in runs
    )
    assert document("figures", *runs[:2])["figures"][1] == str(
        runs[0] / "pictures" / f"{runs[1].name}.png"
    )


def test_several_processes_speak_with_one_voice(tmp_path):
    """Two CPU processes of one run: one JSON document, and nothing of the libraries'
    announcements."""
    words = [sys.executable, "-m", "polymgnet", "train", "--out", str(tmp_path / "run")]
    words += ["--json", "--no-report"]
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
    folder = document("report", runs[0].parent, "--out", out, "--force")
    assert sorted(folder["runs"]) == sorted(several["runs"])


def test_a_file_of_a_run_is_told_its_folder(refused, runs):
    """It was read as a study's file, of which every key is unknown."""
    line = refused("analyze", runs[0] / "config.json")
    assert line.rstrip().endswith(f"config.json is a file of a run; give the folder, {runs[0]}")
