"""`predict`: the classes of image files."""

from pathlib import Path
from typing import Annotated

import typer

from polymgnet import console
from polymgnet.errors import Failure, one_line
from polymgnet.options import Json, Run
from polymgnet.wording import counted


def predict(
    run: Run,
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE",
            help="PNG, JPEG, BMP, WebP, PNM, TIFF or GIF files, folders of them, or archives (.zip,"
            " .tar, .tar.gz, .tar.xz, .tar.bz2).",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Say the class of images, and how probable the network finds it.

    Images are scaled and cut to the size that the network was trained with, and brought to its
    channels. The probability is softmax of the scores, which is no measured frequency.

    Of several images those that cannot be read are named behind the classes of the others; exit
    status 1 then.

    Example: polymgnet predict runs/q2 photo.png pictures/ scans.zip
    """
    from PIL import Image

    import nets
    from nets.data.folders import decode
    from nets.data.pictures import contents, image_files

    classifier = nets.load_classifier(run)
    listed = {one: image_files(one) for one in images}
    paths = [path for one in images for path in listed[one]]
    read: dict[Path, list[float]] = {}
    unread: dict[Path, str] = {}
    found_in = (pair for one in images for pair in contents(one, listed[one]))
    with console.progress("predict", total=len(paths), show=not as_json) as step:
        for count, (path, content) in enumerate(found_in, start=1):
            try:
                picture, _ = decode(str(path), content(), classifier.size)
                read[path] = classifier.probabilities(Image.fromarray(picture))[0].tolist()
            except (ValueError, OSError) as error:
                if len(paths) == 1:
                    raise
                unread[path] = one_line(error)
            step(count)
    found = {path: read[path] for path in paths if path in read}
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
            f"{counted(len(found), 'image')} by {run}",
            ["image", "class", "probability (%)"],
            [[str(path), names[best[path]], 100 * p[best[path]]] for path, p in found.items()],
        )
    if unread:
        raise Failure(
            f"{len(unread)} of {counted(len(paths), 'image')} could not be read:"
            f" {'; '.join(unread.values())}"
        )
