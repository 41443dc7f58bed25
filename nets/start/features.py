"""How large the features are that the classifier reads, and the amplification that gives them a
size.

A level's correction is u = p(A) f, relus left aside, and over random A with many channels its mean
is p(0) f, p(0) the step: so the features grow with the step that a start takes, in every level of a
network alike, and with what their average over the last grid leaves of them, of many points less
than of few. Behind them stands a linear layer, whose gradient is proportional to them. With four
levels one M makes those of the digits, 8 x 8 points, more than twenty times as large as with one,
those of random images eight times; their size over images,

    size^2 = mean over channels of the variance over images of the average of u,

is what a start is fitted to. A norm behind a correction (as in the placement `regular`) leaves
little trace of its step's size, and there is nothing to fit.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mgtheory.polynomials.bounded import AMPLIFICATION
from nets.models.base import ImageModel

IMAGES = 32
FEWEST, PIXELS = 8, 2**19  # images, and pixels of all of them, where these are large
SEED = 0
CLOSE = 0.03  # of the size, relative
MAX_MEASUREMENTS = 12
SMALLEST, LARGEST = 1.01, 1e6  # of M
# exponent of the size in ln M: of the step it is 1 or more, without norms 0.5 or more were measured
FLAT = 0.3


@dataclass(frozen=True)
class Features:
    """What a network's classifier reads of some images: of an `ImageModel` the pooled features, of
    another network what the last linear layer reads that it applies."""

    model: nn.Module
    images: Tensor

    @classmethod
    def of(cls, model: nn.Module, images: Tensor | None, size: Sequence[int]) -> Features | None:
        """Of these images, or of random ones of that (height, width); None of a single image, and
        for a model whose features are not known. ValueError for images that the model does not
        take."""
        if not isinstance(model, ImageModel):
            return None
        if images is None:
            images = natural_images(model.in_channels, size, affordable(IMAGES, size))
        if images.ndim != 4 or images.shape[1] != model.in_channels:
            raise ValueError(
                f"the images have shape {tuple(images.shape)}, the model takes (images,"
                f" {model.in_channels}, height, width)"
            )
        return cls(model, images.to(next(model.parameters()))) if len(images) > 1 else None

    def size(self) -> float:
        """Root mean square over channels of the standard deviation over the images of what the
        classifier reads, norms with the statistics of these images; infinite beyond the range of
        numbers. The model is left as it is. ValueError for one without a linear layer."""
        twin = copy.deepcopy(self.model).eval()  # its norms would move their running means
        read: list[Tensor] = []

        def hear(_: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
            read.append(given[0] if given else named["input"])

        for module in twin.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase):
                module.train()
            elif isinstance(module, nn.Linear):
                module.register_forward_pre_hook(hear, with_kwargs=True)
        with torch.no_grad():
            if isinstance(twin, ImageModel):  # whatever stands behind them, as an `nn.Identity`
                read.append(twin.forward_head(twin.features(self.images), pre_logits=True))
            else:
                twin(self.images)
        if not read:
            raise ValueError(
                f"features is the size of what the last torch.nn.Linear reads, and"
                f" {type(self.model).__name__} applies none; take amplification=M"
            )
        found = float(read[-1].double().var(0).mean().sqrt())
        return math.inf if math.isnan(found) else found


def affordable(images: int, size: Sequence[int]) -> int:
    """How many images of this (height, width) are measured: of large ones fewer, for a start is
    measured on the CPU, where 64 images of 224 x 224 take gigabytes."""
    return max(FEWEST, min(images, PIXELS // math.prod(size)))


def natural_images(channels: int, size: Sequence[int], count: int = IMAGES) -> Tensor:
    """Random images (count, channels, height, width) of mean 0 and variance 1 whose amplitude falls
    with the frequency like 1/|f|, as that of photographs does [Field 1987, J. Opt. Soc. Am. A 4,
    2379]; the same ones every time. They are cut out of periodic ones of twice the side."""
    height, width = (2 * n for n in size)
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randn(count, channels, height, width, generator=generator)
    side = max(height, width)  # the unit of both frequencies: what is seen is not stretched
    waves = torch.fft.fftfreq(height, 1 / side)[:, None], torch.fft.rfftfreq(width, 1 / side)
    frequency = torch.hypot(*waves).clamp_min(1.0)  # of the mean as of the longest waves
    made = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency, s=(height, width))
    cut: Tensor = made[..., : size[0], : size[1]]
    over = (0, 2, 3)
    return (cut - cut.mean(over, keepdim=True)) / cut.std(over, keepdim=True)


def fitted_amplification(
    measure: Callable[[float], float], size: float, *, first: float = AMPLIFICATION
) -> float | None:
    """M, between 1.01 and 1e6, at which ``measure(M)`` is within 3 % of the size; None where none
    of `MAX_MEASUREMENTS` is, and where it hardly depends on M.

    The secant method for ln size as a function of ln ln M: for many factors or small M the step
    p(0) = k (M^(1/k) - 1)/b is nearly ln M/b.
    """
    low, high = (math.log(math.log(M)) for M in (SMALLEST, LARGEST))
    M, x, slope = first, math.log(math.log(first)), 1.0
    off = _off(measure(M), size)
    for count in range(1, MAX_MEASUREMENTS):
        if abs(off) <= CLOSE:
            return M
        new = min(max(x - min(max(off / slope, -2.0), 2.0), low), high)
        if new == x:  # as far as M may go
            return None
        M = math.exp(math.exp(new))
        found = _off(measure(M), size)
        slope = (found - off) / (new - x)
        if count == 1 and slope < FLAT:
            return None
        x, off, slope = new, found, max(slope, 0.2)
    return M if abs(off) <= CLOSE else None


def _off(found: float, size: float) -> float:
    """ln(found / size), within what a logarithm takes."""
    if found == math.inf:
        return math.log(1e9)
    return math.log(max(found, 1e-9) / size)
