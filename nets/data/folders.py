"""Images in class folders, in a directory, a tar or a zip: which folder is the class, which pixels
are read, and what is left out, which is counted."""

from __future__ import annotations

import io
import unicodedata
from collections import Counter
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from nets.data.archives import hidden_part, members
from nets.data.readers import Pool

IMAGES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp"),
    *(".pgm", ".ppm", ".tif", ".tiff", ".gif"),
)
# Pillow's names of what is read; of each the depth in the file is known
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM", "TIFF", "GIF")
# modes of Pillow with at most 8 bits a channel -> what is made of them, one after the other:
# colours are divided by their alpha first, and of a palette with it Pillow warns but for RGBA
_MODES = dict.fromkeys(("1", "L", "LA"), ("L",)) | {"La": ("LA", "L")}
_MODES |= dict.fromkeys(("PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"), ("RGB",))
_MODES |= dict.fromkeys(("P", "RGBa"), ("RGBA", "RGB"))
EXPECTED = f"expected [train|val|test/]class/image with {', '.join(IMAGES)}"
DEEP = "; only 8-bit images are allowed: scale the values to 0 to 255"
SHOWN = 10  # of the images that cannot be read
_NOTES = "val_annotations.txt"
_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_SPLITS |= dict.fromkeys(("val", "valid", "validation"), "validation")


def _place(folders: tuple[str, ...], top: int) -> tuple[str, str | None]:
    """(part, class) of what lies in these folders, of which the first `top` are no classes where
    there is no split; None where it has no class.

    The class is the first folder below the split or the top, whatever lies between it and the
    image: train/n01/images/7.JPEG, cat/monday/7.png.
    """
    at = _split_at(folders)
    part, at = ("all", top) if at is None else (_SPLITS[folders[at].lower()], at + 1)
    return part, folders[at] if at < len(folders) else None


def _split_at(folders: tuple[str, ...]) -> int | None:
    """The first of the folders that is named like a split."""
    return next((i for i, name in enumerate(folders) if name.lower() in _SPLITS), None)


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits of a channel in the file: Pillow cuts 16 bits of a colour to 8 without a word."""
    if image.format == "PNG":
        return data[24]  # in the header, which comes first
    if image.format == "TIFF":
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        unsigned = set(tags.get(339, (1,))) == {1}  # SampleFormat
        return max(tags.get(258, (1,))) if unsigned else 16  # BitsPerSample
    if image.format == "PPM":
        # of the decoder of what is not 255, its largest value
        tiles: Any = image.tile  # type: ignore[attr-defined]
        numbers = [entry for entry in tiles[0].args or () if isinstance(entry, int)]
        return max(numbers, default=255).bit_length()
    return 8  # the other formats have no more


def decode(
    name: str, data: bytes, size: int | tuple[int, int] | None = None
) -> tuple[NDArray[np.uint8], int]:
    """The image in a file of PNG, JPEG, BMP, WebP, PNM, TIFF or GIF as `pixels` gives it, and the
    number of further frames behind it; ValueError with the name for whatever is wrong with it."""
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.mode in _MODES and _bits(image, data) > 8:
                raise ValueError(f"{image.mode} pixels{DEEP}")
            further = getattr(image, "n_frames", 1) - 1
            return pixels(image, size), further
    except MemoryError:
        raise
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{name}: not a readable image (allowed are {', '.join(_FORMATS)})"
        ) from error
    except Exception as error:  # decoders raise of all kinds, none with the name of the file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{name}: not a readable image ({reason})") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def pixels(image: Image.Image, size: int | tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """A picture as (H, W) or (H, W, 3) bytes: turned upright as its EXIF data say, without its
    transparency, and grey where all of its palette's colours are; with `size`, a side or (height,
    width), scaled and cut to it. ValueError for more than 8 bits a channel."""
    if image.mode not in _MODES:
        raise ValueError(f"{image.mode} pixels{DEEP}")
    picture = ImageOps.exif_transpose(image)
    for mode in _MODES[image.mode]:
        picture = picture.convert(mode)
    if image.mode in ("P", "PA"):
        colours = np.asarray(picture)
        if (colours == colours[..., :1]).all():
            picture = picture.convert("L")
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else size
        if picture.size != (width, height):
            scale = max(width / picture.width, height / picture.height)
            w, h = (
                max(least, round(side * scale))
                for least, side in zip((width, height), picture.size)
            )
            left, top = (w - width) // 2, (h - height) // 2
            picture = picture.resize((w, h), Image.Resampling.BICUBIC)
            picture = picture.crop((left, top, left + width, top + height))
    return np.asarray(picture)


def _breaks(letter: str) -> bool:
    """Whether it is a control character, or separates lines or paragraphs."""
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp")


class _Listing:
    """What lies under a path: the images, decoded, by name; all folders; the labels in a file of
    notes; and how many files of which kind were left out."""

    def __init__(self, path: Path, size: int | tuple[int, int] | None) -> None:
        self.path = path
        self.pictures: dict[str, NDArray[np.uint8]] = {}
        self.folders: set[tuple[str, ...]] = set()
        self.notes: dict[str, str] | None = None
        self.left_out: Counter[str] = Counter()
        hidden: set[str] = set()

        def wanted(name: str) -> bool:
            pure, folder = PurePosixPath(name), name.endswith("/")
            if part := hidden_part(name):
                hidden.add(part)
                return False
            self.folders.add(pure.parts if folder else pure.parts[:-1])
            if folder or pure.name == _NOTES or pure.suffix.lower() in IMAGES:
                return not folder
            self.left_out[pure.suffix.lower() or "without suffix"] += 1
            return False

        unread: list[str] = []
        for name, content in members(path, wanted=wanted):
            if PurePosixPath(name).name == _NOTES:
                lines = content.decode("utf-8-sig", errors="replace").splitlines()
                self.notes = dict(line.split("\t")[:2] for line in lines if "\t" in line)
                continue
            try:
                self.pictures[name], further = decode(name, content, size)
            except ValueError as error:
                unread.append(str(error))
                continue
            self.left_out["further frames"] += further
        if len(unread) == 1:
            raise ValueError(f"{unread[0]}; mend or remove it")
        if unread:  # all at once: reading them takes a while
            shown = "; ".join([*unread[:SHOWN], *["..."] * (len(unread) > SHOWN)])
            raise ValueError(f"{path}: {len(unread)} images to mend or to remove: {shown}")
        self.left_out["hidden"] += len(hidden)

    def labelled(self) -> list[tuple[str, str, str, NDArray[np.uint8]]]:
        """(name, part, class, image) of all that have a class; ValueError where one has none, where
        folders can be understood in two ways, and where one of them has no image."""
        if not self.pictures:
            raise ValueError(
                f"{self.path}: no images in class folders found{self._besides()}; {EXPECTED}"
            )
        top, notes = self._top(), self.notes
        found: list[tuple[str, str, str, NDArray[np.uint8]]] = []
        for name, picture in self.pictures.items():
            *folders, base = PurePosixPath(name).parts
            part, label = _place(tuple(folders), top)
            # Tiny-ImageNet's ways: labels by the images' names, and a test part without any
            unsorted = label is None or (part, label) == ("validation", "images")
            if notes is not None and unsorted and base in notes:
                found.append((name, "validation", notes[base], picture))
            elif notes is not None and (part, label) == ("test", "images"):
                self.left_out["without a label"] += 1
            elif label is None or (notes is not None and unsorted):
                raise ValueError(
                    f"{self.path}: {name} lies in no class folder{self._besides()}; {EXPECTED}"
                )
            else:
                found.append((name, part, label, picture))
        outside = next((name for name, part, _, _ in found if part == "all"), None)
        if outside is not None and any(part != "all" for _, part, _, _ in found):
            raise ValueError(
                f"{self.path}: {outside} lies outside of the parts (train, val, test) that others"
                f" lie in; {EXPECTED}"
            )
        self._check_folders(top, {(part, label) for _, part, label, _ in found})
        return found

    def _top(self) -> int:
        """How many folders lie above the classes where there is no split."""
        images = [PurePosixPath(name).parts[:-1] for name in self.pictures]
        splits = {parts[: at + 1] for parts in images if (at := _split_at(parts)) is not None}
        meant = {_SPLITS[folders[-1].lower()] for folders in splits}
        if len(splits) > len(meant):
            first, second = sorted("/".join(folders) for folders in splits)[:2]
            raise ValueError(
                f"{self.path}: {first} and {second} may be meant as one part or as different data;"
                " leave one of each of train, val and test, with the classes directly below"
            )
        if splits:
            return 0
        levels = zip(*(folders for folders in self.folders if folders))
        lone = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
        top = max(0, lone - all(len(folders) == lone for folders in images))
        if top and self.path.is_dir():  # of an archive, a folder around all is usual
            place = "/".join(images[0][:top])
            raise ValueError(
                f"{self.path}: all images lie in {place}, which may be a class or hold the classes;"
                f" give folder:{self.path / place} if it holds them"
            )
        # cat/day1 and cat/day2 look the same, so that it is said
        self.left_out["folder around all"] = top
        return top

    def _check_folders(self, top: int, labelled: set[tuple[str, str]]) -> None:
        """ValueError for a part or a class without an image that was read."""
        parts = {part for part, _ in labelled}
        for folder in sorted(self.folders):
            part, label = _place(folder, top)
            if self.notes is not None and (part == "test" or label == "images"):
                continue
            no_class = part in parts and label is not None and (part, label) not in labelled
            if no_class or part not in {*parts, "all"}:
                shown = folder[: folder.index(label) + 1] if label else folder
                raise ValueError(
                    f"{self.path}: the folder {'/'.join(shown)} has no image that is read"
                    f"{self._besides()}; remove it, or give it images of {', '.join(IMAGES)}"
                )

    def _besides(self) -> str:
        text = self.besides()
        return f" (left out: {text})" if text else ""

    def besides(self) -> str:
        """What was left out, in words: "3 .avif, 1 hidden"."""
        kinds = sorted((+self.left_out).items())
        return ", ".join(f"{count:,} {kind}" for kind, count in kinds)


def read_folder(path: Path, *, size: int | tuple[int, int] | None = None) -> Pool:
    """Images sorted into folders by class, `[top/][train|val|test/]class/.../image`, from a
    directory, tar or zip; of a directory, a folder around all is above the parts alone.

    Tiny-ImageNet's val/val_annotations.txt is understood; its unlabelled test part, in a folder
    "images", is left out. Classes are sorted by name, images of a part by path, whatever their
    order in the archive. Grey images, with transparency or a palette of greys too, stay one channel
    unless a colour image is among them. What is left out (hidden files, other kinds than `IMAGES`,
    further frames) is counted.

    ValueError where there is no image, one outside of the class folders, a class folder or part
    without any, a single class, folders that can be understood in two ways, several sizes without
    `size`, a class that the training part does not have or whose name has a line break or another
    control character, or an unreadable image: any but PNG, JPEG,
    BMP, WebP, PNM, TIFF and GIF, and more than 8 bits a channel.
    """
    listing = _Listing(path, size)
    found = listing.labelled()
    shapes = sorted({entry[3].shape[:2] for entry in found})
    if len(shapes) > 1:
        shown = ", ".join([f"{h}x{w}" for h, w in shapes[:4]] + ["..."] * (len(shapes) > 4))
        raise ValueError(
            f"{path}: images of {len(shapes)} sizes ({shown}); give data.size to bring them to one"
        )
    classes = tuple(sorted({label for _, part, label, _ in found if part in ("train", "all")}))
    if not classes:
        raise ValueError(f"{path}: there is no training part, only {found[0][1]}; {EXPECTED}")
    if broken := [label for label in classes if any(map(_breaks, label))]:
        raise ValueError(
            f"{path}: the class {broken[0]!r} has a line break or another control character in its"
            " name, which tables and legends cannot show; rename its folder"
        )
    index = {label: i for i, label in enumerate(classes)}
    colour = any(entry[3].ndim == 3 for entry in found)
    splits, names = {}, list[str]()
    for part in sorted({entry[1] for entry in found}):
        chosen = sorted((entry for entry in found if entry[1] == part), key=lambda entry: entry[0])
        names += [entry[0] for entry in chosen]
        unknown = sorted({label for _, _, label, _ in chosen} - set(classes))
        if unknown:
            raise ValueError(
                f"{path}: class {unknown[0]!r} of the {part} part is not in the training part;"
                f" known are {', '.join(classes)}"
            )
        images = np.empty((len(chosen), 3 if colour else 1, *shapes[0]), np.uint8)
        for i, (_, _, _, picture) in enumerate(chosen):
            images[i] = picture.transpose(2, 0, 1) if picture.ndim == 3 else picture[None]
        splits[part] = (images, np.array([index[label] for _, _, label, _ in chosen], np.int64))
    if len(classes) == 1:
        raise ValueError(
            f"{path}: one class alone, {classes[0]!r}; two or more are needed, {EXPECTED}"
        )
    return Pool.of(splits, classes, listing.besides(), tuple(names))
