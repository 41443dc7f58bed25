"""The page of a study: Markdown and figures of all its scales, drawn from the committed rows
alone, or from the folders of the runs of a study without rows."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from polymgnet.study.plan import Study, load_study, name_of, scales_of
from polymgnet.study.rows import row_of
from polymgnet.wording import counted

DPI = 100  # 700 pixels for the width of a page
Result = tuple[Mapping[str, Any], Mapping[str, Any]]  # the point of the grid, and the row of a run


def write_page(
    file: Path,
    folder: Path,
    *,
    scale: str | None = None,
    out: Path | None = None,
    draw: bool = True,
    force: bool = False,
) -> list[Path]:
    """Write FOLDER/NAME.md and a figure for every scale that has finished runs; returns the paths,
    the page first. ValueError for a file without [report], or without any finished run, with the
    places that were looked at; FileExistsError, without `force`, for a page that has another title,
    and for a figure that is there without the page.

    Parameters
    ----------
    scale
        This one alone, on a page NAME-SCALE.md: that of all scales stays whole.
    out
        As of `load_study`: where the runs of a study without rows lie.
    """
    from analysis.studies.grid import Grid
    from analysis.studies.text import page
    from mgtheory._files import write_atomically

    whole = folder / f"{file.stem}.md"
    target = whole if scale is None else folder / f"{name_of(file, scale)}.md"
    # and then so are the figures beside it
    ours = force or target.is_file() or whole.is_file()
    sections: dict[str, str] = {}
    looked: list[str] = []
    figures: dict[Path, Callable[[], None]] = {}
    for one in scales_of(file) if scale is None else [scale]:
        plan = load_study(file, scale=one, out=out, trains=False)
        question = _question(plan, file)
        if target.is_file() and not force:
            _check_title(target, question.title, file)
        results = _found(plan)
        grid = Grid.of(results, question.compare)
        if not grid.cells:
            looked.append(_missing(plan))
            continue
        pictures = _pictures(grid, question, folder, name_of(file, one))
        if draw and not ours and (there := [path for path in pictures if path.exists()]):
            raise FileExistsError(
                f"{there[0]} exists, and no page of {file} beside it; give another folder, or"
                " --force to overwrite it"
            )
        shown = {path: what for path, (_, what) in pictures.items()}
        sections[one or ""] = _section(plan, question, grid, results, shown)
        for path, (start, _) in pictures.items():
            figures[path] = partial(_draw, grid, question, path, start=start)
    if not sections:
        raise ValueError(
            f"study file {file}: no run has finished, so there is nothing to report; looked for"
            f" {' and '.join(looked)}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(target, page(question, sections))
    for make in figures.values() if draw else ():  # the page stays where a picture fails
        make()
    return [target, *figures]


def _question(plan: Study, file: Path) -> Any:
    """What the study asks, by its [report]; ValueError names the file."""
    from analysis.studies.question import Question

    if not plan.report:
        scale = plan.name.removeprefix(file.stem).replace("-", " --scale ", 1)
        raise ValueError(
            f"study file {file} has no [report], whose title, compare and measures such a page"
            f" needs; polymgnet report {file}{scale} makes one for the browser without"
        )
    try:
        return Question.of(plan.report)
    except ValueError as error:
        raise ValueError(f"study file {file}: {error}") from None


def _check_title(target: Path, title: str, file: Path) -> None:
    """FileExistsError for a page that is there and has another title."""
    first = target.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    if first != f"# {title}":
        raise FileExistsError(
            f"{target} exists and is no page of {file}; give another folder, or --force to"
            " overwrite it"
        )


def _pictures(grid: Any, question: Any, folder: Path, name: str) -> dict[Path, tuple[str, str]]:
    """File of a figure -> the number of the start that it is drawn against, if any, and what is
    shown."""
    from analysis.studies.question import STARTS

    drawn = [measure for measure in question.measures if measure in grid.measures]
    found = {"": ("", "means")} if drawn else {}  # all may diverge
    if question.along_starts and question.measures[0] in drawn:
        for key in grid.starts:
            found[f"-{STARTS[key].short}"] = key, f"{STARTS[key].title} at the start"
    return {folder / f"{name}{ending}.png": one for ending, one in found.items()}


def _section(
    plan: Study, question: Any, grid: Any, results: list[Result], pictures: Mapping[Path, str]
) -> str:
    """What the page says of one scale: findings, figures, tables, and at the end what made it."""
    from analysis.studies.along import along_section
    from analysis.studies.progress import left_of, left_text, made_text
    from analysis.studies.text import scale_text
    from analysis.studies.tuned import tuned_section

    points, there = [run.point for run in plan.runs], "have rows" if plan.rows else "finished"
    left = left_of(grid, points, along=question.along)
    findings, tables = scale_text(grid, question)
    text = [
        plan.about.strip(),
        left_text(left, len(points), there=there),
        findings,
        *(f"![{question.title}, {what}]({path.name})" for path, what in pictures.items()),
        tables,
        tuned_section(results, question),
        along_section(grid),
        made_text(grid, len(points), there=there),
    ]
    return "\n\n".join(part for part in text if part)


def _found(plan: Study) -> list[Result]:
    """(point of the grid, row) of every finished run: by the rows alone, for a folder that happens
    to lie here has no say; where the study has none, by the folders."""
    if plan.rows is None:
        return [(run.point, row_of(run)) for run in plan.runs if run.finished]
    known = plan.rows.known
    return [(run.point, known[run.digest]) for run in plan.runs if run.digest in known]


def _missing(plan: Study) -> str:
    """Where a scale's finished runs would be, and what becomes of folders without a row."""
    if plan.rows is None:
        return f"folders of its {counted(len(plan.runs), 'run')} in {plan.out}"
    folders = sum(run.finished for run in plan.runs)
    collected = f" ({folders} finished in {plan.out}: without --report they get rows)"
    return f"rows in {plan.rows.path}{collected if folders else ''}"


def _draw(grid: Any, question: Any, target: Path, *, start: str) -> None:
    """One figure, of the means or against a number of the start, without a date, at screen
    resolution and in 256 colours: it is committed anew whenever rows are."""
    import io

    from PIL import Image

    from figures.studies import start_figure, study_figure
    from figures.style import paper
    from mgtheory._files import write_atomically

    drawn = io.BytesIO()
    with paper():
        made = start_figure(grid, question, start) if start else study_figure(grid, question)
        made.savefig(drawn, format="png", dpi=DPI)
    target.parent.mkdir(parents=True, exist_ok=True)
    few = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    few.save(packed, format="png", optimize=True)
    write_atomically(target, packed.getvalue())
