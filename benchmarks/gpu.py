"""The solver on a GPU: one table, in at most two minutes.

    python benchmarks/gpu.py                       the table; needs torch, Triton, numpy and scipy
    python benchmarks/gpu.py --kernels             its kernels compared with torch there
    python benchmarks/gpu.py --tune                its kernels' times for other constants of theirs
    python benchmarks/gpu.py --rehearse            the solver's code, small, on the processor

Wall-clock times of a synchronised device, medians of runs that alternate between the contestants,
set-up included; kernels are compiled before, and that is reported. Beside a time stand the launches
of one run and for how long they kept the device busy: the rest is the host's. Bandwidths count the
bytes that an operation has to move, which stand beside them. PyAMG and the compiled sweeps on the
processor are measured where they are installed (`--no-cpu` leaves them out).

What fails leaves the rest of the table to be printed, and a status of 1. Triton keeps what it has
compiled in ~/.triton, or in $TRITON_CACHE_DIR. `gpu.sh` runs all that wants a GPU within a time.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import _checkout  # before what it makes importable
import algorithms
import numpy as np
import torch
from algorithms import CYCLE, PASS, VARIABLE
from gpu_clock import Clock, said
from gpu_operations import operations, tune
from torch import Tensor

from mgtheory.matrixfree import StencilHierarchy
from mgtheory.matrixfree.operators import Operator, eight_numbers
from mgtheory.multigrid import transfer
from mgtheory.problems.catalogue import create, poisson
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


def variable_rows(clock: Clock, n: int, *, cpu: bool) -> None:
    """-div(k grad u) to 1e-8 beside the processor's sweeps; the set-up, in which the host evaluates
    and coarsens k, stands apart on both sides."""
    device, name = clock.device, "variable2d"
    problem, options = create(name, n), SMALL | VARIABLE[name]
    right = problem.b.reshape(problem.shape)
    b, made = torch.from_numpy(right).to(device), list[Any]()
    setup = clock.once(
        lambda: made.append(DeviceHierarchy.build(problem, device=device, **options))
    )
    ours = made[0]

    def run() -> Any:
        return ours.solve(b, cycle="FMG", tol=TOL)

    ms, found = 1e3 * clock({"ours": run})["ours"], run()
    print(f"\n{n} x {n}, float64, {name}, {ours.kernels}")
    said(f"to 1e-8, {found.iterations} cycles", f"{ms:.3f} ms", "", found.converged)
    said("  set-up, most of it the host's", f"{setup:.3f} s")
    if told := clock.busy(run):
        said("  device busy", told)
    level = ours.levels[0]
    level.b = b.reshape(1, *level.grid)
    x, out = (torch.empty_like(level.b).normal_() for _ in range(2))
    ones = clock({"copy": lambda: out.copy_(x), "step": lambda: level.step(x, 0.5)})
    rate = (3 + problem.dim) / 2 * ones["copy"] / ones["step"]  # of vectors that are needed
    said("  one degree, part of a copy's bandwidth", f"{1e3 * ones['step']:.3f} ms {rate:.2f}")
    level.release()
    if cpu and _there("numba"):
        theirs = StencilHierarchy.build(problem, **options)
        there: dict[str, Any] = {}
        once = Clock(torch.device("cpu"), 3)(
            {"cpu": lambda: there.update(x=theirs.solve(right, cycle="FMG", tol=TOL).x)}
        )["cpu"]
        said("  compiled sweeps on the processor, over it", f"{1e3 * once / ms:.1f}")
        said("  their set-up", f"{theirs.setup_seconds:.3f} s")
        far = float(np.abs(found.x.cpu().numpy() - there["x"]).max() / np.abs(there["x"]).max())
        said("  from their solution", f"{far:.1e}", "<= 1e-10", far <= 1e-10)


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
        parts = [lambda: tune(clock, 15 if small else 8191, 2)]
        parts += [lambda: tune(clock, 5 if small else 255, 3)]
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
            *(
                lambda n=n: variable_rows(clock, n, cpu=cpu)
                for n in ((127,) if small else (511, 4095))
            ),
            lambda: peer_rows(clock, 127 if small else 2047, kernels, cpu=cpu),
        ]
    return failed_of(parts)


def kernels(options: argparse.Namespace) -> int:
    """Every kernel against plain torch (tests/gpu/kernels.py); how many of the grids failed."""
    sys.path.append(str(_checkout.ROOT / "tests/gpu"))
    tests, device = import_module("kernels"), "cpu" if options.rehearse else "cuda"
    names = ["tiny"] if options.rehearse else tests.ON_GPU
    return failed_of([lambda name=name: tests.compare([name], device) for name in names])


def failed_of(parts: list[Callable[[], None]]) -> int:
    """Run all parts; how many failed."""
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
    parser.add_argument("--rehearse", action="store_true", help="small sizes, on the processor")
    parser.add_argument("--kernels", action="store_true", help="the kernels against torch alone")
    parser.add_argument("--tune", action="store_true", help="the kernels' constants alone")
    parser.add_argument("--repeats", type=int, default=9, help="runs of which the median is taken")
    parser.add_argument("--no-cpu", action="store_true", help="no contestants on the processor")
    options = parser.parse_args()
    if not (options.rehearse or torch.cuda.is_available()):
        parser.error(f"torch {torch.__version__} sees no GPU here: take --rehearse")
    start = time.perf_counter()
    failed = (kernels if options.kernels else solver)(options)
    print(f"\n{time.perf_counter() - start:.0f} s in all, {failed} parts failed")
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
