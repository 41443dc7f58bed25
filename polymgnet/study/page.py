"""The page of a study: Markdown and figures of all its scales, drawn from the committed rows
alone."""

from functools import partial
from pathlib import Path
from typing import Any

from polymgnet.study.plan import load_study, scales_of

DPI = 100  # 700 pixels for the width of a page


def write_page(file: Path, folder: Path, *, draw: bool = True, force: bool = False) -> list[Path]:
    """Write FOLDER/NAME.md and a figure for every scale that has finished runs; returns the paths,
    the page first. ValueError for a file without [report], or without any finished run;
    FileExistsError, without `force`, for a page that has another title, and for a
    figure that is there without the page."""
    target = folder / f"{file.stem}.md"
    ours = force or target.is_file()  # and then so are the figures beside it
    from analysis.studies import Grid, Question
    from analysis.study_along import along_section
    from analysis.study_text import page, scale_text
    from mgtheory._files import write_atomically

    sections: dict[str, str] = {}
    figures: list[tuple[Path, Any]] = []
    for scale in scales_of(file):
        plan = load_study(file, scale=scale, check=False)
        try:
            question = Question.of(plan.report)
        except ValueError as error:
            raise ValueError(f"study file {file}: {error}") from None
        if plan.rows is None:
            continue
        if target.is_file() and not force:
            first = target.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
            if first != f"# {question.title}":
                raise FileExistsError(
                    f"{target} exists and is no page of {file}; give another folder, or --force to"
                    " overwrite it"
                )
        # not `plan.results`: a folder that happens to lie here has no say
        known = plan.rows.known
        found = [(run.point, known[run.digest]) for run in plan.runs if run.digest in known]
        grid = Grid.of(found, question.compare)
        if not grid.cells:
            continue
        name = "-".join(filter(None, (file.stem, scale)))
        text = [plan.about.strip()]
        # ending of the file's name -> function of `figures.studies`, and what it shows
        pictures = {"": ("study_figure", "means")}
        if question.along is not None and grid.moduli_differ:
            pictures["-modulus"] = ("modulus_figure", "max |q| at the start")
        for ending, (kind, shown) in pictures.items():
            picture = folder / f"{name}{ending}.png"
            text.append(f"![{question.title}, {shown}]({picture.name})")
            figures.append((picture, partial(_draw, grid, question, picture, kind=kind)))
            if draw and not ours and picture.exists():
                raise FileExistsError(
                    f"{picture} exists, and no page of {file} beside it; give another folder, or"
                    " --force to overwrite it"
                )
        text.append(scale_text(grid, question, points=[run.point for run in plan.runs]))
        text.append(along_section(grid))
        sections[scale or ""] = "\n\n".join(part for part in text if part)
    if not sections:
        raise ValueError(f"study file {file}: no run has finished, so there is nothing to report")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(target, page(question, sections))
    for _, make in figures if draw else ():  # after the page, which a picture that fails leaves
        make()
    return [target, *(picture for picture, _ in figures)]


def _draw(grid: Any, question: Any, target: Path, *, kind: str) -> None:
    """One figure, without a date, at screen resolution and in 256 colours: it is committed anew
    whenever rows are."""
    import io

    from PIL import Image

    import figures.studies
    from figures.style import paper
    from mgtheory._files import write_atomically

    drawn = io.BytesIO()
    with paper():
        getattr(figures.studies, kind)(grid, question).savefig(drawn, format="png", dpi=DPI)
    target.parent.mkdir(parents=True, exist_ok=True)
    few = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    few.save(packed, format="png", optimize=True)
    write_atomically(target, packed.getvalue())
