"""What the library says, in the words of the command: keywords are options, axes letters."""

import re

# what has these beside it is part of a path or of what the user wrote
_ALONE, _ENDS = r"(?<![\w./\\'\"-])", r"(?![\w/\\]|\.\w)"
# a keyword of the library with its value, where messages name one that a command has as an option
KEYWORD = re.compile(
    rf"{_ALONE}(axes|boundary|coarsening|krylov|max_levels|scaling)"
    rf"=('\w+'|\(\d[\d, ]*\)|\w+){_ENDS}"
)
LEVELS = re.compile(rf"{_ALONE}max_levels(?!=){_ENDS}")
# what a family needs of an operator, by its name in `mgtheory.families.NEEDS`
NEEDED = {
    "interval": "--problem, --matrix with --shape, or --interval A B with 0 < A < B",
    "lmax": "--problem, a symmetric positive --matrix, --interval A B or --lmax B",
    "operator": "--problem or --matrix",
    "points": ("--problem, --matrix with --shape, --interval A B with 0 < A < B, or --points"),
    "radius": "--lmax B",
    "problem": "a --problem with constant coefficients",
}
_AXES = r"([012](?:, ?[012])*)"
AXES = re.compile(rf"{_ALONE}(ax[ei]s) (?:\({_AXES},?\)|\[{_AXES}\]|{_AXES}){_ENDS}")


def worded(text: str) -> str:
    """What the library says, in the command's words.

    >>> worded("made with axes (0, 1) coarsened; take axes=(0,) or coarsening='galerkin'")
    'made with axes x, y coarsened; take --axes x or --coarsening galerkin'
    """
    if "it needs " in text:
        from mgtheory.families import NEEDS

        for name, options in NEEDED.items():
            text = text.replace(f"it needs {NEEDS[name].sources}", f"it needs {options}")
    text = re.sub(r"mgtheory\.\w+ ([^(]+) \(backend '(\w+)'\)", r"--backend \2 \1", text)
    text = re.sub(r"backend '(\w+)'(, mgtheory.*)?", r"--backend \1", text)
    text = LEVELS.sub("--max-levels", KEYWORD.sub(_option, text))
    return AXES.sub(lambda found: f"{found[1]} {_letters(found[0], ', ')}", text)


def counted(count: int, thing: str) -> str:
    """So many of a thing: "1 image", "1,797 images"."""
    return f"{count:,} {thing}{'s' * (count != 1)}"


def _option(found: re.Match[str]) -> str:
    name, value = found[1], found[2].strip("'()")
    value = _letters(value) if name == "axes" and value[0].isdigit() else value
    return f"--{name.replace('_', '-')} {value}"


def _letters(axes: str, between: str = "") -> str:
    """The letters of axes that are counted from 0."""
    return between.join("xyz"[int(number)] for number in re.findall("[012]", axes))
