"""`analyze`: what training did to the polynomials of runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from polymgnet import console
from polymgnet.options import Json

Runs = Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders that train wrote.")]


def analyze(runs: Runs, as_json: Json = False) -> None:
    """Report what training did to the polynomials of a run, and compare several runs.

    Smoothing factors and largest |q| on each level's true spectrum at the start and learned,
    effective coefficients, and which coefficients cannot be identified. Writes RUN/report/. Of
    several runs, those that differ in the seed alone are averaged, and two configurations are
    compared over the seeds they share.

    Example: polymgnet analyze runs/q2
    """
    found = analysed(runs, show=not as_json)
    reports = found.reports
    if as_json:
        console.emit(reports[0] if len(reports) == 1 else {"reports": reports, "comparison": found})
        return
    from analysis.report import can_write, report_folder
    from analysis.text import comparison_text, report_text

    for run, report in zip(runs, reports, strict=True):
        where = "written to" if can_write(run) else "not written, for reading alone:"
        print(f"{run}\n{report_text(report)}\n{where} {report_folder(run)}\n")
    if len(reports) > 1:
        print(comparison_text(found))


def analysed(runs: list[Path], *, show: bool) -> Any:
    """The comparison of the runs, their reports written, with a progress bar."""
    import analysis

    with console.progress("analyse", total=len(runs), show=show) as step:
        return analysis.compare(runs, progress=step)
