"""The matrix-free twin of a `nets.MultigridCycle`: the same values where no gradient is asked, also
after a change of the module, and no twin where the module is another cycle."""

import copy

import numpy as np
import pytest
import torch

import nets
from mgtheory import problems
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.pde import twin as bridge

PROBLEMS = {
    "2d galerkin": (
        problems.poisson((15, 15)),
        {"coarsening": "galerkin", "coarsest": 9, "cycle": "W", "pre": 2},
    ),
    "3d": (problems.poisson((7, 7, 15)), {"coarsest": 30, "pre": 0}),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_where_no_gradient_is_asked_the_matrix_free_twin_runs(name, monkeypatch):
    """Equal to the convolutions up to rounding; learned polynomials reach it, one set for each leg
    of each level."""
    problem, options = PROBLEMS[name]
    cycle = nets.MultigridCycle(problem, degree=2, shared=False, **options)
    b, x = torch.randn((2, 3, *problem.shape), dtype=torch.float64)
    twins, build = [], bridge.DeviceHierarchy.build

    def counted(*given, **options):
        twins.append(build(*given, **options))
        return twins[-1]

    monkeypatch.setattr(bridge.DeviceHierarchy, "build", counted)
    for number in range(2):
        with torch.no_grad():
            monkeypatch.setattr(bridge, "QUICK", 10**9)
            expected = [cycle(b), cycle(b, x)]
            assert len(twins) == number
            monkeypatch.setattr(bridge, "QUICK", 0)
            found = [cycle(b), cycle(b, x)]
            assert len(twins) == number + 1  # kept, as long as the parameters stay
            for one, two in zip(found, expected, strict=True):
                torch.testing.assert_close(one, two, rtol=0, atol=1e-12 * float(two.abs().max()))
            for parameter in cycle.parameters():
                if parameter.requires_grad:
                    parameter.mul_(1.1)
    assert cycle(b).requires_grad
    with torch.no_grad():
        torch.testing.assert_close(copy.deepcopy(cycle)(b), cycle(b), rtol=0, atol=0)
    assert len(twins) == 4


def test_the_twin_has_the_grids_of_the_module_by_default(monkeypatch):
    """A hierarchy on a device of its own would solve 31 x 31 points directly."""
    monkeypatch.setattr(bridge, "QUICK", 0)
    cycle = nets.MultigridCycle(problems.poisson((31, 31)), degree=2)
    with torch.no_grad():
        twin = cycle._quick(torch.zeros((31, 31), dtype=torch.float64), None)
    assert [level.shape for level in twin.levels] == [(31, 31), (15, 15), (7, 7)]


def test_transforms_see_the_convolutions(monkeypatch):
    monkeypatch.setattr(bridge, "QUICK", 0)
    cycle = nets.MultigridCycle(problems.poisson((7, 15)), degree=2, coarsest=9)
    b = torch.randn((3, 7, 15), dtype=torch.float64)
    with torch.no_grad():
        expected = cycle(b)
        mapped = torch.func.vmap(cycle)(b)
    torch.testing.assert_close(mapped, expected, rtol=0, atol=1e-14)


def test_the_twin_follows_every_change_of_the_coefficients(monkeypatch):
    """Polynomials set anew, a step of an optimiser, a state loaded, values written in place, by
    .data too; where A is another one, or x and b have different shapes, convolutions compute."""
    problem = problems.poisson((15, 15))
    cycle, other = (
        nets.MultigridCycle(problem, degree=2, shared=False, smoother=family, coarsest=9)
        for family in ("chebyshev4", "richardson")
    )
    b, x = torch.randn((2, 3, 15, 15), dtype=torch.float64)
    seen = []

    def compared(*, twin=True):
        """The cycle without a gradient is the one with it, and none that was before."""
        monkeypatch.setattr(bridge, "QUICK", 0)
        result = cycle(b, x)
        assert result.requires_grad
        expected = result.detach()
        with torch.no_grad():
            assert (cycle._quick(b, x) is not None) == twin
            torch.testing.assert_close(cycle(b, x), expected, rtol=0, atol=1e-12)
        assert all(float((expected - one).abs().max()) > 1e-4 for one in seen)
        seen.append(expected)
        return result

    compared()
    before, after = (ResidualPolynomial(np.array([k, 2.0 * k]) * 16**2) for k in (4.0, 3.0))
    cycle.set_polynomials([before] * 2, [after] * 2)
    trained = [p for p in cycle.parameters() if p.requires_grad]
    compared().square().sum().backward()
    torch.optim.Adam(trained, lr=1e-4).step()
    compared()
    cycle.load_state_dict(other.state_dict())
    compared()
    with torch.no_grad():
        trained[0].mul_(0.9)
    compared()
    trained[0].data.mul_(0.9)
    compared()
    with torch.no_grad():
        assert cycle._quick(b, x[0]) is None
        torch.testing.assert_close(cycle(b, x[0]), cycle(b, x[0].expand(3, -1, -1).clone()))
        with monkeypatch.context() as within:  # a trace would keep the coefficients as they are
            within.setattr(torch.jit, "is_tracing", lambda: True)
            assert cycle._quick(b, x) is None
        cycle.down[0].A.weight.mul_(1.01)
    compared(twin=False)


@pytest.mark.parametrize(
    "edited",
    [lambda c: c.coarse_inverse, lambda c: c.transfers[1].weight, lambda c: c.up[0].A.weight],
)
def test_a_module_with_another_solve_transfer_or_operator_has_no_twin(edited, monkeypatch):
    """Changed after the twin was made, by .data; and it comes back with what belongs there."""
    monkeypatch.setattr(bridge, "QUICK", 0)
    cycle = nets.MultigridCycle(problems.poisson((31, 31)), degree=2, coarsest=49)
    b = torch.randn((2, 31, 31), dtype=torch.float64)
    with torch.no_grad():
        assert cycle._quick(b, None) is not None
        before, kept = cycle(b), edited(cycle).clone()
        edited(cycle).data[..., 0, 0] += 0.1 * float(kept.abs().max())
        assert cycle._quick(b, None) is None
        assert float((cycle(b) - before).abs().max()) > 1e-6
        edited(cycle).data.copy_(kept)
        assert cycle._quick(b, None) is not None
    cycle.transfers[0].gain *= 1.1
    with torch.no_grad():
        assert cycle._quick(b, None) is None


def test_a_twin_is_forgotten_where_torch_counts_no_change(monkeypatch):
    """As on a GPU, where the values are not looked at."""
    monkeypatch.setattr(bridge, "QUICK", 0)
    monkeypatch.setattr(bridge, "_state", lambda v: (v.data_ptr(), v._version))
    cycle = nets.MultigridCycle(problems.poisson((15, 15)), degree=1, coarsest=9)
    b = torch.randn((15, 15), dtype=torch.float64)
    with torch.no_grad():
        first = cycle(b)
        (trained,) = [p for p in cycle.parameters() if p.requires_grad]
        trained.mul_(1.1)
        second = cycle(b)
        assert float((second - first).abs().max()) > 1e-6
        trained.data.mul_(1 / 1.1)
        assert torch.equal(cycle(b), second)
        cycle.forget_twin()
        torch.testing.assert_close(cycle(b), first, rtol=0, atol=1e-14)
