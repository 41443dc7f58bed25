"""The multigrid classifier: stem, levels with transfers between them, average, linear layer.

Level 1: f = relu(bn(stem(x))), u = 0. Between levels: u <- Pi u, f <- R r + A_next u with the
level's residual r at its end. After the last level: average of u over the image, linear classifier.
[van Betteray, Rottmann, Kahl 2025, arXiv 2503.10594]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional as F

from nets.models.blocks import Level
from nets.models.spec import ModelSpec


class MultigridClassifier(nn.Module):
    """Stem, levels with transfers of the given class between them, classifier: what Poly-MgNet and
    MgNet have in common. `create_model` sets `spec`, the name and options that rebuild it."""

    spec: ModelSpec | None = None

    def __init__(
        self,
        levels: Sequence[Level],
        transfer: Callable[..., nn.Module],
        *,
        in_channels: int,
        num_classes: int,
        kernel_size: int = 3,
    ) -> None:
        super().__init__()
        channels = [level.A.in_channels for level in levels]
        transfers = [transfer(*pair, kernel_size=kernel_size) for pair in pairwise(channels)]
        same: dict[str, Any] = {"padding": kernel_size // 2, "bias": False}
        self.stem = nn.Conv2d(in_channels, channels[0], kernel_size, **same)
        self.stem_norm = nn.BatchNorm2d(channels[0])
        self.levels = nn.ModuleList(levels)
        self.transfers = nn.ModuleList(transfers)
        self.fc = nn.Linear(channels[-1], num_classes)

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
        """Class scores (images, classes) of images (images, in_channels, height, width)."""
        return cast("Tensor", self.fc(self.features(x).mean(dim=(2, 3))))
