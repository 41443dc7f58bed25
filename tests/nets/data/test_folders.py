"""Image folders: which folder is the class, which pixels are read, what is refused, and that
nothing is left out without being counted."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from nets.data.folders import decode, pixels, read_folder
from nets.data.sources import load_data


def picture(value=0, mode="L", size=(4, 4), form="PNG", **options):
    held = io.BytesIO()
    Image.new(mode, size, value).save(held, form, **options)
    return held.getvalue()


def tree(folder, names, content=None):
    """A directory with an image under each name; a name that ends in a slash is an empty folder."""
    for name in names:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture() if content is None else content)
    return folder


def zipped(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"" if name.endswith("/") else picture())
    return path


def refused(path, message, **options):
    with pytest.raises(ValueError, match=message) as error:
        read_folder(path, **options)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value) or ".p" in str(error.value)


# which folder is the class
# ------------------------------------------------------------------------------------------

CAT_AND_DOG = {
    "flat": ["cat/0.png", "dog/0.png"],
    "below": ["cat/day1/x.png", "dog/day1/x.png"],
    "below and flat": ["cat/day1/x.png", "cat/0.png", "dog/a/b/c.png"],
    "below train": ["train/cat/day1/x.png", "train/dog/day2/x.png", "test/dog/day1/x.png"],
    "a folder around the parts": ["top/Train/cat/x.png", "top/Train/dog/x.png"],
    "companions of the parts": ["train/cat/x.png", "train/dog/x.png", "notes/", "boxes/a.xml"],
    "an empty folder within a class": ["cat/x.png", "cat/day2/", "dog/x.png"],
}


@pytest.mark.parametrize("kind", CAT_AND_DOG)
@pytest.mark.parametrize("form", ["directory", "zip"])
def test_the_class_is_the_first_folder(tmp_path, kind, form):
    names = CAT_AND_DOG[kind]
    path = tree(tmp_path / "d", names) if form == "directory" else zipped(tmp_path / "d.zip", names)
    pool = read_folder(path)
    assert pool.classes == ("cat", "dog")
    images = sorted(name for name in names if name.endswith(".png"))
    parts = {"train": "train", "Train": "train", "test": "test"}
    expected = {}
    for name in images:
        part = next((parts[folder] for folder in name.split("/") if folder in parts), "all")
        expected.setdefault(part, []).append(int("dog" in name))
    assert {part: pool.part(part)[1].tolist() for part in pool.parts} == expected


def test_a_folder_around_all_classes(tmp_path):
    """Usual in an archive; of a directory nobody can know, and the way out is in the line."""
    names = ["photos/cat/x.png", "photos/dog/x.png", "photos/README"]
    pool = read_folder(zipped(tmp_path / "d.zip", names))
    assert (pool.classes, pool.left_out) == (
        ("cat", "dog"),
        "1 folder around all, 1 without suffix",
    )
    path = tree(tmp_path / "d", names)
    refused(path, rf"all images lie in photos, which may .* give folder:{path}/photos if")
    assert read_folder(path / "photos").classes == ("cat", "dog")


TWO_WAYS = {
    "one class with days": (["cat/day1/x.png", "cat/day2/x.png"], "which may be a class or hold"),
    "one class": (["cat/x.png", "cat/y.png"], "one class alone, 'cat'"),
    "one class below train": (["train/cat/x.png", "train/cat/a/y.png"], "one class alone, 'cat'"),
    "parts below classes": (
        ["cat/train/a/x.png", "dog/train/a/x.png"],
        "cat/train and dog/train may be meant as one part or as different data",
    ),
    "one part twice": (["train/cat/x.png", "training/dog/x.png"], "train and training may be"),
    "within and beside": (["train/cat/x.png", "train/dog/x.png", "fox/x.png"], "outside of the"),
    "no training part": (["test/cat/x.png", "test/dog/x.png"], "no training part, only test"),
    "no folder": (["x.png"], "x.png lies in no class folder"),
    "no class": (["cat/x.png", "dog/x.png", "x.png"], "x.png lies in no class folder"),
    "a class named train": (["train/x.png", "car/x.png"], "train/x.png lies in no class folder"),
}


@pytest.mark.parametrize("kind", TWO_WAYS)
def test_two_ways_or_one_class_are_refused(tmp_path, kind):
    names, message = TWO_WAYS[kind]
    refused(tree(tmp_path / "d", names), message)


# what is left out
# ------------------------------------------------------------------------------------------

VANISHED = {
    "an empty class": (["cat/x.png", "dog/x.png", "fox/"], "the folder fox has no image"),
    "an empty class of the training part": (
        ["train/cat/x.png", "train/dog/x.png", "train/fox/"],
        "train/fox has no image",
    ),
    "an empty class of the test part": (
        ["train/cat/x.png", "train/dog/x.png", "test/cat/y.png", "test/dog/"],
        "test/dog has no image",
    ),
    "an empty part": (["train/cat/x.png", "train/dog/x.png", "val/"], "the folder val has no"),
    "of another kind": (
        ["cat/x.png", "dog/x.png", "fox/1.avif", "fox/2.AVIF"],
        r"the folder fox has no image that is read \(left out: 2 .avif\)",
    ),
    "of another kind, deeper": (
        ["cat/x.png", "dog/x.png", "fox/a/1.tga"],
        "the folder fox has no image",
    ),
    "with labels beside": (
        ["x.png", "labels.csv"],
        r"x.png lies in no class folder \(left out: 1 .csv\); expected",
    ),
    "nothing but others": (["cat/x.avif", "dog/x.avif"], r"no images .*\(left out: 2 .avif\)"),
    "one class is left": (["cat/x.png", "dog/"], "the folder dog has no image"),
}


@pytest.mark.parametrize("kind", VANISHED)
@pytest.mark.parametrize("form", ["directory", "zip"])
def test_a_class_does_not_vanish(tmp_path, kind, form):
    names, message = VANISHED[kind]
    path = tree(tmp_path / "d", names) if form == "directory" else zipped(tmp_path / "d.zip", names)
    refused(path, message)


@pytest.mark.parametrize("form", ["directory", "zip"])
def test_what_is_left_out_is_counted(tmp_path, form):
    names = ["cat/x.png", "cat/1.jfif", "cat/2.tga", "dog/x.png", "dog/y.TGA", "dog/z", "notes.txt"]
    names += ["cat/.x.png", ".git/a.png", ".git/b.png", "__MACOSX/cat/._x.png"]
    path = tree(tmp_path / "d", names) if form == "directory" else zipped(tmp_path / "d.zip", names)
    pool = read_folder(path)
    assert pool.part("all")[1].tolist() == [0, 0, 1]  # .jfif is JPEG
    assert pool.left_out == "2 .tga, 1 .txt, 3 hidden, 1 without suffix"


def test_frames_behind_a_first_are_counted(tmp_path):
    frames = [Image.new("L", (4, 4), value) for value in (10, 200, 90)]
    for name in ("cat/x.gif", "dog/x.png"):
        path = tree(tmp_path / "d", [name]) / name
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    pool = read_folder(tmp_path / "d")
    assert pool.left_out == "4 further frames"
    assert set(pool.images.ravel().tolist()) == {10}


@pytest.mark.parametrize("form", ["directory", "zip"])
def test_every_image_has_its_name(tmp_path, monkeypatch, form):
    """Also out of the cache, and with parts that are not in the order of the names."""
    monkeypatch.setenv("POLYMGNET_CACHE", str(tmp_path / "cache"))
    values = {"val/cat/b.png": 1, "train/cat/z.png": 2, "train/dog/a.png": 3, "test/dog/q/x.png": 4}
    for name, value in values.items():
        tree(tmp_path / "d", [name], picture(value))
    path = tmp_path / "d"
    if form == "zip":
        path = tmp_path / "d.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in reversed(values):
                archive.write(tmp_path / "d" / name, name)
    for _ in range(2):
        data = load_data(f"folder:{path}")
        assert {name: data.images[k].max() for k, name in enumerate(data.names)} == values
        assert [data.names[k] for k in data.test] == ["test/dog/q/x.png"]


def test_the_count_is_cached_and_an_empty_folder_is_seen_later(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMGNET_CACHE", str(tmp_path / "cache"))
    path = tree(tmp_path / "d", ["cat/x.png", "dog/x.png", "dog/x.tga"])
    for _ in range(2):
        assert load_data(f"folder:{path}", validation=0).left_out == "1 .tga"
    (path / "fox").mkdir()
    with pytest.raises(ValueError, match="the folder fox has no image"):
        load_data(f"folder:{path}", validation=0)


# which pixels are read
# ------------------------------------------------------------------------------------------


def png16(colour, channels):
    """A PNG of 4 x 4 pixels with 16 bits a channel, which Pillow cannot write in colour."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows = b"".join(b"\0" + bytes(range(8 * channels)) for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 16, colour, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff(order, samples, bits, photometric, kind=1):
    """An uncompressed TIFF of 4 x 4 pixels; `kind` is its SampleFormat."""
    body = bytes(16 * samples * bits // 8)
    many = len(body) + 8
    extra = struct.pack(order + "H" * samples, *[bits] * samples)
    tags = [
        *((256, 4, 1, 4), (257, 4, 1, 4), (258, 3, samples, None), (259, 3, 1, 1)),
        *((262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, samples), (278, 4, 1, 4)),
        *((279, 4, 1, len(body)), (339, 3, 1, kind)),
    ]
    held = struct.pack(order + "H", len(tags))
    for tag, form, count, value in tags:
        if value is None:
            entry = (
                struct.pack(order + "I", many + 2 + 12 * len(tags) + 4)
                if samples > 2
                else extra.ljust(4, b"\0")
            )
        else:
            entry = struct.pack(
                order + ("I" if form == 4 else "HH"), *([value] + [0] * (form == 3))
            )
        held += struct.pack(order + "HHI", tag, form, count) + entry
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(order + "HI", 42, many) + body + held + bytes(4) + extra


TOO_DEEP = {
    "little-endian TIFF": (tiff("<", 1, 16, 1), "tif"),
    "big-endian TIFF": (tiff(">", 1, 16, 1), "tif"),
    "big-endian colour TIFF": (tiff(">", 3, 16, 2), "tif"),
    "little-endian colour TIFF": (tiff("<", 3, 16, 2), "tiff"),
    "TIFF of signed bytes": (tiff("<", 1, 8, 1, kind=2), "tif"),
    "TIFF of floats": (tiff("<", 1, 32, 1, kind=3), "tif"),
    "TIFF of 32-bit integers": (tiff("<", 1, 32, 1), "tif"),
    "grey PNG": (png16(0, 1), "png"),
    "colour PNG": (png16(2, 3), "png"),
    "grey PNG with transparency": (png16(4, 2), "png"),
    "colour PNG with transparency": (png16(6, 4), "png"),
    "grey PGM": (b"P5 4 4 65535\n" + bytes(32), "pgm"),
    "grey PGM of 10 bits": (b"P5 4 4 1023\n" + bytes(32), "pgm"),
    "colour PPM": (b"P6 4 4 65535\n" + bytes(96), "ppm"),
    "colour PPM of 9 bits": (b"P6 4 4 256\n" + bytes(96), "ppm"),
    "colour PPM as text": (b"P3 4 4 1000\n" + b"7 " * 48, "ppm"),
    "float PFM": (b"Pf\n4 4\n-1.0\n" + bytes(64), "pgm"),
}


@pytest.mark.parametrize("kind", TOO_DEEP)
def test_deeper_pixels_are_refused_by_name(tmp_path, kind):
    content, suffix = TOO_DEEP[kind]
    tree(tmp_path / "d", ["cat/x.png", "dog/x.png"])
    tree(tmp_path / "d", [f"cat/deep.{suffix}"], content)
    with pytest.raises(ValueError, match=rf"^cat/deep\.{suffix}: not a readable image") as error:
        read_folder(tmp_path / "d")
    assert "8-bit images are allowed" in str(error.value)
    assert "\n" not in str(error.value)


def test_8_bits_and_fewer_are_read(tmp_path):
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([10, 10, 10, 60, 60, 60])
    coloured = palette.copy()
    coloured.putpalette([10, 10, 10, 60, 20, 90])
    for name, image in (("grey palette", palette), ("colour palette", coloured)):
        tree(tmp_path / "p", [])
        (tmp_path / f"{name}.png").write_bytes(b"")
        image.save(tmp_path / f"{name}.png")
    cases = {
        "1.png": (picture(1, "1"), [255]),
        "4.pgm": (b"P5 4 4 15\n" + bytes([15]) * 16, [255]),
        "8.pgm": (b"P5 4 4 255\n" + bytes([7]) * 16, [7]),
        "8.tif": (picture(33, "L", form="TIFF"), [33]),
        "la.png": (picture((90, 128), "LA"), [90]),
        "palette.png": ((tmp_path / "grey palette.png").read_bytes(), [60]),
        "palette2.png": ((tmp_path / "colour palette.png").read_bytes(), [60, 20, 90]),
        "rgb.ppm": (b"P6 4 4 255\n" + bytes([1, 2, 3]) * 16, [1, 2, 3]),
        "rgba.png": (picture((4, 5, 6, 0), "RGBA"), [4, 5, 6]),
        "rgb.tif": (picture((7, 8, 9), "RGB", form="TIFF"), [7, 8, 9]),
        "cmyk.tif": (picture((0, 0, 0, 255), "CMYK", form="TIFF"), [0, 0, 0]),
        "rgb.bmp": (picture((9, 8, 7), "RGB", form="BMP"), [9, 8, 7]),
        "rgb.webp": (picture((9, 8, 7), "RGB", form="WEBP", lossless=True), [9, 8, 7]),
    }
    for k, (name, (content, expected)) in enumerate(cases.items()):
        folder = tmp_path / f"d{k}"
        tree(folder, [f"cat/{name}", f"dog/{name}"], content)
        images = read_folder(folder).images
        assert images.shape == (2, len(expected), 4, 4), name
        np.testing.assert_array_equal(images[1, :, 2, 1], expected, err_msg=name)


# as near as 8 bits hold the colours; those of Lab are far apart where they are saturated
CLOSE = {"LAB": 14, "HSV": 3, "YCbCr": 3, "La": 2, "RGBa": 2}
PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}


@pytest.mark.parametrize("mode", Image.MODES)
@pytest.mark.filterwarnings("error")
def test_every_mode_of_pillow_gives_its_colours_or_is_too_deep(mode):
    """Those that the picture was made of; where Pillow converts it at once, as torchvision asks,
    the same."""
    down, right = np.mgrid[0:16, 0:16]
    planes = [30 + 12 * right, 30 + 12 * down, 40 + 6 * (right + down)]
    colours = np.stack(planes, -1).astype(np.uint8)
    if mode in ("P", "PA"):
        colours //= 128
    source = Image.fromarray(colours)
    if mode in ("1", "L", "LA", "La"):
        source = source.convert("L")
    given = source.quantize(8) if mode in ("P", "PA") else source
    if mode in PREMULTIPLIED:
        given = given.convert(PREMULTIPLIED[mode])
        given.putalpha(Image.fromarray((100 + 8 * right).astype(np.uint8)))
    given = given.convert(mode)
    if mode == "P":
        given.info["transparency"] = bytes(range(8))
    if mode[0] in "IF":
        with pytest.raises(ValueError, match=f"^{mode} pixels; only 8-bit images are allowed"):
            pixels(given)
        return
    found, expected = pixels(given), np.asarray(source if mode != "1" else given.convert("L"))
    assert found.shape == expected.shape
    assert abs(found.astype(int) - expected).max() <= CLOSE.get(mode, 0)
    if mode not in ("P", *PREMULTIPLIED):
        assert np.array_equal(found, np.asarray(given.convert(source.mode)))
    if mode == "LAB":
        held = io.BytesIO()
        given.save(held, "TIFF")
        assert np.array_equal(decode("lab.tif", held.getvalue())[0], found)


def test_exif_turns_an_image_upright(tmp_path):
    """Orientation 6: the camera was turned; what is stored as a row is seen as a column."""
    stored = np.arange(32, dtype=np.uint8).reshape(4, 8)
    for label, orientation in (("cat", 1), ("dog", 6)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = Image.fromarray(stored if orientation == 1 else np.rot90(stored))
        path = tree(tmp_path / "d", [f"{label}/x.png"]) / label / "x.png"
        image.save(path, exif=exif)
    cat, dog = read_folder(tmp_path / "d").images[:, 0]
    np.testing.assert_array_equal(cat, stored)
    np.testing.assert_array_equal(dog, stored)


def test_an_image_is_cut_and_not_squeezed():
    """Of three squares beside one another, black, grey and white, the middle one is left."""
    three = np.repeat(np.array([[0, 100, 255]], np.uint8), 12, axis=1).repeat(12, axis=0)
    for image in (three, three.T):
        found = pixels(Image.fromarray(image), 6)
        assert found.shape == (6, 6)
        assert np.abs(found[1:-1, 1:-1] - 100.0).max() < 5  # the filter reaches over the edges


def noted():
    """A PNG with 3 MB of text, more than Pillow unpacks."""
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "x" * 3_000_000, zip=True)
    return picture(pnginfo=info)


def test_every_fault_of_a_decoder_names_the_file(tmp_path):
    jpeg = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(jpeg, "JPEG")
    bomb = bytearray(picture())
    bomb[16:24] = (60000).to_bytes(4, "big") * 2
    broken = bytearray(picture(form="TIFF"))
    broken[4:8] = b"\xff" * 4
    for k, content in enumerate(
        (
            noted(),
            jpeg.getvalue()[:1000],
            bytes(bomb),
            bytes(broken),
            picture()[:40],
            b"",
            b"P6 4 4 99999\n",
            b"P5 x",
            b"GIF89a",
            b"RIFF\0\0\0\0WEBPVP8 ",
            b"<svg/>",
            picture(form="ICO", size=(16, 16)),  # another format under a known suffix
        )
    ):
        folder = tree(tmp_path / f"d{k}", ["cat/x.png", "dog/x.png"])
        tree(folder, ["dog/bad.png"], content)
        with pytest.raises(ValueError, match=r"^dog/bad\.png: not a readable image") as error:
            read_folder(folder)
        assert "\n" not in str(error.value)


def test_all_that_cannot_be_read_is_named_at_once(tmp_path):
    folder = tree(tmp_path / "d", ["cat/x.png", "dog/x.png"])
    tree(folder, ["cat/a.png", "dog/b.png"], picture()[:40])
    tree(folder, ["dog/deep.png"], png16(0, 1))
    with pytest.raises(ValueError, match="d: 3 images to mend or to remove: ") as error:
        read_folder(folder)
    for name in ("cat/a", "dog/b", "dog/deep"):
        assert f"{name}.png: not a readable image (" in str(error.value)
    assert "x.png" not in str(error.value)
    tree(folder, [f"cat/{k:02}.png" for k in range(20)], b"")
    with pytest.raises(ValueError, match=r"23 images .*cat/09.png.*; \.\.\.$") as error:
        read_folder(folder)
    assert "cat/10.png" not in str(error.value)


def test_truncated_images_are_refused_whatever_pillow_was_told(tmp_path, monkeypatch):
    jpeg = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(jpeg, "JPEG")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    folder = tree(tmp_path / "d", ["cat/x.jpg", "dog/x.jpg"], jpeg.getvalue()[:-500])
    with pytest.raises(ValueError, match=r"x\.jpg: not a readable image .*truncated"):
        read_folder(folder)
    assert ImageFile.LOAD_TRUNCATED_IMAGES  # the caller's again


def test_notes_may_begin_with_a_byte_order_mark(tmp_path):
    path = tree(tmp_path / "d", ["train/a/x.png", "train/b/x.png", "val/images/v.png"])
    (path / "val/val_annotations.txt").write_bytes(b"\xef\xbb\xbfv.png\tb\t0\t0\t1\t1\n")
    assert read_folder(path).part("validation")[1].tolist() == [1]


def test_what_is_no_size_is_refused(tmp_path):
    """Also where the images as they are lie in the cache, which 0 took for none given."""
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(4):
            (tmp_path / label / f"{i}.png").write_bytes(picture(size=(12, 8)))
    name = f"folder:{tmp_path}"
    assert load_data(name).images.shape == (8, 1, 8, 12)
    for size in (0, -3, 4.5, True, (4, 0), (4, 4, 4)):
        with pytest.raises(ValueError, match=r"size is .*, must be positive integers"):
            load_data(name, size=size)
    assert load_data(name, size=(4, 6)).images.shape == (8, 1, 4, 6)
    assert load_data(name, size=4).images.shape == (8, 1, 4, 4)


@pytest.mark.parametrize("name", ["val", "Valid", "validation"])
def test_names_of_a_validation_part(tmp_path, name):
    parts = ("train", name, "testing")
    tree(tmp_path, [f"{part}/{label}/1.png" for part in parts for label in "ab"])
    assert set(read_folder(tmp_path).parts) == {"train", "validation", "test"}


@pytest.mark.parametrize("name", ["cat\ndog", "cat\tdog", "cat\x1b[31m", "cat\u2028dog"])
def test_a_class_that_no_table_can_show_is_refused(tmp_path, name):
    """A line break would end rows of tables, and an escape sequence colours the terminal."""
    tree(tmp_path, [f"{name}/1.png", "fox/1.png"])
    with pytest.raises(ValueError, match=r"control character in its name.*rename its folder") as e:
        read_folder(tmp_path)
    assert str(e.value).isprintable()


def test_other_names_of_classes_are_left_as_they_are(tmp_path):
    names = ("a|b", "b,c", 'd "e"', "\u00c4pfel  gr\u00fcn", "\u732b", "\U0001f468\u200d\U0001f467")
    tree(tmp_path, [f"{name}/1.png" for name in names])
    assert read_folder(tmp_path).classes == tuple(sorted(names))
