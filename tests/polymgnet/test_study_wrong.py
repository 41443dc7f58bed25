"""A wrong study file is refused in one line before anything is trained or written."""

import pytest

WRONG = {
    "not toml": ("config = ", "is not TOML"),
    "unknown key": ('config = "q2"\nout = "x"\nnonsense = 1', "nonsense"),
    "no config": ('out = "x"', "there is no config, it must be"),
    "no out": ('config = "q2"', "there is no out, it must name a folder"),
    "unknown recipe": ('config = "nonsense"\nout = "x"', "nonsense"),
    "unknown setting": ('config = "q2"\nout = "x"\n[set]\nnonsense = 1', "nonsense"),
    "wrong value": ('config = "q2"\nout = "x"\n[grid]\nepochs = [1, 0]', "epochs is 0"),
    "wrong seed": ('config = "q2"\nout = "x"\n[grid]\nseed = [0, -1]', "seed is -1"),
    "unknown scheme": ('config = "q2"\nout = "x"\n[grid]\ninit = ["xavier", "cheb"]', "cheb"),
    "unknown placement": (
        'config = "q2"\nout = "x"\n[grid]\nplacement = ["regular", "inside"]',
        "inside",
    ),
    "missing coefficients": (
        'config = "q2"\nout = "x"\n[set]\ninit = "file:none.json"',
        "none.json",
    ),
    "empty list": ('config = "q2"\nout = "x"\n[grid]\nseed = []', "seed is an empty list"),
    "twice": ('config = "q2"\nout = "x"\n[grid]\nseed = [1, 1]', "grid seed has 1 twice"),
    "twice in other words": (
        'config = "q2"\nout = "x"\n[grid]\nseed = [1, 1.0]',
        "same run twice",
    ),
    "twice by two keys": (
        'config = "q2"\nout = "x"\n[grid]\nwidth = [2, 4]\n"model.width" = [8]',
        "same run twice",
    ),
    "labels": (
        'config = "q2"\nout = "x"\n[grid]\n'
        'init = [{label = "a", width = 2}, {label = "a", width = 4}]',
        "grid init has a twice; every value, and every label, must differ",
    ),
    "label of two lines": (
        'config = "q2"\nout = "x"\n[grid]\ninit = [{label = "a\\nb", width = 2}]',
        r"grid init has 'a\nb'; a label is one line",
    ),
    "no labels": (
        'config = "q2"\nout = "x"\n[grid]\nshape = [{width = 2}, {levels = 2}]',
        "grid shape has 2 twice; every value, and every label, must differ",
    ),
    "a dot beside its name": (
        'config = "q2"\nout = "x"\n[set]\ndata = "folder:y"\ndata.size = 8',
        'write "data.size" = 64, in quotes',
    ),
    "set and grid": (
        'config = "q2"\nout = "x"\n[set]\nseed = 1\n[grid]\nseed = [1]',
        "both set and grid",
    ),
    "exclude": ('config = "q2"\nout = "x"\nexclude = "seed"\n[grid]\nseed = 1', "must be tables"),
    "excluded value": (
        'config = "q2"\nout = "x"\n[grid]\nseed = [0, 1]\n[[exclude]]\nseed = 2',
        "exclude has seed '2', allowed are 0, 1",
    ),
    "excluded key": (
        'config = "q2"\nout = "x"\n[grid]\nseed = [0, 1]\n[[exclude]]\nwidth = 2',
        "exclude has the key 'width', the grid has seed\n",
    ),
    "excluded short key": (  # as the grid has it
        'config = "q2"\nout = "x"\n[grid]\nseed = 0\nmodel.name = ["q2"]\n[[exclude]]\nname = "q2"',
        "exclude has the key 'name', the grid has seed, model.name\n",
    ),
    "excluded nothing": (
        'config = "q2"\nout = "x"\n[grid]\nseed = [0, 1]\n[[exclude]]\nseed = []',
        "exclude seed is an empty list",
    ),
    "excluded without end": (
        'config = "q2"\nout = "x"\n[grid]\n'
        + "".join(f"k{k} = [{', '.join(map(str, range(200)))}]\n" for k in range(3))
        + "[[exclude]]\nk0 = 0",
        "the grid has 8,000,000 points, at most 1,000,000",
    ),
    "exclude in the grid": (
        'config = "q2"\nout = "x"\n[grid]\nseed = [0, 1]\n[[grid.exclude]]\nseed = 0',
        "exclude stands in grid, must be tables [[exclude]]",
    ),
    "all excluded": (
        'config = "q2"\nout = "x"\n[grid]\nseed = 0\n[[exclude]]\nseed = 0',
        "exclude leaves no run",
    ),
    "not a table": ('config = "q2"\nout = "x"\ngrid = 1', "must be a table"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_file(refused, monkeypatch, tmp_path, kind):
    monkeypatch.chdir(tmp_path)
    text, said = WRONG[kind]
    path = tmp_path / "study.toml"
    path.write_text(text)
    words = [["study", path], ["study", path, "--status"]]
    if kind != "missing coefficients":  # they may be where the runs are
        words += [["study", path, "--cancel"]]
        words += [[command, path] for command in ("report", "analyze", "figures")]
    for given in words:
        assert said in refused(*given)
    assert [entry.name for entry in tmp_path.iterdir()] == ["study.toml"]


def test_more_runs_than_a_study_may_have(refused, monkeypatch, study_file):
    monkeypatch.setattr("polymgnet.study.plan.MAX_RUNS", 3)  # of four
    assert "asks for more than 3 runs" in refused("study", study_file, "--status")


def test_coefficients_that_are_elsewhere_do_not_keep_jobs_going(run, monkeypatch, tmp_path):
    """`--cancel` ends the jobs of a study, whatever has become of the file that its runs began
    with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(WRONG["missing coefficients"][0])
    assert "0 jobs cancelled; 1 not begun" in run("study", "study.toml", "--cancel").out


def test_what_a_setting_refuses_is_of_the_file(refused, monkeypatch, tmp_path):
    """A setting that the configuration refuses names the file that it stands in."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.toml"
    for grid in ("lr = [0.1, nan]", "nope = [1]", "width = [0]"):
        path.write_text(f'config = "q2"\nout = "x"\n[grid]\n{grid}\n')
        assert f"study file {path}: " in refused("study", path)


@pytest.mark.parametrize("asked", ["--status", "--cancel"])
@pytest.mark.parametrize("beside", ["--engine slurm", "--jobs 2", "--no-report"])
def test_what_trains_nothing_takes_no_options_of_training(refused, study_file, asked, beside):
    said = refused("study", study_file, asked, *beside.split())
    option = beside.split()[0]
    assert f"{asked} trains nothing, {option} goes with training: leave one out\n" in said


@pytest.mark.parametrize("command", ["analyze", "figures", "report"])
def test_a_study_without_finished_runs_is_one(refused, study_file, command):
    """It is not taken for another kind of file; a file that is no study's is."""
    assert "none of its 4 runs is finished" in refused(command, study_file)
    notes = study_file.with_name("notes.txt")
    notes.write_text("mine")
    assert "is a file; allowed are folders of runs, and a study's file" in refused(command, notes)


def test_cancel_makes_no_folder_of_a_study_that_was_not_begun(run, study_file):
    assert run("study", study_file, "--cancel").status == 0
    assert [path.name for path in study_file.parent.iterdir()] == ["study.toml"]
