"""What the caller has set in torch and numpy changes no result of the bridge."""

import numpy as np
import pytest
import torch

import nets
from mgtheory import problems
from nets.pde.solve import TorchHierarchy

from ..states import STATES


def outcome():
    """Parameters, a cycle, a solve, what is learned from there, and a gradient."""
    found = {}
    for boundary, shape in (("dirichlet", (15, 15)), ("periodic", (16, 16))):
        problem = problems.poisson(shape, boundary=boundary)
        cycle = nets.MultigridCycle(problem, smoother="chebyshev4", degree=3, coarsest=16)
        assert all(p.device.type == "cpu" and not p.is_inference() for p in cycle.parameters())
        found |= {f"{boundary} {name}": value for name, value in cycle.state_dict().items()}
        b = torch.from_numpy(problem.b).reshape(shape)
        found[f"{boundary} cycle"] = cycle(b, 0.5 * b).detach()
        solution = TorchHierarchy(problem, coarsest=16).solve(problem.b, problem.b, atol=1e-6)
        found[f"{boundary} norms"] = torch.from_numpy(np.array(solution.residual_norms))
        found[f"{boundary} factor"] = torch.from_numpy(
            np.array(cycle.convergence_factor(generator=torch.Generator().manual_seed(1)))
        )
    learned = nets.learn_smoother(
        problems.poisson((7, 7)),
        2,
        also=(),
        steps=1,
        power=2,
        coarsest=1,
        generator=torch.Generator().manual_seed(0),
    )
    found["learned"] = torch.from_numpy(learned.polynomial.roots.copy())
    found["factors"] = torch.from_numpy(np.array(learned.factors))
    with torch.inference_mode(False), torch.enable_grad():
        b = torch.from_numpy(problems.poisson((7, 7)).b).reshape(7, 7)
        learned.cycle(b).square().sum().backward()
    found["gradient"] = torch.cat(
        [p.grad.flatten() for p in learned.cycle.parameters() if p.requires_grad]
    )
    return found


@pytest.fixture(scope="module")
def expected():
    return outcome()


@pytest.mark.parametrize("state", STATES)
def test_results_are_the_same_to_the_last_bit(state, expected):
    with STATES[state]():
        found = outcome()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
