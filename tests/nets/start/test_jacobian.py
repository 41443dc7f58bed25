"""The amplification of a level as it is, with norms and relus: against the norm of q(A), and
against the whole Jacobian."""

import copy

import numpy as np
import pytest
import torch

import nets
from mgtheory.polynomials.residual import ResidualPolynomial
from nets.start.jacobian import jacobian_norms

LINEAR = {"placement": "plain", "residual": "identity"}


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def model(name="q2", operator="random", **options):
    generator = torch.Generator().manual_seed(0)
    made = nets.create_model(name, generator=generator, **({"width": 2, "levels": 2} | options))
    nets.initialise(made, "bounded", operator=operator, size=(5, 4), generator=generator)
    return made


def matrix_of(A, grid):
    n = A.in_channels * int(np.prod(grid))
    double = copy.deepcopy(A).double()
    with torch.no_grad():
        return double(torch.eye(n).double().reshape(n, -1, *grid)).reshape(n, n).T.numpy()


@pytest.mark.parametrize("training", [True, False])
def test_without_norms_and_activations_it_is_the_norm_of_q(training):
    made = model("q4", **LINEAR).train(training)
    found = jacobian_norms(made, random(2, 3, 5, 4))
    for level, grid, value in zip(made.levels, [(5, 4), (3, 2)], found, strict=True):
        A, q = matrix_of(level.A, grid), level.polynomial()
        norm = np.linalg.norm(np.eye(len(A)) - A @ q.apply(A, np.eye(len(A))), 2)
        assert value == pytest.approx(norm, rel=2e-3)
        assert norm > np.abs(q(np.linalg.eigvals(A))).max() * 1.001  # A is not normal


def test_of_a_normal_operator_it_is_max_q():
    made = nets.create_model("q2", channels=(1, 1), **LINEAR)
    report = nets.initialise(
        made, "bounded", operator="laplacian", small=0.0, size=(8, 8), amplification=3.0
    )
    found = jacobian_norms(made, random(1, 3, 8, 8))
    assert found == pytest.approx([level.max_modulus for level in report.levels], rel=2e-3)


@pytest.mark.parametrize("placement", ["regular", "outside", "relu_outside_nobn"])
@pytest.mark.parametrize("training", [True, False])
def test_with_norms_and_relus_it_is_the_norm_of_the_whole_jacobian(placement, training):
    made, images = model(placement=placement).train(training), random(3, 3, 5, 4)
    state = {name: value.clone() for name, value in made.state_dict().items()}
    found = jacobian_norms(made, images)
    assert all(torch.equal(state[name], value) for name, value in made.state_dict().items())
    twin = copy.deepcopy(made).double()
    seen = []
    for level in twin.levels:
        level.register_forward_pre_hook(lambda module, given: seen.append((module, *given)))
    twin(images.double())
    for (level, g, u0), value in zip(seen[:2], found, strict=True):
        u0 = torch.zeros_like(g) if u0 is None else u0
        f = (g + level.A(u0)).detach()

        def end(u, level=level, f=f):
            return level(f - level.A(u), u)[0]

        J = torch.autograd.functional.jacobian(end, u0.detach()).reshape(u0.numel(), -1)
        norm = float(torch.linalg.matrix_norm(J, 2))
        assert value == pytest.approx(norm, rel=2e-3, abs=1e-12)
    if placement == "regular":
        assert max(found) > 1.0


def test_of_a_block_in_another_network():
    block = nets.PolynomialBlock(2, start_size=(6,), dim=1, **LINEAR)
    network = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 1), torch.nn.ReLU(), block)
    (found,) = jacobian_norms(network, random(2, 1, 6))
    A, q = matrix_of(block.level.A, (6,)), block.level.polynomial()
    norm = np.linalg.norm(np.eye(12) - A @ q.apply(A, np.eye(12)), 2)
    assert found == pytest.approx(norm, rel=2e-3)
    assert isinstance(q, ResidualPolynomial)
    assert jacobian_norms(torch.nn.Linear(2, 2), random(3, 2)) == []


def test_the_report_of_the_start_has_it_where_images_are_given():
    made, images = model(), random(2, 3, 5, 4)
    report = nets.initialise(made, "bounded", size=(5, 4), images=images)
    found = [level.jacobian_norm for level in report.levels]
    assert found == jacobian_norms(made, images)
    again = type(report).from_dict(report.to_dict())
    assert [level.jacobian_norm for level in again.levels] == found
    former = report.to_dict() | {"schema": 2}  # which called it as M is called
    for level in former["levels"]:
        level["amplification"] = level.pop("jacobian_norm")
    assert [level.jacobian_norm for level in type(report).from_dict(former).levels] == found
    assert nets.initialise(made, "bounded", size=(5, 4)).levels[0].jacobian_norm is None
