"""The ways from a level to the next, coarser one: convolutions of stride 2 for the features and for
the residual."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from nets.models.convolutions import SeparableConv, StridedConv


class Transfer(nn.Module):
    """u <- Pi u and g <- R r to the next level, depthwise: one filter per output channel;
    ValueError where the `coarse` level's channels are no multiple of the `fine` one's."""

    def __init__(self, fine: int, coarse: int, *, kernel_size: int = 3) -> None:
        super().__init__()
        if coarse % fine:
            raise ValueError(
                f"channels grow from {fine} to {coarse}: with depthwise transfers each level's must"
                " be a multiple of the one before"
            )
        halving = {"stride": 2, "groups": fine}
        self.Pi, self.R = (StridedConv(fine, coarse, kernel_size, **halving) for _ in range(2))

    def forward(self, u: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """(Pi u, R r)."""
        return self.Pi(u), self.R(residual)


class FullTransfer(nn.Module):
    """u <- relu(bn(Pi u)) and g <- relu(bn(R r)) to the next level, with convolutions that mix the
    channels, dense or `separable`."""

    def __init__(
        self, fine: int, coarse: int, *, kernel_size: int = 3, separable: bool = False
    ) -> None:
        super().__init__()
        kind: Callable[..., nn.Module] = SeparableConv if separable else StridedConv
        make = partial(kind, fine, coarse, kernel_size, stride=2)
        self.Pi = make()
        self.Pi_norm = nn.BatchNorm2d(coarse)
        self.R = make()
        self.R_norm = nn.BatchNorm2d(coarse)

    def forward(self, u: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """(relu(bn(Pi u)), relu(bn(R r)))."""
        return F.relu(self.Pi_norm(self.Pi(u))), F.relu(self.R_norm(self.R(residual)))
