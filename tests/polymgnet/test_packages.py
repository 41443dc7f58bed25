"""Files and folders of the user's that are named like a package of the product: the command runs
its own, Python code is told which file hides which, and a plain folder hides nothing."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import polymgnet
from mgtheory import families
from polymgnet.packages import OWN, PACKAGES, prefer_own

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("polymgnet", *PACKAGES)


def python(folder, *words, **more):
    """Python in a folder, with the product found as it is here."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def crowded(tmp_path):
    """A folder with a file or a package of every name, each of which fails when it is imported."""
    for name in ("nets", "analysis", "figures"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong file')\n")
    (tmp_path / "mgtheory").mkdir()
    (tmp_path / "mgtheory" / "__init__.py").write_text("raise RuntimeError('the wrong folder')\n")
    return tmp_path


def test_the_command_runs_its_own_packages(crowded):
    """One after another in one process, which is quick; the study below is started as a user
    does."""
    expected = {
        "config q2": (0, "optim.lr"),
        "analyze .": (2, "not a run folder"),
        "derive --family chebyshev4 --degree 3": (0, "gamma"),
        "figures missing --out pictures": (2, "no such folder"),
    }
    code = (
        "import contextlib, io, json, sys\nfrom polymgnet.cli import main\nfound = []\n"
        "for words in sys.argv[1:]:\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "        with contextlib.redirect_stderr(io.StringIO()) as err:\n"
        "            status = main(words.split())\n"
        "    found.append([status, out.getvalue(), err.getvalue()])\n"
        "print(json.dumps(found))"
    )
    found = json.loads(python(crowded, "-c", code, *expected).stdout)
    for (status, said), (ended, out, err) in zip(expected.values(), found, strict=True):
        assert (ended, said in out + err) == (status, True), err
        assert err.count("\n") == (status != 0)


def test_workers_of_a_study_run_their_own_packages(crowded):
    (crowded / "study.toml").write_text(
        'config = "q2"\nout = "runs"\n[set]\nepochs = 1\nwidth = 2\ntensorboard = false\n'
        "[grid]\nseed = [0]\n"
    )
    words = ("-m", "polymgnet", "study", "study.toml", "--jobs", "2", "--no-report")
    done = python(crowded, *words)
    assert done.returncode == 0, done.stderr
    assert len(list(crowded.glob("runs/*/summary.json"))) == 1


def test_python_code_is_told_which_file_hides_which(tmp_path):
    (tmp_path / "analysis.py").write_text("mine = True\n")
    code = "import polymgnet\ntry:\n polymgnet.analyse\nexcept ImportError as error:\n print(error)"
    said = python(tmp_path, "-c", code).stdout
    assert said.startswith(
        str(tmp_path / "analysis.py") + " hides polymgnet's own package analysis"
    )
    assert said.count("\n") == 1
    # the user's own name stays the user's
    assert (
        python(tmp_path, "-c", "import polymgnet, analysis; assert analysis.mine").returncode == 0
    )
    # nothing of the file is run, not even to fail
    (tmp_path / "analysis.py").write_text("raise RuntimeError('the wrong file')\n")
    assert python(tmp_path, "-c", code).stdout == said
    (tmp_path / "analysis.py").write_text("mine = True\n")
    # who imported it before and then runs the command is told the same
    code = "import analysis, sys\nfrom polymgnet.cli import main\nsys.exit(main(['analyze', '.']))"
    done = python(tmp_path, "-c", code)
    assert done.returncode == 2
    assert "analysis.py hides polymgnet's own package analysis" in done.stderr
    assert done.stderr.count("\n") == 1


def test_python_code_is_told_what_hides_a_package_that_is_needed(crowded):
    """`nets` is the product's own, and imports `mgtheory`, which is not."""
    (crowded / "nets.py").unlink()
    code = "import polymgnet\ntry:\n polymgnet.load\nexcept ImportError as error:\n print(error)"
    said = python(crowded, "-c", code).stdout
    assert said.startswith(f"{crowded / 'mgtheory'} hides polymgnet's own package mgtheory in ")


def test_no_run_writes_a_folder_that_is_named_like_a_package():
    from analysis.runs.report import FOLDER
    from nets.training.folder import CONTENT
    from polymgnet import demo

    assert FOLDER in CONTENT
    assert FOLDER not in NAMES
    assert "pictures" in CONTENT
    assert "pictures" in demo.CONTENT


def test_a_plain_folder_hides_nothing_after_an_editable_install(tmp_path):
    """The wheel of an editable install puts the source tree on the path, where a package comes
    before a folder without __init__.py, wherever it is."""
    pytest.importorskip("setuptools", minversion="77")
    source, site, here = tmp_path / "source", tmp_path / "site", tmp_path / "here"
    for name in NAMES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        (here / name).mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = (
        "import sys; from setuptools.build_meta import build_editable as b; print(b(sys.argv[1]))"
    )
    made = subprocess.run(
        [sys.executable, "-c", build, str(site)], cwd=source, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    (wheel,) = site.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    # -S: without the site-packages of this Python, in which the product is installed too
    code = (
        f"import importlib.util, site; site.addsitedir({str(site)!r})\n"
        f"for name in {NAMES}: print(importlib.util.find_spec(name).origin)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(source / name / "__init__.py") for name in NAMES], (
        done.stderr
    )


def test_the_public_surface_is_offered_lazily():
    """Every name is there, is the package's own object, and nothing heavy is loaded before it is
    asked for."""
    code = (
        "import sys, polymgnet\n"
        "assert not {'torch', 'numpy', 'matplotlib', 'typer', 'mgtheory'} & set(sys.modules)\n"
        "assert {'derive', 'train', 'analyse', 'draw_spectrum'} <= set(dir(polymgnet))\n"
        "assert polymgnet.derive('chebyshev4', 1, 1.0).degree == 1\n"
        "assert not {'torch', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "assert polymgnet.compare_smoothers is not None\n"
        "assert not {'torch', 'matplotlib', 'pandas'} & set(sys.modules)\n"
        "from polymgnet import study, demo\n"
        "assert type(study) is type(demo) is type(sys)\n"
    )
    assert python(ROOT, "-c", code).stderr == ""


@pytest.mark.parametrize("package", polymgnet._OFFERED)
def test_what_is_offered_is_the_packages_own(package):
    home = importlib.import_module(package)
    names = polymgnet._OFFERED[package]
    assert {name for name in home.__all__ if name.startswith("draw_")} <= set(names)
    for name in names:
        assert name in home.__all__
        assert getattr(polymgnet, name) is getattr(home, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'zebra'"):
        polymgnet.zebra  # noqa: B018


OWN_PARTS = """
import numpy as np
import mgtheory
from mgtheory.families import Family, register

def halves(degree, *, lmax):
    return mgtheory.ResidualPolynomial(lmax / 2.0 ** np.arange(degree))

register(Family("halves", halves, "lmax", "an example"))
"""


@pytest.fixture
def own_parts(tmp_path, monkeypatch):
    """A file that registers a family, which is taken out again."""
    monkeypatch.setenv(OWN, "")
    monkeypatch.setitem(families.FAMILIES, "halves", None)
    del families.FAMILIES["halves"]
    yield tmp_path / "parts.py"
    sys.modules.pop("polymgnet_own_parts", None)


def test_a_file_of_one_s_own_is_run_before_the_command(own_parts, document, run, refused):
    """Its family is known to the command, to help, and to processes that this one starts."""
    own_parts.write_text(OWN_PARTS)
    words = ("lfa", "--family", "halves", "--degree", 2)
    assert "unknown" in refused(*words)
    assert "halves" not in run("derive", "--help").out
    found = document("--import", own_parts, *words)
    assert found["smoothing_factor"] == pytest.approx(0.375)  # (1 - 1/4) (1 - 2/4), at b/4
    assert os.environ[OWN] == str(own_parts)
    first = sys.modules["polymgnet_own_parts"]
    assert document("--import", own_parts, *words) == found  # once in a process
    assert sys.modules["polymgnet_own_parts"] is first
    del families.FAMILIES["halves"], sys.modules["polymgnet_own_parts"]
    prefer_own()  # as a worker begins
    assert "halves" in families.FAMILIES
    assert "halves" in " ".join(run("derive", "--help").out.replace("│", " ").split())


def test_a_file_of_one_s_own_that_fails_is_named(own_parts, refused, monkeypatch):
    assert "no file" in refused("--import", own_parts, "models")
    failing = {
        "1 / 0": "ZeroDivisionError: division",
        "x = (": "SyntaxError: ",
        "raise SystemExit(0)": "SystemExit: 0",  # which would have ended the command
    }
    for text, said in failing.items():
        own_parts.write_text(text)
        assert f"--import {own_parts}: {said}" in refused("--import", own_parts, "models")
    text = own_parts.with_suffix(".txt")
    text.touch()
    assert "ends in .py" in refused("--import", text, "models")
    assert os.environ[OWN] == ""
    with monkeypatch.context() as within:
        within.setenv(OWN, str(text))
        with pytest.raises(ValueError, match=f"^{OWN}={text}: no Python file"):
            prefer_own()
    assert "before the command" in refused("models", "--import", own_parts)
