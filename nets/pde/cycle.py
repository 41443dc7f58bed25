"""The bridge: a multigrid cycle made of the networks' own levels, equal to the scipy.sparse cycle,
differentiable and batched.

With norms and relus removed (placement ``plain``, residual ``identity``), A the problem's stencil
on one channel, R full weighting and an up-leg with linear interpolation, the levels of
`nets.models.blocks` are a multigrid cycle. It runs on any device; its polynomial coefficients are
parameters, so that roots can be learned on the equation (`nets.learn_smoother`), scored by
mgtheory, moved into a network by ``file:init.json``, and a network's polynomial used here or in
`mgtheory.Hierarchy` in turn.

Every level's equation is divided by s_l = b_l / b_0, the ratio of the largest eigenvalues: then one
and the same polynomial serves all levels (for Poisson A is the h = 1 stencil over h_0^2 everywhere
and the restricted residual gains the factor 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mgtheory._checks import check_kind, check_name, check_whole
from mgtheory.families import FAMILIES
from mgtheory.multigrid.cycle import run_cycle
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.loop import Loads
from mgtheory.multigrid.smoothings import PolynomialSmoothing
from mgtheory.multigrid.solution import Cycle, check_cycle
from mgtheory.polynomials.residual import ResidualPolynomial
from mgtheory.problems.grids import Boundary
from mgtheory.problems.problem import Problem
from mgtheory.smoothers import DEFAULT, Polynomial, called
from mgtheory.smoothers import smoother as described
from nets.defaults import own_defaults
from nets.models.blocks import Level, SmoothingStep
from nets.models.checks import as_tensor, check_generator
from nets.models.coefficients import Coefficients, make_coefficients
from nets.models.convolutions import CONVOLUTIONS
from nets.models.placements import PLACEMENTS
from nets.pde.device import DeviceHierarchy
from nets.pde.transfers import GridTransfer, Lift, stencil_of
from nets.pde.twin import Twin

CYCLES = 30  # by which a factor is measured
# the options of `mgtheory.Hierarchy.build` that convolutions have
OPTIONS = ("axes", "coarsening", "coarsest", "max_levels")


class MultigridCycle(nn.Module):
    """x <- x + M^-1 (b - A x): one V-, W- or F-cycle on batches of grid functions, with learned
    smoothing polynomials.

    Parameters
    ----------
    problem
        A model problem that convolutions can express: constant coefficients (a stencil of 3 points
        per axis); Dirichlet boundaries with sizes that stay odd (31 -> 15 -> 7), or periodic ones
        with even sizes (64 -> 32), so that every coarse point is a fine one. Not Neumann: its
        unknowns are cell-centred, coarse ones lie between fine ones, and its stencil is another one
        at the boundary.
    smoother
        A `ResidualPolynomial` for A on the finest level (scaled to the others), or a family's name
        with `degree`. By default that of `mgtheory.Hierarchy`, of degree 2 on every level where the
        coefficients are shared.
    pre, post
        Smoothings on every level before and after the coarse-grid correction.
    cycle
        ``V``, ``W`` or ``F``. Full multigrid is no iteration but a way to the first iterate:
        `full_multigrid` has it.
    shared
        One set of coefficients for all levels (in the finest level's scale), or one per level and
        per leg.
    parameterisation
        ``weights`` or ``roots``, see `nets.models.coefficients`.
    options
        Of `mgtheory.Hierarchy.build`: coarsening, axes, coarsest, max_levels.

    Raises
    ------
    ValueError
        For a problem or an option that the convolutions cannot express.
    """

    coarse_inverse: Tensor

    @own_defaults()
    def __init__(
        self,
        problem: Problem,
        *,
        smoother: ResidualPolynomial | str | None = None,
        degree: int | None = None,
        pre: int = 1,
        post: int = 1,
        cycle: str = "V",
        shared: bool = True,
        parameterisation: str = "weights",
        **options: Any,
    ) -> None:
        super().__init__()
        _check_problem(problem)
        check_smoothings(pre, post)
        for name in options:
            check_name(name, OPTIONS, "option")
        if smoother is not None and not isinstance(described(smoother), Polynomial):
            raise ValueError(
                f"smoother is {called(described(smoother))}; a cycle learns a polynomial in A: give"
                f" one, or the name of a family, {', '.join(FAMILIES)}"
            )
        if smoother is None and shared:  # one set of coefficients cannot grow from level to level
            smoother = DEFAULT
        # FMG solves once from x = 0, it is no map x -> x to be iterated and learned
        self.kind = check_cycle(cycle, without=(Cycle.FMG,))
        self.problem, self.pre, self.post = problem, pre, post
        self.shared, self.options = shared, dict(options)
        self.periodic = problem.boundary is Boundary.PERIODIC
        self.parameterisation = parameterisation
        hierarchy = Hierarchy.build(
            problem, smoother=smoother, degree=degree, pre=pre, post=post, **options
        )
        if len(hierarchy.levels) < 2:
            raise ValueError(
                f"the grid {' x '.join(map(str, problem.shape))} is solved directly, and a cycle"
                " needs two levels: give a larger grid or more levels, or in Python a smaller"
                " coarsest, up to how many unknowns are solved directly"
            )
        self._take(hierarchy)
        self.double()

    def _take(self, hierarchy: Hierarchy) -> None:
        """The levels of a hierarchy as modules: its stencils, polynomials, transfers, and inverse
        of the coarsest A."""
        levels, periodic, problem = hierarchy.levels, self.periodic, self.problem
        sizes = [level.smoothing_interval()[1] for level in levels]
        self.scales = [b / sizes[0] for b in sizes]
        self.shapes = [tuple(level.shape) for level in levels]
        first = self.polynomial_on(levels[0])
        common = self._coefficients(first) if self.shared else None
        down, up, transfers = list[Level](), list[Level](), list[GridTransfer]()
        lifts, self.kernels = list[Lift](), list[NDArray[np.float64]]()
        for i, (level, below) in enumerate(pairwise(levels)):
            self._check_nested(level.shape, below.shape, level.axes, periodic)
            kernel = stencil_of(level.A, level.shape, periodic=periodic) / self.scales[i]
            self.kernels.append(kernel)
            own = self.polynomial_on(level).scaled(1.0 / self.scales[i])
            for legs, count in ((down, self.pre), (up, self.post)):
                factors = common or self._coefficients(own)
                legs.append(self._leg(kernel, factors, count, periodic))
            gain = self.scales[i] / self.scales[i + 1]
            lifts.append(Lift(level.shape, below.shape, problem.boundary))
            transfers.append(GridTransfer(level.axes, problem.dim, periodic=periodic, gain=gain))
        self.common = nn.ModuleList(common) if common else None
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.transfers, self.lifts = nn.ModuleList(transfers), nn.ModuleList(lifts)
        columns = np.eye(levels[-1].size)
        inverse = np.stack([hierarchy.coarse_solver(column) for column in columns], axis=1)
        self.register_buffer("coarse_inverse", torch.from_numpy(inverse * self.scales[-1]))

    @staticmethod
    def polynomial_on(level: Any) -> ResidualPolynomial:
        """q of a level of the sparse hierarchy, for its A."""
        smoothing = level.pre or level.post
        if not isinstance(smoothing, PolynomialSmoothing) or smoothing.B is not None:
            raise ValueError(
                "the bridge's smoother is a polynomial in A: give a ResidualPolynomial or a"
                f" family's name, not {getattr(smoothing, 'label', None)}"
            )
        return smoothing.polynomial

    @staticmethod
    def _check_nested(
        fine: Sequence[int], coarse: Sequence[int], axes: Sequence[int], periodic: bool
    ) -> None:
        for j in axes:
            if fine[j] != 2 * coarse[j] + (0 if periodic else 1):
                wanted = "even (64, 128, ...)" if periodic else "odd on every level (31, 63, ...)"
                raise ValueError(
                    f"axis {j}: {fine[j]} points do not nest with {coarse[j]}; sizes must be"
                    f" {wanted}, or limit max_levels"
                )

    def _coefficients(self, polynomial: ResidualPolynomial) -> list[Coefficients]:
        made, how = [], self.parameterisation
        for factor in polynomial.factors:
            module = make_coefficients(factor.kind, parameterisation=how).double()
            module.set_factor(factor)
            made.append(module)
        return made

    def _leg(
        self, kernel: NDArray[np.float64], factors: list[Coefficients], count: int, periodic: bool
    ) -> Level:
        dim = kernel.ndim
        made = CONVOLUTIONS[dim](
            1, 1, 3, padding=1, bias=False, padding_mode="circular" if periodic else "zeros"
        ).double()
        operator = cast("nn.Conv2d", made)  # a level takes the convolution of any dimension
        operator.weight = nn.Parameter(torch.tensor(kernel)[None, None], requires_grad=False)
        plain = PLACEMENTS["plain"]
        steps = [
            SmoothingStep(factor, 1, plain, residual="identity", shared=self.shared or i > 0)
            for i in range(count)
            for factor in factors
        ]
        return Level(operator, steps, final_relu=False)

    def forward(self, b: Tensor, x: Tensor | None = None) -> Tensor:
        """The next iterate from x (None stands for 0), both of shape (..., *grid).

        Where no gradient is asked the matrix-free twin computes it on a GPU, and on a processor
        from 2^17 unknowns on. On a GPU a tensor of the module that is written to by ``.data``, or
        by a kernel of one's own, is not seen to have changed: call `forget_twin` then.
        """
        grid = self._check(b, "b")
        if x is not None:
            self._check(x, "x")
        if (quick := self._quick(b, x)) is not None:
            found: Tensor = quick.iterate(b, x, self.kind)
            return found
        r = b if x is None else b - self._product(x)
        e = self._correct(r.reshape(-1, 1, *grid)).reshape(r.shape)
        return e if x is None else x + e

    def _check(self, v: Tensor, name: str) -> tuple[int, ...]:
        """The shape of the finest grid, which the last axes of v must have; ValueError too for what
        is no tensor of the module's type and device."""
        grid, own = self.shapes[0], self.coarse_inverse
        check_kind(v, Tensor, name, "a tensor (torch.from_numpy(array))")
        if (v.dtype, v.device) != (own.dtype, own.device):
            raise ValueError(
                f"{name} is {v.dtype} on {v.device}, the cycle {own.dtype} on {own.device}: move"
                " one by its .to()"
            )
        if tuple(v.shape[-len(grid) :]) != grid:
            allowed = f"(..., {', '.join(map(str, grid))})"
            raise ValueError(f"{name} has shape {tuple(v.shape)}, must be {allowed}")
        return grid

    def _correct(self, r: Tensor, first: int = 0) -> Tensor:
        """One cycle from level `first` on, for residuals (systems, 1, *grid)."""
        levels = [_Grid(self, i) for i in range(len(self.shapes))]
        e: Tensor = run_cycle(levels, r, self.kind, first=first)
        return e

    def full_multigrid(self, b: Tensor, *, cycles: int = 2, loads: Loads | None = None) -> Tensor:
        """One full multigrid pass: from the second coarsest grid on, the coarse solution
        interpolated (quintic), then `cycles` cycles. Differentiable; b of shape (..., *grid).

        `loads` gives the right-hand side of a coarser shape, restricted ones by default; the values
        are those of `mgtheory.Hierarchy.full_multigrid`.
        """
        grid = self._check(b, "b")
        check_whole(cycles, "cycles", 1)
        sides = [b.reshape(-1, 1, *grid)]
        for i, shape in enumerate(self.shapes[1:]):
            if loads is None:
                sides.append(cast("GridTransfer", self.transfers[i]).restrict(sides[-1]))
            else:
                given = as_tensor(loads(shape), f"loads({shape})").to(b)
                if given.shape not in (shape, (math.prod(shape),)):
                    raise ValueError(
                        f"loads({shape}) has shape {tuple(given.shape)}, must be"
                        f" ({math.prod(shape)},) or {shape}"
                    )
                given = given.reshape(1, 1, *shape)
                sides.append((given / self.scales[i + 1]).expand(len(sides[0]), 1, *shape))
        x = _Grid(self, len(self.shapes) - 1).solve(sides[-1])
        for i in reversed(range(len(self.shapes) - 1)):
            x = self.lifts[i](x)
            for _ in range(cycles):
                if i == 0:
                    x = self(sides[0], x)
                else:
                    x = x + self._correct(sides[i] - self._level(self.down, i).A(x), i)
        return x.reshape(b.shape)

    def _quick(self, b: Tensor, x: Tensor | None) -> DeviceHierarchy | None:
        """The matrix-free twin where it computes the same, see `nets.pde.twin`."""
        twin: Twin = self.__dict__.setdefault("_twin", Twin())
        return twin.of(self, b, x)

    def forget_twin(self) -> None:
        """Let the next call without a gradient make its matrix-free twin anew: after changes that
        torch does not count, such as by ``.data`` on a GPU."""
        self.__dict__.pop("_twin", None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_twin"}

    def residual(self, b: Tensor, x: Tensor) -> Tensor:
        """b - A x on the finest grid."""
        self._check(b, "b")
        self._check(x, "x")
        return b - self._product(x)

    def _product(self, x: Tensor) -> Tensor:
        """A x on the finest grid."""
        product: Tensor = self._level(self.down, 0).A(x.reshape(-1, 1, *self.shapes[0]))
        return product.reshape(x.shape)

    def _level(self, legs: nn.ModuleList, i: int) -> Level:
        return cast("Level", legs[i])

    def polynomial(self, level: int = 0, *, post: bool = False) -> ResidualPolynomial:
        """q of the level's smoothing before (or after) the coarse-grid correction, for that level's
        own A."""
        if self.common is not None:
            factors = [cast("Coefficients", module).factor() for module in self.common]
        else:
            late = self.post > 0 and (post or not self.pre)
            legs, count = (self.up, self.post) if late else (self.down, self.pre)
            steps = self._level(legs, level).smoothing_steps
            factors = [step.factor() for step in steps[: len(steps) // count]]
        return ResidualPolynomial.from_factors(factors).scaled(self.scales[level])

    def set_polynomials(
        self, before: Sequence[ResidualPolynomial], after: Sequence[ResidualPolynomial]
    ) -> None:
        """Smooth with q of one's own on each level but the coarsest, before and after the
        coarse-grid correction, each for that level's own A. A ValueError for a cycle whose
        coefficients are shared."""
        if self.shared:
            raise ValueError(
                "the cycle's coefficients are shared by all levels: build it shared=False"
            )
        for legs, polynomials, count in (
            (self.down, before, self.pre),
            (self.up, after, self.post),
        ):
            for i, q in enumerate(polynomials):
                kernel = self._level(legs, i).A.weight[0, 0].detach().cpu().numpy()
                own = self._coefficients(q.scaled(1.0 / self.scales[i]))
                legs[i] = self._leg(kernel, own, count, self.periodic).to(self.coarse_inverse)

    def hierarchy(self) -> Hierarchy:
        """The scipy.sparse hierarchy with the current polynomials: the same cycle."""
        return Hierarchy.build(
            self.problem,
            smoother=lambda level: self.polynomial(level.index),
            post_smoother=lambda level: self.polynomial(level.index, post=True),
            pre=self.pre,
            post=self.post,
            **self.options,
        )

    @own_defaults()
    def convergence_factor(
        self, *, cycles: int = CYCLES, generator: torch.Generator | None = None
    ) -> float:
        """The measured factor: the error's reduction per cycle, geometric mean of the last third of
        `cycles` from a random error."""
        check_whole(cycles, "cycles", 1)
        check_generator(generator)
        with torch.no_grad():
            # its device and type
            e = torch.randn(self.shapes[0], generator=generator, dtype=torch.float64).to(
                self.coarse_inverse
            )
            return float(reduction(self.reduced, self._proper(e), cycles))

    def reduced(self, e: Tensor) -> Tensor:
        """E e: what one cycle leaves of errors of shape (..., *grid), without their part in the
        nullspace of A, which is no error."""
        self._check(e, "e")
        return self._proper(self(torch.zeros_like(e), e))

    def _proper(self, e: Tensor) -> Tensor:
        if self.problem.nullspace is None:
            return e
        return e - e.mean(dim=tuple(range(-len(self.shapes[0]), 0)), keepdim=True)


def _check_problem(problem: Any) -> None:
    """ValueError for a problem that convolutions on nested grids do not have."""
    check_kind(problem, Problem, "problem", "a Problem, as poisson((63, 63)) makes one")
    if problem.boundary is Boundary.NEUMANN:
        raise ValueError(
            "boundary neumann: its grids are cell-centred; allowed are dirichlet with odd sizes"
            " and periodic with even ones"
        )
    if problem.polynomial is None:
        has = "variable coefficients" if problem.stencil is None else "a stencil that is uneven"
        raise ValueError(
            f"{problem.name} has {has}; allowed are problems with constant ones, as a"
            " convolution has them, even along every axis"
        )


def check_smoothings(pre: int, post: int) -> None:
    """ValueError where a cycle has a negative number of smoothings, or none at all."""
    if check_whole(pre, "pre", 0) + check_whole(post, "post", 0) == 0:
        raise ValueError("pre is 0, post is 0: one must be positive")


def reduction(reduced: Callable[[Tensor], Tensor], e: Tensor, cycles: int) -> NDArray[np.float64]:
    """How far a map e -> E e reduces an error on a grid per application: the geometric mean of the
    last third of so many. Where the map makes several of it, shape (..., *grid), of each."""
    dims, norms = tuple(range(-e.ndim, 0)), []
    for _ in range(cycles):
        e = reduced(e)
        size = torch.linalg.vector_norm(e, dim=dims, keepdim=True)
        norms.append(size.flatten(-len(dims))[..., 0].cpu().numpy())
        e = e / size
    last = np.log(np.maximum(norms[-max(1, cycles // 3) :], 1e-300)).mean(axis=0)
    return np.asarray(np.where(np.isfinite(last), np.exp(last), math.inf))


@dataclass(frozen=True)
class _Grid:
    """One grid of a `MultigridCycle` as `mgtheory.multigrid.cycle` asks for it."""

    cycle: MultigridCycle
    index: int

    @property
    def _transfer(self) -> GridTransfer:
        return cast("GridTransfer", self.cycle.transfers[self.index])

    def down(self, r: Tensor, start: Tensor | None) -> tuple[Any, Tensor]:
        """Smooth A e = r, and restrict the residual."""
        leg = self.cycle._level(self.cycle.down, self.index)
        g = r if start is None else r - leg.A(start)
        e, s = leg(g, None) if self.cycle.pre else (None, g)
        return (g, e, start), self._transfer.restrict(s)

    def up(self, state: Any, coarse: Tensor) -> Tensor:
        """Add the interpolated correction and smooth."""
        g, e, start = state
        step, leg = self._transfer.interpolate(coarse), self.cycle._level(self.cycle.up, self.index)
        e = step if e is None else e + step
        if self.cycle.post:
            e = leg(g - leg.A(e), e)[0]
        return cast("Tensor", e if start is None else start + e)

    def solve(self, r: Tensor) -> Tensor:
        """The solution on the coarsest grid."""
        return (r.reshape(len(r), -1) @ self.cycle.coarse_inverse.T).reshape(r.shape)
