"""What README.md links, and the version in the texts; tests/docs/test_pages.py runs its lines."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_versions_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_linked_files_exist():
    links = re.findall(r"\]\(((?!http)[^)]+)\)", README)
    assert {"CONTRIBUTING.md", "CITATION.cff", "LICENSE"} <= set(links)
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []
