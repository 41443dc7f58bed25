"""The ghost batch norm: statistics of parts of a batch by themselves, as of so many devices."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over `groups` parts of the batch by themselves, as on so many devices without
    synchronisation.

    The parts are those of `torch.tensor_split`, which is how the trainer cuts a batch among
    processes; the running statistics become the mean of what each part alone would have made of
    them. [Hoffer, Hubara, Soudry 2017]
    """

    groups: int = 1

    def forward(self, x: Tensor) -> Tensor:
        """The normalised batch, every part by its own moments; in eval mode torch's batch norm."""
        if (
            not self.training
            or self.groups == 1
            or self.running_mean is None
            or self.running_var is None
            or self.momentum is None
        ):
            return super().forward(x)
        momentum = self.momentum
        means, variances, out = [], [], []
        for part in x.tensor_split(self.groups):
            mean, var = self.running_mean.clone(), self.running_var.clone()
            out.append(
                F.batch_norm(part, mean, var, self.weight, self.bias, True, momentum, self.eps)
            )
            means.append(mean)
            variances.append(var)
        with torch.no_grad():
            self.running_mean.copy_(torch.stack(means).mean(0))
            self.running_var.copy_(torch.stack(variances).mean(0))
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return torch.cat(out)


def convert_ghost_batchnorm(model: nn.Module, groups: int) -> nn.Module:
    """The model itself, every BatchNorm2d a ghost batch norm of `groups` parts; weights stay."""
    for module in model.modules():
        if type(module) in (nn.BatchNorm2d, GhostBatchNorm2d):
            module.__class__ = GhostBatchNorm2d
            module.groups = groups  # type: ignore[assignment]
    return model
