"""train, study and demo end with a page; whatever happens to it, what is finished stays so."""

import base64
import json
import os
import re
import shutil

import pytest

import analysis
import nets
from figures.page import runs as page
from polymgnet.commands import report

SETS = ["epochs=2", "width=2", "levels=2", "batch_size=500", "tensorboard=false"]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    run = tmp_path_factory.mktemp("original") / "run"
    nets.train(nets.load_config("digits", SETS), run, progress=False)
    return run


@pytest.fixture
def trained(original, tmp_path):
    return shutil.copytree(original, tmp_path / "my run")  # quoted in commands to copy


def numbers_in(path):
    text = path.read_text(encoding="utf-8")
    (found,) = re.findall(r'"numbers.json" href="data:application/json;base64,([^"]*)"', text)
    return json.loads(base64.b64decode(found))


def again(run, where, *words):
    """The finished run once more, which trains nothing."""
    return run("train", "--resume", "--out", where, *words)


def test_a_run_ends_with_its_page(run, document, trained, pages):
    made = trained / "report" / "report.html"
    done = again(run, trained)
    assert done.out.splitlines()[-1] == f"One page on it: {made}"
    found, expected = numbers_in(made), analysis.analyse(trained)
    for level, own in zip(found["levels"], expected.levels, strict=True):
        for role, view in own.views.items():
            assert level["views"][role]["smoothing_factor"] == view.smoothing_factor
    assert found["along"]["epochs"] == [0, 1, 2]
    assert {one["epoch"] for one in found["along"]["moments"]} == {0, 2}
    assert "measures the epochs in between" in made.read_text(encoding="utf-8")
    # one that is there is left: with all epochs it says more
    made.write_text(f"{report.console.MARKS['.html'].decode()} whole")
    assert again(run, trained).out.splitlines()[-1] == f"One page on it: {made}"
    assert made.read_text().endswith("whole")
    assert document("train", "--resume", "--out", trained)["page"] == str(made)


def test_without_a_page_the_command_is_named(run, document, trained, pages):
    last = f"One page on it: polymgnet report '{trained}'"
    assert again(run, trained, "--no-report").out.splitlines()[-1] == last
    assert document("train", "--resume", "--out", trained, "--no-report")["page"] is None
    assert not (trained / "report").exists()


def test_a_page_that_fails_costs_one_line(run, trained, pages, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("of a picture")

    monkeypatch.setattr(page, "write_page", fails)
    done = again(run, trained)
    assert done.status == 0
    (line,) = [line for line in done.err.splitlines() if "warning" in line]
    assert "finished, but no page could be made (RuntimeError: of a picture)" in line
    assert done.out.splitlines()[-1] == f"One page on it: polymgnet report '{trained}'"


def test_of_many_runs_a_seed_of_each_configuration(trained, tmp_path, monkeypatch, capsys):
    runs = []
    for scheme in ("bounded", "xavier"):
        for seed in (0, 1):
            own = shutil.copytree(trained, tmp_path / f"{scheme}-{seed}")
            config = json.loads((own / "config.json").read_text())
            config["train"]["seed"], config["init"]["scheme"] = seed, scheme
            (own / "config.json").write_text(json.dumps(config))
            runs.append(own)
    shown = []
    monkeypatch.setattr(page, "write_page", lambda given, target, **_: shown.append(given))
    ends = {"command": "", "again": "polymgnet report here", "show": False}
    for most, expected in ((4, runs), (3, [runs[0], runs[2]])):
        monkeypatch.setattr(report, "MOST", most)
        report.page_at_end(runs, tmp_path / "page.html", **ends)
        assert shown.pop() == expected
    monkeypatch.setattr(report, "MOST", 1)
    assert report.page_at_end(runs, tmp_path / "page.html", **ends) is None
    assert not shown
    assert "polymgnet report here" in capsys.readouterr().err


def test_a_study_s_labels_are_on_its_page(run, tmp_path, pages):
    """Where its grid has some: at the end of the study, and by `report`; two that are alike but for
    another key are told apart by it. Without a label network and scheme are the name."""
    file = tmp_path / "study.toml"
    file.write_text(
        f'config = "digits"\nout = "{tmp_path / "runs"}"\n[set]\nepochs = 1\nlevels = 2\n'
        'width = 2\nbatch_size = 500\ntensorboard = false\nplacement = "plain"\n[grid]\n'
        "lr = [0.01, 0.02]\n"
        'start = [{ label = "all roots 1, as ever", init = "constant" }]\n'
    )
    text = file.read_text()
    run("study", file)
    run("report", file, "--out", tmp_path / "other.html")
    names = [f"all roots 1, as ever lr={lr}" for lr in (0.01, 0.02)]
    for made in (tmp_path / "runs/report-study.html", tmp_path / "other.html"):
        runs = numbers_in(made)["comparison"]["runs"]
        assert [one["configuration"] for one in runs] == names
        page = made.read_text(encoding="utf-8")
        assert all(f"<td>{name}</td>" in page for name in names)
    file.write_text(text.replace("start = [{", "# ") + 'init = ["constant"]\n')
    run("report", file, "--out", tmp_path / "plain.html")
    runs = numbers_in(tmp_path / "plain.html")["comparison"]["runs"]
    assert [one["configuration"] for one in runs] == ["q2 constant lr=0.01", "q2 constant lr=0.02"]


@pytest.mark.parametrize("command", ["report", "figures"])
def test_of_a_run_for_reading_alone_out_is_named(refused, original, monkeypatch, command):
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
    said = refused(command, original)
    assert "is for reading alone" in said
    assert "--out writes elsewhere" in said
