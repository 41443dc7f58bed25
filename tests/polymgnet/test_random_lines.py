"""Random command lines: whatever stands in one, a command is done, fails or refuses, without a
traceback; a refusal is one line. The options come from the commands themselves, so that a new one
is covered unasked.

    python tests/polymgnet/test_random_lines.py [LINES] [SEED]

runs many of them, with a trained run and with what takes seconds, and lists the lines that end
otherwise.
"""

import contextlib
import io
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse as sp
import typer

from mgtheory import derive, poisson
from mgtheory.families import FAMILIES
from mgtheory.problems.catalogue import PROBLEMS
from mgtheory.smoothers import SMOOTHERS
from polymgnet.cli import app, main
from polymgnet.commands import COMMANDS, register

NAMES = tuple(name for name in COMMANDS if name != "demo")  # which trains, whatever stands beside
SIZED = ("solve", "lfa", "compare-smoothers")  # by default large
# half a second or more each, and seconds with a run: they come in one round of `EVERY`
RARE = ("compare-smoothers", "lfa", "models", "analyze", "figures", "report")
EVERY = 30
HOSTILE = ("-1", "0", "1e999", "nan", "abc", "١٢", "1,2", "a/b", "--", "-x", "%s\n", "é" * 300)
FILES = ("init.json", "A.mtx", "A.npz", "b.npy", "points.txt", "study.toml", "config.json", "empty")
FILES += ("missing", "folder", "damaged.json", "x.png", "hostile.toml", "date.toml", "Z.mtx")
OUT = ("out.json", "out.npy", "out.png", "out.onnx", "out.html", "new", "folder", "missing/x.json")
# option -> good values; a path that is read or written, where none stands here
GOOD = {
    "--family": tuple(FAMILIES),
    "--degree": ("1", "2", "3", "4", "7"),
    "--smoother": tuple(SMOOTHERS),
    "--problem": tuple(PROBLEMS),
    "--boundary": ("dirichlet", "neumann", "periodic"),
    "--n": ("1", "2", "5", "8", "15"),
    "--matrix": ("A.mtx", "A.npz", "Z.mtx"),
    "--shape": ("15x15", "225", "15x", "3x75", "0x0", "1x1x1x1"),
    "--rhs": ("b.npy",),
    "--init": ("init.json",),
    "--cycle": ("V", "W", "F", "FMG"),
    "--coarsening": ("rediscretise", "galerkin", "pyamg"),
    "--restriction": ("full", "half", "injection", "cells"),
    "--axes": ("auto", "all", "x", "xy", "zz"),
    "--pre": ("0", "1", "2"),
    "--post": ("0", "1", "2"),
    "--tol": ("1e-2", "1e-6", "1", "0"),
    "--atol": ("0", "1", "1e-300"),
    "--maxiter": ("0", "1", "8"),
    "--backend": ("sparse", "torch"),
    "--krylov": ("cg", "minres", "gmres"),
    "--interval": ("0.1 8", "0 1", "8 0.1", "1e-300 1e300", "-1 1"),
    "--lmax": ("8", "1e-300", "1e300"),
    "--points": ("points.txt",),
    "--amplification": ("1.5", "8", "1"),
    "--degrees": ("1", "1-2", "2,1", "2-1"),
    "--repeats": ("1",),
    "--jobs": ("1",),
    "--engine": ("local",),
    "--scale": ("small", "none"),
    "--to": ("torch",),
    "--part": ("train", "test", "all"),
    "--data": ("digits", "folder:folder", "folder:missing", "nothing"),
    "--size": ("8", "1"),
    "--channels": ("1", "3"),
    "--classes": ("1", "10"),
    "--width": ("2", "3"),
    "--set": (
        "epochs=1",
        "lr=0.1",
        "train.epochs.x=1",
        "width",
        "=",
        "seed=-1",
        "a.b.c=[1,",
        "x=1",
    ),
    "NAME|FILE": ("q2", "digits", "config.json", "damaged.json"),
    "NAME": ("q2", "q16", "resnet8", "q0", "g6"),
    "FILE": ("study.toml", "hostile.toml", "date.toml", "damaged.json"),
    "RUN": ("folder", "missing", "broken"),
    "IMAGE": ("x.png", "folder", "missing"),
    "RUN|STUDY|DEMO": ("folder", "missing", "broken", "study.toml", "hostile.toml"),
}
# refused, whatever stands beside it: no line trains
REFUSED = (
    *("--set train.epochs.x=1", "--set nothing=1", "--set lr=nan", "--set epochs=-3"),
    *("--data folder:missing", "--config missing", "--config damaged.json", "--out init.json"),
)
STUDY = """kind = "smoother"
out = "runs"
[grid]
degree = [1, 2]
smoother = ["chebyshev", "richardson"]
[set]
problem = "poisson1d"
n = 7
"""


def furnish(folder):
    """What the lines name, in a folder of their own."""
    os.chdir(folder)
    A = poisson((15, 15)).A
    derive("chebyshev4", 2, poisson((15, 15))).save("init.json")
    scipy.io.mmwrite("A.mtx", A)
    scipy.io.mmwrite("Z.mtx", A.astype(complex))
    sp.save_npz("A.npz", sp.csr_array(A))
    np.save("b.npy", np.arange(225.0))
    for name, text in {
        "points.txt": "1 2\n1 -2\n3\n",
        "study.toml": STUDY,
        "date.toml": STUDY + "seed = 2026-11-28\n",
        "hostile.toml": '[grid]\nx = 3\n[set]\n"a.b" = {}\n',
        "config.json": '{"train": {"epochs": 1}}',
        "damaged.json": '{"kind": [[[',
        "empty": "",
        "x.png": "no picture",
        "broken/config.json": "[]",
        "folder/notes": "",
    }.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)


class Lines:
    """Lines of words, the same for one seed.

    Parameters
    ----------
    runs
        Run folders, for what takes seconds with one; without, the lines are quick.
    """

    def __init__(self, seed, runs=()):
        self.random, self.runs = random.Random(seed), tuple(map(str, runs))
        register(app)
        self.commands = typer.main.get_command(app).commands

    def value(self, name):
        """The words of a value: most often a good one, or one for another option, or a hostile
        one."""
        good = GOOD.get(name, OUT if name in ("--out", "--plot", "--report") else FILES)
        if "RUN" in name and self.runs and self.random.random() < 0.7:
            good = self.runs
        kind = self.random.random()
        if kind < 0.85:
            return self.random.choice(good).split()
        return [self.random.choice(FILES if kind < 0.9 else HOSTILE)]

    def line(self, name):
        """The words of a line of that command."""
        words, command = [], self.commands[name]
        for param in command.params:
            argument = param.param_type_name == "argument"
            key = param.metavar if argument else max(param.opts, key=len)
            often = 0.95 if param.required or argument else 0.1
            if key == "--traceback" or (name == "compare-smoothers" and key == "--family"):
                continue  # all families take seconds
            if name == "figures" and key == "--theory" and not self.runs:
                continue
            while self.random.random() < often:
                flag = getattr(param, "is_flag", False)
                part = [] if argument else [key]
                words.append(part if flag else [*part, *self.value(key)])
                often = 0.15 if param.multiple or param.nargs != 1 else 0.02
        if name == "compare-smoothers":
            words.append(["--family", self.random.choice(GOOD["--family"]), "--repeats", "1"])
            words.append(["--degrees", self.random.choice(("1", "2"))] if not self.runs else [])
        if not any(part[:1] in (["--n"], ["--matrix"]) for part in words) and name in SIZED:
            words.append(["--n", self.random.choice(GOOD["--n"])])
        if name == "models":  # all of them take seconds
            words.append([self.random.choice(GOOD["NAME"])])
        self.random.shuffle(words)
        flat = [word for part in words for word in part]
        if flat and self.random.random() < 0.05:
            del flat[self.random.randrange(len(flat))]
        if name == "train":  # of an option that is given twice the last one counts
            flat = [word for word in flat if word not in ("--resume", "--help", "--")]
            flat += self.random.choice(REFUSED).split()
        return [name, *flat]

    def __call__(self, count):
        """That many lines, of all commands in turn."""
        for k in range(count):
            name = NAMES[k % len(NAMES)]
            rarely = name in RARE and k // len(NAMES) % EVERY
            yield self.line("solve" if rarely else name)


def ending(words):
    """Exit status, and what is wrong with how a line ends; empty where nothing is."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(words)
    said = err.getvalue()
    if status not in (0, 1, 2):
        return status, f"status {status}: {said}"
    if "Traceback" in said + out.getvalue() or "internal error" in said:
        return status, said
    if status == 2 and (said.count("\n") != 1 or not said.endswith("\n")):
        return status, f"{said.count(chr(10))} lines: {said}"
    if status == 0 and "--json" in words and not {"-h", "--help"} & {*words}:
        try:
            json.loads(out.getvalue())
        except ValueError as error:
            return status, f"no JSON document: {error}"
    return status, ""


def run(lines, *, show=False):
    """Counts of (command, status), and the lines that end wrongly with what they said."""
    counts, wrong = Counter(), []
    for k, words in enumerate(lines):
        if show and k % 100 == 0:
            print(f"{k} lines", flush=True)
        began = time.process_time()
        status, said = ending(words)
        counts[words[0], status] += 1
        if said:
            wrong.append((words, said))
        if show and (said or time.process_time() - began > 10):
            print(f"{time.process_time() - began:.1f} s", words, said, flush=True)
    return counts, wrong


def test_random_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path)
    counts, wrong = run(Lines(0)(180))
    assert not wrong
    assert {name for name, _ in counts} == set(NAMES)
    # lines that are all refused at their first word would test nothing
    done = {name for name, status in counts if status == 0}
    assert done >= {"derive", "solve", "lfa", "config", "study"}
    assert all(status == 2 for name, status in counts if name == "train")


if __name__ == "__main__":
    count, seed = (int(word) for word in [*sys.argv[1:], "2500", "1"][:2])
    with tempfile.TemporaryDirectory() as folder:
        furnish(folder)
        few = ["epochs=1", "width=2", "tensorboard=false", "batch_size=500"]
        sets = [word for value in few for word in ("--set", value)]
        assert (
            main(["train", "--config", "digits", "--out", "run", *sets, "--no-report", "--json"])
            == 0
        )
        counts, wrong = run(Lines(seed, runs=["run"])(count), show=True)
    for key, number in sorted(counts.items()):
        print(*key, number)
    print(f"{len(wrong)} of {count} lines end wrongly")
    sys.exit(bool(wrong))
