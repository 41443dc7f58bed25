"""A polynomial as one of D^-1 A, and what an export knows of it: its name among the engines, the
facts of the comment at the head of the file, the file itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import indent, wrap
from types import MappingProxyType
from typing import Any

import numpy as np

from mgtheory._checks import check_number
from mgtheory._files import write_atomically
from mgtheory.fourier.analysis import two_grid_factor
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.fourier.smoothing import smoothing_factor
from mgtheory.polynomials.classical import chebyshev, chebyshev4, chebyshev4_opt
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.scores import gamma
from mgtheory.problems.record import operator_record
from mgtheory.problems.stencils import Stencil
from mgtheory.spectra.record import OperatorRecord

WIDTH = 100
SAME = 1e-12  # relative difference of the roots of a family and of a polynomial that is one
TABLE = 16  # PETSc and Ifpack2 have the optimised fourth kind from a table that ends here
RULES = {"rediscretise": "rediscretised", "galerkin": "R A P"}


@dataclass(frozen=True)
class Kind:
    """What a polynomial is under a name that engines know: ``first``, ``fourth`` or ``opt_fourth``
    (Chebyshev) on [lower, upper], or ``equal``, damped Jacobi repeated."""

    name: str
    lower: float
    upper: float


@dataclass(frozen=True)
class Export:
    """A file for another engine.

    Attributes
    ----------
    target, text
        The engine, and the file.
    form
        What the polynomial became there, in a few words.
    beside
        Further files by their names, which belong into the same folder.
    """

    target: str
    text: str
    form: str
    beside: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self) -> str:
        return self.text

    def save(self, path: str | Path) -> tuple[Path, ...]:
        """Write the file, and those that belong beside it; returns their paths. A ValueError for
        the name of one of those."""
        if Path(path).name in self.beside:
            raise ValueError(f"{path} is what belongs beside the file, which needs another name")
        files = {Path(path): self.text}
        files |= {Path(path).parent / name: text for name, text in self.beside.items()}
        for file, text in files.items():
            write_atomically(file, text)
        return tuple(files)


@dataclass(frozen=True)
class Given:
    """The polynomial q of D^-1 A, real weights and pairs in Leja order, and what to say of it."""

    q: ResidualPolynomial
    kind: Kind | None
    facts: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]

    @property
    def upper(self) -> float:
        """b, of D^-1 A."""
        assert self.q.operator is not None
        return self.q.operator.upper

    @property
    def steps(self) -> list[tuple[float, float]]:
        """(w, k) of the corrections c = (w - k D^-1 A) D^-1 r, a product of q each: k = 0 for a
        real root 1/w; w = 2 Re(1/r), k = 1/|r|^2 for a pair. Roots at infinity do nothing."""
        pairs = [(float(w.real), float(w.imag), float(abs(w) ** 2)) for w in self.q.weights]
        return [(2 * x, k) if y else (x, 0.0) for x, y, k in pairs if y <= 0 and k]

    @property
    def called(self) -> str:
        """The polynomial in a few words: its family and degree."""
        return self.facts[0][1].partition(":")[0]

    def head(self, opening: str, *further: str) -> str:
        """The comment, as plain lines."""
        width, lines = max(len(name) for name, _ in self.facts) + 2, [opening, ""]
        for name, text in self.facts:
            lines += _lines(f"{name:<{width}}{text}", " " * width)
        for text in (*self.remarks, *further):
            lines += ["", *_lines(text)]
        return "\n".join(lines)


def _lines(text: str, hanging: str = "") -> list[str]:
    whole: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    # a record's words may hold what no source file may: zeros, escapes, lone surrogates
    text = "".join(c if c.isprintable() else " " for c in text)
    return wrap(text, WIDTH - 4, subsequent_indent=hanging, **whole)


def given(
    polynomial: ResidualPolynomial,
    family: str,
    provenance: Mapping[str, Any],
    lmax: float | None,
    scaling: str | None,
) -> Given:
    """What `mgtheory.export.engines.export` hands to an engine."""
    family = " ".join(family.split())  # a file of others may break lines here
    q, how, remarks = _of_diagonal(polynomial, lmax, scaling)
    if not q.weights.any():
        raise ValueError("all roots are infinite: this polynomial does nothing")
    return Given(q, kind(q, family), _facts(q, polynomial, family, provenance, how), remarks)


def kind(q: ResidualPolynomial, family: str = "") -> Kind | None:
    """The name under which engines know q, found by its roots whatever made it; None if there is
    none. Where several fit, as for degree 1, that of the `family` comes first."""
    if not q.is_real_rooted or not (q.weights.real > 0).all():
        return None
    roots, k = np.sort(q.roots.real), q.degree
    low, high = float(roots[0]), float(roots[-1])
    centre, half = (high + low) / 2, (high - low) / 2 / np.cos(np.pi / (2 * k))
    a, b = float(centre - half), float(centre + half)
    if k == 1:  # the interval that ends at b, if there is one
        b = q.operator.upper if q.operator is not None else 1.5 * high
        a, b = (2 * high - b, b) if 0 < 2 * high - b < b else (high / 2, 1.5 * high)
    fourth, optimised = (
        high / float(made(k, lmax=1.0).roots.real.max()) for made in (chebyshev4, chebyshev4_opt)
    )
    of = {
        "chebyshev": (Kind("first", a, b), lambda: chebyshev(k, interval=(a, b))),
        "chebyshev4": (Kind("fourth", 0.0, fourth), lambda: chebyshev4(k, lmax=fourth)),
        "chebyshev4_opt": (
            Kind("opt_fourth", 0.0, optimised),
            lambda: chebyshev4_opt(k, lmax=optimised),
        ),
    }
    for name in sorted(of, key=lambda name: name != family):
        found, made = of[name]
        if name == "chebyshev" and not 0 < a < b:
            continue
        if np.allclose(np.sort(made().roots.real), roots, rtol=SAME, atol=0):
            return found
    return Kind("equal", low, high) if high - low <= SAME * high else None


def _of_diagonal(
    q: ResidualPolynomial, lmax: float | None, scaling: str | None
) -> tuple[ResidualPolynomial, str, tuple[str, ...]]:
    """The polynomial of D^-1 A, how it became one, and what to be told of it."""
    record = q.operator
    if record is None:
        raise ValueError("the polynomial has no record of its operator; derive it for one")
    if lmax is not None:
        b = check_number(lmax, "lmax", "larger than 0")
        c = b / record.upper
        own = OperatorRecord("interval", "D^-1 A", b, c * record.lower, "diagonal")
        own = replace(own, positive=record.positive)
        return q.scaled(c).of(own), f"given; roots times {c:.6g}", ()
    if record.kind == "level":
        raise ValueError(
            f"the polynomial is for {record}, which the engine does not have: give lmax, the"
            " largest eigenvalue of D^-1 A where it is applied (2 for 5- and 7-point Laplacians)"
        )
    if record.scaling == "diagonal" or (record.scaling is None and scaling):
        return q.of(replace(record, scaling="diagonal")), record.found, ()
    if record.scaling is None:
        raise ValueError(
            f"the polynomial is for {record}: of which BA is not said, and the engines apply D^-1"
            " A; say scaling='diagonal' if it is that one, or give lmax, its largest eigenvalue"
        )
    if not isinstance(record.form, tuple):
        if record.diagonal is not None:
            own = replace(record.times(1 / record.diagonal), scaling="diagonal", diagonal=None)
            return q.scaled(1 / record.diagonal).of(own), record.found, ()
        raise ValueError(
            f"the polynomial is for {record}, B = I, and the engines apply D^-1 A, another"
            " operator: derive it with scaling='diagonal', or give lmax, its"
            " largest eigenvalue"
        )
    taps = dict(record.form)
    centre = taps.get((0,) * len(next(iter(taps))), 0.0)
    if not centre > 0:
        raise ValueError(f"the diagonal of {record} is not positive: change the sign of A first")
    remarks: tuple[str, ...] = ()
    if record.padding == "neumann":
        remarks = (
            "Beside a Neumann boundary the diagonal of A is smaller than inside: q was derived for"
            " A itself, and D^-1 A differs from a multiple of A in these rows.",
        )
    target = _of_stencil(record)[1]
    own = replace(record.times(target.upper / record.upper), scaling="diagonal")
    return q.on(target).of(own), record.found, remarks


def _of_stencil(record: OperatorRecord) -> tuple[Stencil, OperatorRecord]:
    """The stencil of an operator up to a factor, and the record of its D^-1 A."""
    assert isinstance(record.form, tuple)
    offsets, values = zip(*record.form)
    stencil = Stencil(offsets, np.array(values))
    axes = "auto" if record.axes is None else record.axes
    return stencil, operator_record(stencil, scaling="diagonal", axes=axes)


def _facts(
    q: ResidualPolynomial,
    derived: ResidualPolynomial,
    family: str,
    provenance: Mapping[str, Any],
    how: str,
) -> tuple[tuple[str, str], ...]:
    """The comment block of every target: B, b and how it was found, degree, provenance, factor."""
    record, source = q.operator, derived.operator
    assert record is not None
    assert source is not None
    a, b = record.interval
    formula, versions = provenance.get("formula"), provenance.get("versions")
    version = versions.get("polymgnet") if isinstance(versions, Mapping) else None
    roots = " ".join(_number(r) for r in q.roots)
    facts = {
        "polynomial": f"{family or 'given by its roots'}, degree {q.degree}: products with A in one"
        " smoothing",
        "made for": str(source),
        "by": "; ".join(
            [str(formula or "its roots"), *([f"polymgnet {version}"] if version else [])]
        ),
        "B": "D^-1, the inverse diagonal of A (Jacobi)",
        "lmax": f"{b!r} of D^-1 A ({how})"
        + (f"; made for [{a!r}, {b!r}]" if a and record.positive else ""),
        "roots": f"{roots} (of D^-1 A, Leja order)",
        "predicted": predicted(q),
    }
    return tuple(facts.items())


def predicted(q: ResidualPolynomial) -> str:
    """What q leaves, from the record of its operator: by local Fourier analysis where its stencil
    is known, else max |q| on the interval it was made for, else gamma."""
    record = q.operator
    assert record is not None
    if isinstance(record.form, tuple):
        try:
            stencil, own = _of_stencil(record)
            bare, axes = q.of(own), own.axes or "auto"
            mu = smoothing_factor(stencil, bare, axes=axes).factor
            rule = LocalCycle(stencil, bare, axes=axes).coarsening
            two = two_grid_factor(stencil, bare, axes=axes, coarsening=rule).factor
        except ValueError as error:
            return f"nothing: {error}"
        return (
            f"smoothing factor {mu:.4g}, two grids with one smoothing before and one after"
            f" {two:.4g} (local Fourier analysis, coarse operators {RULES[str(rule)]})"
        )
    if record.lower > 0 and record.positive:
        t = np.linspace(record.lower, record.upper, 64 * (q.degree + 1))
        return f"max |q| {np.abs(q(t)).max():.4g} on [{record.lower:.6g}, {record.upper:.6g}]"
    if record.positive and q.is_real_rooted:
        worst = gamma(q, lmax=record.upper)
        if not np.isfinite(worst):
            return "no smoother for a V-cycle: |q| reaches 1 or more within (0, lmax]"
        return f"||E||_A <= C/(C + {1 / worst:.4g}) of a V-cycle, C its approximation constant"
    return "nothing: its spectrum is not known to be real and positive"


def _number(r: complex) -> str:
    return f"{r.real:.10g}" if not r.imag else f"{r.real:.10g}{r.imag:+.10g}i"


def commented(text: str) -> str:
    """The text as lines of a comment."""
    return indent(text, "# ", lambda line: True).replace("# \n", "#\n") + "\n"
