"""A polynomial as a ParameterList of Trilinos: Ifpack2, or MueLu's smoother."""

from __future__ import annotations

from mgtheory.export.conversion import TABLE, Export, Given

_MUELU = (
    "MueLu gives this list to every level, whose D^-1 A must end at lmax too, and raises the ratio"
    " to the number of fine over that of coarse unknowns where that is larger: the interval of the"
    " first kind then begins lower on that level."
)


def trilinos(given: Given) -> Export:
    """XML, for the three kinds of Chebyshev."""
    own, degree = given.kind, given.q.degree
    if own is None or own.name == "equal":
        raise ValueError(
            "Ifpack2 has Chebyshev of the first, fourth and optimised fourth kind; this polynomial,"
            f" {given.called}, is none of them: export to petsc or pyamg"
        )
    if own.name == "opt_fourth" and degree > TABLE:
        raise ValueError(
            f"degree is {degree}, Ifpack2 has the optimised fourth kind up to {TABLE}: take two"
            " smoothings of a smaller degree, or export to petsc or pyamg"
        )
    # The first kind ends at boost x max and begins at max/ratio. A max of 1 means to Ifpack2 that A
    # is diagonal, and it then applies D^-1 alone.
    boost = 0.5 if abs(own.upper - 1.0) < 1e-3 else 1.0
    largest = own.upper / boost
    values: list[tuple[str, str, str]] = [
        ("algorithm", "string", own.name),
        ("degree", "int", str(degree)),
        ("max eigenvalue", "double", repr(largest)),
        ("boost factor", "double", repr(boost)),
    ]
    if own.name == "first":
        values.append(("ratio eigenvalue", "double", repr(largest / own.lower)))
    # a comment of XML has no double hyphen, and an attribute no bare & or <; these names have none
    head = given.head(
        "Chebyshev smoothing in Trilinos: Ifpack2, or MueLu's smoother: params", _MUELU
    )
    lines = [
        f'  <Parameter name="chebyshev: {name}" type="{type_}" value="{value}"/>\n'
        for name, type_, value in values
    ]
    text = f"<!--\n{head.replace('--', '- -')}\n-->\n"
    text += '<ParameterList name="smoother: params">\n' + "".join(lines) + "</ParameterList>\n"
    return Export("trilinos", text, f"Ifpack2's Chebyshev, algorithm {own.name}")
