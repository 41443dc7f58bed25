"""Values become JSON and short text without losing what they say."""

import json
import math
import warnings

import numpy as np
import pytest

from analysis.numbers import plain
from mgtheory.comparison import Row, SmootherComparison
from polymgnet import console
from polymgnet.commands.compare_smoothers import _show as show


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
        (np.array([2 + 0j, complex(math.inf, 0)]), [[2.0, 0.0], None]),
    ],
)
def test_plain(value, expected):
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)


def test_plain_refuses_objects():
    with pytest.raises(TypeError, match="no JSON form for object"):
        plain(object())


def test_plain_without_infinities():
    assert plain({"mu": (math.inf, -math.inf, 0.5)}, infinite=False) == {"mu": [None, None, 0.5]}
    assert plain((math.inf, -math.inf)) == ["inf", "-inf"]


def test_emit_is_one_document(capsys):
    console.emit({"roots": np.array([2 + 0j, 3 - 1j]), "name": "ü"})
    assert json.loads(capsys.readouterr().out) == {"roots": [[2.0, 0.0], [3.0, -1.0]], "name": "ü"}


def test_a_warning_is_one_line():
    """Neither the file nor the line of code that it comes from."""
    before = warnings.formatwarning
    with console.short_warnings():
        text = warnings.formatwarning("the kernels are\n not kept", RuntimeWarning, "rows.py", 32)
    assert text == "polymgnet: warning: the kernels are not kept\n"
    assert warnings.formatwarning is before


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (1234567, "1,234,567"),
        (None, "–"),
        (math.nan, "–"),
        (2 + 0j, "2"),
        (1 - 2j, "1−2i"),
        ("word", "word"),
    ],
)
def test_number(value, text):
    assert console.number(value) == text


def test_table_keeps_brackets_and_rows(capsys):
    console.table("Title [x]", ["name", "value"], [["a[0]", 0.5], ["b", None]])
    out = capsys.readouterr().out
    assert "Title [x]" in out
    assert "a[0]" in out
    assert "0.5" in out


def test_progress_without_a_terminal_is_lines(capsys, monkeypatch):
    """One for each finished stage at once, the state only after `EVERY` seconds without a line."""
    clock = iter([0.0, 5.0, 6.0, 35.5, 36.1, 37.0, 67.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress("work", total=2) as step:
        step(0, "one")  # 5 s
        step(1, finished="one, 6.0 s")  # 6 s
        step(1, "two, part 1")  # 29.5 s after the last line
        step(1, "two, part 2")  # 30.1 s
        step(1, "two, part 3")
        step(1)  # 30.9 s
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "work 1/2: one, 6.0 s",
        "work 1/2: two, part 2, 36 s so far",
        "work 1/2: 67 s so far",
    ]


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_silent_where_it_is_not_shown(capsys, monkeypatch, terminal):
    monkeypatch.setenv("FORCE_COLOR", "1" if terminal else "")
    with console.progress("work", total=2, show=False) as step:
        step(1)
        step(2, finished="done")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_progress_on_a_terminal_is_a_bar(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    with console.progress("work", total=2) as step:
        step(1, "one")
        step(2, finished="two, 1.0 s")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "━" in captured.err
    assert "two, 1.0 s" not in captured.err


ROWS = tuple(
    Row(
        family,
        degree,
        *(value / degree for value in (0.6667, 0.4444, 0.375, 0.6, 0.43379, 2.455, 1e-3, 2e-3)),
        seconds_range=(1e-3, 3e-3),
    )
    for family in ("chebyshev4", "two_grid_optimal")
    for degree in (1, 2)
)


@pytest.mark.parametrize(("width", "blocks"), [(60, 3), (80, 2), (120, 1)])
def test_tables_fit_the_window_and_keep_numbers_whole(capsys, monkeypatch, width, blocks):
    """A table that is too wide goes on in blocks, each with the columns that name a row; texts
    around it break between words."""

    def shown():
        show(SmootherComparison("poisson2d", (31, 31), (0, 1), 4.0, ROWS), "poisson2d, 31 x 31")
        return capsys.readouterr().out

    wide = shown()
    monkeypatch.setenv("COLUMNS", str(width))
    narrow = shown()
    assert max(map(len, wide.splitlines())) > 120
    assert max(map(len, narrow.splitlines())) <= width
    assert narrow.count("family") - wide.count("family") == blocks - 1
    rows = [line.split()[:2] for line in narrow.splitlines() if line.startswith(" chebyshev4 ")]
    assert rows == [["chebyshev4", "1"], ["chebyshev4", "2"]] * blocks
    assert set(wide.split()) - {"─" * n for n in range(200)} == {
        word for word in narrow.split() if not word.startswith("──")
    }


@pytest.mark.parametrize("width", [34, 60, 80])
def test_texts_break_between_words_and_numbers_stand_on_the_right(capsys, monkeypatch, width):
    rows = [["a", "1,385,554", "two general polynomials"], ["bb", "27", "none"]]
    rows.append(["c", "∞", "none"])  # a number too
    monkeypatch.setenv("COLUMNS", str(width))
    console.table("T", ["name", "weights", "what it is"], rows)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert {"1,385,554", "polynomials", "general", "none"} <= set(out.split())
    ends = [
        line.index(text) + len(text)
        for text in ("1,385,554", "27", "∞")
        for line in out.splitlines()
        if f" {text} " in line
    ]
    assert len(set(ends)) == 1


def test_a_column_that_nothing_fills_is_left_out_and_the_caption_says_why(capsys):
    """With coefficients that vary Fourier analysis predicts nothing; what was computed stands where
    the prediction would."""

    def shown(**more):
        row = Row("chebyshev", 2, gamma=0.125, measured_factor=0.3, **more)
        show(SmootherComparison("variable2d", (31, 31), (0, 1), None, (row,)), "variable2d")
        out = capsys.readouterr().out
        return out, next(line for line in out.splitlines() if "family" in line).split()

    out, heads = shown()
    assert heads == ["family", "degree", "gamma", "measured"]
    assert "Fourier analysis predicts nothing; measured" in out
    out, heads = shown(two_grid_computed=0.08702)
    assert heads == ["family", "degree", "two-grid", "gamma", "measured"]
    assert "0.08702" in out.split()
    assert "two-grid: on this grid, the largest Ritz value" in out
    assert "C/(C" not in out


def test_one_column_that_is_wider_than_the_window_stays_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "10")
    console.table("T", ["a", "b", "c"], [["x", "1234567890123", 2.5]], keys=1, caption="d e")
    out = capsys.readouterr().out
    assert "1234567890123" in out.split()
    assert "2.5" in out.split()


def test_a_cell_stays_in_one_line_where_there_is_room(capsys):
    console.table("title", ["a", "b"], [["two words", "of a longer cell"], ["x", "y"]])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "two" in line]
    assert line.split() == ["two", "words", "of", "a", "longer", "cell"]
