"""The cycle on grids of any coefficients: equal to the sparse solver's and, on constant problems,
to the one in modes, with derivatives that differences confirm; and what is learned there."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import nets
from mgtheory import Hierarchy, ResidualPolynomial, derive, problems
from mgtheory.multigrid.solution import Cycle
from nets.pde.descent import Objective
from nets.pde.energy import EnergyCycle, Linear, Span
from nets.pde.error import smoothing
from nets.pde.modes import ModalCycle

CONSTANT = {
    "dense": (lambda: problems.poisson((7, 7)), {"coarsest": 9}),
    "krylov": (lambda: problems.create("anisotropic2d", 7), {"coarsest": 7}),
    "singular": (lambda: problems.poisson((8, 8), boundary="periodic"), {"coarsest": 16}),
}
# equal legs; different ones, where the adjoint exchanges them; an F-cycle, whose adjoint is another
CYCLES = {"equal": ("V", 1, 1, "level"), "legs": ("W", 1, 2, "leg"), "F": ("F", 1, 1, "level")}


@pytest.fixture
def short(monkeypatch):
    """A descent that ends where the sum of the first powers is least."""
    monkeypatch.setattr("nets.pde.energy.POWERS", (25,))


@pytest.fixture
def krylov(monkeypatch):
    """Small grids as if they were large."""
    monkeypatch.setattr("nets.pde.energy.DENSE", 0)
    monkeypatch.setattr("nets.pde.energy.FORMED", 0)


def cycle_of(problem, options, kind="V", pre=1, post=1, per="level", degree=2):
    """(the sparse hierarchy, E, c), no two sets alike."""
    hierarchy = Hierarchy.build(
        problem, smoother="chebyshev4", degree=degree, pre=pre, post=post, **options
    )
    around = {"pre": pre, "post": post, "kind": Cycle(kind), "per": per}
    operator = EnergyCycle(hierarchy, degree, **around)
    polynomials = [smoothing(level).polynomial for level in hierarchy.levels[:-1]] * 2
    c = operator.coefficients(polynomials[: operator.sets])
    return hierarchy, operator, c * (1 + 0.03 * np.arange(len(c))), around


def largest(pieces, c, p=2000):
    """The largest |eigenvalue|, log (sum |lambda|^p)^(1/p), and its gradient: smooth where values
    tie, and of the largest alone."""
    values, gradients = pieces(c)
    most = values.max()
    total = ((values / most) ** p).sum()
    slope = (values / most) ** (p - 1) @ gradients / (most * total)
    return most, np.log(most) + np.log(total) / p, slope


@pytest.mark.parametrize(
    ("name", "cycle"),
    [("dense", "equal"), ("singular", "equal"), *(("krylov", cycle) for cycle in CYCLES)],
)
def test_with_constant_coefficients_it_is_the_cycle_in_modes(name, cycle, monkeypatch):
    """The largest eigenvalues and their derivatives, the mean loss and its gradient, factors."""
    if name != "dense":
        monkeypatch.setattr("nets.pde.energy.DENSE", 0)
    make, options = CONSTANT[name]
    problem = make()
    hierarchy, energy, c, around = cycle_of(problem, options, *CYCLES[cycle])
    modal = ModalCycle(problem, hierarchy, 2, **around)
    np.testing.assert_allclose(modal.coefficients(energy.polynomials(c)), c, rtol=1e-9)
    assert energy.unknowns == modal.unknowns
    (value, _, slope), (other, _, expected) = (largest(o.pieces, c) for o in (energy, modal))
    assert value == pytest.approx(other, rel=1e-9)
    np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-6 * abs(expected).max())
    errors = torch.zeros((1, *modal.shapes[0]), dtype=torch.float64)
    means = [Objective(o, "mean", 3, errors) for o in (energy, modal)]
    (value, slope), (other, expected) = (mean.logarithm(c) for mean in means)
    assert value == pytest.approx(other, rel=1e-9)
    np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-9 * abs(expected).max())
    e = torch.randn(problem.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    two = np.stack([c, 0.9 * c])
    np.testing.assert_allclose(energy.factors(two, e), modal.factors(two, e), rtol=1e-9)


@pytest.mark.parametrize("cycle", CYCLES)
def test_with_any_coefficients_it_is_the_sparse_solvers_cycle(cycle, krylov):
    """Column for column, with the polynomials that the coefficients stand for; the eigenvalues are
    those of the matrix, and differences confirm their derivatives."""
    problem = problems.create("jump2d", 7)
    hierarchy, energy, c, around = cycle_of(problem, {"coarsest": 1}, *CYCLES[cycle])
    before, after = energy.legs(energy.polynomials(c))
    legs = [lambda level: before[level.index], lambda level: after[level.index]]
    often = {name: around[name] for name in ("pre", "post")}
    solver = hierarchy.with_smoothers(*legs, **often)
    E = energy.matrices(torch.from_numpy(c))[0].numpy()
    columns = np.eye(len(E))
    expected = [e - solver.apply(problem.A @ e, around["kind"]) for e in columns]
    np.testing.assert_allclose(E, np.transpose(expected), rtol=0, atol=1e-11)
    exact = np.sort(abs(np.linalg.eigvals(E)))[::-1]
    values, _ = energy.pieces(c)
    assert len(exact) == 49 > len(values)
    np.testing.assert_allclose(np.sort(values)[:-8:-1], exact[:7], rtol=1e-6)
    _, _, slope = largest(energy.pieces, c, 200)
    for i in (0, len(c) - 1):
        step = 1e-6 * np.eye(len(c))[i]
        more, less = (largest(energy.pieces, c + s, 200)[1] for s in (step, -step))
        expected = (more - less) / 2e-6
        assert slope[i] == pytest.approx(expected, rel=1e-4, abs=1e-4 * abs(slope).max())


def test_eigenvectors_without_a_partner_have_no_slope():
    """On a square eigenvalues are equal in pairs, of which x and y may find one or both: what is
    left of y^T x there is rounding, and divided by it slopes were 1e10."""
    square = problems.poisson((18, 18), boundary="neumann")
    start = derive("chebyshev4", 2, square)
    hierarchy = Hierarchy.build(square, smoother=start, pre=1, post=1)
    operator = EnergyCycle(hierarchy, 2, pre=1, post=1, kind=Cycle.F, per="leg")
    c = np.tile([0.95, -0.55], operator.sets)
    sizes, slopes = operator.pieces(c)
    E = operator.matrices(torch.from_numpy(c))[0].numpy()
    assert sizes.max() == pytest.approx(np.abs(np.linalg.eigvals(E)).max(), rel=1e-8)
    assert np.abs(slopes).max() < 100.0


@pytest.mark.parametrize("cycle", CYCLES)
def test_E_is_formed_where_that_takes_fewer_cycles_than_its_eigenvalues(cycle, krylov, monkeypatch):
    """The same values and slopes, from as few calls of the cycle as columns fit the cache."""
    kind, pre, post, per = CYCLES[cycle]
    _, operator, c, _ = cycle_of(problems.create("jump2d", 15), {}, kind, pre, post, per)
    wanted = largest(operator.pieces, c)
    monkeypatch.setattr("nets.pde.energy.FORMED", operator.size)
    calls, columns = [], operator.columns

    def counted(sets, **options):
        E = columns(sets, **options)

        def counting(e):
            calls.append(e.shape)
            return E(e)

        return counting

    monkeypatch.setattr(operator, "columns", counted)
    found = largest(operator.pieces, c)
    for one, other in zip(found, wanted):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    assert len(calls) < 20  # 15 parts of 225 columns, the adjoint's test, the slope


def test_the_sum_over_a_span_has_the_values_and_the_gradient_of_E(krylov):
    """Where the span has its leading eigenvectors; elsewhere its values are smaller."""
    _, energy, c, _ = cycle_of(problems.create("variable2d", 7), {"coarsest": 1})
    span = Span(energy.A[0])
    for _ in range(2):  # what is there already is not added again
        span.add(energy.leading(energy._of_sets(c))[1])
    assert span.x.shape[1] == len(energy.pieces(c)[0])
    np.testing.assert_allclose(span.x.T @ span.image, np.eye(span.x.shape[1]), atol=1e-12)
    value, slope = energy._sum_of_powers(span, 60, c)
    _, total, expected = largest(energy.pieces, c, 60)
    assert value == pytest.approx(total, rel=1e-9)
    np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-5 * abs(slope).max())
    assert energy._sum_of_powers(span, 60, 1.1 * c)[0] < largest(energy.pieces, 1.1 * c, 60)[1]


def test_an_indefinite_A_has_no_energy_inner_product(krylov):
    """The eigenvalues are those of the matrix all the same, differences confirm their derivatives,
    and the descent does without a span, on which E would lack what has a negative energy."""
    A = problems.create("variable2d", 7).A - 40.0 * sp.eye_array(49)
    assert (np.linalg.eigvalsh(A.toarray()) < 0).sum() == 3
    options = {"shape": (7, 7), "coarsest": 9}
    _, energy, c, _ = cycle_of(sp.csr_array(A), options)
    sets = energy._of_sets(c)
    E = energy.columns(sets)
    assert energy._adjoint(sets, E) is E
    exact = np.sort(abs(np.linalg.eigvals(E(np.eye(49)))))[::-1]
    value, _, slope = largest(energy.pieces, c)
    assert value == pytest.approx(exact[0], rel=1e-9)
    step = np.array([1e-6, 0.0])
    more, less = (largest(energy.pieces, c + s)[1] for s in (step, -step))
    assert slope[0] == pytest.approx((more - less) / 2e-6, rel=1e-5)
    with pytest.raises(np.linalg.LinAlgError):
        energy._minimise_on_spans(c, 20, 1e-5)
    least = energy.minimise(c, 20, 1e-5)
    assert least.value == pytest.approx(energy.pieces(least.c)[0].max(), rel=1e-9)
    assert least.value < 0.99 * value


def test_a_span_that_is_all_ends_the_descent():
    """On it the largest eigenvalue is that of E but for rounding, which is nothing to join it."""
    problem = problems.poisson((16,), coefficient=lambda x: 1 + x)
    _, energy, c, _ = cycle_of(problem, {"coarsest": 3})
    least = energy.minimise(c, 100, 1e-5)
    assert least.converged
    assert least.iterations < 100


def test_a_span_has_both_vectors_of_a_complex_pair():
    """Which two equal eigenvalues are but for rounding."""
    span = Span(Linear(np.diag([1.0, 2.0, 3.0])))
    span.add(np.array([[1.0], [1.0j], [0.0]]))
    np.testing.assert_allclose(span.x[:2] @ span.image[:2].T, np.eye(2), atol=1e-15)


def test_the_nullspace_joins_no_span():
    span = Span(Linear(np.diag([0.0, 1.0, 4.0])))
    span.add(np.eye(3))
    np.testing.assert_allclose(np.abs(span.x), [[0, 0], [1, 0], [0, 0.5]], atol=1e-14)


def test_one_polynomial_is_in_units_of_the_spectrum_of_each_level():
    hierarchy = Hierarchy.build(problems.create("variable2d", 31), coarsest=49)
    operator = EnergyCycle(hierarchy, 2, pre=1, post=1, per="cycle")
    q = ResidualPolynomial(operator.bounds[0] * np.array([0.4, 0.8]))
    for leg in operator.legs([q]):
        for one, b in zip(leg, operator.bounds, strict=True):
            np.testing.assert_allclose(one.roots * operator.bounds[0], q.roots * b, rtol=1e-12)


def test_what_is_nearly_in_a_span_joins_it_orthogonally():
    generator = np.random.default_rng(0)
    span, x = Span(Linear(np.diag(np.linspace(1.0, 100.0, 40)))), generator.standard_normal((40, 6))
    span.add(x)
    span.add(x @ generator.standard_normal((6, 3)) + 1e-3 * generator.standard_normal((40, 3)))
    assert span.x.shape == (40, 9)
    np.testing.assert_allclose(span.image.T @ span.x, np.eye(9), atol=2e-15)


def test_the_least_radius_is_the_one_in_modes():
    """What the sum of the last powers leaves is 2 in 1000 of it."""
    problem = problems.poisson((7, 7))
    hierarchy, energy, c, around = cycle_of(problem, {"coarsest": 1}, degree=1)
    modal = ModalCycle(problem, hierarchy, 1, **around)
    least = energy.minimise(c, 100, 1e-5)
    assert least.converged
    assert least.value == pytest.approx(energy.pieces(least.c)[0].max(), rel=1e-9)
    assert least.value == pytest.approx(modal.minimise(c, 100, 1e-5).value, rel=2e-3)


@pytest.mark.parametrize("loss", ["mean", "worst"])
def test_learning_where_coefficients_vary(loss, tmp_path, short, krylov):
    """Better than every family, and what is returned has that factor in the sparse solver."""
    problem, options = problems.create("variable2d", 7), {"coarsest": 1}
    around = {"per": "level", "power": 4, "steps": 1, "also": (), **options}
    learned = nets.learn_smoother(problem, 1, loss=loss, **around)
    assert learned.cycle is None
    assert learned.factor == learned.factors[-1] < 0.9 * learned.factor_start
    assert [q.degree for q in learned.before] == [1] * (len(learned.hierarchy.levels) - 1)
    assert learned.before == learned.after
    made = Hierarchy.build(
        problem,
        smoother=lambda level: learned.before[level.index],
        post_smoother=lambda level: learned.after[level.index],
        **options,
    )
    e = np.random.default_rng(0).standard_normal(problem.unknowns)
    for r in (e, problem.A @ e):
        np.testing.assert_allclose(made.apply(r), learned.hierarchy.apply(r), rtol=1e-12)
    norms = made.solve(problem.A @ e, tol=1e-9).residual_norms
    assert (norms[-1] / norms[-4]) ** (1 / 3) < 1.1 * learned.factor
    learned.initial.save(tmp_path / "init.json")
    again = Hierarchy.build(problem, smoother=learned.initial, **options)
    roots = [smoothing(h.levels[0]).polynomial.roots for h in (again, made)]
    np.testing.assert_allclose(*roots, rtol=1e-12)


@pytest.mark.parametrize(
    ("of", "options"),
    [
        (lambda: problems.poisson((8, 8)), {}),
        (lambda: problems.poisson((8, 8), boundary="neumann"), {}),
        (lambda: problems.poisson((7, 7)).A, {"shape": (7, 7)}),
        (lambda: problems.create("convection2d", 7), {}),
        (
            lambda: problems.poisson((31,), coefficient=lambda x: 1 + x),
            {"loss": "mean", "coarsest": 4, "degree": 2, "start": "richardson"},
        ),
        (lambda: problems.poisson((3, 5, 3), coefficient=lambda x, y, z: 1 + x * y), {}),
    ],
    ids=["not nested", "cells", "matrix", "wind", "1d", "3d"],
)
def test_learning_on_what_convolutions_have_not(of, options, short):
    options = {"degree": 1, "also": (), "steps": 1, "coarsest": 9, **options}
    learned = nets.learn_smoother(of(), **options)
    assert learned.cycle is None
    assert learned.factor < 0.97 * learned.factor_start


def test_a_start_that_ties_with_the_best_is_kept():
    """Families that agree but for rounding: nothing is learned, and no other loss was smaller."""
    problem = problems.poisson((3,), coefficient=lambda x: 1 + x)
    learned = nets.learn_smoother(problem, 1, coarsest=1)
    assert learned.losses == pytest.approx((1 / 9,))
    assert learned.factors == pytest.approx((1 / 9,))
    assert learned.converged
    assert learned.reason == "the loss no longer falls"


def test_a_start_keeps_its_scaling(short):
    """A polynomial in A itself stays one, where coefficients vary too, and so do the others."""
    problem = problems.poisson((7, 7), coefficient=lambda x, y: 1 + x)
    start = derive("chebyshev4", 1, problem, scaling="identity")
    learned = nets.learn_smoother(problem, 1, start=start, steps=1, coarsest=9)
    assert {q.operator.scaling for q in learned.before} == {"identity"}
    assert learned.initial.operator.scaling == "identity"
    assert learned.factor < learned.factor_start


def test_what_cannot_be_learned_on():
    A = problems.poisson((15, 15)).A
    with pytest.raises(ValueError, match="A is complex128, what is learned is real"):
        nets.learn_smoother(A * (1 + 0j), 1, start=ResidualPolynomial([1200.0]), shape=(15, 15))
    with pytest.raises(ValueError, match="pre is 0, post is 0"):
        nets.learn_smoother(A, 1, shape=(15, 15), pre=0, post=0)
    with pytest.raises(ValueError, match="post_smoother: the smoother is what is learned"):
        nets.learn_smoother(A, 1, shape=(15, 15), post_smoother="jacobi")
    with pytest.raises(ValueError, match="has no coarser one"):
        nets.learn_smoother(sp.csr_array(A), 1, shape=(15, 15), max_levels=1)
    with pytest.raises(ValueError, match=r"smoother is 'jacobi'; .* name of a family"):
        nets.learn_smoother(problems.create("jump2d", 15), 1, start="jacobi")
