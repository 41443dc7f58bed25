"""`predict`: the classes of image files."""

from pathlib import Path
from typing import Annotated

import typer

from polymgnet import console
from polymgnet.options import Json, Run


def predict(
    run: Run,
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE",
            help="PNG, JPEG, BMP, WebP, PNM, TIFF or GIF files, or folders of them.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Say the class of images, and how probable the network finds it.

    Images are scaled and cut to the size that the network was trained with, and brought to its
    channels. The probability is softmax of the scores, which is no measured frequency.

    Example: polymgnet predict runs/q2 photo.png pictures/
    """
    import nets

    classifier = nets.load_classifier(run)
    paths = [path for one in images for path in _files(one)]
    with console.progress("predict", total=len(paths), show=not as_json) as step:
        found = []
        for path in paths:
            found.append(classifier.probabilities(path)[0].tolist())
            step(len(found))
    names = classifier.classes
    best = [max(range(len(p)), key=p.__getitem__) for p in found]
    if as_json:
        rows = [
            {"image": path, "class": names[k], "probability": p[k], "probabilities": p}
            for path, p, k in zip(paths, found, best, strict=True)
        ]
        console.emit({"run": run, "classes": names, "images": rows})
        return
    console.table(
        f"{len(paths)} images by {run}",
        ["image", "class", "probability (%)"],
        [[str(path), names[k], 100 * p[k]] for path, p, k in zip(paths, found, best, strict=True)],
    )


def _files(path: Path) -> list[Path]:
    """The image files of a folder, by name, hidden ones left out; or the one file."""
    from nets.data.archives import hidden_part
    from nets.data.folders import IMAGES

    if not path.exists():  # before the others are looked at
        raise FileNotFoundError(f"{path}: No such file or directory")
    if not path.is_dir():
        return [path]
    found = [
        one
        for one in sorted(path.rglob("*"))
        if one.suffix.lower() in IMAGES and not hidden_part(str(one.relative_to(path)))
    ]
    if not found:
        raise ValueError(f"{path} holds no image; allowed are {', '.join(IMAGES)}")
    return found
