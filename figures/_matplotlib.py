"""Matplotlib, imported whatever the user's settings of it are.

MPLBACKEND or a matplotlibrc may name what this Python lacks, as a notebook's backend in a shell
that was started from it, and matplotlib then refuses to be imported. No backend is used here:
figures are drawn into files.
"""

import contextlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path

try:
    import matplotlib  # with the user's settings, which are left alone outside of `style.paper`
except ValueError:
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        del sys.modules[name]  # parts of the one that was not imported to its end
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        # the first place where it looks for a matplotlibrc is the working directory
        with contextlib.chdir(Path(spec.origin).parent / "mpl-data"):
            import matplotlib  # noqa: F401
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
