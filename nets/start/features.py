"""How large the features are that the classifier reads, and the amplification that gives them a
size.

A level's correction is u = p(A) f, relus left aside, and the mean of p over a disc around 0 is
p(0), the step: so the features grow with the step that a start takes, in every level of a network
alike, and with what their average over the last grid leaves of them, of many points less than of
few. Behind them stands a linear layer, whose gradient they are. One M for all networks makes them
twenty times as large with four levels as with one; their size over images,

    size^2 = mean over channels of the variance over images of the average of u,

is what a start is fitted to. An activation and a norm behind a correction (as in the placement
`regular`) leave no trace of its step's size, and there is nothing to fit.
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
SEED = 0
CLOSE = 0.03  # of the size, relative
MAX_MEASUREMENTS = 12
SMALLEST, LARGEST = 1.01, 1e6  # of M
FLAT = 0.05  # exponent of the size in ln M below which it does not depend on M


@dataclass(frozen=True)
class Features:
    """What a network's classifier reads of some images."""

    model: ImageModel
    images: Tensor

    @classmethod
    def of(cls, model: nn.Module, images: Tensor | None, size: Sequence[int]) -> Features | None:
        """Of these images, or of random ones of that (height, width); None for a model whose
        features are not known."""
        if not isinstance(model, ImageModel):
            return None
        if images is None:
            images = natural_images(model.in_channels, size)
        return cls(model, images.to(next(model.parameters())))

    def size(self) -> float:
        """Root mean square over channels of the standard deviation over the images of the features'
        average, norms with the statistics of these images. The model is left as it is."""
        twin = copy.deepcopy(self.model).train()  # its norms would move their running means
        with torch.no_grad():
            read = twin.forward_head(twin.features(self.images), pre_logits=True)
        return float(read.double().var(0).mean().sqrt())


def natural_images(channels: int, size: Sequence[int], count: int = IMAGES) -> Tensor:
    """Random images (count, channels, height, width) of mean 0 and variance 1 whose amplitude falls
    with the frequency like 1/|f|, as that of photographs does [Field 1987, J. Opt. Soc. Am. A 4,
    2379]; the same ones every time. They are cut out of periodic ones of twice the side."""
    height, width = (2 * n for n in size)
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randn(count, channels, height, width, generator=generator)
    waves = torch.fft.fftfreq(height, 1 / height)[:, None], torch.fft.rfftfreq(width, 1 / width)
    frequency = torch.hypot(*waves).clamp_min(1.0)  # of the mean as of the longest waves
    made = torch.fft.irfft2(torch.fft.rfft2(noise) / frequency, s=(height, width))
    cut: Tensor = made[..., : size[0], : size[1]]
    over = (0, 2, 3)
    return (cut - cut.mean(over, keepdim=True)) / cut.std(over, keepdim=True)


def fitted_amplification(
    measure: Callable[[float], float], size: float, *, first: float = AMPLIFICATION
) -> float | None:
    """M, between 1.01 and 1e6, at which ``measure(M)`` is within 3 % of the size, or as near as M
    may go; None where it hardly depends on M.

    The secant method for ln size as a function of ln ln M: for many factors or small M the step
    p(0) = k (M^(1/k) - 1)/b is nearly ln M/b.
    """
    low, high = (math.log(math.log(M)) for M in (SMALLEST, LARGEST))
    x, slope = math.log(math.log(first)), 1.0
    y = _off(measure(first), size)
    for count in range(1, MAX_MEASUREMENTS):
        new = min(max(x - min(max(y / slope, -2.0), 2.0), low), high)
        if abs(y) <= CLOSE or new == x:
            break
        found = _off(measure(math.exp(math.exp(new))), size)
        slope = (found - y) / (new - x)
        if count == 1 and abs(slope) < FLAT:
            return None
        x, y, slope = new, found, max(slope, 0.2)
    return math.exp(math.exp(x))


def _off(found: float, size: float) -> float:
    """ln(found / size), within what a logarithm takes."""
    if not found < math.inf:
        return math.log(1e9)
    return math.log(max(found, 1e-9) / size)
