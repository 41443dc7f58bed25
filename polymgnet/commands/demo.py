"""`demo`: what a derived start is worth, from derivation to pictures on the bundled digits."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from polymgnet import console
from polymgnet.commands.report import PAGE, NoReport, page_at_end
from polymgnet.errors import GO_ON, on_interrupt
from polymgnet.options import Json, option
from polymgnet.wording import counted

FLOOR = "1-nearest neighbour"


def demo(
    context: typer.Context,
    out: Annotated[Path, option("--out DIR", "Folder of everything the demo makes.")] = Path(
        "demo"
    ),
    force: Annotated[
        bool, option("--force", "Remove what an earlier demo left there and start again.")
    ] = False,
    no_report: NoReport = False,
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
    made, again = None, f"polymgnet report {shlex.quote(str(out))}"
    if not no_report:
        runs = [out / "runs" / Path(row["runs"][0]).name for row in result["table"]]
        with on_interrupt(f"the demo is finished, {again} makes its page"):
            command, said = console.command_line(context), not as_json
            made = page_at_end(runs, out / PAGE, command=command, again=again, show=said)
    if as_json:
        console.emit({**result, "page": made})
        return
    show(result)
    console.say(f"One page on it: {made or again}")


def verdict(table: Sequence[dict[str, Any]], floor: float, images: int) -> list[str]:
    """What was measured, whoever won, and how far a few seeds and test images carry."""
    from analysis.stats import fraction_interval
    from nets.settings import DEFAULT_SCHEME
    from polymgnet.demo import DERIVED, OTHERS, SMOOTHER, STARTS

    rows = {entry["name"]: entry for entry in table}
    derived = rows[DERIVED]["train_loss"]
    wins = {
        other: sum(mine < theirs for mine, theirs in zip(derived, rows[other]["train_loss"]))
        for other in OTHERS
    }
    counts = ", ".join(
        f"{other} on {won} of {counted(len(derived), 'seed')}" for other, won in wins.items()
    )
    amplified = [(name, rows[name]["amplification"]) for name in STARTS]
    mu = rows[SMOOTHER]["smoothing_factors"]
    starts = "is a smoother at the start" if mu["start"] < 1 else "is no smoother at the start"
    stays = "and still is one after training" if mu["learned"] < 1 else "and does not stay one"
    above = [name for name, entry in rows.items() if fmean(entry["test_accuracy"]) > floor]
    low, high = fraction_interval(floor, images)
    return [
        f"Training loss of {DERIVED}, the default start {DEFAULT_SCHEME}, is below that of"
        f" {counts}.",
        "At the start max |q| of a level is up to"
        f" {', '.join(f'{name} {M:.3g}' for name, M in amplified if M is not None)}.",
        f"{SMOOTHER}, whose A starts as a Laplacian, {starts} on every level (largest smoothing"
        f" factor {mu['start']:.3g}) {stays} ({mu['learned']:.3g}).",
        f"Above {FLOOR} ({100 * floor:.2f} %) in mean test accuracy: {', '.join(above) or 'none'}."
        f" One of the {images} test images is {100 / images:.2f} %; their 95 % interval around"
        f" {100 * floor:.2f} % is {100 * low:.1f} to {100 * high:.1f} %.",
    ]


def show(result: dict[str, Any]) -> None:
    """Print the table, what follows from it, and where the figures are."""
    floor, images = (result["nearest_neighbour"][key] for key in ("test_accuracy", "tested_on"))

    def spread(values: Sequence[float], unit: float, digits: int) -> str:
        low, middle, high = (unit * f(values) for f in (min, fmean, max))
        return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    body = [
        [
            *(entry[key] for key in ("name", "model", "parameters", "amplification")),
            spread(entry["train_loss"], 1.0, 3),
            spread(entry["test_accuracy"], 100.0, 2),
            fmean(entry["seconds"]),
        ]
        for entry in result["table"]
    ]
    body.append([FLOOR, "–", 0, None, "–", f"{100 * floor:.2f}", None])
    settings = result["settings"]
    console.table(
        f"Handwritten digits, {counted(settings['epochs'], 'epoch')},"
        f" {counted(settings['seeds'], 'seed')}, everything in {result['folder']}",
        [
            *("network", "model", "weights", "max |q| at start"),
            *("training loss", "test (%)", "time (s)"),
        ],
        body,
        caption=(
            "losses and accuracies: mean (lowest to highest seed); max |q|: the largest of a level"
            " on the spectrum of its A"
        ),
    )
    console.say("\n".join(verdict(result["table"], floor, images)))
    console.say("A demonstration; `polymgnet study` gives intervals and tests (docs/studies).")
    print("Figures:")
    for name in result["figures"]:
        if name.endswith(".png"):
            print(f"  {Path(result['folder']) / name}")
