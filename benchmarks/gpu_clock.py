"""Times on a device: synchronised, medians of runs that alternate, and what keeps it busy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile


class Clock:
    """Medians of synchronised runs."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats

    def once(self, run: Callable[[], Any]) -> float:
        """Seconds of one run."""
        self.wait()
        start = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        """Until the device has nothing left to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def __call__(self, runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
        """Median seconds of each, after one run that is not counted."""
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for i in range(self.repeats + 1):
            for name, run in runs.items():
                one = self.once(run)
                if i:
                    seconds[name].append(one)
        return {name: statistics.median(values) for name, values in seconds.items()}

    def busy(self, run: Callable[[], Any]) -> str:
        """Launches of one run, and the milliseconds that they keep the device busy; empty on a
        processor."""
        if self.device.type != "cuda":
            return ""
        try:
            with profile(activities=[ProfilerActivity.CUDA]) as seen:
                self.once(run)
        except RuntimeError as error:  # a container may forbid it
            return str(error).splitlines()[0]
        events = [e for e in seen.key_averages() if e.device_type is DeviceType.CUDA]
        ms = 1e-3 * sum(e.self_device_time_total for e in events)
        return f"{sum(e.count for e in events)} launches, {ms:.3f} ms"


def said(what: str, value: str, asked: str = "", met: bool | None = None) -> None:
    """A line of the table."""
    mark = "" if met is None else ("  met" if met else "  MISSED")
    print(f"{what:<58} {value:>24}  {asked}{mark}", flush=True)
