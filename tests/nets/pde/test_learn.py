"""Learning on the equation: the loss against the cycle's error operator as a dense matrix, and what
it does not depend on."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import nets
from mgtheory import Hierarchy, problems
from mgtheory.multigrid.solution import Cycle
from nets.pde.cycle import reduction
from nets.pde.descent import LOSSES, log_contraction
from nets.pde.error import Watch
from nets.pde.learned import measured_factor
from nets.pde.modes import ModalCycle

PROBLEMS = {
    "dirichlet": (lambda: problems.poisson((7, 7)), {"coarsest": 9}),
    "periodic": (lambda: problems.poisson((8, 8), boundary="periodic"), {"coarsest": 16}),
}


@pytest.fixture(scope="module", params=PROBLEMS)
def case(request):
    """(cycle, its error operator E as a dense matrix, random errors): without the constants where A
    x = 0 for them."""
    make, options = PROBLEMS[request.param]
    problem = make()
    cycle = nets.MultigridCycle(problem, smoother="chebyshev", degree=2, **options)
    n = problem.A.shape[0]
    units = torch.eye(n, dtype=torch.float64).reshape(n, *problem.shape)
    errors = torch.randn(
        5, *problem.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    with torch.no_grad():
        E = cycle(torch.zeros_like(units), units).reshape(n, n).T.numpy()
    if problem.nullspace is not None:
        E = E - E.mean(axis=0)
        errors = errors - errors.mean(dim=(1, 2), keepdim=True)
    return cycle, E, errors


@pytest.mark.parametrize("power", [1, 2, 5])
def test_contraction_is_the_formula(case, power):
    """(mean ||E^m z||^2 / mean ||z||^2)^(1/(2m)); the quotient of the means, not the mean of
    quotients."""
    cycle, E, errors = case
    errors = errors * torch.arange(1, 6, dtype=torch.float64)[:, None, None]
    z = errors.reshape(5, -1).T.numpy()
    expected = (np.linalg.norm(np.linalg.matrix_power(E, power) @ z) / np.linalg.norm(z)) ** (
        1 / power
    )
    assert log_contraction(cycle.reduced, errors, power).exp().item() == pytest.approx(
        expected, rel=1e-10
    )


@pytest.mark.parametrize("power", [1, 2, 5])
def test_worst_case_is_the_error_that_is_reduced_least(case, power):
    """max (||E^m z|| / ||z||)^(1/m): the quotient of each error, whatever its size, and no smaller
    than that of the mean."""
    cycle, E, errors = case
    z = (errors * torch.arange(1, 6, dtype=torch.float64)[:, None, None]).reshape(5, -1).T.numpy()
    reduced = np.linalg.matrix_power(E, power) @ z
    quotients = np.linalg.norm(reduced, axis=0) / np.linalg.norm(z, axis=0)
    mean, worst = (
        log_contraction(cycle.reduced, errors, power, loss=loss).exp().item() for loss in LOSSES
    )
    assert worst == pytest.approx(quotients.max() ** (1 / power), rel=1e-10)
    assert worst > mean


@pytest.mark.parametrize("factor", [-1.0, 10.0, 1e-150, 1e150])
def test_contraction_does_not_depend_on_the_errors_size(case, factor):
    cycle, _, errors = case
    one, other = (
        log_contraction(cycle.reduced, e, 3).exp().item() for e in (errors, factor * errors)
    )
    assert other == pytest.approx(one, rel=1e-12)


def test_contraction_tends_to_the_spectral_radius(case):
    cycle, E, errors = case
    radius = np.abs(np.linalg.eigvals(E)).max()
    gaps = [
        abs(log_contraction(cycle.reduced, errors, power).exp().item() / radius - 1)
        for power in (4, 32, 256)
    ]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.02  # log(share of the slowest modes) / 256


def test_what_is_learned_is_never_worse_than_the_start():
    """With m = 2 the loss falls where the factor grows: the iterate that measures best is returned,
    and the reason says so."""
    options = {"steps": 2, "coarsest": 9, "loss": "mean", "power": 2}
    learned = nets.learn_smoother(problems.poisson((15, 15)), 4, **options)
    assert learned.losses[0] > learned.losses[1] > learned.losses[2]
    assert min(learned.factors[1:]) > 1.05 * learned.factors[0]
    assert learned.factor == learned.factor_start == learned.factors[0]
    measured = learned.cycle.convergence_factor(generator=torch.Generator().manual_seed(0))
    assert measured == learned.factor
    np.testing.assert_allclose(learned.polynomial.roots, learned.start.roots, rtol=1e-12)
    assert not learned.converged
    assert "the measured factor was smallest" in learned.reason
    assert "after 0 of 2 steps" in learned.reason
    known = learned.initial.provenance["options"]["contraction"]
    assert known == learned.losses[0]


@pytest.mark.parametrize("loss", LOSSES)
def test_no_loss_returns_what_is_worse_than_the_start(loss):
    """poisson2d of degree 4, where the loss falls and the factor once grew, 0.0483 -> 0.0489."""
    options = {"steps": 1, "loss": loss, "coarsest": 9, "power": 4, "batch": 4}
    generator = torch.Generator().manual_seed(0)
    learned = nets.learn_smoother(problems.poisson((15, 15)), 4, generator=generator, **options)
    assert learned.losses[1] < learned.losses[0]
    measured = learned.cycle.convergence_factor(generator=torch.Generator().manual_seed(0))
    assert measured == learned.factor == min(learned.factors) <= learned.factor_start
    assert learned.initial.provenance["options"]["loss"] == loss


@pytest.mark.parametrize(
    ("name", "loss"), [("poisson2d", "worst"), ("poisson2d", "mean"), ("variable2d", "worst")]
)
def test_ctrl_c_keeps_the_best_so_far(name, loss):
    """In modes and on the grids: progress hears of ever more cycles and ever smaller losses, and
    where it ends a search the best that was met is what is learned."""
    heard, problem = [], problems.create(name, 15)
    options = {"also": [], "loss": loss, "coarsest": 9, "generator": torch.Generator()}

    def progress(cycles, text):
        heard.append((cycles, float(text.removeprefix("loss ") or np.inf)))

    whole = nets.learn_smoother(problem, 2, progress=progress, **options)
    assert heard == sorted(heard, key=lambda told: (told[0], -told[1]))
    assert heard[-1][1] == pytest.approx(min(whole.losses), rel=1e-3)
    fallen = next(k for k, told in enumerate(heard) if told[1] < 0.999 * whole.losses[0])
    assert fallen + 1 < len(heard)

    def interrupt(cycles, text):
        if cycles >= heard[fallen][0] and float(text.removeprefix("loss ") or np.inf) < np.inf:
            stopped.append(cycles)
            if len(stopped) == 1:
                raise KeyboardInterrupt

    stopped = []
    options["generator"] = torch.Generator()
    cut = nets.learn_smoother(problem, 2, progress=interrupt, **options)
    assert (cut.reason, cut.converged) == ("interrupted", False)
    assert min(whole.losses) <= cut.losses[-1] < cut.losses[0] == whole.losses[0]
    assert cut.losses[-1] == pytest.approx(heard[fallen][1], rel=1e-3)
    assert cut.factor < cut.factor_start


def test_unknown_losses_and_families_are_refused():
    with pytest.raises(ValueError, match="loss is 'median', allowed are mean, worst"):
        nets.learn_smoother(problems.poisson((7, 7)), 2, loss="median")
    with pytest.raises(ValueError, match="also is a str, must be a list of families"):
        nets.learn_smoother(problems.poisson((7, 7)), 2, also="chebyshev")
    with pytest.raises(ValueError, match="progress is 3, must be callable"):
        nets.learn_smoother(problems.poisson((7, 7)), 2, progress=3)
    with pytest.raises(ValueError, match="'chebychev', known are"):
        nets.learn_smoother(problems.poisson((15, 15)), 2, also=["chebychev"])


def test_the_factor_is_a_geometric_mean_of_the_last_third():
    """And infinite where a map leaves the range of numbers."""
    left = iter([5.0] * 6 + [0.1, 0.9, 0.3])
    e = torch.ones(4, 5, dtype=torch.float64)
    assert reduction(lambda e: next(left) * e, e, 9) == pytest.approx(0.3)
    assert reduction(lambda e: np.nan * e, e, 9) == np.inf


def test_each_of_several_errors_loses_its_own_constant(case):
    cycle, _, errors = case
    with torch.no_grad():
        whole = cycle.reduced(errors + 3.0 * torch.arange(5.0)[:, None, None].double())
        for one, e in zip(whole, errors + 3.0 * torch.arange(5.0)[:, None, None].double()):
            torch.testing.assert_close(one, cycle.reduced(e))


def test_what_is_measured_is_the_cycle_that_was_asked_for():
    problem = problems.create("variable2d", 15)
    found = nets.learn_smoother(problem, 1, cycle="W", steps=1, coarsest=9)
    generator = torch.Generator().manual_seed(0)
    e = torch.randn(225, generator=generator, dtype=torch.float64).numpy()
    assert found.factor == pytest.approx(measured_factor(found.hierarchy, e, Cycle.W), rel=1e-9)
    assert found.factor != pytest.approx(measured_factor(found.hierarchy, e), rel=1e-4)


def test_without_smoothing_before_what_is_learned_smooths_after():
    problem = problems.poisson((7, 7))
    found = nets.learn_smoother(problem, 1, per="leg", pre=0, steps=2, coarsest=9)
    assert found.initial.polynomial.roots == pytest.approx(found.after[0].polynomial.roots)
    assert found.initial.polynomial.roots != pytest.approx(found.before[0].polynomial.roots)


def test_a_descent_is_watched():
    said, c = [], np.ones(2)
    watch = Watch(lambda cycles, text: said.append((cycles, text)))
    watch.ran(3)
    watch.reached(c, 0.25)
    watch.reached(2 * c, 0.5)
    c[:] = 7.0  # as a method that goes on in the same array
    watch.ran(1)
    assert said == [(3, ""), (4, "loss 0.25")]
    np.testing.assert_array_equal(watch.c, [1.0, 1.0])
    problem = problems.poisson((7, 7))
    hierarchy = Hierarchy.build(problem, smoother="chebyshev4", degree=2, coarsest=9)
    operator = ModalCycle(problem, hierarchy, 2, pre=1, post=1)
    operator(torch.zeros((1, 2)).double(), torch.zeros((5, 7, 7)).double())
    assert operator.watch.cycles == 5


def test_why_it_ended():
    """At the smallest loss that doubles have, no gradient is as small as asked."""
    problem, options = problems.poisson((7, 7)), {"coarsest": 9, "loss": "mean"}
    found = nets.learn_smoother(problem, 2, tolerance=1e-16, **options)
    assert found.reason.startswith("the loss no longer falls")
    assert not found.converged
    found = nets.learn_smoother(problem, 2, steps=1, tolerance=1e-16, **options)
    assert found.reason.startswith("1 steps were used up")


@pytest.mark.parametrize("constant", [False, True])
def test_the_factor_is_that_of_the_error_in_the_long_run(constant):
    """Of a cycle that leaves 0.9 of one part and 0.5 of 99 others: 0.9; and 0.5 where that one is
    the constant, which a singular problem does not have."""
    n = 100
    Q = np.linalg.qr(np.c_[np.ones(n), np.eye(n)[:, 1:]])[0]
    keeps = Q @ np.diag([0.9] + [0.5] * (n - 1)) @ Q.T
    cycle = SimpleNamespace(
        levels=[SimpleNamespace(A=np.eye(n))],
        nullspace=np.ones((n, 1)) / np.sqrt(n) if constant else None,
        apply=lambda r, kind: r - keeps @ r,
    )
    found = measured_factor(cycle, np.random.default_rng(0).standard_normal(n))
    assert found == pytest.approx(0.5 if constant else 0.9, rel=1e-6)
