"""`evaluate`: the accuracy of a trained network on labelled images."""

from typing import Annotated

from polymgnet import console
from polymgnet.options import Json, Run, option

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
    other data in a folder are scaled and cut to the size of the run's. The interval is what the
    number of images allows (95 %, Wilson); it knows nothing of another training.

    Example: polymgnet evaluate runs/q2 --data folder:others
    """
    import nets
    from analysis.stats import fraction_interval
    from nets.config import absolute
    from nets.training.folder import read_config
    from nets.training.predict import evaluate as measured

    classifier = nets.load_classifier(run)
    config = absolute(read_config(run))
    section, others = config.data, False
    if data is not None:
        named = section.model_copy(update={"name": data})
        others = absolute(config.model_copy(update={"data": named})).data.name != section.name
    if data is not None and others:
        section = section.model_copy(update={"name": data, "size": None, "test": None})
    given = section.arguments()
    if others and section.name.startswith("folder:"):
        given["size"] = classifier.size  # height and width, which may differ
    part = part or ("all" if others else "test")
    found = measured(classifier, nets.load_data(**given), part)
    if as_json:
        interval = fraction_interval(found.accuracy, found.images)
        numbers = {"accuracy": found.accuracy, "interval": interval, "loss": found.loss}
        numbers["top5_accuracy"] = found.top5_accuracy
        counts = {"images": found.images, "right": found.right}
        classes = {name: {"right": k, "images": n} for name, (k, n) in found.classes.items()}
        where = {"run": run, "data": section.name, "part": part}
        mistakes = [
            {
                "index": one.index,
                "image": one.name,
                "class": one.truth,
                "taken_for": one.answer,
                "probability": one.probability,
            }
            for one in found.mistakes
        ]
        shown = {"classes": classes, "confusion": found.confusion, "mistakes": mistakes}
        console.emit({**where, **counts, **numbers, **shown})
        return
    shares = {"accuracy": found.accuracy}
    if len(classifier.classes) > MANY:
        shares["top-5 accuracy"] = found.top5_accuracy
    ends = {name: fraction_interval(share, found.images) for name, share in shares.items()}
    console.facts(
        f"{run} on {section.name}, {part}",
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
