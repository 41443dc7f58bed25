"""Smoothers, described once: what relaxes, with which parameters, before any operator is known.

A smoothing is a fixed linear map r -> c from a residual to a correction, x <- x + c(b - A x). Its
description, a `Smoother`, is read in three ways: by Fourier analysis as a symbol (`step_symbols` in
`mgtheory.fourier.relaxation`), by the sparse solver and the verification on the matrix of each
level (`set_up` in `mgtheory.multigrid.applied`), both open to further classes, and by the
matrix-free solver as steps over the rows of a grid. `smoother` is the one door: every function that
takes a smoother takes what it takes.

* `Polynomial`: any `ResidualPolynomial`, or a family of `mgtheory.families` derived for each
  level's own operator.
* `Jacobi`: c = omega D^-1 r.
* `GaussSeidel`: in C order of the unknowns, or by colours.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mgtheory._checks import check_name, check_number, plain
from mgtheory.families import FAMILIES, NEEDS, get_family
from mgtheory.polynomials.residual import ResidualPolynomial, check_degree
from mgtheory.problems.grids import Boundary
from mgtheory.problems.problem import Problem
from mgtheory.problems.record import SCALINGS, operator_record
from mgtheory.problems.stencils import Stencil
from mgtheory.spectra.record import OperatorRecord, proportional

DEFAULT_DEGREE = 2
Options = tuple[tuple[str, Any], ...]

# colour of a point from the parities of its indices, shape (d, ...)
COLOURINGS: dict[str, Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]] = {
    "red_black": lambda parity: parity.sum(axis=0) % 2,
    "multicolour": lambda parity: np.tensordot(2 ** np.arange(len(parity)), parity, axes=1),
}
ORDERINGS = ("lexicographic", *COLOURINGS)


# What smooths where nothing is said, at every door: Chebyshev on the level's high frequencies.
# Degree 2 on the finest level has the most digits per work unit on the 5-point Laplacian. A V-cycle
# visits a coarse level once, and what it leaves there adds up from level to level; with one degree
# more on each coarser level the factor is that of two grids on any number of levels, and the coarse
# levels are small (variable V-cycle: J. H. Bramble, J. E. Pasciak, Math. Comp. 49 (1987) 311-329).
DEFAULT = "chebyshev"
# Where A is not symmetric an interval does not hold the spectrum, and Chebyshev on it amplifies as
# the wind grows: from Peclet 1e4 on it stagnates on `convection2d`, 63 x 63. The GMRES polynomial
# of each level takes 6 to 21 V- or W-cycles to 1e-8 there and up to 255 x 255, at Peclet 1 to 1e6,
# in six directions, with both kinds of coarse operators (of degree 2 up to 23), and 6 to 50 where
# winds go round on periodic grids, where Chebyshev diverges.
UNSYMMETRIC, UNSYMMETRIC_DEGREE = "harmonic_ritz", 3


def growing(index: int, first: int = DEFAULT_DEGREE) -> int:
    """The default degree on a level: `first` on the finest, one more on each coarser one, at most
    6."""
    return min(first + index, 6)


def spelled(name: str) -> str:
    """The registry's spelling of a name: "red-black" and "red_black" are one smoother."""
    return name.replace("-", "_")


class Smoother:
    """What all descriptions of smoothers have: a frozen dataclass derives from it.

    Its symbol is registered with `mgtheory.fourier.relaxation.step_symbols`, its matrix with
    `mgtheory.multigrid.applied.set_up`. The defaults below are right for Fourier analysis of a
    smoother that keeps each Fourier mode.
    """

    @property
    def couples(self) -> bool:
        """Whether one step couples the modes theta + pi s, s in {0, 1}^d, as colours do."""
        return False

    @property
    def ordered(self) -> bool:
        """Whether the points may have an order of their own. Without one, what keeps the stencils
        keeps the spectrum, and Fourier analysis visits fewer frequencies."""
        return True


@dataclass(frozen=True)
class Polynomial(Smoother):
    """x <- x + p(BA) B (b - A x), error operator q(BA): a family, a given q, or both.

    Parameters
    ----------
    family
        A name of `mgtheory.families.FAMILIES`, derived for the operator of each level.
    degree
        Degree of q: products with A in one smoothing.
    polynomial
        A given q, for the finest level: converted by its record (`ResidualPolynomial.on`), and on
        coarser levels too where their operators are multiples of it; else `family` is derived anew
        where it is given too, as it is of initial coefficients; else q is scaled by the ratio of
        the spectra's upper ends.
    scaling
        B: ``identity``, ``diagonal`` (inverse diagonal), or ``auto``: that of the polynomial's
        record, else as `mgtheory.problems.record.choose_scaling` says.
    options
        Further keywords of the family's function, by name; kept as sorted pairs.

    Raises
    ------
    ValueError
        For an unknown family or scaling, neither family nor polynomial, or options without a
        family.
    """

    family: str | None = None
    degree: int = DEFAULT_DEGREE
    polynomial: ResidualPolynomial | None = None
    scaling: str = "auto"
    options: Mapping[str, Any] | Options = ()
    ordered = False

    def __post_init__(self) -> None:
        check_name(self.scaling, SCALINGS, "scaling")
        options = tuple(sorted((name, plain(v)) for name, v in dict(self.options).items()))
        object.__setattr__(self, "options", options)
        if self.family is None and self.polynomial is None:
            raise ValueError("a polynomial smoother needs a family or a polynomial")
        if self.family is None and options:
            raise ValueError("options belong to a family, a polynomial alone has none")
        if self.family is not None:
            get_family(self.family)
            object.__setattr__(self, "degree", check_degree(self.degree, family=self.family))
        if self.polynomial is not None:
            if not isinstance(self.polynomial, ResidualPolynomial):
                raise ValueError(f"polynomial is {self.polynomial!r}, must be a ResidualPolynomial")
            known = self.polynomial.operator
            if self.scaling == "auto" and known is not None and known.scaling is not None:
                object.__setattr__(self, "scaling", known.scaling)

    @property
    def signed(self) -> bool:
        """Whether it takes a spectrum with its sign: that of a negative definite A too."""
        if self.family is not None:
            return FAMILIES[self.family].needs == "operator"  # they see its sign
        known = None if self.polynomial is None else self.polynomial.operator
        return known is None or not known.positive

    def for_cycle(self, **around: Any) -> Polynomial:
        """That of a cycle, where a family by its name is made for one and was not told which.

        Parameters
        ----------
        around
            ``pre``, ``post``, ``coarsening``, ``restriction`` and ``interpolation`` of the cycle,
            as far as they are known. What the family takes by default, and no smoothing at all,
            changes nothing.
        """
        named = self.family is not None and self.polynomial is None
        if not named or (entry := FAMILIES[str(self.family)]).needs != "problem":
            return self
        known = inspect.signature(entry.function).parameters
        own = dict(self.options)
        if not {"pre", "post"}.isdisjoint(own):  # they belong together
            around = {name: v for name, v in around.items() if name not in ("pre", "post")}
        elif around.get("pre", 1) + around.get("post", 1) in (0, 2):
            around |= {"pre": 1, "post": 1}
        new = {
            name: value
            for name, value in around.items()
            if name in known and value != known[name].default
        }
        return replace(self, options=new | own)

    def on(
        self,
        record: OperatorRecord,
        finest: OperatorRecord | None = None,
        growth: float | None = None,
    ) -> ResidualPolynomial:
        """q for the BA of a level, from its record; on a coarser level from that of the finest too.

        A given q is there converted exactly (where the operators are proportional and the same axes
        are coarsened), else derived anew, else scaled by the `growth`: the largest eigenvalue here
        over that on the finest level; by default the ratio of the records' upper ends, which must
        then have been found in the same way.
        """
        given, family = self.polynomial, self.family
        if given is not None and (finest is None or _converts(given.operator, record)):
            return given.on(record)
        if family is not None and (
            finest is None or NEEDS[FAMILIES[family].needs].arguments(record) is not None
        ):
            return self._derived(record)
        assert finest is not None
        return self.on(finest).scaled(record.upper / finest.upper if growth is None else growth)

    def _derived(self, record: OperatorRecord) -> ResidualPolynomial:
        """The family's polynomial for an operator; where it is searched for, once for all multiples
        of that operator."""
        assert self.family is not None
        entry, form, options = FAMILIES[self.family], record.form, self.options
        if entry.needs != "problem" or not isinstance(form, tuple):
            return entry.on(self.degree, record, **dict(options))[0]
        of = getattr(record.source, "problem", record.source)  # that of a level, or itself
        if isinstance(of, Problem):
            cells: bool | None = of.boundary is Boundary.NEUMANN  # with transfers of their own
        else:
            offsets, values = zip(*form)
            of, cells = Stencil(offsets, np.array(values)), None
            if hasattr(record.source, "problem"):  # a level that is R A P, or a matrix
                options = self.for_cycle(coarsening="galerkin").options
        found = (self.family, self.degree, form, record.scaling, record.axes, cells, options)
        if found not in _SEARCHED:
            axes = "auto" if record.axes is None else record.axes
            unit = operator_record(of, scaling=record.scaling or "auto", axes=axes)
            _SEARCHED[found] = entry.on(self.degree, unit, **dict(options))[0]
        return _SEARCHED[found].on(record)


def _converts(known: OperatorRecord | None, record: OperatorRecord) -> bool:
    return (
        known is not None
        and known.form is not None
        and record.form is not None
        and (known.axes is None or known.axes == record.axes)
        and proportional(known.form, record.form)
    )


# what was searched for, seconds each; a polynomial is some hundred bytes
_SEARCHED: dict[Any, ResidualPolynomial] = {}


@dataclass(frozen=True)
class Jacobi(Smoother):
    """c = omega D^-1 r: damped Jacobi, D the diagonal (blocks of c x c for c channels).

    omega in (0, 2); 4/5 by default, best for the 5-point Laplacian: smoothing factor 0.6.
    """

    omega: float = 0.8
    ordered = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "omega", _check_omega(self.omega))


@dataclass(frozen=True)
class GaussSeidel(Smoother):
    """c = (D/omega + L)^-1 r: point by point in C order of the grid, or one colour after the other.

    Parameters
    ----------
    ordering
        ``lexicographic``; ``red_black``, the parity of the sum of the indices, even first; or
        ``multicolour``, the 2^d parities of the indices, exact Gauss-Seidel for compact stencils. A
        colour is relaxed at once, which for stencils that couple points of one colour (9-point,
        red-black) is a Jacobi step on it.
    backward
        The reverse order of points or colours.
    omega
        Over-relaxation, in (0, 2).
    """

    ordering: str = "lexicographic"
    backward: bool = False
    omega: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.ordering, str):
            object.__setattr__(self, "ordering", spelled(self.ordering))
        check_name(self.ordering, ORDERINGS, "ordering")
        object.__setattr__(self, "backward", plain(self.backward))
        if not isinstance(self.backward, bool):
            raise ValueError(f"backward is {self.backward!r}, must be True or False")
        object.__setattr__(self, "omega", _check_omega(self.omega))

    @property
    def couples(self) -> bool:
        """Whether it goes by colours."""
        return self.ordering in COLOURINGS


def _check_omega(omega: Any) -> float:
    value = check_number(omega, "omega", "larger than 0")
    if value >= 2:
        raise ValueError(f"omega is {omega!r}, must lie in (0, 2)")
    return value


SMOOTHERS: dict[str, Smoother] = {
    "jacobi": Jacobi(),
    "gauss_seidel": GaussSeidel(),
    "red_black": GaussSeidel("red_black"),
    "multicolour": GaussSeidel("multicolour"),
}


def called(given: Any) -> str:
    """What to call a smoother: its name in `SMOOTHERS`, or as it is written."""
    names = (name for name, one in SMOOTHERS.items() if type(one) is type(given) and one == given)
    return next(names, repr(given))


def smoother(given: Any, degree: int | None = None, *, scaling: str = "auto") -> Any:
    """The description of a smoother, from whatever names one.

    Parameters
    ----------
    given
        A name of `SMOOTHERS` or of a polynomial family ("-" and "_" are alike), a
        `ResidualPolynomial`, `InitialCoefficients`, a description, or a user's object, which is
        handed through: one with ``setup(level)`` for the sparse solver, or with ``symbols`` for
        Fourier analysis.
    degree
        Of a family given by its name; 2 by default.
    scaling
        B of a polynomial that does not bring its own.
    """
    if isinstance(given, str):
        name = spelled(given)
        if name in FAMILIES:
            return Polynomial(name, DEFAULT_DEGREE if degree is None else degree, scaling=scaling)
        if name not in SMOOTHERS:
            raise ValueError(
                f"unknown smoother {given!r}, known are: {', '.join([*FAMILIES, *SMOOTHERS])}"
            )
        if degree is not None:
            raise ValueError(
                f"a degree belongs to a polynomial family, not to the smoother {given!r}"
            )
        return SMOOTHERS[name]
    if degree is not None and not (isinstance(given, Polynomial) and given.polynomial is None):
        raise ValueError("a degree belongs to a polynomial family given by its name")
    if isinstance(given, ResidualPolynomial):
        return Polynomial(polynomial=given, scaling=scaling)
    if isinstance(given, Polynomial):
        return given if degree is None else replace(given, degree=degree)
    own = getattr(given, "polynomial", None)
    if isinstance(own, ResidualPolynomial) and hasattr(given, "family"):
        # what was derived for a spectrum and not for an operator, or with an option that no file
        # can hold, stays what it is, on every level
        options = given.provenance.get("options", {})
        known = given.operator.form is not None and given.family in FAMILIES
        family = given.family if known and None not in options.values() else None
        asked = given.provenance.get("degree_asked", own.degree)
        return Polynomial(family, asked, own, scaling, options if family else {})
    if isinstance(given, Smoother) or callable(given):
        return given
    if hasattr(given, "setup") or hasattr(given, "symbols"):
        return given
    raise ValueError(
        f"smoother is {given!r}, must be a name, a ResidualPolynomial, InitialCoefficients, a"
        " description of mgtheory.smoothers, an object with setup(level), or a callable of a level"
    )
