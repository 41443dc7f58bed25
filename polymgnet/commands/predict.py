"""`predict`: the classes of image files."""

import os
from pathlib import Path
from typing import Annotated

import typer

from polymgnet import console
from polymgnet.errors import Failure, one_line
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

    Of several images those that cannot be read are named behind the classes of the others; exit
    status 1 then.

    Example: polymgnet predict runs/q2 photo.png pictures/
    """
    import nets

    classifier = nets.load_classifier(run)
    paths = [path for one in images for path in _files(one)]
    found: dict[Path, list[float]] = {}
    unread: dict[Path, str] = {}
    with console.progress("predict", total=len(paths), show=not as_json) as step:
        for count, path in enumerate(paths, start=1):
            try:
                found[path] = classifier.probabilities(path)[0].tolist()
            except (ValueError, OSError) as error:
                if len(paths) == 1:
                    raise
                unread[path] = one_line(error)
            step(count)
    names = classifier.classes
    best = {path: max(range(len(p)), key=p.__getitem__) for path, p in found.items()}
    if as_json:
        rows = [
            {
                "image": path,
                "class": names[best[path]],
                "probability": p[best[path]],
                "probabilities": p,
            }
            for path, p in found.items()
        ]
        failed = [{"image": path, "reason": line} for path, line in unread.items()]
        console.emit({"run": run, "classes": names, "images": rows, "unread": failed})
    elif found:
        console.table(
            f"{len(found)} images by {run}",
            ["image", "class", "probability (%)"],
            [[str(path), names[best[path]], 100 * p[best[path]]] for path, p in found.items()],
        )
    if unread:
        raise Failure(
            f"{len(unread)} of {len(paths)} images could not be read: {'; '.join(unread.values())}"
        )


def _files(path: Path) -> list[Path]:
    """The image files of a folder, by name, hidden ones left out; or the one file."""
    from nets.data.archives import hidden_part
    from nets.data.folders import IMAGES

    if not path.exists():  # before the others are looked at
        raise FileNotFoundError(f"{path}: No such file or directory")
    if not path.is_dir():
        return [path]

    def fail(error: OSError) -> None:  # a folder that cannot be read, else left out without a word
        raise error

    files = (
        Path(folder, name) for folder, _, names in os.walk(path, onerror=fail) for name in names
    )
    found = [
        one
        for one in sorted(files)
        if one.suffix.lower() in IMAGES and not hidden_part(str(one.relative_to(path)))
    ]
    if not found:
        raise ValueError(f"{path} holds no image; allowed are {', '.join(IMAGES)}")
    return found
