"""A study with rows: each finished run adds one line, which stands for it on every machine; the
page is drawn from the rows alone."""

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
FILE = """
config = "q2"
out = "{out}"
rows = "rows"
[set]
epochs = 1
width = 2
tensorboard = false
[grid]
seed = [0, 1]
start = ["constant", "chebyshev4"]
[scale.small.grid]
start = [
    {{ label = "one", "init.scheme" = "constant" }},
    {{ label = "other", "init.scheme" = "chebyshev4", "model.placement" = "plain" }},
]
[scale.large]
config = "digits"
about = "More of it."
[scale.large.set]
width = 4
[scale.large.grid]
seed = [0, 1, 2]
start = [{{ label = "one", "init.scheme" = "constant" }}]
[report]
title = "Which?"
about = "What starts best?"
compare = "start"
measures = ["train_loss"]
candidate = "one"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "which.toml"
    path.write_text(FILE.format(out=tmp_path / "runs"))
    return path


@pytest.fixture
def trained(monkeypatch):
    """nets.train replaced: the loss is a known function of the settings, and placement plain
    diverges for seed 1."""
    calls = []

    def train(config, out, *, resume, progress, callback, stop):
        calls.append(out.name)
        seed, scheme = config.train.seed, config.init.scheme
        if config.model.placement == "plain" and seed == 1:
            raise FloatingPointError("the loss is not finite at step 3")
        out.mkdir(parents=True, exist_ok=True)
        loss = 1.0 + 0.25 * seed + (1.0 if scheme == "chebyshev4" else 0.0)
        by = {"revision": "abc", "torch": "2", "device": "cpu (x)", "threads": 1, "host": "here"}
        summary = {"train_loss": loss, "test_accuracy": 0.5, "seconds": 2.0, "parameters": 7}
        (out / "summary.json").write_text(json.dumps({**summary, "environment": by}))
        (out / "init.json").write_text(json.dumps({"levels": [{"max_modulus": 8.0}]}))
        (out / "data.json").write_text(json.dumps({"images": {"test": 359}}))

    monkeypatch.setattr("nets.train", train)
    return calls


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
    text = FILE.format(out=tmp_path / "others").replace('"one"', '"first"')
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


def test_the_page_needs_the_rows_alone(run, file, trained, tmp_path, monkeypatch):
    """Neither do the folders of the rows matter, nor one whose run has no row."""
    for scale in ("small", "large"):
        run("study", file, "--scale", scale)
    for folder in (tmp_path / "runs").iterdir():
        folder.rename(tmp_path / f"gone-{folder.name}")
    text = file.read_text()
    file.write_text(text.replace("seed = [0, 1, 2]", "seed = [0, 1, 2, 3]"))
    uncollected = study.load_study(file, scale="large").missing[0].folder
    uncollected.mkdir(parents=True)
    (uncollected / "summary.json").write_text('{"train_loss": 0.0, "seconds": 1.0}')
    result = run("study", file, "--report", tmp_path / "pages")
    assert result.status == 0, result.err
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == [
        *("which-large.png", "which-small.png", "which.md")
    ]
    page = (tmp_path / "pages" / "which.md").read_text()
    assert page.startswith("# Which?\n\nWhat starts best?\n\n## small\n")
    assert "4 of 4 runs have rows" in page
    # a picture that fails costs itself, not the page
    shutil.rmtree(tmp_path / "pages")
    monkeypatch.setattr("figures.studies.study_figure", lambda *_: 1 / 0)
    assert run("study", file, "--report", tmp_path / "pages").status == 70
    assert (tmp_path / "pages" / "which.md").read_text() == page
    assert page.count("- cpu (x), 1 thread, torch 2: abc (3)\n") == 2
    # what follows from the runs stands first, and who made them last
    order = ["- training loss: ", "![", "### Training loss", "| `one` |", "### Runs", "## large"]
    places = [page.index(one) for one in order]
    assert places == sorted(places)
    assert "| `one` | **1.125 ± 1.588 (2)** |" in page  # 12.706 * 0.125
    assert "| `other` | 2.000 (1); diverges 1 of 2 |" in page
    assert "More of it." in page
    assert "| `one` | 7 | – | 2 |" in page
    assert "3 of 4 runs have rows" in page
    assert "| `one` | **1.250 ± 0.621 (3)** |" in page  # 4.303 * 0.25 / sqrt(3)


def test_without_rows_the_page_is_of_the_folders(
    run, refused, file, trained, tmp_path, monkeypatch
):
    """Of a file that keeps no rows: those of its `out`, or of --out; a diverged run has none."""
    file.write_text(file.read_text().replace('rows = "rows"\n', ""))
    said = refused("study", file, "--report", tmp_path / "pages")
    assert f"looked for folders of its 4 runs in {tmp_path / 'runs' / 'small'} and" in said
    run("study", file, "--scale", "small")
    page = study.write_page(file, tmp_path / "pages", draw=False)[0].read_text()
    assert "3 of 4 runs finished; 1 are left to run" in page
    assert "| `one` | 1.125 ± 1.588 (2) |" in page
    assert "## large" not in page
    run("study", file, "--scale", "large", "--out", tmp_path / "other")
    monkeypatch.setattr("polymgnet.study.page._draw", lambda *_, **__: None)
    words = ("--out", tmp_path / "other", "--report", tmp_path / "others")
    assert run("study", file, *words).status == 0
    assert "3 of 3 runs finished" in (tmp_path / "others" / "which.md").read_text()


def test_the_page_of_one_scale(run, refused, file, trained, tmp_path, monkeypatch):
    """--scale beside --report: that scale alone, on a page of its own; that of all stays whole."""
    monkeypatch.setattr("polymgnet.study.page._draw", lambda *_, **__: None)
    pages = tmp_path / "pages"
    for scale in ("small", "large"):
        run("study", file, "--scale", scale)
    run("study", file, "--report", pages)
    whole = (pages / "which.md").read_text()
    (pages / "which-small.png").touch()  # of the whole page, drawn anew with this one
    result = run("study", file, "--report", pages, "--scale", "small")
    assert result.status == 0, result.err
    assert result.out.splitlines() == [str(pages / f"which-small.{end}") for end in ("md", "png")]
    before, _, after = whole.partition("## large\n")
    assert after
    assert (pages / "which-small.md").read_text() == before.rstrip("\n") + "\n"
    assert (pages / "which.md").read_text() == whole
    said = refused("study", file, "--report", pages, "--scale", "huge")
    assert "scale is 'huge', allowed are small, large (--scale)" in said


@pytest.mark.parametrize("training", [("--engine", "slurm"), ("--jobs", "2"), ("--no-report",)])
def test_a_page_is_not_told_how_to_train(refused, file, tmp_path, training):
    """Not even by the default's own value."""
    said = refused("study", file, "--report", tmp_path / "pages", *training)
    assert f"--report trains nothing, {training[0]} goes with training" in said
    assert "--engine goes" in refused("study", file, "--report", tmp_path, "--engine", "local")


def test_finished_folders_without_a_row_are_told_of(run, refused, file, trained, tmp_path):
    run("study", file, "--scale", "small")
    rows = file.parent / "rows" / "which-small.jsonl"
    rows.unlink()
    said = refused("study", file, "--report", tmp_path / "pages")
    where = tmp_path / "runs" / "small"
    assert f"rows in {rows} (3 finished in {where}: without --report they get rows)" in said
    assert said.rstrip().endswith("which-large.jsonl")  # none of those is finished


def test_two_scales_in_one_folder_have_a_page_each(run, file, trained, tmp_path, monkeypatch):
    """Each names its own, and what makes it again from its own runs."""
    asked = []

    def page(runs, target, *, again, **_):
        asked.append((runs, target, again))

    monkeypatch.setattr("polymgnet.commands.study.page_at_end", page)

    def pages(*words):
        """Trained, and once more when the folders have what real ones do."""
        asked.clear()
        for scale in ("small", "large", "large", "small"):
            run("study", file, "--scale", scale, *words)
            for summary in tmp_path.glob("*/**/summary.json"):
                summary.with_name("config.json").touch()
        return asked[-2:]

    out = tmp_path / "here"
    (large, of_large, _), (small, of_small, again) = pages("--out", out)
    assert (of_small, of_large) == tuple(
        out / f"report-{file.stem}-{scale}.html" for scale in ("small", "large")
    )
    assert (len(small), len(large)) == (3, 3)
    assert not set(small) & set(large)
    assert again == f"polymgnet report {' '.join(map(str, small))} --out {of_small}"
    (file.parent / "rows" / "which-small.jsonl").unlink()
    (file.parent / "rows" / "which-large.jsonl").unlink()
    (_, of_small, again) = pages()[-1]
    assert of_small == tmp_path / "runs" / "small" / f"report-{file.stem}-small.html"
    assert again == f"polymgnet report {file} --scale small"


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


def test_the_page_of_runs_that_all_diverged_has_no_picture(file, tmp_path, monkeypatch):
    file.write_text(file.read_text() + 'along = "seed"')
    row = {"diverged": "at step 1", "max_modulus": [9.0]}
    found = [({"seed": 0, "start": one}, row) for one in ("one", "other")]
    monkeypatch.setattr("polymgnet.study.page._found", lambda plan: found)
    (page,) = study.write_page(file, tmp_path / "pages")
    assert "![" not in page.read_text()


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


def test_the_page_has_what_each_reaches_at_its_own_setting(run, file, trained, tmp_path):
    """In a section of its own, where the study's file asks for it."""
    text = file.read_text().replace(
        "[scale.small.grid]", '"optim.lr" = [0.1, 0.2]\n[scale.small.grid]'
    )
    file.write_text(text.replace('compare = "start"', 'compare = "start"\ntuned = "optim.lr"'))
    run("study", file, "--scale", "large")
    page = study.write_page(file, tmp_path / "pages", draw=False)[0].read_text()
    assert "### Each at its own best lr\n" in page
    assert "of the seeds 0, and the numbers are of the seeds 1, 2;" in page
    assert "| `one` | 1.375 ± 1.588 (2) at 0.1 (end) |" in page
