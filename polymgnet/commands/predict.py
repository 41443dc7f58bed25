"""`predict`: the classes of image files."""

import os
from collections.abc import Callable, Iterator
from functools import partial
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

    classifier = nets.load_classifier(run)
    listed = {one: _files(one) for one in images}
    paths = [path for one in images for path in listed[one]]
    read: dict[Path, list[float]] = {}
    unread: dict[Path, str] = {}
    contents = (pair for one in images for pair in _contents(one, listed[one]))
    with console.progress("predict", total=len(paths), show=not as_json) as step:
        for count, (path, content) in enumerate(contents, start=1):
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


def _files(path: Path) -> list[Path]:
    """The image files of a folder or an archive, by name, hidden ones left out; or the one file."""
    from nets.data.archives import hidden_part, is_archive
    from nets.data.folders import IMAGES

    if not path.exists():  # before the others are looked at
        raise FileNotFoundError(f"{path}: No such file or directory")
    if not path.is_dir() and not is_archive(path):
        return [path]
    found = [
        one
        for one in sorted(_below(path) if path.is_dir() else _within(path))
        if one.suffix.lower() in IMAGES and not hidden_part(str(one.relative_to(path)))
    ]
    if not found:
        raise ValueError(f"{path} holds no image; allowed are {', '.join(IMAGES)}")
    return found


def _below(folder: Path) -> Iterator[Path]:
    """All files of a folder; OSError for one in it that cannot be read."""

    def fail(error: OSError) -> None:  # else left out without a word
        raise error

    for place, _, names in os.walk(folder, onerror=fail):
        yield from (Path(place, name) for name in names)


def _within(archive: Path) -> set[Path]:
    """All files of an archive, which is read to its end: a damaged one is refused before anything
    is predicted."""
    from nets.data.archives import members

    names = set[str]()

    def listed(name: str) -> bool:
        names.add(name)
        return False

    list(members(archive, wanted=listed))
    return {archive / name for name in names if not name.endswith("/")}


def _contents(path: Path, files: list[Path]) -> Iterator[tuple[Path, Callable[[], bytes]]]:
    """The files, each with what reads it; those of an archive in its order."""
    from nets.data.archives import members

    if files == [path] or path.is_dir():
        yield from ((one, one.read_bytes) for one in files)
        return
    chosen = {one.relative_to(path).as_posix() for one in files}
    for name, content in members(path, wanted=chosen.__contains__):
        yield path / name, partial(bytes, content)
