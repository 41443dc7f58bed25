"""The site that `make docs` builds: pages of docs/, the examples run as notebooks, and reference
pages made from the docstrings and from the command itself. It needs no network, neither to build
nor to read.

Sphinx reads build/site, which this file fills first: copies of the repository's pages at the same
places, so that their links hold there as on a repository page, and the pages that are generated.
"""

import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx import addnodes
from sphinx.ext.napoleon import Config, NumpyDocstring
from sphinx.util import logging

HERE = Path(__file__).resolve().parent
ROOT, SITE = HERE.parent, HERE.parent / "build" / "site"
sys.path[:0] = [str(ROOT), str(HERE)]
from generate import (  # noqa: E402
    PACKAGES,
    api_pages,
    command_page,
    escaped,
    gallery_page,
    offered,
)

project, author = "polymgnet", "The polymgnet developers"
release = metadata.version("polymgnet")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
extensions += ["sphinx_design", "sphinx_copybutton"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".py": "myst-nb"}

html_theme, html_title, html_static_path = "furo", "polymgnet", ["_static"]
html_css_files, html_show_sphinx, html_copy_source = ["site.css"], False, False
suppress_warnings = ["myst.header"]  # the studies' pages have no second level
smartquotes = False  # --json is an option
html_math_renderer = "mathml"
copybutton_prompt_text, copybutton_prompt_is_regexp = r">>> |\.\.\. |\$ ", True

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode, nb_execution_cache_path = "cache", str(SITE.with_name("notebooks"))
nb_execution_timeout, nb_execution_raise_on_error = 600, True

default_role = "py:obj"  # `name` in a docstring is a link where such a name is documented
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True, "no-value": True}
autodoc_default_options |= {"show-inheritance": True, "ignore-module-all": True}
python_use_unqualified_type_names, maximum_signature_line_length = True, 80

# what stands around a part of a formula is no operator: as high as a letter, without blanks
FENCE = re.compile(r'<mo(?: stretchy="false"| class="math(?:open|close)")?>([|‖{}])</mo>')
NAPOLEON = Config(napoleon_google_docstring=False)
logger = logging.getLogger(__name__)


def gather(app):
    """Fill build/site."""
    for name in ("docs", "benchmarks"):
        shutil.rmtree(SITE / name, ignore_errors=True)
    pages = [*HERE.rglob("*.md"), *HERE.rglob("*.png"), *(ROOT / "benchmarks/results").iterdir()]
    pages += [*(ROOT / "examples").iterdir(), *(ROOT / "studies").glob("*.toml")]
    pages += [
        ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "CITATION.cff")
    ]
    for page in pages:
        target = SITE / page.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(page, target)
    made = {"docs/gallery.md": gallery_page(ROOT), "docs/commands.md": command_page()}
    first, *rest = re.split(r"^(?=## )", (ROOT / "README.md").read_text("utf-8"), flags=re.M)
    middle = (HERE / "start.myst").read_text("utf-8")
    others = [f"/docs/{page.stem}" for page in sorted(HERE.glob("*.md"))]
    middle = middle.replace("{{ others }}", "\n".join(o for o in others if o not in middle))
    opening, fence, tables = first.partition("```console")  # where to begin, before the numbers
    made["index.md"] = "".join([opening, middle, "\n", fence, tables, *rest])
    made |= api_pages()
    for page in (SITE / "api").glob("*"):  # of modules that are there no more
        if f"api/{page.name}" not in made:
            page.unlink()
    for name, text in made.items():
        target = SITE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text("utf-8") != text:  # else it would be read again
            target.write_text(text, encoding="utf-8")
    for page in SITE.rglob("*.md"):
        text = page.read_text("utf-8")
        moved = re.sub(r"\]\(((?:\.\./)+)README\.md", r"](\1index.md", text)  # the start page
        moved = moved.replace("\n\n```\n", "\n```\n")  # a doctest ends with an empty line
        if moved != text:
            page.write_text(moved, encoding="utf-8")


def examples_first(app, env, docnames):
    """They draw the pictures of the gallery."""
    docnames.sort(key=lambda name: not name.startswith("examples/"))


def plain(app, what, name, value, options, lines):
    """Docstrings are plain text with `names`, examples, formulas, which stand indented behind an
    empty line, and, before any section, lists in columns."""
    text, base, last, sections = [], 0, 0, False
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        rows = paragraph.strip("\n").split("\n")
        depth = [len(row) - len(row.lstrip()) for row in rows]
        sections |= len(rows) > 1 and set(rows[1].strip()) == {"-"}
        if depth[0] <= last:
            base = depth[0]
        columns = not sections and max(depth) > depth[0] and not rows[0].startswith("- ")
        if any(row.lstrip().startswith(">>>") for row in rows):
            text += [*rows, ""]
        elif depth[0] > base or columns:
            text += [" " * base + "::", "", *("    " + row for row in rows), ""]
            continue  # the base stays
        else:
            text += [*map(escaped, rows), ""]
        last = depth[-1]
    if what != "property":  # of which napoleon would take "shape (n,): ..." for a type
        text = NumpyDocstring("\n".join(text), NAPOLEON, app, what, name, value, options).lines()
    lines[:] = text


def linked(app, env, node, contnode):
    """Where a name is documented: as a package offers it, or as its end where that is unique."""
    if node.get("refdomain") != "py":
        return None
    known = env.domains.python_domain
    name = node["reftarget"].removesuffix("()").lstrip("~.")
    if not re.fullmatch(r"[\w.]+", name):
        return None
    homes = {f"{package}.{offer}": home for package, offer, home, _ in offered()}
    found = {homes.get(name, name)} & known.objects.keys()
    if not found:  # attributes need the name of their class
        kinds = {"class", "exception", "function", "data", "module"}
        found = {one for one in known.objects if one.endswith(f".{name}")}
        found = {one for one in found if "." in name or known.objects[one].objtype in kinds}
    if len(found) > 1:
        found = {h for offer, h in homes.items() if offer.endswith(f".{name}")} & found
    if len(found) == 1:
        return known.resolve_xref(env, node["refdoc"], app.builder, "obj", *found, node, contnode)
    if name.partition(".")[0] in PACKAGES and "." in name and node.get("written"):
        logger.warning("%s is not documented", name, location=node)
    return None


def names_in_pages(app, doctree):
    """`mgtheory.derive` in a page is a link to its reference; `Level` in a docstring is what its
    module calls so."""
    for node in doctree.findall(addnodes.pending_xref):
        module, target = sys.modules.get(node.get("py:module") or ""), node["reftarget"]
        value = getattr(module, target, None)
        if getattr(value, "__module__", "").startswith(PACKAGES) and hasattr(value, "__qualname__"):
            node["reftarget"] = f"{value.__module__}.{value.__qualname__}"
    for node in list(doctree.findall(nodes.literal)):
        pattern = rf"({'|'.join(PACKAGES)})(\.[A-Za-z_]\w*)+(?=\(.*\)$|$)"
        found = re.match(pattern, node.astext())
        if found and not isinstance(node.parent, nodes.reference | addnodes.pending_xref):
            link = addnodes.pending_xref("", refdomain="py", reftype="obj", reftarget=found[0])
            link["refdoc"], link["written"] = app.env.docname, True
            node.replace_self(link)
            link += node


def skipped(app, what, name, value, skip, options):
    """Constants of modules are listed without a docstring, fields of classes are not."""
    if what == "module":
        ours = not callable(value) or getattr(value, "__module__", "").startswith(PACKAGES)
        return None if ours and (callable(value) or name.isupper()) else True
    described = isinstance(value, property) or getattr(value, "__name__", "") == name
    return None if described else True


def formula(translator, node):
    """MathML, which browsers draw themselves."""
    block = isinstance(node, nodes.math_block)
    try:
        drawn = tex2mathml(node.astext(), as_block=block)
    except MathError as error:
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        drawn = ""
    drawn = FENCE.sub(r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', drawn)
    translator.body.append(f'<div class="formula">{drawn}</div>' if block else drawn)
    raise nodes.SkipNode


def setup(app):
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.connect("builder-inited", gather)
    app.connect("env-before-read-docs", examples_first)
    app.connect("autodoc-process-docstring", plain)
    app.connect("autodoc-skip-member", skipped)
    app.connect("doctree-read", names_in_pages)
    app.connect("missing-reference", linked)
