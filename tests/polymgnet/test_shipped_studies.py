"""The studies that come with the project: their pages are those of the committed rows, and numbers
that other pages tell of them stand in the rows."""

import json
from pathlib import Path

import pytest

from analysis.studies.grid import Grid
from polymgnet import study
from polymgnet.study.plan import scales_of

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted((ROOT / "studies").glob("*.toml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_shipped_studies(path, tmp_path):
    """Their scales can be read, their networks made, and their pages are what their rows say."""
    committed = ROOT / "docs" / "studies" / f"{path.stem}.md"
    if committed.exists():
        page, *figures = study.write_page(path, tmp_path, draw=False)
        assert page.read_text() == committed.read_text(), (
            "polymgnet study FILE --report docs/studies"
        )
        assert all((committed.parent / figure.name).exists() for figure in figures)
    assert study.load_study(path, scale=scales_of(path)[-1]).runs  # each is checked


@pytest.mark.parametrize(
    ("ahead", "behind", "said"),
    [
        ("q4, no_relu, width 1/2", "ResNet-18", "-0.3 to 1.4"),
        ("q4, no_relu, width 1/2", "ResNet-18, width 3/16", "1.9 to 4.9"),
        ("ResNet-18, width 1/2", "q4, no_relu, width 1/2", "2.6 to 3.0"),
        ("ResNet-18", "q4, no_relu", "2.8 to 5.8"),
    ],
)
def test_pairs_that_the_readme_tells_and_the_page_has_not(ahead, behind, said):
    """Half of the width against three ResNets; the page compares the candidate alone."""
    rows = (ROOT / "studies/rows/pareto-cifar16.jsonl").read_text().splitlines()
    found = Grid.of([(row["point"], row) for row in map(json.loads, rows)], "model")
    pair = found.test("test_accuracy", (), ahead, behind).difference
    assert f"{100 * pair.low:.1f} to {100 * pair.high:.1f}" == said
    for page in ("README.md", "docs/evidence.md"):
        assert said in " ".join((ROOT / page).read_text(encoding="utf-8").split())
