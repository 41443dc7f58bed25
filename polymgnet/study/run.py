"""One run of a study: what it is found by, what it measured, and how its end is told."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polymgnet.errors import Stopped
from polymgnet.packages import prefer_own

# settings that are younger than committed rows, each with the value that says what those did
LATER: Mapping[str, Mapping[str, Any]] = {
    "data": {"test": None},
    "init": {"weights": None},
}


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

    @cached_property
    def digest(self) -> str:
        """What its row is found by: 16 digits of a hash of its configuration, wherever in the file
        a value stands, defaults included, so that a later version may have others."""
        from nets.settings import WITHOUT_EFFECT

        given = self.train_config.model_dump(mode="json")
        for section, keys in WITHOUT_EFFECT.items():
            for key in keys:
                given[section].pop(key)
        for section, values in LATER.items():
            for key, value in values.items():
                if given[section][key] == value:
                    given[section].pop(key)
        return digest_of(given)

    @property
    def whole(self) -> str:
        """What no other run of a study may be: all of its configuration."""
        text: str = self.train_config.model_dump_json()
        return text

    @property
    def seeds(self) -> dict[str, Any]:
        """Of its settings the seed."""
        from nets.settings import is_seed

        return {key: value for key, value in self.settings.items() if is_seed(key)}

    @property
    def alike(self) -> tuple[str, str]:
        """Its recipe, and its settings but the seed as JSON."""
        rest = {key: value for key, value in self.settings.items() if key not in self.seeds}
        return self.config, json.dumps(rest, sort_keys=True)

    def described(self) -> dict[str, Any]:
        """Its fields for JSON, with the whole path of its folder."""
        return {
            "point": dict(self.point),
            "config": self.config,
            "settings": dict(self.settings),
            "folder": str(self.folder.absolute()),
        }

    def check(self, *, trains: bool = True, made: dict[str, Any] | None = None) -> None:
        """ValueError or FileNotFoundError where it cannot be trained as it is described; where
        nothing `trains`, the files that its start is read from may be elsewhere. Runs that share
        `made` share their networks in it."""
        from nets.training.build import check_start

        config = self.train_config
        try:
            check_start(config, made)
        except OSError:
            if trains:
                raise

    def summary(self) -> dict[str, Any]:
        """What the finished run measured."""
        from mgtheory._files import read_json

        return read_json(self.folder / "summary.json", "run summary")

    @cached_property
    def train_config(self) -> Any:
        """The validated configuration; ValueError for a wrong key or value."""
        return load(self.config, self.settings)

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

        config = self.train_config

        def epoch(values: Mapping[str, Any]) -> None:
            if report is not None:
                report(f"{self.folder.name}, epoch {int(values['epoch'])}/{config.train.epochs}")

        nets.train(config, self.folder, resume=True, progress=progress, callback=epoch, stop=stop)
        if not self.finished:
            raise Stopped(
                f"stopped as asked in {self.folder}; its state is saved, the same command goes on"
            )

    @property
    def devices(self) -> tuple[int, int]:
        """(processes on a machine, machines) that train it together; ValueError where its machine
        alone could tell."""
        from nets.training.launch import devices_here

        section = self.train_config.train
        if section.devices == "auto" and section.accelerator in ("auto", "cuda"):
            raise ValueError(
                "train.devices is auto, which a job alone could count; give a number, or"
                " gpus_per_node (for CPUs ntasks_per_node) in [slurm]"
            )
        return devices_here(section), section.nodes

    @property
    def alone(self) -> bool:
        """Whether one process trains it on this machine."""
        from nets.training.launch import devices_here

        section = self.train_config.train
        return bool(devices_here(section) == section.nodes == 1)


def load(config: str, settings: Mapping[str, Any]) -> Any:
    """The configuration of a recipe or file with these settings; ValueError for wrong ones."""
    import nets

    return nets.load_config(config, [f"{k}={json.dumps(v)}" for k, v in settings.items()])


def digest_of(given: Any) -> str:
    """16 digits of a hash of JSON data."""
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]


def text_of(value: Any) -> str:
    """A value of a grid in words: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def outcome(run: Run, failed: dict[str, str]) -> str:
    """One run that has ended, in words: what it reached and how long it took, or why it failed."""
    name = run.folder.name
    if name in failed:
        return f"{name} failed: {failed[name]}"
    if not run.finished:  # a shared file system shows a job's files late
        return name
    summary = run.summary()
    accuracy, factor = summary.get("test_accuracy"), summary.get("factor")
    reached = "" if accuracy is None else f", test accuracy {100 * accuracy:.2f} %"
    reached += "" if factor is None else f", factor {factor:.4f}"
    return f"{name}, {summary['seconds']:.1f} s{reached}"
