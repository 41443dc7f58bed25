"""The packages of this product are those beside this one, whatever lies in the working directory.

`analysis`, `figures` and `nets` are names that a user's own files have too, and Python looks into
the working directory first.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

HOME = Path(__file__).resolve().parents[1]
PACKAGES = ("mgtheory", "nets", "analysis", "figures")


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
    """From now on this process, the command or a worker, imports the product's own packages;
    Shadowed where another module of that name was imported before."""
    for name in PACKAGES:
        if name in sys.modules:
            own(name)
    if _Beside not in sys.meta_path:
        sys.meta_path.insert(0, _Beside)


def own(name: str) -> ModuleType:
    """The product's package of this name; Shadowed, with the place, where another hides it."""
    module = import_module(name)
    places = list(getattr(module, "__path__", [])) or [getattr(module, "__file__", None) or "?"]
    if str(HOME / name) not in [str(Path(place).resolve()) for place in places]:
        raise Shadowed(
            f"{places[0]} hides polymgnet's own package {name} in {HOME}; rename it, or start in"
            " another folder"
        )
    return module
