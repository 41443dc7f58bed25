"""What a model costs: trainable weights, and operations of a forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nets.models.base import evaluating


def count_parameters(model: nn.Module) -> int:
    """Trainable weights, shared ones once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@torch.no_grad()
def count_flops(model: nn.Module, shape: Sequence[int]) -> int:
    """Floating-point operations of the forward pass of one image (channels, height, width) in eval
    mode; a multiply-add is two. On the device ``meta`` nothing is computed."""
    from torch.utils.flop_counter import FlopCounterMode

    weight = next(model.parameters())
    with evaluating(model), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *shape, device=weight.device, dtype=weight.dtype))
    return int(counter.get_total_flops())
