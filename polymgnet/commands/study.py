"""`study`: many runs from one file, with mean and spread."""

import math
import shlex
from collections import Counter
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from polymgnet import console
from polymgnet.commands.report import NoReport, page_at_end
from polymgnet.errors import GO_ON, Failure, on_interrupt
from polymgnet.options import Json, option
from polymgnet.wording import counted

# heading -> key of a row of `study.differences`, whose fractions are shown in per cent
PAIR_COLUMNS = {
    **{"first": "first", "second": "second", "seeds": "seeds"},
    **{"difference (%)": "difference", "95 % from (%)": "low", "to (%)": "high"},
    **{"p": "p_value", "p (Holm)": "p_holm", "wins": "wins", "losses": "losses"},
}


class Engine(StrEnum):
    """Where the runs of a study are trained."""

    LOCAL = "local"
    SLURM = "slurm"


def study(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help=(
                "TOML or JSON: config, out, [set], [grid], [[exclude]], rows, [scale.NAME],"
                " [report] and, for slurm, options of sbatch in [slurm]."
            ),
        ),
    ],
    engine: Annotated[
        Engine, option("--engine local|slurm", "Train here, or submit to Slurm and wait.")
    ] = Engine.LOCAL,
    scale: Annotated[
        str | None, option("--scale NAME", "Which [scale.NAME] of a file that has several.")
    ] = None,
    out: Annotated[
        Path | None, option("--out DIR", "Folder of the runs instead of the file's.")
    ] = None,
    report: Annotated[
        Path | None,
        option(
            "--report DIR",
            "Train nothing: write the page of all scales, its tables and figures, from rows; of a"
            " study without rows, from the folders of its runs. With --scale NAME, that of one.",
        ),
    ] = None,
    status: Annotated[
        bool,
        option(
            "--status",
            "Train nothing (a dry run): list where every run and its job stand, how many are left,"
            " and how long those will take.",
        ),
    ] = False,
    cancel: Annotated[
        bool, option("--cancel", "Train nothing: end the jobs on Slurm, whose runs save.")
    ] = False,
    jobs: Annotated[
        int, option("--jobs N", "Local runs at a time; they share the cores.", min=1)
    ] = 1,
    force: Annotated[
        bool, option("--force", "With --report: overwrite what is there; runs are never.")
    ] = False,
    no_report: NoReport = False,
    as_json: Json = False,
) -> None:
    """Train a grid of runs and report mean and spread.

    The file names a recipe, settings for every run, and lists; every combination of the lists is
    one run:

        config = "q2"
        out = "runs/starts"
        [set]
        data = "digits"
        [grid]
        init = ["bounded", "constant", "xavier"]
        seed = [0, 1, 2]

    Runs that differ in the seed alone are averaged, and every two rows are compared over the seeds
    they share. Started again, finished runs are kept and interrupted ones go on; a larger grid adds
    its new runs alone. On SIGTERM every run saves its state and the study ends. stderr tells of
    each run and how long it took: a bar on a terminal, else lines.

    A value of a list may be a table of several settings with a label. [[exclude]] leaves out a part
    of the grid: the runs that agree with all its keys, each a value or a list. With rows = "DIR",
    beside the file, each finished run adds a line to DIR/NAME-SCALE.jsonl: a run that has its line
    is not trained again wherever its folder is, and --report needs nothing else.

    On Slurm all runs are one array of jobs, which go on without this command; called again, it
    waits for them. A job saves before its time limit and is queued again until its run is whole.
    [slurm] has sbatch's options (time = "2:00:00", mem = "8G"), lines of a shell in setup, and how
    many jobs run at once in array_parallelism; gpus_per_node = 4 trains every run on four.

    Exit status: 0 all runs are finished, 1 a run failed, 143 (SIGTERM) or 138 (SIGUSR1) stopped
    with every state saved, 130 interrupted by Ctrl-C; the same command goes on.
    """
    from mgtheory._files import check_writable
    from polymgnet import study as work

    _check(context, force=force, report=report, status=status, cancel=cancel)
    if report is not None:
        paths = work.write_page(file, report, scale=scale, out=out, force=force)
        if as_json:
            console.emit({"page": paths[0], "figures": paths[1:]})
        for path in () if as_json else paths:
            print(path)
        return
    plan = work.load_study(file, scale=scale, out=out, trains=not cancel)
    if status or cancel:
        _standing(plan, cancel=cancel, as_json=as_json)
        return
    if plan.missing:
        check_writable(plan.out, way="--out names another folder")
    plan.collect()
    with (
        on_interrupt(GO_ON if engine is Engine.LOCAL else work.JOBS_GO_ON),
        console.progress("study", total=len(plan.runs), show=not as_json) as step,
    ):
        train = partial(work.run_local, jobs=jobs) if engine is Engine.LOCAL else work.run_slurm
        failed = train(plan, report=step)
    from nets.training.launch import is_first_rank  # late, for it loads torch

    if not is_first_rank():  # of several processes one tells
        raise typer.Exit(1 if failed else 0)
    page = partial(_page, plan, context, show=not as_json, wanted=not no_report)
    if as_json:
        console.emit(_document(plan, failed) | {"page": page()[0]})
    elif _show(plan):
        made, again = page()
        if again:
            console.say(f"One page on these runs: {made or again}")
    if failed:
        first = next(iter(failed))
        raise Failure(
            f"{len(failed)} of {counted(len(plan.runs), 'run')} failed, first {first}:"
            f" {failed[first]}; the same command tries them again"
        )


def _check(context: Any, *, force: bool, report: Path | None, status: bool, cancel: bool) -> None:
    """ValueError for options that do not go together."""
    asked = [("--report", report is not None), ("--status", status), ("--cancel", cancel)]
    names = [name for name, given in asked if given]
    if len(names) > 1:
        raise ValueError("of --report, --status and --cancel only one is allowed")
    if force and report is None:
        raise ValueError(
            "--force goes with --report: finished runs are kept; remove a run's folder to train it"
            " again"
        )
    for given in ("engine", "jobs", "no_report") if names else ():
        if context.get_parameter_source(given).name != "DEFAULT":
            name = f"--{given.replace('_', '-')}"
            raise ValueError(f"{names[0]} trains nothing, {name} goes with training: leave one out")


def _document(plan: Any, failed: Any) -> dict[str, Any]:
    """What --json prints of the runs."""
    from polymgnet import study as work

    results = list(plan.results)
    summaries = {run.folder: summary for run, summary in results}
    rows = work.summarise(results)
    runs = [
        {"folder": run.folder, "point": run.point, "summary": summaries.get(run.folder)}
        for run in plan.runs
    ]
    found = {"runs": runs, "table": rows, "differences": work.differences(rows)}
    return {"out": plan.out, **found, "failed": failed}


def _show(plan: Any) -> bool:
    """Print what the finished runs have reached, and the differences between them; whether there
    was anything."""
    from analysis.numbers import plain
    from analysis.studies.question import MEASURES
    from polymgnet import study as work

    results = list(plan.results)
    rows = work.summarise(results)
    if not rows:
        return False
    keys = list(rows[0].point)
    shown = {
        name: measure
        for name, measure in MEASURES.items()
        if any(name in row.measures for row in rows)
    }
    body = [
        [
            *(str(plain(row.point[key])) for key in keys),
            row.runs,
            *(_spread(row.measures.get(name), one.unit) for name, one in shown.items()),
        ]
        for row in rows
    ]
    images = work.tested_on(results)
    console.table(
        f"{len(plan.runs) - len(plan.missing)} of {counted(len(plan.runs), 'run')} in {plan.out}",
        [*keys, "runs", *(measure.title for measure in shown.values())],
        body,
        keys=len(keys) + 1,
        caption="mean ± sample standard deviation over the seeds"
        + (
            f"; one of the {images:,} test images is {console.number(100 / images, 2)} %"
            if images
            else ""
        ),
    )
    if pairs := work.differences(rows):
        console.table(
            "Differences in test accuracy, first - second, paired by seed",
            list(PAIR_COLUMNS),
            [
                [
                    100 * pair[name] if "%" in title and pair[name] is not None else pair[name]
                    for title, name in PAIR_COLUMNS.items()
                ]
                for pair in pairs
            ],
            caption=(
                "differences in percentage points; p: two-sided paired t-test; Holm: adjusted for"
                " the number of comparisons"
            ),
        )
    return True


def _page(plan: Any, context: Any, *, show: bool, wanted: bool) -> tuple[Path | None, str]:
    """The page on the finished runs that are here, and the command that makes it; "" where there is
    none to be made."""
    folders = (run.folder for run in plan.runs if run.finished)
    runs = [folder for folder in folders if (folder / "config.json").exists()]
    if not runs:
        return None, ""
    given = context.params
    file, scale, out = given["file"], given["scale"], given["out"]
    words = [file, *(["--scale", scale] if scale else [])]
    if out is not None:  # `report` does not know of it
        own = {folder.name for folder in runs}
        alone = all(one.parent.name in own for one in out.glob("*/summary.json"))
        words = [*([out] if alone else runs), "--out", plan.page]
    again = shlex.join(["polymgnet", "report", *map(str, words)])
    if not wanted:
        return None, again
    with on_interrupt(f"the runs are kept, {again} makes their page"):
        command = console.command_line(context)
        ends: dict[str, Any] = {"command": command, "again": again, "show": show}
        return page_at_end(runs, plan.page, labels=plan.labels, **ends), again


def _standing(plan: Any, *, cancel: bool, as_json: bool) -> None:
    """Where every run stands, after its jobs were cancelled if that is asked, and what is left."""
    from analysis.studies.grid import Grid
    from analysis.studies.progress import left_of
    from polymgnet import study as work

    ended = work.cancel(plan) if cancel else []
    found = work.standing(plan)
    results = [(run.point, row) for run, row in plan.results]
    grid = Grid.of(results, plan.report.get("compare", ""))
    points = [run.point for run in plan.runs]
    left = left_of(grid, points, along=plan.report.get("along"))
    if as_json:
        console.emit({"out": plan.out, "cancelled": ended, "runs": found, "left": left})
        return
    counts = Counter(one.state for one in found)
    title = ", ".join(f"{count} {state}" for state, count in counts.items())
    if cancel:
        title = f"{counted(len(ended), 'job')} cancelled; {title}"
    body = [[one.run, one.state, one.job or "", one.about] for one in found]
    text = f"{left.runs:,} of {len(points):,} runs are left{left.text()}"
    console.table(f"{plan.out}: {title}", ["run", "state", "job", "about"], body, caption=text)


def _spread(found: Any, unit: float) -> str:
    """Mean ± spread, both times `unit` and down to the spread's second digit; a dash where nothing
    was measured."""
    if found is None:
        return "–"
    if found.std is None:
        return console.number(unit * found.mean)
    decimals = min(4, max(0, 1 - math.floor(math.log10(unit * found.std)))) if found.std else 2
    return f"{unit * found.mean:.{decimals}f} ± {unit * found.std:.{decimals}f}"
