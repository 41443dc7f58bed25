"""Reports for reading: every column is filled and explained, tolerance and start are named,
accuracies are in per cent everywhere."""

import json

import pandas as pd
import pytest
import torch

from analysis.runs.comparison import compare
from analysis.runs.report import analyse
from analysis.runs.text import MEANINGS, comparison_text, filled, report_text
from mgtheory import derive
from nets.training.predict import DATA_FILE, DataFacts

from ..conftest import planted_model, write_run

# say it
PLAIN = {
    "level",
    "step",
    "run",
    "configuration",
    "model",
    "scheme",
    "operator",
    "placement",
    "seed",
    "seeds",
    "first",
    "second",
}
PLAIN |= {"losses", "high (%)", "low (%)"}  # explained with their neighbours
PLAIN |= {"validation (%)", "test accuracy (%)"}
GOOD = [[0.2, 0.3], [0.2, 0.3]]


def tables(text):
    """The markdown tables of a text: a heading and a list of rows each."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else None
        for line in text.splitlines()
    ]
    found = []
    for before, line in zip([None, *lines], lines):
        if line is not None and before is None:
            found.append((line, []))
        elif line is not None and set(line[0]) - set("-:"):
            found[-1][1].append(line)
    return found


def check(text):
    for heading, rows in tables(text):
        assert rows
        for name, *cells in zip(heading, *rows):
            assert any(cells), f"column {name} is empty"
            assert name in PLAIN or (name in MEANINGS and f"- *{name}*: " in text), (
                f"column {name} is not explained"
            )


@pytest.mark.parametrize("placement", ["relu_outside_nobn", "regular"])
def test_every_column_of_a_report_is_filled_and_explained(tmp_path, placement):
    model = planted_model(GOOD, placement=placement)
    text = report_text(analyse(write_run(tmp_path / "run", model, model), write=False))
    assert len(tables(text)) == 3
    check(text)


def test_the_tolerance_says_of_what_it_is_one(tmp_path):
    model = planted_model(GOOD)
    text = report_text(
        analyse(write_run(tmp_path / "run", model, model), tolerance=0.25, write=False)
    )
    assert (
        "Distances are max |q(t) − q_theory(t)| over t in (0, 1], each q in units of its own b. The"
        " tolerance is 0.25: " in text
    )


def test_a_start_from_a_file_has_one_name_and_says_which_file(tmp_path):
    """The file's family names the run everywhere; how it was given stands beside it once."""
    source = derive("chebyshev4", 2, 8.0)
    model = planted_model([source.weights.real.tolist()] * 2)
    report = analyse(
        write_run(
            tmp_path / "run", model, model, scheme="file:somewhere/init.json", sources=(source,)
        ),
        write=False,
    )
    assert report.label == "q2 chebyshev4"
    text = report_text(report)
    assert text.startswith("# q2 chebyshev4: ")
    assert "started from chebyshev4, given as file:somewhere/init.json, which is the theory" in text
    assert text.count("init.json") == 1


def test_facts_name_the_noise_and_the_epoch_of_the_weights(tmp_path):
    """355 of 359 right; 3 epochs, the last was chosen."""
    model = planted_model(GOOD)
    run = write_run(tmp_path / "run", model, model, accuracy=355 / 359)
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "best_epoch": 3}))
    assert "images (95 %" not in report_text(analyse(run, write=False))
    DataFacts(
        "digits",
        (1, 8, 8),
        ("0", "1"),
        (0.3,),
        (0.4,),
        {"train": 1000, "validation": 100, "test": 359},
    ).save(run)
    assert (run / DATA_FILE).is_file()
    text = report_text(analyse(run, write=False))
    # Wilson
    assert (
        "Test accuracy 98.89 % of 359 images (95 % interval by their number: 97.17 to 99.57 %)"
        in text
    )
    assert "with the weights of epoch 3, the last." in text
    assert "best" not in text


def test_a_comparison_is_in_per_cent_and_explained(tmp_path):
    model = planted_model(GOOD)
    runs = [
        write_run(
            tmp_path / f"{scheme}-{seed}", model, model, scheme=scheme, seed=seed, accuracy=accuracy
        )
        for scheme, accuracies in (
            ("constant", (0.95, 0.96, 0.955)),
            ("uniform", (0.90, 0.92, 0.905)),
        )
        for seed, accuracy in enumerate(accuracies)
    ]
    found = compare(runs)
    text = comparison_text(found)
    check(text)
    (heads, rows), (group_heads, groups), (pair_heads, pairs) = tables(text)
    assert [row[heads.index("test accuracy (%)")] for row in rows[:3]] == ["95", "96", "95.5"]
    assert [row[group_heads.index("mean (%)")] for row in groups] == ["95.5", "90.83"]
    assert float(pairs[0][pair_heads.index("difference (%)")]) == pytest.approx(
        100 * found.pairs["difference"].iloc[0], rel=1e-3
    )
    assert found.runs["test_accuracy"].iloc[0] == 0.95  # the data stay fractions


def test_the_tables_hold_the_reports_numbers(tmp_path):
    """Weights 0.2 and 0.3 at the start, 0.25 and 0.3 learned, on an A that grew by a half; weights
    of epoch 2 of 3, the best."""
    start, learned = planted_model(GOOD), planted_model([[0.25, 0.3], [0.2, 0.3]])
    with torch.no_grad():
        learned.levels[0].A.weight *= 1.5
    run = write_run(tmp_path / "run", start, learned)
    config = json.loads((run / "config.json").read_text())
    config["train"]["select"] = "best"
    (run / "config.json").write_text(json.dumps(config))
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "best_epoch": 2}))
    report = analyse(run, write=False)
    text = report_text(report)
    assert "with the weights of epoch 2, the best by validation." in text
    (_, _), (heads, rows), (step_heads, steps) = tables(text)
    row, level = dict(zip(heads, rows[0])), report.levels[0]
    assert float(row["b learned"]) == pytest.approx(1.5 * float(row["b start"]), rel=1e-3)
    assert float(row["moved (%)"]) == pytest.approx(100 * level.coefficients_moved, rel=1e-3)
    assert float(row["moved (%)"]) > 5
    for name in ("start", "learned"):
        assert float(row[f"distance {name}"]) == pytest.approx(
            getattr(level.verdict, f"{name}_distance"), rel=1e-3, abs=1e-12
        )
    assert row["distance start"] != row["distance learned"]
    radius = float(row["b learned"])
    assert float(dict(zip(step_heads, steps[0]))["in units of A"]) == pytest.approx(
        0.25 * radius, rel=1e-3
    )


def test_a_column_stays_where_a_single_cell_says_something():
    table = pd.DataFrame({"a": [None, 1.0], "b": [None, None], "c": ["", "x"]})
    assert list(filled(table).columns) == ["a", "c"]


def test_low_and_high_of_differences_are_explained_with_them(tmp_path):
    model = planted_model(GOOD)
    runs = [
        write_run(
            tmp_path / f"{scheme}-{seed}",
            model,
            model,
            scheme=scheme,
            seed=seed,
            accuracy=0.9 + 0.01 * seed,
        )
        for scheme in ("constant", "uniform")
        for seed in range(2)
    ]
    assert comparison_text(compare(runs)).count("- *low (%)*: ") == 1
