"""MgNet: the multigrid classifier whose corrections are convolutions B in place of polynomials in
A.

u <- u + relu(bn(B relu(bn(f - A u)))), B shared by the level or one per step. Between levels, full
3x3 convolutions of stride 2 with norm and relu: u_next = relu(bn(Pi u)), f_next = relu(bn(R (f - A
u))) + A_next u_next. [He, Xu 2019, arXiv 1901.10415] The placements are those of Poly-MgNet;
``plain`` gives the pre-activation variant u + B relu(bn(f - A u)).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import nn

from nets.models.blocks import Convolution, Level, LevelOptions, refuse_idle_operator
from nets.models.classifier import MultigridClassifier
from nets.models.options import one_of, per_level
from nets.models.transfers import FullTransfer


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
    **options
        Of `LevelOptions`: placement, residual, kernel_size, groups, padding_mode, separable,
        form; B has the kernel size, groups and padding of A, and with ``separable`` B and the
        transfers are separable too.

    A single step on the last level is refused: there A has no effect on the output.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (256, 256, 256, 256),
        steps: int | Sequence[int] = 2,
        b: str = "level",
        in_channels: int = 3,
        num_classes: int = 10,
        **options: Any,
    ) -> None:
        one_of(b, "b", ("level", "step"))
        common = LevelOptions(**options)
        counts = per_level(steps, len(channels), what="steps")
        refuse_idle_operator(counts[-1])
        levels = []
        for i, (width, count) in enumerate(zip(channels, counts)):
            A, *B = (common.operator(width) for _ in range(1 + (count if b == "step" else 1)))
            corrections = [Convolution(conv) for conv in B]
            made = [common.step(corrections[j % len(B)], width, shared=True) for j in range(count)]
            last = i + 1 == len(channels)
            # without a relu at the end of a level: that of MgNet stands behind R
            level = Level(A, made, last=last, final_relu=False, form=common.form)
            level.B = nn.ModuleList(corrections)
            levels.append(level)
        ends = {"in_channels": in_channels, "num_classes": num_classes}
        transfer = partial(FullTransfer, separable=common.separable)
        super().__init__(levels, transfer, kernel_size=common.kernel_size, **ends)
