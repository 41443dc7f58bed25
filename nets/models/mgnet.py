"""MgNet: the multigrid classifier whose corrections are convolutions B in place of polynomials in
A.

u <- u + relu(bn(B relu(bn(f - A u)))), B shared by the level or one per step. Between levels, full
3x3 convolutions of stride 2 with norm and relu: u_next = relu(bn(Pi u)), f_next = relu(bn(R (f - A
u))) + A_next u_next. [He, Xu 2019, arXiv 1901.10415] The placements are those of Poly-MgNet;
``plain`` gives the pre-activation variant u + B relu(bn(f - A u)).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from nets.fast.norms import BatchNorm2d
from nets.models.blocks import (
    Convolution,
    Level,
    SmoothingStep,
    operator_convolution,
    refuse_idle_operator,
)
from nets.models.classifier import MultigridClassifier
from nets.models.options import per_level
from nets.models.placements import Placement

__all__ = ["FullTransfer", "MgNet", "MgNetLevel"]


class FullTransfer(nn.Module):
    """u <- relu(bn(Pi u)) and g <- relu(bn(R r)) to the next level, with full convolutions of
    stride 2."""

    def __init__(self, fine: int, coarse: int, *, kernel_size: int = 3) -> None:
        super().__init__()
        self.Pi = nn.Conv2d(
            fine, coarse, kernel_size, stride=2, padding=kernel_size // 2, bias=False
        )
        self.Pi_norm = BatchNorm2d(coarse)
        self.R = nn.Conv2d(
            fine, coarse, kernel_size, stride=2, padding=kernel_size // 2, bias=False
        )
        self.R_norm = BatchNorm2d(coarse)

    def forward(self, u: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """(relu(bn(Pi u)), relu(bn(R r)))."""
        return F.relu(self.Pi_norm(self.Pi(u))), F.relu(self.R_norm(self.R(residual)))


class MgNetLevel(Level):
    """A `Level` that owns the convolutions ``B`` (a ModuleList: one, or one per step) of its steps.

    Its residual at the end is f - A u without a relu: the relu of MgNet stands behind R.
    """

    def __init__(
        self,
        operator: nn.Conv2d,
        corrections: Sequence[Convolution],
        steps: int,
        placement: Placement,
        *,
        residual: str,
        last: bool,
        form: str,
    ) -> None:
        chosen = [corrections[i % len(corrections)] for i in range(steps)]
        made = [
            SmoothingStep(B, operator.out_channels, placement, residual=residual, shared=True)
            for B in chosen
        ]
        super().__init__(
            operator, made, [placement] * steps, last=last, final_relu=False, form=form
        )
        self.B = nn.ModuleList(corrections)


class MgNet(MultigridClassifier):
    """MgNet with A and B of one width per level.

    Parameters
    ----------
    channels
        Width of each level.
    steps
        Smoothing steps, one number for all levels or one per level.
    b
        ``level``: one B per level; ``step``: one per step.
    placement, residual, in_channels, num_classes, kernel_size, groups, padding_mode, form
        As in `PolyMgNet`; `groups` is that of A and B.

    Raises
    ------
    ValueError
        For values that do not fit, among them a single step on the last level: there A has no
        effect on the output.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (256, 256, 256, 256),
        steps: int | Sequence[int] = 2,
        b: str = "level",
        placement: str | Placement = "regular",
        residual: str = "bn_relu",
        in_channels: int = 3,
        num_classes: int = 10,
        kernel_size: int = 3,
        groups: int = 1,
        padding_mode: str = "zeros",
        form: str = "correction",
    ) -> None:
        if b not in ("level", "step"):
            raise ValueError(f"b is {b!r}, allowed are: level, step")
        where = Placement.parse(placement)
        counts = per_level(steps, len(channels), what="steps")
        refuse_idle_operator(counts[-1])
        levels = []
        for i, (width, count) in enumerate(zip(channels, counts)):
            A, *B = (
                operator_convolution(
                    width, kernel_size=kernel_size, groups=groups, padding_mode=padding_mode
                )
                for _ in range(1 + (count if b == "step" else 1))
            )
            last = i + 1 == len(channels)
            levels.append(
                MgNetLevel(
                    A,
                    [Convolution(conv) for conv in B],
                    count,
                    where,
                    residual=residual,
                    last=last,
                    form=form,
                )
            )
        transfers = [
            FullTransfer(fine, coarse, kernel_size=kernel_size)
            for fine, coarse in pairwise(channels)
        ]
        super().__init__(
            levels,
            transfers,
            in_channels=in_channels,
            num_classes=num_classes,
            kernel_size=kernel_size,
        )
