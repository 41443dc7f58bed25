"""The examples run as they stand, in a folder of their own: their assertions hold, they print their
number and draw their picture. They are short, and the table of their README names each.

`make examples` installs what the optional ones need; without it these are skipped.
"""

import ast
import re
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
# package that an example imports -> what it needs beside the extra `dev`
NEEDS = {"lightning": ["lightning"], "onnxruntime": ["onnx", "onnxruntime", "onnxscript"]}
TABLE = re.findall(r"^\| \[(\w+\.py)\]\(\1\) \|", (FOLDER / "README.md").read_text("utf-8"), re.M)
LONGEST = {"12_plain_pytorch": 100}


def imported(tree):
    """Names of the packages that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_every_example_is_in_the_table():
    assert [path.name for path in EXAMPLES] == TABLE
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("package", ["lightning", "onnxruntime", "onnxscript", "pyamg"])
def test_an_example_says_what_it_needs_in_one_line(package, monkeypatch):
    """It ends at once, before anything is computed."""
    (path,) = [one for one in EXAMPLES if package in imported(ast.parse(one.read_text("utf-8")))]
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    if package == "onnxscript":
        monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(path), run_name="__main__")
    assert re.fullmatch(r"this example needs \w+: pip install .*", str(end.value))
    assert package in str(end.value)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, tmp_path, monkeypatch, capsys):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree).startswith("# ")
    assert "Expect" in ast.get_docstring(tree)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    assert 20 <= len([line for line in text.splitlines() if line]) <= LONGEST.get(path.stem, 60)
    needed = [name for package in imported(tree) for name in NEEDS.get(package, [])]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: `make examples` does, and runs all")
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    try:
        runpy.run_path(str(path), run_name="__main__")
        picture = pyplot.imread(f"{path.stem}.png")
    finally:
        pyplot.close("all")
    assert picture.std() > 0.02  # not blank
    assert re.search(r"\d", capsys.readouterr().out)
