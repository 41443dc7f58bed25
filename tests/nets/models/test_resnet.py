"""ResNets: published sizes, the blocks' formulas, and option A."""

import pytest
import torch
from torch.nn import functional as F

import nets
from nets.models.cost import count_parameters
from nets.models.resnet import BasicBlock, Shortcut


@pytest.mark.parametrize(
    ("depth", "count"),
    [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)],
)
def test_sizes_of_the_6n_plus_2_family(depth, count):
    assert count_parameters(nets.create_model(f"resnet{depth}")) == count


def test_sizes_of_resnet18():
    """The pre-activation form has no norms at the stem and the shortcuts, narrower first norms in
    wider blocks, and a last one."""
    original, pre = (
        count_parameters(nets.create_model(name)) for name in ("resnet18", "preact_resnet18")
    )
    assert original == 11_173_962
    shortcuts = 2 * (128 + 256 + 512)
    narrower = 2 * ((128 - 64) + (256 - 128) + (512 - 256))
    assert original - pre == 2 * 64 + shortcuts + narrower - 2 * 512


def bn(x, norm):
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    return (
        norm.weight[:, None, None] * (x - mean) / (var + norm.eps).sqrt() + norm.bias[:, None, None]
    )


@pytest.mark.parametrize("preactivation", [False, True])
@pytest.mark.parametrize("shortcut", ["projection", "pad"])
@pytest.mark.parametrize(("coarse", "stride"), [(4, 1), (8, 2)])
def test_block_formula(preactivation, shortcut, coarse, stride):
    torch.manual_seed(0)
    block = BasicBlock(
        4, coarse, stride=stride, shortcut=shortcut, preactivation=preactivation
    ).double()
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    conv1, conv2 = (
        lambda v, c=c, s=s: F.conv2d(v, c.weight, stride=s, padding=1)
        for c, s in ((block.conv1, stride), (block.conv2, 1))
    )

    def side(v):
        if stride == 1:
            return v
        if shortcut == "pad":
            out = torch.zeros(2, 8, 3, 3, dtype=torch.float64)
            out[:, 2:6] = v[:, :, ::2, ::2]
            return out
        projected = F.conv2d(v, block.shortcut.conv.weight, stride=2)
        return projected if preactivation else bn(projected, block.shortcut.norm)

    if preactivation:
        active = F.relu(bn(x, block.norm1))
        start = side(active) if stride == 2 and shortcut == "projection" else side(x)
        expected = start + conv2(F.relu(bn(conv1(active), block.norm2)))
    else:
        expected = F.relu(side(x) + bn(conv2(F.relu(bn(conv1(x), block.norm1))), block.norm2))
    torch.testing.assert_close(block(x), expected, rtol=1e-10, atol=1e-10)


def test_the_classifier_reads_what_a_relu_left():
    """Original: of the last block's sum. Pre-activation: of the last norm of that sum."""
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for name in ("resnet20", "preact_resnet20"):
        model = nets.create_model(name, width=4)
        with torch.no_grad():
            read, x = model.features(images), model.stem(images)
            x = x if model.stem_norm is None else F.relu(bn(x, model.stem_norm))
            for stage in model.stages:
                x = stage(x)
            expected = x if model.final_norm is None else F.relu(bn(x, model.final_norm))
        torch.testing.assert_close(read, expected)
        assert read.min() == 0.0


def test_option_a_has_no_parameters():
    assert not list(Shortcut(4, 8, stride=2, kind="pad", norm=True).parameters())
    assert nets.create_model("resnet20").stages[1][0].shortcut.conv is None


def test_options():
    model = nets.create_model(
        "resnet18",
        steps=[1, 2],
        levels=2,
        width=8,
        groups=2,
        kernel_size=5,
        in_channels=1,
        num_classes=3,
    )
    assert [len(stage) for stage in model.stages] == [1, 2]
    assert model.stages[1][0].conv1.weight.shape == (16, 4, 5, 5)
    assert model(torch.randn(2, 1, 8, 8)).shape == (2, 3)
    assert nets.create_model("resnet20", preactivation=True, width=4).final_norm is not None
    assert nets.create_model("preact_resnet56", width=4).stages[0][0].preactivation
