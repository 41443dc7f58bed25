"""Print the oldest versions that pyproject.toml allows, as constraints for pip.

    python tests/lowest.py > lowest.txt

Of torch it prints the version of constraints.txt, since older builds for CPUs are not on PyPI, and
of the tools of development too: they are not what a user installs.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def main() -> None:
    """One line `name==version` for each package that the product imports, and each tool."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
    )
    pinned = {canonicalize_name(name): version for name, version in pinned.items()}
    for line in (*project["dependencies"], *extras["fast"], *extras["pyamg"]):
        needed = Requirement(line)
        (bound,) = needed.specifier  # each has one, its lower bound
        version = pinned["torch"] if needed.name == "torch" else bound.version
        print(f"{needed.name}=={version}")
    for line in extras["dev"]:
        name = canonicalize_name(Requirement(line).name)
        if name in pinned:
            print(f"{name}=={pinned[name]}")


if __name__ == "__main__":
    main()
