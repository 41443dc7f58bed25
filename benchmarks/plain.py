"""The yardstick of training: Poly-MgNet q2 as it is written in the papers, in a plain eager loop,
with or without a DataLoader.

The twin shares the weights of one of our models, so that the benchmark can first check that both
compute the same function.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset


class PlainQ2(nn.Module):
    """q2 at placement `regular`, every A u computed (15 convolutions with A on 4 levels), or the
    honest 13.

    Parameters
    ----------
    model
        One of `nets.create_model("q2")`, whose weights are used.
    skip
        Leave out the products with u = 0 at the start and the unused last residual, as a careful
        author would.
    """

    def __init__(self, model: nn.Module, *, skip: bool = False) -> None:
        super().__init__()
        self.model, self.skip = model, skip

    def forward(self, x: Tensor) -> Tensor:
        """Class scores."""
        net: Any = self.model
        f = F.relu(net.stem_norm(net.stem(x)))
        u = torch.zeros_like(f)
        for i, level in enumerate(net.levels):
            for j, step in enumerate(level.steps):
                known = self.skip and i == 0 and j == 0
                r = F.relu(step.residual_norm(f if known else f - level.A(u)))
                u = u + F.relu(step.norm(step.coefficients.w * r))
            last = i + 1 == len(net.levels)
            if not (last and self.skip):
                f = F.relu(f - level.A(u))
            if not last:
                u, f = net.transfers[i].Pi(u), net.transfers[i].R(f)
                f = f + net.levels[i + 1].A(u)
        return net.fc(u.mean((2, 3)))


class PlainImages(Dataset[tuple[Tensor, int]]):
    """Images augmented one by one in the loader's workers: crop by 4, flip, normalise."""

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        self.images, self.labels = images, labels
        self.mean, self.std = (torch.tensor(v)[:, None, None] for v in (mean, std))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        x = F.pad(torch.from_numpy(np.array(self.images[i])).float() / 255, (4, 4, 4, 4))
        dy, dx, side = (int(n) for n in torch.randint(0, 9, (3,)))
        x = x[:, dy : dy + self.images.shape[2], dx : dx + self.images.shape[3]]
        x = x.flip(2) if side % 2 else x
        return (x - self.mean) / self.std, int(self.labels[i])


def plain_loader(
    dataset: PlainImages, batch: int, workers: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end, pinned, by worker processes that stay."""
    loader = DataLoader(
        dataset,
        batch,
        shuffle=True,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        drop_last=True,
        persistent_workers=workers > 0,
    )
    while True:
        for x, y in loader:
            yield x.to(device, non_blocking=True), y.to(device, non_blocking=True)


class PlainStep:
    """zero_grad, forward, cross-entropy, backward, SGD step: eager, float32, and the loss read back
    as loops do for their log."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net.train()
        self.optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def __call__(self, x: Tensor, y: Tensor) -> float:
        """One step; the loss."""
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.net(x), y)
        loss.backward()
        self.optimizer.step()
        return loss.item()
