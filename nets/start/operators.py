"""The operators A of the levels: how they start (random, laplacian, shifted, keep), and their
spectra as the network applies them.

A random convolution's eigenvalues fill, with many channels, a disc around 0 (circular law), so that
every q with q(0) = 1 has |q| >= 1 somewhere on it: no polynomial is a smoother there. The starts
``laplacian`` and ``shifted`` put the spectrum where the classical theory applies.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import signature

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nets.models.checks import check_numbers
from nets.models.coefficients import assign, is_settable
from nets.models.convolutions import Conv, SeparableConv, TorchConv
from nets.models.options import check_counts, check_number, one_of
from nets.models.paddings import padding_of
from nets.start.spectrum import (
    MINIMUM_GRID,
    LevelSpectrum,
    convolution_spectra,
    measured_grid,
)

MARGIN = 0.1  # of the start `shifted`, relative to the radius
SMALL = 0.1  # random part of the start `laplacian`
Parts = tuple[Tensor, Tensor]
MEASURED = ("applied", "periodic")  # as the network applies A, or its symbol on a larger grid


def level_grids(
    size: Sequence[int], channels: Sequence[int], padding: str = "applied"
) -> list[tuple[int, ...]]:
    """The grid on which the A of each level, of so many channels, is measured: that of the level's
    features, images of `size` halved per level and rounded up, or a part of a large one.

    ``periodic`` gives those of the periodic operators instead, at least `MINIMUM_GRID` per axis.
    """
    check_counts(size, "size", "the image's (height, width), two positive whole numbers", 2)
    least = MINIMUM_GRID if padding == "periodic" else 1
    return [
        measured_grid([max(least, math.ceil(n / 2**level)) for n in size], own)
        for level, own in enumerate(channels)
    ]


def dense_kernel(operator: Conv) -> NDArray[np.float64]:
    """The weight as (c, c, k, ...) in double precision, groups written out as blocks of zeros;
    ValueError for complex ones, for ones without numbers (of the device ``meta``) and for ones that
    are not finite."""
    check_numbers(operator)
    if operator.weight.is_complex():
        raise ValueError(
            f"the weights of A are {operator.weight.dtype}, and spectra are of real ones: start a"
            " block, and read its spectrum, in a real precision"
        )
    if not is_settable(operator, "weight"):  # computed before every pass, as by old hooks of torch
        with torch.no_grad():
            operator(operator.weight.new_zeros(1, operator.in_channels, *operator.kernel_size))
    weight = operator.weight.detach().double().cpu().numpy()
    if not np.isfinite(weight).all():
        raise ValueError(
            "the weights of A are not all finite, as after a training that diverged: start A anew,"
            " as operator='random' does"
        )
    channels, width = weight.shape[:2]
    rows = np.arange(channels)[:, None]
    dense = np.zeros((channels, operator.in_channels, *weight.shape[2:]))
    dense[rows, rows // (channels // operator.groups) * width + np.arange(width)] = weight
    return dense


def operator_spectra(
    operators: Sequence[Conv], grids: Sequence[Sequence[int]], padding: str = "applied"
) -> list[LevelSpectrum]:
    """The spectra of the convolutions on the grids: with the padding of the module, or periodic."""
    one_of(padding, "padding", MEASURED)
    own = [padding_of(o.padding_mode) if padding == "applied" else padding for o in operators]
    return convolution_spectra(list(zip(map(dense_kernel, operators), grids, own)))


def _random(operator: TorchConv, generator: torch.Generator | None) -> Tensor:
    """Uniform in ±1/sqrt(fan_in), torch's default. With c -> infinity channels the eigenvalues fill
    a disc around 0 of radius 1/sqrt(3) with periodic padding; zero padding takes sqrt((1 + 2 cos(pi
    / (n + 1)))/3) of it for each axis of n points, kernels of 3."""
    bound = operator.weight[0].numel() ** -0.5
    drawn = torch.empty_like(operator.weight, device="cpu")
    return drawn.uniform_(-bound, bound, generator=generator)


def _centre(weight: Tensor) -> tuple[Tensor | int, ...]:
    """Indices of every channel's own tap: (output channel, input channel within its group, the
    position of the centre on each axis)."""
    channels, per_group, *size = weight.shape
    own = torch.arange(channels)
    return own, own % per_group, *(k // 2 for k in size)


def _laplacian(
    operator: TorchConv,
    generator: torch.Generator | None,
    *,
    small: float = SMALL,
    scale: float = 1.0,
) -> Tensor:
    """scale/(4d) times the (2d+1)-point Laplacian in d dimensions per channel, spectrum (0, scale],
    plus `small` times a random part."""
    return _stencil(operator, small, scale) + small * _random(operator, generator)


def _stencil(operator: TorchConv, small: float, scale: float) -> Tensor:
    """The Laplacian of that scale for each channel; ValueError for what `laplacian` cannot be."""
    if operator.weight.shape[-1] < 3:
        raise ValueError("operator laplacian needs a kernel of size 3 or more")
    if small < 0 or scale <= 0:
        raise ValueError(
            f"operator laplacian: small is {small}, scale is {scale}; needs small >= 0 and"
            " scale > 0"
        )
    start = torch.zeros_like(operator.weight, device="cpu")
    own, within, *centre = _centre(operator.weight)
    start[own, within, *centre] += scale / 2
    for axis, side in itertools.product(range(len(centre)), (-1, 1)):
        tap = list(centre)
        tap[axis] += side
        start[own, within, *tap] -= scale / (4 * len(centre))
    return start


def _shifted(
    operator: TorchConv, generator: torch.Generator | None, *, margin: float = MARGIN
) -> Tensor:
    """Random; `start_operators` then moves the centre tap, so that Re >= margin * radius on the
    whole spectrum."""
    if margin <= 0:
        raise ValueError(f"operator shifted: margin is {margin}, must be positive")
    return _random(operator, generator)


def _random_parts(operator: SeparableConv, generator: torch.Generator | None) -> Parts:
    """Both as `_random` draws a convolution, P first."""
    P = _random(operator.pointwise, generator)
    return _random(operator.depthwise, generator), P


def _laplacian_parts(
    operator: SeparableConv,
    generator: torch.Generator | None,
    *,
    small: float = SMALL,
    scale: float = 1.0,
) -> Parts:
    """The Laplacian of `_laplacian` as each filter, and 1 plus `small` times a random matrix."""
    P = small * _random(operator.pointwise, generator)
    P[_centre(P)] += 1
    return _stencil(operator.depthwise, small, scale), P


OPERATOR_STARTS: dict[str, Callable[..., Tensor]] = {
    "random": _random,
    "laplacian": _laplacian,
    "shifted": _shifted,
    "keep": lambda operator, generator: operator.weight.detach(),
}
# those that a separable A has too, with the same options: its filters D and its matrix P
SEPARABLE_STARTS: dict[str, Callable[..., Parts]] = {
    "random": _random_parts,
    "laplacian": _laplacian_parts,
    "keep": lambda operator, generator: (
        operator.depthwise.weight.detach(),
        operator.pointwise.weight.detach(),
    ),
}


def start_options(name: str) -> set[str]:
    """The options of an operator start; ValueError for an unknown one."""
    if not isinstance(name, str) or name not in OPERATOR_STARTS:
        raise ValueError(
            f"unknown operator start {name!r}, known are: {', '.join(OPERATOR_STARTS)}"
        )
    return set(signature(OPERATOR_STARTS[name]).parameters) - {"operator", "generator"}


def check_separable_start(operators: Sequence[Conv], name: str) -> None:
    """ValueError where one of them is separable and has no start of that name."""
    separable = any(isinstance(operator, SeparableConv) for operator in operators)
    if separable and name not in SEPARABLE_STARTS:
        raise ValueError(
            f"operator {name} makes a kernel that is no product of filters and a matrix of"
            f" channels: a separable A starts by {', '.join(SEPARABLE_STARTS)}"
        )


def _set(
    operator: Conv, name: str, generator: torch.Generator | None, options: Mapping[str, float]
) -> None:
    """The weights of A by the start of that name, in place."""
    if isinstance(operator, SeparableConv):
        D, P = SEPARABLE_STARTS[name](operator, generator, **options)
        assign(operator.depthwise, "weight", D)
        assign(operator.pointwise, "weight", P)
    else:
        assign(operator, "weight", OPERATOR_STARTS[name](operator, generator, **options))


def start_operators(
    operators: Sequence[Conv],
    name: str,
    grids: Sequence[Sequence[int]],
    *,
    padding: str = "applied",
    generator: torch.Generator | None = None,
    **options: float,
) -> list[LevelSpectrum]:
    """Set the weights of every A by the start of that name, in place, and return their spectra on
    the grids; ValueError for an unknown name, or an option's value that does not fit."""
    start_options(name)
    check_separable_start(operators, name)
    for option, value in options.items():
        check_number(value, f"operator {name}: {option}")
    with torch.no_grad():
        for operator in operators:
            if name != "keep":
                _set(operator, name, generator, options)
    spectra = operator_spectra(operators, grids, padding)
    if name != "shifted":
        return spectra
    moved = []
    for operator, spectrum in zip(operators, spectra):
        shift = float(options.get("margin", MARGIN) * spectrum.radius - spectrum.least_real)
        weight = operator.weight.detach().clone()
        weight[_centre(weight)] += shift
        assign(operator, "weight", weight)
        values = spectrum.measured + shift  # a multiple of the identity moves every eigenvalue
        b = float(np.abs(values).max())
        moved.append(replace(spectrum, kernel=dense_kernel(operator), measured=values, radius=b))
    # of a disc that is moved, other eigenvalues are the outermost
    known = all(spectrum.all_measured for spectrum in spectra)
    return moved if known else operator_spectra(operators, grids, padding)
