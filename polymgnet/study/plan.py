"""A study: a grid of runs from one file, which `polymgnet study --help` describes.

A run's folder is named after its settings, by whose hash it is found again, and its row carries a
digest of its configuration, so that a study that is started again, or whose grid has grown, does
what is missing alone.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymgnet.errors import Stopped, one_line, reason
from polymgnet.study.rows import Rows, row_of
from polymgnet.study.run import Run, digest_of, load, text_of
from polymgnet.study.smoothers import SmootherRun

TABLES = ("set", "grid", "slurm", "scale", "report")
KEYS = ("kind", "config", "out", "rows", "exclude", *TABLES)
OF_SCALE = ("config", "about", "set", "grid", "report")  # keys of [scale.NAME]
KINDS: dict[str, type[Run]] = {"train": Run, "smoother": SmootherRun}
MAX_RUNS, MOST_POINTS = 10_000, 1_000_000  # what is left out is gone through too


@dataclass(frozen=True)
class Study:
    """A checked study: the runs it asks for, and the rows of those that were finished here or
    elsewhere.

    Attributes
    ----------
    name
        What its files are called, for several studies may share `out`.
    rows
        The committed rows; None for a study that has its folders alone.
    report, about
        What its page says, as the file has it, and what it says of this scale.
    labels
        Folder of a run -> what the grid calls it, of runs whose point has values with a label.
    """

    out: Path
    runs: tuple[Run, ...]
    name: str = ""
    slurm: Mapping[str, Any] = field(default_factory=dict)
    rows: Rows | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    labels: Mapping[Path, str] = field(default_factory=dict)

    @property
    def page(self) -> Path:
        """For the browser, on its runs that are here."""
        return self.out / f"report-{self.name}.html"

    @property
    def missing(self) -> tuple[Run, ...]:
        """The runs that have neither a row, here or beside, nor a finished folder."""
        known = self.rows.elsewhere | self.rows.known if self.rows else {}
        return tuple(run for run in self.runs if run.digest not in known and not run.finished)

    @property
    def results(self) -> Iterator[tuple[Run, Mapping[str, Any]]]:
        """The runs that are not `missing`, each with its row, here or beside, or with the summary
        in its folder."""
        known = self.rows.elsewhere | self.rows.known if self.rows else {}
        for run in self.runs:
            if run.digest in known:
                yield run, known[run.digest]
            elif run.finished:
                yield run, run.summary()

    def collect(self) -> None:
        """Add the rows of runs that finished without one, since their process was killed or knew of
        no rows, and those that a study beside this one has."""
        if self.rows is None:
            return
        for run in self.runs:
            if run.digest in self.rows.known:
                continue
            if run.finished:
                self.rows.append(row_of(run))
            elif run.digest in self.rows.elsewhere:
                self.rows.append(self.rows.elsewhere[run.digest] | {"point": dict(run.point)})

    @contextmanager
    def attempt(self, run: Run, failed: dict[str, str]) -> Iterator[None]:
        """One run within: its failure is recorded and leaves the others running, a stop ends the
        study, and what another process trains (Busy) is left to the caller. Its row is added; that
        of a loss that was not finite too, which another attempt would find again."""
        from nets.training.folder import Busy

        try:
            yield
        except (Stopped, Busy):
            raise
        except Exception as error:
            failed[run.folder.name] = reason(error)
            if self.rows is not None and isinstance(error, FloatingPointError):
                self.rows.append(row_of(run, diverged=one_line(error)))
        else:
            if self.rows is not None and run.finished:
                self.rows.append(row_of(run))


def _wrong(path: Path, text: str) -> ValueError:
    return ValueError(f"study file {path}: {text}")


def _document(path: Path) -> dict[str, Any]:
    """The tables of a file as they stand there."""
    from mgtheory._files import read_json

    try:
        return read_json(path, "study file", toml=path.suffix != ".json")
    except ValueError as error:
        if "Cannot overwrite a value" in str(error):  # tomllib's words
            raise _wrong(
                path,
                f"a key stands twice, or goes on from one that has a value ({error.__cause__}):"
                ' beside data = "folder:photos" write "data.size" = 64, in quotes',
            ) from error
        raise


def _read(path: Path, scale: str | None) -> dict[str, Any]:
    """The file's tables, those of the scale merged into them."""
    data = _document(path)
    if unknown := [key for key in data if key not in KEYS]:
        raise _wrong(path, f"unknown key {unknown[0]!r}, allowed are {', '.join(KEYS)}")
    for key in TABLES:
        if not isinstance(data.setdefault(key, {}), dict):
            raise _wrong(path, f"{key} is {data[key]!r}, must be a table")
    _join_keys(data)
    scales = data["scale"]
    if (scale is not None or scales) and scale not in scales:
        given = "no scale is given" if scale is None else f"scale is {scale!r}"
        allowed = f"allowed are {', '.join(scales)}" if scales else "the file has none"
        raise _wrong(path, f"{given}, {allowed} (--scale)")
    own = scales.get(scale, {})
    if not isinstance(own, dict):
        raise _wrong(path, f"scale {scale} is {own!r}, must be a table")
    if unknown := [key for key in own if key not in OF_SCALE]:
        allowed = ", ".join(OF_SCALE)
        raise _wrong(path, f"unknown key {unknown[0]!r} of scale {scale}, allowed are {allowed}")
    _join_keys(own)
    for key, value in own.items():
        data[key] = data[key] | value if key in TABLES else value
    if data.setdefault("kind", "train") not in KINDS:
        raise _wrong(path, f"kind is {data['kind']!r}, allowed are {', '.join(KINDS)}")
    if not isinstance(data.get("rows", ""), str):
        raise _wrong(path, f"rows is {data['rows']!r}, must name a folder beside the file")
    config = data.setdefault("config", "" if data["kind"] == "smoother" else None)
    if not isinstance(config, str):
        given = "there is no config, it" if config is None else f"config is {config!r},"
        raise _wrong(path, f"{given} must be the name of a recipe or a file")
    return data


def _join_keys(data: dict[str, Any]) -> None:
    """The keys of set and grid as --set has them."""
    for name in ("set", "grid"):
        if isinstance(data.get(name), dict):
            data[name] = _joined(data[name])


def _joined(table: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """A table with dotted keys: TOML reads `model.width = [4]` as a table model that holds a key
    width."""
    from nets.settings import SECTIONS

    found: dict[str, Any] = {}
    for key, value in table.items():
        section = start in ("model.", "init.") and key == "options"
        inner = isinstance(value, dict) and "label" not in value
        if inner and (section or (not start and key in SECTIONS)):
            found |= _joined(value, f"{start}{key}.")
        else:
            found[start + key] = value
    return found


def scales_of(path: Path) -> list[str | None]:
    """The names of a file's scales; [None] for a file without."""
    return list(_document(path).get("scale", {})) or [None]


def name_of(path: Path, scale: str | None) -> str:
    """What the files of one scale are called: STUDY-SCALE, or STUDY where the file has none."""
    return "-".join(filter(None, (path.stem, scale)))


def _check_report(path: Path, given: Mapping[str, Any], grid: Mapping[str, Any]) -> None:
    """ValueError where the table [report] asks for what the grid of this scale does not have, or
    names a value that no scale has."""
    from analysis.studies.question import Question

    known = _known(path)
    try:
        question = Question.of(given)
        question.check(grid, known.get(question.compare, []))
    except ValueError as error:
        raise _wrong(path, str(error)) from None


def _known(path: Path) -> dict[str, list[str]]:
    """Every key of the grids of all scales, and what their values are called."""
    found: dict[str, dict[str, None]] = {}
    for scale in scales_of(path):
        for key, value in _read(path, scale)["grid"].items():
            names = (str(_labelled(one)[0]) for one in _listed(value))
            found.setdefault(key, {}).update(dict.fromkeys(names))
    return {key: list(names) for key, names in found.items()}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _labelled(value: Any) -> tuple[Any, Any]:
    """(what a row of the grid is called, its value): of a table of settings, its `label`."""
    if not isinstance(value, dict):
        return value, value
    settings = {key: item for key, item in value.items() if key != "label"}
    return value.get("label", " ".join(text_of(item) for item in settings.values())), settings


def _excluded(path: Path, data: Mapping[str, Any]) -> list[dict[str, list[str]]]:
    """The parts of the grid that are left out, each of the points that agree with all its keys; a
    key or a value that no scale has is refused."""
    rules = data.get("exclude", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) and rule for rule in rules):
        raise _wrong(path, f"exclude is {rules!r}, must be tables [[exclude]] of keys of the grid")
    known = _known(path) if rules else {}
    found = [
        {key: [str(one) for one in _listed(value)] for key, value in _joined(rule).items()}
        for rule in rules
    ]
    for key, values in (item for rule in found for item in rule.items()):
        if key not in known:
            allowed = ", ".join(known) or "none"
            raise _wrong(path, f"exclude has the key {key!r}, the grid has {allowed}")
        if not values:
            raise _wrong(path, f"exclude {key} is an empty list, needs at least one value")
        if wrong := [value for value in values if value not in known[key]]:
            allowed = ", ".join(known[key])
            raise _wrong(path, f"exclude has {key} {wrong[0]!r}, allowed are {allowed}")
    return found


def _name(point: Mapping[str, Any], config: str, settings: Mapping[str, Any]) -> str:
    """Readable and unique: the grid point, and eight digits of a hash over all settings."""
    digest = digest_of([config, dict(settings)])[:8]
    words = [f"{key.split('.')[-1]}-{text_of(value)}" for key, value in point.items()]
    safe = "_".join(
        "".join(c if c.isalnum() or c in "-.=" else "-" for c in word)[:40] for word in words
    )
    return f"{safe[:120]}_{digest}" if safe else digest


def _hash_in(name: str) -> str:
    """The hash of all settings, with which a run's folder ends."""
    return name.rpartition("_")[2]


def _of_devices(path: Path, slurm: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that follow from [slurm]: as many devices as its jobs have GPUs or tasks on a
    node, and as many nodes. They change what is trained, so that they hold wherever that is."""
    found: dict[str, Any] = {}
    for key, setting in (
        *(("ntasks_per_node", "train.devices"), ("gpus_per_node", "train.devices")),
        ("nodes", "train.nodes"),
    ):
        value = slurm.get(key, slurm.get(key.replace("_", "-")))
        if value is None:
            continue
        count = str(value).rpartition(":")[2]  # gpus_per_node = "a100:4"
        if not count.isdecimal() or int(count) < 1:
            raise _wrong(path, f"slurm.{key} is {value!r}, must be a whole number from 1 on")
        if int(count) > 1 or setting not in found:
            found[setting] = int(count)
    return found


def _with_devices(
    config: str, settings: Mapping[str, Any], found: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings, and those of `_of_devices` that they do not say themselves, as devices = "auto"
    does not; 1 is the default, but of a file that has "auto"."""
    kept = {
        key: value
        for key, value in settings.items()
        if value != "auto" or f"train.{_last(key)}" not in found
    }
    given = set(map(_last, kept))
    new = {k: v for k, v in found.items() if _last(k) not in given}
    return kept | {k: v for k, v in new.items() if v > 1 or _counts(config, kept, k)}


def _counts(config: str, settings: Mapping[str, Any], key: str) -> bool:
    """Whether the job were to count what the key says; False for a wrong configuration, which the
    check of the runs refuses."""
    with suppress(ValueError, OSError):
        section = load(config, settings).train
        return bool(getattr(section, _last(key)) == "auto")
    return False


def _last(key: str) -> str:
    """Of a dotted key, as --set may have it alone."""
    return key.rpartition(".")[2]


def load_study(
    path: Path, *, scale: str | None = None, out: Path | None = None, trains: bool = True
) -> Study:
    """Read and check a study file, every run's configuration and network too; ValueError names what
    is wrong. Where nothing `trains`, the files that a start is read from may be elsewhere."""
    from mgtheory._files import check_folder

    data = _read(path, scale)
    named = data.get("out")
    where = out or (Path(named, scale or "") if isinstance(named, str) else None)
    if where is None:
        given = "there is no out, it" if named is None else f"out is {named!r},"
        raise _wrong(path, f"{given} must name a folder (or give --out)")
    check_folder(where)
    grid = _grid(path, data)
    if data["report"]:
        _check_report(path, data["report"], grid)
    runs, labels = [], dict[Path, str]()
    for run, label in _runs(path, data, grid, where):
        runs.append(run)
        if label:
            labels[run.folder] = label
        if len(runs) > MAX_RUNS:
            raise _wrong(path, f"asks for more than {MAX_RUNS} runs")
    _check_runs(path, runs, trains=trains)
    name, rows = name_of(path, scale), data.get("rows")
    if rows is not None:
        rows = Rows(path.parent / rows / f"{name}.jsonl")
    about = str(data.get("about", ""))
    texts = data["slurm"], rows, data["report"], about
    return Study(where, tuple(runs), name, *texts, labels)


def _grid(path: Path, data: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The lists of [grid], whose product is gone through; ValueError for what is none."""
    grid = {key: _listed(value) for key, value in data["grid"].items()}
    for key, listed in grid.items():
        if not listed:
            raise _wrong(path, f"grid {key} is an empty list, needs at least one value")
        names = [str(_labelled(value)[0]) for value in listed]
        if broken := [name for name in names if len(name.splitlines()) > 1]:
            raise _wrong(path, f"grid {key} has {broken[0]!r}; a label is one line")
        if twice := [name for name in names if names.count(name) > 1]:
            raise _wrong(
                path,
                f"grid {key} has {twice[0]} twice; every value, and every label, must differ",
            )
        if key in data["set"]:
            raise _wrong(path, f"{key} stands in both set and grid; only one is allowed")
        if key == "exclude":
            raise _wrong(path, "exclude stands in grid, must be tables [[exclude]] of the file")
    if (points := math.prod(map(len, grid.values()))) > MOST_POINTS:
        raise _wrong(
            path, f"the grid has {points:,} points, at most {MOST_POINTS:,} are gone through"
        )
    return grid


def _runs(
    path: Path, data: Mapping[str, Any], grid: Mapping[str, list[Any]], where: Path
) -> Iterator[tuple[Run, str]]:
    """Every point of the grid that no [[exclude]] leaves out, with the label of its tables."""
    excluded = _excluded(path, data)
    of_devices = _of_devices(path, data["slurm"]) if data["kind"] == "train" else {}
    there = {_hash_in(folder.name): folder for folder in sorted(where.glob("*"))}
    for values in itertools.product(*grid.values()):
        point, settings = {}, dict(data["set"])
        for key, value in zip(grid, values, strict=True):
            point[key], given = _labelled(value)
            settings |= given if isinstance(value, dict) else {key: given}
        if any(all(str(point.get(k)) in v for k, v in rule.items()) for rule in excluded):
            continue
        config = str(settings.pop("config", data["config"]))
        settings = _with_devices(config, settings, of_devices)
        folder = where / _name(point, config, settings)
        if not folder.exists():  # another study may have named it, or this one with a smaller grid
            folder = there.get(_hash_in(folder.name), folder)
        own = [point[key] for key, value in zip(grid, values) if isinstance(value, dict)]
        yield KINDS[data["kind"]](point, config, settings, folder), ", ".join(map(str, own))


def _check_runs(path: Path, runs: Sequence[Run], *, trains: bool) -> None:
    """ValueError for no run, one that stands there twice, or whose configuration or network is
    wrong."""
    if not runs:
        raise _wrong(path, "exclude leaves no run of the grid")
    # one run for all that differ in the seed, and one for every seed
    alike = {run.alike: run for run in runs}
    seeds = {text_of(list(run.seeds.values())): run for run in reversed(runs)}
    made: dict[str, Any] = {}
    try:
        for run in (*alike.values(), *seeds.values()):
            run.check(trains=trains, made=made)
    except (ValueError, FileNotFoundError, IsADirectoryError) as error:
        raise _wrong(path, one_line(error)) from error
    if len({run.whole for run in runs}) < len(runs):
        raise _wrong(
            path,
            "the grid holds the same run twice; every value of a list must differ, and a setting"
            " stand in one place of it",
        )
