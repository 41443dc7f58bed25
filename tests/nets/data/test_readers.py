"""Readers of published data sets: both forms of CIFAR agree, IDX and the digits are what they hold,
and nothing in a file is run."""

import gzip
import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits

from nets.data import readers
from nets.data.readers import read_cifar, read_idx, restricted_unpickle

from ..conftest import idx, tar

RNG = np.random.default_rng(0)


def cifar(classes=10, n=6):
    images = RNG.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    return images, RNG.integers(0, classes, n)


def cifar_binary(path, classes=10):
    parts = {}
    entries = []
    for name in (
        [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
        if classes == 10
        else ["train", "test"]
    ):
        images, labels = parts[name] = cifar(classes)
        head = labels[:, None] if classes == 10 else np.stack([labels % 20, labels], 1)
        entries.append(
            (
                f"cifar/{name}.bin",
                np.concatenate([head, images.reshape(len(images), -1)], 1)
                .astype(np.uint8)
                .tobytes(),
            )
        )
    return tar(
        path,
        [
            *reversed(entries),
            ("cifar/batches.meta.txt", b"\n".join(b"c%d" % i for i in range(classes))),
        ],
    ), parts


def cifar_python(path, parts, classes=10):
    key = b"labels" if classes == 10 else b"fine_labels"
    entries = [
        (
            f"cifar/{name}",
            pickle.dumps(
                {b"data": images.reshape(len(images), -1), key: labels.tolist()}, protocol=2
            ),
        )
        for name, (images, labels) in parts.items()
    ]
    return tar(path, entries)


@pytest.mark.parametrize("classes", [10, 100])
def test_cifar_binary_and_python_forms_agree(tmp_path, classes):
    binary, parts = cifar_binary(tmp_path / "b.tar.gz", classes)
    python = cifar_python(tmp_path / "p.tar.gz", parts, classes)
    one, two = (read_cifar(path, classes=classes) for path in (binary, python))
    train = [parts[name] for name in parts if "test" not in name]
    for arrays in (one, two):
        np.testing.assert_array_equal(
            arrays.part("train")[0], np.concatenate([images for images, _ in train])
        )
        np.testing.assert_array_equal(
            arrays.part("train")[1], np.concatenate([labels for _, labels in train])
        )
        np.testing.assert_array_equal(
            arrays.part("test")[0], next(parts[name] for name in parts if "test" in name)[0]
        )
    assert one.classes[:2] == ("c0", "c1")


def test_arrays_of_either_order_of_memory_are_read(tmp_path):
    """As numpy pickles a table whose columns lie together."""
    _, parts = cifar_binary(tmp_path / "b.tar.gz")
    rows = {name: images.reshape(len(images), -1) for name, (images, _) in parts.items()}
    contents = {
        name: pickle.dumps({b"data": np.asfortranarray(own), b"labels": parts[name][1].tolist()})
        for name, own in rows.items()
    }
    found = read_cifar(tar(tmp_path / "p.tar.gz", contents.items()), classes=10)
    np.testing.assert_array_equal(found.part("test")[0], parts["test_batch"][0])


class Bomb:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickled_code_is_refused_not_run(capsys, protocol):
    with pytest.raises(ValueError, match=r"asks for (builtins|__builtin__).print"):
        restricted_unpickle(pickle.dumps({b"data": Bomb()}, protocol=protocol))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("text", [b"", b"abc", pickle.dumps([1, 2])[:-2], b"\x80\x02c"])
def test_damaged_pickle(text):
    with pytest.raises(ValueError, match="damaged pickle"):
        restricted_unpickle(text)


def test_damaged_and_foreign_cifar(tmp_path):
    path, _ = cifar_binary(tmp_path / "cifar.tar.gz")
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="damaged archive"):
        read_cifar(cut, classes=10)
    with pytest.raises(ValueError, match="not a multiple of 3073"):
        read_cifar(tar(tmp_path / "x.tar.gz", [("c/data_batch_1.bin", b"12")]), classes=10)
    with pytest.raises(ValueError, match="not a CIFAR-10 archive"):
        read_cifar(tar(tmp_path / "y.tar.gz", [("c/readme", b"12")]), classes=10)


def test_idx(tmp_path):
    array = RNG.integers(0, 256, (3, 5, 4), dtype=np.uint8)
    for name, content in (("a", idx(array)), ("a.gz", gzip.compress(idx(array)))):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(read_idx(tmp_path / name), array)
    for content, message in (
        (b"abcdef", "not an IDX"),
        (idx(array)[:-1], r"b: 59 bytes for the shape \(3, 5, 4\), which takes 60; truncated"),
        (idx(array) + b"0", r"b: 61 bytes for the shape \(3, 5, 4\), which takes 60"),
        (b"\0\0\x08\x04" + b"\xff" * 16 + b"0", "b: 1 bytes for the shape"),  # 2^128 of them
        (gzip.compress(idx(array))[:20], "damaged gzip"),
    ):
        (tmp_path / "b").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_idx(tmp_path / "b")


@pytest.mark.parametrize("file", [readers.DIGITS, "nowhere.csv.gz"])
def test_digits_are_scikit_learns_whether_it_is_imported_or_not(monkeypatch, file):
    pixels, labels = load_digits(return_X_y=True)
    monkeypatch.setattr(readers, "DIGITS", file)
    found = readers.read_digits([])
    np.testing.assert_array_equal(found.images[:, 0], np.round(pixels * 255 / 16).reshape(-1, 8, 8))
    np.testing.assert_array_equal(found.labels, labels)
