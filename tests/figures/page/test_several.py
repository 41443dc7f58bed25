"""Several runs on one page, from numbers alone."""

from types import SimpleNamespace

import pandas as pd
import pytest

from figures.page.several import side_by_side

SEEDS = "95 % interval of the mean over the seeds"


@pytest.mark.parametrize("first", [[], [0.5], [0.5, 0.6]])
def test_the_legend_tells_every_interval_once(first):
    """Also where the first configuration has one seed and no such interval, or was not tested."""
    given = {"first": first, "second": [0.8, 0.9], "third": [0.8, 0.7]}
    groups = {
        name: [
            SimpleNamespace(facts={"test_accuracy": value, "tested_on": 100}, levels=())
            for value in values or [None]
        ]
        for name, values in given.items()
    }
    table = pd.DataFrame({"configuration": list(given), "mean": [None, 0.85, 0.75]})
    numbers = {"low": 0.6, "high": 0.95, "parameters": 1000, "seconds": 9.0}
    found = SimpleNamespace(groups=table.assign(**numbers))
    accuracies = side_by_side(found, groups, dict.fromkeys(groups, (None,)))[0]
    bars = [one for one in accuracies.data if one["name"] == SEEDS]
    assert [one["showlegend"] for one in bars] == [True] + [False] * (len(bars) - 1)
    assert len(bars) == 2 + (len(first) == 2)
    assert bars[0]["x"] == [60.0, 95.0]
