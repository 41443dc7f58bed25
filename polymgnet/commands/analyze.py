"""`analyze`: what training did to the polynomials of runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from polymgnet import console
from polymgnet.commands.report import Scale, folders
from polymgnet.options import Force, Json, option

ALONG = "along.md"
Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN|STUDY|DEMO",
        help="Run folders that train wrote; a study's file, or its folder; the folder of a demo.",
    ),
]


def analyze(
    runs: Runs,
    scale: Scale = None,
    out: Annotated[
        Path | None,
        option("--out DIR", "Of several runs: write their tables there, as Markdown and CSV."),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Report what training did to the polynomials of a run, and compare several runs.

    Smoothing factors and largest |q| on each level's true spectrum at the start, along training
    and learned, the nearest classical polynomial, effective coefficients, and which coefficients
    cannot be identified. Prints what matters and writes all of it to RUN/report/. Of several runs,
    or a study, those that differ in the seed alone are averaged, and two configurations are
    compared over the seeds they share.

    Example: polymgnet analyze runs/q2
    """
    given, _, _ = folders(runs, scale=scale)
    if out is not None:
        _check_out(out, given, force=force)
    found = analysed(given, show=not as_json)
    reports, ways = found.reports, along(given, show=not as_json)
    if out is not None:
        _write(found, ways, out)
    if as_json:
        documents = [
            {**report.to_dict(), "along": way} for report, way in zip(reports, ways, strict=True)
        ]
        several = {"reports": documents, "comparison": found}
        console.emit(documents[0] if len(documents) == 1 else several)
        return
    for run, report, way in zip(given, reports, ways, strict=True):
        _show(run, report, way)
    if len(reports) > 1:
        _compare(found)
    elif ways[0] is not None:
        _show_smoothers(ways[0])
    if any(report.levels for report in reports):
        from analysis.runs.report import report_folder

        console.say(
            "µ end, max |q|: of the learned polynomial on its level's spectrum, batch norms folded"
            " in where there are any; a level with µ below 1 smooths. µ may be the larger one: it"
            " is measured on rough waves alone, which a learned A mixes with the others. nearest,"
            " at: the nearest classical polynomial and its distance. table.md says what the words"
            " mean, in"
            f" {report_folder(given[0]) if len(given) == 1 else 'every report'}"
        )


def _check_out(out: Path, runs: list[Path], *, force: bool) -> None:
    """ValueError for the folder of one run's tables, FileExistsError for files that are there."""
    from analysis.runs.comparison import FILES
    from mgtheory._files import check_folder

    if len(runs) < 2:
        raise ValueError(f"--out is {out}, for several runs; one run's tables are in its report/")
    check_folder(out)
    for name in (*FILES, ALONG):
        if (out / name).exists():
            console.refuse_existing(out / name, force=force)


def _show(run: Path, report: Any, way: Any) -> None:
    """What matters of one run, and where all of it was written."""
    from analysis.along.text import along_text
    from analysis.runs import in_short
    from analysis.runs.report import can_write, report_folder, write_files

    where, lines = report_folder(run), in_short.run_in_lines(report)
    written = can_write(run)
    if written and way is not None:
        write_files(where, {ALONG: along_text(way)})
    place = "written to" if written else "not written, for reading alone:"
    console.facts(f"{report.label}: {run}", [*lines, ("all of it", f"{place} {where}")])
    if report.levels:
        console.table("", in_short.LEVEL_COLUMNS, in_short.level_rows(report))


def _show_smoothers(way: Any) -> None:
    """Which levels stay smoothers along training."""
    from analysis.along.text import smoothers_in_lines
    from analysis.runs import in_short

    for levels, text in smoothers_in_lines(way):
        console.say(f"{in_short.levels_text(levels)}: {text}", hanging=9)


def _compare(found: Any) -> None:
    """Several runs: three sentences, and a table of runs, configurations and differences each."""
    from analysis.runs import in_short

    console.say("\n".join(in_short.runs_in_short(found)))
    console.table("Runs", in_short.RUN_COLUMNS, in_short.run_rows(found), keys=2)
    if (found.groups["n"] > 1).any():
        rows = in_short.group_rows(found)
        console.table("Test accuracy over the seeds", in_short.GROUP_COLUMNS, rows)
    if not found.pairs.empty and (found.pairs["seeds"] > 1).any():
        rows = in_short.pair_rows(found)
        console.table("Differences, paired by seed", in_short.PAIR_COLUMNS, rows, keys=2)


def _write(found: Any, ways: list[Any], out: Path) -> None:
    """The tables of several runs in full."""
    from analysis.along.text import several_text
    from analysis.runs.comparison import write_comparison
    from analysis.runs.report import write_files

    write_comparison(found, out)
    accuracies = {report.run: report.facts["test_accuracy"] for report in found.reports}
    text = several_text({way.run: way for way in ways if way is not None}, accuracies)
    if text:
        write_files(out, {ALONG: text})


def along(runs: list[Path], *, show: bool) -> list[Any]:
    """Every run along its training, with a progress bar; None for one without polynomials."""
    from functools import partial

    import analysis

    with console.progress("along training", total=len(runs), show=show) as step:
        return [
            analysis.along_training(run, progress=partial(step, done))
            for done, run in enumerate(runs)
        ]


def analysed(runs: list[Path], *, show: bool) -> Any:
    """The comparison of the runs, their reports written, with a progress bar."""
    import analysis

    with console.progress("analyse", total=len(runs), show=show) as step:
        return analysis.compare(runs, progress=step)
