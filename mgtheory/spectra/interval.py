"""The interval [a, b] of a real spectrum."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from mgtheory._checks import is_number, plain


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
        a, b = plain(self.a), plain(self.b)
        if not (is_number(a) and is_number(b) and -math.inf < a < b < math.inf):
            raise ValueError(
                f"an interval needs finite ends a < b, got a = {a!r}, b = {b!r}".replace("\n", "")
            )
        self.__dict__.update(a=float(a), b=float(b))

    @classmethod
    def of(cls, given: Any) -> Self:
        """The interval of a pair (a, b), or of an `Interval` itself."""
        try:
            a, b = given
        except (TypeError, ValueError):
            raise ValueError(
                f"interval is a {type(given).__name__}, must be an Interval or a pair (a, b)"
            ) from None
        return cls(a, b)

    def __iter__(self) -> Iterator[float]:
        return iter((self.a, self.b))

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
        if not (is_number(factor := plain(factor)) and factor > 0):
            raise ValueError(f"an interval is scaled by a factor > 0, got {factor!r}")
        return Interval(factor * self.a, factor * self.b)
