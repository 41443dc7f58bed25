"""`demo`: what a derived start is worth, from derivation to pictures on the bundled digits."""

from pathlib import Path
from typing import Annotated

from polymgnet import console
from polymgnet.errors import GO_ON, on_interrupt
from polymgnet.options import Json, option


def demo(
    out: Annotated[Path, option("--out DIR", "Folder of everything the demo makes.")] = Path(
        "demo"
    ),
    force: Annotated[
        bool, option("--force", "Remove what an earlier demo left there and start again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Derive, train, analyse and plot on the bundled digits, in a few minutes.

    Derives coefficients for the disc that a random convolution's spectrum fills, trains deep
    Poly-MgNets from them, from a constant, from the published random start and from Chebyshev's, on
    three seeds, beside one whose A starts as a Laplacian and a ResNet, and ends with a table and
    figures. Killed at any moment and started again it goes on where it was; finished, it prints the
    table again. stderr tells of each stage and how long it took: a bar on a terminal, else lines.

    Exit status: 0 finished, 143 (SIGTERM) or 138 (SIGUSR1) stopped with its state saved, 130
    interrupted by Ctrl-C.
    """
    from polymgnet import demo as work

    finished = (out / "result.json").exists() and not force
    # the stages count themselves
    with on_interrupt(GO_ON), console.progress("demo", show=not as_json) as step:
        result = work.run(out, force=force, report=step)
    if finished:
        console.note(
            f"the demo in {out} was finished before, nothing was done again; --force starts it anew"
        )
    if as_json:
        console.emit(result)
        return
    work.show(result)
