"""Imports go one way, mgtheory <- nets <- analysis <- figures <- polymgnet, and nothing heavy is
loaded before it is needed."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mgtheory", "nets", "analysis", "figures", "polymgnet")
MGTHEORY_MAY_USE = {"numpy", "scipy", "sympy", "numba", "pyamg"}


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imported(path):
    """(line, full name, whether it runs at import) of everything the file imports, also inside
    functions and for types alone."""
    return list(_imported(path))


def _imported(path):
    tree = parsed(path)
    inside = {
        id(n)
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(f, ast.If) and ast.unparse(f.test) == "TYPE_CHECKING")
        for n in ast.walk(f)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, id(node) not in inside
        elif isinstance(node, ast.ImportFrom):
            package = (
                path.relative_to(ROOT).with_suffix("").parts[: -node.level or None]
                if node.level
                else ()
            )
            yield (
                node.lineno,
                ".".join([*package, *([node.module] if node.module else [])]),
                id(node) not in inside,
            )


def top(name):
    return name.split(".")[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_direction(package):
    above = set(PACKAGES[PACKAGES.index(package) + 1 :])
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources(package)
        for line, name, _ in imported(path)
        if top(name) in above
    ]
    assert not wrong


def test_packages_have_files():
    assert all(sources(package) for package in PACKAGES)


def test_mgtheory_uses_numpy_scipy_sympy_alone():
    allowed = MGTHEORY_MAY_USE | {"mgtheory"} | set(sys.stdlib_module_names)
    wrong = [
        f"{p.name}:{line} imports {name}"
        for p in sources("mgtheory")
        for line, name, _ in imported(p)
        if top(name) not in allowed
    ]
    assert not wrong


def test_numba_and_pyamg_have_one_home():
    homes = {"numba": "matrixfree", "pyamg": "mgtheory/multigrid/aggregates.py"}
    wrong = [
        f"{p.relative_to(ROOT)}:{line}"
        for package in PACKAGES
        for p in sources(package)
        for line, name, _ in imported(p)
        if top(name) in homes and homes[top(name)] not in str(p.relative_to(ROOT))
    ]
    assert not wrong


def test_matplotlib_only_in_figures():
    wrong = [
        f"{p.relative_to(ROOT)}:{line}"
        for package in set(PACKAGES) - {"figures"}
        for p in sources(package)
        for line, name, _ in imported(p)
        if top(name) == "matplotlib"
    ]
    assert not wrong


def test_cli_defers_heavy_imports():
    """The command line imports the other packages inside the functions that use them: --help is
    quick."""
    light = {"polymgnet", "typer", "rich"} | set(sys.stdlib_module_names)
    wrong = [
        f"{p.relative_to(ROOT)}:{line} imports {name}"
        for p in sources("polymgnet")
        for line, name, at_import in imported(p)
        if at_import and top(name) not in light
    ]
    assert not wrong


def loaded_after(code):
    """Top-level modules in sys.modules after running the code in a fresh process."""
    end = "\nimport sys; print('|'.join(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code + end],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split("|"))


def test_import_mgtheory_is_light():
    assert not loaded_after("import mgtheory") & {
        "pyamg",
        "torch",
        "matplotlib",
        "numba",
        "rich",
        "pandas",
        "sklearn",
    }


def test_cli_help_is_light():
    loaded = loaded_after("from polymgnet.cli import main; assert main(['--help']) == 0")
    assert not loaded & {"torch", "matplotlib", "numba", "numpy", "scipy", "sympy"}


def test_derive_is_light():
    loaded = loaded_after(
        "from polymgnet.cli import main; assert main('derive --family chebyshev4 --degree 3"
        " --interval 0.1 8 --json'.split()) == 0"
    )
    assert not loaded & {"torch", "matplotlib", "numba", "lightning_fabric", "pandas", "sklearn"}


def test_pages_of_theory_need_no_torch():
    """Of `solve`, `lfa` and `compare-smoothers` --report: no file that they import, with its
    packages, imports torch or pandas when it is imported."""
    names, seen = files(), set()
    todo = [f"figures.page.{name}" for name in ("solving", "fourier", "comparing")]
    while todo:
        name = todo.pop()
        above = [name.rpartition(".")[0]] if "." in name else []
        if name in seen or name not in names:
            todo += above
            continue
        seen.add(name)
        wanted = [full for _, full, at_import in imported(names[name]) if at_import]
        assert not {"torch", "pandas"} & set(map(top, wanted)), name
        todo += [*wanted, *above]
    assert {"figures", "figures.style", "figures.page.traces", "mgtheory.fourier"} <= seen


# ------------------------------------------------------- chapters and files of one package

# The order in which a book would tell it: what stands further left knows nothing of the right.
CHAPTERS = {
    "mgtheory": [
        ("_checks", "_files", "_frozen", "_html"),
        ("spectra",),
        ("polynomials",),
        ("problems",),
        ("families",),
        ("smoothers",),
        ("fourier",),
        ("export",),
        ("derive",),
        ("multigrid",),
        ("matrixfree",),
        ("solving",),
        ("comparison",),
        ("verification",),
    ],
    "nets": [
        ("settings", "defaults", "config"),
        ("models",),
        ("start",),
        ("data",),
        ("fast",),
        ("training",),
        ("pde",),
    ],
    "analysis": [("numbers", "stats"), ("levels",), ("runs",), ("along",), ("studies",)],
    "figures": [
        ("_matplotlib",),
        ("legends",),
        ("given", "style"),
        ("names", "curves", "damping", "polynomials", "spectra"),
        ("gallery", "runs", "studies"),
        ("registry",),
        ("page",),
    ],
    "polymgnet": [
        ("packages", "wording", "options", "console"),
        ("errors",),
        ("backends", "matrices", "study", "systems"),
        ("demo", "pretrained", "torchrun"),
        ("commands",),
        ("cli",),
        ("__main__",),
    ],
}


def files():
    """Dotted name -> path of every file of the product and its benchmarks."""
    found = {}
    for package in (*PACKAGES, "benchmarks"):
        for path in sources(package):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def known_as(name, names):
    """The file that a dotted name stands in: itself or the nearest package above."""
    while name and name not in names:
        name = name.rpartition(".")[0]
    return name


@cache
def edges():
    """File -> the files it imports, lazily and for types alone too; a package's own files excepted,
    which its `__init__` may gather."""
    names = files()
    bench = {name.rpartition(".")[2]: name for name in names if name.startswith("benchmarks.")}
    graph = {name: set() for name in names}
    for name, path in names.items():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Import):
                wanted = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
                wanted = [
                    f"{base}.{a.name}" if f"{base}.{a.name}" in names else base for a in node.names
                ]
            else:
                continue
            for one in wanted:
                if name.startswith("benchmarks."):
                    one = bench.get(one, one)
                target = known_as(one, names)
                if target and target != name and not name.startswith(target + "."):
                    graph[name].add(target)
    return graph


def test_no_circle_between_files():
    """A depth-first walk meets no file that it is still inside of."""
    graph, done, circles = edges(), set(), []

    def walk(name, inside):
        if name in inside:
            circles.append([*inside[inside.index(name) :], name])
        elif name not in done:
            for other in sorted(graph[name]):
                walk(other, [*inside, name])
            done.add(name)

    for name in graph:
        walk(name, [])
    assert not circles


@pytest.mark.parametrize("package", CHAPTERS)
def test_chapters_follow_each_other(package):
    order = {name: i for i, group in enumerate(CHAPTERS[package]) for name in group}
    graph = edges()
    own = {name: name.split(".")[1] for name in graph if name.startswith(package + ".")}
    assert set(own.values()) <= set(order), "a new chapter needs its place in CHAPTERS"
    wrong = [
        f"{name} imports {other}"
        for name in own
        for other in graph[name]
        if other in own and order[own[other]] > order[own[name]]
    ]
    assert not wrong
