"""`figures`: pictures of runs, and of the theory."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from polymgnet import console
from polymgnet.commands.analyze import analysed
from polymgnet.commands.report import Scale, folders, refuse_read_only
from polymgnet.options import Force, Json, option


def figures(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN|STUDY|DEMO",
            help="Run folders that train wrote; a study's file, or its folder; that of a demo.",
        ),
    ] = None,
    theory: Annotated[
        bool, option("--theory", "Draw the figures of the theory instead of runs; needs --out.")
    ] = False,
    scale: Scale = None,
    out: Annotated[
        Path | None,
        option(
            "--out DIR",
            "Folder of the figures; without it pictures in the folder of the run, of runs or the"
            " demo, of several in that of the first; of a study's file pictures-STUDY in its out.",
        ),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Draw runs: polynomials on the spectrum, eigenvalues with roots, damping, training curves. PNG
    and PDF.

    Several runs, or those of a study, are drawn beside one another; without --out the pictures of
    one run are in its TensorBoard too. With --theory: all families, smoothing and two-grid factors,
    spectra.

    Example: polymgnet figures runs/theory runs/xavier --out pictures
    """
    if theory == bool(runs) or (theory and out is None):
        what = "--theory without --out" if theory else "nothing is given"
        what = "run folders and --theory are both given" if runs else what
        raise ValueError(f"{what}; allowed are run folders, or --theory with --out DIR")
    given, place, _ = folders(runs or [], scale=scale)
    whole = len(runs or []) == 1 and given != runs  # of a study or demo, whose folder has the page
    beside = place.with_name(place.stem.replace("report", "pictures", 1))
    folder = out or (beside if whole else given[0] / "pictures")
    import figures as drawing
    from mgtheory._files import check_folder

    check_folder(folder)
    refuse_read_only(folder, given=out)

    if given:
        analysed(given, show=not as_json)
    with console.progress("draw", show=not as_json) as step:
        draw = drawing.make_gallery if theory else partial(drawing.make, given)
        # in the folder of a run all is its own
        guard = partial(console.refuse_foreign, force=force) if out else None
        paths = draw(folder, progress=step, guard=guard)
    if out is None and len(given) == 1:  # with --out nothing is written into the run
        from analysis.runs.board import write_pictures

        shown = {path.stem: path for path in map(Path, paths) if path.suffix == ".png"}
        write_pictures(given[0], shown)
    if as_json:
        console.emit({"figures": paths})
        return
    for path in paths:
        print(path)
