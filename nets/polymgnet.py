"""Poly-MgNet: a classifier whose levels are multigrid levels and whose blocks are smoothing steps with polynomials in A.

Level 1: f = relu(bn(stem(x))), u = 0. Between levels: u <- Pi u, f <- R relu(f - A u) + A_next u with depthwise 3x3 convolutions Pi
and R of stride 2. After the last level: average of u over the image, linear classifier. [van Betteray, Rottmann, Kahl 2025,
arXiv 2503.10594]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nets.blocks import FORMS, Level, SmoothingStep, operator_convolution, refuse_idle_operator
from nets.coefficients import Coefficients, factor_degree, make_coefficients, parse_kind
from nets.norms import BatchNorm2d
from nets.placements import Placement, placement_for
from nets.spec import ModelSpec, per_level

__all__ = ["MultigridClassifier", "PolyMgNet", "Transfer", "coefficient_parameters", "operator_products"]


class Transfer(nn.Module):
    """u <- Pi u and g <- R r to the next level: two convolutions of stride 2, depthwise (one filter per output channel).

    The function is the same everywhere; how it is computed is not, because depthwise kernels are slow in half precision. Under a CPU's
    autocast both compute in the precision of their weights and round the result: with oneDNN, the bfloat16 backward pass takes about three
    times that of float32. Under a GPU's autocast they are dense convolutions whose other weights are zero: on an H200, the transfers of q2,
    forward and backward, take about a tenth of what they do with cuDNN's depthwise kernels.

    Parameters
    ----------
    fine, coarse
        Channels of the two levels; `coarse` is a multiple of `fine`.
    kernel_size
        Odd.
    """

    def __init__(self, fine: int, coarse: int, *, kernel_size: int = 3) -> None:
        super().__init__()
        if coarse % fine:
            raise ValueError(
                f"channels grow from {fine} to {coarse}: with depthwise transfers each level's must be a multiple of the one before"
            )
        self.Pi = nn.Conv2d(fine, coarse, kernel_size, stride=2, padding=kernel_size // 2, groups=fine, bias=False)
        self.R = nn.Conv2d(fine, coarse, kernel_size, stride=2, padding=kernel_size // 2, groups=fine, bias=False)

    def forward(self, u: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """(Pi u, R r)."""
        if u.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            dtype = self.Pi.weight.dtype
            with torch.autocast("cpu", enabled=False):
                return self.Pi(u.to(dtype)).to(u.dtype), self.R(residual.to(dtype)).to(residual.dtype)
        if u.device.type == "cuda" and torch.is_autocast_enabled("cuda"):
            return as_dense(self.Pi, u), as_dense(self.R, residual)
        return self.Pi(u), self.R(residual)


def dense_weight(depthwise: nn.Conv2d) -> Tensor:
    """The weight (outputs, inputs, k, k) of the equal dense convolution: output o reads input o // (outputs / inputs) alone."""
    outputs, inputs, device = depthwise.out_channels, depthwise.in_channels, depthwise.weight.device
    own = torch.arange(outputs, device=device)[:, None] // (outputs // inputs) == torch.arange(inputs, device=device)
    return torch.where(own[:, :, None, None], depthwise.weight, 0.0)


def as_dense(depthwise: nn.Conv2d, x: Tensor) -> Tensor:
    """A depthwise convolution by a dense one."""
    return F.conv2d(x, dense_weight(depthwise), depthwise.bias, stride=depthwise.stride, padding=depthwise.padding)


class MultigridClassifier(nn.Module):
    """Stem, levels with transfers between them, classifier: the frame of Poly-MgNet and MgNet.

    Attributes
    ----------
    spec
        Name and options that rebuild the model through `create_model`; set there.
    levels, transfers
        ModuleLists; `transfers` has one element less.
    """

    spec: ModelSpec | None = None

    def __init__(
        self, levels: Sequence[Level], transfers: Sequence[nn.Module], *, in_channels: int, num_classes: int, kernel_size: int = 3
    ) -> None:
        super().__init__()
        first, last = levels[0].A.in_channels, levels[-1].A.in_channels
        self.stem = nn.Conv2d(in_channels, first, kernel_size, padding=kernel_size // 2, bias=False)
        self.stem_norm = BatchNorm2d(first)
        self.levels = nn.ModuleList(levels)
        self.transfers = nn.ModuleList(transfers)
        self.fc = nn.Linear(last, num_classes)

    @property
    def multigrid_levels(self) -> list[Level]:
        """The levels with their type."""
        return [cast("Level", level) for level in self.levels]

    def features(self, x: Tensor) -> Tensor:
        """u at the end of the last level, shape (images, channels, height, width)."""
        g, u = F.relu(self.stem_norm(self.stem(x))), None
        for level, transfer in zip(self.levels, [*self.transfers, None]):
            u, residual = level(g, u)
            if transfer is not None:
                u, g = transfer(u, residual)
        return cast("Tensor", u)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, shape (images, classes), of images of shape (images, in_channels, height, width)."""
        return cast("Tensor", self.fc(self.features(x).mean(dim=(2, 3))))

    def set_form(self, form: str) -> None:
        """Switch all levels between ``correction`` and ``plain``: the same function and parameters, other costs."""
        if form not in FORMS:
            raise ValueError(f"form is {form!r}, allowed are: {', '.join(FORMS)}")
        for level in self.multigrid_levels:
            level.form = form


class PolyMgNet(MultigridClassifier):
    """Poly-MgNet with any mixture of polynomial smoothing steps.

    Parameters
    ----------
    factors
        Kinds of the steps of each level: one sequence of names for all levels, or one such sequence per level.
    channels
        Width of each level; their number is the number of levels.
    placement
        One placement, or a mapping kind -> placement.
    residual
        rho: ``bn_relu``, ``bn`` or ``identity``.
    coefficients
        ``step``: every step has its own; ``level``: the steps of a kind share theirs within the level.
    train_coefficients
        False freezes all of them.
    parameterisation
        ``weights`` or ``roots``, see `nets.coefficients`.
    kernel_size, groups, padding_mode
        Of the operators A (kernel size also of stem and transfers).
    form
        ``correction`` or ``plain``.

    Raises
    ------
    ValueError
        For values that do not fit, among them a last level with a single linear step: there A has no effect on the output.
    """

    def __init__(
        self,
        *,
        factors: Sequence[str] | Sequence[Sequence[str]],
        channels: Sequence[int] = (64, 128, 256, 256),
        placement: str | Placement | Mapping[str, str | Placement] = "regular",
        residual: str = "bn_relu",
        coefficients: str = "step",
        train_coefficients: bool = True,
        parameterisation: str = "weights",
        in_channels: int = 3,
        num_classes: int = 10,
        kernel_size: int = 3,
        groups: int = 1,
        padding_mode: str = "zeros",
        form: str = "correction",
    ) -> None:
        if coefficients not in ("step", "level"):
            raise ValueError(f"coefficients is {coefficients!r}, allowed are: step, level")
        kinds = per_level(factors, len(channels), what="factors")
        refuse_idle_operator(sum(factor_degree(kind) for kind in kinds[-1]))
        levels = []
        for i, (width, names) in enumerate(zip(channels, kinds)):
            placements = [placement_for(placement, parse_kind(name)[0]) for name in names]
            shared: dict[str, nn.Module] = {}
            steps = []
            for name, where in zip(names, placements):
                own = shared.get(name) or make_coefficients(name, parameterisation=parameterisation)
                if coefficients == "level":
                    shared[name] = own
                steps.append(SmoothingStep(cast("Coefficients", own), width, where, residual=residual, shared=coefficients == "level"))
            operator = operator_convolution(width, kernel_size=kernel_size, groups=groups, padding_mode=padding_mode)
            levels.append(Level(operator, steps, placements, shared=shared, last=i + 1 == len(channels), form=form))
        transfers = [Transfer(fine, coarse, kernel_size=kernel_size) for fine, coarse in pairwise(channels)]
        super().__init__(levels, transfers, in_channels=in_channels, num_classes=num_classes, kernel_size=kernel_size)
        if not train_coefficients:
            for module in self.modules():
                if isinstance(module, Coefficients):
                    module.requires_grad_(False)


def coefficient_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The polynomial coefficients among a model's parameters, each once: those without weight decay and with their own learning rate."""
    return [p for module in model.modules() if isinstance(module, Coefficients) for p in module.parameters()]


def operator_products(model: nn.Module, x: Tensor) -> int:
    """Convolutions with the levels' operators A in one forward pass of the images x, counted."""
    count = 0

    def one_more(*_: object) -> None:
        nonlocal count
        count += 1

    handles = [level.A.register_forward_hook(one_more) for level in cast("MultigridClassifier", model).multigrid_levels]
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return count
