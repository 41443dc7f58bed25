"""The operations of a level on a device: their bandwidths beside that of a copy, and the kernels'
times for other constants of theirs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gpu_clock import Clock, said
from torch import Tensor

from mgtheory.matrixfree.operators import Operator, as_grid, eight_numbers
from mgtheory.problems.stencils import laplacian
from nets.pde.levels import TorchLevel


def operations(clock: Clock, n: int, dim: int, kernels: list[str]) -> None:
    """Bandwidth of each operation on n^dim points, beside that of a copy and of torch alone; and
    how far from torch's its result is, which finds an offset that overflows."""
    device, shape = clock.device, (n,) * dim
    grid, below = as_grid(shape), tuple(m // 2 for m in shape)
    c = eight_numbers(laplacian(dim).to_array().astype(float)) * (n + 1) ** 2
    x, b = (torch.randn((1, *grid), dtype=torch.float64, device=device) for _ in range(2))
    e = torch.randn((1, *as_grid(below)), dtype=torch.float64, device=device)
    to, out, coarse = torch.empty_like(e), torch.empty_like(b), 8 / 2**dim
    steps = np.array([[0.8 / (dim * 4 * (n + 1) ** 2), 0.0]] * 4)
    degrees = [k for k in (1, 2, 4) if dim == 2 or k < 4]
    runs: dict[str, Callable[[], Any]] = {"copy": lambda: out.copy_(x)}
    moved: dict[str, float] = {"copy": 16}

    def restricted(level: Any) -> Tensor:
        level.residual(x, to, norm=True)
        return to

    for kind in kernels:
        level: Any = level_kind(kind)(Operator(shape, c), below, device, x.dtype)
        level.b = b
        for k in degrees:
            name = f"smoothing of degree {k}, {kind}"
            moved[name] = 24
            runs[name] = lambda level=level, k=k: level.smoothed(x, steps[:k])
        for full in (False, True):
            name = f"x + P e, {'cubic' if full else 'linear'}, {kind}"
            moved[name] = 16 + coarse
            runs[name] = lambda level=level, full=full: level.interpolated(e, full=full, onto=x)
        name = f"residual, norm, restriction, {kind}"
        moved[name] = 16 + coarse
        runs[name] = lambda level=level: restricted(level)
        name = f"norm of the residual, {kind}"
        moved[name] = 16
        runs[name] = lambda level=level: level.residual(x, None, norm=True)
    seconds = clock(runs)
    copy = 16 * n**dim / seconds["copy"]
    print(
        f"\n{' x '.join([str(n)] * dim)}, float64, one operation: GB/s, part of a copy's"
        f" {copy / 1e9:.0f} GB/s"
    )
    for name, one in seconds.items():
        rate = moved[name] * n**dim / one
        asked, met = "", None
        if dim == 2 and name == f"smoothing of degree 1, {kernels[0]}":
            asked, met = ">= 0.7", rate >= 0.7 * copy
        value = f"{1e3 * one:.3f} ms {rate / copy:.2f}"
        said(f"{name}, {moved[name]:g} bytes", value, asked, met)
    ratio = seconds[f"smoothing of degree {degrees[-1]}, {kernels[0]}"]
    ratio /= seconds[f"smoothing of degree 1, {kernels[0]}"]
    asked = "<= 2" if dim == 2 else ""
    said(
        f"degree {degrees[-1]} over degree 1", f"{ratio:.2f}", asked, ratio <= 2 if asked else None
    )
    for name in [n for n in runs if n.endswith(f", {kernels[0]}") and len(kernels) > 1]:
        one = runs[name]().clone()  # the same memory holds the next one's
        two = runs[name.replace(kernels[0], kernels[1])]()
        far = float((one - two).abs().max() / two.abs().max()) / torch.finfo(x.dtype).eps
        said(f"{name}, from {kernels[1]}'s", f"{far:.1f} eps", "<= 100", far <= 100)


def tune(clock: Clock, n: int, dim: int) -> None:
    """The kernels' times for points of a program, warps and planes on their way."""
    from nets.pde import fused

    shape, device = (n,) * dim, clock.device
    c = eight_numbers(laplacian(dim).to_array().astype(float)) * (n + 1) ** 2
    level = fused.FusedLevel(
        Operator(shape, c), tuple(m // 2 for m in shape), device, torch.float64
    )
    x, level.b = (torch.randn((1, *level.grid), dtype=torch.float64, device=device) for _ in "xb")
    below = [m // 2 if m > 1 else 1 for m in level.grid]
    e = torch.randn((1, *below), dtype=torch.float64, device=device)
    to, steps = torch.empty_like(e), np.array([[0.1 / (n + 1) ** 2, 0.0]] * 4)
    kept = fused.LANES, fused.WARPS, fused.UNROLL
    began = time.perf_counter()
    print(
        f"\n{' x '.join(map(str, shape))}, ms: points, warps, planes; degrees 1, 2, 4; x + P e; R r"
    )
    for lanes, warps, unroll in itertools.product((128, 256, 512), (4, 8), (1, 2)):
        if time.perf_counter() - began > 60:
            print("the rest is left out: a minute is over", flush=True)
            break
        fused.LANES, fused.WARPS, fused.UNROLL = lanes, warps, unroll
        degrees = [k for k in (1, 2, 4) if k <= fused.DEGREES[dim]]
        runs: dict[str, Callable[[], Any]] = {
            str(k): lambda k=k: level.smoothed(x, steps[:k]) for k in degrees
        }
        runs["e"] = lambda: level.interpolated(e, full=False, onto=x)
        runs["r"] = lambda: level.residual(x, to, norm=True)
        times = [f"{1e3 * one:8.3f}" for one in clock(runs).values()]
        print(f"{lanes:>6} {warps:>3} {unroll:>3}  {' '.join(times)}", flush=True)
    fused.LANES, fused.WARPS, fused.UNROLL = kept


def level_kind(kernels: str) -> type[TorchLevel]:
    """The class of levels."""
    if kernels == "torch":
        return TorchLevel
    from nets.pde.fused import FusedLevel

    return FusedLevel
