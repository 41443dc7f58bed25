"""Values become JSON and short text without losing what they say."""

import json
import math

import numpy as np
import pytest

from polymgnet import console


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 + 2j, [1.0, 2.0]),
        (np.array([1 - 1j]), [[1.0, -1.0]]),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        ({"a": (1, 2.5)}, {"a": [1, 2.5]}),
        (math.inf, "inf"),
        (math.nan, None),
    ],
)
def test_plain(value, expected):
    assert console.plain(value) == expected
    json.dumps(console.plain(value), allow_nan=False)


def test_plain_refuses_objects():
    with pytest.raises(TypeError, match="no JSON form for object"):
        console.plain(object())


def test_emit_is_one_document(capsys):
    console.emit({"roots": np.array([2 + 0j, 3 - 1j]), "name": "ü"})
    assert json.loads(capsys.readouterr().out) == {"roots": [[2.0, 0.0], [3.0, -1.0]], "name": "ü"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (1234567, "1,234,567"), (None, "–"), (math.nan, "–"), (2 + 0j, "2"), (1 - 2j, "1 - 2i"), ("word", "word")],
)
def test_number(value, text):
    assert console.number(value) == text


def test_table_keeps_brackets_and_rows(capsys):
    console.table("Title [x]", ["name", "value"], [["a[0]", 0.5], ["b", None]])
    out = capsys.readouterr().out
    assert "Title [x]" in out
    assert "a[0]" in out
    assert "0.5" in out


def test_progress_is_silent_without_a_terminal(capsys):
    with console.progress("work", total=2) as step:
        step(1)
        step(2, "done")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
