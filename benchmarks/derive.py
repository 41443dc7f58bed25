"""Time to derive every family of the registry up to a degree, on sources of every kind that it
takes, and the costly ones at their last.

Asked up to degree 16: at most 50 ms for any family, at most 5 s for `two_grid_optimal` and
`minimax`. Times are medians of several runs, with imports done before and what is kept between
calls cleared; beside them the processor time of the fastest, which a busy machine does not change.

    python benchmarks/derive.py [--degree 16] [--repeats 5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from table import interleaved, machine

from mgtheory import derive
from mgtheory.derive import InitialCoefficients
from mgtheory.families import FAMILIES
from mgtheory.polynomials.fourthkind import _optimised_angles
from mgtheory.problems.catalogue import create
from mgtheory.spectra.interval import Interval

ASKED = {"minimax": 5.0, "two_grid_optimal": 5.0}
QUICK = 0.05  # seconds, all other families


@dataclass(frozen=True)
class Case:
    """One row: a family on a source at a degree, and the seconds asked for (0: reported only)."""

    family: str
    source: str
    degree: int
    asked: float
    arguments: dict[str, Any]

    def run(self, spent: list[float]) -> InitialCoefficients:
        """Derive, from nothing kept; the processor time goes to `spent`."""
        _optimised_angles.cache_clear()
        start = time.process_time()
        result = derive(self.family, self.degree, **self.arguments)
        spent.append(time.process_time() - start)
        return result


def sources() -> dict[str, dict[str, dict[str, Any]]]:
    """For every need of a family: sources by name."""
    poisson = create("poisson2d", n=63)
    generator = np.random.default_rng(0)
    circle = np.exp(2j * np.pi * np.arange(400) / 400)
    cloud = 2 + 0.3 * generator.standard_normal(500) + 0.4j * generator.standard_normal(500)
    names = (
        "poisson1d",
        "poisson2d",
        "poisson3d",
        "poisson2d-9point",
        "poisson2d-q1",
        "anisotropic2d",
    )
    problems = {name: {"of": create(name, n=7)} for name in names}
    return {
        "interval": {"poisson2d, n = 63": {"of": poisson}},
        "lmax": {
            "poisson2d, n = 63": {"of": poisson},
            "its matrix (Lanczos)": {"of": poisson.A},
        },
        "radius": {"poisson2d, n = 63": {"of": poisson}},
        "operator": {
            "poisson2d, n = 63": {
                "of": poisson,
                "start": generator.standard_normal(poisson.b.size),
            }
        },
        "points": {
            "one interval": {"of": (2.0, 8.0)},
            "two intervals": {"of": [Interval(-2, -1), Interval(1, 3)]},
            "circle of 400 points": {"of": 2 + circle},
            "cloud of 500 points": {"of": cloud},
        },
        "problem": problems,
    }


def cases(degree: int) -> Iterator[Case]:
    """Every family at the largest of its degrees up to `degree`; then the costly ones at their last
    degree."""
    every = sources()
    for family in FAMILIES.values():
        k = degree if family.name != "mls" else degree - (degree - 1) % 3
        for name, arguments in every[family.needs].items():
            yield Case(
                family.name, name, k, ASKED.get(family.name, QUICK) if k <= 16 else 0.0, arguments
            )
    for name, arguments in every["points"].items():
        yield Case("minimax", name, 256 if name == "one interval" else 64, 0.0, arguments)
    for k in (64, 256):
        yield Case(
            "chebyshev4_opt",
            "poisson2d, n = 63",
            k,
            1.0 if k == 64 else 0.0,
            every["lmax"]["poisson2d, n = 63"],
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--degree", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(machine())
    print(
        f"\n{'family':<18} {'source':<24} {'degree':>6} {'roots':>6} {'median [s]':>11}"
        f" {'cpu [s]':>9} {'asked [s]':>10}  result"
    )
    for case in cases(options.degree):
        spent: list[float] = []
        case.run(spent)
        runs: dict[str, Callable[[], Any]] = {"ours": partial(case.run, spent)}
        seconds, results = interleaved(runs, repeats=options.repeats)
        result = {
            name: value
            for name, value in results["ours"].provenance["result"].items()
            if value not in ([], True)
        }
        notes = ", ".join(
            f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in result.items()
        )
        asked = f"{case.asked:g}" if case.asked else "-"
        mark = "  (missed)" if case.asked and seconds["ours"] > case.asked else ""
        row = f"{case.family:<18} {case.source:<24} {case.degree:>6} {results['ours'].degree:>6}"
        print(
            f"{row} {seconds['ours']:>11.4f} {min(spent):>9.4f} {asked:>10}  {notes}{mark}",
            flush=True,
        )


if __name__ == "__main__":
    main()
