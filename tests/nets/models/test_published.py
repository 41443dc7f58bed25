"""Published checkpoints: every tensor lands where it belongs, shown against a network written out
from their names."""

import pytest
import torch
from torch.nn import functional as F

import nets
from nets.models.published import from_published_state

CHANNELS = (4, 8, 8, 16)
KINDS = {"q2": "ll", "g4": "ss", "g6": "ssc", "g8": "sssc"}


def published_state(kinds, seed=0):
    """A state dict with the published names and shapes, random; every norm of every step is there,
    used or not."""
    g = torch.Generator().manual_seed(seed)
    state = {
        "conv1.weight": torch.randn(4, 3, 3, 3, generator=g) / 5,
        "fc.weight": torch.randn(10, 16, generator=g),
        "fc.bias": torch.ones(10),
    }

    def norm(prefix, c):
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"{prefix}.{name}"] = torch.rand(c, generator=g) + 0.3
        state[f"{prefix}.num_batches_tracked"] = torch.tensor(7)

    norm("bn", 4)
    for l, c in enumerate(CHANNELS, start=1):
        fine = CHANNELS[max(l - 2, 0)]
        state[f"mg_block{l}.Ablock.A.weight"] = torch.randn(c, c, 3, 3, generator=g) / (3 * c**0.5)
        for name in ("convR", "convI"):
            state[f"mg_block{l}.{name}.weight"] = (
                torch.randn(c, 1, 3, 3, generator=g) / 3 if c % fine == 0 else None
            )
        for i in range(len(kinds)):
            state[f"mg_block{l}.Bblock.{i}"] = torch.randn(1, generator=g) + 0.1
            norm(f"mg_block{l}.batchnorms.bn{2 * i}", c)
            norm(f"mg_block{l}.batchnorms.bn{2 * i + 1}", c)
    return state


def published_forward(state, kinds, x):
    """Inference as the published code computes it: symmetric pairs and linear steps `regular`, the
    complex pair `outside`."""

    def bn(v, prefix):
        return F.batch_norm(
            v, *(state[f"{prefix}.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
        )

    f, u = F.relu(bn(F.conv2d(x, state["conv1.weight"], padding=1), "bn")), 0
    for l, c in enumerate(CHANNELS, start=1):
        block = f"mg_block{l}"

        def A(v, block=block):
            return F.conv2d(v, state[f"{block}.Ablock.A.weight"], padding=1)

        if l > 1:
            groups = CHANNELS[l - 2]
            u = F.conv2d(u, state[f"{block}.convI.weight"], stride=2, padding=1, groups=groups)
            f = F.conv2d(f, state[f"{block}.convR.weight"], stride=2, padding=1, groups=groups) + A(
                u
            )
        for i, kind in enumerate(kinds):
            number, norms = (
                state[f"{block}.Bblock.{i}"],
                [f"{block}.batchnorms.bn{2 * i + j}" for j in range(2)],
            )
            r = F.relu(bn(f - (A(u) if torch.is_tensor(u) else 0), norms[0]))
            if kind == "c":
                a = number.abs()
                u = F.relu(bn(u + (2 * a * r - A(r)) / a**2, norms[1]))
            else:
                u = u + F.relu(bn(number * r if kind == "l" else A(number * r), norms[1]))
        f = F.relu(f - A(u))
        assert u.shape[1] == c
    return F.linear(u.mean((2, 3)), state["fc.weight"], state["fc.bias"])


@pytest.mark.parametrize("name", KINDS)
def test_computes_what_the_published_network_does(name):
    state = published_state(KINDS[name])
    x = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)).double()
    expected = published_forward(
        {key: value.double() for key, value in state.items()}, KINDS[name], x
    )
    for wrapped in (
        state,
        {"state_dict": state},
        {f"module.{key}": value for key, value in state.items()},
    ):
        model = from_published_state(wrapped, model=name)
        # the weight of a complex pair, 1/a, is rounded to float32
        torch.testing.assert_close(
            model.double()(x), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max())
        )
    again = nets.create_model(model.spec.name, **model.spec.overrides)
    assert again.load_state_dict(model.state_dict())


def test_norm_at_the_level_end_is_the_last_steps():
    state = published_state("ll")
    model = from_published_state(state, model="q2", placement="outside_level")
    assert torch.equal(model.levels[1].norm.weight, state["mg_block2.batchnorms.bn3.weight"])
    assert (
        from_published_state(state, model="q2", placement="relu_outside_nobn").levels[1].norm
        is None
    )


@pytest.mark.parametrize(
    ("change", "model", "message"),
    [
        (lambda s: s.pop("mg_block2.Bblock.1"), "q2", "Bblock.1 is missing"),
        (lambda s: s.pop("conv1.weight"), "q2", "conv1.weight is missing"),
        (lambda s: s.update({"extra": torch.ones(1)}), "q2", "left over"),
        (lambda s: s.update({"mg_block3.convR.weight": torch.ones(1)}), "q2", "shape"),
        (
            lambda s: s.update({"conv1.weight": torch.ones(3)}),
            "q2",
            "conv1.weight has shape .* must be a convolution's",
        ),
        (
            lambda s: s.update({"mg_block1.Ablock.A.weight": torch.tensor(1.0)}),
            "q2",
            "A.weight has shape .* must be a convolution's",
        ),
        (
            lambda s: s.update({"fc.weight": torch.tensor(1.0)}),
            "q2",
            r"fc.weight has shape \(\), must be \(classes, features\)",
        ),
        (lambda s: s.clear(), "q2", "mapping of names"),
        (lambda s: s.update({1: torch.ones(1)}), "q2", "mapping of names"),
        (
            lambda s: s["fc.bias"].fill_(float("nan")),
            "q2",
            "fc.bias holds numbers that are not finite",
        ),
        (lambda s: None, "g6", "missing"),
        (lambda s: None, "r4", "no form"),
        (lambda s: None, "resnet18", "known|takes|published"),
    ],
)
def test_foreign_states_are_refused(change, model, message):
    state = published_state("ll")
    change(state)
    with pytest.raises(ValueError, match=message):
        from_published_state(state, model=model)


def test_numbers_of_steps_do_not_fit_shared_coefficients():
    with pytest.raises(ValueError, match="coefficients must be 'step'"):
        from_published_state(published_state("ll"), model="q2", coefficients="level")
