"""Every scheme gives finite loss and gradients at every kind of step, up to degree 32, without a
norm that would hide its size; and general steps survive the first steps of an optimiser."""

import pytest
import torch
from torch.nn import functional as F

import nets
from nets.models.placements import PLACEMENTS
from nets.start.schemes import list_schemes

MODELS = {
    "q32": ["linear"] * 32,
    "g32": ["symmetric_pair"] * 16,
    "r32": ["real_pair"] * 16,
    "c32": ["complex_pair"] * 16,
    "p10": ["general10"],
}
GENERAL = ["general8"]
# mls is of degree 3d + 1, two_grid_optimal of at most 16 and for A itself, not for A^2
REFUSED = {"mls": ("q32", "r32", "c32"), "two_grid_optimal": ("q32", "g32", "r32", "c32")}
LABELS = torch.arange(4)
IMAGES = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def started(kinds, scheme, placement):
    generator = torch.Generator().manual_seed(0)
    options = {"factors": kinds, "width": 2, "levels": 1, "placement": placement}
    model = nets.create_model("q2", generator=generator, **options)
    nets.initialise(model, scheme, size=(8, 8), generator=generator)
    return model


def loss_of(model):
    loss = F.cross_entropy(model(IMAGES), LABELS)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    return float(loss.detach())


@pytest.mark.parametrize("scheme", list_schemes())
def test_loss_and_gradients_are_finite_up_to_degree_32(scheme):
    for name, kinds in MODELS.items():
        if name in REFUSED.get(scheme, ()):
            with pytest.raises(ValueError, match=r"allows|A\^2"):
                started(kinds, scheme, "relu_outside_nobn")
        else:
            loss_of(started(kinds, scheme, "relu_outside_nobn"))


@pytest.mark.parametrize("placement", [p for p in PLACEMENTS if not PLACEMENTS[p].is_quadratic])
def test_a_bounded_start_is_finite_at_every_placement(placement):
    for kinds in (MODELS["q32"], GENERAL):
        loss_of(started(kinds, "bounded", placement))


@pytest.mark.parametrize("scheme", [s for s in list_schemes() if s != "mls"])
def test_a_general_step_of_degree_8_survives_the_first_steps(scheme):
    """Without a norm p(A) grows with A like its seventh power, and an optimiser moves A at once."""
    model = started(GENERAL, scheme, "relu_outside_nobn")
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        losses.append(loss_of(model))
        optimiser.step()
    assert losses[-1] < 3 * losses[0]
