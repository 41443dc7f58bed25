"""What the library says, in the words of the command: keywords are options, axes letters."""

import re

# a keyword of the library with its value, where messages name one that a command has as an option
KEYWORD = re.compile(
    r"(?<![\w.-])(axes|boundary|coarsening|krylov|max_levels|scaling)"
    r"=('\w+'|\(\d[\d, ]*\)|[\w.+-]*\w)"
)
AXES = re.compile(r"\bax[ei]s [(\[]?(\d(?:, ?\d)*),?[)\]]?(?![\w.])")


def worded(text: str) -> str:
    """What the library says, in the command's words.

    >>> worded("made with axes (0, 1) coarsened; take axes=(0,) or coarsening='galerkin'")
    'made with axes x, y coarsened; take --axes x or --coarsening galerkin'
    """
    text = re.sub(r"mgtheory\.\w+ ([^(]+) \(backend '(\w+)'\)", r"--backend \2 \1", text)
    text = re.sub(r"backend '(\w+)'(, mgtheory.*)?", r"--backend \1", text)
    text = KEYWORD.sub(_option, text).replace(" max_levels", " --max-levels")
    return AXES.sub(lambda found: f"{found[0].split()[0]} {_letters(found[1], ', ')}", text)


def _option(found: re.Match[str]) -> str:
    name, value = found[1], found[2].strip("'()")
    value = _letters(value) if name == "axes" and value[0].isdigit() else value
    return f"--{name.replace('_', '-')} {value}"


def _letters(axes: str, between: str = "") -> str:
    """The letters of axes that are counted from 0."""
    return between.join("xyz"[int(number)] for number in re.findall("[012]", axes))
