"""The table that every benchmark prints: what, our time, the peer's time, their ratio, and what was
asked; medians of several runs.

Runs of all contestants are interleaved, so that a change of the machine's load meets all of them
alike. Beside the ratio of the medians stands that of the shortest times: where both agree, the load
did not decide. That of the processor's times (medians, all threads together) stays what it is when
others use the machine too.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One line: seconds of ours and of the peer (medians), the ratio asked for (0: reported only),
    a note, the ratio of shortest times, that of processor times."""

    what: str
    ours: float
    peer: float
    peer_name: str
    asked: float = 0.0
    note: str = ""
    least: float = 0.0
    processor: float = 0.0

    @property
    def ratio(self) -> float:
        """The peer's time over ours."""
        return self.peer / self.ours


class Seconds(dict[str, float]):
    """Median seconds by contestant; the shortest in `least`, of the processor in `processor`."""

    def __init__(self, runs: Mapping[str, list[tuple[float, float]]]) -> None:
        wall = {name: [one for one, _ in pairs] for name, pairs in runs.items()}
        super().__init__({name: statistics.median(values) for name, values in wall.items()})
        self.least = {name: min(values) for name, values in wall.items()}
        self.processor = {
            name: statistics.median(other for _, other in pairs) for name, pairs in runs.items()
        }

    def replace(self, other: Seconds) -> None:
        """Take another measurement where there is one."""
        self.update(other)
        self.least.update(other.least)
        self.processor.update(other.processor)

    def row(
        self,
        what: str,
        ours: str,
        peer: str,
        *,
        asked: float = 0.0,
        note: str = "",
        factor: float = 1.0,
    ) -> Row:
        """Contestant `peer` over contestant `ours`; the peer's time times `factor`."""
        return Row(
            what,
            self[ours],
            factor * self[peer],
            peer,
            asked,
            note,
            factor * self.least[peer] / self.least[ours],
            factor * self.processor[peer] / self.processor[ours],
        )


def interleaved(
    contestants: Mapping[str, Callable[[], Any]], *, repeats: int = 5
) -> tuple[Seconds, dict[str, Any]]:
    """Seconds of each contestant, runs interleaved, and the last result of each."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    results: dict[str, Any] = {}
    for _ in range(repeats):
        for name, run in contestants.items():
            start, processor = time.perf_counter(), time.process_time()
            results[name] = run()
            seconds[name].append((time.perf_counter() - start, time.process_time() - processor))
    return Seconds(seconds), results


def relative_residual(A: Any, x: np.ndarray, b: np.ndarray) -> float:
    """||b - A x||_2 / ||b||_2, computed from A, x and b alone."""
    return float(np.linalg.norm(b - A @ x) / np.linalg.norm(b))


def machine() -> str:
    """The processor and the versions that the numbers belong to."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next(
            (
                line.split(":")[1].strip()
                for line in info.read_text().splitlines()
                if line.startswith("model name")
            ),
            cpu,
        )
    return f"{cpu}; Python {platform.python_version()}, " + ", ".join(
        f"{name} {version(name)}" for name in ("numpy", "scipy", "pyamg")
    )


def print_rows(title: str, rows: Iterable[Row]) -> None:
    """The table on standard output."""
    print(f"\n{title}")
    print(
        f"{'what':<58} {'ours [s]':>10} {'peer [s]':>10} {'ratio':>8} {'of least':>8} {'of cpu':>8}"
        f" {'asked':>6}  peer; note"
    )
    for row in rows:
        asked = f"{row.asked:g}" if row.asked else "-"
        least = f"{row.least:.2f}" if row.least else "-"
        cpu = f"{row.processor:.2f}" if row.processor else "-"
        mark = "" if not row.asked or row.ratio >= row.asked else "  (missed)"
        times = f"{row.ours:>10.4f} {row.peer:>10.4f}"
        numbers = f"{times} {row.ratio:>8.2f} {least:>8} {cpu:>8} {asked:>6}"
        print(f"{row.what:<58} {numbers}  {row.peer_name}; {row.note}{mark}", flush=True)
