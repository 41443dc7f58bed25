"""MgNet against the formulas of its paper written out, and its sizes."""

import pytest
import torch
from torch.nn import functional as F

import nets
from nets.models.cost import count_parameters


def small(name="mgnet", **options):
    model = nets.create_model(
        name, generator=torch.Generator().manual_seed(0), **({"width": 5, "levels": 3} | options)
    )
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 1:
                p.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(p.numel()))
    return model.double()


def batch_norm(x, norm):
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    return (
        norm.weight[:, None, None] * (x - mean) / (var + norm.eps).sqrt() + norm.bias[:, None, None]
    )


def written_out(model, x, *, preactivation=False):
    """u <- u + relu(bn(B relu(bn(f - A u)))), f_next = relu(bn(R(f - A u))) + A_next u_next, u_next
    = relu(bn(Pi u))."""
    f, u = F.relu(batch_norm(F.conv2d(x, model.stem.weight, padding=1), model.stem_norm)), None
    for l, level in enumerate(model.levels):
        if l:
            t = model.transfers[l - 1]
            r = f - F.conv2d(u, model.levels[l - 1].A.weight, padding=1)
            u = F.relu(batch_norm(F.conv2d(u, t.Pi.weight, stride=2, padding=1), t.Pi_norm))
            f = F.relu(
                batch_norm(F.conv2d(r, t.R.weight, stride=2, padding=1), t.R_norm)
            ) + F.conv2d(u, level.A.weight, padding=1)
        else:
            u = torch.zeros_like(f)
        for i, step in enumerate(level.steps):
            B = level.B[i % len(level.B)].conv.weight
            c = F.conv2d(
                F.relu(batch_norm(f - F.conv2d(u, level.A.weight, padding=1), step.residual_norm)),
                B,
                padding=1,
            )
            u = u + (c if preactivation else F.relu(batch_norm(c, step.norm)))
    return F.linear(u.mean((2, 3)), model.fc.weight, model.fc.bias)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mgnet", {}),
        ("mgnet", {"b": "step"}),
        ("mgnet", {"steps": [1, 3, 2]}),
        ("preact_mgnet", {"form": "plain"}),
    ],
)
def test_equals_the_formulas(name, options):
    """Values and gradients in float64; the tolerance is rounding through three levels of norms."""
    model = small(name, **options)
    x = torch.randn(3, 3, 9, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    results = [model(x), written_out(model, x, preactivation=name.startswith("preact"))]
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-10)
    gradients = [torch.autograd.grad(r.sin().sum(), list(model.parameters())) for r in results]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


def test_sizes():
    """One B a level: 2 (9 c^2) + 4 norms; one per step: another 9 c^2 for every further step."""
    shared, own = (count_parameters(nets.create_model("mgnet", b=b)) for b in ("level", "step"))
    assert shared == 8_278_794
    assert own - shared == 4 * 9 * 256**2


def test_levels_own_their_convolutions():
    model = small(b="step")
    assert [len(level.B) for level in model.levels] == [2, 2, 2]
    assert [len(level.B) for level in small().levels] == [1, 1, 1]
    assert small().levels[0].steps[0].coefficients is not small().levels[0].steps[0].coefficients
    level = small().levels[0]
    assert level.steps[0].coefficients is level.steps[1].coefficients is level.B[0]
    keys = [key for key in model.state_dict() if ".B." in key]
    assert len(keys) == 6
