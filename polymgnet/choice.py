"""Which smoother the user asked for: a family and degree, a file that `derive` wrote, or a
classical one by name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Choice:
    """A smoother with what to call it.

    Attributes
    ----------
    label
        Family or name, for tables.
    degree
        Degree of q, the products with A per smoothing; 1 for a classical smoother.
    smoother
        A `ResidualPolynomial` or a name that the room takes.
    """

    label: str
    degree: int
    smoother: Any


def polynomial_from_file(problem: Any, path: Path, *, unit: bool) -> Any:
    """The polynomial of a file that `derive` wrote, moved from its own spectrum to the
    problem's."""
    import mgtheory

    b = problem.smoothing_interval().b if unit else problem.spectrum().b
    return mgtheory.InitialCoefficients.load(path).relative.scaled(
        b * problem.h[0] ** 2 if unit else b
    )


def choose(
    problem: Any,
    *,
    family: str | None,
    degree: int | None,
    init: Path | None,
    smoother: str | None,
    unit: bool,
    cycle: dict[str, Any] | None = None,
) -> Choice:
    """The one smoother that was asked for; chebyshev4 of degree 2 if none was."""
    from analysis.smoothers import polynomial_for

    given = [
        name
        for name, value in (("--family", family), ("--init", init), ("--smoother", smoother))
        if value is not None
    ]
    if len(given) > 1:
        raise ValueError(
            f"{' and '.join(given)} are given; only one of --family, --init, --smoother is allowed"
        )
    if degree is not None and (init is not None or smoother is not None):
        raise ValueError(f"--degree belongs to --family; {given[0]} has a degree of its own")
    if init is not None:
        polynomial = polynomial_from_file(problem, init, unit=unit)
        return Choice(str(init), polynomial.degree, polynomial)
    if smoother is not None:
        name = smoother.replace("-", "_")
        return Choice(name, 1, name)
    name = family or "chebyshev4"
    polynomial = polynomial_for(
        problem, name, 2 if degree is None else degree, unit=unit, cycle=cycle
    )
    return Choice(name, polynomial.degree, polynomial)


def for_solver(
    problem: Any, *, family: str | None, degree: int | None, init: Path | None, smoother: str | None
) -> Choice:
    """The smoother for a hierarchy: a family by its name, so that every level derives its own, else
    a polynomial or a classical name."""
    from mgtheory.families import FAMILIES, get_family
    from mgtheory.polynomials.residual import check_degree

    if (
        init is None
        and smoother is None
        and get_family(family or "chebyshev4").needs in ("interval", "lmax", "operator")
    ):
        name, wanted = family or "chebyshev4", 2 if degree is None else degree
        check_degree(wanted, family=name)
        return Choice(name, wanted, name)
    if smoother in FAMILIES:
        raise ValueError(f"{smoother!r} is a polynomial family; write --family {smoother}")
    return choose(problem, family=family, degree=degree, init=init, smoother=smoother, unit=False)
