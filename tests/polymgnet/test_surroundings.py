"""What a user's machine is set to changes no result and stops none: encodings, windows, git's
variables, readers that go away, and matplotlib's own settings."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import figures
from polymgnet import console
from polymgnet.cli import main

PYTHON = (sys.executable, "-m", "polymgnet")
# as a shell of the user's has them
VARIABLES = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one epoch."""
    run = tmp_path_factory.mktemp("runs") / "ünï"
    sets = ["epochs=1", "width=2", "tensorboard=false", "batch_size=500"]
    words = [part for value in sets for part in ("--set", value)]
    assert main(["train", "--out", str(run), *words, "--no-report", "--json"]) == 0
    return run


@pytest.fixture
def printed(monkeypatch):
    """printed(encoding, words...) -> what the command writes to a stdout of that encoding."""

    def call(encoding, *words):
        stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main([str(word) for word in words]) == 0
        stdout.flush()
        return stdout.buffer.getvalue().decode(encoding)

    return call


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16", "utf-8"])
def test_every_encoding_shows_the_report(trained, printed, encoding):
    text = printed(encoding, "analyze", trained)
    assert "training  " in text
    assert text.rstrip().endswith("report")
    assert ("µ start" in text) == (encoding != "ascii")
    assert ("? start" in text) == (encoding == "ascii")
    # files are UTF-8, whatever the terminal is
    assert "What training did" in (trained / "report" / "table.md").read_bytes().decode("utf-8")
    assert "below π/2" in (trained / "report" / "table.md").read_bytes().decode("utf-8")
    assert json.loads(printed(encoding, "analyze", trained, "--json"))["run"] == str(trained)


def test_an_encoding_of_the_users_choice_stays(monkeypatch):
    chosen = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", chosen)
    console.open_streams()
    assert chosen.errors == "backslashreplace"


def test_numbers_stay_whole_in_a_narrow_window(printed, monkeypatch):
    def residuals():
        words = printed("utf-8", "solve", "--n", 15).split()
        return [word for word in words if "e+" in word or "e-0" in word]

    wide = residuals()
    assert len(wide) > 8
    monkeypatch.setenv("COLUMNS", "10")
    assert residuals() == wide


def test_figures_are_those_of_no_settings(tmp_path, monkeypatch):
    """Of no matplotlibrc's: TeX, markers, locale and formats of the user's change no byte."""
    import matplotlib

    def drawn(name):
        assert main(["solve", "--n", "15", "--plot", str(tmp_path / name), "--json"]) == 0
        return (tmp_path / name).read_bytes()

    plain = drawn("plain.png")
    weird = {"text.usetex": True, "font.size": 3, "savefig.transparent": True}
    weird |= {"lines.marker": "x", "axes.formatter.use_locale": True, "savefig.format": "eps"}
    with matplotlib.rc_context(weird):
        assert drawn("weird.png") == plain
        assert matplotlib.rcParams["font.size"] == 3  # and are theirs again


NOTEBOOKS, FOREIGN = "module://matplotlib_inline.backend_inline_", b"font.size: 3 # \xff\n"
FIRST = f"import runpy; runpy.run_path({str(Path(figures.__file__).with_name('_matplotlib.py'))!r})"


@pytest.mark.parametrize(
    ("backend", "settings", "first"),
    [(NOTEBOOKS, b"", FIRST), ("agg", FOREIGN, FIRST), (NOTEBOOKS, FOREIGN, "import figures")],
)
def test_settings_that_stop_matplotlib_stop_no_figure(tmp_path, backend, settings, first):
    """A notebook's backend in a shell without it, a matplotlibrc in another encoding, and both."""
    (tmp_path / "matplotlibrc").write_bytes(settings)
    code = f"{first}; import os, matplotlib.pyplot; print(os.environ['MPLBACKEND'])"
    variables = {**VARIABLES, "MPLBACKEND": backend, "MPLCONFIGDIR": str(tmp_path / "own")}
    shown = subprocess.run(
        [sys.executable, "-c", code],
        **{"env": variables, "cwd": tmp_path, "capture_output": True, "text": True},
        check=False,
    )
    assert (shown.returncode, shown.stdout) == (0, f"{backend}\n"), shown.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_streams_that_nobody_reads(unbuffered):
    """A reader that goes ends the command with 141, as a shell has it, whether the pipe breaks at
    the first line or at the last; a full device fails it; an error keeps its status."""

    def shell(line):
        done = subprocess.run(
            ["bash", "-c", line.format(f"{sys.executable} -m polymgnet")],
            env={**VARIABLES, "PYTHONUNBUFFERED": unbuffered},
            **{"capture_output": True, "text": True},
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    assert shell("{} --help | true; exit ${{PIPESTATUS[0]}}") == (141, "", "")
    assert shell("{} solve --n x 2>&-") == (2, "", "")
    assert shell("{} --version >&-") == (0, "", "")
    if Path("/dev/full").exists():
        full = "polymgnet: No space left on device\n"
        assert shell("{} --version > /dev/full") == (1, "", full)
        assert shell("{} solve --n x 2> /dev/full") == (2, "", "")


@pytest.mark.parametrize(
    "name", ["config.json", "init.json", "summary.json", "metrics.csv", "data.json"]
)
def test_byte_order_marks_in_a_run(trained, tmp_path, name):
    """As some editors write them before UTF-8."""
    from analysis.runs.records import read_run, tested_on

    run = shutil.copytree(trained, tmp_path / "run")
    before = read_run(run)
    (run / name).write_bytes(b"\xef\xbb\xbf" + (run / name).read_bytes())
    after = read_run(run)
    assert (after.config, after.init, after.summary) == (before.config, before.init, before.summary)
    assert after.metrics.equals(before.metrics)
    assert tested_on(run) == tested_on(trained)
