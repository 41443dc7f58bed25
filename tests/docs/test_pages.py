"""README and the pages of docs/: their Python runs, shown commands print what stands below them,
all other commands and options exist, so do links and figures, which are small and all shown.

theory.md, one-operator.md and CONTRIBUTING.md are long, and run as doctests beside this.
"""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from docs import one_operator
from figures.gallery import GALLERY
from figures.page.glossary import GLOSSARY
from nets.models.registry import MODELS
from polymgnet.cli import main
from polymgnet.commands import COMMANDS
from polymgnet.study.plan import load_study

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
DOCTESTS = ("docs/theory.md", "docs/one-operator.md")  # of pytest's testpaths
THEORY = PAGES["docs/theory.md"]
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^\$ polymgnet ([^\n]*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
LIMIT = 150_000  # bytes of a committed figure


def lines(page):
    """The page's command lines, those with `$` and without."""
    blocks = "".join(text for kind, _, text in BLOCK.findall(PAGES[page]) if kind == "console")
    return re.findall(r"^(?:\$ )?polymgnet (?:--import \S+ )?([^#\n]*)", blocks, re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("docs/studies/")])
def test_page_is_true(page, tmp_path, monkeypatch, capsys):
    """From top to bottom in an empty folder: files with a title are written, Python runs, and
    commands behind `$` print what stands below them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(MODELS, "colour", None)  # so that what a page enters is taken out again
    del MODELS["colour"]
    names: dict = {}
    for kind, title, text in BLOCK.findall(PAGES[page]):
        if title:
            Path(title).write_text(text, encoding="utf-8")
        elif kind == "python" and page not in DOCTESTS and ">>> " in text:
            test = doctest.DocTestParser().get_doctest(text, names, page, page, 0)
            outcome = doctest.DocTestRunner(optionflags=FLAGS).run(test, clear_globs=False)
            names = test.globs
            assert outcome.failed == 0, capsys.readouterr().out
        elif kind == "console":
            for command, expected in SHOWN.findall(text):
                capsys.readouterr()
                assert main(shlex.split(command)) == 0
                found = capsys.readouterr().out
                assert doctest.OutputChecker().check_output(expected, found, FLAGS), found


def test_pages_run_something():
    assert any("--verify" in command for command, _ in SHOWN.findall(THEORY))
    assert ">>> " in PAGES["README.md"]


def test_every_command_is_shown():
    shown = {line.split()[0] for page in PAGES for line in lines(page)}
    assert shown <= set(COMMANDS)
    assert {line.split()[0] for line in lines("docs/cheatsheet.md")} == set(COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_options_exist(command, capsys):
    """Every option that a page gives a command is one of the command's."""
    assert main([command, "--help"]) == 0
    usage = capsys.readouterr().out
    given = [line.split() for page in PAGES for line in lines(page)]
    asked = {word for words in given if words[0] == command for word in words if word[:2] == "--"}
    assert {word for word in asked if not re.search(rf"{word}\b", usage)} == set()


def test_study_of_the_howto_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = [
        text for kind, _, text in BLOCK.findall(PAGES["docs/howto/studies.md"]) if kind == "toml"
    ]
    Path("study.toml").write_text(texts[0])
    assert len(load_study(Path("study.toml")).runs) == 9


@pytest.mark.parametrize("name", ["poisson1d", "poisson2d", "anisotropic2d", "jump2d", "rotated2d"])
def test_table_of_one_operator_is_what_its_command_prints(name):
    """Words alike, factors to two units of their last digit and cycles to one: as far as the
    kernels of BLAS agree on a power iteration."""
    shown = re.findall(
        rf"^{name} .*\n(?:  .*\n)+", PAGES["docs/one-operator.md"], flags=re.MULTILINE
    )
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
    folder = (ROOT / page).parent
    targets = [
        target for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]) if "://" not in target
    ]
    assert targets
    assert [target for target in targets if not (folder / target.split("#")[0]).exists()] == []
    for file, heading in (target.split("#") for target in targets if "#" in target):
        text = (folder / file if file else ROOT / page).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        anchors = [re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings]
        assert heading in anchors


def test_glossary_has_the_terms_of_a_report():
    terms = ", ".join(re.findall(r"\*\*(.+?)\*\*", PAGES["docs/glossary.md"])).split(", ")
    assert len(set(terms)) == len(terms)  # one meaning each
    assert set(GLOSSARY) <= set(terms)


def test_every_figure_of_the_gallery_is_shown():
    assert sorted(re.findall(r"\(figures/(\w+)\.png\)", THEORY)) == sorted(GALLERY)


def test_figures_are_small():
    files = sorted((ROOT / "docs").rglob("*.png"))
    assert {path.stem for path in files} >= set(GALLERY)
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for path in files)
    assert {path.name: path.stat().st_size for path in files if path.stat().st_size > LIMIT} == {}
