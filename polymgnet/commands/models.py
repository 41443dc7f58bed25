"""`models`: the networks by name, with what each costs."""

from bisect import bisect_left
from collections.abc import Callable
from typing import Annotated, Any

import typer

from polymgnet import console
from polymgnet.options import Json, option
from polymgnet.wording import counted

SIDE: dict[str, Any] = {"min": 1, "max": 16_384}
CLASSES: dict[str, Any] = {"min": 1, "max": 1_000_000}


def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME", help="Of {models}, or a pattern: {patterns}; without, all by name."
        ),
    ] = None,
    size: Annotated[
        int, option("--size N", "Side of the images that the operations are counted on.", **SIDE)
    ] = 32,
    channels: Annotated[
        int, option("--channels C", "Their channels: 1 grey, 3 colour.", **SIDE)
    ] = 3,
    classes: Annotated[int, option("--classes K", "Number of classes.", **CLASSES)] = 10,
    width: Annotated[
        int | None, option("--width C1", "Channels of the first level, the others in proportion.")
    ] = None,
    levels: Annotated[
        int | None, option("--levels L", "Number of levels, of networks that take one.", **SIDE)
    ] = None,
    weights: Annotated[
        int | None,
        option(
            "--weights N", "In place of --width, that with the nearest number of weights.", min=1
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the networks: weights, operations of an image, degree of q on each level.

    These are the names that --set model=NAME and nets.create_model take, with the options that the
    registry gives them. A multiply-add is two operations (FLOP). The degree is that of the residual
    polynomial, the products with A on a level; networks without one have a dash.

    Example: polymgnet models q2 q16 g6 resnet20 --size 28 --channels 1
    """
    import nets
    from nets.models.pretrained import list_pretrained

    if width is not None and weights is not None:
        raise ValueError("--width and --weights are given; only one is allowed")
    given = {"in_channels": channels, "num_classes": classes}
    given |= {} if width is None else {"width": width}
    shown = dict.fromkeys(names or nets.list_models())  # each once
    rows = [_facts(name, given, size, levels=levels, weights=weights) for name in shown]
    cards = [dict(one.card) for one in list_pretrained() if one.model in shown]
    if as_json:
        console.emit({"size": size, **given, "models": rows, "pretrained": cards})
        return
    console.table(
        f"{counted(len(rows), 'network')}, images {channels} x {size} x {size}, {classes} classes",
        ["name", *(["width"] if weights else []), "weights", "MFLOP", "degree", "what it is"],
        [
            [
                *(row["name"], *([row["width"]] if weights else [])),
                *(f"{row['weights']:,}", f"{row['flops'] / 1e6:,.1f}"),
                *(_short(row["degree"]), row["about"]),
            ]
            for row in rows
        ],
        caption="MFLOP: million operations of one image forward; options: polymgnet config",
    )
    for card in cards:
        low, high = (f"{100 * end:.2f}" for end in card["interval"])
        console.say(
            f'pretrained: create_model("{card["model"]}", pretrained="{card["name"]}"):'
            f" {100 * card['test_accuracy']:.2f} % ({low} to {high}) of {card['images']['test']}"
            f" test images, {card['parameters']:,} weights"
        )


def _facts(
    name: str, given: dict[str, Any], size: int, *, levels: int | None, weights: int | None
) -> dict[str, Any]:
    """What one network is and costs; nothing is computed, on a device that holds no numbers."""
    import torch

    import nets
    from nets.models.classifier import levels_of
    from nets.models.coefficients import Coefficients
    from nets.models.cost import count_flops, count_parameters
    from nets.models.registry import model_entry, model_options

    if levels is not None and "levels" in model_options(name):
        given = given | {"levels": levels}
    with torch.device("meta"):
        if weights is not None:
            width = nearest(
                lambda c: count_parameters(nets.create_model(name, **{**given, "width": c})),
                weights,
            )
            given = given | {"width": width}
        model = nets.create_model(name, **given)
    polynomial = any(isinstance(module, Coefficients) for module in model.modules())
    found = levels_of(model) if polynomial else []
    return {
        "name": name,
        "width": given.get("width"),
        "weights": count_parameters(model),
        "flops": count_flops(model, (given["in_channels"], size, size)),
        "degree": [level.degree for level in found],
        "about": model_entry(name).summary,
    }


def nearest(count: Callable[[int], int], target: int) -> int:
    """The n >= 1 whose count, which rises with n, is nearest to the target."""
    high = 1
    while count(high) < target:
        high *= 2
    high = bisect_left(range(high + 1), target, lo=1, key=count)
    return min(high, max(high - 1, 1), key=lambda n: abs(count(n) - target))


def _short(degrees: list[int]) -> str:
    """The degree of all levels, or of each where they differ."""
    return ", ".join(map(str, degrees if len(set(degrees)) > 1 else degrees[:1])) or "–"
