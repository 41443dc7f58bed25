"""The record of the operator BA that a polynomial is applied to: what it is, and where its spectrum
lies.

A residual polynomial q(BA) is good or bad only together with BA: its scale (a stencil over h^2 is
not the stencil), B, the axes whose high frequencies it damps, and the spectrum it was made for. A
polynomial that is derived carries the record of its operator, `init.json` stores it, and whoever
applies the polynomial compares it with the record of the operator at hand and converts exactly, or
refuses: `OperatorRecord.factor_to`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self, get_args

import numpy as np

from mgtheory._checks import check_axes, check_name, check_number

# A form is what an operator is up to a positive factor: the taps of its stencil over the largest,
# or, where coefficients vary, a text that names the equation.
Form = tuple[tuple[tuple[int, ...], float], ...] | str

Kind = Literal["problem", "stencil", "matrix", "interval", "points", "level"]
# an upper end that is estimated twice may differ by this much; |q| stays below 1 there
SLACK = 1.02
LEAST, MOST = 1e-300, 1e300  # of b, as of the moduli of roots
# where operators cannot be compared, their upper ends are: bounds (Gershgorin, a margin of Lanczos)
# lie up to a quarter above the spectrum, while another grid or scaling is a factor of 4 and more
LOOSE = 0.75
SAME = 1e-9  # relative difference of taps that are equal up to rounding


@dataclass(frozen=True)
class OperatorRecord:
    """What is known of the operator BA.

    Attributes
    ----------
    kind
        What the record was made from: ``problem``, ``stencil``, ``matrix``, ``interval``,
        ``points``, or ``level`` (of a network).
    name
        A line for people, as "poisson2d, 63 x 63, dirichlet".
    upper, lower
        b, the largest modulus in the spectrum of BA, or a bound of it; a, the lower end of the part
        to damp, the frequencies that are high on the coarsened axes, 0 where it is unknown or plays
        no part.
    scaling
        B: ``identity``, ``diagonal`` (the inverse diagonal of A), or None where an interval or
        points are those of BA, whatever B is.
    diagonal
        The diagonal entry of a matrix A that has the same one in every row, where B is the
        identity: then D^-1 A is a multiple of A. Else None, also where it is not looked for.
    axes
        The axes that are coarsened; None where nothing is said of a grid.
    grid, padding
        Points per axis, and what stands beyond them: a boundary condition of a problem, ``zero``
        or ``periodic`` for a convolution.
    found
        How the spectrum was found.
    form
        What the operator is up to a positive factor; None where that is unknown.
    positive
        Whether the spectrum is known to be real and positive, as the classical families need it.
    source
        The object itself, for families that are computed from it; neither compared nor stored.
    """

    kind: Kind
    name: str
    upper: float
    lower: float = 0.0
    scaling: Literal["identity", "diagonal"] | None = None
    axes: tuple[int, ...] | None = None
    grid: tuple[int, ...] | None = None
    padding: str | None = None
    found: str = "given"
    form: Form | None = None
    positive: bool = True
    diagonal: float | None = None
    source: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.diagonal is not None:
            check_number(self.diagonal, f"{self.name}: the diagonal", "larger than 0")
        lower = check_number(self.lower, f"{self.name}: the lower end to damp")
        upper = check_number(self.upper, f"{self.name}: the upper end", "larger than 0")
        if not LEAST <= upper <= MOST:
            raise ValueError(
                f"{self.name}: the upper end is {upper:g}, allowed are {LEAST:g} to {MOST:g}: scale"
                " the operator"
            )
        if lower > upper:
            raise ValueError(f"{self.name}: the spectrum to damp is [{lower:g}, {upper:g}]")
        self.__dict__.update(lower=lower, upper=upper)
        check_name(self.kind, get_args(Kind), "kind of a record")
        for what, allowed in (
            ("name", str),
            ("found", str),
            ("positive", bool),
            ("padding", str | None),
            ("form", str | tuple | None),
        ):
            if not isinstance(getattr(self, what), allowed):
                raise ValueError(
                    f"the record's {what} is {getattr(self, what)!r}, must be"
                    f" {getattr(allowed, '__name__', allowed)}"
                )
        if self.kind == "level" and None in (self.grid, self.padding):
            raise ValueError(f"{self.name}: the record of a level needs its grid and padding")
        if self.scaling not in (None, "identity", "diagonal"):
            raise ValueError(
                f"{self.name}: scaling is {self.scaling!r}, must be identity or diagonal"
            )
        for name in ("axes", "grid"):
            numbers = getattr(self, name)
            if isinstance(numbers, str):
                raise ValueError(f"{self.name}: {name} is {numbers!r}, must be whole numbers")
            object.__setattr__(self, name, None if numbers is None else tuple(map(int, numbers)))
        if self.grid and self.axes:
            check_axes(self.axes, len(self.grid))
        if isinstance(self.form, tuple) and not any(value for _, value in self.form):
            raise ValueError(f"{self.name}: its form has no tap other than 0")

    def __str__(self) -> str:
        if self.kind == "interval":
            return self.name
        of = {"diagonal": "D^-1 A, ", "identity": "A, ", None: ""}[self.scaling]
        high = f", high frequencies from {self.lower:.6g}" if self.lower and self.axes else ""
        return f"{self.name} ({of}eigenvalues up to {self.upper:.6g}{high})"

    def times(self, factor: float) -> Self:
        """The record of the operator multiplied by `factor` > 0."""
        diagonal = None if self.diagonal is None else factor * self.diagonal
        return replace(
            self, lower=factor * self.lower, upper=factor * self.upper, diagonal=diagonal
        )

    @property
    def interval(self) -> tuple[float, float]:
        """The pair (lower, upper)."""
        return self.lower, self.upper

    def factor_to(self, other: OperatorRecord) -> float:
        """The c > 0 with which q(t / c) is for `other` what q(t) is for this operator.

        Operators of equal form are multiples of each other, c = upper of the other / upper. To the
        level of a network every polynomial is taken relative to b. An interval, points and a matrix
        without a grid are no operator that could be recognised; what was made for them is applied
        as it is where the other's upper end is 0.75 to 1.02 of theirs. Everything else is a
        ValueError, other axes included: on them a polynomial damps too little or too much.
        """
        c = other.upper / self.upper
        if other.kind == "level":
            return c
        refused = f"the polynomial was derived for {self}, but is applied to {other}"
        both_constant = isinstance(self.form, tuple) and isinstance(other.form, tuple)
        differ = None not in (self.scaling, other.scaling) and self.scaling != other.scaling
        if differ and not both_constant:  # a constant diagonal is a factor like any other
            raise ValueError(
                f"{refused}: B differs, the inverse diagonal or the identity; apply it with"
                f" scaling={self.scaling!r}, or derive it with scaling={other.scaling!r}"
            )
        if self.form is None or other.form is None:
            if not LOOSE <= c <= SLACK:
                why = (
                    f"beyond its spectrum it amplifies, and that one reaches {c:.4g} times as far"
                    if c > SLACK
                    else f"its steps are too short for a spectrum that ends at {c:.2g} of its own"
                )
                raise ValueError(f"{refused}: {why}; derive it for that operator")
            return 1.0
        if not proportional(self.form, other.form):
            raise ValueError(
                f"{refused}, another operator, no multiple of it; derive it for that one"
            )
        # with b alone (lower = 0) the coarsened axes play no part
        if self.lower and None not in (self.axes, other.axes) and self.axes != other.axes:
            raise ValueError(
                f"{refused}: it was made with axes {self.axes} coarsened, and here those are axes"
                f" {other.axes}; derive it for these, or coarsen those with axes={self.axes}"
            )
        return c

    def to_dict(self) -> dict[str, Any]:
        """JSON types, without the source."""
        return {f.name: _lists(getattr(self, f.name)) for f in fields(self) if f.name != "source"}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; KeyError, TypeError or ValueError for a damaged document."""
        known = {"diagonal": None} | dict(data)  # older files have none
        values = {f.name: known[f.name] for f in fields(cls) if f.name != "source"}
        form = values["form"]
        if isinstance(form, list):
            values["form"] = tuple((tuple(int(x) for x in offset), float(v)) for offset, v in form)
        return cls(**values)


def _lists(value: Any) -> Any:
    """Tuples as lists, inner ones too."""
    return [_lists(part) for part in value] if isinstance(value, tuple) else value


def check_positive(a: float, b: float, name: str, level: int = 0) -> None:
    """Refuse high frequencies [a, b] that are not positive, in one line with the way on."""
    if 0.0 <= a <= b and b > 0.0:
        return
    found = f"{name}: the high frequencies of A lie in [{a:g}, {b:g}], a derived polynomial needs"
    if b <= 0.0 and not level:
        raise ValueError(f"{found} them positive; a negative definite A must change its sign")
    if -a > b and not level:  # coarser grids than one that is positive are no matter of sign
        raise ValueError(f"{found} them positive; most of A is negative: change its sign first")
    # Helmholtz: -Laplace less k^2 passes 0 where the grid has fewer than about six points a wave;
    # cycles that end before that grid diverge too, and restarts of gmres help where it has many
    way = "take a finer grid"
    if level:
        way = "solve directly with max_levels=1"
        way += ", or try max_levels=2 with krylov gmres" * (level > 1)
    raise ValueError(
        f"{found} them positive; A is indefinite there, as of a wave that this grid does not"
        f" resolve: {way}"
    )


def proportional(one: Form, other: Form) -> bool:
    """Whether two forms belong to operators that are multiples of each other."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    taps, others = dict(one), dict(other)
    largest = max(map(abs, taps.values()))
    return all(
        abs(taps.get(offset, 0.0) - others.get(offset, 0.0)) <= SAME * largest
        for offset in taps.keys() | others.keys()
    )


def stencil_form(offsets: Any, values: Any) -> Form:
    """The taps of a scalar stencil over the largest of them, with its sign."""
    numbers = np.asarray(values).real.astype(float)
    largest = numbers[np.argmax(np.abs(numbers))]
    return tuple(
        (tuple(int(x) for x in offset), float(v / abs(largest)))
        for offset, v in sorted(zip(map(tuple, offsets), numbers))
        if v
    )
