"""Imported first: what stands beside this folder is then imported from there, where nothing is
installed but torch, NumPy and SciPy, as in the image of a machine with a GPU.

The package `nets` gathers its public names, and with them what training needs. Without pydantic it
is entered by its folder alone: ``nets.pde.device`` is there, ``nets.train`` is not.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]

sys.path.append(str(ROOT))
if not find_spec("pydantic"):
    bare = sys.modules["nets"] = ModuleType("nets")
    bare.__path__ = [str(ROOT / "nets")]
