"""Shifted coarse-grid corrections: beta from theory, the factor that it is taken for, and cycles
that are never slower for it."""

import functools

import numpy as np
import pytest

import mgtheory
from mgtheory import two_grid_factor
from mgtheory.matrixfree import StencilHierarchy, kernel_level, shift
from mgtheory.matrixfree.operators import symbol_values
from mgtheory.multigrid.transfer import interpolation
from mgtheory.polynomials.classical import chebyshev
from mgtheory.problems.catalogue import create, poisson
from mgtheory.smoothers import Polynomial
from mgtheory.solving import solve

# beta of the first grid over h^2, where the unit stencils are exact in some directions
CENTRES = {1: 1 / 4, 2: 5 / 16, 3: 1 / 3}
NESTED = {
    "1d": poisson((127,)),
    "2d": poisson((63, 63)),
    "rectangle": poisson((127, 31)),
    "9-point": poisson((63, 63), stencil="9-point"),
    "q1": poisson((63, 63), stencil="q1"),
    "semi": poisson((63, 63), weights=(1.0, 0.01)),
    "3d": poisson((31, 31, 31)),
    "19-point": poisson((15, 31, 15), stencil="19-point"),
}


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


def hierarchies(problem, *, kind="auto", **options):
    """Without and with shifts."""
    options = {"coarsest": 30, "threads": 1, **options}
    return [StencilHierarchy.build(problem, shift=s, **options) for s in (False, kind)]


def left(hierarchy, cycle="V"):
    """What a late cycle leaves of the residual."""
    n = hierarchy.levels[0].size
    norms = hierarchy.solve(0 * noise(n), noise(n), cycle=cycle, tol=0, maxiter=25).residual_norms
    return (norms[-1] / norms[-7]) ** (1 / 6)


@pytest.mark.parametrize("dim", CENTRES)
def test_the_shift_is_between_axes_and_diagonals(dim):
    """A smooth error is left with (1 - 1/d)/2 of sum s_j at most, of either sign: (1 - 1/d)/2
    along an axis, where 1 - prod (1 - s)^2 A/A_H is s, and minus that along a diagonal."""
    n = {1: 63, 2: 31, 3: 15}[dim]
    level = hierarchies(poisson((n,) * dim), kind=True, smoother="chebyshev", degree=6)[1].levels[0]
    beta = level.shift
    assert beta * (n + 1) ** 2 == pytest.approx(CENTRES[dim], rel=1e-9)
    ends = []
    for direction in (np.eye(dim)[0], np.ones(dim)):
        s = 1e-6 * direction / direction.sum()
        A, coarse = 4 * (n + 1) ** 2 * np.array([s.sum(), (s * (1 - s)).sum()])
        P = np.prod(1 - s)
        ends.append((1 - P * (1 / coarse + beta) * P * A) / s.sum())
    np.testing.assert_allclose(ends, [-(1 - 1 / dim) / 2, (1 - 1 / dim) / 2], atol=1e-4)


SMALL = {
    "1d": poisson((63,)),
    "2d": poisson((15, 15)),
    "9-point": poisson((15, 15), stencil="9-point"),
    "semi": poisson((15, 15), weights=(1.0, 0.01)),
    "3d": poisson((7, 7, 7)),
}


@pytest.mark.parametrize("name", SMALL)
def test_the_cycle_is_its_definition_and_its_factor_that_of_the_analysis(name, monkeypatch):
    """Of two grids: the matrix of the cycle, its spectral radius, and the factor of the infinite
    grid, which bounds it; without a shift, and with one of the other sign, it is larger."""
    monkeypatch.setattr(kernel_level, "CHUNK", 20)  # the shift is added in parts
    problem = SMALL[name]
    _, ours = hierarchies(problem, degree=4, smoother="chebyshev", max_levels=2)
    level = ours.levels[0]
    assert level.shift > 0
    (steps,) = level.before
    radius = {}
    for sign in (1.0, 0.0, -1.0):
        expected = error_operator(problem, ours, steps, sign * level.shift)
        radius[sign] = np.abs(np.linalg.eigvals(expected)).max()
        if sign == 1.0:
            x = noise(level.size)
            found = x - ours.apply(problem.A @ x)
            np.testing.assert_allclose(found, expected @ x, atol=1e-11 * np.abs(x).max())
            energy = problem.A @ expected  # symmetric: the factor is the energy norm
            np.testing.assert_allclose(energy, energy.T, atol=1e-9 * np.abs(energy).max())
    assert radius[1.0] < 0.7 * radius[0.0] < 0.7 * radius[-1.0]
    axes = [p for p, (n, m) in enumerate(zip(level.grid, ours.levels[1].grid)) if n != m]
    of = (*(one.c for one in ours.operators), steps, steps, axes)
    q = mgtheory.derive("chebyshev", 4, problem).polynomial
    for sign, measured in radius.items():
        beta = sign * level.shift
        modal = shift.two_grid(*of, sines(level.grid, axes), shift=beta)
        alone = np.max(shift.reduction(steps, unseen(level, axes)) ** 2)
        assert measured == pytest.approx(max(modal, alone), rel=1e-7)
        local = two_grid_factor(problem, q, shift=beta * level.largest).factor
        assert measured < local * (1 + 1e-9)


def sines(grid, axes):
    """The angles of those functions of a grid that the coarse one sees, up to pi/2 on `axes`."""
    return [
        np.pi * np.arange(1, (n // 2 if p in axes else n) + 1) / (n + 1) for p, n in enumerate(grid)
    ]


def unseen(level, axes):
    """Eigenvalues of what vanishes in all coarse points: with pi/2 along one of `axes`."""
    whole = [np.pi * np.arange(1, n + 1) / (n + 1) for n in level.grid]
    values = symbol_values(level.c, [2 * np.cos(t) for t in whole])
    middle = [np.isclose(t, np.pi / 2) & (p in axes) for p, t in enumerate(whole)]
    return values[functools.reduce(np.logical_or.outer, middle)]


def error_operator(problem, hierarchy, steps, beta):
    """q (I - P (A_H^-1 + beta) R A) q as a dense matrix, of the sparse operators and transfers."""
    A = problem.A.toarray()
    fine, coarse = (level.shape for level in hierarchy.levels[:2])
    P = interpolation(fine, coarse, problem.boundary).toarray()
    R = P.T / 2 ** sum(n != m for n, m in zip(fine, coarse))
    inverse = np.linalg.inv(problem.equation.operator(coarse).toarray())
    last = q = np.eye(len(A))
    for omega, mu in steps:
        last, q = q, q - omega * A @ q + mu * (q - last)
    return q @ (np.eye(len(A)) - P @ (inverse + beta * np.eye(len(inverse))) @ R @ A) @ q


@pytest.mark.parametrize("cycle", ["V", "W", "F", "FMG"])
@pytest.mark.parametrize("name", NESTED)
def test_no_cycle_is_slower_and_most_are_faster(name, cycle):
    """Cycles to 1e-8 of a smooth and of a random right-hand side, with the default smoothers."""
    problem = NESTED[name]
    plain, shifted = hierarchies(problem)
    assert any(level.shift for level in shifted.levels)
    counts = np.array(
        [
            [one.solve(b, cycle=cycle).iterations for b in (problem.b, noise(problem.unknowns))]
            for one in (plain, shifted)
        ]
    )
    assert (counts[1] <= counts[0]).all()
    if name in ("1d", "2d", "9-point"):
        assert counts[1].sum() < counts[0].sum()


def test_factors_of_whole_cycles_are_those_of_two_grids():
    """Of the default V-cycle on a grid of 255x255: 0.118 without a shift."""
    problem = poisson((255, 255))
    plain, shifted = map(left, hierarchies(problem))
    beta = hierarchies(problem)[1].levels[0]
    q = mgtheory.derive("chebyshev", 2, problem).polynomial
    predicted = two_grid_factor(problem, q, shift=beta.shift * beta.largest).factor
    assert plain == pytest.approx(two_grid_factor(problem, q).factor, rel=0.03)
    assert shifted == pytest.approx(predicted, rel=0.03)
    assert shifted < 0.6 * plain


def test_there_is_none_where_it_is_not_shown_to_help():
    """On axes that are not nested, along with weak couplings, for smoothers that it does not fit;
    and for what is no norm by "auto"."""
    for problem, options in (
        (poisson((100,)), {"max_levels": 2}),
        (poisson((31, 40)), {"max_levels": 2}),
        (poisson((63, 63), weights=(1.0, 0.01)), {"axes": "all"}),
        (poisson((127,)), {"pre": 0, "degree": 2, "kind": True}),
        (poisson((63, 63)), {"pre": 0, "degree": 3}),
        (poisson((63, 63)), {"post_smoother": "chebyshev4"}),
        (create("variable2d", 31), {}),
    ):
        plain, same = hierarchies(problem, **options)
        assert not any(level.shift for level in same.levels)
        b = noise(problem.unknowns)
        np.testing.assert_array_equal(plain.apply(b), same.apply(b))
    assert hierarchies(poisson((63, 63)), kind=True, pre=0, degree=3)[1].levels[0].shift


def test_three_cycles_in_place_of_four():
    """The smooth problem of benchmarks/algorithms.py on 63^3, with degree 6: 2.6e-8 and 1.2e-7 of
    ||b|| after three cycles, with and without; in float32 alike."""
    n = 63
    t = np.arange(1, n + 1) / (n + 1)
    u, f = t * (1 - t) * np.exp(t), t * (3 + t) * np.exp(t)
    parts = ([f if i == j else u for i in range(3)] for j in range(3))
    b = sum(functools.reduce(np.multiply.outer, part) for part in parts)
    six = Polynomial(polynomial=chebyshev(6, interval=(1 / 3, 2.0)), scaling="diagonal")
    options = {"pre": 0, "smoother": six, "coarsest": 32768, "kind": True}
    plain, ours = hierarchies(poisson((n,) * 3), **options)
    single = hierarchies(poisson((n,) * 3), dtype="float32", **options)[1]
    norms = [
        h.solve(b, cycle="FMG", tol=0, maxiter=3).residual_norms for h in (plain, ours, single)
    ]
    assert norms[1][3] < 0.3 * norms[0][3]
    np.testing.assert_allclose(norms[2], norms[1], rtol=0.02)


def test_solve_shifts_by_itself_but_under_krylov():
    problem = poisson((63, 63))
    _, shifted = hierarchies(problem, coarsest=None)
    options = {"loads": problem.equation.load, "cycle": "FMG"}
    shifted.threads = 1
    found, expected = solve(problem, backend="stencil"), shifted.solve(problem.b, **options)
    assert found.iterations == expected.iterations
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-12)
    plain = StencilHierarchy.build(problem)
    of = {"b": noise(problem.unknowns), "krylov": "cg"}
    assert (
        solve(problem, backend="stencil", **of).iterations == solve(problem, plain, **of).iterations
    )


def test_it_stays_with_other_smoothers_and_is_refused_where_it_is_not():
    problem = poisson((63, 63))
    _, shifted = hierarchies(problem)
    changed = shifted.with_smoothers("chebyshev", degree=4)
    assert changed.levels[0].shift == pytest.approx(shifted.levels[0].shift)
    assert "shifted" in str(changed)
    for build, message in (
        *(
            (
                functools.partial(StencilHierarchy.build, problem, shift=s),
                "allowed are False, True and 'auto'",
            )
            for s in ("yes", 1, np.ones(2))
        ),
        (lambda: StencilHierarchy.build(create("variable2d", 31), shift=True), "shift is True"),
        (lambda: mgtheory.Hierarchy.build(problem, shift=True), "backend 'stencil' alone"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            build()
        assert "\n" not in str(caught.value)
    assert mgtheory.Hierarchy.build(problem, shift="auto")
