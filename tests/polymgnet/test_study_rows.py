"""A study with rows: each finished run adds one line, which stands for it on every machine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nets.settings import WITHOUT_EFFECT
from nets.training.folder import Busy
from polymgnet import study
from polymgnet.study.rows import Rows, row_of
from polymgnet.study.run import Run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file(rows_file):
    return rows_file


def lines(file, scale="small"):
    text = (file.parent / "rows" / f"{file.stem}-{scale}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_adds_a_row_that_stands_for_it_elsewhere(run, document, file, trained, tmp_path):
    """A diverged run is a row too: it would diverge again."""
    assert run("study", file, "--scale", "small").status == 1
    rows = lines(file)
    assert len(trained) == len(rows) == 4
    assert [row["point"] for row in rows][:2] == [
        {"seed": 0, "start": "one"},
        {"seed": 0, "start": "other"},
    ]
    assert rows[0]["train_loss"] == 1.0
    assert rows[0]["max_modulus"] == [8.0]
    assert (rows[0]["test_images"], rows[0]["revision"]) == (359, "abc")
    assert "host" not in rows[0]
    assert rows[3]["diverged"] == "the loss is not finite at step 3"
    data = document("study", file, "--scale", "small", "--out", tmp_path / "elsewhere")
    assert len(trained) == 4
    assert not (tmp_path / "elsewhere").exists()
    assert [row["runs"] for row in data["table"]] == [2, 2]
    assert data["table"][0]["train_loss"]["mean"] == pytest.approx(1.125)
    assert data["runs"][0]["summary"]["digest"] == rows[0]["digest"]


@pytest.mark.parametrize(
    ("starts", "ends"), [([0.4, 2.0], {"max_modulus": [3.0, 5.0]}), ([1.0, None], None)]
)
def test_the_end_is_measured_where_a_level_starts_as_a_smoother(
    tmp_path, monkeypatch, starts, ends
):
    levels = [{"max_modulus": 2.0, "smoothing_factor": mu} for mu in starts]
    (tmp_path / "init.json").write_text(json.dumps({"levels": levels}))
    run = SimpleNamespace(digest="x", point={}, folder=tmp_path, summary=dict)
    monkeypatch.setattr("analysis.along.training.learned_factors", lambda folder: ends)
    row = row_of(run)
    assert row["smoothing_factor"] == starts
    assert row["max_modulus"] == [2.0, 2.0]
    assert row.get("learned") == ends


def test_a_start_beyond_the_range_of_numbers_is_a_row(tmp_path):
    """JSON has no infinity: what such a start has of it is left out, and the row is written."""
    start = {"levels": [{"max_modulus": float("inf")}, {"max_modulus": 2.0}]}
    run = SimpleNamespace(digest="x", point={}, folder=tmp_path, summary=dict)
    for features, known in ((float("inf"), {}), (None, {}), (0.5, {"features": 0.5})):
        (tmp_path / "init.json").write_text(json.dumps(start | {"features": features}))
        rows = Rows(tmp_path / f"{features}.jsonl")
        rows.append(row_of(run))
        expected = {"digest": "x", "max_modulus": [None, 2.0], **known}
        assert Rows(rows.path).known["x"].items() >= expected.items()
        assert ("features" in rows.known["x"]) == bool(known)


def test_rows_are_found_by_the_configuration(file, trained, run):
    """Wherever a value stands, and whatever its label: not by the text of the file."""
    run("study", file, "--scale", "small")
    text = file.read_text().replace('"one"', '"1"')
    file.write_text(text.replace("epochs = 1\n", "").replace("[grid]", "[grid]\nepochs = [1]"))
    assert study.load_study(file, scale="small").missing == ()
    file.write_text(file.read_text().replace("epochs = [1]", "epochs = [2]"))
    assert len(study.load_study(file, scale="small").missing) == 4


def test_the_digest_is_of_what_may_change_the_numbers(tmp_path):
    def digest(**settings):
        given = {key.replace("_of_", ".", 1): value for key, value in settings.items()}
        return Run({}, "digits", given, tmp_path).digest

    own = digest()
    other = {"accelerator": "cpu", "checkpoint_epochs": 7, "checkpoint_steps": 9}
    other |= {"tensorboard": False, "record": False, "root": "elsewhere", "download": False}
    other |= {"on_device": "never"}
    for section, keys in WITHOUT_EFFECT.items():
        for key in keys:
            assert digest(**{f"{section}_of_{key}": other[key]}) == own, key
    found = {digest(train_of_seed=7), digest(optim_of_lr=0.7), digest(data_of_test=0.3)}
    found |= {digest(data_of_test=0.4), digest(init_of_weights="q2.safetensors")}
    assert len(found | {own}) == 6


def test_of_two_rows_of_one_run_the_first_counts(tmp_path):
    """As two processes may have written them; those of a study are not those beside it."""
    path = tmp_path / "study.jsonl"
    path.write_text("".join(json.dumps({"digest": "d", "factor": k}) + "\n" for k in (1, 2)))
    assert Rows(path).known == {"d": {"digest": "d", "factor": 1}}
    assert Rows(path).elsewhere == {}
    of = {"d": {"digest": "d", "factor": 1, "of": "study"}}
    assert Rows(tmp_path / "other.jsonl").elsewhere == of


def test_a_run_that_another_study_has_done_is_not_done_again(file, trained, run, tmp_path):
    """Its row is taken over under this study's point, and says whose it is; what has no row there
    is trained."""
    run("study", file, "--scale", "small")
    done = {row["digest"]: row for row in lines(file) if row["point"]["start"] == "one"}
    other = tmp_path / "again.toml"
    text = file.read_text().replace(str(tmp_path / "runs"), str(tmp_path / "others"))
    text = text.replace('"one"', '"first"')
    second = '"init.scheme" = "chebyshev4", "model.placement" = "plain"'
    other.write_text(text.replace(second, '"init.scheme" = "xavier"'))
    assert len(study.load_study(other, scale="small").missing) == 2
    run("study", other, "--scale", "small")
    taken = [row for row in lines(other) if "of" in row]
    assert len(trained) == 4 + 2
    assert {row["digest"] for row in taken} == set(done)
    for row in taken:
        assert row == done[row["digest"]] | {
            "of": "which-small",
            "point": {"seed": row["point"]["seed"], "start": "first"},
        }


def test_status_says_what_is_left_and_how_long_it_takes(file, trained, run, document):
    """Two seconds a run, by those that differ in the seed; what a study beside has is not left."""
    run("study", file, "--scale", "small")
    text = file.read_text()
    file.write_text(text.replace("seed = [0, 1]", "seed = [0, 1, 2, 3]", 1))
    said = run("study", file, "--scale", "small", "--status").out.rstrip()
    assert "3 finished, 1 diverged, 4 not begun" in said
    assert said.endswith("4 of 8 runs are left, some 8 s of one process")
    other = file.with_name("again.toml")
    other.write_text(file.read_text().replace('"one"', '"first"'))
    found = document("study", other, "--scale", "small", "--status")
    assert found["left"] == {"runs": 4, "timed": 4, "seconds": 8.0}
    assert len(trained) == 4


def test_the_page_of_runs_is_not_told_to_train_what_has_rows(file, trained, run, refused):
    """`study` would train nothing of them, on a machine that has the rows alone."""
    run("study", file, "--scale", "small")
    for folder in (file.parent / "runs").iterdir():
        shutil.rmtree(folder)
    said = refused("report", file, "--scale", "small")
    assert "4 are rows, of which polymgnet study" in said
    assert "trains them" not in said


def test_finished_folders_get_their_rows(file, trained, run):
    run("study", file, "--scale", "large")
    target = file.parent / "rows" / "which-large.jsonl"
    before = target.read_text()
    target.unlink()
    run("study", file, "--scale", "large")
    assert target.read_text() == before
    assert len(trained) == 3


def test_a_run_that_another_process_finishes_gets_its_row(run, file, trained, monkeypatch):
    """As `polymgnet train` does, which knows of no rows, while the study waits for it."""
    import nets

    ours, busy = nets.train, []

    def train(config, out, **given):
        if busy:
            return ours(config, out, **given)
        ours(config, out, **given)
        busy.append(out)
        raise Busy(f"{out}: another process is training in this folder")

    monkeypatch.setattr("nets.train", train)
    run("study", file, "--scale", "large")
    assert len(busy) == 1
    assert len(lines(file, "large")) == len(trained) == 3


def test_wrong_files(refused, file, tmp_path):
    good = file.read_text()
    assert "no scale is given, allowed are small, large (--scale)" in refused("study", file)
    assert "scale is 'huge', allowed are small" in refused("study", file, "--scale", "huge")
    for old, new, said in (
        ("[scale.large]\n", '[scale.large]\nout = "x"\n', "unknown key 'out' of scale large"),
        ('rows = "rows"', 'rows = "rows"\nkind = "solve"', "kind is 'solve', allowed are train"),
        ('rows = "rows"', "rows = 3", "rows is 3, must name a folder"),
        ('"init.scheme" = "constant" }}'[:-1], '"init.scheme" = "x" }', "unknown scheme 'x'"),
    ):
        assert old in good
        file.write_text(good.replace(old, new))
        assert said in refused("study", file, "--scale", "large")
    file.write_text('config = "q2"\nout = "x"\n[scale]\nlarge = 1\n')
    assert "scale large is 1, must be a table" in refused("study", file, "--scale", "large")
    file.write_text(good)
    assert "no run has finished" in refused("study", file, "--report", tmp_path / "p")
    file.write_text(good.replace('title = "Which?"', 'titel = "Which?"'))
    assert "unknown key 'titel' of report" in refused("study", file, "--report", tmp_path / "p")
    for old, new, said in (
        ('"start"', '"strat"', "compare of report is 'strat', allowed are seed, start"),
        ("[report]", '[report]\nalong = "degree"', "along of report is 'degree', allowed are seed"),
        ('candidate = "one"', 'candidate = "on"', "candidate of report has 'on', allowed are one"),
        ("[report]", '[report]\nsearched = ["two"]', "searched of report has 'two', allowed are"),
        ("[report]", '[report]\nsearched = "one"', "searched of report is 'one', must be a list"),
    ):
        assert old in good
        file.write_text(good.replace(old, new))
        assert said in refused("study", file, "--scale", "large")
        assert said in refused("study", file, "--report", tmp_path / "p")
    file.write_text(good.replace('candidate = "one"', 'candidate = "other"'))  # of another scale
    assert len(study.load_study(file, scale="large").runs) == 3
    assert not (tmp_path / "p").exists()


def script(*words, **environment):
    return subprocess.run(
        ["bash", ROOT / "studies" / "gpu.sh", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_gpu_script_fills_what_is_missing(file, tmp_path):
    """Rehearsed with another scale, one process and one tiny run: its row is there, and stands for
    it from then on."""
    text = file.read_text().replace("epochs = 1", 'epochs = 1\n"model.levels" = 2')
    file.write_text(text.replace("[0, 1, 2]", "[0]"))
    begin = tmp_path / "begin"  # without a page at the end
    begin.write_text(f'#!/bin/sh\nexec {sys.executable} -m polymgnet "$@" --no-report\n')
    begin.chmod(0o755)
    command = {"POLYMGNET": str(begin), "SCALE": "large", "JOBS": "1"}
    first = script(1, file, **command)
    assert first.returncode == 0, first.stderr
    assert "rows are in" in first.stderr
    (row,) = lines(file, "large")
    assert 0 <= row["test_accuracy"] <= 1
    assert row["threads"] == 1
    assert study.load_study(file, scale="large").missing == ()


def test_gpu_script_says_what_it_needs():
    for words in ((), ("many",)):
        done = script(*words)
        assert done.returncode == 2
        assert "minutes, must be a whole number" in done.stderr


def test_gpu_script_ends_in_time_and_without_work(tmp_path):
    """No minute: nothing is begun. A command that fails ends it with its status."""
    marker = tmp_path / "begun"
    begin = tmp_path / "begin"
    begin.write_text(f'#!/bin/sh\necho "$*" >> {marker}\nexit 2\n')
    begin.chmod(0o755)
    assert script(0, "a.toml", POLYMGNET=str(begin)).returncode == 0
    assert not marker.exists()
    assert script("08", "a.toml", POLYMGNET=str(begin)).returncode == 2  # 8 minutes, no octal
    assert marker.read_text().startswith("study a.toml")
    marker.unlink()
    assert script(1, "a.toml", "b.toml", POLYMGNET=str(begin), JOBS="3").returncode == 2
    assert marker.read_text() == "study a.toml --scale gpu --jobs 3\n"
