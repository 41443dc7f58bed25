"""The multigrid classifier: stem, levels with transfers between them, average, linear layer.

Level 1: f = relu(bn(stem(x))), u = 0. Between levels: u <- Pi u, f <- R r + A_next u with the
level's residual r at its end. After the last level: average of u over the image, linear classifier.
[van Betteray, Rottmann, Kahl 2025, arXiv 2503.10594]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional as F

from nets.models.base import ImageModel, make_head
from nets.models.blocks import Level


class Levels(nn.ModuleList):
    """The levels of a network, with their type for readers and type checkers."""

    if TYPE_CHECKING:

        def __getitem__(self, index: int) -> Level:  # type: ignore[override]
            """Level number `index`, from 0 on."""

        def __iter__(self) -> Iterator[Level]:
            """From the finest on."""


class MultigridClassifier(ImageModel):
    """Stem, levels with transfers of the given class between them, classifier: what Poly-MgNet and
    MgNet have in common."""

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
        self.levels = Levels(levels)
        self.transfers = nn.ModuleList(transfers)
        self.fc = make_head(channels[-1], num_classes)

    @property
    def multigrid_levels(self) -> list[Level]:
        """The levels as a list."""
        return list(self.levels)

    def feature_maps(self, x: Tensor) -> list[Tensor]:
        """u at the end of each level, shape (images, channels, height, width)."""
        g, u, found = F.relu(self.stem_norm(self.stem(x))), None, []
        for level, transfer in zip(self.levels, [*self.transfers, None]):
            u, residual = level(g, u)
            found.append(u)
            if transfer is not None:
                u, g = transfer(u, residual)
        return found


def levels_of(model: nn.Module) -> list[Level]:
    """The levels of a multigrid classifier; of another network those of its `PolynomialBlock`s for
    images, in the order in which it has them."""
    if isinstance(model, MultigridClassifier):
        return model.multigrid_levels
    found = [module for module in model.modules() if isinstance(module, Level)]
    return [level for level in found if level.A.weight.ndim == 4]
