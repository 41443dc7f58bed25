"""The parts of the program that want a GPU, one table each in at most two minutes.

    python benchmarks/gpu.py                       the solver; needs torch, Triton, numpy and scipy
    python benchmarks/gpu.py --part training ...   the training step, with the options of train.py
    python benchmarks/gpu.py --tune                its kernels' times for other constants of theirs
    python benchmarks/gpu.py --rehearse            the solver's code, small, on the processor

Wall-clock times of a synchronised device, medians of runs that alternate between the contestants,
set-up included; kernels are compiled before, and that is reported. Beside a time stand the launches
of one run and for how long they kept the device busy: the rest is the host's. Bandwidths count the
bytes that an operation has to move, which stand beside them. PyAMG and the compiled sweeps on the
processor are measured where they are installed (`--no-cpu` leaves them out).

What fails leaves the rest of the table to be printed, and a status of 1. Triton keeps what it has
compiled in ~/.triton, or in $TRITON_CACHE_DIR.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import _checkout  # noqa: F401  before what it makes importable
import algorithms
import numpy as np
import torch
from algorithms import CYCLE, PASS
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from mgtheory.matrixfree import StencilHierarchy
from mgtheory.matrixfree.operators import Operator, as_grid, eight_numbers
from mgtheory.multigrid import transfer
from mgtheory.problems.catalogue import poisson
from mgtheory.problems.grids import Boundary
from mgtheory.problems.stencils import laplacian
from nets.pde.cycle import MultigridCycle
from nets.pde.device import DeviceHierarchy
from nets.pde.levels import TorchLevel, long_transform

TOL = 1e-8
# of a rehearsal, whose grids are all smaller than the coarsest by default
SMALL: dict[str, int] = {}


def smooth_problem(n: int, dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Solution and right-hand side on n^dim points, on the device."""
    u, b = (torch.from_numpy(v).to(device) for v in algorithms.smooth_problem(n, dim))
    return u, b


class Clock:
    """Medians of synchronised runs."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats

    def once(self, run: Callable[[], Any]) -> float:
        """Seconds of one run."""
        self.wait()
        start = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        """Until the device has nothing left to do."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def __call__(self, runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
        """Median seconds of each, after one run that is not counted."""
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for i in range(self.repeats + 1):
            for name, run in runs.items():
                one = self.once(run)
                if i:
                    seconds[name].append(one)
        return {name: statistics.median(values) for name, values in seconds.items()}

    def busy(self, run: Callable[[], Any]) -> str:
        """Launches of one run, and the milliseconds that they keep the device busy; empty on a
        processor."""
        if self.device.type != "cuda":
            return ""
        try:
            with profile(activities=[ProfilerActivity.CUDA]) as seen:
                self.once(run)
        except RuntimeError as error:  # a container may forbid it
            return str(error).splitlines()[0]
        events = [e for e in seen.key_averages() if e.device_type is DeviceType.CUDA]
        ms = 1e-3 * sum(e.self_device_time_total for e in events)
        return f"{sum(e.count for e in events)} launches, {ms:.3f} ms"


def said(what: str, value: str, asked: str = "", met: bool | None = None) -> None:
    """A line of the table."""
    mark = "" if met is None else ("  met" if met else "  MISSED")
    print(f"{what:<58} {value:>24}  {asked}{mark}", flush=True)


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


def sine_solver(n: int, dim: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    """b -> A^-1 b by sine transforms of torch.fft on every axis; eigenvalues prepared before."""
    k = torch.arange(1, n + 1, dtype=torch.float64, device=device)
    line = 4.0 * (n + 1) ** 2 * torch.sin(k * (math.pi / (2 * n + 2))) ** 2
    parts = [line.view([-1 if a == j else 1 for a in range(dim)]) for j in range(dim)]
    inverse = 1.0 / sum(parts[1:], start=parts[0])

    def solve(b: Tensor) -> Tensor:
        for axis in range(dim):
            b = long_transform(b, axis)
        b = b * inverse
        for axis in range(dim):
            b = long_transform(b, axis)
        return b

    return solve


def poisson_rows(clock: Clock, n: int, dim: int, kernels: str, asked: tuple[float, ...]) -> None:
    """One full multigrid pass, and solved to 1e-8, set-up included, beside the sine transform."""
    device, shape = clock.device, (n,) * dim
    u, b = smooth_problem(n, dim, device)
    direct = sine_solver(n, dim, device)

    stencil = laplacian(dim)

    def build(**options: Any) -> DeviceHierarchy:
        return DeviceHierarchy.build(
            stencil, shape=shape, device=device, kernels=kernels, **SMALL, **options
        )

    compiled = [build(**o).compile_seconds for o in (PASS[dim], CYCLE[dim])]
    found: dict[str, Any] = {}

    def kept(name: str, run: Callable[[], Any]) -> Callable[[], None]:
        def called() -> None:
            found[name] = run()

        return called

    runs = {
        "pass": kept("pass", lambda: build(**PASS[dim]).full_multigrid(b)),
        "to 1e-8": kept("to 1e-8", lambda: build(**CYCLE[dim]).solve(b, cycle="FMG", tol=TOL)),
        "set-up": lambda: build(**CYCLE[dim]),
        "sine": kept("sine", lambda: direct(b)),
    }
    exact = ["to 1e-8"]
    if dim == 3:  # in two dimensions of this size float32 has no digits left for a cycle

        def short() -> Any:
            return build(dtype="float32", **CYCLE[dim])

        compiled.append(short().compile_seconds)
        exact.append("float32 under float64")
        runs[exact[1]] = kept(exact[1], lambda: short().solve(b, cycle="FMG", tol=TOL))
    seconds = clock(runs)
    far = [float((v - u).abs().max()) for v in (found["pass"].x, found["sine"])]
    c = eight_numbers(stencil.to_array().astype(float)) * (n + 1) ** 2
    level = TorchLevel(Operator(shape, c), tuple(m // 2 for m in shape), device, u.dtype)
    print(f"\n{' x '.join([str(n)] * dim)}, float64, set-up included; {kernels}")
    ms = {name: 1e3 * one for name, one in seconds.items()}
    said("full multigrid pass", f"{ms['pass']:.3f} ms", f"<= {asked[0]:g}", ms["pass"] <= asked[0])
    ratio = far[0] / far[1]
    said("  its error over the direct solution's", f"{ratio:.3f}", "<= 1.1", ratio <= 1.1)
    ratio = ms["sine"] / ms["pass"]
    goal = asked[2] if len(asked) > 2 else None
    said(
        "  sine transform by torch.fft, over it",
        f"{ms['sine']:.3f} ms, {ratio:.2f}",
        "" if goal is None else f">= {goal:g}",
        None if goal is None else ratio >= goal,
    )
    said("to 1e-8", f"{ms['to 1e-8']:.3f} ms", f"<= {asked[1]:g}", ms["to 1e-8"] <= asked[1])
    for name in exact:
        level.b = b.reshape(1, *level.grid)
        x = found[name].x.reshape(1, *level.grid)
        left = math.sqrt(float(level.residual(x, None, norm=True))) / float(b.norm())
        said(
            f"  residual, {name}: {found[name].iterations} cycles",
            f"{ms[name]:.3f} ms, {left:.1e}",
            f"<= {TOL:g}",
            left <= 1.1 * TOL,
        )
    said("  set-up alone", f"{ms['set-up']:.3f} ms")
    for name in ("pass", *exact):
        if told := clock.busy(runs[name]):
            said(f"  device busy, {name}", told)
    said("  compiling, or loading what was kept (once)", f"{sum(compiled):.1f} s")


class SparseCycle:
    """The V-cycle of a hierarchy with torch's CSR matrices, the coarsest grid solved alike."""

    def __init__(self, of: DeviceHierarchy, problem: Any) -> None:
        def csr(matrix: Any) -> Tensor:
            m = matrix.tocsr()
            parts = [torch.from_numpy(np.asarray(v)) for v in (m.indptr, m.indices, m.data)]
            return torch.sparse_csr_tensor(*parts, size=m.shape).to(of.device)

        D, shapes = Boundary.DIRICHLET, [level.shape for level in of.levels]
        self.levels, self.direct = of.levels, of.levels[-1].direct
        # the types are in beta, and their invariants unchecked
        warnings.filterwarnings("ignore", message="Sparse ")
        self.A = [csr(problem.equation.operator(shape)) for shape in shapes[:-1]]
        pairs = list(itertools.pairwise(shapes))
        self.P = [csr(transfer.interpolation(n, m, D)) for n, m in pairs]
        self.R = [csr(transfer.restriction(n, m, D)) for n, m in pairs]

    def __call__(self, b: Tensor, l: int = 0) -> Tensor:
        """The correction of one cycle without smoothing before."""
        if l == len(self.A):
            return self.direct(b.reshape(1, *self.levels[l].grid)).reshape(-1)
        x = self.P[l] @ self(self.R[l] @ b, l + 1)
        for omega, _ in np.concatenate(self.levels[l].after).tolist():
            x = x.add(b - self.A[l] @ x, alpha=omega)
        return x


def peer_rows(clock: Clock, n: int, kernels: str, *, cpu: bool) -> None:
    """One cycle beside torch's sparse matrices; a solve beside PyAMG and the processor's sweeps."""
    device, problem = clock.device, poisson((n, n))
    _, b = smooth_problem(n, 2, device)
    ours = DeviceHierarchy.build(problem, device=device, kernels=kernels, **SMALL, **CYCLE[2])
    sparse, flat = SparseCycle(ours, problem), b.reshape(-1)
    one, two = ours.apply(b).reshape(-1), sparse(flat)
    assert float((one - two).abs().max() / one.abs().max()) < 1e-10
    stencil = laplacian(2)
    runs: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours.apply(b),
        "sparse": lambda: sparse(flat),
        "solve": lambda: DeviceHierarchy.build(
            stencil, shape=(n, n), device=device, kernels=kernels, **SMALL, **CYCLE[2]
        ).solve(b, cycle="FMG", tol=TOL),
    }
    seconds = {name: 1e3 * value for name, value in clock(runs).items()}
    print(f"\n{n} x {n}, float64, beside others")
    ratio = seconds["sparse"] / seconds["ours"]
    said("one cycle", f"{seconds['ours']:.3f} ms")
    said("  torch's sparse CSR, over it", f"{ratio:.1f}", ">= 20", ratio >= 20)
    if told := clock.busy(runs["ours"]):
        said("  device busy", told)
    said("to 1e-8", f"{seconds['solve']:.3f} ms")
    right = b.cpu().numpy()
    if cpu and _there("numba"):
        ready = StencilHierarchy.build(laplacian(2), shape=(n, n), **CYCLE[2])
        ready.solve(right, cycle="FMG", tol=TOL)
        theirs = (
            1e3
            * Clock(torch.device("cpu"), 3)(
                {
                    "cpu": lambda: StencilHierarchy.build(
                        laplacian(2), shape=(n, n), **CYCLE[2]
                    ).solve(right, cycle="FMG", tol=TOL)
                }
            )["cpu"]
        )
        said("  compiled sweeps on the processor, over it", f"{theirs / seconds['solve']:.1f}")
    if cpu and _there("pyamg"):
        import pyamg
        import scipy.sparse as sp

        A = sp.csr_matrix(problem.A)
        theirs = 1e3 * clock.once(
            lambda: pyamg.smoothed_aggregation_solver(A).solve(
                right.ravel(), tol=0.3 * TOL, accel="cg"
            )
        )
        said("  PyAMG, smoothed aggregation with cg, over it", f"{theirs / seconds['solve']:.1f}")


def module_rows(clock: Clock, n: int) -> None:
    """A cycle of the differentiable module; the matrices that it is made from take longer."""
    module = MultigridCycle(poisson((n, n)), degree=2).to(clock.device)
    _, b = smooth_problem(n, 2, clock.device)

    def forward() -> None:
        with torch.no_grad():
            module(b)

    seconds = clock({"twin": forward, "gradient": lambda: module(b)})
    print(f"\n{n} x {n}, float64, MultigridCycle, V(1,1), degree 2")
    said("no gradient", f"{1e3 * seconds['twin']:.3f} ms", clock.busy(forward))
    said("  with the graph of its gradient", f"{1e3 * seconds['gradient']:.3f} ms")


def _there(name: str) -> bool:
    """Whether a package can be imported; it may be there for another NumPy."""
    try:
        import_module(name)
    except ImportError as error:
        print(f"without {name}: {error}")
        return False
    return True


def sizes(clock: Clock, grids: tuple[int, ...], kernels: str) -> None:
    """Small grids, where launches decide, and several systems at once."""
    print("\nto 1e-8, set-up included; and of 16 systems at once, the time of each")
    stencil = laplacian(2)
    for n in grids:
        _, b = smooth_problem(n, 2, clock.device)
        several = torch.stack([b * (i + 1) for i in range(16)])

        def run(v: Tensor, n: int = n) -> Any:
            return DeviceHierarchy.build(
                stencil,
                shape=(n, n),
                device=clock.device,
                kernels=kernels,
                **SMALL,
                **CYCLE[2],
            ).solve(v, cycle="FMG", tol=TOL)

        one = clock({"one": lambda b=b: run(b), "16": lambda v=several: run(v)})
        said(f"{n} x {n}", f"{1e3 * one['one']:.3f} ms, {1e3 * one['16'] / 16:.3f} ms")


def solver(options: argparse.Namespace) -> int:
    """The table of the solver; how many parts of it failed."""
    small = options.rehearse
    device = torch.device("cpu" if small else "cuda")
    kernels = "torch" if small or not find_spec("triton") else "triton"
    clock = Clock(device, 1 if small else options.repeats)
    name = "rehearsal on the processor" if small else torch.cuda.get_device_name()
    versions = [f"{m.__name__} {m.__version__}" for m in (torch, np)]
    if kernels == "triton":
        versions.append(f"triton {import_module('triton').__version__}")
    print(f"{name}; Python {sys.version.split()[0]}, {', '.join(versions)}; {kernels}")
    parts: list[Callable[[], None]]
    if options.tune:
        parts = [lambda: tune(clock, 8191, 2), lambda: tune(clock, 255, 3)]
    else:
        if small:
            torch.set_num_threads(1)
            SMALL["coarsest"] = 1500
        kinds = list(dict.fromkeys((kernels, "torch")))
        plane, cube = (127, 23) if small else (4095, 255)
        others = (63,) if small else (255, 511, 1023, 2047)
        cpu = not options.no_cpu
        parts = [
            lambda: operations(clock, 127 if small else 8191, 2, kinds),
            lambda: operations(clock, 23 if small else 511, 3, kinds),
            lambda: poisson_rows(clock, plane, 2, kernels, (2.5, 8.0, 3.0)),
            lambda: poisson_rows(clock, cube, 3, kernels, (3.0, 12.0)),
            lambda: sizes(clock, others, kernels),
            lambda: module_rows(clock, 127 if small else 1023),
            lambda: peer_rows(clock, 127 if small else 2047, kernels, cpu=cpu),
        ]
    failed = 0
    for part in parts:
        began = time.perf_counter()
        try:
            part()
        except Exception:
            failed += 1
            traceback.print_exc(limit=-4, file=sys.stdout)
        print(f"  ({time.perf_counter() - began:.0f} s)", flush=True)
    return failed


def main() -> None:
    """Print the part that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", choices=("solver", "training"), default="solver")
    parser.add_argument("--rehearse", action="store_true", help="small sizes, on the processor")
    parser.add_argument("--tune", action="store_true", help="the kernels' constants alone")
    parser.add_argument("--repeats", type=int, default=9, help="runs of which the median is taken")
    parser.add_argument("--no-cpu", action="store_true", help="no contestants on the processor")
    options, others = parser.parse_known_args()
    if options.part == "training":
        import train

        sys.argv = [sys.argv[0], *others]
        train.main()
        return
    if others:
        parser.error(f"unknown: {' '.join(others)}")
    if not (options.rehearse or torch.cuda.is_available()):
        parser.error(f"torch {torch.__version__} sees no GPU here: take --rehearse")
    start = time.perf_counter()
    failed = solver(options)
    print(f"\n{time.perf_counter() - start:.0f} s in all, {failed} parts failed")
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
