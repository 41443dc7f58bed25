"""What the user sees: one JSON document or tables on stdout, progress and notes on stderr, and
files, which are never overwritten unasked."""

import codecs
import io
import json
import os
import re
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap
from typing import Any

from polymgnet.wording import worded

# step(done), step(done, state), step(done, finished="what is done, and how long it took")
Step = Callable[..., None]
EVERY = 30.0  # seconds between two lines of progress where there is no terminal


def open_streams() -> None:
    """Let stdout and stderr take every text: what their encoding lacks is replaced, and a closed
    one swallows it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed, as by >&-; print would write to the other one instead
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and stream.errors in (
            "strict",
            "surrogateescape",
        ):
            # names of files may hold bytes that are no text, which UTF-8 gives back as they are
            utf8 = codecs.lookup(stream.encoding).name == "utf-8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "replace")


@contextmanager
def short_warnings() -> Iterator[None]:
    """Warnings are one line for the user, without the line of code that they come from."""

    def line(message: Warning | str, *_: Any, **__: Any) -> str:
        return f"polymgnet: warning: {' '.join(worded(str(message)).split())}\n"

    before, warnings.formatwarning = warnings.formatwarning, line
    try:
        yield
    finally:
        warnings.formatwarning = before


def emit(document: Any) -> None:
    """Print exactly one JSON document on stdout."""
    print(json_text(document, encoding=getattr(sys.stdout, "encoding", None) or "utf-8"))


def json_text(document: Any, *, encoding: str = "utf-8") -> str:
    """The document as indented JSON, in escapes where the encoding lacks a letter of it."""
    from analysis.numbers import plain

    form: dict[str, Any] = {"indent": 2, "allow_nan": False}
    text = json.dumps(plain(document), ensure_ascii=False, **form)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(plain(document), **form)
    return text


def note(text: str) -> None:
    """One line for the reader on stderr, beside the result."""
    print(" ".join(text.split()), file=sys.stderr)


def number(value: Any, digits: int = 4) -> str:
    """Short text of a real or complex number; a dash where there is none."""
    from analysis.numbers import number

    return number(value, digits, missing="–")


def numbers(values: Any) -> str:
    """Several numbers, of an array or a sequence, in one line."""
    return "  ".join(number(value, 6) for value in values)


def _console(*, stderr: bool = False) -> Any:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    # piped into a file or a pager, a table keeps its columns instead of being cut at 80
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 160
    return console


def say(text: str, *, hanging: int = 0) -> None:
    """Print lines on stdout; in a window narrower than one it breaks between words, never in a
    number, and what follows is indented by `hanging`."""
    console = _console()
    bounded = console.is_terminal or "COLUMNS" in os.environ
    width = max(console.width, hanging + 20) if bounded else sys.maxsize
    whole: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    for line in text.splitlines():
        short = len(line) <= width
        parts = [line] if short else wrap(line, width, subsequent_indent=" " * hanging, **whole)
        print("\n".join(parts))


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    keys: int = 1,
    caption: str = "",
) -> None:
    """Print a table on stdout; the first column is left-aligned, numbers are right-aligned.

    In a window too narrow for it the columns follow each other in blocks, each beside the first
    `keys` columns, which say what a row is.
    """
    say(title)
    console = _console()
    cells = [[cell if isinstance(cell, str) else number(cell) for cell in row] for row in rows]
    texts = (
        [[name, *column] for name, column in zip(columns, zip(*cells))]
        if rows
        else [[name] for name in columns]
    )
    first, rest = list(range(keys)), list(range(keys, len(columns)))
    while True:
        count = len(rest)
        while True:
            chosen = first + rest[:count]
            widths = _widths([texts[k] for k in chosen], console.width)
            if sum(widths) + BETWEEN * len(widths) - 1 <= console.width or count < 2:
                break
            count -= 1
        # where one column alone is too wide, the window breaks lines: a number in pieces is none
        console.width = max(console.width, sum(widths) + BETWEEN * len(widths) - 1)
        console.print(_grid([texts[k] for k in chosen], widths))
        rest = rest[count:]
        if not rest:
            break
    say(caption)


BETWEEN = 3  # blanks from a column of a table to the next


def _widths(texts: Sequence[Sequence[str]], room: int) -> list[int]:
    """Of columns, as they would be, or the widest of them narrowed to what there is room for; none
    is narrower than its longest word."""
    full = [max(map(len, column)) for column in texts]
    least = [max(map(len, " ".join(column).split()), default=0) for column in texts]
    cap = max(full)
    while True:
        widths = [max(low, min(high, cap)) for low, high in zip(least, full, strict=True)]
        if sum(widths) + BETWEEN * len(widths) - 1 <= room or widths == least:
            return widths
        cap -= 1


def _is_number(text: str) -> bool:
    """Whether a cell is a number, as 1,385,554, 3.374e+03 or ∞, or the dash of none."""
    return re.fullmatch(r"[-+]?([\d,]*\.?\d*(e[-+]\d+)?|∞)|–", text) is not None


def _grid(texts: Sequence[Sequence[str]], widths: Sequence[int]) -> Any:
    """Columns of a table, each with its head."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, ((head, *column), width) in enumerate(zip(texts, widths, strict=True)):
        side: Any = "left" if k == 0 or not all(map(_is_number, column)) else "right"
        grid.add_column(escape(head), justify=side, overflow="fold", width=width)
    for row in zip(*(column[1:] for column in texts), strict=True):
        grid.add_row(*map(escape, row))
    return grid


def facts(title: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Print a title and name: value lines on stdout."""
    width = max(len(name) for name, _ in pairs)
    say(title)
    for name, text in pairs:
        say(f"  {name:<{width}}  {text}", hanging=width + 4)


def coarsened_remark(axes: Sequence[int], dim: int) -> str:
    """Which axes are coarsened, where it is not all of them."""
    if len(axes) in (0, dim):
        return ""
    return f"{' and '.join('xyz'[j] for j in axes)} alone coarsened"


def silent(done: int, state: str = "", *, finished: str = "") -> None:
    """The step of work that nobody watches."""


class Lines:
    """The step of work that a log file watches: a line for each finished stage, and the state every
    `EVERY` seconds in between.

    Parameters
    ----------
    text, total
        What is done, and the number of its stages if the lines are to count them.
    """

    def __init__(self, text: str, total: int | None) -> None:
        self.text, self.total = text, total
        self.began = self.last = time.monotonic()

    def __call__(self, done: int, state: str = "", *, finished: str = "") -> None:
        """Print what has ended; else what is being done, if nothing was printed for long."""
        now = time.monotonic()
        if not finished and now - self.last < EVERY:
            return
        self.last = now
        count = "" if self.total is None else f" {done}/{self.total}"
        now_at = f"{state}, " if state else ""
        note(f"{self.text}{count}: {finished or f'{now_at}{now - self.began:.0f} s so far'}")


@contextmanager
def progress(text: str, total: int | None = None, *, show: bool = True) -> Iterator[Step]:
    """Progress on stderr, a bar on a terminal, else lines; yields the step, see `Step`."""
    console = _console(stderr=True) if show else None
    if console is None or not console.is_terminal:
        yield silent if console is None else Lines(text, total)
        return
    from rich import progress as rich

    columns = (
        *("{task.description}", rich.BarColumn(), "{task.fields[state]}"),
        *(rich.TimeElapsedColumn(), rich.TimeRemainingColumn()),
    )
    with rich.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(text, total=total, state="")

        def step(done: int, state: str = "", *, finished: str = "") -> None:
            bar.update(task, completed=done, state=state)

        yield step


def refuse_existing(path: Path, *, force: bool) -> None:
    """FileExistsError for a file that is there without `force`; its folder must be there, and one
    that can be written into: no result is lost at the end of the work."""
    from mgtheory._files import check_folder, check_writable

    check_folder(path.parent)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file")
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists; give another name, or --force to overwrite it")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"folder {path.parent} does not exist; make it first")
    check_writable(path if path.exists() else path.parent)


def check_page(path: Path | None, *, force: bool) -> None:
    """ValueError or FileExistsError where --report names no .html file, or one that is there."""
    if path is None:
        return
    if path.suffix != ".html":
        raise ValueError(f"--report is {path}, the name of a page ends in .html")
    refuse_existing(path, force=force)


def command_line(context: Any) -> str:
    """The words that the command was given, as a shell takes them."""
    return shlex.join(["polymgnet", *(context.obj or [])])


# in what polymgnet drew, by the ending of the file
MARKS = {
    ".html": b'<meta name="generator" content="polymgnet',
    ".png": b"Software\x00polymgnet",
    ".pdf": b"/Creator (polymgnet)",
}


def refuse_foreign(path: Path, *, force: bool = False) -> None:
    """FileExistsError, without `force`, for a file that is there and was not drawn by polymgnet:
    its own pictures and pages are drawn again."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, where a file would be written")
    if path.is_file() and not force and MARKS[path.suffix] not in path.read_bytes():
        raise FileExistsError(
            f"{path} exists and is none that polymgnet drew; give another place, or --force to"
            " overwrite it"
        )


def write_json(path: Path, document: Any) -> None:
    """Write one JSON document, whole or not at all."""
    from mgtheory._files import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json_text(document) + "\n")
