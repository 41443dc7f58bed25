"""Augmentation: draws that know only their address, geometry against index arithmetic, every policy
operation against Pillow's bytes."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats

from nets.data.augment import Augment, normalise
from nets.data.order import keyed_bits, keyed_order, keyed_uniform
from nets.data.policies import (
    OPERATIONS,
    POLICY_DRAWS,
    apply_operation,
    apply_policy,
)

POLICIES = ("autoaugment", "randaugment")
IDS = torch.arange(2000)


def augment(**options):
    # normalised values are the bytes
    return Augment(**({"seed": 1, "classes": 3, "mean": (0.0,), "std": (1 / 255,)} | options))


def pool(n=8, c=1, h=8, w=8, seed=0):
    return torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, (n, c, h, w), dtype=np.uint8)
    )


def test_draws_are_uniform_and_independent():
    u = keyed_uniform(torch.arange(20000), 8, seed=3, epoch=2).numpy()
    assert u.min() >= 0
    assert u.max() < 1
    for column in u.T:  # Kolmogorov-Smirnov at the 1e-4 level, eight columns
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    # 28 correlations of 20,000 pairs: standard deviation 1/sqrt(20000) = 0.007, five of them
    assert np.abs(np.corrcoef(u.T) - np.eye(8)).max() < 0.035
    assert np.abs(np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1]) < 0.035
    other = keyed_uniform(torch.arange(20000), 1, seed=3, epoch=3).numpy()[:, 0]
    assert np.abs(np.corrcoef(u[:, 0], other)[0, 1]) < 0.035


def test_draws_know_only_their_address():
    whole = keyed_bits(IDS, 5, seed=7, epoch=3)
    part = keyed_bits(IDS[500:].flip(0), 3, seed=7, epoch=3)
    assert torch.equal(whole[500:].flip(0)[:, :3], part)
    for other in (
        {"seed": 8, "epoch": 3},
        {"seed": 7, "epoch": 4},
        {"seed": 7, "epoch": 3, "stream": 1},
        {"seed": 7 + 2**32, "epoch": 3},
    ):
        assert (keyed_bits(IDS, 5, **other) == whole).sum() <= 2  # chance: 10,000 / 2^32


FROZEN = [[4251337950, 186420464], [2675394219, 3882412304], [2203650269, 2467120223]]


def test_draws_are_these_bits():
    """Frozen values: a change of the hash would change every published run."""
    assert keyed_bits(torch.tensor([0, 1, 12345]), 2, seed=0, epoch=0).tolist() == FROZEN


def test_order_is_a_permutation_of_its_epoch():
    one, two = (keyed_order(IDS, seed=0, epoch=e) for e in (0, 1))
    assert torch.equal(one.sort().values, IDS)
    assert (one == two).sum() < 10
    assert torch.equal(keyed_order(IDS.flip(0), seed=0, epoch=0), one)  # not the order they came in


def applied(a, x, samples, epoch):
    """The images of samples that lie in their own rows of the pool."""
    return a.images(x, samples, a.draws(samples, epoch))


def test_images_do_not_depend_on_the_batch():
    a, x = augment(crop=2, flip="random", policy="randaugment", cutout=3), pool(16, 1)
    whole = applied(a, x, torch.arange(16), 5)
    assert torch.equal(whole[3:9].flip(0), applied(a, x, torch.arange(3, 9).flip(0), 5))
    assert not torch.equal(whole, applied(a, x, torch.arange(16), 6))
    rows = torch.arange(4)
    # images left in host memory
    assert torch.equal(a.images(x[10:14], rows, a.draws(torch.arange(10, 14), 5)), whole[10:14])


@pytest.mark.parametrize("pad", ["zeros", "reflect"])
def test_crop_shifts_by_whole_pixels(pad):
    a, x = augment(crop=2, pad=pad), pool(400, 1, 6, 7)
    u = a.draws(torch.arange(400), 0)
    out = a.images(x, torch.arange(400), u)
    padded = np.pad(
        x.numpy(),
        ((0, 0), (0, 0), (2, 2), (2, 2)),
        mode="constant" if pad == "zeros" else "reflect",
    )
    seen = set()
    for i in range(400):
        dy, dx = (int(u[k][i] * 5) for k in ("dy", "dx"))
        seen.add((dy, dx))
        np.testing.assert_array_equal(out[i, 0], padded[i, 0, dy : dy + 6, dx : dx + 7])
    assert len(seen) == 25


def test_flips():
    x, ids = pool(300), torch.arange(300)
    for epoch in range(2):
        out = applied(augment(flip="random"), x, ids, epoch)
        flipped = (out == x.flip(3)).all((1, 2, 3))
        assert ((out == x).all((1, 2, 3)) | flipped).all()
        assert 110 < flipped.sum() < 190  # 150 +- 4.6 standard deviations
    even, odd, later = (applied(augment(flip="alternating"), x, ids, epoch) for epoch in (0, 1, 2))
    assert torch.equal(even, odd.flip(3))
    assert torch.equal(even, later)


def test_rotation_by_a_right_angle_and_no_change():
    x = pool(4).float()
    turn = {
        "angle": torch.ones(4),
        "scale": torch.full((4,), 0.5),
        "dy": torch.full((4,), 0.5),
        "dx": torch.full((4,), 0.5),
        "flip": torch.zeros(4),
    }
    quarter = augment(rotate=90.0)._warp(x, turn)
    candidates = [torch.rot90(x, k, (2, 3)) for k in (1, 3)]
    # bytes, interpolated in float32
    assert min((quarter - c).abs().max().item() for c in candidates) < 1e-2
    same = augment(rotate=90.0)._warp(x, turn | {"angle": torch.full((4,), 0.5)})
    assert (same - x).abs().max() < 1e-2
    mirrored = augment(rotate=90.0, flip="random")._warp(
        x, turn | {"angle": torch.full((4,), 0.5), "flip": torch.ones(4)}
    )
    assert (mirrored - x.flip(3)).abs().max() < 1e-2


def test_cutout_removes_a_square():
    x = torch.full((500, 1, 8, 8), 200, dtype=torch.uint8)
    out = applied(augment(cutout=3, mean=(0.5,)), x, torch.arange(500), 0)
    holes = (out == 0).sum((1, 2, 3))
    assert holes.max() == 9
    # whole, cut at one side, cut at a corner: 3, 2 of 3 stay when the centre is on the border
    assert set(holes.tolist()) <= {4, 6, 9}
    assert (out == 0).float().mean((0, 1)).min() > 0  # everywhere


def test_mixup_and_cutmix_shares():
    ids = torch.arange(2000)
    x, other = torch.zeros(2000, 1, 8, 8), torch.ones(2000, 1, 8, 8)
    labels, other_labels = torch.zeros(2000, dtype=torch.long), torch.full((2000,), 2)
    for options in ({"mixup": 0.3}, {"cutmix": 1.0}, {"mixup": 0.3, "cutmix": 1.0}):
        a = augment(**options)
        mixed, target = a.mix(x, labels, other, other_labels, a.draws(ids, 0))
        # the share of the partner, in image and target
        torch.testing.assert_close(mixed.mean((1, 2, 3)), target[:, 2], atol=1e-6, rtol=0)
        torch.testing.assert_close(target.sum(1), torch.ones(2000))
    a = augment(mixup=0.3)
    share = a.mix(x, labels, other, other_labels, a.draws(ids, 0))[1][:, 0]
    assert stats.kstest(share.double().numpy(), stats.beta(0.3, 0.3).cdf).pvalue > 1e-4


def test_cutmix_box_has_the_shape_of_the_image():
    x, other = torch.zeros(3000, 1, 6, 18), torch.ones(3000, 1, 6, 18)
    a = augment(cutmix=1.0)
    u = a.draws(torch.arange(3000), 0)
    mixed, _ = a.mix(x, torch.zeros(3000).long(), other, torch.ones(3000).long(), u)
    rows, columns = mixed.amax((1, 3)), mixed.amax((1, 2))
    # not clipped at the border
    inner = (rows[:, 0] + rows[:, -1] + columns[:, 0] + columns[:, -1] == 0) & (rows.sum(1) > 0)
    assert inner.sum() > 100
    difference = rows.sum(1) / 6 - columns.sum(1) / 18
    # both are the same share of the side, rounded to pixels
    assert difference[inner].abs().max() <= 0.5 / 6 + 0.5 / 18 + 1e-6


def test_cutmix_pastes_as_much_as_was_drawn():
    """Of every image, where it is the only mixing: 1 - lambda of Beta(1, 1), which is uniform, by a
    box that is clipped at no border."""
    x, other = torch.zeros(500, 1, 64, 64), torch.ones(500, 1, 64, 64)
    u = augment().draws(torch.arange(500), 0)
    u |= dict.fromkeys(("mix_y", "mix_x"), torch.full((500,), 0.5))
    labels = torch.zeros(500, dtype=torch.long)
    pasted = augment(cutmix=1.0).mix(x, labels, other, labels + 1, u)[0].mean((1, 2, 3))
    # sides are rounded by up to half of a pixel
    torch.testing.assert_close(pasted, 1 - u["mix"], rtol=0, atol=1 / 64 + 1e-3)


def test_normalise():
    x = pool(5, 3)
    mean, std = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)
    expected = (x.double() / 255 - torch.tensor(mean).double()[:, None, None]) / torch.tensor(
        std
    ).double()[:, None, None]
    torch.testing.assert_close(normalise(x, mean, std).double(), expected, atol=1e-5, rtol=1e-5)


def shear(image, matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


PILLOW = {
    "Identity": lambda im, v: im,
    "ShearX": lambda im, v: shear(im, (1, v, 0, 0, 1, 0)),
    "ShearY": lambda im, v: shear(im, (1, 0, 0, v, 1, 0)),
    "TranslateX": lambda im, v: shear(im, (1, 0, int(v), 0, 1, 0)),
    "TranslateY": lambda im, v: shear(im, (1, 0, 0, 0, 1, int(v))),
    "Rotate": lambda im, v: im.rotate(v),
    "Brightness": lambda im, v: ImageEnhance.Brightness(im).enhance(1 + v),
    "Color": lambda im, v: ImageEnhance.Color(im).enhance(1 + v),
    "Contrast": lambda im, v: ImageEnhance.Contrast(im).enhance(1 + v),
    "Sharpness": lambda im, v: ImageEnhance.Sharpness(im).enhance(1 + v),
    "Posterize": lambda im, v: ImageOps.posterize(im, int(v)),
    "Solarize": lambda im, v: ImageOps.solarize(im, v),
    "AutoContrast": lambda im, v: ImageOps.autocontrast(im),
    "Equalize": lambda im, v: ImageOps.equalize(im),
    "Invert": lambda im, v: ImageOps.invert(im),
}
VALUES = {
    "Shear": (0.13, -0.27),
    "Translate": (3.7, -5.2),
    "Rotate": (17.0, -29.0),
    "Posterize": (4, 7, 8),
    "Solarize": (0.0, 100.0, 255.0),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_operation_equals_pillows(name, channels):
    # of 255 pixels and fewer equalising changes nothing
    rng, (h, w) = np.random.default_rng(3), (33, 36) if name == "Equalize" else (12, 14)
    narrow = rng.integers(60, 140, (4, h, w, channels), dtype=np.uint8)
    images = np.concatenate(
        [
            narrow,
            rng.integers(0, 256, narrow.shape, dtype=np.uint8),
            np.full((1, h, w, channels), 77, np.uint8),
        ]
    )
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    for value in next((v for k, v in VALUES.items() if name.startswith(k)), (0.3517, -0.6113)):
        got = apply_operation(
            x, torch.full((len(x),), OPERATIONS.index(name)), torch.full((len(x),), float(value))
        )
        pictures = [
            Image.fromarray(image.squeeze(-1) if channels == 1 else image) for image in images
        ]
        expected = np.stack(
            [np.asarray(PILLOW[name](p, value)).reshape(h, w, channels) for p in pictures]
        ).transpose(0, 3, 1, 2)
        # Pillow blends in float32 and truncates: next to a whole number the two may fall to either
        # side of it, hardly ever
        difference = np.abs(got.numpy() - expected)
        assert difference.max() <= (
            1 if name in ("Brightness", "Color", "Contrast", "Sharpness", "AutoContrast") else 0
        )
        assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("policy", POLICIES)
def test_policy_gives_bytes_and_changes_most_images(policy):
    x = pool(500, 3).float()
    u = keyed_uniform(torch.arange(500), POLICY_DRAWS, seed=0, epoch=0)
    out = apply_policy(policy, x, u)
    assert torch.equal(out, out.round())
    assert out.min() >= 0
    assert out.max() <= 255
    # noise has full contrast already: those operations keep it
    assert (out != x).any(3).any(2).any(1).float().mean() > 0.5
    assert torch.equal(apply_policy(policy, x[100:200], u[100:200]), out[100:200])


# the published CIFAR-10 policy [Cubuk et al. 2019, appendix], written once more: operation,
# probability in tenths, level
AUTOAUGMENT = """
Invert 1 7 Contrast 2 6; Rotate 7 2 TranslateX 3 9; Sharpness 8 1 Sharpness 9 3; ShearY 5 8
TranslateY 7 9; AutoContrast 5 8 Equalize 9 2;
ShearY 2 7 Posterize 3 7; Color 4 3 Brightness 6 7; Sharpness 3 9 Brightness 7 9; Equalize 6 5
Equalize 5 1; Contrast 6 7 Sharpness 6 5;
Color 7 7 TranslateX 5 8; Equalize 3 7 AutoContrast 4 8; TranslateY 4 3 Sharpness 2 6; Brightness
9 6 Color 2 8; Solarize 5 2 Invert 0 3;
Equalize 2 0 AutoContrast 6 0; Equalize 2 8 Equalize 6 4; Color 9 9 Equalize 6 6; AutoContrast 8 4
Solarize 2 8; Brightness 1 3 Color 7 0;
Solarize 4 5 AutoContrast 9 3; TranslateY 9 9 TranslateY 7 9; AutoContrast 9 2 Solarize 8 3;
Equalize 8 8 Invert 1 3;
TranslateY 7 9 AutoContrast 9 1
"""
RANGES = {
    "ShearX": 0.3,
    "ShearY": 0.3,
    "Rotate": 30.0,
    "Brightness": 0.9,
    "Color": 0.9,
    "Contrast": 0.9,
    "Sharpness": 0.9,
}
HEIGHT, WIDTH = 12, 20


def by_pillow(picture, name, level, u):
    """One operation of a policy at a relative level in [0, 1], with its sign drawn by u."""
    top = RANGES | {"TranslateX": 150 / 331 * WIDTH, "TranslateY": 150 / 331 * HEIGHT}
    value = top.get(name, 0.0) * level * (-1 if u < 0.5 else 1)
    value = {"Posterize": 8 - round(4 * level), "Solarize": 255 * (1 - level)}.get(name, value)
    return PILLOW[name](picture, value)


def policy_by_pillow(policy, picture, u, ops, magnitude):
    if policy == "autoaugment":
        pairs = [line.split() for line in AUTOAUGMENT.replace("\n", " ").split(";")]
        words = pairs[int(u[0] * 25)]
        for i, (name, tenths, level) in enumerate((words[:3], words[3:])):
            if u[1 + i] < int(tenths) / 10:
                picture = by_pillow(picture, name, int(level) / 9, u[3 + i])
        return picture
    names = [name for name in OPERATIONS if name != "Invert"]
    for i in range(ops):
        picture = by_pillow(
            picture, names[int(u[2 * i] * len(names))], magnitude / 30, u[2 * i + 1]
        )
    return picture


@pytest.mark.parametrize(
    ("policy", "ops", "magnitude"),
    [("autoaugment", 2, 9.0), ("randaugment", 2, 9.0), ("randaugment", 3, 26.0)],
)
def test_policy_equals_a_loop_over_pillows_operations(policy, ops, magnitude):
    rng = np.random.default_rng(5)
    images = rng.integers(40, 220, (600, HEIGHT, WIDTH, 3), dtype=np.uint8)
    u = torch.from_numpy(rng.random((600, POLICY_DRAWS))).float()
    got = apply_policy(
        policy,
        torch.from_numpy(images).permute(0, 3, 1, 2).float(),
        u,
        ops=ops,
        magnitude=magnitude,
    ).permute(0, 2, 3, 1)
    loop = [
        np.asarray(policy_by_pillow(policy, Image.fromarray(im), row, ops, magnitude))
        for im, row in zip(images, u.tolist(), strict=True)
    ]
    # truncations that fall to the other side, enlarged by a second operation
    wrong = np.abs(got.numpy() - np.stack(loop)) > 3
    assert wrong.mean(axis=(1, 2, 3)).max() < 0.02


@pytest.mark.parametrize("axis", [0, 1])
def test_warp_shifts_and_zooms_by_what_was_drawn(axis):
    """On 7 x 13 pixels: the largest shift is `crop` pixels, the largest scale moves a point
    outwards by 1 + scale."""
    x = torch.zeros(1, 1, 7, 13)
    x[0, 0, 3 - (axis == 0), 6 - (axis == 1)] = 1  # one pixel off the centre
    middle = {name: torch.tensor([0.5]) for name in ("angle", "scale", "dx", "dy", "flip")}
    shifted = augment(crop=2, rotate=1e-9)._warp(
        x, middle | {("dy", "dx")[axis]: torch.tensor([1.0])}
    )
    place = divmod(int(shifted.flatten().argmax()), 13)
    assert shifted.max() == pytest.approx(1, abs=1e-4)
    # content moves against the shift of the sampling grid, by 2 pixels
    assert place == ((0, 6) if axis == 0 else (3, 3))
    zoomed = augment(scale=0.999999)._warp(x, middle | {"scale": torch.tensor([1.0])})
    assert divmod(int(zoomed.flatten().argmax()), 13) == ((1, 6) if axis == 0 else (3, 4))
    turned = augment(rotate=90.0)._warp(x, middle | {"angle": torch.tensor([1.0])})
    assert divmod(int(turned.flatten().argmax()), 13) in (
        ((3, 5), (3, 7)) if axis == 0 else ((2, 6), (4, 6))
    )
    assert turned.max() == pytest.approx(1, abs=1e-4)  # a true rotation: the pixel stays one pixel


def test_a_warped_image_is_mirrored_as_a_whole():
    """Turned, scaled and shifted, and then the columns in the other order."""
    x, shape = pool(20, 2, 7, 10).float(), (20,)
    u = augment(rotate=30.0, scale=0.2, crop=2).draws(torch.arange(20), 0)
    one, other = (
        augment(rotate=30.0, scale=0.2, crop=2, flip="random")._warp(x, u | {"flip": side})
        for side in (torch.zeros(shape), torch.ones(shape))
    )
    torch.testing.assert_close(other, one.flip(3), rtol=0, atol=0.02)  # of bytes


def test_a_policy_rounds_what_was_interpolated():
    """Turned and scaled a constant image is constant up to rounding, and so is what a policy of no
    magnitude makes of it; turned noise is as bright on average as before."""
    turned = {"rotate": 8.0, "scale": 0.08, "pad": "reflect"}
    plain, policy = (
        augment(**turned),
        augment(**turned, policy="randaugment", randaugment_ops=1, randaugment_magnitude=0.0),
    )
    images, rows = torch.full((200, 1, 9, 9), 100, dtype=torch.uint8), torch.arange(200)
    u = policy.draws(rows, 0)
    bytes_ = policy.images(images, rows, u)
    kept = (u["policy"][:, 0] * 14).long() == 0  # the identity
    assert kept.sum() > 5
    torch.testing.assert_close(bytes_[kept], torch.full_like(bytes_[kept], 100))
    noise = pool(200, 1)
    found, expected = (one.images(noise, rows, u)[kept] for one in (policy, plain))
    assert (found - expected).abs().max() < 0.501
    assert (found - expected).mean().abs() < 0.05


def test_wrong_options():
    with pytest.raises(
        ValueError, match=r"policy\n.* 'none', 'autoaugment' or 'randaugment' .*'trivial'"
    ):
        augment(policy="trivial")
    with pytest.raises(ValueError, match="mean has 2 channels and std 1"):
        augment(mean=(0.0, 0.0))
