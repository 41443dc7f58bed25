"""Estimates and tests against textbook numbers and scipy's own twins."""

import numpy as np
import pytest
from scipy import stats

from analysis.stats import (
    configuration_key,
    estimate,
    fraction_interval,
    groups_of,
    holm,
    pair_rows,
    paired,
)


def test_estimate_of_four_numbers():
    found = estimate([1.0, 2.0, 3.0, 4.0])
    assert (found.n, found.mean, found.minimum, found.maximum) == (4, 2.5, 1.0, 4.0)
    assert found.std == pytest.approx(np.sqrt(5 / 3))
    reach = 3.182446305284263 * np.sqrt(5 / 3) / 2  # t_3 at 97.5 %
    assert (found.low, found.high) == pytest.approx((2.5 - reach, 2.5 + reach), rel=1e-12)


def test_one_run_has_no_spread():
    found = estimate([0.9])
    assert (found.std, found.low, found.high) == (None, None, None)


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [estimate(sample, confidence=0.8) for sample in rng.standard_normal((2000, 5))]
    share = np.mean([found.low <= 0.0 <= found.high for found in covered])
    assert share == pytest.approx(0.8, abs=0.03)  # 3.4 standard deviations of 2000 draws


@pytest.mark.parametrize(("right", "n"), [(0, 5), (355, 359), (359, 359), (9_400, 10_000)])
def test_fraction_interval_is_wilsons(right, n):
    twin = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    # rounding alone
    assert fraction_interval(right / n, n) == pytest.approx((twin.low, twin.high), abs=1e-14)


@pytest.mark.parametrize(("fraction", "n"), [(1.1, 5), (-0.1, 5), (0.5, 0)])
def test_fraction_interval_refuses(fraction, n):
    with pytest.raises(ValueError, match="must lie in"):
        fraction_interval(fraction, n)


@pytest.mark.parametrize("values", [[], [np.nan, 1.0], [[1.0, 2.0]]])
def test_estimate_refuses(values):
    with pytest.raises(ValueError, match="finite number"):
        estimate(values)


def test_confidence_is_checked():
    with pytest.raises(ValueError, match="between 0 and 1"):
        estimate([1.0, 2.0], confidence=95)


def test_paired_removes_what_the_seeds_share():
    rng = np.random.default_rng(1)
    seeds = range(8)
    common = dict(zip(seeds, rng.normal(0.9, 0.05, 8)))
    gain = dict(zip(seeds, rng.normal(0.01, 0.002, 8)))
    a, b = {s: common[s] + gain[s] for s in seeds}, common
    found = paired(a, b)
    x, y = np.array(list(a.values())), np.array(list(b.values()))
    assert found.p_value == pytest.approx(stats.ttest_rel(x, y).pvalue)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(x, y).pvalue)
    assert found.p_value < 1e-5 < stats.ttest_ind(x, y).pvalue
    assert (found.wins, found.losses, found.ties) == (8, 0, 0)
    assert found.difference.low > 0
    reverse = paired(b, a)
    assert reverse.difference.mean == -found.difference.mean
    assert (reverse.wins, reverse.losses) == (0, 8)


@pytest.mark.parametrize("ties", [False, True])
def test_the_signed_rank_test_is_exact(ties, monkeypatch):
    """As SciPy's, which goes through all signs where differences are equal or 0; and quick: every
    two of two hundred values are compared in the table of a study."""
    rng = np.random.default_rng(3)
    for n in (6, 8):
        first = rng.integers(0, 4, n) / 4.0 if ties else rng.standard_normal(n)
        second = rng.integers(0, 3, n) / 4.0 if ties else rng.standard_normal(n)
        if ties:
            second[:6], second[7:] = first[:6] - [0.25, 0.5, -0.25, 0.75, 0.5, 1.0], first[7:]
        twin = stats.wilcoxon(first, second).pvalue
        a, b = (dict(enumerate(side.tolist())) for side in (first, second))
        assert paired(a, b).wilcoxon_p == pytest.approx(twin, rel=1e-12)
        assert paired(a, b).p_value == pytest.approx(stats.ttest_rel(first, second).pvalue)
    monkeypatch.setattr(stats, "permutation_test", None)
    monkeypatch.setattr(stats, "wilcoxon", None)
    assert paired(a, b).wilcoxon_p == pytest.approx(twin, rel=1e-12)
    # of six that agree, one of 64 signs on either side
    assert paired(dict.fromkeys(range(6), 0.5), dict.fromkeys(range(6), 0.25)).wilcoxon_p == 2 / 64


def test_signed_ranks_do_not_tell_rounding_apart():
    """0.3 - 0.1 is less than 0.9 - 0.7: of right images out of ten the ranks are those of whole
    numbers, by the signs of which 16 of 128 sums are as far out."""
    right, left = [3, 7, 6, 9, 8, 2, 5, 5], [1, 5, 3, 7, 9, 4, 2, 4]
    sides = [{k: n / 10 for k, n in enumerate(side)} for side in (right, left)]
    difference = np.subtract(right, left)
    signs = np.array(list(np.ndindex(*[2] * 8))) @ stats.rankdata(np.abs(difference))
    own = stats.rankdata(np.abs(difference))[difference > 0].sum()
    assert paired(*sides).wilcoxon_p == 2 * min((signs >= own).mean(), (signs <= own).mean())
    # as of more pairs, which SciPy takes
    large = [{k: side[k % 8] + k // 8 * 1e-9 for k in range(64)} for side in sides]
    whole = np.tile(difference, 8)
    assert paired(*large).wilcoxon_p == pytest.approx(stats.wilcoxon(whole).pvalue)


def test_paired_uses_shared_seeds_alone():
    found = paired({0: 1.0, 1: 2.0, 7: 100.0}, {1: 1.0, 0: 1.0, 3: -5.0})
    assert (found.difference.n, found.difference.mean, found.wins, found.ties) == (2, 0.5, 1, 1)
    with pytest.raises(ValueError, match="none in common"):
        paired({0: 1.0}, {1: 1.0})


def test_paired_without_spread_claims_nothing():
    assert paired({0: 1.0}, {0: 0.5}).p_value is None
    assert paired({0: 1.0, 1: 1.0}, {0: 0.5, 1: 0.5}).p_value is None
    assert paired({0: 0.7, 1: 0.8}, {0: 0.5, 1: 0.6}).p_value is None  # 0.2 twice, but for rounding
    assert paired({0: 0.7, 1: 0.8}, {0: 0.5, 1: 0.61}).p_value is not None
    equal = paired({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0})
    assert equal.p_value == 1.0
    for found in (equal, paired({0: 0.7, 1: 0.8}, {0: 0.5, 1: 0.6})):
        assert found.difference.low is found.difference.high is found.difference.half is None


def test_values_apart_by_rounding_are_tied():
    found = paired({0: 0.1 + 0.2, 1: 0.5}, {0: 0.3, 1: 0.5})
    assert (found.wins, found.losses, found.ties, found.p_value) == (0, 0, 2, 1.0)
    other = paired({0: 1e20, 1: 2.0}, {0: 1e20, 1: 1.0})  # each pair has a rounding of its own
    assert (other.wins, other.ties) == (1, 1)


def test_as_many_right_in_all_is_no_difference():
    a, b = (dict(enumerate(n / 144 for n in right)) for right in ((118, 123, 132), (129, 105, 139)))
    assert np.mean([a[seed] - b[seed] for seed in a]) != 0  # but -4e-17
    found = paired(a, b)
    known = found.difference
    assert known.mean == 0
    assert known.low == -known.high < 0
    assert (found.wins, found.losses, found.p_value) == (1, 2, pytest.approx(1))
    assert known.half == pytest.approx(stats.t.ppf(0.975, 2) * known.std / 3**0.5)


def test_holm():
    # the example of Holm (1979): sorted p (m - j + 1), made monotone
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.03, None, 0.02]) == [0.04, None, 0.04]  # of two tests


def test_pairs_are_adjusted_for_the_tests_made():
    rng = np.random.default_rng(3)
    groups = {
        name: dict(enumerate(rng.normal(mean, 0.01, 5)))
        for name, mean in (("a", 0.9), ("b", 0.93), ("c", 0.9))
    }
    groups["other seeds"] = {10: 0.5}
    found = pair_rows(groups)
    pairs = [(row["first"], row["second"]) for row in found]
    assert pairs == [("a", "b"), ("a", "c"), ("b", "c")]
    plain = [stats.ttest_rel(*(list(groups[name].values()) for name in pair)) for pair in pairs]
    adjusted = holm([one.pvalue for one in plain])
    assert [row["p_holm"] for row in found] == pytest.approx(adjusted)


def test_configuration_key_forgets_the_seed_alone():
    config = {
        "model": {"name": "q2"},
        "train": {"seed": 0, "epochs": 3, "accelerator": "cpu"},
        "data": {"split_seed": 0, "root": "x"},
    }
    same = {
        "data": {"root": "y", "split_seed": 0},
        "train": {"epochs": 3, "seed": 5, "accelerator": "cuda"},
        "model": {"name": "q2"},
    }
    assert configuration_key(config) == configuration_key(same)
    for section, key, value in (
        ("train", "epochs", 4),
        ("data", "split_seed", 1),
        ("model", "name", "g4"),
    ):
        other = {name: dict(part) for name, part in config.items()}
        other[section][key] = value
        assert configuration_key(other) != configuration_key(config)


def test_groups_keep_the_order():
    assert groups_of([3, 1, 4, 1, 5], lambda n: "odd" if n % 2 else "even") == {
        "odd": [3, 1, 1, 5],
        "even": [4],
    }


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.999])
def test_fraction_interval_has_its_confidence(confidence):
    twin = stats.binomtest(355, 359).proportion_ci(confidence, method="wilson")
    assert fraction_interval(355 / 359, 359, confidence=confidence) == pytest.approx(
        (twin.low, twin.high), abs=1e-14
    )
    for wrong in (0, 1, 1.5, -1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            fraction_interval(0.5, 10, confidence=wrong)
