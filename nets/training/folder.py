"""Run folders: what lies in one, when it may be written to, and reading the results back.

config.json          the configuration, complete
init.json            how the coefficients started (report, and the derived coefficients if any)
start.safetensors    weights at the start
data.json            shape, classes and normalisation of the images (mean and std
                     per channel), and how many there are
metrics.csv          a row an epoch
coefficients.jsonl, epochs/   what training does to the polynomials (`nets.training.history`)
checkpoint/          the newest two states
tensorboard/         event files
model.safetensors    the trained weights
summary.json         written last: the run is finished when it is there
report/, pictures/   made from the run later
"""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic.dataclasses import dataclass
from torch import nn

from mgtheory._files import check_folder, read_json, write_atomically
from mgtheory._html import html_table
from nets.config import absolute, config_from_dict
from nets.models.create import create_model
from nets.models.pretrained import find_shipped, shipped
from nets.settings import TrainConfig
from nets.start.report import InitReport
from nets.training.checkpoint import Checkpoints, load_model
from nets.training.records import STRICT, read_record

T = TypeVar("T")
CONTENT = (
    *("config.json", "init.json", "start.safetensors", "data.json", "metrics.csv"),
    *("coefficients.jsonl", "epochs"),
    *("checkpoint", "tensorboard", "model.safetensors", "summary.json", "report", "pictures"),
    *("analysis", "figures"),  # what earlier versions wrote for report and pictures
)
# what may be another on going on, and the path in folder:PATH: data are compared by their digest.
# Not `nets.settings.WITHOUT_EFFECT`: config.json says how the whole run was made and recorded, so
# that where its second half is computed must not differ, while more epochs do give other weights
MAY_CHANGE = (("train", "epochs"), ("data", "root"))


@dataclass(frozen=True, config=STRICT)
class Summary:
    """What came out of a run: written as summary.json.

    Attributes
    ----------
    finished
        False when the run was asked to stop and can be resumed.
    seconds, images_per_second
        Wall time of all parts of the run together, and training images per second of training time.
    test_accuracy, val_accuracy
        Fractions in [0, 1]; None where the part is empty or the run is not finished.
    roots_at_guard
        Of the weights of a finished run: the steps whose roots reached a guard or infinity or
        changed sign, see `nets.start.report.roots_at_guard`; empty where every root kept its
        meaning.
    """

    finished: bool
    parameters: int
    epochs: int
    test_accuracy: float | None = None
    test_loss: float | None = None
    val_accuracy: float | None = None
    val_loss: float | None = None
    train_loss: float | None = None
    best_epoch: int | None = None
    steps: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    flops_per_image: int | None = None
    model: str = ""
    data: str = ""
    scheme: str = ""
    seed: int = 0
    resumed: int = 0
    notes: list[str] = field(default_factory=list)
    roots_at_guard: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)

    def __repr__(self) -> str:
        ended = "" if self.finished else ", not finished"
        facts = [f"{self.model} on {self.data}", *(f"{k} {v}" for k, v in self._shown())]
        return f"Summary({', '.join(facts)}{ended})"

    def _repr_html_(self) -> str:
        """For notebooks: a row of the run's numbers."""
        shown = dict(self._shown())
        below = [f"{self.model} on {self.data}, start {self.scheme}, seed {self.seed}"]
        if not self.finished:
            below.append("not finished: resume=True goes on")
        return html_table(list(shown), [list(shown.values())], [*below, *self.notes])

    def _shown(self) -> list[tuple[str, str]]:
        """What a reader asks for first, by its name."""

        def percent(value: float | None) -> str:
            return "–" if value is None else f"{100 * value:.2f} %"

        return [
            ("test accuracy", percent(self.test_accuracy)),
            ("validation accuracy", percent(self.val_accuracy)),
            ("weights", f"{self.parameters:,}"),
            ("epochs", str(self.epochs)),
            ("time", f"{self.seconds:.1f} s"),
        ]


def _file(run: str | Path, name: str) -> Path:
    """The path of a file of a run folder; FileNotFoundError where it is not there."""
    if not isinstance(run, str | os.PathLike) or not os.fspath(run):
        raise ValueError(f"run is {run!r}, must be the path of a run folder")
    path = Path(run) / name
    if not path.is_file():
        known = f"; weights of the package are {', '.join(shipped())}" * (not Path(run).exists())
        raise FileNotFoundError(
            f"{run}: no {name} there; not a run folder, or a run that is not finished{known}"
        )
    return path


def _read(run: str | Path, name: str, what: str, made: Callable[[dict[str, Any]], T]) -> T:
    path = _file(run, name)
    document = read_json(path, what)
    try:
        return made(document)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_config(run: str | Path) -> TrainConfig:
    """The configuration of a run folder; FileNotFoundError or ValueError, one line, elsewhere."""
    return _read(run, "config.json", "configuration of a run", config_from_dict)


def read_start(run: str | Path) -> InitReport:
    """How the coefficients of a run started; FileNotFoundError or ValueError, one line, else."""
    return _read(run, "init.json", "start of the run", InitReport.from_dict)


def read_summary(run: str | Path) -> Summary:
    """The summary of a finished run; FileNotFoundError or ValueError, one line, else."""
    return read_record(_file(run, "summary.json"), Summary, "the summary of a run")


def load(run: str | Path, *, which: str = "learned") -> nn.Module:
    """The model of a run folder, on the CPU in eval mode: the trained weights, or those at the
    start.

    It takes normalised images, (pixels in [0, 1] - mean) / std per channel with the moments in
    data.json of the run; `nets.load_classifier` takes images as they are.

    Parameters
    ----------
    run
        Its path; or, where there is none, the name of weights that come with the package, as
        ``q2-digits``, which have no start.
    which
        "learned" or "start".

    Raises
    ------
    FileNotFoundError
        No run folder there, or not that far.
    ValueError
        Unknown `which`; truncated or foreign files. No code in them is executed.
    """
    files = {"learned": "model.safetensors", "start": "start.safetensors"}
    if which not in files:
        raise ValueError(f"which is {which!r}; allowed are {', '.join(files)}")
    if which == "learned" and isinstance(run, str | Path) and (one := find_shipped(run)):
        return create_model(one.model, pretrained=one.name).eval()
    read_config(run)
    return load_model(_file(run, files[which]))


def check_run(out: Path, config: TrainConfig, *, resume: bool, force: bool) -> str:
    """ "new", "clear", "resume" or "finished": what is to be done in a folder; nothing is touched.

    NotADirectoryError for a file, FileExistsError for a finished or begun run without `resume` or
    `force` and for a folder that is not a run's; ValueError where the run that is there has another
    configuration but for `MAY_CHANGE`, or has trained longer. A finished run that is to train
    longer is one to resume.
    """
    check_folder(out)
    inside = out.iterdir() if out.is_dir() else ()
    present = sorted(entry.name for entry in inside if not entry.name.endswith(".tmp"))
    if not present:
        return "new"
    foreign = [name for name in present if name not in CONTENT]
    if "config.json" not in present:
        raise FileExistsError(
            f"{out} is not a run folder (it holds {', '.join(present[:3])}); nothing was"
            " changed, give another folder"
        )
    if force:
        if foreign:
            raise FileExistsError(
                f"{out} holds {foreign[0]}, which no run writes; nothing was changed, move it away"
                " or give another folder"
            )
        return "clear"
    finished = "summary.json" in present
    if not resume:
        kind, does = "begun", "goes on with it"
        if finished:
            kind, does = "finished", "gives its summary again"
        raise FileExistsError(
            f"{out} holds a {kind} run; --resume (in Python resume=True) {does}, --force"
            " (force=True) starts it anew"
        )
    there = absolute(read_config(out))
    if difference := _difference(there.to_dict(), config.to_dict()):
        raise ValueError(
            f"{out} holds a run with another configuration: {difference}; give its configuration,"
            " another folder, or --force (force=True)"
        )
    asked, done = config.train.epochs, there.train.epochs
    if not finished or asked == done:
        return "finished" if finished else "resume"
    if asked < done:
        raise ValueError(f"{out} has trained {done} epochs; train.epochs is {asked}, give more")
    if not Checkpoints(out / "checkpoint").files():
        raise ValueError(
            f"{out} has no checkpoint to go on from for {asked} epochs; give another folder, or"
            " --force (force=True)"
        )
    return "resume"


def prepare_run(out: Path, config: TrainConfig, *, resume: bool, force: bool) -> str:
    """ "new", "resume" or "finished" after `check_run`'s refusals; the folder made or cleared, and
    what a killed process had half written removed: the caller holds the folder's lock."""
    state = check_run(out, config, resume=resume, force=force)
    if state == "new":
        out.mkdir(parents=True, exist_ok=True)
    for half in (path for name in CONTENT for path in out.glob(f".{name}.*.tmp")):
        half.unlink(missing_ok=True)
    if state != "clear":
        return state
    # the summary first: what is half removed is not a finished run; the configuration, without
    # which it is no run's folder, last
    for path in (out / "summary.json", *(out / name for name in reversed(CONTENT))):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return "new"


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first key whose values differ, with both; where the run is done counts as well."""
    for section, fields in here.items():
        for key, value in fields.items():
            moved = (section, key) == ("data", "name") and all(
                name.startswith("folder:") for name in (value, there[section][key])
            )
            if there[section][key] != value and not moved and (section, key) not in MAY_CHANGE:
                return f"{section}.{key} is {there[section][key]!r} there and {value!r} here"
    return ""


class Busy(FileExistsError):
    """Another process is training in the folder."""


def check_idle(out: Path) -> None:
    """Busy for a begun run that another process trains, whose other refusals name ways on that
    would be refused too."""
    if (out / "config.json").is_file():
        with lock_run(out, shared=True):
            pass


@contextmanager
def lock_run(out: Path, *, shared: bool = False) -> Iterator[None]:
    """Holds the folder for one process, until it ends; Busy where another is at work. `shared`, for
    the processes of one run, each of which looks: they are not in each other's way."""
    try:
        import fcntl
    except ImportError:  # no such locks on this platform
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                f"{out}: another process is training in this folder; wait until it ends, stop it"
                " (its state is saved), or give another folder"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


def write_metrics(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """metrics.csv from all rows at once, atomically: never half a row, never one twice."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_atomically(path, text.getvalue())
