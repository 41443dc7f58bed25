"""The file of a study's rows: whole lines, whoever writes or cuts them."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from polymgnet.study.rows import Rows


def test_rows_of_processes_side_by_side_are_whole_lines(tmp_path):
    """Each row stands once in a line of its own; what a killed process left of one is dropped."""
    path = tmp_path / "rows" / "x.jsonl"
    path.parent.mkdir()
    path.write_text('{"digest": "first"}\n{"digest": "ha')
    assert list(Rows(path).known) == ["first"]

    def append(k):
        Rows(path).append({"digest": f"{k}", "text": "x" * 5000})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(40)))
    assert sorted(Rows(path).known) == sorted(["first", *map(str, range(40))])
    assert len(path.read_text().splitlines()) == 41
    path.write_text('{"digest": "first"}\nnonsense\n')
    with pytest.raises(ValueError, match=r"x\.jsonl, line 2 is no row of a study"):
        _ = Rows(path).known


def test_a_last_line_without_an_end_is_a_row(tmp_path):
    """As editors leave it, or a mark before the first: the row was dropped, and its run trained
    again. None of it where it is cut, wherever that is."""
    path, row = tmp_path / "x.jsonl", '{"digest": "a", "point": {"ä": {"seed": 1}}}'.encode()
    for cut in range(len(row)):
        path.write_bytes(row[:cut])
        assert Rows(path).known == {}
        Rows(path).append({"digest": "b"})
        assert path.read_bytes() == b'{"digest": "b"}\n'
    path.write_bytes(b"\xef\xbb\xbf" + row)
    assert list(Rows(path).known) == ["a"]
    Rows(path).append({"digest": "b"})
    assert list(Rows(path).known) == ["a", "b"]
    assert len(path.read_bytes().splitlines()) == 2


def test_the_first_rows_of_two_processes(tmp_path, monkeypatch):
    """Both find no file; the second to open it keeps what the first wrote meanwhile."""
    path = tmp_path / "x.jsonl"
    mine, other = Rows(path), Rows(path)
    assert mine.known == {}
    other.append({"digest": "a"})
    monkeypatch.setattr(Path, "exists", lambda self: False)
    mine.append({"digest": "b"})
    mine.append({"digest": "a"})  # as two processes of one run do
    assert [json.loads(line)["digest"] for line in path.read_text().splitlines()] == ["a", "b"]
