"""Writing a page: what it is made of, and its file by the template beside this one."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from analysis.numbers import heading, number
from figures.page.glossary import GLOSSARY
from figures.page.traces import Picture
from mgtheory._files import write_atomically


@dataclass(frozen=True)
class Table:
    """Rows under headings, which explain themselves where the page knows their meanings."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""

    @classmethod
    def of(cls, frame: Any, caption: str = "") -> Table:
        """From a pandas data frame."""
        rows = list(frame.itertuples(index=False, name=None))
        return cls([heading(name) for name in frame.columns], rows, caption)


@dataclass(frozen=True)
class Thumbnail:
    """A small picture as a data URI, its name, and two lines below it."""

    name: str
    said: str
    number: str
    href: str


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading; `name` is its anchor, and stands in its pictures' ids."""

    name: str
    title: str
    pictures: Sequence[Picture] = ()
    words: str = ""
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    thumbnails: Sequence[Thumbnail] = ()


@dataclass(frozen=True)
class Page:
    """What stands on a page.

    Attributes
    ----------
    verdict
        Three sentences anyone understands.
    numbers, printed_by
        Every number in full, as JSON types, and the command that prints the same.
    glossary
        The terms that it explains.
    meanings
        Heading of a column -> what it means, beside the glossary.
    papers
        Files to be saved, name and content as a data URI.
    """

    title: str
    verdict: Sequence[str]
    sections: Sequence[Section]
    numbers: Any
    printed_by: str
    glossary: Mapping[str, str] = field(default_factory=lambda: GLOSSARY)
    meanings: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    papers: Sequence[tuple[str, str]] = ()


def write(page: Page, out: str | os.PathLike[str], *, command: str) -> Path:
    """Write the page to the file `out`, whole or not at all; returns its path.

    Parameters
    ----------
    command
        What makes the page, for its end.
    """
    numbers = json.dumps(page.numbers, allow_nan=False).encode()
    text = _template().render(
        page=page,
        title=page.title,
        command=command,
        version=_version(),
        glossary=page.glossary,
        meanings={**page.glossary, **page.meanings},
        numbers_link=base64.b64encode(numbers).decode(),
        library=_library(),
    )
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, text)
    return target


@lru_cache(maxsize=1)
def _library() -> str:
    """Plotly's own JavaScript, packed to a third (of 4.8 MB); the browser unpacks it."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    folder = Path(__file__).parent
    loader = jinja2.FileSystemLoader(folder)
    strict: Any = {"autoescape": True, "undefined": jinja2.StrictUndefined, "trim_blocks": True}
    environment = jinja2.Environment(loader=loader, **strict)
    environment.filters |= {"terms": _with_terms, "cell": number}
    return environment.get_template("page.html")


@lru_cache(maxsize=2)
def _terms(words: tuple[str, ...]) -> re.Pattern[str]:
    """These words, the longest first; "A" that begins a sentence is an article, and parts of the
    names of files, as of A.mtx and data/start, are no words."""
    any_of = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    return re.compile(rf"(?<![\w./])(?!(?:(?<=^)|(?<=[.;:] ))A )(?:{any_of})(?![\w|/]|\.\w)")


@jinja2.pass_context
def _with_terms(context: jinja2.runtime.Context, text: Any) -> Markup:
    """Terms of the page's glossary explained on hover, each where it stands first."""
    glossary, seen = context["glossary"], set[str]()

    def explained(match: re.Match[str]) -> str:
        word = match[0]
        if word in seen:
            return word
        seen.add(word)
        return f'<abbr title="{escape(glossary[word])}">{word}</abbr>'

    return Markup(_terms(tuple(glossary)).sub(explained, str(escape(text))))


def _version() -> str:
    try:
        return version("polymgnet")
    except PackageNotFoundError:
        return ""
