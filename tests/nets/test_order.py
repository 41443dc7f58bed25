"""The folders of nets build on one another in one order, lazy imports and those for types alone
counted."""

import ast
from pathlib import Path

import nets

ROOT = Path(nets.__file__).parent
# what a folder may import beside itself
BELOW = {
    "settings": set(),
    "defaults": set(),
    "config": {"settings"},
    "models": set(),
    "start": {"settings", "defaults", "models"},
    "data": {"settings"},
    "fast": {"settings", "models"},
    "training": {"settings", "defaults", "config", "models", "start", "data", "fast"},
    "pde": {"defaults", "models"},
}


def imports(path):
    """(line, dotted name) of everything of nets that a file imports, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names = [node.module]
            if node.module == "nets":
                names = [f"nets.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "nets")


def test_folders_build_on_one_another_in_one_order():
    parts = {path.stem if path.is_file() else path.name for path in ROOT.iterdir()}
    assert parts - {"__init__", "__pycache__", "py", "recipes", "pretrained"} == set(BELOW)
    wrong = []
    for path in ROOT.rglob("*.py"):
        part = path.relative_to(ROOT).with_suffix("").parts[0]
        if part == "__init__":
            continue
        for line, name in imports(path):
            other = [*name.split("."), ""][1]
            if other != part and other not in BELOW[part]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong
