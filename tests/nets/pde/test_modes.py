"""The cycle in the eigenvectors of its operators: equal to the cycle on grids, in blocks that are
its whole error operator, with derivatives that differences confirm."""

import numpy as np
import pytest
import scipy.fft
import torch

import nets
from mgtheory import problems
from nets.pde.descent import Objective, log_contraction
from nets.pde.error import SETS
from nets.pde.modes import ModalCycle

CASES = {
    "1d": (lambda: problems.poisson((15,)), {"coarsest": 3}),
    "2d": (lambda: problems.poisson((15, 7)), {"coarsest": 9}),
    "2d galerkin": (lambda: problems.poisson((7, 7)), {"coarsening": "galerkin", "coarsest": 1}),
    "2d periodic": (lambda: problems.poisson((4, 8), boundary="periodic"), {"coarsest": 2}),
    "2d anisotropic": (lambda: problems.create("anisotropic2d", 7), {"coarsest": 7}),
    "3d": (lambda: problems.poisson((3, 3, 7)), {"coarsest": 3}),
}
CYCLES = [("V", 1, 1), ("W", 2, 0), ("F", 0, 1)]


def modal_of(name, kind="V", pre=1, post=1, per="leg", degree=3):
    """(cycle, the same in modes, c): after the correction other polynomials than before."""
    make, options = CASES[name]
    problem, around = make(), {"pre": pre, "post": post}
    cycle = nets.MultigridCycle(
        problem, smoother="chebyshev4", degree=degree, cycle=kind, shared=False, **around, **options
    )
    modal = ModalCycle(problem, cycle.hierarchy(), degree, kind=cycle.kind, per=per, **around)
    polynomials = [cycle.polynomial(k % len(modal.bounds)) for k in range(modal.sets)]
    polynomials[-1] = polynomials[-1].scaled(1.1)
    cycle.set_polynomials(*modal.legs(polynomials))
    return cycle, modal, modal.coefficients(polynomials)


def dense(cycle):
    """E on grids, without the constants where A x = 0 for them."""
    n, shape = cycle.problem.A.shape[0], cycle.problem.shape
    units = torch.eye(n, dtype=torch.float64).reshape(n, *shape)
    with torch.no_grad():
        E = cycle(torch.zeros_like(units), units).reshape(n, n).T.numpy()
    if cycle.problem.nullspace is not None:
        E = (E - E.mean(axis=0)) @ (np.eye(n) - 1 / n)
    return E


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("kind", "pre", "post"), CYCLES)
def test_it_is_the_cycle_on_grids(name, kind, pre, post):
    """Applied to an error, and to every error at once: the blocks have E's eigenvalues and norms of
    powers."""
    cycle, modal, c = modal_of(name, kind, pre, post)
    e = np.random.default_rng(0).standard_normal((2, *cycle.problem.shape))
    if cycle.problem.nullspace is not None:
        e = e - e.mean(axis=(1, 2), keepdims=True)
    with torch.no_grad():
        expected = cycle(torch.zeros(e.shape, dtype=torch.float64), torch.from_numpy(e)).numpy()
    given = {"axes": range(1, e.ndim), "norm": "ortho"}
    to, back = (scipy.fft.fftn, scipy.fft.ifftn)
    if not modal.periodic:
        given["type"] = 1
        to, back = scipy.fft.dstn, scipy.fft.idstn
    sets = torch.from_numpy(c).reshape(modal.sets, -1)
    found = back(modal(sets, torch.from_numpy(to(e, **given))).numpy(), **given)
    if modal.periodic:
        found = found - found.mean(axis=(1, 2), keepdims=True)
        expected = expected - expected.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(e).max())

    E, blocks = dense(cycle), modal.matrices(sets).numpy()
    places = modal.blocks[modal.blocks >= 0]
    assert sorted(places) == list(range(E.shape[0]))
    for power in (1, 3):
        norms = (np.linalg.norm(np.linalg.matrix_power(m, power)) for m in (E, blocks))
        norm, other = (
            next(norms),
            np.sqrt(sum(np.linalg.norm(np.linalg.matrix_power(m, power)) ** 2 for m in blocks)),
        )
        assert other == pytest.approx(norm, rel=1e-9)
    radius = np.abs(np.linalg.eigvals(E)).max()
    # eigenvalues of a matrix that is not normal are less exact than its entries
    assert np.abs(np.linalg.eigvals(blocks)).max() == pytest.approx(radius, rel=1e-6)
    assert modal.pieces(c)[0].max() == pytest.approx(radius, rel=1e-6)


@pytest.mark.parametrize("per", SETS)
@pytest.mark.parametrize(("kind", "pre", "post"), [("V", 1, 1), ("F", 2, 1)])
def test_gradients(per, kind, pre, post):
    """Of the largest eigenvalue and of the mean loss, against central differences; with equal legs
    E is symmetric in the energy norm, otherwise it is not."""
    _, modal, c = modal_of("2d anisotropic", kind, pre, post, per, degree=2)
    smoothed = len(modal.bounds)
    assert len(c) == 2 * {"cycle": 1, "level": smoothed, "leg": 2 * smoothed}[per]
    values, gradients = modal.pieces(c)
    mean = Objective(modal, "mean", 3, torch.zeros(0))
    value, slope = mean.logarithm(c)
    sixth = 6 * values**5 @ gradients  # of the sum of the sixth powers, smooth where values tie
    for i, step in enumerate(1e-6 * np.eye(len(c))):
        more, less = (np.sum(modal.pieces(c + s)[0] ** 6) for s in (step, -step))
        assert sixth[i] == pytest.approx(
            (more - less) / 2e-6, rel=1e-4, abs=1e-4 * abs(sixth).max()
        )
        more, less = mean.logarithm(c + step)[0], mean.logarithm(c - step)[0]
        assert slope[i] == pytest.approx((more - less) / 2e-6, rel=1e-4, abs=1e-6)
    assert mean(c) == pytest.approx(np.exp(value))


@pytest.mark.parametrize("name", ["2d", "2d periodic"])
def test_the_mean_over_all_errors_is_that_over_many(name):
    """With 1000 random errors `log_contraction` has it to two percent."""
    cycle, modal, c = modal_of(name)
    errors = torch.randn(
        1000, *cycle.problem.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    if cycle.problem.nullspace is not None:
        errors = errors - errors.mean(dim=(1, 2), keepdim=True)
    with torch.no_grad():
        sampled = log_contraction(cycle.reduced, errors, 4).exp().item()
    assert Objective(modal, "mean", 4, errors)(c) == pytest.approx(sampled, rel=0.02)
    measured = cycle.convergence_factor(generator=torch.Generator().manual_seed(0))
    error = torch.randn(
        cycle.problem.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    assert modal.factors(c[None], error) == [pytest.approx(measured, rel=1e-9)]


@pytest.mark.parametrize("loss", ["mean", "worst"])
def test_a_batch_stands_for_all_errors_where_the_blocks_are_large(loss, monkeypatch):
    """The loss is then that of the batch on grids, and learning goes on."""
    monkeypatch.setattr("nets.pde.descent.EXACT", 1)
    cycle, modal, c = modal_of("2d")
    errors = torch.randn(3, *cycle.problem.shape, dtype=torch.float64)
    grids = torch.from_numpy(scipy.fft.idstn(errors.numpy(), 1, axes=(1, 2), norm="ortho"))
    with torch.no_grad():
        expected = log_contraction(cycle.reduced, grids, 4, loss=loss).exp().item()
    assert Objective(modal, loss, 4, errors)(c) == pytest.approx(expected, rel=1e-9)
    options = {"loss": loss, "coarsest": 9, "steps": 1, "power": 4, "batch": 3}
    learned = nets.learn_smoother(
        cycle.problem, 2, generator=torch.Generator().manual_seed(0), **options
    )
    assert learned.losses[-1] < 0.97 * learned.losses[0]


def test_the_worst_case_of_two_grids_in_one_dimension_is_the_fourth_kinds():
    """1 / (2k + 1)^2, from another family."""
    problem = problems.poisson((127,))
    learned = nets.learn_smoother(
        problem, 3, start="chebyshev", also=(), loss="worst", max_levels=2
    )
    assert learned.losses[0] > 1.5 / 49
    assert learned.losses[-1] == pytest.approx(1 / 49, rel=1e-3)
    assert learned.converged, learned.reason


def test_levels_and_legs_of_their_own_gain():
    """Each is a set of the next; what is learned per level is what both legs smooth with."""
    problem, worst = problems.create("anisotropic2d", 7), {"loss": "worst", "coarsest": 7}
    found = {per: nets.learn_smoother(problem, 1, per=per, **worst) for per in SETS}
    factors = [found[per].losses[-1] for per in SETS]
    assert 0.95 * factors[0] > factors[1] > 2 * factors[2]
    for level in range(2):
        before, after = (found["level"].cycle.polynomial(level, post=post) for post in (0, 1))
        np.testing.assert_array_equal(before.roots, after.roots)
    roots = [found["leg"].cycle.polynomial(0, post=post).roots.real for post in (0, 1)]
    assert abs(roots[0] / roots[1] - 1) > 0.2
    same = nets.learn_smoother(problem, 1, shared=False, **worst)
    assert same.factors == found["leg"].factors
    with pytest.raises(ValueError, match="per is 'grid', allowed are cycle, level, leg"):
        nets.learn_smoother(problem, 1, per="grid")


def test_the_descent_begins_at_the_best_start():
    """Those that a family does not have are left out, as `mls` of degree 2; without others it
    begins at its own."""
    problem = problems.create("anisotropic2d", 7)
    options = {"loss": "worst", "coarsest": 7, "steps": 1, "start": "richardson"}
    alone = nets.learn_smoother(problem, 2, also=("mls",), **options)
    other = nets.learn_smoother(problem, 2, also=("mls", "chebyshev4"), **options)
    assert len(alone.losses) + 1 == len(other.losses)
    assert alone.losses[0] == other.losses[0] > 1.1 * other.losses[1]
    assert other.losses[-1] == pytest.approx(alone.losses[-1], rel=1e-4)
