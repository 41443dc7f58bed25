"""A study trains every combination once, goes on where it was, averages over seeds, and refuses a
wrong file before training."""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from pathlib import Path

import pytest

from nets.training.folder import Busy
from polymgnet import study
from polymgnet.errors import Failure
from polymgnet.study.queue import End
from polymgnet.study.rows import Rows
from polymgnet.study.slurm import error_of

FILE = """
config = "q2"
out = "{out}"
[set]
epochs = 1
width = 2
tensorboard = false
"optim.lr" = 0.05
[grid]
"init.scheme" = ["constant", "chebyshev4"]
seed = [0, 1]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(FILE.format(out=tmp_path / "runs"))
    return path


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
    text = FILE.format(out=tmp_path / "runs").replace('"optim.lr"', "optim.lr")
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


@pytest.fixture
def one_run(file):
    file.write_text(
        file.read_text().replace('"constant", "chebyshev4"', '"constant"').replace("[0, 1]", "[0]")
    )


def _kill(count):
    """Kills the next workers of this process as they appear."""

    def kill():
        killed = set()
        while len(killed) < count:
            for child in multiprocessing.active_children():
                if child.pid not in killed:
                    os.kill(child.pid, signal.SIGKILL)
                    killed.add(child.pid)
            time.sleep(0.01)

    threading.Thread(target=kill, daemon=True).start()


def test_a_worker_that_is_killed_twice_fails_its_run(run, file, one_run):
    _kill(2)
    result = run("study", file, "--jobs", 2)
    assert result.status == 1
    assert "its process was killed; it is tried again" in result.err
    assert "its process was killed twice, as for want of memory" in result.err


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


def test_no_other_error_is_taken_for_another_study(run, file, one_run, monkeypatch):
    """Where no process can be started or a terminal takes no more, the run fails, as ever."""

    def train(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("nets.train", train)
    result = run("study", file)
    assert result.status == 1
    assert "Resource temporarily unavailable" in result.err


def test_real_training_in_processes(document, file, one_run, monkeypatch):
    """A process of its own trains for real, in a Slurm job too; nothing is missing afterwards,
    though one was killed on its way, and one before it had a run."""
    monkeypatch.setenv("SLURM_NTASKS", "4")
    submit, gone = ProcessPoolExecutor.submit, []

    def submit_to_the_second(pool, *work):
        if not gone:
            gone.append(pool)
            raise BrokenProcessPool
        return submit(pool, *work)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit_to_the_second)
    _kill(1)
    data = document("study", file, "--jobs", 2)
    assert data["failed"] == {}
    assert (
        study.tested_on(study.load_study(file).results) == 359
    )  # of the digits, counted by the run
    assert all(0 <= entry["summary"]["test_accuracy"] <= 1 for entry in data["runs"])
    assert study.load_study(file).missing == ()


def _alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _study(file, said):
    """As `python -m polymgnet study`, where Ctrl-C works though a shell started the tests in the
    background."""
    from polymgnet.cli import main

    os.setsid()
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os._exit(main(["study", str(file), "--jobs", "2"]))


@pytest.mark.parametrize(
    ("number", "count"), [(signal.SIGTERM, 2), (signal.SIGINT, 1), (signal.SIGKILL, 1)]
)
def test_a_signal_to_the_study_reaches_its_workers(forked, file, tmp_path, number, count):
    """SIGTERM: each worker saves and ends, and one line says how to go on; so does SIGINT, which a
    terminal sends to all of them.

    SIGKILL: the workers save and end by themselves.
    """
    file.write_text(
        file.read_text()
        .replace("epochs = 1", 'epochs = 4000\n"model.levels" = 2')
        .replace("[0, 1]", str(list(range(count))))
        .replace('"constant", "chebyshev4"', '"constant"')
    )
    folders = [entry.folder for entry in study.load_study(file).runs]
    process = forked(_study, file, tmp_path / "said")
    while not all(
        (folder / "metrics.csv").exists() and (folder / "metrics.csv").stat().st_size
        for folder in folders
    ):
        assert process.is_alive()
        time.sleep(0.05)
    workers = [
        int(pid)
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    process.join(60)
    status = process.exitcode
    until = time.monotonic() + 60
    while any(map(_alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(workers) >= count
    assert not any(map(_alive, workers))
    for folder in folders:
        # by the stop alone: the next one was due at the end
        assert list((folder / "checkpoint").glob("step-*.safetensors"))
        assert not (folder / "summary.json").exists()
    ends = {
        signal.SIGTERM: (
            f"stopped as asked: 0 of {count} runs are finished, the states of those on their way"
            " are saved; the same command goes on"
        ),
        signal.SIGINT: (
            "interrupted; finished work and the last checkpoints are kept, the same command goes on"
        ),
    }
    if number in ends:
        assert status == 128 + number
        *progress, last = (tmp_path / "said").read_text().splitlines()
        assert last == f"polymgnet: {ends[number]}"
        assert all(line.startswith(f"study 0/{count}: {count} on their way, ") for line in progress)
    else:
        assert status == -number


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


# Slurm's commands, as a cluster in which every job has run by the time it is queued
STAND_IN = {
    "sbatch": """
for word; do
  case $word in
    --test-only) exit 0 ;;
    --array=0-*) last=${word#--array=0-} ;;
    --output=*) output=${word#--output=} ;;
  esac
done
job=$(($(wc -l < jobs) + 1))
for task in $(seq 0 $last); do
  log=${output/\\%A/$job}
  SLURM_JOB_ID=$job SLURM_ARRAY_TASK_ID=$task bash $word > ${log/\\%a/$task} 2>&1
  status=$?
  [ $status = 0 ] && state=COMPLETED || state=FAILED
  echo "${job}_$task|$state|None|$word|$status" >> jobs
done
echo $job
""",
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"',
    "squeue": "cut -d'|' -f1-4 jobs",
    "scontrol": """
while IFS='|' read job state reason script status; do
  [ "$3" = $job ] && echo JobId=7 JobState=$state ExitCode=$status:0 Command=$script WorkDir=/
done < jobs
true
""",
    "scancel": "exit 1",
}


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").touch()
    (tmp_path / "bin").mkdir()
    for name, text in STAND_IN.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/bash\n{text}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr("polymgnet.study.queue.WAIT", 600)


def test_slurm_path_in_local_processes(file, stand_in):
    """The Slurm engine with commands that stand in for Slurm's: submits once, waits, and finds
    everything done the second time."""
    file.write_text(
        file.read_text().replace('"constant", "chebyshev4"', '"constant"').replace("[0, 1]", "[0]")
    )
    plan = study.load_study(file)
    assert study.run_slurm(plan, poll=0.2) == {}
    assert plan.missing == ()
    book = (plan.out / "jobs.json").read_text()
    assert list(json.loads(book).values()) == ["1_0"]
    assert study.run_slurm(plan, poll=0.2) == {}
    assert (plan.out / "jobs.json").read_text() == book


def test_a_diverged_job_has_its_row(tmp_path, stand_in):
    """By the last line of its log, in which an earlier error may stand too."""
    file = tmp_path / "study.toml"
    text = FILE.format(out=tmp_path / "runs").replace('"constant", "chebyshev4"', '"constant"')
    text = text.replace("[0, 1]", "[0]").replace('lr" = 0.05', 'lr" = 1e30')
    file.write_text('rows = "rows"\n' + text)
    plan = study.load_study(file)
    failed = study.run_slurm(plan, poll=0.2)
    (name,) = failed
    assert failed[name].startswith("FloatingPointError: ")
    (row,) = Rows(tmp_path / "rows" / "study.jsonl").known.values()
    assert "not finite" in row["diverged"]
    assert "\n" not in row["diverged"]
    assert study.load_study(file).missing == ()

    log = tmp_path / "log"
    log.write_text("FloatingPointError: x\nDuring its handling:\npolymgnet: OSError: disk full\n")
    error = error_of(End("1_0", "FAILED", "1:0"), log)
    assert isinstance(error, Failure)
    assert str(error) == (
        "job 1_0 failed (state FAILED, exit code 1); last line: OSError: disk full; log " + str(log)
    )


@pytest.mark.parametrize(
    ("lines", "devices"),
    [
        ("ntasks_per_node = 2", (2, 1)),
        ('gpus_per_node = "a100:4"', (4, 1)),
        ("gpus-per-node = 2\nnodes = 3", (2, 3)),
        ("gpus_per_node = 1", (1, 1)),
        ('mem = "1G"', (1, 1)),
    ],
)
def test_devices_of_jobs_are_those_of_runs(file, lines, devices):
    """One line of [slurm]; where the file says train.devices itself, that stands."""
    text = file.read_text()
    before = {run.digest for run in study.load_study(file).runs}
    file.write_text(f"{text}[slurm]\n{lines}\n")
    plan = study.load_study(file, check=False)
    assert {run.devices for run in plan.runs} == {devices}
    assert (before == {run.digest for run in plan.runs}) == (devices == (1, 1))
    file.write_text(file.read_text().replace("[grid]", '"train.devices" = 3\n[grid]'))
    assert {run.devices for run in study.load_study(file, check=False).runs} == {(3, devices[1])}


WRONG = {
    "not toml": ("config = ", "is not TOML"),
    "unknown key": ('config = "q2"\nout = "x"\nnonsense = 1', "nonsense"),
    "no config": ('out = "x"', "config is None"),
    "no out": ('config = "q2"', "out is None"),
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
    "twice": ('config = "q2"\nout = "x"\n[grid]\nseed = [1, 1]', "same run twice"),
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
    assert said in refused("study", path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["study.toml"]


def test_slurm_where_there_is_none(file, monkeypatch):
    plan = study.load_study(file)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(
        ValueError, match=r"engine slurm needs Slurm's commands .* allowed here is local"
    ):
        study.run_slurm(plan)
    assert not plan.out.exists()


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
