"""What the benchmark of training measures: steps, convolutions alone, operations, gradients,
synchronisation, and that all agree."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from plain import PlainQ2
from torch import nn

from nets.fast.levels import dense_weight
from nets.training.trainer import Trainer

# dense bf16 FLOP/s of the data sheets
PEAK = {"NVIDIA H200": 989e12, "NVIDIA H100": 989e12, "NVIDIA A100": 312e12}


def stepper(t: Trainer) -> Callable[[], None]:
    """One step of ours on the next batch, epochs without end; the last, smaller batch is
    dropped."""

    def endless() -> Any:
        while True:
            yield from t.batches()
            t.epoch, t.within = t.epoch + 1, 0

    batches = endless()
    t.model.train()
    return lambda: t.train_step(*next(batches))


def repeated(t: Trainer) -> Callable[[], None]:
    """The step alone, on one augmented batch."""
    batch = next(t.batches())
    t.model.train()
    return lambda: t.train_step(*batch)


def timed(
    contestants: dict[str, Callable[[], Any]], device: torch.device, *, steps: int, repeats: int
) -> dict[str, float]:
    """Median seconds a step of each, blocks of steps interleaved, after a warm-up of each."""

    def block(run: Callable[[], Any], count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - begin) / count

    for run in contestants.values():
        block(run, 8)  # the fourth step is captured
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, run in contestants.items():
            seconds[name].append(block(run, steps))
    return {name: statistics.median(values) for name, values in seconds.items()}


def convolutions(t: Trainer, batch: int, *, depthwise: bool = False) -> Callable[[], None]:
    """The convolutions of a step alone, forward and backward (inputs and weights), at their shapes,
    in the step's precision and format.

    On a GPU the model's depthwise transfers are dense convolutions; `depthwise` leaves them to the
    library's depthwise kernels.
    """
    dtype = torch.bfloat16 if t.config.train.precision == "bf16" else torch.float32
    shapes: list[tuple[nn.Conv2d, torch.Size]] = []
    hooks = [
        module.register_forward_hook(lambda m, inputs, _: shapes.append((m, inputs[0].shape)))
        for module in t.raw.modules()
        if isinstance(module, nn.Conv2d)
    ]
    with torch.no_grad():
        t.raw.eval()(torch.zeros(2, *t.data.shape, device=t.device))
        t.raw.train()
    for hook in hooks:
        hook.remove()
    work = []
    for i, (module, shape) in enumerate(shapes):
        # as the trainer does
        kind = torch.float32 if module.groups > 1 and t.device.type == "cpu" else dtype
        x = torch.randn(batch, *shape[1:], device=t.device, dtype=kind).to(memory_format=t.format)
        x.requires_grad_(i > 0)  # images need no gradient
        as_dense = (
            module.groups > 1
            and t.device.type == "cuda"
            and dtype == torch.bfloat16
            and not depthwise
        )
        w = (
            (dense_weight(module) if as_dense else module.weight)
            .detach()
            .to(kind)
            .to(memory_format=t.format)
            .requires_grad_()
        )
        call = (module.stride, module.padding, module.dilation, 1 if as_dense else module.groups)
        with torch.no_grad():
            work.append((x, w, call, torch.randn_like(nn.functional.conv2d(x, w, None, *call))))

    def run() -> None:
        for x, w, call, g in work:
            torch.autograd.grad(
                nn.functional.conv2d(x, w, None, *call), [x, w] if x.requires_grad else [w], g
            )

    return run


def peak_flops(device: torch.device, precision: str) -> tuple[float, str]:
    """FLOP/s that utilisation refers to: the data sheet's on known GPUs, else those of a measured
    matrix product in our precision."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    if name in PEAK:
        return PEAK[name], f"{PEAK[name] / 1e12:.0f} TFLOP/s, data sheet bf16 dense"
    a = torch.randn(
        2048, 2048, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32
    )
    seconds = timed({"mm": lambda: a @ a}, device, steps=3, repeats=3)["mm"]
    return (
        2 * 2048**3 / seconds,
        (
            f"{2 * 2048**3 / seconds / 1e9:.0f} GFLOP/s, measured"
            f" {'bfloat16' if precision == 'bf16' else 'float32'} matrix product"
        ),
    )


def same_function(model: nn.Module, side: int) -> None:
    """Our network and the plain one agree: outputs to 1e-9 of their size in float64 (another order
    of sums), in training mode."""
    exact = copy.deepcopy(model).double()
    x = torch.randn(4, 3, side, side, device=next(model.parameters()).device, dtype=torch.float64)
    with torch.no_grad():
        scores = [net.train()(x) for net in (exact, PlainQ2(exact), PlainQ2(exact, skip=True))]
    for other in scores[1:]:
        torch.testing.assert_close(
            other, scores[0], atol=1e-9 * scores[0].abs().max().item(), rtol=0
        )


def gradient_distances(t: Trainer) -> list[float]:
    """Of our compiled step and of an eager one in the same precision: the norm of the difference
    over that of the gradient in float32."""
    x, target, *_ = next(t.batches())
    gradients = []
    for model, context, kind in (
        (t.model, nullcontext(), x.dtype),
        (t.eager, t.fabric.autocast(), x.dtype),
        (t.raw, nullcontext(), t.dtype),
    ):
        t.optimizer.zero_grad(set_to_none=True)
        with context:
            loss = nn.functional.cross_entropy(model(x.to(kind)), target)
        t.fabric.backward(loss)
        gradients.append([p.grad for p in t.raw.parameters() if p.grad is not None])
    t.optimizer.zero_grad(set_to_none=True)

    def norm(tensors: list[torch.Tensor]) -> float:
        return float(torch.stack([value.norm() for value in tensors]).norm())

    exact = gradients.pop()
    return [norm(torch._foreach_sub(one, exact)) / norm(exact) for one in gradients]


def synchronisation(step: Callable[[], Any]) -> str:
    """Whether steps pass under torch's check that nothing waits for the device."""
    step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(12):
            step()
        return "passes"
    except RuntimeError as error:
        return f"FAILS: {str(error).splitlines()[0]}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
