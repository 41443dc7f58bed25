"""`DeviceHierarchy`: the matrix-free cycle of `mgtheory.StencilHierarchy` on a GPU, or wherever
torch computes.

    hierarchy = mgtheory.StencilHierarchy.build(problem, device="cuda")
    x = hierarchy.solve(b, cycle="FMG").x       # b a tensor on the GPU, and so is x

Grids, smoothers, transfers and cycles are those of the compiled sweeps, and so is x up to rounding
for the same options. What differs is how it is computed: several systems at once, tensors (or
anything that speaks DLPack, as arrays of CuPy) in and out, float32 beside float64, and a coarsest
grid of 2^18 unknowns by default, because products with sine matrices cost a GPU less there than the
launches of a few more grids.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple, Self, cast

import numpy as np
import torch
from torch import Tensor

from mgtheory._checks import check_name, own_errors
from mgtheory.matrixfree.cycle import cycle_products, run_cycle, run_full_multigrid
from mgtheory.matrixfree.hierarchy import FIXED, ON_DEVICES, StencilHierarchy, operators_of
from mgtheory.matrixfree.tables import KEEP, ZERO
from mgtheory.multigrid.options import Options, takes_options
from mgtheory.multigrid.solution import Cycle, Solution, check_cycle
from mgtheory.multigrid.solve import Plan, Stop, Unfit, check_sizes, drive
from nets.defaults import own_defaults
from nets.pde.levels import DENSE, TorchLevel, square_sum

_READY: set[str] = set()  # hierarchies whose kernels this process has compiled
COARSEST = {1: DENSE, 2: 2**18, 3: 2**18}  # unknowns by the number of axes
KERNELS = ("triton", "torch")
DTYPES = {"float64": torch.float64, "float32": torch.float32}
ALLOWED = FIXED | {"dtype": (*FIXED["dtype"], "float32", np.float32, np.dtype(np.float32))}


class Systems(NamedTuple):
    """Right-hand sides as a tensor (systems, planes, rows, columns), and what gives a tensor of
    theirs back in the caller's kind of array, shape and device."""

    values: Tensor
    back: Callable[[Tensor], Any]


class DeviceHierarchy(StencilHierarchy):
    """Grids from fine to coarse on a device; made by its own `build`, or by that of
    `mgtheory.StencilHierarchy` with a device.

    Attributes
    ----------
    device, work
        Where it computes, and the type of its cycles.
    kernels
        ``"triton"`` or ``"torch"``: what computes them.
    """

    def __init__(
        self, operators: Sequence[Any], options: Options, device: torch.device, kernels: str
    ) -> None:
        self.operators, self.device, self.kernels = list(operators), device, kernels
        self.work = DTYPES[_type_name(options.dtype)]
        self.threads, self.compile_seconds, self._compiling = 1, 0.0, 0.0
        self.levels = []
        kind = TorchLevel
        if kernels == "triton":
            kind = import_module("nets.pde.fused").FusedLevel
        self._connect(lambda operator, coarse: kind(operator, coarse, device, self.work), options)
        self._lock = threading.Lock()

    @classmethod
    @takes_options
    @own_errors
    def build(
        cls,
        problem: Any,
        options: Options,
        *,
        h: float | None = None,
        device: Any = "cuda",
        kernels: str | None = None,
    ) -> Self:
        """Set up a hierarchy on a device; the problem's matrix is not touched.

        Parameters
        ----------
        problem, h
            As of `mgtheory.StencilHierarchy.build`; coefficients must be constant.
        device
            A device of torch or its name.
        kernels
            ``"triton"``, the default on a GPU where Triton is installed, or ``"torch"``, plain
            operations, several times slower there.
        options
            As of `mgtheory.StencilHierarchy.build`, but ``coarsest`` is 2^18 by default (1024 with
            one axis), and ``dtype`` may be ``"float32"``: then cycles are computed in it, under
            residuals in float64 for systems given so; x has the type of the systems.

        Raises
        ------
        ValueError
            For what is not supported, or a device that is not there.
        """
        start = time.perf_counter()
        place = _device(device)
        if kernels is None:
            kernels = "triton" if place.type == "cuda" and find_spec("triton") else "torch"
        check_name(kernels, KERNELS, "kernels")
        if getattr(problem, "coefficient", None) is not None:
            raise ValueError(
                f"{problem.name} has variable coefficients, on a device they must be constant;"
                " without device=, StencilHierarchy takes both"
            )
        if options.coarsest is None:
            shape: Any = getattr(problem, "shape", options.shape)
            options = replace(options, coarsest=COARSEST.get(np.size(shape), 2**18))
        made = cls(operators_of(problem, options, h, fixed=ALLOWED), options, place, kernels)
        made.setup_seconds = time.perf_counter() - start
        made.compile_seconds = made._compiled()
        return made

    def _compiled(self) -> float:
        """Seconds of the first pass and cycle on these grids in a process, in which Triton compiles
        their kernels or loads those that it has kept."""
        if self.kernels != "triton":
            return 0.0
        passes = ([len(s) for s in (*level.before, *level.after)] for level in self.levels)
        grids = zip((level.shape for level in self.levels), passes)
        key = f"{self.device} {self.work} {[*grids]} {self.levels[0].c.astype(bool)}"
        if key in _READY:
            return 0.0
        start = time.perf_counter()
        b = torch.zeros((1, *self.levels[0].grid), device=self.device, dtype=self.work)
        with self._working_on(None, b):
            run_full_multigrid(self.levels, Plan(Cycle.FMG), restricted=False, again=True)
            run_cycle(self.levels, Cycle.V)
            square: Any = run_cycle(self.levels, Cycle.V, start=KEEP, norm=True)
            if self.work != torch.float64:  # residuals of systems in float64
                exact = self._exact()
                exact.b = b.double()
                _, square = exact.remainder(exact.b)
            square.tolist()  # waits for all
        _READY.add(key)
        return time.perf_counter() - start

    def _exact(self) -> TorchLevel:
        """The finest level in float64."""
        finest = self.levels[0]
        made: TorchLevel = type(finest)(
            self.operators[0], finest.coarse, self.device, torch.float64
        )
        return made

    def _smoothed(self, options: Options) -> Self:
        """Operators are shared."""
        options = replace(options, dtype=self.dtype)
        made = type(self)(self.operators, options, self.device, self.kernels)
        made.setup_seconds = self.setup_seconds
        return made

    # ------------------------------------------------------------ arrays in, arrays out

    def _taken(self, given: Any, name: str, dtype: torch.dtype | None = None) -> Systems:
        """Systems of the caller as tensors here; in the given type, or in float32 where they and
        the cycles are in that, else in float64."""
        finest, back = self.levels[0], _back(given)
        v = given
        if not isinstance(v, Tensor):
            if hasattr(v, "__dlpack__") and not isinstance(v, np.ndarray):
                v = torch.utils.dlpack.from_dlpack(v)
            else:
                array = np.ascontiguousarray(v)  # torch knows no negative strides
                if array.dtype.kind not in "iuf":
                    raise ValueError(f"{name} has type {array.dtype}, must be real")
                kept = array.dtype in (np.float32, np.float64) and array.flags.writeable
                v = torch.from_numpy(array if kept else array.astype(np.float64)).to(self.device)
        if v.device != self.device:
            raise ValueError(
                f"{name} is on {v.device}, the hierarchy on {self.device}: take"
                f" {name}.to({str(self.device)!r}), or build with device={str(v.device)!r}"
            )
        if v.dtype not in (*DTYPES.values(), torch.int32, torch.int64):
            raise ValueError(f"{name} has type {v.dtype}, must be float64 or float32")
        shape = tuple(v.shape)
        if shape != (finest.size,) and shape[-len(finest.shape) :] != finest.shape:
            raise ValueError(
                f"{name} has shape {shape}, must be ({finest.size},) or {finest.shape}, or have"
                f" axes of systems before {finest.shape}"
            )
        if dtype is None:
            dtype = self.work if v.dtype == torch.float32 else torch.float64
        values = v.detach().to(dtype).reshape(-1, *finest.grid).contiguous()
        return Systems(values, lambda x: back(x.reshape(shape)))

    def _start(self, x: Any, name: str, b: Tensor) -> Systems:
        """A starting value of the caller for systems taken, of their number and type."""
        taken = self._taken(x, name, b.dtype)
        if len(taken.values) != len(b):
            raise ValueError(
                f"{name} has {len(taken.values)} systems, b has {len(b)}; give as many"
            )
        return taken

    @contextmanager
    def _working_on(self, x: Any, b: Any) -> Iterator[None]:
        """Coarse grids have memory for as many systems as b is; refused while another caller
        works."""
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                "this hierarchy is at work in another thread or a callback; build one for each"
            )
        finest, *others = self.levels
        try:
            for level in others:
                level.allocate(len(b))
            finest.x, finest.b = x, b
            with ExitStack() as within:
                within.enter_context(torch.no_grad())
                if self.device.type == "cuda":  # which Triton does not ask its arguments for
                    within.enter_context(torch.cuda.device(self.device))
                yield
        finally:
            for level in self.levels:
                level.release()
            self._lock.release()

    # ------------------------------------------------------------ solving

    def fitted(self, run: Any, b: Any, x0: Any, stop: Stop, plan: Plan) -> Solution:
        """See `MultigridSolver.fitted`; systems out of range are scaled on the host."""
        began = time.perf_counter()
        with suppress(Unfit):
            found: Solution = run(b, x0, stop, plan)
            seconds = time.perf_counter() - began
            return replace(found, setup_seconds=self.setup_seconds, solve_seconds=seconds)
        taken = self._taken(b, "b")
        if len(taken.values) > 1:
            raise ValueError(
                "a right-hand side of several leaves the range in which squares have digits: solve"
                " them one by one, or scale them"
            )
        shape = self.levels[0].shape
        right, start = (
            None if v is None else self._taken(v, "b").values.cpu().numpy().reshape(shape)
            for v in (b, x0)
        )
        found = super().fitted(run, cast(Any, right), start, stop, plan)
        return replace(found, x=taken.back(torch.from_numpy(found.x).to(taken.values)))

    @own_errors
    @own_defaults()
    def _solve(self, b: Any, x0: Any, stop: Stop, plan: Plan) -> Solution:
        if plan.cycle is Cycle.FMG and x0 is not None:
            raise ValueError("an FMG cycle starts from 0, x0 must be None; with x0 take V, W or F")
        right, back = self._taken(b, "b")
        start = None if x0 is None else self._start(x0, "x0", right).values.clone()  # x may be it
        loop = _Loop if right.dtype == self.work else _Refined
        with self._working_on(start, right):
            run = loop(self, right, start, stop, plan)
            ended = drive(run.step, run.first, run.size, stop, floor=run.floor)
            x = run.x
        said = self._said
        return Solution(back(x), *ended, warnings=said, work_units=run.work)

    @property
    def _said(self) -> tuple[str, ...]:
        """What slows this hierarchy down, in a sentence."""
        if self.device.type == "cuda" and self.kernels == "torch" and not find_spec("triton"):
            return (
                "Triton is not installed: the cycle runs in plain operations of torch, several"
                " times slower",
            )
        return ()

    @own_errors
    @own_defaults()
    def smooth(self, x: Any, b: Any, *, out: Any = None) -> Any:
        """See `mgtheory.StencilHierarchy.smooth`; a new array."""
        if out is not None:
            raise ValueError("out belongs to the processor; on a device smooth gives a new tensor")
        right = self._taken(b, "b").values
        taken = self._start(x, "x", right)
        finest = self.levels[0]
        with self._working_on(taken.values.to(self.work), right.to(self.work)):
            finest.sweep(KEEP, finest.before if finest.smooths_before else finest.after)
            return taken.back(finest.x.to(right.dtype))

    @own_errors
    @own_defaults()
    def apply(self, r: Any, cycle: str = "V") -> Any:
        """The correction of one cycle for the residual r, a linear map with zero start; shape and
        kind of r."""
        kind = check_cycle(cycle, without=(Cycle.FMG,))
        right, back = self._taken(r, "r")
        scale = _scale(right) if right.dtype != self.work else None
        with self._working_on(None, right.to(self.work) if scale is None else _down(right, scale)):
            run_cycle(self.levels, kind)
            x = self.levels[0].x
        return back(x if scale is None else x.to(right.dtype) * scale)

    @own_errors
    @own_defaults()
    def iterate(self, b: Any, x: Any = None, cycle: str = "V") -> Any:
        """x after one cycle for A x = b, from x (None is 0); shape and kind of b."""
        kind = check_cycle(cycle, without=(Cycle.FMG,))
        right, back = self._taken(b, "b", self.work)
        start = None if x is None else self._start(x, "x", right).values
        with self._working_on(start, right):
            run_cycle(self.levels, kind, start=ZERO if x is None else KEEP)
            return back(self.levels[0].x)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the cycles."""
        return np.dtype(str(self.work).removeprefix("torch."))

    @property
    def memory_bytes(self) -> int:
        """What a solve of one system takes beside x and b, all grids together: three vectors of
        each."""
        return 3 * self.work.itemsize * int(sum(level.size for level in self.levels))

    def __str__(self) -> str:
        how = "Triton's kernels" if self.kernels == "triton" else "plain torch"
        lines = [
            f"DeviceHierarchy: {len(self.levels)} levels, grid complexity"
            f" {self.grid_complexity:.3f}, {self.dtype} on {self.device} by {how}",
            f"{'level':>5} {'grid':>14} {'unknowns':>10}  smoothing",
        ]
        for index, level in enumerate(self.levels):
            what = level.coarsest if level.coarse is None else level.smoothing
            grid = "x".join(map(str, level.shape))
            lines.append(f"{index:>5} {grid:>14} {level.size:>10}  {what}")
        return "\n".join(lines)


ON_DEVICES.append(DeviceHierarchy)


def _device(given: Any) -> torch.device:
    """The device of a name, with its number; a ValueError where there is none."""
    try:
        place = torch.device(given)
        # the number that tensors there have; an error where the device does not exist
        return torch.empty(0, device=place).device
    except (RuntimeError, AssertionError, TypeError) as error:
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(
            f"device is {str(given)!r}, torch has {', '.join(there)} here; on a processor take the"
            " compiled sweeps: backend 'stencil', or no device"
        ) from error


def _type_name(given: Any) -> str:
    """The name of an allowed type; float64 for "auto" and by default."""
    return "float64" if given in (None, "auto") else str(np.dtype(given))


def _back(given: Any) -> Callable[[Tensor], Any]:
    """What makes an array like `given` of a tensor."""
    if isinstance(given, Tensor):
        return lambda x: x
    if hasattr(given, "__array_namespace__") and not isinstance(given, np.ndarray):
        space = given.__array_namespace__()  # DLPack, of any library of the array standard
        return lambda x: space.from_dlpack(x)
    if hasattr(given, "__dlpack__") and not isinstance(given, np.ndarray):
        return lambda x: x
    return lambda x: x.cpu().numpy()


def _scale(r: Tensor) -> Tensor:
    """The largest modulus of each system, 1 where that is 0, to divide by before a shorter type."""
    size = r.flatten(1).abs().amax(dim=1).view(-1, 1, 1, 1)
    return torch.where(size > 0.0, size, 1.0)


def _down(r: Tensor, scale: Tensor) -> Tensor:
    return (r / scale).to(torch.float32)


class _Loop:
    """The steps of a solve, as `mgtheory.matrixfree.cycle.solve_grids` has them for one system.

    The norm that the loop sees is, for one system, ||b - A x||_2; for several the largest, each
    times the ratio of the largest target to its own: it is small enough when all are.
    """

    def __init__(
        self, of: DeviceHierarchy, b: Tensor, x0: Tensor | None, stop: Stop, plan: Plan
    ) -> None:
        self.of, self.levels, self.b, self.stop, self.plan = of, of.levels, b, stop, plan
        self.zero, self.work = x0 is None, 0.0
        sizes = self.start(x0)
        firsts = sizes if x0 is None else self.residual()
        rows = [list(map(math.sqrt, v.tolist())) for v in (sizes, firsts)]
        for i, (size, first) in enumerate(zip(*rows)):
            # of b this asks the type, and whether it is 0 where its square sum is
            stands = np.full(1, float(size or b[i].abs().max()), str(b.dtype)[6:])
            check_sizes(stands, size, first, zero=self.zero)
        targets = [stop.target(*pair) for pair in zip(*rows)]
        largest = max(targets)
        shares = [largest / one if one > 0.0 else 1.0 for one in targets]
        self.shares = torch.tensor(shares, dtype=torch.float64, device=b.device)
        self.size, self.first = max(rows[0]), max(s * r for s, r in zip(shares, rows[1]))
        if self.zero and (self.first <= stop.target(self.size, self.first) or not stop.maxiter):
            self.levels[0].x = torch.zeros_like(b)

    @property
    def passing(self) -> bool:
        """Whether the first step is a full multigrid pass."""
        return self.plan.cycle is Cycle.FMG

    @property
    def x(self) -> Any:
        """The solution so far."""
        return self.levels[0].x

    def start(self, x0: Tensor | None) -> Any:
        """||b||^2 of each system; b is restricted on the way where a pass begins with that."""
        self.fused = self.passing and self.plan.loads is None and len(self.levels) > 1
        return self.levels[0].residual_square(ZERO, to=self.levels[1].b if self.fused else None)

    def residual(self) -> Any:
        """||b - A x||^2 of each system."""
        return self.levels[0].residual_square()

    def floor(self) -> float:
        """What rounding leaves of the residual of the largest system."""
        rounding = torch.finfo(self.b.dtype).eps * self.levels[0].largest
        return float(rounding * self.x.flatten(1).norm(dim=1).max())

    def step(self, norms: list[float]) -> float:
        """One cycle; the new norm."""
        once, levels = len(norms) == 1, self.levels
        self.work += cycle_products(levels, self.plan.cycle if once else self.plan.repeated)
        if once and self.passing:
            again = self.stop.maxiter > 1
            square: Any = self.full_pass(again)
        else:
            square = self.cycle(ZERO if self.zero and once else KEEP, known=not once)
        return float((square.sqrt() * self.shares).max())

    def full_pass(self, again: bool) -> Any:
        """A full multigrid pass; the new square sums."""
        return run_full_multigrid(self.levels, self.plan, restricted=self.fused, again=again)

    def cycle(self, start: int, *, known: bool) -> Any:
        """One cycle; the new square sums. From the second one on the last sweep has restricted the
        residual."""
        restricted = known and not self.levels[0].smooths_before
        kind = self.plan.repeated
        return run_cycle(self.levels, kind, start=start, norm=True, restricted=restricted)


class _Refined(_Loop):
    """The same with cycles in float32: each on a residual in float64, scaled to 1."""

    def start(self, x0: Tensor | None) -> Tensor:
        """||b||^2 of each system."""
        self.fused, self.solution = False, torch.zeros_like(self.b) if x0 is None else x0
        self.exact = self.of._exact()
        self.exact.b = self.b
        return square_sum(self.b)

    @property
    def x(self) -> Tensor:
        """The solution so far."""
        return self.solution

    def residual(self) -> Any:
        """||b - A x||^2 of each system."""
        self.rest, square = self.exact.remainder(self.solution)
        return square

    def full_pass(self, again: bool) -> Any:
        """A full multigrid pass for b; the new square sums."""
        scale, plan = _scale(self.b), self.plan
        if plan.loads is not None:
            loads, level = plan.loads, self.levels[0]

            def scaled(shape: Any) -> Any:
                v = torch.as_tensor(loads(shape), device=scale.device, dtype=scale.dtype)
                return v.reshape(-1, *shape) / scale.view(-1, *[1] * len(level.shape))

            plan = replace(plan, loads=cast(Any, scaled))
        self.levels[0].b = _down(self.b, scale)
        run_full_multigrid(self.levels, plan, restricted=False, again=False)
        self.solution = self.levels[0].x.to(self.b.dtype).mul_(scale)
        return self.residual()

    def cycle(self, start: int, *, known: bool) -> Any:
        """One cycle for the residual; the new square sums."""
        if start == ZERO:
            self.rest = self.b
        scale = _scale(self.rest)
        self.levels[0].b = _down(self.rest, scale)
        run_cycle(self.levels, self.plan.repeated)
        self.solution = self.solution + self.levels[0].x.to(self.b.dtype).mul_(scale)
        return self.residual()
