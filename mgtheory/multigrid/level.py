"""One level of a hierarchy: its matrix in the storage it is applied in, its couplings, and the
interval a smoother needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.multigrid.applied import smoothing
from mgtheory.multigrid.options import Options
from mgtheory.multigrid.phases import Phases
from mgtheory.multigrid.scales import alike, uncoupled
from mgtheory.multigrid.smoothings import Smoothing
from mgtheory.problems.grids import Boundary, Ends, Shape
from mgtheory.problems.problem import Problem
from mgtheory.problems.record import (
    VARIES,
    choose_scaling,
    constant_diagonal,
    matrix_interval,
)
from mgtheory.problems.stencils import Stencil
from mgtheory.problems.tensorform import TensorForm
from mgtheory.smoothers import GaussSeidel
from mgtheory.spectra.bounds import fixed_values, largest_eigenvalue, quick_ritz
from mgtheory.spectra.record import Form, OperatorRecord, check_positive, stencil_form
from mgtheory.spectra.symmetry import (
    EXACT,
    NEARLY,
    ROUNDED,
    asymmetry,
    is_symmetric,
    real_if_rounded,
    turned,
)

MAX_DIAGONALS = 27  # as of a stencil that reaches one point in 3D
# a matrix is stored by diagonals if that stores at most this many numbers per non-zero: each takes
# 0.6 of the time that it takes in CSR, see `diagonal_storage`
STORED = 1.5
# Lanczos steps on two levels whose largest eigenvalues are compared: `QUICK` ones leave up to 0.03
GROWTH_STEPS = 30
# how the spectrum of a matrix that is no constant stencil is found
ESTIMATED = "Gershgorin's bound, or 10 steps of Lanczos where they give less"


# the start, what the smoothings added to it, and the residual they left
State = tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any]]


@dataclass(eq=False, repr=False)
class Level:
    """One grid: A, the way to the next coarser grid (P, R) and the smoothings.

    Attributes
    ----------
    index
        0 is the finest.
    A
        Sparse CSR array, shape (n, n).
    exact, operator
        The same matrix in the storage in which it is applied fastest: in A's type for residuals,
        and in the type of the cycle.
    P, R
        Interpolation (n, m) from and restriction (m, n) to the next coarser level; None on the
        coarsest.
    lift
        The interpolation of full multigrid, or what makes it, a `functools.partial`.
    shape, axes
        Unknowns per axis, and the axes that are coarsened from here.
    boundary, ends, even
        What ends the axes of the grid, as it is named or else fits A, and where each of them ends;
        of level 0 whether A is one stencil with a real symbol but for its ends: then interpolation
        is linear, as Fourier analysis has it, on Galerkin levels too.
    pre, post, pre_count, post_count
        Smoothings before and after the coarse-grid correction, and how many of each.
    interval
        High-frequency part of the spectrum of A, where the problem gives it exactly; None where it
        is estimated.
    inside
        Of level 0, the level of the unknowns inside lines at the ends of the grid whose rows fix
        their values, as if A had no others: coarse grids are made for those. None without such
        lines.
    damped
        a/b of the interval [a, b] to damp, where no grid says it.
    tensor
        A as a sum of tensor products, where its stencil is constant; else None.
    rows, phases, scales
        The scales s_i of A's rows, shape (n,), where they have their own, the phases of its
        couplings, and w, shape (n,), with which its unknowns are alike; else None.
    solve
        r -> A^-1 r on the coarsest level; None on the others.
    observe
        Called with the level and the residual before and after each smoothing on the way down.
    own_transfers
        P and R are the user's own.
    aligned
        The next coarser unknowns lie on the uniform grid of their number, where a scheme has them.
    notes, doubts
        What was decided on the way and why, and what in a bare matrix speaks against its grid, in
        sentences.
    problem
        What A is the matrix of on this grid, where it is discretised; None for a Galerkin product
        and a bare matrix.
    """

    index: int
    A: sp.csr_array
    shape: Shape
    exact: Any
    operator: Any
    axes: tuple[int, ...] = ()
    interval: tuple[float, float] | None = None
    P: Any = None
    R: Any = None
    lift: Any = None
    pre: Smoothing | None = None
    post: Smoothing | None = None
    pre_count: int = 0
    post_count: int = 0
    boundary: Boundary = Boundary.DIRICHLET
    ends: tuple[Ends, ...] = ()
    even: bool = False
    reference: Level | None = None
    inside: Level | None = None
    damped: float | None = None
    tensor: TensorForm | None = None
    rows: NDArray[np.float64] | None = None
    phases: Phases | None = None
    scales: NDArray[np.float64] | None = None
    problem: Problem | None = None
    solve: Callable[[NDArray[Any]], NDArray[Any]] | None = None
    observe: Callable[[Any, NDArray[Any], NDArray[Any]], None] | None = None
    own_transfers: bool = True
    aligned: bool = True
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def smoothing(self) -> str:
        """How often before + after the correction, and by what, in words."""
        labels = dict.fromkeys(s.label for s in (self.pre, self.post) if s is not None)
        return f"{self.pre_count} + {self.post_count} {' / '.join(labels)}"

    @property
    def products(self) -> float:
        """Products with A of the smoothings of a visit."""
        both = (self.pre, self.pre_count), (self.post, self.post_count)
        return sum(s.products * n for s, n in both if s is not None)

    @property
    def weight(self) -> int:
        """What a product with A costs, its non-zeros."""
        return int(self.A.nnz)

    def smooth_with(self, options: Options) -> None:
        """Set up what smooths before and after the coarse-grid correction; once where it is the
        same."""
        self.pre_count, self.post_count = options.counts(self.index)
        self.pre = smoothing(options.before, self) if self.pre_count else None
        self.post = None
        if self.post_count:
            same = options.after is options.before and self.pre is not None
            self.post = self.pre if same else smoothing(options.after, self)

    def down(self, r: NDArray[Any], start: NDArray[Any] | None) -> tuple[State, NDArray[Any]]:
        """Smooth A e = r from `start`: a state for `up`, and the residual it leaves restricted.

        Every smoothing hands on the residual that it leaves, so smoothings of degree k cost k
        products here and k on the way up.
        """
        e: NDArray[Any] | None = None
        s = r if start is None else r - self.operator @ start
        if self.pre is not None:
            for _ in range(self.pre_count):
                before = s
                c, s = self.pre.correct_with_residual(s)
                if self.observe is not None:
                    self.observe(self, before, s)
                e = c if e is None else np.add(e, c, out=e)
        return (start, e, s), self.R @ s

    def up(self, state: State, coarse: NDArray[Any]) -> NDArray[Any]:
        """Add the interpolated correction and smooth."""
        start, e, s = state
        step = self.P @ coarse
        e = step if e is None else np.add(e, step, out=e)
        if self.post is not None and self.post_count:
            s = s - self.operator @ step
            for _ in range(self.post_count - 1):
                c, s = self.post.correct_with_residual(s)
                e += c
            e += self.post.correct(s)
        return e if start is None else start + e

    @cached_property
    def interpolation(self) -> Any:
        """Interpolation of the solution in full multigrid, (n, m); made when it is first used."""
        return self.lift() if isinstance(self.lift, partial) else self.lift

    @property
    def finest(self) -> Level:
        """Level 0."""
        return self if self.reference is None else self.reference

    @property
    def size(self) -> int:
        """Unknowns."""
        return int(self.A.shape[0])

    @property
    def counts(self) -> tuple[int, int]:
        """Smoothings before and after the coarse-grid correction."""
        return self.pre_count, self.post_count

    @property
    def cycle_matrix(self) -> sp.csr_array:
        """A as a CSR array in the type of the cycle."""
        return self.A if self.A.dtype == self.operator.dtype else self.A.astype(self.operator.dtype)

    @cached_property
    def stencil(self) -> Stencil | None:
        """The stencil of A inside the grid; None where there is no constant one, and of a matrix
        where it is not even along every axis, as with a wind."""
        if self.problem is not None:
            return self.problem.stencil
        array = None if self.tensor is None else self.tensor.stencil()
        return None if array is None else Stencil.from_array(array, channels=False)

    @property
    def symmetric(self) -> bool:
        """Whether A is Hermitian but for scales of its rows, and for rounding of its entries: a
        matrix may come from a file with few digits, the entries of a problem are exact. What the
        finest grid's entries were rounded by grows from grid to grid, as R A P cancels and what
        rounding leaves does not."""
        most = ROUNDED if self.finest.problem is None else EXACT
        if self.index and self.finest.symmetric and self.finest.asymmetry > EXACT:
            most = NEARLY
        return self.asymmetry <= most or (
            self.rows is not None and self._balanced_asymmetry <= most
        )

    @cached_property
    def self_adjoint(self) -> bool:
        """Whether A is symmetric but for couplings to rows that fix values: A has the eigenvalues
        that it has without them."""
        one_way = self._one_way and is_symmetric(uncoupled(self.balanced, self.fixed))
        return self.symmetric or one_way

    @cached_property
    def _one_way(self) -> bool:
        """Whether rows of a bare A that fix values may be such that others still couple to."""
        bare = self.index == 0 and self.problem is None
        return bare and not self.symmetric and bool(self.fixed.any())

    @cached_property
    def asymmetry(self) -> float:
        """Of A itself; 0 where it surely is: constant stencils with a tensor form are even."""
        exact = self.exact
        known = self.tensor is not None or (
            isinstance(exact, sp.dia_array)
            and all(
                np.array_equal(exact.diagonal(k), exact.diagonal(-k).conj())
                for k in set(np.abs(exact.offsets))
            )
        )
        return 0.0 if known else asymmetry(self.A)

    @cached_property
    def _balanced_asymmetry(self) -> float:
        """Of A without the scales of its rows."""
        return asymmetry(self.balanced)

    @cached_property
    def balanced(self) -> sp.csr_array:
        """A without the scales of its rows."""
        return self.A if self.rows is None else sp.csr_array((1.0 / self.rows)[:, None] * self.A)

    @cached_property
    def in_phase(self) -> sp.csr_array:
        """A without the scales of its rows and of its unknowns and the phases of its couplings,
        times the number with which its diagonal is positive (`turned`), of real type where it is
        real: what a coarse grid is made for."""
        S = turned(self.balanced)
        S = real_if_rounded(S) if self.phases is None else self.phases.without(S)
        return S if self.scales is None else alike(S, self.scales)

    @cached_property
    def fixed(self) -> NDArray[np.bool_]:
        """Where a row of A fixes a value, shape (n,); below level 0, which keeps penalties to
        itself, that of an unknown without neighbours."""
        if self.index:
            return np.diff(self.A.indptr) == 1
        return fixed_values(self.A if self.scales is None else self.in_phase)

    @property
    def form_rows(self) -> NDArray[np.float64] | None:
        """D where A = D S with a symmetric S; None where A is so itself, or no scales make it."""
        return self.rows if self.symmetric else None

    @property
    def form(self) -> Form | None:
        """What A is up to a positive factor, see `mgtheory.spectra.record`."""
        if self.stencil is not None:
            return stencil_form(self.stencil.offsets, self.stencil.values)
        return None if self.problem is None else self.problem.form

    @property
    def nullspace(self) -> NDArray[np.float64] | None:
        """The problem's, where this is its grid."""
        return None if self.problem is None else self.problem.nullspace

    def inverse_diagonal(self, scaling: str) -> NDArray[Any] | None:
        """B: None for the identity, or 1/diag(A), shape (n,); "auto" as `choose_scaling` says, and
        the diagonal where the unknowns have scales: it may be 1, those of coarse grids vary.

        Raises
        ------
        ValueError
            If the diagonal is wanted and has a zero.
        """
        constant = self.stencil is not None
        asked = "diagonal" if scaling == "auto" and self.scales is not None else scaling
        if choose_scaling(asked, constant, self.operator.diagonal) == "identity":
            return None
        diagonal = self.operator.diagonal()
        if not np.all(diagonal):  # an empty row, as of a node without edges, takes any number
            diagonal = np.where(np.diff(self.A.indptr) == 0, np.abs(diagonal).max(), diagonal)
        if not np.all(diagonal):
            raise ValueError(
                f"level {self.index}: the diagonal of A has {np.sum(diagonal == 0)} zeros, this"
                " smoother divides by it"
            )
        return 1.0 / diagonal

    @property
    def centres(self) -> Any:
        """D^-1 as Jacobi takes it, shape (n,): `inverse_diagonal`, where a point is one unknown."""
        return self.inverse_diagonal("diagonal")

    def sweep(self, description: GaussSeidel) -> sp.csr_array | None:
        """D/omega + L of a lexicographic sweep; None where it is the triangle of A."""
        return None

    def smoothing_interval(self, B: NDArray[Any] | None = None) -> tuple[float, float]:
        """[a, b] for smoothing BA: exact where the problem gives it, else b bounds the spectrum and
        a = b min_j s_j/(2 sum_j s_j).

        The s_j are the couplings along the axes, the minimum is over the coarsened ones; equal
        couplings give a = b/(2d).
        """
        if self.interval is None or (B is not None and np.ptp(B) > VARIES * np.max(np.abs(B))):
            S, scaled_B = self.balanced, B
            if self.rows is not None:
                scaled_B = self.rows * (1.0 if B is None else B)
            if self.scales is not None:  # B A has the eigenvalues of B W^-2 W A W
                S, size = self.in_phase, 1.0 if scaled_B is None else np.abs(scaled_B)
                scaled_B = size / self.scales**2
            if self._one_way:
                S = uncoupled(S, self.fixed)
            a, b = matrix_interval(S, self.shape, self.axes, scaled_B)
            a = a if self.damped is None else self.damped * b
            if B is None and self.A.diagonal().real.max() < 0.0:  # b bounds the size alone
                a, b = -b, -a
            return a, b
        a, b = self.interval if B is None else float(B[0]) * np.array(self.interval)
        # a multiple of the identity has one eigenvalue, which is no interval
        return float(a if a < b else b / 2.0), float(b)

    def record(self, B: NDArray[Any] | None = None, *, signed: bool = False) -> OperatorRecord:
        """The record of this level's BA; B is None for the identity, else the inverse diagonal.

        Raises
        ------
        ValueError
            If the spectrum to damp is not positive, unless it may be `signed`.
        """
        a, b = self.smoothing_interval(B)
        positive = 0.0 <= a <= b > 0.0
        if not positive:
            if not signed:
                check_positive(a, b, f"level {self.index}", self.index)
            a, b = 0.0, max(abs(a), abs(b))
        what = "" if self.finest.problem is None else f" of {self.finest.problem.name}"
        return OperatorRecord(
            "problem",
            f"level {self.index}{what}, {' x '.join(map(str, self.shape))}",
            b,
            a,
            scaling="identity" if B is None else "diagonal",
            axes=self.axes or None,
            grid=self.shape,
            padding=None if self.problem is None else str(self.problem.boundary),
            found=ESTIMATED if self.interval is None else "the symbol, exact",
            form=self.form,
            positive=positive,
            diagonal=constant_diagonal(self.A) if B is None else None,
            source=self,
        )

    def operator_record(self, scaling: str = "auto") -> OperatorRecord:
        """The record for `derive`, which takes a level too, by default with the B that a smoother
        takes: gamma and its bound belong to a symmetric A."""
        found = self.record(self.inverse_diagonal(scaling))
        return replace(found, positive=found.positive and self.self_adjoint)

    def growth(self, scaling: str) -> float:
        """The largest eigenvalue of BA here over that on the finest level, by estimates of one
        kind: a bound over an estimate would be off by what lies between them."""
        levels = self, self.finest
        B, D = (level.inverse_diagonal(scaling) for level in levels)
        if None not in (self.interval, self.finest.interval) and B is None and D is None:
            one, other = (max(map(abs, level.smoothing_interval())) for level in levels)
            return one / other
        here, fine = quick_ritz(self.A, B, GROWTH_STEPS), quick_ritz(self.finest.A, D, GROWTH_STEPS)
        if here is not None and fine is not None:
            return here.radius / fine.radius
        one, other = (
            largest_eigenvalue(level.A, d, compact=True) for level, d in zip(levels, (B, D))
        )
        return one / other

    def reached(self, B: NDArray[Any] | None = None) -> float | None:
        """A value up to which the spectrum of BA surely reaches: the exact end, or a Ritz value;
        None where BA is not Hermitian."""
        if B is None and self.interval is not None:
            return self.interval[1]
        found = quick_ritz(self.A, B)
        return None if found is None else found.largest


def diagonal_storage(A: sp.csr_array) -> Any:
    """A as the faster of SciPy's storages for products: by diagonals where it has few of them and
    they are full, else A itself.

    On 5 diagonals and a million unknowns a product by diagonals takes 0.6 of the time of a CSR one,
    in float32 0.3.
    """
    n = A.shape[0]
    rows = np.unique(np.linspace(0, n - 1, 9).astype(int))
    offsets = sorted(
        {int(c) - int(i) for i in rows for c in A.indices[A.indptr[i] : A.indptr[i + 1]]}
    )
    if 0 < len(offsets) <= MAX_DIAGONALS and len(offsets) * n <= STORED * A.nnz + 64:
        data = np.zeros((len(offsets), n), dtype=A.dtype)
        for row, k in zip(data, offsets, strict=True):
            row[max(k, 0) : n + min(k, 0)] = A.diagonal(k)
        if np.count_nonzero(data) == np.count_nonzero(A.data):
            return sp.dia_array((data, offsets), shape=A.shape)
    return A
