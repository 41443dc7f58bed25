"""Mean, spread and confidence over runs that differ in the seed alone, and paired comparisons of
two configurations.

A single run says little: accuracies of equal configurations differ from seed to seed. Runs are
grouped by everything in their configuration but the seed; a group gives mean, standard deviation (n
- 1 in the denominator) and the confidence interval of the mean by Student's t. Two groups that
share seeds are compared in pairs, which removes what the seed does to both; the p-values of many
comparisons are adjusted by Holm.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
import scipy  # scipy.stats, 0.7 s to import, is loaded where a test is made
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr, stdtrit

from nets.settings import SEED, WITHOUT_EFFECT

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)

# of a configuration: what may differ between runs that count as one
VOLATILE = frozenset({SEED, *(key for keys in WITHOUT_EFFECT.values() for key in keys)})
ENOUGH = 5  # pairs for a correlation
WILCOXON_AT_LEAST = 6  # below, the signed-rank test cannot reach p < 0.05 two-sided
WILCOXON_EXACT = 50  # up to so many pairs that differ it is exact, ties included


@dataclass(frozen=True)
class Estimate:
    """Mean and spread of a number over n runs.

    Attributes
    ----------
    n, mean
        Number of runs and their mean.
    std
        Standard deviation with n - 1 in the denominator; None for one run.
    low, high
        Ends of the confidence interval of the mean (Student's t, n - 1 degrees of freedom); None
        for one run.
    confidence
        Its level.
    minimum, maximum
        Of the runs.
    """

    n: int
    mean: float
    std: float | None
    low: float | None
    high: float | None
    confidence: float
    minimum: float
    maximum: float

    @property
    def half(self) -> float | None:
        """Half of the interval; None for one run."""
        return None if self.high is None else self.high - self.mean


@dataclass(frozen=True)
class Comparison:
    """The difference a - b over runs paired by seed.

    Attributes
    ----------
    difference
        Mean and spread of a - b over the pairs; without an interval where all pairs differ by the
        same amount up to rounding.
    p_value
        Of the two-sided paired t-test; 1 where all differences are 0; None for fewer than two
        pairs, or where all pairs differ by the same amount up to rounding (no spread to measure
        against).
    wilcoxon_p
        Of the two-sided signed-rank test, which assumes no normal distribution; None below 6 pairs
        that differ.
    wins, losses, ties
        Pairs with a > b, a < b, a = b.
    """

    difference: Estimate
    p_value: float | None
    wilcoxon_p: float | None
    wins: int
    losses: int
    ties: int


def estimate(values: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Mean ± t_{n-1} std / sqrt(n) of a sample; ValueError for none, or none that is finite."""
    sample = np.atleast_1d(np.asarray(values, dtype=float))
    if sample.ndim != 1 or not sample.size or not np.isfinite(sample).all():
        raise ValueError(
            f"statistics need at least one finite number in one dimension, got {sample.tolist()}"
        )
    _check_confidence(confidence)
    n, mean = sample.size, float(sample.mean())
    std = low = high = None
    if n > 1:
        std = float(sample.std(ddof=1))
        reach = float(stdtrit(n - 1, 0.5 + confidence / 2)) * std / math.sqrt(n)
        low, high = mean - reach, mean + reach
    return Estimate(n, mean, std, low, high, confidence, float(sample.min()), float(sample.max()))


def fraction_interval(fraction: float, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """(p + z²/2n ± z sqrt(p (1 - p)/n + z²/4n²)) / (1 + z²/n): what n images say of an accuracy p
    measured on them (Wilson, 1927).

    It stays inside [0, 1] and has a width at p = 1 too, where the standard error sqrt(p (1 - p)/n)
    is 0. It knows nothing of the spread from one training to the next. ValueError for p outside [0,
    1] or no image.
    """
    if not 0 <= fraction <= 1 or not n >= 1:
        raise ValueError(
            f"fraction {fraction} of {n} images, must lie in [0, 1] and be of at least one"
        )
    _check_confidence(confidence)
    z2 = float(ndtri(0.5 + confidence / 2)) ** 2
    middle = fraction + z2 / (2 * n)
    half = math.sqrt(z2 * fraction * (1 - fraction) / n + (z2 / (2 * n)) ** 2)
    return max(0.0, (middle - half) / (1 + z2 / n)), min(1.0, (middle + half) / (1 + z2 / n))


def paired(a: Mapping[Key, float], b: Mapping[Key, float]) -> Comparison:
    """a - b over the seeds both have: estimate, paired t-test, signed-rank test and the count of
    wins.

    Parameters
    ----------
    a, b
        Seed -> value. Seeds that only one of them has are left out.

    Raises
    ------
    ValueError
        If they share no seed.
    """
    shared = [seed for seed in a if seed in b]
    if not shared:
        raise ValueError(
            f"paired comparison: the seeds {sorted(map(str, a))} and {sorted(map(str, b))} have"
            " none in common"
        )
    first, second = (np.array([side[seed] for seed in shared], dtype=float) for side in (a, b))
    difference = first - second
    sizes = np.maximum(np.abs(first), np.abs(second))
    difference[np.abs(difference) <= 4 * np.finfo(float).eps * sizes] = 0.0  # as 0.1 + 0.2 and 0.3
    different = int(np.count_nonzero(difference))
    p_value = wilcoxon = None
    known = estimate(difference)
    rounding = 4 * np.finfo(float).eps * sizes.max()
    if abs(known.mean) <= rounding:  # as many images right with both, which sums of fractions miss
        known = replace(estimate(difference - known.mean), mean=0.0)
    if difference.size > 1:
        if np.ptp(difference) <= rounding:  # as accuracies on a few images: chance, no certainty
            known = replace(known, low=None, high=None)
            p_value = None if different else 1.0
        else:
            t = difference.mean() * math.sqrt(difference.size) / difference.std(ddof=1)
            p_value = 2.0 * float(stdtr(difference.size - 1, -abs(t)))
    if different >= WILCOXON_AT_LEAST:
        wilcoxon = _signed_rank(difference[difference != 0], rounding)
    return Comparison(
        known,
        p_value,
        wilcoxon,
        wins=int((difference > 0).sum()),
        losses=int((difference < 0).sum()),
        ties=int(difference.size - different),
    )


def _signed_rank(difference: NDArray[np.float64], rounding: float) -> float:
    """P(W as far out) over all signs of the ranks of |difference|, two-sided [F. Wilcoxon, Biom.
    Bull. 1 (1945) 80-83]. Sizes that are apart by rounding alone, as 0.3 - 0.1 and 0.2, are equal.

    SciPy's is the same where sizes are not equal. Where they are, as those of accuracies on a few
    hundred images, it goes through the 2^n signs, in a quarter of a second, or from n = 14 on takes
    the normal distribution; the numbers of signs with the same sum need n additions.
    """
    n, sizes = difference.size, np.abs(difference)
    order = np.argsort(sizes)
    place = np.empty(n, dtype=int)
    place[order] = np.cumsum(np.diff(sizes[order], prepend=sizes[order[0]]) > rounding)
    if n > WILCOXON_EXACT:  # which ranks alone decide
        return float(scipy.stats.wilcoxon(np.sign(difference) * (place + 1)).pvalue)
    count = np.bincount(place)
    ranks = (2 * np.cumsum(count) - count + 1)[place]  # times 2: those of equal ones are whole too
    ways = np.zeros(int(ranks.sum()) + 1)
    ways[0] = 1.0
    for rank in ranks:
        ways[rank:] += ways[:-rank].copy()
    positive = int(ranks[difference > 0].sum())
    tail = min(ways[: positive + 1].sum(), ways[positive:].sum())
    return min(1.0, 2.0 * float(tail) / 2.0**n)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjustment: the j-th smallest of m p-values times (m - j + 1), monotone, at most 1;
    None, where no test was possible, stays and is not counted."""
    tested = sorted((p, k) for k, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for smaller, (p, k) in enumerate(tested):
        largest = adjusted[k] = max(largest, min(1.0, (len(tested) - smaller) * p))
    return adjusted


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's correlation by ranks; None for fewer than `ENOUGH` pairs, or where all numbers of
    one side are equal.

    How strong, and no p-value: what is ranked here, starts that were chosen or runs of a few
    configurations, is no sample of independent pairs, of which one would speak.
    """
    if len(x) < ENOUGH or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(scipy.stats.spearmanr(x, y).statistic)


def configuration_key(config: Mapping[str, Any]) -> str:
    """The configuration without what differs between equal runs, as canonical JSON text."""
    return json.dumps(_without_volatile(config), sort_keys=True, default=str)


def groups_of(items: Iterable[Item], key: Callable[[Item], str]) -> dict[str, list[Item]]:
    """The items by key, in the order of their first appearance."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def pair_rows(groups: Mapping[str, Mapping[Key, float]]) -> list[dict[str, Any]]:
    """Every two groups compared over their shared seeds, a row of a table each: first - second, and
    p-values of the t-test, adjusted by Holm for the number of tests made, and signed-rank.

    Parameters
    ----------
    groups
        Name -> (seed -> value). Pairs of groups without a shared seed are left out.
    """
    found = {
        (first, second): paired(groups[first], groups[second])
        for first, second in combinations(groups, 2)
        if groups[first].keys() & groups[second].keys()
    }
    return [
        {
            "first": first,
            "second": second,
            "seeds": one.difference.n,
            "difference": one.difference.mean,
            "low": one.difference.low,
            "high": one.difference.high,
            "p_value": one.p_value,
            "p_holm": adjusted,
            "p_signed_rank": one.wilcoxon_p,
            "wins": one.wins,
            "losses": one.losses,
        }
        for ((first, second), one), adjusted in zip(
            found.items(), holm([one.p_value for one in found.values()])
        )
    ]


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, must lie between 0 and 1")


def _without_volatile(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_volatile(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list | tuple):
        return [_without_volatile(item) for item in value]
    return value
