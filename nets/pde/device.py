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

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor

from mgtheory._checks import check_name, own_errors
from mgtheory.matrixfree.cycle import run_cycle, run_full_multigrid
from mgtheory.matrixfree.hierarchy import ON_DEVICES, StencilHierarchy
from mgtheory.matrixfree.setup import FIXED, VARYING, operators_of
from mgtheory.matrixfree.tables import KEEP, ZERO
from mgtheory.multigrid.fitted import Unfit
from mgtheory.multigrid.loop import Plan, Stop, drive
from mgtheory.multigrid.options import Options, takes_options
from mgtheory.multigrid.solution import Cycle, Solution, check_cycle, counted
from nets.defaults import own_defaults
from nets.pde.arrays import DTYPES, Systems, taken
from nets.pde.faces import TorchFaceLevel
from nets.pde.levels import DENSE, DeviceLevel, TorchLevel
from nets.pde.loop import Loop, Refined, scale_of, scaled_down

_READY: set[str] = set()  # hierarchies whose kernels this process has compiled
COARSEST = {1: DENSE, 2: 2**18, 3: 2**18}  # unknowns by the number of axes
KERNELS = ("triton", "torch")
ALLOWED = VARYING | {"dtype": FIXED["dtype"]}  # the compiled sweeps of these have no float32


class DeviceHierarchy(StencilHierarchy):
    """Grids from fine to coarse on a device; made by its own `build`, or by that of
    `mgtheory.StencilHierarchy` with a device.

    Attributes
    ----------
    device, work
        Where it computes, and the type of its cycles.
    kernels
        ``"triton"`` or ``"torch"``: what computes them.

    Notes
    -----
    What comes out has the caller's kind of array, and is float32 where both the systems and the
    cycles are; else it is float64, and with cycles in float32 every one of them is a correction for
    a residual in float64, so that iterating reaches the digits of float64.
    """

    def __init__(
        self, operators: Sequence[Any], options: Options, device: torch.device, kernels: str
    ) -> None:
        self.operators, self.device, self.kernels = list(operators), device, kernels
        self.work = DTYPES[_type_name(options.dtype)]
        self.threads, self.compile_seconds, self._compiling = 1, 0.0, 0.0
        self.levels = []
        varies = operators[0].varies
        kind: type[DeviceLevel] = TorchFaceLevel if varies else TorchLevel
        if kernels == "triton":
            fused = import_module("nets.pde.fused")
            kind = fused.FusedFaceLevel if varies else fused.FusedLevel
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
            As of `mgtheory.StencilHierarchy.build`.
        device
            A device of torch or its name.
        kernels
            ``"triton"``, the default on a GPU where Triton is installed, or ``"torch"``, plain
            operations, several times slower there.
        options
            As of `mgtheory.StencilHierarchy.build`, but with constant coefficients ``coarsest`` is
            2^18 by default (1024 with one axis), and ``dtype`` may be ``"float32"``: then cycles
            are computed in it, under residuals in float64 for systems given so.

        Raises
        ------
        ValueError
            For what is not supported, or a device that is not there.
        """
        start = time.perf_counter()
        varies = getattr(problem, "coefficient", None) is not None
        if options.coarsest is None and not varies:
            shape: Any = getattr(problem, "shape", options.shape)
            options = replace(options, coarsest=COARSEST.get(np.size(shape), 2**18))
        # what no device would take is refused before one is looked for
        operators = operators_of(problem, options, h, varying=ALLOWED)
        place = _device(device)
        if kernels is None:
            kernels = "triton" if place.type == "cuda" and find_spec("triton") else "torch"
        check_name(kernels, KERNELS, "kernels")
        if kernels == "triton" and not find_spec("triton"):
            raise ValueError(
                "kernels is 'triton', which is not installed here; allowed: 'torch', or None for"
                " what is there"
            )
        made = cls(operators, options, place, kernels)
        made.setup_seconds = time.perf_counter() - start
        made.compile_seconds = made._compiled()
        return made

    def _compiled(self) -> float:
        """Seconds of the first solve on these grids in a process, in which Triton compiles their
        kernels or loads those that it has kept."""
        if self.kernels != "triton":
            return 0.0
        passes = ([len(s) for s in (*level.before, *level.after)] for level in self.levels)
        grids = zip((level.shape for level in self.levels), passes)
        key = f"{self.device} {self.work} {[*grids]} {self.levels[0].pattern}"
        if key in _READY:
            return 0.0
        start = time.perf_counter()
        b = torch.zeros((1, *self.levels[0].grid), device=self.device, dtype=self.work)
        with self._working_on(None, b):
            finest, *below = self.levels
            for to in (None, *(level.b for level in below[:1])):  # with the norm of b
                finest.residual_square(ZERO, to=to)
            run_full_multigrid(self.levels, Plan(Cycle.FMG), restricted=False, again=True)
            run_cycle(self.levels, Cycle.V)
            run_cycle(self.levels, Cycle.V, start=KEEP, norm=True)
            square: Any = finest.residual_square()  # of a starting value
            if self.work != torch.float64:  # residuals of systems in float64
                exact = self.in_float64()
                exact.b = b.double()
                _, square = exact.remainder(exact.b)
            square.tolist()  # waits for all
        _READY.add(key)
        return time.perf_counter() - start

    def in_float64(self) -> DeviceLevel:
        """The finest level, for residuals."""
        finest = self.levels[0]
        made: DeviceLevel = type(finest)(
            self.operators[0], finest.coarse, self.device, torch.float64
        )
        return made

    def _smoothed(self, options: Options) -> Self:
        """Operators are shared."""
        options = replace(options, dtype=self.dtype, shift=self.shift)
        made = type(self)(self.operators, options, self.device, self.kernels)
        made.setup_seconds = self.setup_seconds
        return made

    # ------------------------------------------------------------ arrays in, arrays out

    def _taken(self, given: Any, name: str, dtype: torch.dtype | None = None) -> Systems:
        """Systems of the caller as tensors here; in the given type, or in float32 where they and
        the cycles are in that, else in float64."""
        return taken(given, name, self.levels[0], dtype)

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
        loop = Loop if right.dtype == self.work else Refined
        with self._working_on(start, right):
            run = loop(self, right, start, stop, plan)
            ended = drive(run.step, run.first, run.size, stop, floor=run.floor)
            x = run.x
        said = self._said
        return self._advised(Solution(back(x), *ended, warnings=said, work_units=run.work))

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
        with self._working_on(None, right):
            return back(self._corrected(right, kind))

    def _corrected(self, r: Tensor, kind: Cycle) -> Tensor:
        """The correction of one cycle, at work, for a residual of any type."""
        finest = self.levels[0]
        if r.dtype == self.work:
            finest.b = r
            run_cycle(self.levels, kind)
            return cast(Tensor, finest.x)
        scale = scale_of(r)
        finest.b = scaled_down(r, scale)
        run_cycle(self.levels, kind)
        return cast(Tensor, finest.x).to(r.dtype).mul_(scale)

    @own_errors
    @own_defaults()
    def iterate(self, b: Any, x: Any = None, cycle: str = "V") -> Any:
        """x after one cycle for A x = b, from x (None is 0), which is of b's type; shape and kind
        of b, and the type of what `solve` gives."""
        kind = check_cycle(cycle, without=(Cycle.FMG,))
        right, back = self._taken(b, "b")
        start = None if x is None else self._start(x, "x", right).values
        with self._working_on(start, right):
            if start is None:
                return back(self._corrected(right, kind))
            if right.dtype == self.work:
                run_cycle(self.levels, kind, start=KEEP)
                return back(self.levels[0].x)
            exact = self.in_float64()
            exact.b = right
            rest, _ = exact.remainder(start)
            return back(start + self._corrected(rest, kind))

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the cycles."""
        return np.dtype(str(self.work).removeprefix("torch."))

    @property
    def memory_bytes(self) -> int:
        """What a solve of one system takes beside x and b, all grids together: three vectors of
        each, and the coefficients where they vary."""
        vectors = 3 * self.work.itemsize * int(sum(level.size for level in self.levels))
        return vectors + int(sum(level.held_bytes for level in self.levels))

    def __str__(self) -> str:
        how = "Triton's kernels" if self.kernels == "triton" else "plain torch"
        lines = [
            f"DeviceHierarchy: {counted(len(self.levels), 'level')}, grid complexity"
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
        found = torch.empty(0, device=place).device
        if found.type == "meta":  # which computes nothing
            raise TypeError(given)
        return found
    except (RuntimeError, AssertionError, TypeError) as error:
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(
            f"device is {str(given)!r}, torch has {', '.join(there)} here; on a processor take the"
            " compiled sweeps, backend 'stencil'"
        ) from error


def _type_name(given: Any) -> str:
    """The name of an allowed type; float64 for "auto" and by default."""
    return "float64" if given in (None, "auto") else str(np.dtype(given))
