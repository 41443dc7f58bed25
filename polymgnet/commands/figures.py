"""`figures`: pictures of runs, and of the theory."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from polymgnet import console
from polymgnet.commands.analyze import analysed
from polymgnet.options import Force, Json, option


def figures(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="RUN", help="Run folders that train wrote.")
    ] = None,
    theory: Annotated[
        bool, option("--theory", "Draw the figures of the theory instead of runs; needs --out.")
    ] = False,
    out: Annotated[
        Path | None, option("--out DIR", "Folder of the figures; without it FIRST_RUN/pictures.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Draw runs: polynomials on the spectrum, eigenvalues with roots, damping, training curves. PNG
    and PDF.

    Several runs are drawn beside one another; the pictures of one run are in its TensorBoard too.
    With --theory: all families, smoothing and two-grid factors, spectra.

    Example: polymgnet figures runs/theory runs/xavier --out pictures
    """
    if theory == bool(runs) or (theory and out is None):
        given = "--theory without --out" if theory else "nothing is given"
        given = "run folders and --theory are both given" if runs else given
        raise ValueError(f"{given}; allowed are run folders, or --theory with --out DIR")
    folder = out or (runs or [])[0] / "pictures"
    import figures as drawing
    from mgtheory._files import check_folder

    check_folder(folder)

    if runs:
        analysed(runs, show=not as_json)
    with console.progress("draw", show=not as_json) as step:
        draw = drawing.make_gallery if theory else partial(drawing.make, runs or [])
        # in the folder of a run all is its own
        guard = partial(console.refuse_foreign, force=force) if out else None
        paths = draw(folder, progress=step, guard=guard)
    if len(runs or []) == 1:
        from analysis.board import write_pictures

        shown = {path.stem: path for path in map(Path, paths) if path.suffix == ".png"}
        write_pictures((runs or [])[0], shown)
    if as_json:
        console.emit({"figures": paths})
        return
    for path in paths:
        print(path)
