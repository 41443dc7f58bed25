"""Augmentation of whole batches on the device: uint8 images in, normalised floats out, every draw
addressed by (seed, epoch, sample).

One gather does crop and flip, one bilinear sampling does rotation and scale where they are asked
for; policies work on bytes, cutout and mixing on normalised values (so a cut hole is the mean
colour). Nothing here waits for the device, and nothing depends on the batch a sample is in: the
partner of mixup and cutmix is the next sample in the epoch's order, with its own augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor
from torch.nn import functional as F

from nets.data.order import keyed_uniform
from nets.data.policies import POLICY_DRAWS, apply_policy
from nets.data.sources import Source
from nets.settings import AugmentSection

_DRAWS = ("dy", "dx", "flip", "angle", "scale", "cut_y", "cut_x", "mix", "kind", "mix_y", "mix_x")
_STREAM, _FLIP_STREAM = 1, 2


class Augment(AugmentSection):
    """What happens to a training image: the section of the configuration with no null left, and
    what else it depends on; mean and std per channel, of pixels in [0, 1].

    Shifts are whole pixels, or real numbers where there is rotation or scale.
    """

    seed: int
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: int = 0
    flip: Literal["none", "random", "alternating"] = "none"
    rotate: float = 0.0
    scale: float = 0.0

    @model_validator(mode="after")
    def _as_many(self) -> Augment:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} channels and std {len(self.std)}")
        return self

    @classmethod
    def resolve(cls, section: AugmentSection, source: Source, **further: Any) -> Augment:
        """The section with the data set's natural values where it says None, and `further` fields:
        seed, classes, mean and std."""
        given = section.model_dump()
        natural = {key: getattr(source, key) for key, value in given.items() if value is None}
        return cls(**further, **(given | natural))

    @property
    def mixes(self) -> bool:
        """Whether targets become class probabilities."""
        return self.mixup > 0 or self.cutmix > 0

    def draws(self, samples: Tensor, epoch: int) -> dict[str, Tensor]:
        """The samples' random numbers in [0, 1), each (n,); `policy` (n, POLICY_DRAWS)."""
        table = keyed_uniform(
            samples, len(_DRAWS) + POLICY_DRAWS, seed=self.seed, epoch=epoch, stream=_STREAM
        )
        named = {name: table[:, i] for i, name in enumerate(_DRAWS)}
        # the first epoch's side by chance, then every epoch the other one [Jordan 2024, airbench]
        if self.flip == "alternating":
            first = keyed_uniform(samples, 1, seed=self.seed, epoch=0, stream=_FLIP_STREAM)
            named["flip"] = ((first[:, 0] < 0.5) ^ bool(epoch % 2)).to(table.dtype)
        return named | {"policy": table[:, len(_DRAWS) :]}

    def images(self, pool: Tensor, rows: Tensor, u: Mapping[str, Tensor]) -> Tensor:
        """Augmented, normalised floats (n, C, H, W) of a uint8 pool's rows, with their draws u."""
        if self.rotate or self.scale:
            x = self._warp(pool[rows].float(), u)
        elif self.crop or self.flip != "none":
            x = self._gather(pool, rows, u).float()
        else:
            x = pool[rows].float()
        if self.policy != "none":
            ops, magnitude = self.randaugment_ops, self.randaugment_magnitude
            x = x.round()  # bytes, which its tables are of; between them is what was interpolated
            x = apply_policy(self.policy, x, u["policy"], ops=ops, magnitude=magnitude)
        x = normalise(x, self.mean, self.std)
        return self._cut(x, u) if self.cutout else x

    def mix(
        self,
        x: Tensor,
        labels: Tensor,
        other: Tensor,
        other_labels: Tensor,
        u: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """(images, probabilities (n, classes)) of images mixed with partners, by the first's u:
        mixup [Zhang et al. 2018] or cutmix [Yun et al. 2019], half and half where both are on."""
        mixed, share = x, torch.ones_like(u["mix"])  # of the first image
        if self.mixup:
            share = _beta_quantile(u["mix"], self.mixup).to(x.dtype)
            mixed = other + share[:, None, None, None] * (x - other)
        if self.cutmix:
            side = torch.sqrt(1 - _beta_quantile(u["mix"], self.cutmix))
            height, width = (torch.round(side * size) for size in x.shape[2:])
            hole = self._box(x, u["mix_y"], u["mix_x"], height, width)
            pastes = (u["kind"] >= 0.5) | (not self.mixup)
            pasted = torch.where(hole[:, None], other, x)
            mixed = torch.where(pastes[:, None, None, None], pasted, mixed)
            share = torch.where(pastes, 1 - hole.float().mean((1, 2)).to(x.dtype), share)
        one, two = (F.one_hot(t, self.classes).to(x.dtype) for t in (labels, other_labels))
        return mixed, two + share[:, None] * (one - two)

    def _flipped(self, u: Mapping[str, Tensor]) -> Tensor:
        return (u["flip"] >= 0.5) & (self.flip != "none")

    def _gather(self, pool: Tensor, samples: Tensor, u: Mapping[str, Tensor]) -> Tensor:
        """Shift by whole pixels and flip, on bytes, in one indexing."""
        h, w = pool.shape[2:]
        shifts = [(u[name] * (2 * self.crop + 1)).long() - self.crop for name in ("dy", "dx")]
        rows = torch.arange(h, device=pool.device) + shifts[0][:, None]
        columns = torch.arange(w, device=pool.device) + shifts[1][:, None]
        columns = torch.where(self._flipped(u)[:, None], w - 1 - columns, columns)
        inside = [(index >= 0) & (index < size) for index, size in ((rows, h), (columns, w))]
        rows, columns = (_reflect(index, size) for index, size in ((rows, h), (columns, w)))
        channels = torch.arange(pool.shape[1], device=pool.device)[None, :, None, None]
        at = (rows[:, None, :, None], columns[:, None, None, :])
        x = pool[samples[:, None, None, None], channels, *at]
        if self.pad == "zeros" and self.crop:
            x = x * (inside[0][:, None, :, None] & inside[1][:, None, None, :])
        return x

    def _warp(self, x: Tensor, u: Mapping[str, Tensor]) -> Tensor:
        """Rotation, scale, real shift and flip by one bilinear sampling."""
        h, w = x.shape[2:]
        angle = (2 * u["angle"] - 1) * math.radians(self.rotate)
        zoom = 1 + (2 * u["scale"] - 1) * self.scale
        mirror = torch.where(self._flipped(u), -1.0, 1.0)
        cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
        dx, dy = ((2 * u[name] - 1) * self.crop * 2 / size for name, size in (("dx", w), ("dy", h)))
        rows = ([cos * mirror, -sin * h / w, dx], [sin * mirror * w / h, cos, dy])
        theta = torch.stack([torch.stack(row, -1) for row in rows], 1)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        outside = "zeros" if self.pad == "zeros" else "reflection"
        return F.grid_sample(x, grid, padding_mode=outside, align_corners=False)

    def _cut(self, x: Tensor, u: Mapping[str, Tensor]) -> Tensor:
        """A square hole anywhere, cut at the border, of the mean [DeVries, Taylor 2017]."""
        side = torch.full_like(u["cut_y"], self.cutout)
        hole = self._box(x, u["cut_y"], u["cut_x"], side, side)
        return x.masked_fill(hole[:, None], 0.0)

    @staticmethod
    def _box(x: Tensor, uy: Tensor, ux: Tensor, height: Tensor, width: Tensor) -> Tensor:
        """Boolean (n, H, W): a box of the given real size around a uniformly chosen pixel."""
        marks = []
        for u, size, extent in ((uy, height, x.shape[2]), (ux, width, x.shape[3])):
            first = torch.floor(u * extent) - torch.floor(size / 2)
            at = torch.arange(extent, device=x.device)
            marks.append((at >= first[:, None]) & (at < (first + size)[:, None]))
        return marks[0][:, :, None] & marks[1][:, None, :]


def normalise(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(x / 255 - mean) / std per channel of byte values (n, C, H, W), as one multiply-add."""
    scale = [1 / (255 * s) for s in std]
    shift = [-m / s for m, s in zip(mean, std, strict=True)]
    if len(set(zip(scale, shift))) == 1:
        return x.float() * scale[0] + shift[0]
    factors = _constant(tuple(scale), x.device), _constant(tuple(shift), x.device)
    return torch.addcmul(factors[1], x.float(), factors[0])


@cache  # a copy would wait for the device
@torch.inference_mode(False)  # what is kept may be part of a backward pass
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """The values as float32 (1, C, 1, 1) on the device."""
    return torch.tensor(values, dtype=torch.float32, device=device)[None, :, None, None]


def _reflect(index: Tensor, size: int) -> Tensor:
    """Mirror at the border pixels, which are not repeated: -1 -> 1, size -> size - 2."""
    if size == 1:
        return torch.zeros_like(index)
    index = torch.remainder(index, 2 * size - 2)
    return torch.where(index < size, index, 2 * size - 2 - index)


@cache
@torch.inference_mode(False)
def _beta_table(alpha: float, device: torch.device) -> Tensor:
    """4,097 exact quantiles of Beta(alpha, alpha), at equal distances in [0, 1]."""
    from scipy.stats import beta

    exact = torch.from_numpy(beta.ppf(np.linspace(0, 1, 4097), alpha, alpha))
    return exact.float().to(device)


def _beta_quantile(u: Tensor, alpha: float) -> Tensor:
    """Quantiles of Beta(alpha, alpha) between those of the table; u for alpha = 1."""
    if alpha == 1:
        return u
    table = _beta_table(alpha, u.device)
    position = u * 4096
    below = position.long()
    return torch.lerp(table[below], table[(below + 1).clamp(max=4096)], position - below)
