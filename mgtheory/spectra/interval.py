"""The interval [a, b] of a real spectrum."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real


@dataclass(frozen=True)
class Interval:
    """[a, b] with a < b, both finite: the real interval that a family of polynomials is built for.

    Unpacks like a pair, ``a, b = interval``.

    Raises
    ------
    ValueError
        If an end is not finite or a >= b.

    Examples
    --------
    >>> Interval(2, 8).relative
    Interval(a=0.25, b=1.0)
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (isinstance(self.a, Real) and isinstance(self.b, Real)):
            raise ValueError(f"an interval needs numbers a < b, got a = {self.a!r}, b = {self.b!r}")
        a, b = float(self.a), float(self.b)
        if not (math.isfinite(a) and math.isfinite(b) and a < b):
            raise ValueError(f"an interval needs finite ends a < b, got a = {a:g}, b = {b:g}")
        object.__setattr__(self, "a", a)
        object.__setattr__(self, "b", b)

    def __iter__(self) -> Iterator[float]:
        return iter((self.a, self.b))

    @property
    def as_tuple(self) -> tuple[float, float]:
        """The pair (a, b)."""
        return (self.a, self.b)

    @property
    def relative(self) -> Interval:
        """The interval divided by its upper end, [a/b, 1]; needs b > 0."""
        if self.b <= 0:
            raise ValueError(
                f"only an interval with b > 0 can be scaled to (0, 1], got b = {self.b:g}"
            )
        return Interval(self.a / self.b, 1.0)

    def scaled(self, factor: float) -> Interval:
        """[factor a, factor b] for a factor > 0."""
        if not (isinstance(factor, Real) and factor > 0):
            raise ValueError(f"an interval is scaled by a factor > 0, got {factor!r}")
        return Interval(factor * self.a, factor * self.b)
