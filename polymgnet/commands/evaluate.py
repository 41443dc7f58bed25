"""`evaluate`: the accuracy of a trained network on labelled images."""

from pathlib import Path
from typing import Annotated, Any

from polymgnet import console
from polymgnet.options import Json, Run, option
from polymgnet.wording import counted

MANY = 10  # classes: where there are more, the top-5 accuracy is shown too


def evaluate(
    run: Run,
    data: Annotated[
        str | None,
        option(
            "--data NAME", "Other data than the run's: {data}. Classes are told by their names."
        ),
    ] = None,
    part: Annotated[
        str | None,
        option(
            "--part PART",
            "train, validation, test or all; by default test of the run's data, all of other data.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a trained network: accuracy with its interval, loss, what its classes are taken for,
    and which images it takes for another class, at most 20, the surest answers first.

    An image of a folder has its name, another its index in `load_data(NAME).images`. With --json
    there is the confusion matrix: class, answer, number of images. A network of more than ten
    classes has a top-5 accuracy beside it: the class is among the five highest scores. Images of
    other data in a folder are scaled and cut to the size of the run's, and brought to its channels,
    as predict does. The interval is what the number of images allows (95 %, Wilson); it knows
    nothing of another training.

    Example: polymgnet evaluate runs/q2 --data folder:others
    """
    import nets
    from nets.training.predict import evaluate as measured

    classifier = nets.load_classifier(run)
    given, others = _data(run, data, classifier.size)
    part = part or ("all" if others else "test")
    images, channels = nets.load_data(**given), len(classifier.mean)
    found = measured(classifier, images, part)
    if images.shape[0] != channels:
        how = "colours are taken as their luminance" if channels == 1 else "grey is repeated"
        console.note(
            f"{images.name} has {counted(images.shape[0], 'channel')}, the network takes"
            f" {channels}: {how}"
        )
    if as_json:
        console.emit({"run": run, "data": given["name"], "part": part, **_numbers(found)})
    else:
        top5 = len(classifier.classes) > MANY
        _show(found, f"{run} on {given['name']}, {part}", top5=top5)


def _data(run: Path, name: str | None, size: Any) -> tuple[dict[str, Any], bool]:
    """The arguments of `nets.load_data`, and whether that is other data than the run's, whose
    images are made as large as the run's."""
    from nets.config import absolute

    config = absolute(_config(run, name))
    section = config.data
    if name is None:
        return section.arguments(), False
    named = section.model_copy(update={"name": name})
    if absolute(config.model_copy(update={"data": named})).data.name == section.name:
        return section.arguments(), False
    given = section.model_copy(update={"name": name, "size": None, "test": None}).arguments()
    if name.startswith("folder:"):
        given["size"] = size  # height and width, which may differ
    return given, True


def _config(run: Path, name: str | None) -> Any:
    """The configuration of a run, or of weights of the package, by the recipe of their card."""
    from nets.config import load_config
    from nets.models.pretrained import find_shipped
    from nets.settings import TrainConfig
    from nets.training.folder import read_config

    if (shipped := find_shipped(run)) is None:
        return read_config(run)
    if recipe := shipped.card.get("recipe"):
        return load_config(recipe, [f"data.split_seed={shipped.card['split_seed']}"])
    if name is None:
        raise ValueError(f"{run} comes without its images; give some by --data NAME")
    return TrainConfig()


def _numbers(found: Any) -> dict[str, Any]:
    """All that was measured, for machines."""
    from analysis.stats import fraction_interval

    return {
        "images": found.images,
        "right": found.right,
        "accuracy": found.accuracy,
        "interval": fraction_interval(found.accuracy, found.images),
        "loss": found.loss,
        "top5_accuracy": found.top5_accuracy,
        "classes": {name: {"right": k, "images": n} for name, (k, n) in found.classes.items()},
        "confusion": found.confusion,
        "mistakes": [
            {
                "index": one.index,
                "image": one.name,
                "class": one.truth,
                "taken_for": one.answer,
                "probability": one.probability,
            }
            for one in found.mistakes
        ],
    }


def _show(found: Any, title: str, *, top5: bool) -> None:
    from analysis.stats import fraction_interval

    shares = {"accuracy": found.accuracy}
    if top5:
        shares["top-5 accuracy"] = found.top5_accuracy
    ends = {name: fraction_interval(share, found.images) for name, share in shares.items()}
    console.facts(
        title,
        [
            ("images", f"{found.images:,}, {found.right:,} right"),
            *(
                (name, f"{100 * shares[name]:.2f} % ({100 * low:.2f} to {100 * high:.2f})")
                for name, (low, high) in ends.items()
            ),
            ("loss", console.number(found.loss)),
        ],
    )
    rows = [
        [name, n, f"{100 * k / n:.1f}", _others(name, found.confusion[name])]
        for name, (k, n) in found.classes.items()
    ]
    console.table("", ["class", "images", "right (%)", "taken for"], rows)
    if found.mistakes:
        console.table(
            found.about_mistakes(),
            ["image", "class", "taken for", "probability (%)"],
            [[m.image, m.truth, m.answer, f"{100 * m.probability:.1f}"] for m in found.mistakes],
        )


def _others(name: str, row: dict[str, int]) -> str:
    """The wrong answers of a row of the confusion matrix, the most frequent first."""
    wrong = sorted(((n, other) for other, n in row.items() if other != name), key=lambda x: -x[0])
    return ", ".join(f"{other} {n}" for n, other in wrong)
