"""The options of a hierarchy: one object with one meaning for every kind, checked where it is
made."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from mgtheory._checks import check_callable, check_name, check_whole, is_whole, plain
from mgtheory.multigrid.transfer import INTERPOLATIONS, RESTRICTIONS
from mgtheory.problems.transfers import INTERPOLATIONS as ANALYSED
from mgtheory.smoothers import DEFAULT, UNSYMMETRIC, UNSYMMETRIC_DEGREE, Polynomial, growing
from mgtheory.smoothers import smoother as make_smoother

Counts = int | Sequence[int] | Callable[[int], int]
BLACKBOX = "black-box"
PYAMG = "pyamg"
COARSENINGS = ("rediscretise", "galerkin", PYAMG)
# what coarse levels without a grid have no use for
OF_GRIDS = ("boundary", "axes", "interpolation", "restriction", "transfers")
Made = TypeVar("Made")


def count(counts: Counts, index: int, name: str, least: int = 0) -> int:
    """The number of smoothings (or the degree) on a level: a number, one per level (the last goes
    on), or a callable of the index."""
    value: Any = plain(counts(index) if callable(counts) else counts)
    if isinstance(value, list | tuple | np.ndarray) and len(value):
        value = plain(value[min(index, len(value) - 1)])
    if not is_whole(value) or value < least:
        raise ValueError(
            f"{name} is {value!r} on level {index}, must be a whole number from {least} on"
        )
    return int(value)


@dataclass(frozen=True)
class Schedule:
    """What smooths, level by level: a smoother and its degree, read once.

    Attributes
    ----------
    given
        A description of `mgtheory.smoothers`, a user's object, or a callable of a level.
    degrees
        The degree on each level, where it is no single number.
    by_default
        Whether the family was not asked for.
    around
        Index of a level -> what a family that is made for a cycle is to know of this one.
    """

    given: Any
    degrees: Counts | None = None
    by_default: bool = False
    around: Callable[[int], Mapping[str, Any]] | None = None

    @classmethod
    def of(cls, smoother: Any, degree: Counts | None) -> Schedule:
        """Read the options, or refuse them; by default `mgtheory.smoothers.DEFAULT`."""
        by_default = smoother is None
        if by_default:
            smoother, degree = DEFAULT, growing if degree is None else degree
        if degree is None or (
            isinstance(degree, int | np.integer) and not isinstance(degree, bool)
        ):
            made = make_smoother(smoother, None if degree is None else int(degree))
            return cls(made, by_default=by_default)
        make_smoother(smoother, count(degree, 0, "degree", 1))  # refuses what takes no degree
        return cls(smoother, degree, by_default)

    @property
    def is_callable(self) -> bool:
        """Whether a user's callable of a level chooses."""
        return callable(self.given) and not hasattr(self.given, "setup")

    def on(self, level: Any) -> tuple[Any, bool]:
        """What smooths on a level, and whether it was made for this very level: what a callable
        gives belongs to the level's own A, all else to the finest one's."""
        made = self.given(level) if self.is_callable else self.given
        if self.degrees is not None:
            made = make_smoother(made, count(self.degrees, level.index, "degree", 1))
        elif self.is_callable and not hasattr(made, "correct"):
            made = make_smoother(made)
        if isinstance(made, Polynomial) and self.around is not None:
            made = made.for_cycle(**self.around(level.index))
        return made, self.is_callable

    def unsymmetric(self, level: Any) -> Polynomial:
        """What smooths by default on a level of an A that is not symmetric."""
        first = self.degrees is growing
        degree = growing(level.index, UNSYMMETRIC_DEGREE) if first else self.on(level)[0].degree
        return Polynomial(UNSYMMETRIC, min(degree, level.size))


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``build`` takes, of `mgtheory.Hierarchy` and `mgtheory.StencilHierarchy` alike.

    Parameters
    ----------
    shape, boundary
        Unknowns per axis (C order) and boundary of a bare matrix or stencil; a problem has its own.
        Each end of a matrix's axes is taken as A has it. A boundary that is named is that of ends
        of which A says nothing, and of all where A looks like another (``"neumann"`` where any end
        is free), which `mgtheory.Hierarchy.doubts` says. Lines at the ends whose rows fix values,
        as those of the identity do, are the nodes beyond the ends of the others' grid, whose
        boundary A alone says.
    smoother, degree
        A family's name with its degree, a name of `mgtheory.smoothers.SMOOTHERS`, a
        `ResidualPolynomial` or `InitialCoefficients` (for BA on the finest level; converted for the
        others), an object with ``setup(level)``, or a callable of a level that returns any of these
        or a `Smoothing`. The degree is a number, one per level (the last goes on), or a callable of
        the level's index. By default ``"chebyshev"`` with the degrees 2, 3, 4, 5, 6, 6 ..., of a
        real A that is not symmetric ``"harmonic_ritz"`` with 3, 4, 5, 6, 6 ..., where a matrix is
        so by more than rounding of its entries and scales of its rows
        (`mgtheory.spectra.symmetry`); a family given by its name alone has degree 2 on every level.
    post_smoother
        Another one after the coarse-grid correction; the same by default.
    pre, post
        Smoothings per level before and after: a number, one per level (the last goes on), or a
        callable of the level's index. 0 is allowed.
    coarsening
        ``"rediscretise"`` or ``"galerkin"``; by default the first where the problem has constant
        coefficients. ``"pyamg"``, for a bare matrix without a grid, such as a graph's: Galerkin
        with PyAMG's smoothed aggregates (the extra ``pyamg``); it needs no shape, which only orders
        the colours of a smoother.
    axes
        ``"auto"`` (strongly coupled ones), ``"all"``, or the axes that are coarsened.
    max_levels, coarsest
        Coarsening ends at this many levels, or when at most this many unknowns are left: by default
        64 with matrices, 4096 with stencils, whose coarsest solve is a sine transform, and 1024
        where those have variable coefficients.
    interpolation, restriction
        ``"linear"`` (``"cubic"``, ``"quintic"``) or ``"black-box"``, the default where coefficients
        vary and it is possible; ``"full"`` (the transpose times h/H per axis), ``"half"`` or
        ``"injection"``.
    transfers
        Own ones: a callable of a `Level` that returns P, R and the coarse shape (the fine one: this
        is the coarsest level), or None for the default on this level. A graph has no grid: its
        shape is its number of unknowns.
    coarse_solver
        Own solver of the coarsest level: a callable of its A that returns a callable of a
        right-hand side.
    nullspace
        Basis of A's nullspace, shape (n, m); None for regular; ``"auto"``: the problem's, or the
        constants where A 1 = 0, those of each part of a graph that is not connected.
    shift
        True: correct by P (A_H^-1 + beta) R, which leaves less of a smooth error, with constant
        coefficients and on a `mgtheory.StencilHierarchy`, where a nested grid's factor with its
        smoother is not larger for it (`mgtheory.matrixfree.shift`). ``"auto"``: the same where the
        smoothings before and after are equal, so that this factor bounds every cycle.
    dtype
        Type in which the cycle computes; A's own by default. float32 is about twice as fast, and
        the residuals stay in A's type; it converges like float64 as long as cond(A) is below about
        1e6 (1023 unknowns per axis in 2D). ``"auto"`` takes it where a problem is known to be so,
        and with matrices alone.

    Raises
    ------
    ValueError
        For an unknown name, or a value out of range.
    """

    shape: int | Sequence[int] | None = None
    boundary: str | None = None
    smoother: Any = None
    degree: Counts | None = None
    post_smoother: Any = None
    pre: Counts = 1
    post: Counts = 1
    coarsening: str | None = None
    axes: Sequence[int] | str = "auto"
    max_levels: int = 64
    coarsest: int | None = None
    interpolation: str | None = None
    restriction: str = "full"
    transfers: Callable[[Any], tuple[Any, Any, tuple[int, ...]] | None] | None = None
    coarse_solver: Callable[[Any], Callable[[NDArray[Any]], NDArray[Any]]] | None = None
    nullspace: NDArray[Any] | str | None = "auto"
    shift: bool | str = False
    dtype: Any = None

    def __post_init__(self) -> None:
        check_whole(self.max_levels, "max_levels", 1)
        if self.coarsest is not None:
            check_whole(self.coarsest, "coarsest", 1)
        if self.coarsening is not None and self.coarsening not in COARSENINGS:
            raise ValueError(
                f"unknown coarsening {self.coarsening!r}, allowed:"
                f" {', '.join(COARSENINGS[:-1])} and {COARSENINGS[-1]}"
            )
        if self.coarsening == PYAMG:
            usual: dict[str, Any] = {f.name: f.default for f in fields(Options)}
            given = [k for k in OF_GRIDS if not np.array_equal(getattr(self, k), usual[k])]
            if given:
                raise ValueError(
                    f"{' and '.join(given)} beside coarsening='pyamg', whose coarse levels have no"
                    " grid; leave out one or the other"
                )
        if self.interpolation is not None:
            check_name(self.interpolation, [*INTERPOLATIONS, BLACKBOX], "interpolation")
        check_name(self.restriction, list(RESTRICTIONS), "restriction")
        if not (isinstance(self.shift, bool) or str(self.shift) == "auto"):
            raise ValueError(f"shift is {self.shift!r}, allowed are False, True and 'auto'")
        check_callable(self.transfers, "transfers")
        check_callable(self.coarse_solver, "coarse_solver")
        # a single level, solved directly, would not ask for them
        _ = self.before, self.after, self.counts(0)

    @cached_property
    def before(self) -> Schedule:
        """What smooths before the coarse-grid correction."""
        return replace(Schedule.of(self.smoother, self.degree), around=self._around)

    @cached_property
    def after(self) -> Schedule:
        """What smooths after it; `before` itself where nothing else is given."""
        if self.post_smoother is None:
            return self.before
        return replace(Schedule.of(self.post_smoother, None), around=self._around)

    def _around(self, index: int) -> dict[str, Any]:
        """The cycle on a level, for a family that is made for one, as far as Fourier analysis knows
        it: black-box interpolation is linear there. Of two smoothers neither knows how often it is
        applied."""
        found: dict[str, Any] = {"restriction": self.restriction}
        if self.coarsening == "galerkin":
            found["coarsening"] = self.coarsening
        if self.interpolation in ANALYSED:
            found["interpolation"] = self.interpolation
        if self.post_smoother is None:
            found["pre"], found["post"] = self.counts(index)
        return found

    def counts(self, index: int) -> tuple[int, int]:
        """Smoothings before and after on a level."""
        return count(self.pre, index, "pre"), count(self.post, index, "post")


def takes_options(build: Callable[..., Made]) -> Callable[..., Made]:
    """`build(cls, problem, options, ...)` called with the options as keywords, and with them in its
    signature, for help and notebooks."""
    known = [field.name for field in fields(Options)]
    parameters = list(inspect.signature(build).parameters.values())
    own = [p for p in parameters if p.name != "options"]

    @functools.wraps(build)
    def called(cls: type, problem: Any, **given: Any) -> Any:
        extra = {p.name: given.pop(p.name) for p in own if p.name in given}
        for name in given:
            if name not in known:
                raise TypeError(
                    f"{cls.__name__}.build got the unknown option {name!r}, known are: "
                    + ", ".join(known)
                )
        return build(cls, problem, Options(**given), **extra)

    options = inspect.signature(Options).parameters.values()
    called.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    return cast(Callable[..., Made], called)
