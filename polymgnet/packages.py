"""The packages of this product are those beside this one, whatever lies in the working directory.

`analysis`, `figures` and `nets` are names that a user's own files have too, and Python looks into
the working directory first. What the user has registered in a file of his own comes after them.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

HOME = Path(__file__).resolve().parents[1]
PACKAGES = ("mgtheory", "nets", "analysis", "figures")
OWN = "POLYMGNET_IMPORT"  # a Python file of the user's, for the command and for what it starts


class Shadowed(ImportError):
    """A file or folder of the user's hides a package of the product."""


class _Beside:
    """A finder that knows the four packages alone."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(HOME)]) if name in PACKAGES else None


def prefer_own() -> None:
    """From now on this process, the command or a worker, imports the product's own packages, and
    knows what the user's file registers; Shadowed where another module of that name was imported
    before."""
    for name in PACKAGES:
        if name in sys.modules:
            _refuse_shadow(name)
    if _Beside not in sys.meta_path:
        sys.meta_path.insert(0, _Beside)
    if os.environ.get(OWN):
        load_own(Path(os.environ[OWN]), named=f"{OWN}=")


def load_own(path: Path, *, named: str = "--import ") -> None:
    """Run the user's Python file, once in a process, for what it registers: families, smoothers,
    placements, problems, models. What this process starts runs it too.

    ValueError with the file's name, and how it was `named`, where it fails.
    """
    file = path.expanduser().absolute()
    name = f"polymgnet_own_{file.stem}"
    if not file.is_file():
        raise FileNotFoundError(f"{named}{path}: no file is there")
    if getattr(sys.modules.get(name), "__file__", None) == str(file):
        return
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{named}{path}: no Python file; its name ends in .py")
    sys.modules[name] = module = module_from_spec(spec)
    try:
        # compiled anew: bytecode that is kept cannot tell two versions of a second, and would lie
        # in the user's folder
        exec(compile(file.read_bytes(), file, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:  # a script that ends itself would end the command
        del sys.modules[name]
        raise ValueError(f"{named}{path}: {type(error).__name__}: {error}") from error
    os.environ[OWN] = str(file)


def attribute(package: str, name: str) -> Any:
    """What one of the product's packages offers by this name; Shadowed where another module hides
    it, or a package that it needs."""
    try:
        _refuse_shadow(package)
        return getattr(import_module(package), name)
    except Exception:
        for needed in PACKAGES:
            _refuse_shadow(needed)
        raise


def _refuse_shadow(name: str) -> None:
    """Shadowed where an import of this name gives, or has given, something of the user's."""
    module = sys.modules.get(name)
    spec = find_spec(name) if module is None else None
    found = [*getattr(module, "__path__", []), getattr(module, "__file__", None)]
    if spec is not None:
        found = [*(spec.submodule_search_locations or []), spec.origin]
    places = [place for place in found if place]
    if str(HOME / name) not in [str(Path(place).resolve()) for place in places]:
        raise Shadowed(
            f"{places[0] if places else '?'} hides polymgnet's own package {name} in {HOME};"
            " rename it, or start in another folder"
        )
