"""The table of accuracies: equal budgets of epochs for every case and seed, planned from measured
epochs, each row written when it is done.

`train.py --rows accuracy` calls `accuracy_rows`. The folder `--out` keeps accuracy.jsonl: its first
line is the plan (epochs, data, recipe, measured costs), every further line one finished run. A call
skips the runs that are there, stops cleanly at its deadline or on SIGTERM, and prints the table of
what there is; the same command goes on. The run folders (`--runs`) may be lost in between: then
only the run that was on its way starts again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import nets
from nets.config import load_config
from nets.data.sources import DataSet, load_data
from nets.settings import TrainConfig
from nets.training.build import build
from nets.training.launch import launched_fabric
from nets.training.train import _settings
from nets.training.trainer import Trainer

STARTS: dict[str, list[str]] = {
    "xavier": ["init=xavier"],
    "abs_xavier": ["init=abs_xavier"],
    "constant": ["init=constant"],
    "chebyshev4": ["init=chebyshev4"],
    "chebyshev4, laplacian": ["init=chebyshev4", "operator=laplacian"],
}
PLACEMENTS = ("regular", "relu_outside_nobn")
RESERVE = 0.15  # share of the budget kept for what the measured epochs do not show


@dataclass(frozen=True)
class Case:
    """One row of the table: its settings, and the group of cases that cost the same."""

    name: str
    group: str
    sets: tuple[str, ...]
    extra: bool = False  # trained when all others are there for every seed


def cases(only: str = "") -> list[Case]:
    """q2 at two placements from every start, and resnet18; those whose name holds `only`."""
    found = [
        Case(
            f"q2 {placement}, {start}",
            f"q2 {placement}",
            ("model=q2", f"placement={placement}", *sets),
            extra="laplacian" in start,
        )
        for (start, sets), placement in itertools.product(STARTS.items(), PLACEMENTS)
    ]
    found.append(Case("resnet18", "resnet18", ("model=resnet18", "init=none")))
    chosen = [case for case in found if only in case.name]
    if not chosen:
        raise ValueError(
            f"--only {only!r} leaves no case; the cases are"
            f" {'; '.join(case.name for case in found)}"
        )
    return chosen


@dataclass(frozen=True)
class Cost:
    """What a group was measured to cost: seconds from nothing to a run's first step, seconds and
    memory of an epoch."""

    group: str
    start: float
    epoch: float
    images_per_second: float
    gibibytes: float


def configuration(args: argparse.Namespace, case: Case, seed: int, epochs: int) -> TrainConfig:
    """Of one run. The state is saved at the end or on a stop alone: a run is shorter than what its
    checkpoints would save."""
    fixed = [
        f"data={args.data}",
        f"epochs={epochs}",
        f"seed={seed}",
        "tensorboard=false",
        f"checkpoint_epochs={epochs}",
    ]
    return load_config("fast", [*case.sets, *fixed, *args.set])


def measure(args: argparse.Namespace, case: Case, data: DataSet, *, steps: int = 10) -> Cost:
    """A group's cost from a few steps of training and an evaluation of a second model: what the
    first one compiles, a run finds done."""
    config = configuration(args, case, 0, 1)
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()

    def made() -> Trainer:
        model, _ = build(config, data)
        t = Trainer(config, launched_fabric(config.train), model, data)
        t.model.train()
        some(t, 1)
        return t

    def some(t: Trainer, count: int) -> int:
        t.within = 0
        batches = list(itertools.islice(t.batches(), count))
        for batch in batches:
            t.train_step(*batch)
        t.check_finite()  # waits for the device
        return len(batches)

    def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
        begin = time.perf_counter()
        result = work()
        return time.perf_counter() - begin, result

    made()
    start, t = seconds(made)
    some(t, 3)
    whole, done = seconds(lambda: some(t, steps))
    step = whole / done
    # the first prepares
    evaluation = min(seconds(lambda: t.evaluate(t.validation))[0] for _ in range(2))
    memory = torch.cuda.max_memory_allocated() / 2**30 if cuda else _resident()
    return Cost(
        case.group,
        start,
        step * t.steps_per_epoch + evaluation,
        config.train.batch_size / step,
        memory,
    )


def _resident() -> float:
    """Peak resident memory of this process, GiB; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def affordable(costs: Mapping[str, Cost], runs: Sequence[Case], seconds: float) -> int:
    """Epochs, equal for all runs, that fit into the seconds; at least 1."""
    starts = sum(costs[case.group].start for case in runs)
    epoch = sum(costs[case.group].epoch for case in runs)
    return max(1, int(((1 - RESERVE) * seconds - starts) / epoch))


class Rows:
    """accuracy.jsonl: a line is written, flushed and synced at once; a half line of a killed call
    is cut off."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_bytes() if path.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:
            path.write_bytes(whole)
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]

    def add(self, line: dict[str, Any]) -> None:
        """Appends a line."""
        with self.path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.lines.append(line)

    @property
    def plan(self) -> dict[str, Any] | None:
        """The first line."""
        return self.lines[0] if self.lines else None

    def values(self, name: str) -> dict[int, float]:
        """seed -> test accuracy in %, not a number where a run diverged."""
        return {
            row["seed"]: row["accuracy"] if row["accuracy"] is not None else float("nan")
            for row in self.lines[1:]
            if row["case"] == name
        }


def make_plan(args: argparse.Namespace, chosen: Sequence[Case], seconds: float) -> dict[str, Any]:
    """Measures one case of every group and chooses the epochs; prints times and memory before
    anything is trained."""
    began = time.perf_counter()
    options = load_config("fast", [f"data={args.data}", *args.set]).data
    data = load_data(
        **options.model_dump(
            include={"name", "root", "validation", "split_seed", "size", "download"}
        )
    )
    costs: dict[str, Cost] = {}
    for case in chosen:
        if case.group not in costs:
            # as in a run: compiled code depends on them
            with _settings(configuration(args, case, 0, 1).train):
                costs[case.group] = measure(args, case, data)
    spent = time.perf_counter() - began
    runs = [case for case in chosen for _ in range(args.seeds)]
    # every call decodes and compiles anew
    epochs = args.epochs or affordable(costs, runs, seconds - args.calls * spent)
    print(
        f"\nplan, measured in {spent:.0f} s: {len(data.train):,} training images, {len(runs)} runs"
        f" of {epochs} epochs"
    )
    print(f"{'':<32}{'runs':>6}{'start s':>9}{'epoch s':>9}{'images/s':>11}{'GiB':>7}{'all s':>9}")
    total = 0.0
    for name, cost in costs.items():
        count = sum(case.group == name for case in runs)
        whole = count * (cost.start + epochs * cost.epoch)
        total += whole
        print(
            f"{name:<32}{count:>6}{cost.start:>9.2f}{cost.epoch:>9.2f}{cost.images_per_second:>11,.0f}{cost.gibibytes:>7.2f}{whole:>9.0f}"
        )
    print(f"{'together':<32}{len(runs):>6}{'':>36}{total:>9.0f}   of {seconds:.0f} s", flush=True)
    return {
        "data": args.data,
        "sets": args.set,
        "epochs": epochs,
        "costs": [asdict(cost) for cost in costs.values()],
    }


def accuracy_rows(args: argparse.Namespace, *, deadline: float, budget: float) -> bool:
    """Trains what is missing until the deadline (of time.perf_counter), prints the table; whether
    all rows are there.

    Parameters
    ----------
    budget
        Seconds that all calls together have for these rows: what the epochs are chosen for.
    """
    chosen = cases(args.only)
    rows = Rows(Path(args.out) / "accuracy.jsonl")
    if rows.plan is None:
        rows.add(make_plan(args, chosen, budget))
    plan = rows.plan or {}
    given = {"data": args.data, "sets": args.set} | ({"epochs": args.epochs} if args.epochs else {})
    for key, value in given.items():
        if plan[key] != value:
            raise ValueError(
                f"{rows.path} has rows for {key} {plan[key]!r}, asked is {value!r}; give another"
                " --out"
            )
    stopped = False
    for seed, case in sorted(
        itertools.product(range(args.seeds), chosen), key=lambda pair: pair[1].extra
    ):
        if stopped or seed in rows.values(case.name):
            continue
        config = configuration(args, case, seed, plan["epochs"])
        folder = (
            Path(args.runs or Path(args.out) / "runs")
            / f"{case.name.replace(' ', '_').replace(',', '')}_{seed}_{plan['epochs']}"
        )
        began = time.perf_counter()
        if began > deadline:
            stopped = True
            continue
        row: dict[str, Any] = {"case": case.name, "seed": seed, "accuracy": None}
        try:
            summary = nets.train(
                config,
                folder,
                resume=True,
                progress=False,
                stop=lambda: time.perf_counter() > deadline,
            )
            if not summary.finished:
                stopped = True
                print(
                    f"{case.name}, seed {seed}: stopped after {summary.epochs} of {plan['epochs']}"
                    " epochs",
                    flush=True,
                )
                continue
            row["accuracy"] = 100 * (summary.test_accuracy or 0.0)
            row |= {
                key: getattr(summary, key)
                for key in (
                    "test_loss",
                    "val_accuracy",
                    "train_loss",
                    "parameters",
                    "epochs",
                    "environment",
                )
            }
            row |= {
                "images_per_second": summary.images_per_second,
                "roots_at_guard": len(summary.roots_at_guard),
            }
        except FloatingPointError as error:
            row["error"] = str(error)
        # no row: the next call tries this run again, and the others are trained now
        except Exception as error:
            print(f"{case.name}, seed {seed}: {type(error).__name__}: {error}", flush=True)
            continue
        row["seconds"] = round(time.perf_counter() - began, 2)
        rows.add(row)
        print(json.dumps(row), flush=True)
    print_accuracies(args, rows, chosen)
    return all(seed in rows.values(case.name) for seed in range(args.seeds) for case in chosen)


def print_accuracies(args: argparse.Namespace, rows: Rows, chosen: Sequence[Case]) -> None:
    """Mean and standard deviation over the seeds of every case; runs that diverged are counted and
    left out of the mean."""
    label = "CIFAR-10 (JPEG)" if "cifar10-jpeg" in args.data else args.data
    epochs = (rows.plan or {})["epochs"]
    print(
        f"\n{label}, fast recipe, {epochs} epochs for every run; test accuracy in %, mean +-"
        " standard deviation over seeds"
    )
    for case in chosen:
        found = rows.values(case.name)
        values = [value for value in found.values() if value == value]
        mean = f"{statistics.mean(values):.2f}" if values else "-"
        spread = f"{statistics.stdev(values):.2f}" if len(values) > 1 else "-"
        diverged = f", {len(found) - len(values)} diverged" if len(values) < len(found) else ""
        print(
            f"{case.name:<44}{mean:>8} +- {spread:<6}({len(found)} of {args.seeds} runs{diverged})"
        )
