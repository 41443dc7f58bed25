"""The set-up of a hierarchy: a coarsening object makes one level of the other, `next(level) ->
Level | None`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory._checks import check_whole
from mgtheory.multigrid import blackbox, transfer
from mgtheory.multigrid.aggregates import Aggregates, aggregates, pseudo_inverse
from mgtheory.multigrid.coarse import DENSE, DirectSolver
from mgtheory.multigrid.doubts import JUMP
from mgtheory.multigrid.ends import inside_of_fixed_lines
from mgtheory.multigrid.finest import finest, make_level
from mgtheory.multigrid.galerkin import galerkin, tidied
from mgtheory.multigrid.given import Given
from mgtheory.multigrid.level import Level
from mgtheory.multigrid.nullspace import coarse_nullspace, singular_below, smoothest
from mgtheory.multigrid.options import BLACKBOX, PYAMG, Options
from mgtheory.multigrid.phases import Phases, nearest_points
from mgtheory.multigrid.scales import unknown_scales
from mgtheory.multigrid.solution import Cycle
from mgtheory.multigrid.solve import in_cycle_type
from mgtheory.multigrid.transfer import TensorOperator
from mgtheory.problems.grids import Shape, choose_axes
from mgtheory.problems.problem import Problem
from mgtheory.spectra.bounds import couplings, entries
from mgtheory.spectra.symmetry import ROUNDED

# unknowns of the coarsest level by default: 8 x 8, of which a solve costs less than the calls of
# another level
COARSEST = 64


@dataclass(frozen=True)
class Coarsening:
    """One level of the other: P and R, and the coarse operator, which is the same scheme on the
    coarser grid or R A P.

    Attributes
    ----------
    given
        The finest level's A and its grid; couplings on any shape are known where its problem's
        stencil is constant.
    options
        Those of the hierarchy. A level of at most `coarsest` unknowns is the coarsest, unless the
        user's own `transfers` have a coarser one.
    known
        The levels of a hierarchy of PyAMG that was built before.
    search
        Whether scales of the unknowns are looked for.
    """

    given: Given
    options: Options
    known: Aggregates | None = None
    search: bool = True

    @classmethod
    def of(cls, given: Given, options: Options, known: Aggregates | None = None) -> Coarsening:
        """With the scales that the unknowns of a bare matrix are found to have."""
        rule = cls(given, options, known)
        scales = rule.finest.scales
        return rule if scales is None else cls(replace(given, scales=scales), options, known)

    def levels(self) -> list[Level]:
        """All levels, the finest first, the coarsest with its solver."""
        levels = coarsened(self.finest, self, self.options.max_levels)
        matrix, own = levels[-1].cycle_matrix, self.options.coarse_solver
        if own is None:
            try:
                levels[-1].solve = DirectSolver(matrix, self._coarse_nullspace(levels))
            except ValueError:
                if matrix.shape[0] > DENSE or not isinstance(self.transfers, Aggregates):
                    raise
                levels[-1].solve = pseudo_inverse(matrix)
        elif callable(solve := own(matrix)):
            levels[-1].solve = solve
        else:
            raise ValueError(
                f"coarse_solver gave {solve!r}, must give a callable of a right-hand side"
            )
        return levels

    def _coarse_nullspace(self, levels: list[Level]) -> Any:
        """Of the coarsest A. Parts of a grid may have unknowns that no coarse one reaches, and then
        are singular no more there: those that are it knows itself."""
        basis, dtype = self.given.nullspace, levels[-1].operator.dtype
        if sp.issparse(basis) and self.transfers is None and len(levels) > 1:
            coarsest = levels[-1]
            below = singular_below(coarsest.A) * levels[0].size ** 0.5  # sums of many products
            basis = smoothest(coarsest.A, coarsest.shape, coarsest.phases, below)
            return None if basis is None else basis.astype(dtype)
        if basis is not None and self.given.scales is not None and self.transfers is None:
            basis = (1.0 / self.given.scales)[:, None] * basis  # R takes the scales out
        return coarse_nullspace(basis, [level.R for level in levels[:-1]], dtype)

    @cached_property
    def finest(self) -> Level:
        """Level 0; a grid's, unless its transfers are the user's own or PyAMG's."""
        graph, own = self.options.coarsening == PYAMG, self.options.transfers is not None
        found = self.search and not own and self.known is None
        return finest(self.given, grid=not (graph or own), search=self._scales if found else None)

    def _scales(
        self, S: sp.csr_array, shape: Shape, fixed: NDArray[np.bool_]
    ) -> NDArray[np.float64] | None:
        """Those of the unknowns of a real matrix, by cycles of the default smoother."""
        graph = self.options.coarsening == PYAMG
        options = Options(coarsening=PYAMG) if graph else Options(axes=self.options.axes)

        def cycle_of(matrix: sp.csr_array) -> Callable[[NDArray[Any]], NDArray[Any]]:
            given = Given(matrix, shape, self.given.boundary, None, matrix.dtype, None)
            levels = Coarsening(given, options, search=False).levels()
            for level in levels[:-1]:
                level.smooth_with(options)
            return in_cycle_type(levels, Cycle.V)

        longest = S.shape[0] ** 0.5 if graph else max(shape)  # a graph as one of a square
        return unknown_scales(S, cycle_of, fixed, longest)

    @cached_property
    def transfers(self) -> Any:
        """The user's own P and R, or PyAMG's, by level; None for those of a grid."""
        if self.options.coarsening != PYAMG:
            return self.options.transfers
        if self.known is not None:
            return self.known
        limits = {"coarsest": self.options.coarsest or COARSEST}
        given, most = self.given, self.options.max_levels
        return aggregates(given.A, max_levels=most, scales=given.scales, **limits)

    @property
    def name(self) -> str:
        """A name of `COARSENINGS`; by default the first where the equation has it so and the
        transfers are ours."""
        problem = self.given.problem
        default = problem is not None and problem.equation.rediscretises
        default = default and self.options.transfers is None
        return self.options.coarsening or ("rediscretise" if default else "galerkin")

    def next(self, level: Level) -> Level | None:
        """The next coarser level; None where this is the coarsest."""
        if level.inside is not None:
            return self._next_inside(level, level.inside)
        again = self.given.problem if self.name == "rediscretise" else None
        constant = again is not None or level.tensor is not None or level.finest.even
        shape = self._transfers(level, constant=constant)
        if shape is None:
            return None
        level.interval = _interval(level)
        tensor = None
        if again is not None:
            tensor = again.equation.form(shape)
        elif level.tensor is not None and not {type(level.P), type(level.R)} - {TensorOperator}:
            tensor = level.tensor.galerkin(level.R.factors, level.P.factors)
        if tensor is not None:
            A = sp.csr_array(tensor.todia(level.A.dtype))
        elif isinstance(self.transfers, Aggregates):
            A = tidied(self.transfers.operator(level.index + 1), level)
        else:
            A = galerkin(level) if again is None else again.equation.operator(shape)
        work = level.operator.dtype
        if not level.own_transfers:  # in the type of the cycle, mostly the real one
            kind = work if level.phases is not None else np.zeros(0, dtype=work).real.dtype
            level.P, level.R = level.P.astype(kind), level.R.astype(kind)
        problem = None if again is None else replace(again, shape=shape)
        coarse = make_level(A, shape, work, tensor, problem, level)
        if level.phases is not None:
            coarse.phases = level.phases.on(nearest_points(level.shape, shape, level.ends), shape)
        return coarse

    def _next_inside(self, level: Level, inside: Level) -> Level | None:
        """The next coarser level of the unknowns inside fixed lines, which themselves have none."""
        coarse = self.next(inside)
        if coarse is not None:
            part = inside_of_fixed_lines(level.balanced, level.shape)
            E = transfer.embedding(level.shape, part)
            level.P, level.R = _product(E, inside.P), _product(E, inside.R.T).T
            level.lift = partial(_lift, E, inside)
            level.axes, level.notes, level.own_transfers = inside.axes, inside.notes, False
            level.even, coarse.reference = inside.even, level
        return coarse

    def _transfers(self, level: Level, *, constant: bool) -> Shape | None:
        """Give the level its axes, P, R and the interpolation of full multigrid; the coarse shape,
        or None where this is the coarsest level.

        Without a name for it, interpolation is linear where the stencil is `constant`, else
        black-box where that is possible.
        """
        coarse = None if self.transfers is None else self._own(level)
        if coarse is None and level.size > (self.options.coarsest or COARSEST):
            coarse = self._default(level, constant)
        return None if coarse == level.shape else coarse

    def _own(self, level: Level) -> Shape | None:
        """The user's P and R; the level's own shape where he ends here, None where he wants the
        default."""
        given = self.transfers(level)
        if given is None:
            return None
        if not isinstance(given, tuple | list) or len(given) != 3:
            raise ValueError(
                f"level {level.index}: transfers gave {given!r}, must be P, R and the coarse shape,"
                " or None"
            )
        P, R, shape = given
        coarse = tuple(
            check_whole(n, f"level {level.index}: a coarse size", 1)
            for n in ([shape] if np.ndim(shape) == 0 else shape)
        )
        if coarse == level.shape:
            return coarse
        n, m = level.size, int(np.prod(coarse))
        shapes = tuple(getattr(P, "shape", ())), tuple(getattr(R, "shape", ()))
        if shapes != ((n, m), (m, n)):
            raise ValueError(
                f"level {level.index}: P and R have shapes {shapes[0]} and {shapes[1]}, must be"
                f" {(n, m)} and {(m, n)}"
            )
        level.P, level.R, level.lift = P, R, P
        level.axes = _changed(level.shape, coarse)
        return coarse

    def _default(self, level: Level, constant: bool) -> Shape:
        """Halve the chosen axes."""
        fine = level.shape
        known = len(level.ends) == len(fine)  # own transfers may have changed the number of axes
        ends = transfer.sides(level.ends if known else level.boundary, len(fine))
        ends = level.ends = tuple(e.paired(n) for e, n in zip(ends, fine, strict=True))
        chosen = choose_axes(self._couplings(level), fine, self.options.axes)
        coarse = tuple(
            transfer.coarse_size(n, ends[j]) if j in chosen else n for j, n in enumerate(fine)
        )
        level.axes = _changed(fine, coarse)
        if coarse == fine:
            return coarse
        by_entries = self._black_box(level, coarse, constant)
        level.lift = partial(transfer.interpolation, fine, coarse, ends, kind="quintic")
        if by_entries is None or self.options.restriction != "full":
            R = transfer.restriction(fine, coarse, ends, kind=self.options.restriction)
        if by_entries is None:
            kind = self.options.interpolation or "linear"
            P = transfer.interpolation(fine, coarse, ends, kind=kind)
        else:
            P, coarse, smooth = by_entries
            if self.options.restriction == "full":
                R = sp.csr_array(P.T) * transfer.weight(fine, coarse, ends)
            if not smooth:
                level.lift = P  # the solution has kinks where the coefficient jumps
        if level.phases is not None:
            at = nearest_points(fine, coarse, ends)
            P, R = level.phases.followed(P, at), level.phases.followed(R.T, at).conj().T
            level.lift = partial(_followed, level.lift, level.phases, at)
        if level.scales is not None:
            w = level.scales
            P, R = _scaled(P, w), _scaled(R.T, w).T
            level.lift = partial(_scaled, level.lift, w)
        if level.tensor is None:
            P, R = _for_rows(level, P, R)
        level.P, level.R, level.own_transfers = P, R, False
        return coarse

    def _black_box(
        self, level: Level, uniform: Shape, constant: bool
    ) -> tuple[sp.csr_array, Shape, bool] | None:
        """P from the entries of A where it is asked for, or nothing is and coefficients vary; its
        coarse shape; and whether the solution is interpolated as on uniform grids: coefficients
        change slowly, and every second point, which are the coarse ones, lies on such a grid.
        """
        asked, fine, ends = self.options.interpolation, level.shape, level.ends
        if asked != BLACKBOX and (asked is not None or constant):
            return None
        coarse = tuple(
            blackbox.coarse_size(n, ends[j]) if j in level.axes else n for j, n in enumerate(fine)
        )
        nested = transfer.nested(fine, coarse, ends)
        try:
            if not nested and self.options.restriction != "full":
                coarse = uniform  # refused: other restrictions need nested grids too
            P = blackbox.blackbox(level.in_phase, fine, coarse, ends)
        except blackbox.NoInterpolation as reason:
            if asked == BLACKBOX:
                raise
            level.notes += (f"{reason}; interpolation is linear",)
            return None
        smooth = not _jumps(level.in_phase, fine)
        if smooth and not (nested or asked) and (why := self._rather_linear(level)):
            level.notes += (f"black-box interpolation {why}; interpolation is linear",)
            return None
        level.aligned = nested
        return P, coarse, nested and smooth

    @staticmethod
    def _rather_linear(level: Level) -> str:
        """What black-box interpolation lacks of slowly changing coefficients where grids do not
        nest; empty where it is the better one."""
        S = level.finest.in_phase
        if np.any(np.real(S.sum(axis=1)) < -ROUNDED * np.abs(S).sum(axis=1)):
            return "has weights above 1 where rows have negative sums"
        whole = len(level.axes) == sum(n > 1 for n in level.shape)
        if level.finest.symmetric and not whole:
            return (
                "takes couplings along an axis that is not coarsened, as of several unknowns of a"
                " node, for a reaction"
            )
        return ""

    def _couplings(self, level: Level) -> tuple[float, ...]:
        """Of the scheme on this shape, where it is known: the entries of a Galerkin product mix the
        axes. That of nodes reaches one point, that of cells two."""
        if self.given.problem is not None and self.given.problem.polynomial is not None:
            return self.given.problem.couplings(level.shape)
        finest = level.finest
        as_given = finest.ends == transfer.sides(finest.boundary, len(finest.shape))
        own = level.rows, level.phases, level.scales
        A = level.exact if all(one is None for one in own) else level.in_phase
        return couplings(A, level.shape, reach=1 if as_given else 2)


def grid_operator(A: Any, options: Options) -> Problem | Level:
    """What a polynomial is derived for that smooths a bare matrix on its grid, as `Hierarchy.build`
    takes both: the problem of its stencil, where that is constant and even along every axis, as
    Fourier analysis takes it; else level 0, with what was found of its spectrum."""
    given = Given.of(A, options)
    rule = Coarsening.of(given, options)
    level = rule.finest
    if level.stencil is None or rule.transfers is not None:
        rule.next(level)
        return level
    name, boundary = f"a matrix of {level.size} rows", str(level.boundary)
    return Problem.from_stencil(level.stencil, given.shape, boundary=boundary, name=name)


def _jumps(A: sp.csr_array, shape: Shape) -> bool:
    """Whether couplings along an axis change by a factor of `JUMP` from one point to the next."""
    for j in range(len(shape)):
        unit = [int(i == j) for i in range(len(shape))]
        couplings = np.moveaxis(np.abs(entries(A, shape, unit)), j, -1)[..., :-1]
        one, next_ = couplings[..., :-1], couplings[..., 1:]
        if np.any(np.maximum(one, next_) > JUMP * np.minimum(one, next_)):
            return True
    return False


def _for_rows(level: Level, P: Any, R: Any) -> tuple[Any, Any]:
    """P and R, and the level's lift, without the unknowns that have a diagonal far larger beside
    their couplings than usual in A, and R for balanced rows.

    Those are fixed values, imposed by a row of the identity or a penalty: relaxation alone solves
    them, and a coarse grid would see the numbers of their rows.
    """
    kept = ~level.fixed
    if kept.all() and level.rows is None:
        return P, R
    weights = kept if level.rows is None else kept / level.rows
    if not kept.all():  # whose residual would be a penalty times what the lift gives them
        level.lift = P = sp.csr_array(kept[:, None] * sp.csr_array(P.tocsr()))
    return P, sp.csr_array(sp.csr_array(R.tocsr()) * weights[None, :])


def _followed(lift: Any, phases: Phases, coarse: Any) -> Any:
    """An interpolation of full multigrid that follows the phases."""
    return phases.followed(lift() if isinstance(lift, partial) else lift, coarse)


def _scaled(T: Any, w: NDArray[np.float64]) -> sp.csr_array:
    """W T of an interpolation, or of what makes one."""
    matrix = T() if isinstance(T, partial) else T
    return sp.csr_array(w[:, None] * sp.csr_array(matrix.tocsr()))


def _product(E: TensorOperator, T: Any) -> Any:
    """E T, where both are so a product along the axes."""
    if isinstance(T, TensorOperator):
        return TensorOperator([one @ two for one, two in zip(E.factors, T.factors, strict=True)])
    return sp.csr_array(E.tocsr() @ T)


def _lift(E: TensorOperator, inside: Level) -> Any:
    """The interpolation of full multigrid inside fixed lines, whose residual would be a penalty
    times what it gave them."""
    return _product(E, inside.interpolation)


def _changed(fine: Shape, coarse: Shape) -> tuple[int, ...]:
    return tuple(j for j, (n, m) in enumerate(zip(fine, coarse, strict=False)) if n != m)


def coarsened(finest: Any, rule: Any, most: int) -> list[Any]:
    """At most `most` levels from the finest on, as long as the rule's ``next(level)`` has
    another."""
    levels = [finest]
    while len(levels) < most and (coarse := rule.next(levels[-1])) is not None:
        levels.append(coarse)
    return levels


def _interval(level: Level) -> tuple[float, float] | None:
    """The high-frequency part of the spectrum of the scheme, or of the tensor form, on the level's
    shape; None where it must be estimated.

    A scheme's upper end is that of all frequencies: where the weaker axis is coarsened, it can lie
    among those that are low there.
    """
    problem = level.problem
    if not level.axes or level.damped:
        return None
    if problem is None:
        return None if level.tensor is None else level.tensor.smoothing_interval(level.axes)
    if problem.stencil is None:
        return None
    of = problem.smoothing_interval
    return of(level.axes, shape=level.shape).a, of(shape=level.shape).b
