"""`analyze`: what training did to the polynomials of runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from polymgnet import console
from polymgnet.options import Json

Runs = Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders that train wrote.")]


def analyze(runs: Runs, as_json: Json = False) -> None:
    """Report what training did to the polynomials of a run, and compare several runs.

    Smoothing factors and largest |q| on each level's true spectrum at the start, along training
    and learned, the nearest classical polynomial, effective coefficients, and which coefficients
    cannot be identified. Writes RUN/report/. Of several runs, those that differ in the seed alone
    are averaged, and two configurations are compared over the seeds they share.

    Example: polymgnet analyze runs/q2
    """
    found = analysed(runs, show=not as_json)
    reports, ways = found.reports, along(runs, show=not as_json)
    if as_json:
        documents = [
            {**report.to_dict(), "along": way} for report, way in zip(reports, ways, strict=True)
        ]
        several = {"reports": documents, "comparison": found}
        console.emit(documents[0] if len(documents) == 1 else several)
        return
    from analysis.along_text import along_text, several_text
    from analysis.report import can_write, report_folder
    from analysis.text import comparison_text, report_text

    for run, report, way in zip(runs, reports, ways, strict=True):
        text = report_text(report) + ("" if way is None else f"\n{along_text(way)}")
        where = "written to" if can_write(run) else "not written, for reading alone:"
        print(f"{run}\n{text}\n{where} {report_folder(run)}\n")
    if len(reports) > 1:
        print(comparison_text(found))
        accuracies = {report.run: report.facts["test_accuracy"] for report in reports}
        print(several_text({way.run: way for way in ways if way is not None}, accuracies))


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
