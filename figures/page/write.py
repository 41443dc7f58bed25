"""Writing the page: what stands on it, by the template beside this file."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from analysis import dampings
from analysis.along import Along, along_training
from analysis.along_text import MEANINGS as ALONG
from analysis.along_text import smoother_text
from analysis.comparison import compare
from analysis.in_short import DID, run_in_short, runs_in_short
from analysis.level_report import LevelReport
from analysis.numbers import number, plain
from analysis.records import read_metrics
from analysis.report import can_write
from analysis.results import RunComparison, SpectralReport
from analysis.stats import fraction_interval, groups_of
from analysis.text import MEANINGS, filled, in_percent
from figures.page import pictures
from figures.page.glossary import GLOSSARY
from mgtheory._files import write_atomically

ORIGINS = {"start": "from which it started", "reference": "for comparison", "none": "none"}
TITLES = {
    **{"spectral_radius": "spectral radius b", "smoothing_factor": "smoothing factor"},
    **{"max_modulus": "max modulus", "smoothing_norm": "smoothing norm", "smoother": "verdict"},
}
LONG_FIRST = sorted(GLOSSARY, key=len, reverse=True)
TERMS = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, LONG_FIRST))})(?![\w|])")
PARTS = ("facts", "tables", "together", "training", "levels", "papers")  # empty where there is none
PICTURES = "pictures"  # in a run's folder, by default of `polymgnet figures`
PDF_BYTES = 1_000_000  # of all figures for a paper that lie within a page
Progress = Callable[[int, str], None]


@dataclass(frozen=True)
class Level:
    """What the page says and shows of a level."""

    number: int
    words: str
    table: pd.DataFrame
    pictures: list[pictures.Picture]


def write_page(
    runs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    command: str,
    title: str = "",
    progress: Progress | None = None,
) -> Path:
    """Write the page on one run, or on several side by side, to the file `out`; returns its path.

    Parameters
    ----------
    runs
        Finished run folders; they are analysed first where they have not been.
    command
        What makes the page, for its end.
    title
        By default of the runs.
    progress
        Called with (number of parts done, what is being done).

    Raises
    ------
    FileNotFoundError, ValueError
        No run, or a folder that is missing, unfinished, truncated or foreign: one line.
    """
    progress = progress or (lambda done, word: None)
    found = compare(runs, progress=progress)
    parts = _of_run if len(runs) == 1 else _of_runs
    content = parts(found, runs, progress)
    progress(len(runs), "write the page")
    numbers = json.dumps(content.pop("numbers"), allow_nan=False).encode()
    text = _template().render(
        **dict.fromkeys(PARTS, ()) | content,
        title=title or content["name"],
        command=command,
        version=_version(),
        glossary=GLOSSARY,
        meanings=GLOSSARY | ALONG | MEANINGS,
        numbers_link=base64.b64encode(numbers).decode(),
        library=_library(),
    )
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, text)
    return target


def _of_run(
    found: RunComparison, runs: Sequence[str | os.PathLike[str]], progress: Progress
) -> dict[str, Any]:
    """What stands on the page of one run."""
    (report,), run = found.reports, runs[0]
    way = along_training(run, write=can_write(run), progress=lambda word: progress(0, word))
    maps = dampings.kept_dampings(Path(run)) if report.has_polynomial else {}
    levels = [
        Level(one.level, _words(one, way), _table(report, one), pictures.of_level(one, way, maps))
        for one in report.levels
    ]
    contents = [("what", "what was trained"), ("training", "training")]
    contents += [(f"level{one.number}", f"level {one.number}") for one in levels]
    return {
        "name": f"{report.label} on {report.facts['data']}",
        "verdict": run_in_short(report),
        "facts": _facts(report),
        "training": pictures.training({report.label: [read_metrics(run)]}),
        "levels": levels,
        "papers": list(_papers(run)),
        "notes": [f"{note[0].upper()}{note[1:]}." for note in (way.notes if way else ())],
        "numbers": plain({**report.to_dict(), "along": way}, infinite=False),
        "contents": [*contents, ("paper", "for a paper"), ("glossary", "glossary")],
    }


def _of_runs(
    found: RunComparison, runs: Sequence[str | os.PathLike[str]], progress: Progress
) -> dict[str, Any]:
    """What stands on the page of several runs."""
    names = found.runs["configuration"].tolist()
    reports = _grouped(names, found.reports)
    metrics = _grouped(names, [read_metrics(run) for run in runs])
    same = [name for name in ("operator", "placement") if found.runs[name].nunique() < 2]
    shown = found.runs.drop(columns=["run", "model", "scheme", *same])
    accuracies = {"val_accuracy": "validation", "test_accuracy": "test accuracy"}
    tables = {"Runs": in_percent(shown, accuracies)}
    if (found.groups["n"] > 1).any():
        tables = {"Test accuracy over the seeds": _percent(found.groups, "mean", "std")} | tables
    if not found.pairs.empty and (found.pairs["seeds"] > 1).any():
        tables["Differences, paired by seed"] = _percent(found.pairs, "difference")
    count = len(reports)
    name = f"{count} configuration{'s' if count > 1 else ''}" if count < len(runs) else ""
    return {
        "name": f"{len(runs)} runs{f' of {name}' if name else ''}",
        "verdict": runs_in_short(found),
        "tables": [(caption, filled(table)) for caption, table in tables.items()],
        "together": pictures.side_by_side(found, reports),
        "training": pictures.training(metrics),
        "notes": ["The page of one run, with all of its levels: polymgnet report RUN."],
        "numbers": plain({"reports": found.reports, "comparison": found}, infinite=False),
        "contents": [
            ("together", "side by side"),
            ("training", "training"),
            ("glossary", "glossary"),
        ],
    }


def _percent(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return in_percent(table, {name: name for name in (*columns, "low", "high")})


def _grouped(names: Sequence[str], items: Sequence[Any]) -> dict[str, list[Any]]:
    grouped = groups_of(zip(names, items, strict=True), lambda pair: pair[0])
    return {name: [item for _, item in members] for name, members in grouped.items()}


def _facts(report: SpectralReport) -> list[tuple[str, str]]:
    """What was trained on what, and what came out; names of `GLOSSARY` explain themselves."""
    facts, theory = report.facts, report.theory
    tested, count = facts["test_accuracy"], facts["tested_on"]
    accuracy = "not measured" if tested is None else f"{100 * tested:.2f} %"
    if tested is not None and count:
        low, high = (100 * end for end in fraction_interval(tested, count))
        accuracy += f" of {count:,} images (95 % interval {low:.2f} to {high:.2f} %)"
    chosen = {"best": "the best by validation", "last": "the last"}[facts["select"]]
    epochs = f"{facts['epochs']}"
    if facts["chosen_epoch"] is not None:
        epochs += f"; the weights are those of epoch {facts['chosen_epoch']}, {chosen}"
    pairs: dict[str, Any] = {
        "network": f"{report.model}, {facts['parameters']:,} weights, {len(report.levels)} levels",
        "images": facts["data"],
        "scheme": facts["given"] if theory["origin"] != "none" else None,
        "operator": f"{facts['operator']} at the start",
        "placement": facts["placement"],
        "theory": f"{theory['name']} ({ORIGINS[theory['origin']]})" if theory["name"] else None,
        "epochs": epochs,
        "seed": facts["seed"],
        "training time": f"{facts['seconds']:.1f} s, {facts['images_per_second']:,.0f} images/s",
        "test accuracy": accuracy,
        "validation": facts["val_accuracy"] and f"{100 * facts['val_accuracy']:.2f} %",
        "folder": report.run,
    }
    fitted = [("fitted", reason) for reason in theory["fitted"]]
    return [(name, str(text)) for name, text in pairs.items() if text not in (None, "")] + fitted


def _words(level: LevelReport, way: Along | None) -> str:
    """What training did to a level, and what became of it as a smoother."""
    sizes = f"{level.channels} channels of {level.size[0]} × {level.size[1]}"
    text = f"{sizes}."
    if level.kind == "polynomial":
        text += f" Training {DID[level.verdict.word]}."
    if level.verdict.nearest is not None:
        nearest = level.verdict.nearest
        at = number(nearest.distance, 2)
        text += f" The classical polynomial nearest to the learned one is {nearest}, at {at}."
    if way is not None:
        text += f" As a smoother: {smoother_text(way.smoothers()[level.level - 1])}."
    return text


def _table(report: SpectralReport, level: LevelReport) -> pd.DataFrame:
    """The roles of a level in numbers."""
    table = report.table()
    table = table[table["level"] == level.level].rename(columns=TITLES)
    return filled(table[["role", "degree", *TITLES.values(), "roots"]])


def _papers(run: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """The PDFs that `polymgnet figures` drew in the run's folder, name and content, the small ones
    first while they fit."""
    total = 0
    files = (Path(run) / PICTURES).glob("*.pdf")
    for path in sorted(files, key=lambda one: (one.stat().st_size, one.name)):
        data = path.read_bytes()
        total += len(data)
        if total <= PDF_BYTES:
            yield path.name, f"data:application/pdf;base64,{base64.b64encode(data).decode()}"


@lru_cache(maxsize=1)
def _library() -> str:
    """Plotly's own JavaScript, packed to a third (of 4.8 MB); the browser unpacks it."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    folder = Path(__file__).parent
    loader = jinja2.FileSystemLoader(folder)
    strict: Any = {"autoescape": True, "undefined": jinja2.StrictUndefined, "trim_blocks": True}
    environment = jinja2.Environment(loader=loader, **strict)
    environment.filters |= {"terms": _with_terms, "cell": number}
    return environment.get_template("page.html")


def _with_terms(text: Any) -> Markup:
    """Terms of the glossary explained on hover, each where it stands first."""
    seen = set[str]()

    def explained(match: re.Match[str]) -> str:
        word = match[0]
        if word in seen:
            return word
        seen.add(word)
        return f'<abbr title="{escape(GLOSSARY[word])}">{word}</abbr>'

    return Markup(TERMS.sub(explained, str(escape(text))))


def _version() -> str:
    try:
        return version("polymgnet")
    except PackageNotFoundError:
        return ""
