"""A study trains every combination once, goes on where it was, averages over seeds, and refuses a
wrong grid before training."""

import json
import os
import signal

import pytest

from nets.training.folder import Busy
from polymgnet import study
from polymgnet.study.summary import Row, differences


@pytest.fixture
def file(study_file):
    return study_file


@pytest.fixture
def trained(monkeypatch):
    """nets.train replaced: writes a summary whose accuracy is a known function of the settings."""
    calls = []

    def train(config, out, *, resume, progress, callback, stop):
        assert not progress
        callback({"epoch": 1})
        calls.append(out.name)
        out.mkdir(parents=True)
        accuracy = (
            0.5 + 0.1 * config.train.seed + (0.2 if config.init.scheme == "constant" else 0.0)
        )
        summary = {
            "test_accuracy": accuracy,
            "val_accuracy": None,
            "seconds": 2.0,
            "images_per_second": 10.0,
        }
        (out / "summary.json").write_text(json.dumps(summary))

    monkeypatch.setattr("nets.train", train)
    return calls


def test_every_combination(document, file, trained):
    data = document("study", file)
    assert len(trained) == len(set(trained)) == len(data["runs"]) == 4
    table = {row["point"]["init.scheme"]: row for row in data["table"]}
    accuracy = table["constant"]["test_accuracy"]
    assert (accuracy["mean"], accuracy["std"]) == (pytest.approx(0.75), pytest.approx(0.1 / 2**0.5))
    # t of one degree of freedom, std / sqrt(2)
    assert accuracy["high"] - accuracy["mean"] == pytest.approx(12.7062 * 0.05, rel=1e-5)
    assert table["chebyshev4"]["test_accuracy"]["mean"] == pytest.approx(0.55)
    assert "val_accuracy" not in table["constant"]
    assert table["constant"]["runs"] == 2
    (pair,) = data["differences"]
    assert (pair["first"], pair["second"]) == ("init.scheme constant", "init.scheme chebyshev4")
    assert (pair["seeds"], pair["wins"], pair["losses"]) == (2, 2, 0)
    assert pair["difference"] == pytest.approx(0.2)


def test_dotted_keys_need_no_quotes(file, tmp_path):
    """TOML reads `optim.lr = 1` as a table; the runs and their folders are those of quoted keys."""
    quoted = study.load_study(file)
    text = file.read_text().replace('"optim.lr"', "optim.lr")
    file.write_text(text.replace('"init.scheme"', "init.scheme"))
    assert study.load_study(file).runs == quoted.runs
    file.write_text(
        f'config = "q2"\nout = "{tmp_path}"\n'
        "[set]\nmodel.width = 4\nmodel.options.kernel_size = 5\n"
        "[grid]\nmodel.name = ['q2', 'q3']\nmodel.options.groups = [1, 2]\n"
    )
    runs = study.load_study(file).runs
    assert [(run.point["model.name"], run.point["model.options.groups"]) for run in runs] == [
        *(("q2", 1), ("q2", 2), ("q3", 1), ("q3", 2))
    ]
    model = runs[3].train_config.model
    assert (model.name, model.width, model.options) == ("q3", 4, {"kernel_size": 5, "groups": 2})


def test_studies_of_one_folder_share_runs_and_have_pages_of_their_own(
    file, trained, document, monkeypatch
):
    """A run is found by its settings, wherever in the file they stand: those of a grid with another
    key, and of the same study after its grid grew."""
    asked = []
    monkeypatch.setattr(
        "polymgnet.commands.study.page_at_end", lambda runs, page, **_: asked.append(page)
    )
    document("study", file)
    first = set(trained)
    assert len(first) == 4
    for path in file.parent.glob("runs/*"):
        (path / "config.json").touch()
    text = file.read_text()
    other = file.with_name("other.toml")
    other.write_text(text.replace("width = 2\n", "").replace("seed =", "width = [2, 3]\nseed ="))
    assert len(document("study", other)["runs"]) == 8
    new = trained[4:]
    assert len(new) == 4
    assert all("width-3" in name for name in new)
    assert {run.folder.name for run in study.load_study(other).runs} == {*first, *new}
    assert asked == [file.parent / "runs" / "report-other.html"]
    assert study.load_study(file).page == file.parent / "runs" / "report-study.html"
    monkeypatch.setattr("figures.make", lambda runs, out, **_: [out])
    monkeypatch.setattr("polymgnet.commands.figures.analysed", lambda *_, **__: None)
    drawn = document("figures", other)["figures"]
    assert drawn == [str(file.parent / "runs" / "pictures-other")]
    # what the settings do not share is another run
    file.write_text(text.replace("width = 2", "width = 5"))
    assert not {run.folder.name for run in study.load_study(file).runs} & {*first, *new}


def test_exclude_leaves_out_what_agrees_with_all_its_keys(file):
    whole = [tuple(run.point.values()) for run in study.load_study(file).runs]
    given = file.read_text()
    file.write_text(given + '[[exclude]]\ninit.scheme = "chebyshev4"\nseed = [1]\n')
    runs = study.load_study(file).runs
    assert [tuple(run.point.values()) for run in runs] == [
        point for point in whole if point != ("chebyshev4", 1)
    ]
    # two tables leave out what either holds; a run that stays keeps its folder
    file.write_text(given + "[[exclude]]\nseed = 1\n[[exclude]]\n'init.scheme' = 'constant'\n")
    assert [tuple(run.point.values()) for run in study.load_study(file).runs] == [("chebyshev4", 0)]
    assert study.load_study(file).runs[0].folder == runs[-1].folder


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("model = ['q2', 'resnet8']", "scheme constant starts polynomial coefficients and resnet8"),
        ("'init.operator' = ['random', 'zebra']", "unknown operator start 'zebra'"),
        ("'init.options.zebra' = [1]", "zebra"),
        ("data = ['digits', 'zebra']", "unknown data set 'zebra'"),
        ("placement = ['regular', 'bn_operator']", "for factors of degree 2"),
        ("'init.weights' = ['nowhere']", "nowhere: no such file"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_run(refused, file, trained, grid, message):
    file.write_text(file.read_text().replace('"init.scheme" = ', f"{grid}\n'init.scheme' = "))
    assert message in refused("study", file)
    assert trained == []


def test_what_is_checked_is_each_start_and_each_seed_once(file, monkeypatch):
    """And not each run: of thousands, the most differ in the seed alone."""
    file.write_text(file.read_text().replace("[0, 1]", "[0, 1, 2, 3]"))
    checked = []
    monkeypatch.setattr("polymgnet.study.run.Run.check", lambda run, **_: checked.append(run.point))
    assert len(study.load_study(file).runs) == 8
    assert len(checked) == 2 + 4
    assert {point["init.scheme"] for point in checked} == {"constant", "chebyshev4"}
    assert {point["seed"] for point in checked} == {0, 1, 2, 3}


def test_finished_runs_are_kept_and_new_ones_added(document, file, trained):
    document("study", file)
    first = list(trained)
    document("study", file)
    assert trained == first
    file.write_text(file.read_text().replace("[0, 1]", "[0, 1, 2]"))
    assert document("study", file)["table"][0]["runs"] == 3
    assert len(trained) == 6


def test_one_failure_leaves_the_others(run, file, trained, monkeypatch):
    import nets

    good = nets.train

    def train(config, out, **options):
        if config.train.seed == 1 and config.init.scheme == "constant":
            raise FloatingPointError("loss is nan at step 3")
        good(config, out, **options)

    monkeypatch.setattr("nets.train", train)
    result = run("study", file, "--json")
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert "1 of 4 runs failed" in result.err
    assert "nan at step 3" in result.err
    assert len(json.loads(result.out)["table"]) == 2


def test_progress_is_a_line_a_run(run, file, trained, monkeypatch):
    """Off a terminal: its name, its seconds, its accuracy; every epoch where the lines come far
    apart."""
    from polymgnet import console

    names = [entry.folder.name for entry in study.load_study(file).runs]
    lines = run("study", file).err.splitlines()
    found = [
        f"{name}, 2.0 s, test accuracy {accuracy} %"
        for name, accuracy in zip(names, ("70.00", "80.00", "50.00", "60.00"))
    ]
    assert lines == [f"study {k}/4: {line}" for k, line in enumerate(found, start=1)]
    monkeypatch.setattr(console, "EVERY", 0.0)
    file.write_text(file.read_text().replace("[0, 1]", "[0, 1, 2]"))
    assert any("epoch 1/1, 0 s so far" in line for line in run("study", file).err.splitlines())


def test_table_is_printed(run, file, trained):
    out = run("study", file).out
    assert "test accuracy (%)" in out
    assert "75.0 ± 7.1" in out  # per cent, as in the lines of progress
    assert "2.00 ± 0.00" in out  # seconds
    (row,) = [
        line.split()
        for line in out.splitlines()
        if line.split()[2:4] == ["init.scheme", "chebyshev4"]
    ]
    assert row[4:6] == ["2", "20"]  # seeds, and percentage points
    assert "4 of 4 runs" in out
    assert "Differences in test accuracy" in out
    assert "init.scheme chebyshev4" in out


def test_a_run_of_another_study_is_waited_for(run, file, trained, monkeypatch):
    """Two studies over one folder: what the other is training comes last, and is not trained again
    when the other has finished it."""
    import nets

    (name, *_), train, seen = [r.folder.name for r in study.load_study(file).runs], nets.train, []

    def other(config, out, **options):
        if out.name == name and not seen:
            seen.append(out)
            raise Busy(f"{out}: another process is training in this folder")
        train(config, out, **options)
        if len(trained) == 3:
            train(config, seen[0], **options)  # the other process comes to its end

    monkeypatch.setattr("nets.train", other)
    result = run("study", file)
    assert (result.status, trained[-1], len(trained)) == (0, name, 4)
    assert "another process trains it" in result.err


@pytest.mark.parametrize(
    ("error", "status", "runs"),
    [
        (OSError(28, "No space left on device"), 1, 1),
        (Busy("in use"), 2, 1),
        (FloatingPointError("the loss is not finite at step 3"), 1, 4),
    ],
)
def test_a_process_that_fails_alone_does_not_meet_the_others_in_the_next_run(
    run, file, monkeypatch, error, status, runs
):
    """They wait for it in the run that it has left, and neither ends; a loss that is not finite all
    of them find."""
    begun = []

    def train(config, out, **_):
        begun.append(out)
        raise error

    monkeypatch.setattr("nets.train", train)
    monkeypatch.setattr("nets.training.launch.joined", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
    result = run("study", file)
    assert (result.status, len(begun)) == (status, runs)
    assert str(error.args[-1]) in result.err


def test_a_signal_between_runs_stops_a_study_in_turn(run, file, trained, monkeypatch):
    import nets

    train = nets.train

    def signalled(*args, **options):
        train(*args, **options)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("nets.train", signalled)
    result = run("study", file)
    assert result.status == 143
    assert "stopped as asked: 1 of 4 runs are finished" in result.err


def test_a_byte_order_mark_is_no_part_of_the_file(file, tmp_path):
    folders = [run.folder for run in study.load_study(file).runs]
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert [run.folder for run in study.load_study(file).runs] == folders
    file.write_text(file.read_text(encoding="utf-8-sig"), encoding="utf-16")
    with pytest.raises(ValueError, match=r"study\.toml is not TOML in UTF-8 .*save it as UTF-8$"):
        study.load_study(file)


def test_json_file(document, tmp_path, trained):
    path = tmp_path / "study.json"
    path.write_text(json.dumps({"config": "q2", "grid": {"seed": [0]}}))
    assert document("study", path, "--out", tmp_path / "elsewhere")["out"] == str(
        tmp_path / "elsewhere"
    )


def test_two_points_are_compared_over_two_shared_seeds_or_more():
    def row(name, **by_seed):
        return Row({"start": name}, {}, {"test_accuracy": by_seed}, len(by_seed))

    (found,) = differences([row("a", x=0.9, y=0.8), row("b", x=0.7, y=0.75), row("c", x=0.6)])
    assert (found["first"], found["second"], found["seeds"]) == ("start a", "start b", 2)
    assert found["difference"] == pytest.approx((0.2 + 0.05) / 2)


def test_the_number_of_test_images_is_that_of_all_runs_or_unknown():
    def count(*rows):
        return study.tested_on((None, row) for row in rows)

    known = {"test_images": 360}
    assert count(known, known, {"diverged": "at step 1"}) == 360
    assert count(known, {"test_images": 10_000}) is None
    assert count() is None
