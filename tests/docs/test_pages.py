"""The Markdown pages: shown commands print what stands below them, links and figures exist, figures
are small and all of them shown.

Python examples of the pages run as doctests beside this (`--doctest-glob`).
"""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from docs import one_operator
from figures.gallery import GALLERY
from polymgnet.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
THEORY = PAGES["theory.md"]
OUTPUTS = dict(
    re.findall(
        r"^```console\n\$ polymgnet ([^\n]*)\n(.+?)^```$", THEORY, flags=re.MULTILINE | re.DOTALL
    )
)
LIMIT = 150_000  # bytes of a committed figure


def test_shown_commands_are_found():
    assert any("--verify" in command for command in OUTPUTS)


@pytest.mark.parametrize("command", OUTPUTS)
def test_command_prints_what_is_shown(command, capsys):
    assert main(shlex.split(command)) == 0
    found = capsys.readouterr().out
    assert doctest.OutputChecker().check_output(
        OUTPUTS[command], found, doctest.NORMALIZE_WHITESPACE
    ), found


@pytest.mark.parametrize("name", ["poisson1d", "poisson2d", "anisotropic2d", "jump2d"])
def test_table_of_one_operator_is_what_its_command_prints(name):
    """Words alike, factors to two units of their last digit and cycles to one: as far as the
    kernels of BLAS agree on a power iteration."""
    shown = re.findall(rf"^{name} .*\n(?:  .*\n)+", PAGES["one-operator.md"], flags=re.MULTILINE)
    assert len(shown) == 1
    for expected, found in zip(shown[0].splitlines(), one_operator.table([name]), strict=True):
        for one, other in zip(expected.split(), found.split(), strict=True):
            if re.fullmatch(r"[0-9.]+", one):
                slack = 0.0021 if "." in one else 1
                assert abs(float(one) - float(other)) <= slack, (expected, found)
            else:
                assert one == other


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    folder = ROOT if page == "README.md" else ROOT / "docs"
    targets = [
        target for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]) if "://" not in target
    ]
    assert targets
    assert [target for target in targets if not (folder / target.split("#")[0]).exists()] == []


def test_every_figure_of_the_gallery_is_shown():
    assert sorted(re.findall(r"\(figures/(\w+)\.png\)", THEORY)) == sorted(GALLERY)


def test_figures_are_small():
    files = sorted((ROOT / "docs").rglob("*.png"))
    assert {path.stem for path in files} >= set(GALLERY)
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for path in files)
    assert {path.name: path.stat().st_size for path in files if path.stat().st_size > LIMIT} == {}
