"""Data sources: folders and archives against arrays they were written from, splits, cache, and life
without a network."""

import gzip
import os
import struct
import zipfile
from dataclasses import replace
from hashlib import md5

import numpy as np
import pytest

from nets.data import sources as data_module
from nets.data.cache import folder_mark
from nets.data.folders import read_folder
from nets.data.sources import SOURCES, find_source, load_data
from nets.data.splits import stratified

from ..conftest import idx, png, tar

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMGNET_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("name", "flip", "crop"),
    [
        ("cifar10", "random", 4),
        ("cifar100", "random", 4),
        ("mnist", "none", 2),
        ("fashion_mnist", "random", 2),
        ("tiny_imagenet", "random", 8),
        ("folder:pictures", "random", 0),
        ("digits", "none", 1),
    ],
)
def test_natural_augmentation_is_that_of_the_literature(name, flip, crop):
    """CIFAR: 4 pixels and mirror images [He et al. 2016, section 4.2]; a mirrored digit is none.
    The bundled digits, which are few, are turned and scaled a little too."""
    source = find_source(name)
    assert (source.flip, source.crop) == (flip, crop)
    assert (source.rotate, source.scale) == ((8.0, 0.08) if name == "digits" else (0.0, 0.0))


def test_a_file_of_the_same_size_that_was_written_later_is_another(tmp_path):
    path = tmp_path / "class" / "1.png"
    path.parent.mkdir()
    path.write_bytes(b"first")
    os.utime(path, ns=(10**18, 10**18))
    first = folder_mark(tmp_path)
    assert folder_mark(tmp_path) == first
    path.write_bytes(b"later")
    os.utime(path, ns=(10**18, 10**18 + 1))
    assert folder_mark(tmp_path) != first


def test_mnist_from_files_with_their_md5(tmp_path, monkeypatch):
    train, test = (
        RNG.integers(0, 256, (40, 28, 28), dtype=np.uint8),
        RNG.integers(0, 256, (10, 28, 28), dtype=np.uint8),
    )
    contents = [
        idx(train),
        idx(np.arange(40, dtype=np.uint8) % 10),
        idx(test),
        idx(np.arange(10, dtype=np.uint8)),
    ]
    files = SOURCES["mnist"].choices[0]
    for file, content in zip(files, contents, strict=True):
        (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match="published is f68b3c2d"):
        load_data("mnist", root=tmp_path)
    own = {file: md5(content).hexdigest() for file, content in zip(files, contents, strict=True)}
    monkeypatch.setitem(SOURCES, "mnist", replace(SOURCES["mnist"], choices=(own,)))
    found = load_data("mnist", root=tmp_path, validation=0.25)
    assert found.shape == (1, 28, 28)
    # 4 a class, a quarter of each is one
    assert (len(found.train), len(found.validation), len(found.test)) == (30, 10, 10)
    np.testing.assert_array_equal(found.images[found.test, 0], test)
    assert isinstance(found.images.base, np.memmap) or isinstance(found.images, np.memmap)


def test_without_network_the_message_names_files_and_place(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=rf"put cifar-10-binary.tar.gz .* into {tmp_path}"):
        load_data("cifar10", root=tmp_path, download=False)

    def unreachable(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr("pooch.Pooch.fetch", unreachable)
    with pytest.raises(
        FileNotFoundError,
        match=r"could not be downloaded .*put train-images-idx3-ubyte.gz and train-labels",
    ):
        load_data("fashion_mnist", root=tmp_path)


def image_tree(prefix="top/"):
    images, entries = {}, []
    for part, count in (("train", 4), ("test", 2)):
        for label in ("cat", "dog"):
            for i in range(count):
                array = RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)
                images[part, label, i] = array
                entries.append((f"{prefix}{part}/{label}/{i:04d}.png", png(array)))
    return images, entries


@pytest.mark.parametrize("form", ["directory", ".tar", ".tar.gz", ".tar.xz", ".zip"])
def test_image_folder_in_every_form(tmp_path, form):
    images, entries = image_tree()
    path = tmp_path / f"data{'' if form == 'directory' else form}"
    shuffled = [entries[i] for i in RNG.permutation(len(entries))]
    if form == "directory":
        for name, content in entries:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif form == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in shuffled:
                archive.writestr(name, content)
    else:
        tar(path, shuffled, "w:" + form.split(".")[2] if form.count(".") == 2 else "w")
    found = load_data(f"folder:{path}", validation=0.25)
    assert found.classes == ("cat", "dog")
    assert (len(found.train), len(found.validation), len(found.test)) == (6, 2, 4)
    expected = [
        images["test", label, i].transpose(2, 0, 1) for label in ("cat", "dog") for i in range(2)
    ]
    np.testing.assert_array_equal(found.images[found.test], expected)
    np.testing.assert_array_equal(found.labels[found.test], [0, 0, 1, 1])


def test_folder_without_split_grey_and_resized(tmp_path):
    for label, size in (("a", (8, 8)), ("b", (16, 8))):
        for i in range(5):
            (tmp_path / "d" / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / "d" / label / f"{i}.png").write_bytes(png(np.full(size, 50 * i, np.uint8)))
    with pytest.raises(ValueError, match=r"images of 2 sizes \(8x8, 16x8\); give data.size"):
        load_data(f"folder:{tmp_path / 'd'}")
    found = load_data(f"folder:{tmp_path / 'd'}", size=8)
    assert found.shape == (1, 8, 8)
    assert (len(found.train), len(found.validation), len(found.test)) == (8, 0, 2)
    again = load_data(f"folder:{tmp_path / 'd'}", size=8, split_seed=5)
    np.testing.assert_array_equal(found.test, again.test)  # the test part does not move with seeds
    assert (
        "10 images 8 x 8 of 1 grey channel, 2 classes (a, b); 8 train, 0 validation, 2 test"
        " (validation and test drawn from the rest: data.validation and data.test)"
    ) in found.about()
    more = load_data(f"folder:{tmp_path / 'd'}", size=8, test=0.4, validation=0.34)
    assert (len(more.train), len(more.validation), len(more.test)) == (4, 2, 4)
    assert [sum(more.labels[more.test] == k) for k in (0, 1)] == [2, 2]


def test_a_test_part_that_is_there_is_kept(tmp_path):
    parts = [f"{part}/{label}/x.png" for part in ("train", "test") for label in "ab"]
    where = tar(tmp_path / "d.tar", [(n, png(np.zeros((4, 4), np.uint8))) for n in parts], "w")
    assert (
        load_data(f"folder:{where}", validation=0)
        .about()
        .endswith("2 train, 0 validation, 2 test (validation drawn from the rest: data.validation)")
    )
    with pytest.raises(ValueError, match=r"data.test is 0.5; .* has a test part of its own"):
        load_data(f"folder:{where}", test=0.5)


def test_tiny_imagenet_layout(tmp_path):
    entries = [
        (f"t/train/n{c}/images/n{c}_{i}.JPEG", png(np.full((4, 4, 3), 10 * c + i, np.uint8)))
        for c in range(2)
        for i in range(3)
    ]
    entries += [
        (f"t/val/images/val_{i}.JPEG", png(np.full((4, 4, 3), 100 + i, np.uint8))) for i in range(2)
    ]
    entries += [
        ("t/val/val_annotations.txt", b"val_0.JPEG\tn1\t0\t0\nval_1.JPEG\tn0\t0\t0\n"),
        ("t/test/images/t_0.JPEG", png(np.zeros((4, 4, 3), np.uint8))),
    ]
    found = load_data(f"folder:{tar(tmp_path / 't.tar', entries, 'w')}", validation=0)
    assert found.classes == ("n0", "n1")
    assert (len(found.train), len(found.test)) == (6, 2)
    np.testing.assert_array_equal(found.labels[found.test], [1, 0])
    assert found.validation.size == 0  # the published part is the one that is reported on


def test_no_image_is_dropped_in_silence(tmp_path):
    """A class may be called images; an image that lies outside of what the others lie in is refused
    with its name."""
    picture = png(np.zeros((4, 4), np.uint8))
    named = tar(
        tmp_path / "named.tar",
        [(f"train/{c}/{i}.png", picture) for c in ("a", "images") for i in range(2)],
        "w",
    )
    assert read_folder(named).classes == ("a", "images")
    for k, stray in enumerate(["test/0.png", "0.png", "b/0.png"]):
        path = tar(tmp_path / f"{k}.tar", [("train/a/0.png", picture), (stray, picture)], "w")
        with pytest.raises(
            ValueError, match=f"{stray} lies (in no class folder|outside of the parts)"
        ):
            read_folder(path)
    notes = ("val/val_annotations.txt", b"v.png\ta\t0\t0\t1\t1")
    entries = [(f"train/{c}/0.png", picture) for c in ("a", "images")] + [
        ("val/images/v.png", picture),
        ("test/images/t.png", picture),
    ]
    found = read_folder(tar(tmp_path / "tiny.tar", [*entries, notes], "w"))
    # the unlabelled test part is left out, a class of that name is not
    assert found.classes == ("a", "images")
    assert {part: end - start for part, (start, end) in found.parts.items()} == {
        "train": 2,
        "validation": 1,
    }
    with pytest.raises(ValueError, match=r"val/images/v.png lies in no class folder"):
        read_folder(
            tar(tmp_path / "blanks.tar", [*entries, (notes[0], notes[1].replace(b"\t", b" "))], "w")
        )


def test_data_sets_with_the_same_file_names_lie_side_by_side(tmp_path, monkeypatch):
    """MNIST's files in the common folder are passed by for Fashion-MNIST, whose own are found in a
    folder of its name."""
    for k, name in enumerate(("mnist", "fashion_mnist")):
        files, (choice,) = {}, SOURCES[name].choices
        folder = tmp_path / "root" / (name if k else "")
        folder.mkdir(exist_ok=True, parents=True)
        for remote, shape in zip(choice, ((4, 3, 3), (4,), (2, 3, 3), (2,)), strict=True):
            body = np.full(shape, k, np.uint8).tobytes()
            content = gzip.compress(
                b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body
            )
            (folder / remote).write_bytes(content)
            files[remote] = md5(content).hexdigest()
        monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], choices=(files,)))
    for k, name in enumerate(("mnist", "fashion_mnist")):
        assert set(
            load_data(name, root=tmp_path / "root", validation=0, download=False).labels
        ) == {k}
    own, common = (
        tmp_path / "root/fashion_mnist/t10k-labels-idx1-ubyte.gz",
        tmp_path / "root/t10k-labels-idx1-ubyte.gz",
    )
    own.write_bytes(common.read_bytes())
    with pytest.raises(ValueError, match="MD5 is"):  # in its own folder another's file is wrong
        load_data("fashion_mnist", root=tmp_path / "root", download=False)
    own.unlink()
    places = []
    with monkeypatch.context() as patch:
        patch.setattr(
            "pooch.Pooch.fetch",
            lambda self, *_, **__: (
                places.append(self.abspath) or (_ for _ in ()).throw(OSError("no route"))
            ),
        )
        with pytest.raises(FileNotFoundError, match="could not be downloaded"):
            load_data("fashion_mnist", root=tmp_path / "root")
    assert places == [tmp_path / "root/fashion_mnist"]
    with pytest.raises(FileNotFoundError, match=r"into .*root/fashion_mnist or .*root$"):
        load_data("fashion_mnist", root=tmp_path / "root", download=False)


def test_wrong_folders(tmp_path):
    with pytest.raises(ValueError, match="folder: has no path"):
        load_data("folder:")
    with pytest.raises(FileNotFoundError, match="no directory or archive"):
        load_data(f"folder:{tmp_path / 'nothing'}")
    with pytest.raises(ValueError, match="no images in class folders"):
        read_folder(tar(tmp_path / "e.tar", [("a.txt", b"")], "w"))
    with pytest.raises(ValueError, match=r"train/a/0.png: not a readable image"):
        read_folder(tar(tmp_path / "f.tar", [("train/a/0.png", b"no image")], "w"))
    stray = [
        ("train/a/0.png", png(np.zeros((4, 4), np.uint8))),
        ("test/b/0.png", png(np.zeros((4, 4), np.uint8))),
    ]
    with pytest.raises(ValueError, match=r"class 'b' of the test part is not in the training part"):
        read_folder(tar(tmp_path / "g.tar", stray, "w"))
    with pytest.raises(
        ValueError, match=r"unknown data set 'imagenet'; known are digits, cifar10, .*folder:PATH"
    ):
        load_data("imagenet")
    with pytest.raises(ValueError, match=r"of its own, and data\.size must be null"):
        load_data("digits", size=16)


def test_a_line_says_what_data_there_are():
    """Of a folder the names of all images would be shown with it."""
    data = load_data("digits")
    assert repr(data) == f"DataSet(digits: {data.about()})"


def test_decoded_once_and_made_anew_when_damaged(tmp_path, monkeypatch):
    _, entries = image_tree()
    path = tar(tmp_path / "d.tar", entries, "w")
    first = np.array(load_data(f"folder:{path}").images)
    calls = []
    monkeypatch.setattr(
        data_module, "read_folder", lambda *a, **k: calls.append(a) or read_folder(*a, **k)
    )
    np.testing.assert_array_equal(load_data(f"folder:{path}").images, first)
    assert not calls
    decoded = next((tmp_path / "cache" / "decoded").rglob("images.npy"))
    for damaged in ("images.npy", "labels.npy", "meta.json"):  # as a machine without power left it
        file = decoded.with_name(damaged)
        file.unlink()
        file.touch()
        np.testing.assert_array_equal(load_data(f"folder:{path}").images, first)
        assert len(calls) == 1
        calls.clear()
    decoded.write_bytes(decoded.read_bytes()[:100])
    halves = [decoded.parent.with_name(f"{decoded.parent.name}.{end}") for end in ("old", "new")]
    for half in halves:  # of a killed process, and of one that is writing
        half.mkdir()
    os.utime(halves[0], (0, 0))
    np.testing.assert_array_equal(load_data(f"folder:{path}").images, first)
    assert len(calls) == 1
    assert [half.exists() for half in halves] == [False, True]
    os.utime(halves[1], (0, 0))  # beside a whole one too
    load_data(f"folder:{path}")
    assert not halves[1].exists()


def test_digits_are_the_bundled_ones_with_a_fixed_split():
    found = load_data("digits")
    parts = [found.train, found.validation, found.test]
    assert found.images.shape == (1797, 1, 8, 8)
    assert [len(p) for p in parts] == [1295, 143, 359]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(1797))
    other = load_data("digits", split_seed=1)
    np.testing.assert_array_equal(other.test, found.test)
    # that of every version, or accuracies could not be compared
    assert found.test[:8].tolist() == [12, 17, 18, 23, 25, 27, 28, 31]
    assert replace(found, labels=found.labels[::-1]).digest != found.digest  # of labels too
    assert replace(found, images=255 - found.images).digest != found.digest
    assert other.digest == found.digest
    assert set(other.validation) != set(found.validation)
    for part in parts:  # stratified: every class within one image of its share
        counts = np.bincount(found.labels[part], minlength=10)
        assert np.abs(counts - np.bincount(found.labels) * len(part) / 1797).max() <= 1.5
    x = found.images[found.train].astype(float) / 255
    assert found.mean == pytest.approx(x.mean((0, 2, 3)), abs=1e-12)
    assert found.std == pytest.approx(x.std((0, 2, 3)), abs=1e-12)


def test_a_class_that_a_part_does_not_have_is_told():
    """100 % right on a part with one of two classes said nothing of it."""
    found = load_data("digits")
    assert found.unseen() == []
    few = found.test[np.isin(found.labels[found.test], (3, 8), invert=True)]
    assert replace(found, test=few).unseen() == [
        "the test part has no image of 3, 8: its accuracy says nothing of that"
    ]
    assert replace(found, test=few[:0]).unseen() == []  # its size is said: 0 test
    ones = found.validation[found.labels[found.validation] == 1]
    (line,) = replace(found, validation=ones).unseen()
    assert line.startswith("the validation part has no image of 0, 2, 3, 4, 5, 6, ...:")


def test_stratified_keeps_one_of_every_class_and_refuses_nonsense():
    rest, chosen = stratified(np.array([0, 0, 0, 0, 1]), 0.9, seed=0)
    assert set(np.array([0, 0, 0, 0, 1])[rest]) == {0, 1}
    assert len(rest) + len(chosen) == 5
    with pytest.raises(ValueError, match="fraction is 1"):
        stratified(np.zeros(3, np.int64), 1, seed=0)


def test_a_path_is_told_how_it_is_written(tmp_path):
    """As after `--data`, where a name is completed to a folder; of what is no path nothing is."""
    with pytest.raises(ValueError, match=rf"is a path: write folder:{tmp_path}$"):
        load_data(str(tmp_path))
    for name in ("", "x" * 5000, "a\0b"):
        with pytest.raises(ValueError, match="unknown data set"):
            load_data(name)
