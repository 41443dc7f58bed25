"""Torch's own defaults while this program computes, whatever the caller's program has set: what a
run gives follows from its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def own_defaults(
    *, deterministic: bool = False, benchmark: bool = False, matmul: str = "highest"
) -> Iterator[None]:
    """Within, torch is as it was imported but for what is given: float32, on the CPU, with
    gradients, without autocast; numpy warns. The caller's settings come back at the end.

    `deterministic` is said to torch and to cuDNN, `benchmark` lets cuDNN try its algorithms, and
    `matmul` is the precision of products of float32 matrices, as torch names it.
    """
    flags: dict[tuple[Any, str], Any] = {
        # the part before the whole, which at the end is put back first and sets its parts too
        (torch.backends.mkldnn.conv, "fp32_precision"): "none",  # type: ignore[attr-defined]
        (torch.backends, "fp32_precision"): "none",
        (torch.backends.mkldnn, "enabled"): True,
        (torch.backends.cudnn, "enabled"): True,
        (torch.backends.cudnn, "benchmark"): benchmark,
        (torch.backends.cudnn, "deterministic"): deterministic,
    }
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        # entered only where it is needed: within, every call of torch in Python takes longer
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        for (holder, name), value in flags.items():
            stack.callback(setattr, holder, name, getattr(holder, name))
            setattr(holder, name, value)
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        torch.set_float32_matmul_precision(matmul)
        before = torch.are_deterministic_algorithms_enabled()
        warns = torch.is_deterministic_algorithms_warn_only_enabled()
        if (before, warns) != (deterministic, False):  # the call imports torch's compiler
            stack.callback(torch.use_deterministic_algorithms, before, warn_only=warns)
            torch.use_deterministic_algorithms(deterministic)
        yield
