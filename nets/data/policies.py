"""AutoAugment and RandAugment for whole batches: another operation for every image of a batch,
without loops over images or waiting.

An image takes one operation of each of three sorts in a pass, most of them the identity: a map of
coordinates (nearest pixel), a blend with a degenerate image (colour, sharpness), or a table of 256
bytes per channel (all others). Values follow Pillow's arithmetic to the byte. [Cubuk et al. 2019,
arXiv 1805.09501; Cubuk et al. 2020, arXiv 1909.13719]
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

OPERATIONS = (
    *("Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"),
    *("Brightness", "Color", "Contrast", "Sharpness"),
    *("Posterize", "Solarize", "AutoContrast", "Equalize", "Invert"),
)
_CODE = {name: code for code, name in enumerate(OPERATIONS)}
_SIGNED = 10  # codes below take either sign

# The sub-policies found for CIFAR-10, Table 7 of the paper: (operation, probability, level of
# 0..9), twice.
_AUTOAUGMENT = (
    (("Invert", 0.1, 7), ("Contrast", 0.2, 6)),
    (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
    (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
    (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.5, 8), ("Equalize", 0.9, 2)),
    (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
    (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
    (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
    (("Equalize", 0.6, 5), ("Equalize", 0.5, 1)),
    (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
    (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
    (("Equalize", 0.3, 7), ("AutoContrast", 0.4, 8)),
    (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
    (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
    (("Solarize", 0.5, 2), ("Invert", 0.0, 3)),
    (("Equalize", 0.2, 0), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.2, 8), ("Equalize", 0.6, 4)),
    (("Color", 0.9, 9), ("Equalize", 0.6, 6)),
    (("AutoContrast", 0.8, 4), ("Solarize", 0.2, 8)),
    (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
    (("Solarize", 0.4, 5), ("AutoContrast", 0.9, 3)),
    (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.9, 2), ("Solarize", 0.8, 3)),
    (("Equalize", 0.8, 8), ("Invert", 0.1, 3)),
    (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, 1)),
)
_RANDAUGMENT = tuple(name for name in OPERATIONS if name != "Invert")
POLICY_DRAWS = 16


def _value(code: Tensor, level: Tensor, height: int, width: int) -> Tensor:
    """What a level in [0, 1] means: shear, pixels, degrees, change of factor, bits or threshold."""
    top = torch.zeros(len(OPERATIONS), device=level.device)
    shifts = 150 / 331 * width, 150 / 331 * height
    top[1:3], (top[3], top[4]), top[5], top[6:10] = 0.3, shifts, 30.0, 0.9
    value = top[code] * level
    value = torch.where(code == _CODE["Posterize"], 8 - torch.round(4 * level), value)
    return torch.where(code == _CODE["Solarize"], 255 * (1 - level), value)


def apply_policy(
    policy: str, x: Tensor, u: Tensor, *, ops: int = 2, magnitude: float = 9.0
) -> Tensor:
    """The policy on byte-valued floats (n, C, H, W) with draws u; `magnitude` is of 30."""
    height, width = x.shape[-2:]
    if policy == "autoaugment":
        table = _autoaugment_table(x.device)
        chosen = table[(u[:, 0] * len(_AUTOAUGMENT)).long()]  # (n, 2, 3): code, probability, level
        for i in range(2):
            code = chosen[:, i, 0].long()
            value = _value(code, chosen[:, i, 2] / 9, height, width) * _sign(code, u[:, 3 + i])
            x = apply_operation(x, torch.where(u[:, 1 + i] < chosen[:, i, 1], code, 0), value)
        return x
    for i in range(ops):  # two draws each, of which there are POLICY_DRAWS
        code = (u[:, 2 * i] * len(_RANDAUGMENT)).long()
        value = _value(code, torch.full_like(u[:, 0], magnitude / 30), height, width)
        x = apply_operation(x, code, value * _sign(code, u[:, 2 * i + 1]))
    return x


@cache  # a copy would wait for the device
@torch.inference_mode(False)
def _autoaugment_table(device: torch.device) -> Tensor:
    rows = [[(_CODE[name], p, level) for name, p, level in pair] for pair in _AUTOAUGMENT]
    return torch.tensor(rows, dtype=torch.float32, device=device)


def _sign(code: Tensor, u: Tensor) -> Tensor:
    return torch.where((code < _SIGNED) & (u < 0.5), -1.0, 1.0)


def apply_operation(x: Tensor, code: Tensor, value: Tensor) -> Tensor:
    """Operation `code[i]` (an index into `OPERATIONS`) with `value[i]` on image i of byte-valued
    floats (n, C, H, W), C = 1 or 3. A value is a shear factor, a shift in pixels, an angle in
    degrees (counter-clockwise), the change of a blending factor from 1, bits kept, or a threshold.
    """
    x = _move(x, code, value)
    x = _blend(x, code, value)
    return _look_up(x, code, value)


def _is(code: Tensor, name: str) -> Tensor:
    return code == _CODE[name]


def _move(x: Tensor, code: Tensor, value: Tensor) -> Tensor:
    """Shears, shifts, rotation about the centre: out(p) = in(M p + t), nearest pixel, 0 outside."""
    n, _, h, w = x.shape
    zero = torch.zeros_like(value)
    angle = torch.where(_is(code, "Rotate"), value, zero) * (math.pi / 180)
    cos, sin = torch.cos(angle), torch.sin(angle)
    xy = torch.where(_is(code, "ShearX"), value, -sin)
    yx = torch.where(_is(code, "ShearY"), value, sin)
    tx = torch.where(_is(code, "TranslateX"), torch.trunc(value), zero)
    ty = torch.where(_is(code, "TranslateY"), torch.trunc(value), zero)
    rotates = _is(code, "Rotate")
    cx, cy = (torch.where(rotates, c, 0.0) for c in (w / 2, h / 2))
    px = torch.arange(w, device=x.device) + 0.5 - cx[:, None]
    py = torch.arange(h, device=x.device) + 0.5 - cy[:, None]
    a, b, c, d = (entry[:, None, None] for entry in (cos, xy, yx, cos))
    at_x = a * px[:, None, :] + b * py[:, :, None] + (tx + cx)[:, None, None]
    at_y = c * px[:, None, :] + d * py[:, :, None] + (ty + cy)[:, None, None]
    column, row = torch.floor(at_x).long(), torch.floor(at_y).long()
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    flat = (row.clamp(0, h - 1) * w + column.clamp(0, w - 1)).reshape(n, 1, h * w)
    moved = x.reshape(n, -1, h * w).gather(2, flat.expand(-1, x.shape[1], -1)).reshape(x.shape)
    return moved * inside[:, None]


def _grey(x: Tensor) -> Tensor:
    """Luminance as bytes (n, 1, H, W), ITU-R 601-2 in 16-bit fixed point."""
    if x.shape[1] == 1:
        return x
    return torch.floor((x[:, :1] * 19595 + x[:, 1:2] * 38470 + x[:, 2:] * 7471 + 32768) / 65536)


def _towards(base: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    """base + factor (x - base), cut to bytes; factors beyond 1 extrapolate."""
    return torch.floor((base + factor * (x - base)).clamp(0, 255))


def _blend(x: Tensor, code: Tensor, value: Tensor) -> Tensor:
    """Colour against grey; sharpness against smoothing (1 1 1, 1 5 1, 1 1 1)/13, border kept."""
    factor = (1 + value)[:, None, None, None]
    colour, sharp = (_is(code, name)[:, None, None, None] for name in ("Color", "Sharpness"))
    out = torch.where(colour, _towards(_grey(x), x, factor), x)
    if min(x.shape[2:]) < 3:
        return out
    smooth = x.clone()
    total = F.avg_pool2d(x, 3, stride=1, divisor_override=1) + 4 * x[:, :, 1:-1, 1:-1]
    smooth[:, :, 1:-1, 1:-1] = torch.floor(total / 13 + 0.5)
    return torch.where(sharp, _towards(smooth, x, factor), out)


def _look_up(x: Tensor, code: Tensor, value: Tensor) -> Tensor:
    """Brightness, contrast, and what else is a map of bytes, as one table (n, C, 256)."""
    n, c, h, w = x.shape
    i = torch.arange(256, device=x.device, dtype=x.dtype)[None, None, :]
    code, value = code[:, None, None], value[:, None, None]
    mean = torch.floor(_grey(x).mean((1, 2, 3)) + 0.5)[:, None, None]
    table = i.expand(n, c, 256)
    table = torch.where(_is(code, "Brightness"), _towards(torch.zeros_like(i), i, 1 + value), table)
    table = torch.where(_is(code, "Contrast"), _towards(mean, i, 1 + value), table)
    unit = torch.exp2(8 - value.clamp(0, 8))
    table = torch.where(_is(code, "Posterize"), torch.floor(i / unit) * unit, table)
    table = torch.where(_is(code, "Solarize"), torch.where(i < value, i, 255 - i), table)
    table = torch.where(_is(code, "Invert"), 255 - i, table)
    flat = x.reshape(n, c, h * w)
    low, high = flat.amin(2, keepdim=True), flat.amax(2, keepdim=True)
    scale = 255 / (high - low).clamp(min=1)
    stretched = torch.where(high > low, torch.trunc(i * scale - low * scale).clamp(0, 255), i)
    table = torch.where(_is(code, "AutoContrast"), stretched, table)
    table = torch.where(_is(code, "Equalize"), _equalized(flat.long(), high.long(), i), table)
    return table.gather(2, flat.long()).reshape(x.shape)


def _equalized(flat: Tensor, high: Tensor, i: Tensor) -> Tensor:
    """Histogram equalisation: (step/2 + count below i) / step, step = (pixels - highest)/255."""
    n, c, pixels = flat.shape
    counts = torch.zeros(n, c, 256, dtype=torch.int64, device=flat.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    step = (pixels - counts.gather(2, high)) // 255
    below = torch.cumsum(counts, 2) - counts
    table = ((step // 2 + below) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, table.to(i.dtype), i)
