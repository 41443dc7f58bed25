"""Several runs in one table: grouped by configuration, spread over seeds, paired differences."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.numbers import number
from analysis.runs.comparison import DISTINGUISHING, compare, unique_labels, write_comparison
from analysis.runs.in_short import runs_in_short
from analysis.runs.report import analyse
from analysis.runs.text import comparison_text, markdown
from analysis.stats import configuration_key

from ..conftest import planted_model, write_run

ACCURACIES = {"good": (0.95, 0.96, 0.955), "bad": (0.90, 0.92, 0.905)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    found = []
    for name, w in (("good", 0.2), ("bad", -0.2)):
        model = planted_model([[w], [w, w]])
        for seed, accuracy in enumerate(ACCURACIES[name]):
            scheme = "constant" if name == "good" else "uniform"
            found.append(
                write_run(
                    folder / f"{name}-{seed}",
                    model,
                    model,
                    scheme=scheme,
                    seed=seed,
                    accuracy=accuracy,
                )
            )
    return found


def test_a_lead_that_the_shared_seeds_do_not_have_is_said(tmp_path):
    """constant has the larger mean by its third seed alone, and uniform is ahead by 2.5 points on
    the two that both have; with these alone it leads, and nothing is to be explained."""
    model, found = planted_model([[0.2], [0.2, 0.2]]), []
    for scheme, accuracies in (("constant", (0.90, 0.92, 0.99)), ("uniform", (0.92, 0.95))):
        for seed, accuracy in enumerate(accuracies):
            options = {"scheme": scheme, "seed": seed, "accuracy": accuracy}
            found.append(write_run(tmp_path / f"{scheme}-{seed}", model, model, **options))
    first, difference, _ = runs_in_short(compare(found))
    assert re.search("constant .* names the most .* before .*uniform", first)
    assert re.search("2.50 points over 2 shared seeds, on which .*uniform is ahead, ", difference)
    first, difference, _ = runs_in_short(compare(found[:2] + found[3:]))
    assert re.search("uniform .* names the most", first)
    assert "over 2 shared seeds, may be" in difference or "seeds, is more" in difference


def test_as_many_images_are_no_lead(tmp_path):
    """Of 144 images 118, 123, 132 and 129, 105, 139, as many in all: the mean of the differences is
    rounding, which names neither the better one."""
    model, found = planted_model([[0.2], [0.2, 0.2]]), []
    for scheme, right in (("constant", (118, 123, 132)), ("uniform", (129, 105, 139))):
        for seed, images in enumerate(right):
            options = {"scheme": scheme, "seed": seed, "accuracy": images / 144}
            found.append(write_run(tmp_path / f"{scheme}-{seed}", model, model, **options))
    first, difference, _ = runs_in_short(compare(found))
    assert re.search("constant .* and .*uniform .* name as many .* and none names more", first)
    assert "0.00 points over 3 shared seeds, may be chance (p = 1," in difference


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (("folder:/a/cats", "folder:/b/dogs"), ("folder:cats", "folder:dogs")),
        (("folder:/a/cats", "folder:/b/cats"), ("folder:/a/cats", "folder:/b/cats")),
        (("folder:/a/cats", "digits"), ("folder:cats", "digits")),
    ],
)
def test_folders_are_named_by_their_last_part_where_that_is_enough(data, names):
    reports = [
        SimpleNamespace(label="q2", model="q2", facts=dict.fromkeys(DISTINGUISHING) | {"data": one})
        for one in data
    ]
    assert unique_labels(reports, ["{}", "{}"]) == [f"q2 {name}" for name in names]


def test_what_differs_in_settings_alone_is_named_by_them():
    """By those that are needed, and by their short keys where these are plain."""
    facts = dict.fromkeys(DISTINGUISHING) | {"data": "digits"}
    reports = [SimpleNamespace(label="q2", model="q2", facts=facts)] * 4
    given: list[dict] = [
        {"model": {"name": "q2", "width": width}, "optim": {"name": "sgd", "lr": lr, "gamma": lr}}
        for width in (None, 8)
        for lr in (0.02, 0.1)
    ]
    keys = [configuration_key(one) for one in given]
    names = ["q2 gamma=0.02", "q2 gamma=0.1", "q2 width=8 gamma=0.02", "q2 width=8 gamma=0.1"]
    assert unique_labels(reports, keys) == names
    given[1]["optim"]["name"] = "adamw"
    keys = [configuration_key(one) for one in given[:2]]
    assert unique_labels(reports[:2], keys) == ["q2 gamma=0.02", "q2 gamma=0.1"]
    del given[0]["optim"]["gamma"], given[1]["optim"]["gamma"]
    given[1]["optim"]["lr"] = 0.02
    keys = [configuration_key(one) for one in given[:2]]
    assert unique_labels(reports[:2], keys) == ["q2 optim.name=sgd", "q2 optim.name=adamw"]


def test_a_label_of_one_s_own_stands_for_network_and_scheme():
    """Of the runs that have one; those that are alike are told apart as the others."""
    facts = dict.fromkeys(DISTINGUISHING) | {"data": "digits"}
    reports = [SimpleNamespace(label="q2", model="q2", facts=facts)] * 4
    keys = [configuration_key({"optim": {"lr": lr}}) for lr in (0.02, 0.1, 0.3, 0.4)]
    own = ["small", "few, weights", "few, weights", ""]
    names = ["small", "few, weights lr=0.1", "few, weights lr=0.3", "q2"]
    assert unique_labels(reports, keys, own) == names


def test_groups_and_pairs(runs, tmp_path):
    found = compare(runs)
    assert found.runs["seed"].tolist() == [0, 1, 2, 0, 1, 2]
    assert found.groups["configuration"].tolist() == ["q2 constant", "q2 uniform"]
    assert found.groups["n"].tolist() == [3, 3]
    named = compare(runs, labels=["", "", "", *["mine"] * 3])
    assert named.groups["configuration"].tolist() == ["q2 constant", "mine"]
    assert named.pairs["second"].tolist() == ["mine"]
    assert found.groups["mean"].tolist() == pytest.approx([0.955, 0.90833333])
    assert found.groups["std"].iloc[0] == pytest.approx(0.005)
    # |1 - b/5| on 8 x 8 points, of the symbol 0.6
    assert found.groups["mu_learned"].iloc[0] == pytest.approx(8 * np.cos(np.pi / 18) ** 2 / 5 - 1)
    assert found.runs["smoother"].tolist() == ["2 of 2 levels"] * 3 + ["0 of 2 levels"] * 3
    (pair,) = found.pairs.to_dict(orient="records")
    assert (pair["first"], pair["second"], pair["seeds"], pair["wins"], pair["losses"]) == (
        "q2 constant",
        "q2 uniform",
        3,
        3,
        0,
    )
    assert pair["difference"] == pytest.approx((0.05 + 0.04 + 0.05) / 3)
    assert 0 < pair["p_value"] < 0.01
    assert pair["p_holm"] == pair["p_value"]  # a single test needs no adjustment
    text = comparison_text(found)
    assert "## Configurations" in text
    assert "## Differences, paired by seed" in text
    assert json.loads(json.dumps(found.to_dict()))["pairs"][0]["p_signed_rank"] is None
    assert [path.name for path in write_comparison(found, tmp_path)] == [
        "runs.csv",
        "groups.csv",
        "pairs.csv",
        "comparison.md",
    ]
    assert len(pd.read_csv(tmp_path / "runs.csv")) == 6


def test_one_run_alone(runs):
    found = compare(runs[:1])
    assert found.pairs.empty
    assert "Differences" not in comparison_text(found)
    assert found.groups["std"].isna().all()
    json.dumps(found.to_dict(), allow_nan=False)


def test_no_run():
    with pytest.raises(ValueError, match="at least one"):
        compare([])


@pytest.mark.parametrize("given", ["runs/q2", np.eye(3)])
def test_what_is_no_list_of_runs(given):
    """Whoever has a matrix wants the comparison of smoothers."""
    with pytest.raises(ValueError, match=r"must be a list of run folders.*compare_smoothers"):
        compare(given)


def test_numbers_as_text():
    assert [
        number(v)
        for v in (None, float("nan"), 3, 0.123456, 1 - 2j, complex(float("inf"), 0), "a|b", True)
    ] == [
        *("", "", "3", "0.1235", "1−2i", "∞", "a|b", "True"),
    ]
    table = markdown(pd.DataFrame({"name": ["a|b", "c"], "value": [1.5, None]}))
    assert table.splitlines() == [
        "| name | value |",
        "|------|------:|",
        "| a\\|b |   1.5 |",
        "| c    |       |",
    ]


def test_runs_of_one_seed_are_one_sample_and_one_folder_is_no_two(tmp_path):
    model = planted_model([[0.2, 0.3], [0.2, 0.3]])
    given = [(0, 0.90), (0, 0.94), (1, 0.97)]
    runs = [
        write_run(tmp_path / f"{k}", model, model, seed=seed, accuracy=accuracy)
        for k, (seed, accuracy) in enumerate(given)
    ]
    group = compare(runs).groups.iloc[0]
    assert group["n"] == 2
    assert group["mean"] == pytest.approx((0.92 + 0.97) / 2)
    # t_1 at 97.5 %; cut at 100 %
    assert (group["low"], group["high"]) == (pytest.approx(0.945 - 12.7062 * 0.025, rel=1e-3), 1.0)
    for k, accuracy in ((0, 0.05), (2, 0.02)):  # cut at 0 as well
        write_run(tmp_path / f"low {k}", model, model, seed=k, accuracy=accuracy)
    low = compare([tmp_path / "low 0", tmp_path / "low 2"]).groups.iloc[0]
    assert (low["low"], low["high"]) == (0.0, pytest.approx(0.035 + 12.7062 * 0.015, rel=1e-3))
    for labels in (["a"], "ab"):
        with pytest.raises(ValueError, match="must be a list of as many as runs, 2"):
            compare([tmp_path / "a", tmp_path / "b"], labels=labels)
    with pytest.raises(ValueError, match="run is a list, must be the folder of a run; compare"):
        analyse([tmp_path])
    with pytest.raises(ValueError, match="given twice"):
        compare([runs[0], runs[0]])
