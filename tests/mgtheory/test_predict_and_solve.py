"""Derive, predict, solve: the factor that Fourier analysis predicts for a derived polynomial is the
one that the solver's two-grid cycle has with it, on every problem with constant coefficients.

Measured is the spectral radius of the error operator of a `Hierarchy` with two levels, by Arnoldi
iteration. Predicted is the spectral radius over the modes of the grid itself: a periodic grid of n
points has those of n, and Neumann cells and Dirichlet points continue, evenly and oddly, to
periodic grids of 2 n and 2 (n + 1) points, where some modes are 0. That is exact, on small grids as
on large ones. `TOLERANCE`, 10 %, is that of the Arnoldi iteration, which finds the largest of many
eigenvalues of nearly one size last; most agree to 1 %. With the size of the grid the factors tend
to that of the infinite one, `two_grid_factor`.

    python tests/mgtheory/test_predict_and_solve.py      prints the whole table
"""

from functools import cache

import numpy as np
import pytest

from mgtheory.derive import InitialCoefficients, derive
from mgtheory.families import FAMILIES
from mgtheory.fourier import LocalCycle, two_grid_factor
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.problems.catalogue import PROBLEMS, create
from mgtheory.problems.grids import Boundary
from mgtheory.problems.record import operator_record
from mgtheory.problems.stencils import Stencil
from mgtheory.smoothers import Polynomial

TOLERANCE, ABOVE = 0.1, 0.005  # below, and above: Ritz values of a non-normal matrix
# even along every axis; the others in problems/test_plane.py
CONSTANT = [
    name for name, entry in PROBLEMS.items() if entry.coefficient is None and entry.make is None
]
# periodic points and cells; one fewer of inner points
SHAPES = {1: (32,), 2: (16, 16), 3: (8, 8, 8)}
CYCLES = ((1, 0), (1, 1), (2, 1))
STEPS, SETTLED = 30, 1e-3
# what a search finds costs most, and is a polynomial as any other here
DEGREES = {
    name: [4] if name == "mls" else [1, 2, 4] if entry.needs == "problem" else list(range(1, 7))
    for name, entry in FAMILIES.items()
}


def problem_on(name, boundary):
    size = np.array(SHAPES[PROBLEMS[name].dim]) - (boundary == Boundary.DIRICHLET)
    return create(name, size.tolist(), boundary=boundary)


@cache
def searched(name, family, degree):
    """Derived once for an equation: what is found by optimisation converts to other grids."""
    return derive(family, degree, problem_on(name, "dirichlet"))


def start_for(problem, family, degree):
    if FAMILIES[family].needs == "problem":
        return searched(problem.name, family, degree).on(problem)
    return derive(family, degree, problem)


def predicted(problem, start, pre, post):
    """The factor over the modes of the grid."""
    factor, more = {
        Boundary.PERIODIC: (1, 0),
        Boundary.NEUMANN: (2, 0),
        Boundary.DIRICHLET: (2, 2),
    }[problem.boundary]
    samples = [factor * n + more for n in problem.shape]
    cycle = LocalCycle(problem, start, pre=pre, post=post)
    theta = cycle.base_frequencies(samples).reshape(-1, problem.dim)
    theta = theta[(theta >= 0).all(axis=1)]  # the stencils are those of reflected axes too
    turns, order = cycle.harmonics()
    modes = np.round((theta[:, None] / np.pi + 2 * turns / order) * samples / 2) % samples
    # modes that are 0 everywhere: sines of 0 and pi, cosines of pi between the points; constants
    absent = (modes == 0).all(axis=-1)
    if problem.boundary != Boundary.PERIODIC:
        absent |= (2 * modes == samples).any(axis=-1)
    if problem.boundary == Boundary.DIRICHLET:
        absent |= (modes == 0).any(axis=-1)
    matrices = cycle.error_operator(theta, removed=True)
    matrices = np.where(absent[:, :, None] | absent[:, None, :], 0.0, matrices)
    return float(np.abs(np.linalg.eigvals(matrices)).max())


def measured(hierarchy, problem):
    """The spectral radius of one cycle's error operator, on the complement of the constants where A
    is singular."""

    def cycle(e):
        e = e - hierarchy.apply(problem.A @ e)
        return e if problem.nullspace is None else e - e.mean()

    basis = np.zeros((STEPS + 1, problem.unknowns))
    matrix = np.zeros((STEPS + 1, STEPS))
    v = np.random.default_rng(0).standard_normal(problem.unknowns)
    v = v if problem.nullspace is None else v - v.mean()
    basis[0] = v / np.linalg.norm(v)
    radii = []
    for k in range(STEPS):
        v = cycle(basis[k])
        for _ in range(2):  # Gram-Schmidt twice is enough
            c = basis[: k + 1] @ v
            v -= c @ basis[: k + 1]
            matrix[: k + 1, k] += c
        matrix[k + 1, k] = size = np.linalg.norm(v)
        radii.append(np.abs(np.linalg.eigvals(matrix[: k + 1, : k + 1])).max())
        if size < 1e-13 or (k > 8 and abs(radii[-1] - radii[-6]) < SETTLED * radii[-1]):
            break
        basis[k + 1] = v / size
    return float(radii[-1])


def rows(name, boundary, *, every_cycle=True):
    """For one problem: family, degree, cycle, predicted, measured.

    Without every cycle, one for each polynomial by turns: then every family and every degree meet
    every cycle, not every pair of them.
    """
    problem = problem_on(name, boundary)
    hierarchy = Hierarchy.build(problem, max_levels=2, coarsest=1)
    for turn, (family, degrees) in enumerate(DEGREES.items()):
        for k, degree in enumerate(degrees):
            start = start_for(problem, family, degree)
            one = (turn + k) % len(CYCLES)
            whole = every_cycle or len(degrees) < len(CYCLES)
            for pre, post in CYCLES if whole else CYCLES[one : one + 1]:
                smoothed = hierarchy.with_smoothers(start, pre=pre, post=post)
                expected = predicted(problem, start, pre, post)
                yield family, degree, (pre, post), expected, measured(smoothed, problem)


def table(names=CONSTANT, boundaries=tuple(Boundary)):
    """The lines of the whole table: predicted / measured for each family, degree and cycle."""
    for name in names:
        for boundary in boundaries:
            problem = problem_on(name, boundary)
            yield f"{name}, {' x '.join(map(str, problem.shape))}, {boundary}"
            yield f"  {'family':<17} k" + "".join(f"{f'V({a},{b})':>17}" for a, b in CYCLES)
            cells = []
            for family, degree, _, here, found in rows(name, boundary):
                cells.append(f"{here:.4f} / {found:.4f}")
                if len(cells) == len(CYCLES):
                    yield f"  {family:<17} {degree}" + "".join(f"{cell:>17}" for cell in cells)
                    cells = []


@pytest.mark.parametrize("boundary", Boundary)
@pytest.mark.parametrize("name", CONSTANT)
def test_predicted_is_measured(name, boundary):
    wrong = [
        f"{family}({degree}) V{cycle}: predicted {expected:.5f}, measured {found:.5f}"
        for family, degree, cycle, expected, found in rows(name, boundary, every_cycle=False)
        if not expected * (1 - TOLERANCE) - 1e-6 <= found <= expected * (1 + ABOVE) + 1e-6
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("boundary", Boundary)
@pytest.mark.parametrize(
    ("name", "sizes"),
    [("poisson1d", (16, 128)), ("poisson2d", (16, 64)), ("anisotropic2d", (16, 64))],
)
def test_grids_tend_to_the_infinite_one(name, sizes, boundary):
    factors = []
    for n in sizes:
        problem = create(name, n - (boundary == Boundary.DIRICHLET), boundary=boundary)
        start = derive("chebyshev4", 3, problem)
        factors.append(predicted(problem, start, 1, 1))
    infinite = two_grid_factor(problem, start).factor
    assert factors[0] <= factors[1] * (1 + 1e-9) <= infinite * (1 + 1e-6)
    assert factors[1] == pytest.approx(infinite, rel=0.02)
    assert two_grid_factor(problem, "chebyshev4", degree=3).factor == pytest.approx(
        infinite, rel=1e-12
    )


@pytest.mark.parametrize(
    ("name", "boundary"),
    # not for a wind, whose spectrum is no interval
    [(n, b) for n, e in PROBLEMS.items() for b in e.boundaries if n != "convection2d"],
)
@pytest.mark.parametrize("family", ["chebyshev", "chebyshev4", "chebyshev4_opt"])
def test_initial_coefficients_need_the_cycles_that_the_name_needs(name, family, boundary, tmp_path):
    """Derived, written, read again and given to the solver, also where coefficients vary."""
    problem = create(name, {1: 63, 2: 31, 3: 15}[PROBLEMS[name].dim], boundary=boundary)
    derive(family, 3, problem).save(tmp_path / "init.json")
    start = InitialCoefficients.load(tmp_path / "init.json")
    counts = [
        Hierarchy.build(problem, smoother=smoother, degree=degree).solve(problem.b).iterations
        for smoother, degree in ((start, None), (family, 3))
    ]
    assert counts[0] == counts[1]
    # no coarse grid of cells represents the inclusion
    slow = (name, boundary) in {("jump2d", "neumann"), ("jump2d", "periodic")}
    assert max(counts) < (40 if slow else 20)


@pytest.mark.parametrize(
    "name", ["poisson1d", "poisson2d", "poisson2d-9point", "poisson2d-q1", "anisotropic2d"]
)
def test_the_two_grid_optimum_of_cells_is_the_same_by_name(name):
    """Cells have transfers of their own, in the search by name too."""
    problem = create(name, {1: 64, 2: 32}[PROBLEMS[name].dim], boundary="neumann")
    start = derive("two_grid_optimal", 2, problem)
    one = Hierarchy.build(problem, smoother=start)
    other = Hierarchy.build(problem, smoother="two_grid_optimal", degree=2)
    np.testing.assert_allclose(
        one.solve(problem.b).residual_norms, other.solve(problem.b).residual_norms, rtol=1e-6
    )
    assert two_grid_factor(problem, "two_grid_optimal", degree=2).factor == pytest.approx(
        two_grid_factor(problem, start).factor, rel=1e-9
    )


def test_cells_have_cubic_interpolation_of_their_own():
    """Dense eigenvalues on 64 cells; the solver refuses what needs nested grids, and so does
    Fourier analysis."""
    problem = create("poisson1d", 64, boundary="neumann")
    options = {"interpolation": "cubic", "max_levels": 2, "coarsest": 1}
    hierarchy = Hierarchy.build(problem, smoother="chebyshev", degree=2, **options)
    left = np.eye(64) - [hierarchy.apply(column) for column in problem.A.toarray()]
    measured = np.sort(abs(np.linalg.eigvals(left)))[-2]  # the constants stay as they are
    found = two_grid_factor(problem, "chebyshev", degree=2, interpolation="cubic").factor
    assert 0.98 * found < measured < found
    for restriction in ("half", "injection"):
        with pytest.raises(ValueError, match="known: full, cells, or a Stencil"):
            two_grid_factor(problem, "chebyshev", degree=2, restriction=restriction)
        with pytest.raises(ValueError, match="need nested grids"):
            Hierarchy.build(problem, restriction=restriction, coarsest=1)


@pytest.mark.parametrize("scaling", ["auto", "identity", "diagonal"])
@pytest.mark.parametrize("name", ["poisson2d", "variable2d"])
def test_one_rule_for_b(name, scaling):
    """derive and the solver take the same B, the identity where A has one stencil: the diagonal of
    Neumann cells is smaller at the border alone."""
    problem = create(name, 16, boundary="neumann")
    kind = operator_record(problem, scaling=scaling).scaling
    expected = {"poisson2d": "identity", "variable2d": "diagonal"}[name]
    assert kind == (expected if scaling == "auto" else scaling)
    for level in Hierarchy.build(problem).levels[:-1]:
        assert (level.inverse_diagonal(scaling) is not None) == (kind == "diagonal")


def test_options_of_a_family_hold_on_every_level(tmp_path):
    """Semi-coarsening on the finest level, full below: there the search is made again, with the
    options that the file keeps."""
    problem = create("anisotropic2d", 63)
    plain = derive("two_grid_optimal", 2, problem)
    start = derive("two_grid_optimal", 2, problem, pre=2, restriction="half")
    assert start.provenance["options"] == {"pre": 2, "restriction": "half"}
    start.save(tmp_path / "init.json")
    loaded = InitialCoefficients.load(tmp_path / "init.json")
    levels = Hierarchy.build(problem, smoother=loaded).levels[:-1]
    chosen = Polynomial("two_grid_optimal", 2, options={"pre": 2, "restriction": "half"})
    by_name = Hierarchy.build(problem, smoother=chosen).levels[:-1]
    without = Hierarchy.build(problem, smoother=plain).levels[:-1]
    assert any(level.axes != levels[0].axes for level in levels)
    for one, other, third in zip(levels, by_name, without):
        np.testing.assert_allclose(one.pre.polynomial.roots, other.pre.polynomial.roots, rtol=1e-7)
        assert np.abs(one.pre.polynomial.roots / third.pre.polynomial.roots - 1).max() > 1e-3


def test_an_option_that_no_file_holds_ends_the_search(tmp_path):
    """A stencil is no JSON: coarse levels then scale q, in memory as after the file."""
    problem = create("anisotropic2d", 63)
    own = Stencil.from_array(np.array([[0.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.0]]))
    start = derive("two_grid_optimal", 2, problem, interpolation=own)
    assert start.provenance["options"] == {"interpolation": None}
    start.save(tmp_path / "init.json")
    for given in (start, InitialCoefficients.load(tmp_path / "init.json")):
        levels = Hierarchy.build(problem, smoother=given).levels[:-1]
        ratios = [(a.pre.polynomial.roots / levels[0].pre.polynomial.roots).real for a in levels]
        assert all(np.ptp(ratio) < 1e-9 * ratio.max() for ratio in ratios)


if __name__ == "__main__":
    for line in table():
        print(line)
