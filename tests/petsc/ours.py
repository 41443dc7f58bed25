"""The cases of the twin: polynomials that PETSc applies in each of its ways, and the residual norms
that this package's own hierarchy has with them."""

import itertools
import json
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import mgtheory
from mgtheory import Hierarchy, InitialCoefficients, ResidualPolynomial
from mgtheory.problems.record import operator_record
from mgtheory.smoothers import Polynomial

RECORD = Path(__file__).parent / "histories.json"
N, LEVELS, STEPS = 63, 4, 6
PROBLEM = mgtheory.poisson((N, N))
CUBE, CUBES = 17, 3  # ex45.c: points per axis, its boundary among them, and levels


def by_hand(*roots):
    """Initial coefficients with these roots of D^-1 A."""
    q = ResidualPolynomial(roots).of(operator_record(PROBLEM, scaling="diagonal"))
    return InitialCoefficients(q, "learned", {})


# what PETSc makes of a polynomial -> one that becomes it
CASES = {
    "first": mgtheory.derive("chebyshev", 2, PROBLEM),
    "fourth": mgtheory.derive("chebyshev4", 3, PROBLEM),
    "opt_fourth": mgtheory.derive("chebyshev4_opt", 4, PROBLEM),
    "equal": mgtheory.derive("richardson", 3, PROBLEM),
    "composite": mgtheory.derive("mls", 7, PROBLEM),
    "negative": by_hand(1.8, 0.7, -9.0),
    "python": by_hand(1.7, 0.9 + 0.4j, 0.9 - 0.4j, 0.5),
}
# by both programs, with Richardson (plain cycles) and with cg
RUNS = {
    f"poisson {ksp} {name}": (ksp, name)
    for ksp, name in itertools.product(("richardson", "cg"), CASES)
    if not (ksp == "cg" and name == "negative")  # M is not positive definite
} | {f"ex45 richardson {name}": ("ex45", name) for name in ("first", "opt_fourth", "composite")}


def options(ksp):
    """What PETSc is told beside the exported file."""
    solver = "cg" if ksp == "cg" else "richardson"
    common = f"-ksp_type {solver} -ksp_max_it {STEPS} -ksp_rtol 1e-16".split()
    if ksp != "ex45":
        return [*common, "-n", str(N), "-levels", str(LEVELS)]
    grid = [word for axis in "xyz" for word in (f"-da_grid_{axis}", str(CUBE))]
    multigrid = f"-pc_type mg -pc_mg_levels {CUBES} -pc_mg_galerkin both".split()
    return [*common, *grid, *multigrid, "-ksp_norm_type", "unpreconditioned", "-ksp_monitor"]


def history(run):
    """The residual norms of one of RUNS by our hierarchy, relative to the first."""
    ksp, name = RUNS[run]
    start = CASES[name]
    if ksp == "ex45":
        A, b = cube(CUBE)
        q = converted(start)
        # the same q of D^-1 A on every level, as the options say it
        hierarchy = Hierarchy.build(
            A,
            shape=(CUBE,) * 3,
            smoother=lambda level: Polynomial(polynomial=q, scaling="diagonal"),
            transfers=linear,
            nullspace=None,
        )
    else:
        A, n = PROBLEM.A, N * N
        b = np.arange(n) * 7919 % 1009 / 1009 - 0.5
        hierarchy = Hierarchy.build(PROBLEM, smoother=start, max_levels=LEVELS)
    if ksp == "cg":
        found = mgtheory.multigrid.krylov.krylov(hierarchy, A, b, tol=1e-16, maxiter=STEPS)
    else:
        found = hierarchy.solve(b, tol=1e-16, maxiter=STEPS)
    return np.array(found.residual_norms) / found.residual_norms[0]


def converted(start):
    """The polynomial of D^-1 A of the 5-point Laplacian, without its record."""
    on = operator_record(mgtheory.problems.stencils.laplacian(2), scaling="diagonal")
    return start.polynomial.on(on).of(None) if start.family != "learned" else start.polynomial


def cube(n):
    """A and b of PETSc's ksp/tutorials/ex45.c: the 7-point Laplacian times h, u = 1 on the
    boundary, whose points are unknowns with rows of their own."""
    h, line = 1 / (n - 1), np.ones(n)
    second = sp.diags_array([-line[1:], 2 * line, -line[1:]], offsets=[-1, 0, 1])
    one = sp.eye_array(n)
    whole = sum(
        sp.kron(sp.kron(*(second if k == j else one for k in range(2))), second if j == 2 else one)
        for j in range(3)
    )
    inner = np.zeros((n,) * 3, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    own = sp.diags_array(inner.ravel().astype(float))
    A = h * (own @ whole + 6.0 * (sp.eye_array(n**3) - own))
    return sp.csr_array(A), np.where(inner.ravel(), h**3, 6.0 * h)


def linear(level):
    """Trilinear interpolation between grids that hold their boundary, and its transpose."""
    n = level.shape[0]
    m = (n + 1) // 2
    if n == (CUBE - 1) // 2 ** (CUBES - 1) + 1:
        return None, None, level.shape
    fine = np.arange(n)
    rows, columns = np.concatenate([fine, fine]), np.concatenate([fine // 2, -(-fine // 2)])
    P = sp.csr_array((np.full(2 * n, 0.5), (rows, columns)), shape=(n, m))
    P = sp.csr_array(sp.kron(sp.kron(P, P), P))
    return P, sp.csr_array(P.T), (m,) * 3


def recorded():
    """What PETSc gave when `make petsc` was last run."""
    return json.loads(RECORD.read_text())
