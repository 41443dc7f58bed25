"""A polynomial in the words of other engines: PETSc, hypre, Trilinos (Ifpack2) and PyAMG.

All of them apply q to D^-1 A, D the diagonal of A (PyAMG's tuple of Chebyshev: to A), so the
polynomial is converted to that operator first, exactly, or refused. `kind` then asks whether it is
one that the engine knows by name; what an engine cannot apply is refused in one line, and what it
applies in another way than it was derived is named in the comment at the head of the file.

What each engine does with its options was read from its source: PETSc 3.26 (`KSPCHEBYSHEV`,
`PCCOMPOSITE`), hypre's relaxation 16, Trilinos' `Ifpack2::Chebyshev` with MueLu around it, PyAMG
5.4. PETSc's and PyAMG's are run against this package's own solver (`tests/petsc`,
`tests/mgtheory/test_export.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import indent, wrap
from types import MappingProxyType
from typing import Any

import numpy as np

from mgtheory._checks import check_number
from mgtheory._files import write_atomically
from mgtheory.fourier.analysis import smoothing_factor, two_grid_factor
from mgtheory.fourier.cycle import LocalCycle
from mgtheory.polynomials.classical import chebyshev, chebyshev4, chebyshev4_opt
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.polynomials.scores import gamma
from mgtheory.problems.record import operator_record
from mgtheory.problems.stencils import Stencil
from mgtheory.spectra.record import OperatorRecord

WIDTH = 100
SAME = 1e-12  # relative difference of the roots of a family and of a polynomial that is one
TABLE = 16  # PETSc and Ifpack2 have the optimised fourth kind from a table that ends here
HYPRE_ORDERS = 4
PYTHON_PC = "polymgnet_pc"  # the module that PETSc imports for complex pairs
RULES = {"rediscretise": "rediscretised", "galerkin": "R A P"}
ON_LEVELS = "mg_levels_"  # PETSc's prefix of what smooths on every level but the coarsest


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
class _Given:
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


def export(
    polynomial: ResidualPolynomial,
    to: str,
    *,
    family: str = "",
    provenance: Mapping[str, Any] = MappingProxyType({}),
    lmax: float | None = None,
    scaling: str | None = None,
) -> Export:
    """The polynomial for an engine.

    Parameters
    ----------
    polynomial
        With the record of the operator it was derived for.
    to
        ``petsc``: a file for ``-options_file``. Chebyshev's kinds by their names, other real roots
        as one Richardson step each, complex pairs by a PC in Python that lies beside the file.
        ``hypre``: calls of BoomerAMG, for the first kind up to degree 4. ``trilinos``: a
        ParameterList of Ifpack2, for the three kinds of Chebyshev. ``pyamg``: a Python file, for
        any polynomial.
    family, provenance
        Where it comes from, as in `mgtheory.derive.InitialCoefficients`.
    lmax
        The largest eigenvalue of D^-1 A where the polynomial will be applied: q is stretched to it.
        Needed for the level of a network, whose own A that is not.
    scaling
        ``diagonal`` says that a spectrum that came without an operator is that of D^-1 A.

    Raises
    ------
    ValueError
        For an unknown engine, a polynomial that it cannot apply, or one that cannot be converted to
        D^-1 A.

    Examples
    --------
    >>> q = chebyshev(2, interval=(0.5, 2.0)).of(operator_record((0.5, 2.0)))
    >>> print(*export(q, "petsc", scaling="diagonal").text.splitlines()[-6:], sep="\\n")
    -mg_levels_ksp_type chebyshev
    -mg_levels_ksp_chebyshev_kind first
    -mg_levels_ksp_chebyshev_eigenvalues 0.5,2.0
    -mg_levels_ksp_max_it 2
    -mg_levels_ksp_norm_type none
    -mg_levels_pc_type jacobi
    """
    if to not in TARGETS:
        raise ValueError(f"unknown engine {to!r}, allowed are {', '.join(TARGETS)}")
    if scaling not in (None, "diagonal"):
        raise ValueError(f"scaling is {scaling!r}, the engines apply D^-1 A: diagonal, or nothing")
    family = " ".join(family.split())  # a file of others may break lines here
    q, how, remarks = _of_diagonal(polynomial, lmax, scaling)
    if not q.weights.any():
        raise ValueError("all roots are infinite: this polynomial does nothing")
    return TARGETS[to](
        _Given(q, kind(q, family), _facts(q, polynomial, family, provenance, how), remarks)
    )


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
        raise ValueError(
            f"the polynomial is for {record}, B = I, and the engines apply D^-1 A, another"
            " operator: derive it with scaling='diagonal', or give lmax, its largest eigenvalue"
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


def _commented(text: str, mark: str = "#") -> str:
    return indent(text, f"{mark} ", lambda line: True).replace(f"{mark} \n", f"{mark}\n") + "\n"


# ------------------------------------------------------------------------------------------ PETSc

_PETSC_LEVELS = (
    "The options smooth every level of -pc_type mg or gamg but the coarsest by the same q of D^-1"
    " A, whose spectrum must end at lmax there too, as it does for a rediscretised Laplacian; else"
    " give each level its own file, with mg_levels_1_ (the coarsest but one), mg_levels_2_, ... in"
    " the place of mg_levels_."
)
_PETSC_ONCE = (
    "PETSc appends the steps whenever the KSP that they belong to reads its options, and the new"
    " ones are its default solvers. Multigrid has each level read them once, in its set-up: call"
    " KSPSetFromOptions once, and for no KSP of a level."
)
_PETSC_PYTHON = (
    f"Complex pairs need {PYTHON_PC}.py, which lies beside this file and reads its steps from it:"
    " PYTHONPATH must name its folder, and the program must be one of petsc4py (or PETSc be built"
    " with it)."
)

_PYTHON_PC = '''"""q(D^-1 A) as a preconditioner of PETSc, by the option pc_polynomial_steps."""

from petsc4py import PETSc


class Polynomial:
    """Corrections c = (w - k D^-1 A) D^-1 r, one for each pair w,k; k = 0 is a real root 1/w."""

    def setFromOptions(self, pc):
        given = PETSc.Options(pc.getOptionsPrefix()).getRealArray("pc_polynomial_steps")
        self.steps = list(zip(given[::2], given[1::2]))

    def setUp(self, pc):
        self.A = pc.getOperators()[0]
        self.inverse = self.A.getDiagonal()
        self.inverse.reciprocal()
        self.s, self.c, self.z = (self.inverse.duplicate() for _ in range(3))

    def apply(self, pc, r, x):
        s, c, z = self.s, self.c, self.z
        r.copy(s)
        x.set(0.0)
        for n, (w, k) in enumerate(self.steps, start=1):
            c.pointwiseMult(self.inverse, s)
            if k:
                self.A.mult(c, z)
                z.pointwiseMult(self.inverse, z)
                c.axpby(-k, w, z)
            else:
                c.scale(w)
            x.axpy(1.0, c)
            if n < len(self.steps):
                self.A.mult(c, z)
                s.axpy(-1.0, z)
'''


def _petsc(given: _Given) -> Export:
    own, beside, remarks = given.kind, {}, [_PETSC_LEVELS]
    degree = {"ksp_max_it": str(given.q.degree), "ksp_norm_type": "none", "pc_type": "jacobi"}
    once = degree | {"ksp_max_it": "1"}
    if own is not None and own.name == "equal":
        form = "equal steps of Richardson"
        options = {"ksp_type": "richardson", "ksp_richardson_scale": f"{1 / own.upper!r}", **degree}
    elif own is not None and not (own.name == "opt_fourth" and given.q.degree > TABLE):
        form = f"its Chebyshev of kind {own.name}"
        # PETSc refuses a lower end of 0, and the fourth kinds do not look at it
        lower = own.lower or own.upper / 10
        if not own.lower:
            remarks.append("The fourth kinds need no lower end; PETSc wants one and ignores it.")
        options = {
            "ksp_type": "chebyshev",
            "ksp_chebyshev_kind": own.name,
            "ksp_chebyshev_eigenvalues": f"{lower!r},{own.upper!r}",
            **degree,
        }
    elif given.q.is_real_rooted:
        form = "a composite of one Richardson step per root"
        remarks.append(_PETSC_ONCE)
        options = {"ksp_type": "richardson", **once, "pc_type": "composite"}
        options["pc_composite_type"] = "multiplicative"
        options["pc_composite_pcs"] = ",".join("ksp" for _ in given.steps)
        for i, (w, _) in enumerate(given.steps):
            step = {"ksp_type": "richardson", "ksp_richardson_scale": repr(w), **once}
            options |= {f"sub_{i}_ksp_{name}": value for name, value in step.items()}
    else:
        form = "a PC in Python"
        beside[f"{PYTHON_PC}.py"] = _PYTHON_PC
        remarks.append(_PETSC_PYTHON)
        options = {"ksp_type": "richardson", **once, "pc_type": "python"}
        options["pc_python_type"] = f"{PYTHON_PC}.Polynomial"
        options["pc_polynomial_steps"] = ",".join(f"{w!r},{k!r}" for w, k in given.steps)
    head = given.head("Options for PETSc: -options_file THIS_FILE", *remarks)
    lines = [f"-{ON_LEVELS}{name} {value}\n" for name, value in options.items()]
    return Export("petsc", _commented(head) + "".join(lines), form, MappingProxyType(beside))


# ------------------------------------------------------------------------------ hypre and Trilinos

_HYPRE = (
    "hypre takes no eigenvalues: on each level it estimates the largest and the smallest one by 10"
    " steps of CG, and damps from smallest + fraction (1.1 largest - smallest) to 1.1 largest. That"
    " is [{a:.6g}, {b:.6g}], for which the polynomial was made, where the estimates are"
    " {estimate:.4g} and about 0, and another interval where they are not."
)


def _hypre(given: _Given) -> Export:
    own = kind(given.q, "chebyshev")  # of degree 1 every polynomial is one
    if own is None or own.name != "first" or given.q.degree > HYPRE_ORDERS:
        raise ValueError(
            f"hypre's relaxation 16 is Chebyshev of the first kind, of degree 1 to {HYPRE_ORDERS};"
            f" this polynomial, {_called(given)}, is none: derive --family chebyshev, or export to"
            " petsc or pyamg"
        )
    calls = {
        "RelaxType": "16",
        "NumSweeps": "1",
        "ChebyOrder": str(given.q.degree),
        "ChebyFraction": repr(own.lower / own.upper),
        "ChebyVariant": "0",
        "ChebyScale": "1",
        "ChebyEigEst": "10",
    }
    remark = _HYPRE.format(a=own.lower, b=own.upper, estimate=own.upper / 1.1)
    head = given.head("Chebyshev smoothing in hypre's BoomerAMG", remark)
    head = indent(head, " * ", lambda _: True)
    lines = [f"HYPRE_BoomerAMGSet{name}(solver, {value});\n" for name, value in calls.items()]
    text = "/*\n" + head.replace("*/", "* /").replace(" * \n", " *\n") + "\n */\n" + "".join(lines)
    return Export("hypre", text, f"relaxation 16 of order {given.q.degree}")


_MUELU = (
    "MueLu gives this list to every level, whose D^-1 A must end at lmax too, and raises the ratio"
    " to the number of fine over that of coarse unknowns where that is larger: the interval of the"
    " first kind then begins lower on that level."
)


def _trilinos(given: _Given) -> Export:
    own, degree = given.kind, given.q.degree
    if own is None or own.name == "equal":
        raise ValueError(
            "Ifpack2 has Chebyshev of the first, fourth and optimised fourth kind; this polynomial,"
            f" {_called(given)}, is none of them: export to petsc or pyamg"
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


def _called(given: _Given) -> str:
    return given.facts[0][1].partition(":")[0]


# ------------------------------------------------------------------------------------------ PyAMG

_PYAMG_CHEBYSHEV = (
    "PyAMG applies it to A, not D^-1 A, and takes the bounds times its own estimate of the largest"
    " eigenvalue of A on each level, found in some steps from a random start: the interval is that"
    " above up to this estimate. `attach` takes lmax from here."
)

_PYAMG_ATTACH = '''STEPS = {steps}


def attach(ml, lmax={lmax!r}):
    """Smooth every level of a hierarchy but the coarsest by q; lmax bounds D^-1 A there, None takes
    PyAMG's estimate of it on each level."""
    for level in ml.levels[:-1]:
        level.presmoother = level.postsmoother = smoother_of(level.A, lmax)
    ml.symmetric_smoothing = True
    return ml


def smoother_of(A, lmax={lmax!r}):
    """The function smooth(A, x, b), in place, of a matrix."""
    inverse = 1.0 / A.diagonal()
    stretch = {lmax!r} / (rho_D_inv_A(A.tocsr()) if lmax is None else lmax)

    def smooth(A, x, b):
        D = inverse.reshape(-1, *(1,) * (x.ndim - 1))
        for w, k in STEPS:
            s = D * (b - A @ x)
            x += stretch * (w * s - stretch * k * (D * (A @ s)) if k else w * s)

    return smooth
'''


def _pyamg(given: _Given) -> Export:
    own, steps = kind(given.q, "chebyshev"), given.steps
    remarks, tuple_ = ["attach(ml) smooths a hierarchy of PyAMG by q of D^-1 A, exactly."], ""
    if own is not None and (own.name == "equal" or len(steps) == 1):
        jacobi = f'{{"omega": {steps[0][0]!r}, "iterations": {len(steps)}, "withrho": False}}'
        tuple_ = f'SMOOTHER = ("jacobi", {jacobi})\n'
        remarks.append("SMOOTHER is for presmoother= and postsmoother=, and the same.")
    elif own is not None and own.name == "first":
        a, b = own.lower / given.upper, own.upper / given.upper
        bounds = {"lower_bound": a, "upper_bound": b, "degree": given.q.degree}
        tuple_ = f'SMOOTHER = ("chebyshev", {json.dumps(bounds)})\n'
        remarks.append(f"SMOOTHER is for presmoother= and postsmoother=. {_PYAMG_CHEBYSHEV}")
    else:
        remarks.append(
            "PyAMG has no tuple for it: its polynomials are Chebyshev of the first kind alone."
        )
    head = given.head("Smoothing in PyAMG", *remarks)
    lines = ",\n".join(f"    ({w!r}, {k!r})" for w, k in steps)
    body = _PYAMG_ATTACH.format(
        steps=f"(  # (w, k): c = (w - k D^-1 A) D^-1 r\n{lines},\n)", lmax=given.upper
    )
    text = (
        f"{_commented(head)}\nfrom pyamg.relaxation.smoothing import rho_D_inv_A\n\n{tuple_}{body}"
    )
    form = (
        f"the tuple {tuple_.split('(')[1].split(',')[0]} and a function" if tuple_ else "a function"
    )
    return Export("pyamg", text, form)


TARGETS: dict[str, Callable[[_Given], Export]] = {
    "petsc": _petsc,
    "hypre": _hypre,
    "trilinos": _trilinos,
    "pyamg": _pyamg,
}
