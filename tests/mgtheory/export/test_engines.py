"""What is exported means, to each engine, the polynomial that was derived; PETSc's own residual
norms are those of our hierarchy."""

import sys
import types
from functools import partial

import numpy as np
import pyamg
import pytest
from pyamg.relaxation.smoothing import change_smoothers

from mgtheory import derive
from mgtheory.export import PYTHON_PC, kind
from mgtheory.problems.catalogue import create

from ...petsc import ours
from .read import POISSON, T, by_hypre, by_ifpack2, by_petsc, words

ENDS = (0.5, 2.0)
SOME = [
    *(("chebyshev", k) for k in (1, 2, 4, 9)),
    *(("chebyshev4", k) for k in (1, 3, 20)),
    *(("chebyshev4_opt", k) for k in (1, 4, 16, 17)),
    *[("richardson", 3), ("mls", 4), ("minimax", 3), ("bounded", 2)],
]


@pytest.mark.parametrize(("family", "degree"), SOME)
def test_the_engines_apply_the_polynomial(family, degree):
    start = derive(family, degree, ENDS)
    expected, of = start.polynomial(T), {"scaling": "diagonal"}
    close = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(by_petsc(start.export("petsc", **of).text, T), expected, **close)
    found = kind(start.polynomial)
    named = found is not None and found.name != "equal"
    assert named == family.startswith(("chebyshev", "minimax")) or degree == 1
    if not named or (found.name == "opt_fourth" and degree > 16):
        with pytest.raises(ValueError, match=r"Ifpack2 has .* export to petsc or pyamg"):
            start.export("trilinos", **of)
    else:
        np.testing.assert_allclose(
            by_ifpack2(start.export("trilinos", **of).text, T), expected, **close
        )
    if found is not None and found.name == "first" and degree <= 4:
        text = start.export("hypre", **of).text
        np.testing.assert_allclose(by_hypre(text, T, ENDS[1]), expected, **close)
    else:
        with pytest.raises(ValueError, match="relaxation 16 is Chebyshev of the first kind"):
            start.export("hypre", **of)


def test_ifpack2_takes_an_end_of_one_for_a_diagonal_matrix():
    start = derive("chebyshev", 3, (0.2, 1.0))
    text = start.export("trilinos", scaling="diagonal").text
    np.testing.assert_allclose(by_ifpack2(text, T), start.polynomial(T), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ours.CASES)
def test_petsc_gets_each_of_its_forms(name):
    start = ours.CASES[name]
    text = start.export("petsc").text
    values = words(text)
    form = {"negative": "composite", "equal": "richardson"}.get(name, name)
    assert form in {values.get(f"mg_levels_{key}", "") for key in ("ksp_type", "pc_type")} | {
        values.get("mg_levels_ksp_chebyshev_kind")
    }
    np.testing.assert_allclose(by_petsc(text, T), ours.converted(start)(T), rtol=1e-11, atol=1e-12)


# --------------------------------------------------------------------------------- PETSc, recorded


@pytest.mark.parametrize("run", ours.RUNS)
def test_petsc_has_the_residual_norms_of_our_hierarchy(run):
    """As `make petsc` recorded them. Sums in another order leave 1e-14 of the first norm, and of
    one that has fallen by 1e-14 three digits."""
    mine, theirs = ours.history(run), ours.recorded()["histories"]
    assert len(mine) == ours.STEPS + 1
    assert mine[-1] < 0.05
    for processes in (1, 2):
        np.testing.assert_allclose(theirs[f"{run} {processes}"], mine, rtol=0, atol=1e-12)
        np.testing.assert_allclose(theirs[f"{run} {processes}"], mine, rtol=0.01)


class Vector:
    """As much of petsc4py's Vec as a smoother needs."""

    def __init__(self, v):
        self.v = np.array(v, dtype=float)

    def reciprocal(self):
        self.v = 1 / self.v

    def duplicate(self):
        return Vector(np.full_like(self.v, np.nan))

    def copy(self, other):
        other.v[:] = self.v

    def set(self, value):
        self.v[:] = value

    def scale(self, a):
        self.v *= a

    def axpy(self, a, x):
        self.v += a * x.v

    def axpby(self, a, b, x):
        self.v[:] = a * x.v + b * self.v

    def pointwiseMult(self, x, y):
        self.v[:] = x.v * y.v


def test_the_pc_in_python_applies_the_polynomial(monkeypatch):
    """With a matrix in the place of PETSc's; `make petsc` runs it in PETSc."""
    start, A = ours.CASES["python"], POISSON.A.toarray() * np.arange(1.0, 3.0, 2 / 225)[:, None]
    made = start.export("petsc")
    steps = list(map(float, words(made.text)["mg_levels_pc_polynomial_steps"].split(",")))
    options = types.SimpleNamespace(getRealArray={"pc_polynomial_steps": steps}.get)
    module = types.SimpleNamespace(PETSc=types.SimpleNamespace(Options=lambda prefix: options))
    monkeypatch.setitem(sys.modules, "petsc4py", module)
    space = {}
    exec(made.beside[f"{PYTHON_PC}.py"], space)
    matrix = types.SimpleNamespace(
        getDiagonal=lambda: Vector(np.diag(A)), mult=lambda x, y: Vector(A @ x.v).copy(y)
    )
    pc = types.SimpleNamespace(getOptionsPrefix=str, getOperators=lambda: (matrix, matrix))
    own, r = space["Polynomial"](), np.random.default_rng(0).standard_normal(len(A))
    own.setFromOptions(pc)
    own.setUp(pc)
    x = Vector(np.nan * r)
    own.apply(pc, Vector(r), x)
    np.testing.assert_allclose(x.v, start.polynomial.apply(A, r, 1 / np.diag(A)), rtol=1e-11)


# ------------------------------------------------------------------------------------------- PyAMG


def residuals(ml, b):
    found = []
    ml.solve(b, maxiter=5, tol=1e-14, residuals=found)
    return np.array(found)


@pytest.mark.parametrize(
    ("family", "degree", "tuple_"),
    [
        ("chebyshev", 3, "chebyshev"),
        ("chebyshev4", 2, "chebyshev"),  # one on another interval
        ("richardson", 3, "jacobi"),
        ("chebyshev4_opt", 3, None),
    ],
)
def test_pyamg_has_the_residual_norms_of_our_polynomial_in_its_cycles(family, degree, tuple_):
    problem = create("poisson2d", n=24)
    b = np.random.default_rng(1).standard_normal(24 * 24)
    start, space = derive(family, degree, problem), {}
    exec(start.export("pyamg").text, space)
    ml = pyamg.ruge_stuben_solver(problem.A.tocsr(), max_coarse=10)
    q = start.polynomial.scaled(1 / problem.A.diagonal()[0]).of(None)

    def ours(polynomial, *, scaled):
        """With a function of ours on every level."""
        for level in ml.levels[:-1]:
            B = 1 / level.A.diagonal() if scaled else None
            own = partial(polynomial(level.A).smooth, B=B)

            def smooth(A, x, b, own=own):
                x[:] = own(A, x, b)

            level.presmoother = level.postsmoother = smooth
        return residuals(ml, b)

    expected = ours(lambda A: q, scaled=True)
    close = {"rtol": 0, "atol": 1e-12 * expected[0]}
    assert expected[-1] < 1e-3 * expected[0]
    np.testing.assert_allclose(residuals(space["attach"](ml), b), expected, **close)
    # without lmax: PyAMG's estimate of it on the level, which it keeps
    expected = ours(lambda A: q.scaled(space["rho_D_inv_A"](A) / 2), scaled=True)
    np.testing.assert_allclose(residuals(space["attach"](ml, None), b), expected, **close)
    assert space.get("SMOOTHER", (None,))[0] == tuple_
    if tuple_:
        end = pyamg.util.linalg.approximate_spectral_radius
        expected = (  # Chebyshev's is one of A, up to PyAMG's estimate
            ours(lambda A: q.scaled(end(A) / 2), scaled=False)
            if tuple_ == "chebyshev"
            else ours(lambda A: q, scaled=True)
        )
        change_smoothers(ml, space["SMOOTHER"], space["SMOOTHER"])
        np.testing.assert_allclose(residuals(ml, b), expected, **close)


def test_pyamg_takes_pairs_and_columns():
    start, space = ours.CASES["python"], {}
    exec(start.export("pyamg").text, space)
    A, b = POISSON.A.tocsr(), np.arange(225.0)[:, None] % 7
    B, upper = 1 / A.diagonal(), start.operator.upper
    for lmax, factor in (((), 1.0), ((None,), space["rho_D_inv_A"](A) / upper)):
        x = np.ones_like(b)
        space["smoother_of"](A, *lmax)(A, x, b)
        q = start.polynomial.scaled(factor)
        np.testing.assert_allclose(x, q.smooth(A, np.ones_like(b), b, B), rtol=1e-11)
    assert space["attach"](types.SimpleNamespace(levels=[])).symmetric_smoothing  # cg may take it


def test_roots_at_infinity_cost_no_product():
    start = ours.by_hand(1.8, np.inf, 0.7, 0.2)
    text = start.export("petsc").text
    assert words(text)["mg_levels_pc_composite_pcs"] == "ksp,ksp,ksp"
    np.testing.assert_allclose(by_petsc(text, T), start.polynomial(T), rtol=1e-11)
