"""A study: a grid of training runs from one file, which `polymgnet study --help` describes; what a
run is, and how its end is reported.

A run's folder is named after its settings, so a study that is started again, or whose grid has
grown, does what is missing alone.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymgnet.errors import Failure, Stopped, one_line
from polymgnet.packages import prefer_own

KEYS = ("config", "out", "set", "grid", "slurm")
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

        settings = [f"{key}={json.dumps(value)}" for key, value in self.settings.items()]
        return nets.load_config(self.config, settings)

    def __call__(
        self,
        *,
        report: Callable[[str], None] | None = None,
        stop: Callable[[], bool] | None = None,
        progress: bool = False,
    ) -> None:
        """Train, or go on where the run was; Stopped, with the state saved, where a signal or
        `stop` asked for it.

        Parameters
        ----------
        report
            Called after every epoch.
        progress
            Lines about the run itself on stderr, as in a job's own log file.
        """
        prefer_own()  # a job of Slurm starts in the user's folder
        import nets

        config = self.train_config()

        def epoch(values: Mapping[str, Any]) -> None:
            if report is not None:
                report(f"{self.folder.name}, epoch {int(values['epoch'])}/{config.train.epochs}")

        nets.train(config, self.folder, resume=True, progress=progress, callback=epoch, stop=stop)
        if not self.finished:
            raise Stopped(
                f"stopped as asked in {self.folder}; its state is saved, the same command goes on"
            )

    def checkpoint(self, *, progress: bool = False) -> Any:
        """Submit the same call again when Slurm takes the machine away; it goes on."""
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


def text_of(value: Any) -> str:
    """A value of a grid in words: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _wrong(path: Path, text: str) -> ValueError:
    return ValueError(f"study file {path}: {text}")


def _read(path: Path) -> dict[str, Any]:
    from mgtheory._files import read_json

    data = read_json(path, "study file", toml=path.suffix != ".json")
    unknown = [key for key in data if key not in KEYS]
    if unknown:
        raise _wrong(path, f"unknown key {unknown[0]!r}, allowed are {', '.join(KEYS)}")
    for key in ("set", "grid", "slurm"):
        if not isinstance(data.setdefault(key, {}), dict):
            raise _wrong(path, f"{key} is {data[key]!r}, must be a table")
    config = data.get("config")
    if not isinstance(config, str):
        raise _wrong(path, f"config is {config!r}, must be the name of a recipe or a file")
    return data


def _name(point: Mapping[str, Any], config: str, settings: Mapping[str, Any]) -> str:
    """Readable and unique: the grid point, and eight digits of a hash over all settings."""
    text = json.dumps([config, dict(settings)], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    words = [f"{key.split('.')[-1]}-{text_of(value)}" for key, value in point.items()]
    safe = "_".join(
        "".join(c if c.isalnum() or c in "-.=" else "-" for c in word)[:40] for word in words
    )
    return f"{safe[:120]}_{digest}" if safe else digest


def load_study(path: Path, *, out: Path | None = None) -> Study:
    """Read and check a study file, every run's configuration too, before training starts."""
    from mgtheory._files import check_folder

    data = _read(path)
    named = data.get("out")
    where = out or (Path(named) if isinstance(named, str) else None)
    if where is None:
        raise _wrong(path, f"out is {named!r}, must name a folder (or give --out)")
    check_folder(where)
    grid = {key: v if isinstance(v, list) else [v] for key, v in data["grid"].items()}
    for key, listed in grid.items():
        if not listed:
            raise _wrong(path, f"grid {key} is an empty list, needs at least one value")
        if key in data["set"]:
            raise _wrong(path, f"{key} stands in both set and grid; only one is allowed")
    runs = []
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        settings = {**data["set"], **point}
        config = str(settings.pop("config", data["config"]))
        runs.append(Run(point, config, settings, where / _name(point, config, settings)))
        if len(runs) > MAX_RUNS:
            raise _wrong(path, f"asks for more than {MAX_RUNS} runs")
    if len({run.folder for run in runs}) < len(runs):
        raise _wrong(path, "the grid holds the same run twice; every value of a list must differ")
    from nets.training.train import check_start

    for run in runs:
        check_start(run.train_config())
    return Study(where, tuple(runs), data["slurm"])


def attempt(work: Callable[[], Any], failed: dict[str, str], *, name: str) -> None:
    """One run's failure is recorded and leaves the others running; a stop ends the study."""
    try:
        work()
    except Stopped:
        raise
    except Exception as error:
        kind = "" if isinstance(error, Failure) else f"{type(error).__name__}: "
        failed[name] = kind + one_line(error)


def outcome(run: Run, failed: dict[str, str]) -> str:
    """One run that has ended, in words: what it reached and how long it took, or why it failed."""
    name = run.folder.name
    if name in failed:
        return f"{name} failed: {failed[name]}"
    if not run.finished:  # a shared file system shows a job's files late
        return name
    summary = run.summary()
    accuracy = summary.get("test_accuracy")
    reached = "" if accuracy is None else f", test accuracy {100 * accuracy:.2f} %"
    return f"{name}, {summary['seconds']:.1f} s{reached}"
