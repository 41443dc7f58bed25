"""The page of a study: of its rows alone, or of the folders of its runs."""

import shutil

import pytest

from polymgnet import study


@pytest.fixture
def file(rows_file):
    return rows_file


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


def test_the_page_of_runs_that_all_diverged_has_no_picture(file, tmp_path, monkeypatch):
    file.write_text(file.read_text() + 'along = "seed"')
    row = {"diverged": "at step 1", "max_modulus": [9.0]}
    found = [({"seed": 0, "start": one}, row) for one in ("one", "other")]
    monkeypatch.setattr("polymgnet.study.page._found", lambda plan: found)
    (page,) = study.write_page(file, tmp_path / "pages")
    assert "![" not in page.read_text()


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


def test_a_study_that_asks_nothing_is_told_of_the_other_page(run, refused, file, trained, tmp_path):
    """Without [report] there is nothing to compare; `report` needs none."""
    text = file.read_text()
    file.write_text(text[: text.index("[report]")])
    said = refused("study", file, "--report", tmp_path / "pages")
    assert f"study file {file} has no [report], whose title, compare and measures" in said
    assert f"polymgnet report {file} --scale small makes one for the browser without" in said
    file.write_text(f'config = "q2"\nout = "{tmp_path / "runs"}"\n[grid]\nseed = [0, 1]\n')
    assert f"polymgnet report {file} makes" in refused("study", file, "--report", tmp_path)


def test_the_command_that_trains_has_the_scale(refused, file):
    """Without it the study's file is refused."""
    said = refused("report", file, "--scale", "large")
    assert said.rstrip().endswith(f"; polymgnet study {file} --scale large trains them")
