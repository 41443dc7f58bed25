"""A study: a grid of training runs from one file, run here or by Slurm, resumable, with mean and
spread at the end.

The file is TOML or JSON::

    config = "q2"                                # a recipe or a file, as for `train --config`
    out = "runs/starts"                          # where the run folders go
    [set]                                        # the same for every run, as for `train --set`
    data = "digits"
    epochs = 10
    [grid]                                       # every combination is one run
    init = ["xavier", "constant", "chebyshev4"]
    seed = [0, 1, 2]                             # what differs only in the seed is averaged
    [slurm]                                      # for --engine slurm: submitit's parameters
    timeout_min = 120

A run's folder is named after its settings, so a study that is started again, or whose grid has
grown, does what is missing alone.
"""

import hashlib
import itertools
import json
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymgnet.console import Step, silent
from polymgnet.errors import Stopped
from polymgnet.files import check_folder, write_json
from polymgnet.study.local import attempt, outcome

KEYS = ("config", "out", "set", "grid", "slurm")
AVERAGED = "seed"
# what summary.json holds -> heading of the table with its unit, and what one of it is in that unit
MEASURES = {
    "test_accuracy": ("test accuracy (%)", 100.0),
    "val_accuracy": ("validation accuracy (%)", 100.0),
    "seconds": ("time (s)", 1.0),
    "images_per_second": ("images/s", 1.0),
}
COMPARED = "test_accuracy"
MAX_RUNS = 10_000


@dataclass(frozen=True)
class Run:
    """One run: the point of the grid it stands for, all of its settings, and its folder."""

    point: Mapping[str, Any]
    config: str
    settings: Mapping[str, Any]
    folder: Path

    @property
    def finished(self) -> bool:
        """Whether its summary is there; that is the last file a run writes."""
        return (self.folder / "summary.json").is_file()

    def summary(self) -> dict[str, Any]:
        """What the finished run measured."""
        from mgtheory._files import read_json

        return read_json(self.folder / "summary.json", "run summary")

    def train_config(self) -> Any:
        """The validated configuration; ValueError for a wrong key or value."""
        import nets

        return nets.load_config(
            self.config, [f"{key}={json.dumps(value)}" for key, value in self.settings.items()]
        )

    def __call__(
        self,
        *,
        tell: Callable[[str], None] | None = None,
        stop: Callable[[], bool] | None = None,
        progress: bool = False,
    ) -> None:
        """Train, or go on where the run was; Stopped, with the state saved, where a signal or
        `stop` asked for it.

        Parameters
        ----------
        tell
            Told after every epoch.
        progress
            Lines about the run itself on stderr, as in a job's own log file.
        """
        import nets

        config = self.train_config()

        def epoch(values: Mapping[str, Any]) -> None:
            if tell is not None:
                tell(f"{self.folder.name}, epoch {int(values['epoch'])}/{config.train.epochs}")

        nets.train(config, self.folder, resume=True, progress=progress, callback=epoch, stop=stop)
        if not self.finished:
            raise Stopped(
                f"stopped as asked in {self.folder}; its state is saved, the same command goes on"
            )

    def checkpoint(self, *, progress: bool = False) -> Any:
        """Submit the same call again when Slurm takes the machine away; training goes on from its
        last checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, progress=progress)


@dataclass(frozen=True)
class Study:
    """A checked study: the runs it asks for."""

    out: Path
    runs: tuple[Run, ...]
    slurm: Mapping[str, Any] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[Run, ...]:
        """The runs that are not finished."""
        return tuple(run for run in self.runs if not run.finished)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"study file {path} does not exist")
    try:
        data = (
            json.loads(path.read_text(encoding="utf-8"))
            if path.suffix == ".json"
            else tomllib.loads(path.read_text(encoding="utf-8"))
        )
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"study file {path} is neither TOML nor (named .json) JSON: {error}"
        ) from None
    if not isinstance(data, dict):
        raise ValueError(
            f"study file {path} holds a {type(data).__name__}, must be a table with"
            f" {', '.join(KEYS)}"
        )
    unknown = [key for key in data if key not in KEYS]
    if unknown:
        raise ValueError(
            f"study file {path}: unknown key {unknown[0]!r}, allowed are {', '.join(KEYS)}"
        )
    for key in ("set", "grid", "slurm"):
        if not isinstance(data.setdefault(key, {}), dict):
            raise ValueError(f"study file {path}: {key} is {data[key]!r}, must be a table")
    if not isinstance(data.get("config"), str):
        raise ValueError(
            f"study file {path}: config is {data.get('config')!r}, must be the name of a recipe or"
            " a file"
        )
    return data


def _name(point: Mapping[str, Any], config: str, settings: Mapping[str, Any]) -> str:
    """Readable and unique: the grid point, and eight digits of a hash over all settings."""
    digest = hashlib.sha256(
        json.dumps([config, dict(settings)], sort_keys=True).encode()
    ).hexdigest()[:8]
    words = [f"{key.split('.')[-1]}-{_text(value)}" for key, value in point.items()]
    safe = "_".join(
        "".join(c if c.isalnum() or c in "-.=" else "-" for c in word)[:40] for word in words
    )
    return f"{safe[:120]}_{digest}" if safe else digest


def load_study(path: Path, *, out: Path | None = None) -> Study:
    """Read and check a study file; every run's configuration is built once, so that a wrong value
    is found before training starts."""
    data = _read(path)
    where = out or (Path(data["out"]) if isinstance(data.get("out"), str) else None)
    if where is None:
        raise ValueError(
            f"study file {path}: out is {data.get('out')!r}, must name a folder (or give --out)"
        )
    check_folder(where)
    grid = {
        key: value if isinstance(value, list) else [value] for key, value in data["grid"].items()
    }
    empty = [key for key, values in grid.items() if not values]
    if empty:
        raise ValueError(
            f"study file {path}: grid {empty[0]} is an empty list, needs at least one value"
        )
    twice = [key for key in grid if key in data["set"]]
    if twice:
        raise ValueError(
            f"study file {path}: {twice[0]} stands in both set and grid; only one is allowed"
        )
    runs = []
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        settings = {**data["set"], **point}
        config = str(settings.pop("config", data["config"]))
        runs.append(Run(point, config, settings, where / _name(point, config, settings)))
        if len(runs) > MAX_RUNS:
            raise ValueError(f"study file {path} asks for more than {MAX_RUNS} runs")
    if len({run.folder for run in runs}) < len(runs):
        raise ValueError(
            f"study file {path}: the grid holds the same run twice; every value of a list must"
            " differ"
        )
    from nets.training.train import check_start

    for run in runs:
        check_start(run.train_config())
    return Study(where, tuple(runs), data["slurm"])


def run_slurm(
    study: Study, *, cluster: str = "slurm", poll: float = 10.0, report: Step = silent
) -> dict[str, str]:
    """Submit what is missing through submitit and wait; jobs that an earlier call submitted and
    that still run are waited for, not doubled.

    Parameters
    ----------
    cluster
        submitit's name of the executor; "local" runs the same path in processes of this machine.
    poll
        Seconds between two looks at the queue.
    """
    import time

    import submitit

    if cluster == "slurm" and not shutil.which("srun"):
        raise ValueError(
            "engine slurm needs Slurm's commands (srun, sbatch), which are not on this machine;"
            " allowed here is local"
        )
    executor = submitit.AutoExecutor(folder=study.out / "jobs", cluster=cluster)
    try:
        executor.update_parameters(name="polymgnet", **study.slurm)
    # submitit's own error for an unknown parameter is a NameError
    except (NameError, TypeError) as error:
        raise ValueError(f"slurm: {error}") from None
    book = study.out / "jobs.json"
    known = json.loads(book.read_text(encoding="utf-8")) if book.is_file() else {}
    job_class = executor._executor.job_class
    waiting, runs = {}, {run.folder.name: run for run in study.missing}
    for name, run in runs.items():
        if name in known:
            earlier = job_class(folder=executor.folder, job_id=known[name])
            if not earlier.done():
                waiting[name] = earlier
                continue
        waiting[name] = executor.submit(run, progress=True)
        known[name] = waiting[name].job_id
        write_json(book, known)
    failed: dict[str, str] = {}
    done = len(study.runs) - len(waiting)
    report(done, "")
    while waiting:
        for name in [name for name, job in waiting.items() if job.done()]:
            attempt(waiting.pop(name).result, failed, name=name)
            done += 1
            report(done, finished=outcome(runs[name], failed))
        if waiting:
            report(done, f"{len(waiting)} queued or running")
            time.sleep(poll)
    return failed


@dataclass(frozen=True)
class Row:
    """What was measured for one point of the grid over its seeds: an `analysis.Estimate` of each
    measure, and its values by seed."""

    point: Mapping[str, Any]
    measures: Mapping[str, Any]
    values: Mapping[str, Mapping[str, float]]
    runs: int

    @property
    def label(self) -> str:
        """The point in words."""
        return ", ".join(f"{key} {_text(value)}" for key, value in self.point.items()) or "all runs"

    def to_dict(self) -> dict[str, Any]:
        """JSON types; spread and confidence interval are null where there is one run."""
        return {
            "point": dict(self.point),
            "runs": self.runs,
            **{name: found.to_dict() for name, found in self.measures.items()},
        }


def summarise(runs: Sequence[Run]) -> list[Row]:
    """Mean, spread and confidence interval over the seeds, a row for every other point of the grid;
    finished runs alone."""
    from analysis.stats import estimate, groups_of

    rows = []
    for key, members in groups_of(
        [run for run in runs if run.finished], lambda run: json.dumps(_split(run.point)[0])
    ).items():
        values: dict[str, dict[str, float]] = {}
        for run in members:
            summary = run.summary()
            for name in MEASURES:
                if summary.get(name) is not None:
                    values.setdefault(name, {})[json.dumps(_split(run.point)[1])] = float(
                        summary[name]
                    )
        measures = {
            name: estimate(list(values[name].values())) for name in MEASURES if name in values
        }
        rows.append(Row(json.loads(key), measures, values, len(members)))
    return rows


def tested_on(runs: Sequence[Run]) -> int | None:
    """The number of test images of the finished runs; None where they differ or were not
    counted."""
    from nets.training.predict import DATA_FILE, read_data_facts

    counts = {
        read_data_facts(run.folder).images["test"] if (run.folder / DATA_FILE).is_file() else None
        for run in runs
        if run.finished
    }
    return counts.pop() if len(counts) == 1 else None


def differences(rows: Sequence[Row], measure: str = COMPARED) -> list[dict[str, Any]]:
    """Every two points of the grid compared over the seeds they share: rows of
    `analysis.stats.pair_rows`; none with a single seed."""
    from analysis.stats import pair_rows

    values = {row.label: row.values[measure] for row in rows if measure in row.values}
    return [pair for pair in pair_rows(values) if pair["seeds"] > 1]


def _split(point: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What tells a row from another, and the seeds within it."""
    seeds = {key: value for key, value in point.items() if key.split(".")[-1] == AVERAGED}
    return {key: value for key, value in point.items() if key not in seeds}, seeds
