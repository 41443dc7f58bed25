"""The site that `make docs` has built: every link leads somewhere, no page is empty, nothing is
fetched from a network; with --browser, in headless Chromium at the widths of a phone, a tablet and
a screen, nothing is wider than the window, every formula is drawn, and no option in a table is
broken.

    python tests/site.py build/docs [--browser] [--keep DIR]

With --keep the screenshots of some pages stay there to be looked at.
"""

import argparse
import json
import re
import sys
import tempfile
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

WORDS = 12  # a page with fewer in its middle is an empty one
AT_ONCE = 8  # pages in one start of the browser, three frames each
SHOWN = ("index", "docs/theory", "docs/gallery", "docs/commands", "api/mgtheory.derive")
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
NOT_FETCHED = {"canonical", "next", "prev", "search", "index"}  # of link rel=...
STRETCHED = re.compile(r'<mo(?: class="\w+")?>([|‖{}])</mo>')
# In the frame of each page: what it finds is told to the page around.
PROBE = """<script>
addEventListener("load", () => setTimeout(() => {
  const root = document.documentElement, flat = [];
  for (const f of document.querySelectorAll("math")) {
    const box = f.getBoundingClientRect();
    if (!f.namespaceURI.includes("MathML") || box.width < 2 || box.height < 5)
      flat.push(f.textContent);
  }
  const wide = root.scrollWidth <= root.clientWidth ? [] : [...document.body.querySelectorAll("*")]
    .filter(e => e.getBoundingClientRect().right > root.clientWidth + 1).slice(0, 4)
    .map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 40));
  const broken = [...document.querySelectorAll("td code .pre")]
    .filter(e => e.getClientRects().length > 1).map(e => e.textContent);
  parent.postMessage({name: window.name, width: innerWidth, flat, wide, broken,
    over: root.scrollWidth - root.clientWidth,
    math: document.querySelectorAll("math").length}, "*");
}, 100));
</script></body>"""


class Page(HTMLParser):
    """What a page refers to, what it can be referred to by, and the words in its middle."""

    def __init__(self, path):
        super().__init__()
        self.links, self.names, self.fetched, self.words = [], set(), [], 0
        self.inside = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.names |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        target = given.get(FETCHED.get(tag, ""))
        if target and not NOT_FETCHED & set((given.get("rel") or "").split()):
            self.fetched.append(target)
        self.inside += tag == "article"

    def handle_endtag(self, tag):
        self.inside -= tag == "article"

    def handle_data(self, data):
        self.words += len(data.split()) if self.inside else 0


def faults(folder):
    """Everything that is wrong with the links and pages, a line each."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        where = path.relative_to(folder)
        if page.words < WORDS and path.name not in ("search.html", "genindex.html"):
            yield f"{where}: {page.words} words"
        for fence in STRETCHED.findall(path.read_text(encoding="utf-8")):
            yield f"{where}: {fence} of a formula stretches, or stands below its line"
        for link in page.links + page.fetched:
            parts = urlsplit(link)
            if parts.scheme in ("data", "mailto"):
                continue
            if parts.scheme or parts.netloc:
                if link in page.fetched:
                    yield f"{where}: fetches {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            names = pages[target].names if target in pages else {unquote(parts.fragment)}
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in names):
                yield f"{where}: no {link}"


def in_browser(folder, work):
    """What is wrong with the pages in Chromium, a line each."""
    from browser import AROUND, WIDTHS, chromium

    paths = [path for path in sorted(folder.rglob("*.html")) if "_modules" not in path.parts]
    copies = {}
    for path in paths:  # beside the pages, so that their style is found
        copies[path] = path.with_name(f"probed-{path.name}")
        text = path.read_text(encoding="utf-8").replace("</body>", PROBE)
        copies[path].write_text(text, encoding="utf-8")
    around, formulas = work / "around.html", 0
    try:
        for k in range(0, len(paths), AT_ONCE):
            frames = "".join(
                f'<iframe name="{path.relative_to(folder)}" src="{copies[path].as_uri()}"'
                f' width="{width}" height="800"></iframe>'
                for path in paths[k : k + AT_ONCE]
                for width in WIDTHS
            )
            around.write_text(AROUND.format(frames=frames), encoding="utf-8")
            window = "--window-size=1700,900"
            for _ in range(3):  # on a busy machine a frame may answer too late
                dom, log = chromium(work / "profile", window, "--dump-dom", around.as_uri())
                told = re.search(r'<pre id="found">(.*?)</pre>', dom, re.S)
                found = json.loads(unescape(told[1]) if told and told[1] else "[]")
                if len(found) == len(paths[k : k + AT_ONCE]) * len(WIDTHS):
                    break
            yield from (line for line in log.splitlines() if "CONSOLE" in line)
            if len(found) != len(paths[k : k + AT_ONCE]) * len(WIDTHS):
                yield f"{len(found)} answers from {paths[k].name} on"
            for one in found:
                formulas += one["math"]
                where = f"{one['name']} at {one['width']}"
                if one["over"] > 0:
                    yield f"{where}: {one['over']} px too wide: {one['wide']}"
                if one["broken"]:
                    yield f"{where}: in two lines of a table: {one['broken'][:3]}"
                if one["flat"]:
                    yield f"{where}: formulas that are not drawn: {one['flat'][:3]}"
    finally:
        for copy in copies.values():
            copy.unlink()
    print(f"{len(paths)} pages at {WIDTHS}, {formulas // len(WIDTHS)} formulas")


def main():
    """Exit status 0 where nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    folder = given.folder.resolve()
    wrong = list(faults(folder))
    with tempfile.TemporaryDirectory() as own:
        if given.browser:
            wrong += in_browser(folder, Path(own))
    if given.keep:
        from browser import pictures

        given.keep.mkdir(parents=True, exist_ok=True)
        for name in SHOWN:
            pictures(folder / f"{name}.html", given.keep, 1600)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{len(list(folder.rglob('*.html')))} pages, {size / 2**20:.0f} MiB")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
