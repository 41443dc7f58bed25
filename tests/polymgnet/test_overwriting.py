"""One rule for all commands: a named file that is there is refused, what polymgnet drew in a folder
is drawn again and what is foreign there refused, and --force overwrites."""

from pathlib import Path

import pytest

from figures import registry, style
from figures.style import figure, paper, save_as
from polymgnet.console import refuse_foreign

SMALL = ("--n", "7", "--maxiter", "2", "--tol", "0.9")
THEIRS = b"somebody's own"
# words, the file that is in the way of {folder}, whether --force writes at once
COMMANDS = {
    "derive": (["derive", "--family", "chebyshev4", "--degree", 2, "--out", "{}/a.json"], "a.json"),
    "solve": (["solve", *SMALL, "--out", "{}/x.npy"], "x.npy"),
    "solve --plot": (["solve", *SMALL, "--plot", "{}/x.png"], "x.png"),
    "export": (["export", "no-run", "--out", "{}/a.onnx"], "a.onnx"),
    "report": (["report", "no-run", "--out", "{}/a.html"], "a.html"),
    "figures": (["figures", "--theory", "--out", "{}"], "one.png"),
    "study": (["study", "studies/confirmation.toml", "--report", "{}"], "confirmation.md"),
    "study's figure": (
        ["study", "studies/confirmation.toml", "--report", "{}"],
        "confirmation-digits.png",
    ),
    "train": (["train", "--config", "digits", "--out", "{}"], "config.json"),
    "demo": (["demo", "--out", "{}"], "anything"),
}
CHEAP = ("derive", "solve", "solve --plot", "figures")


@pytest.fixture
def one_figure(monkeypatch):
    """A gallery of one small picture."""
    monkeypatch.setitem(style._RC, "savefig.dpi", 30)

    def draw():
        made, axes = figure()
        axes[0, 0].plot([0, 1])
        return made

    monkeypatch.setattr(registry, "GALLERY", {"one": draw})


def words_of(name, folder):
    words, file = COMMANDS[name]
    return [str(word).format(folder) for word in words], folder / file


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_foreign_is_overwritten(name, refused, one_figure, tmp_path):
    words, file = words_of(name, tmp_path)
    file.write_bytes(THEIRS)
    said = refused(*words)
    assert str(file) in said or str(tmp_path) in said
    assert file.read_bytes() == THEIRS
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", CHEAP)
def test_force_overwrites(name, run, one_figure, tmp_path):
    words, file = words_of(name, tmp_path)
    file.write_bytes(THEIRS)
    assert run(*words, "--force").status == 0
    assert file.read_bytes() != THEIRS


@pytest.mark.parametrize("name", ["derive", "solve"])  # --plot: test_cli.py
def test_a_named_file_is_refused_the_second_time(name, run, refused, tmp_path):
    words, file = words_of(name, tmp_path)
    assert run(*words).status == 0
    first = file.read_bytes()
    assert "--force" in refused(*words)
    assert file.read_bytes() == first


def test_own_pictures_are_drawn_again(run, one_figure, tmp_path):
    words, _ = words_of("figures", tmp_path)
    assert run(*words).status == 0
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(first) == {"one.png", "one.pdf"}
    assert run(*words).status == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


@pytest.mark.parametrize("ending", [".png", ".pdf"])
def test_what_is_drawn_says_whose_it_is(ending, tmp_path):
    with paper():
        path = save_as(figure()[0], tmp_path / f"picture{ending}")
    refuse_foreign(path)
    path.write_bytes(path.read_bytes().replace(b"polymgnet", b"something"))
    with pytest.raises(FileExistsError, match="none that polymgnet drew"):
        refuse_foreign(path)
    refuse_foreign(path, force=True)


def test_a_page_says_whose_it_is(tmp_path):
    page = Path("figures/page/page.html").read_bytes()
    (tmp_path / "page.html").write_bytes(page)
    refuse_foreign(tmp_path / "page.html")


def test_runs_of_a_study_are_not_forced(refused):
    assert "--force goes with --report" in refused("study", "studies/starts.toml", "--force")
