"""Direct solvers for the coarsest level: dense or sparse factors, the pseudo-inverse where A is
singular. They pickle."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from numpy.typing import NDArray

# unknowns up to which the inverse is formed: a product with it is then the fastest solve
DENSE = 400


class DirectSolver:
    """e = A^+ r: the inverse (up to 400 unknowns) or sparse LU factors; with a nullspace the
    solution orthogonal to it.

    The pseudo-inverse comes from the bordered matrix [[A, N], [N^*, 0]], N an orthonormal basis of
    the nullspace, which is regular.

    Raises
    ------
    ValueError
        If A is singular beyond the given nullspace.
    """

    def __init__(self, A: Any, nullspace: Any = None) -> None:
        self.A = sp.csc_array(A)
        n = self.A.shape[0]
        if self.A.shape != (n, n):
            raise ValueError(f"A has shape {self.A.shape}, must be square")
        basis = np.asarray(nullspace) if isinstance(nullspace, list | tuple) else nullspace
        if basis is not None and (basis.ndim > 2 or basis.shape[:1] != (n,)):
            raise ValueError(f"nullspace has shape {basis.shape}, must be ({n}, m)")
        self.nullspace = basis[:, None] if basis is not None and basis.ndim == 1 else basis
        self.dtype = self.A.dtype
        self._inverse: NDArray[Any] | None = None
        self._prepare()

    def _prepare(self) -> None:
        n = self.A.shape[0]
        N = self.nullspace
        double = np.complex128 if np.iscomplexobj(self.A.data) else np.float64
        scale = float(np.max(np.abs(self.A.data), initial=0.0)) or 1.0
        whole, self._rows = self.A.astype(double), np.ones(n)
        if N is None:  # rows of one size: singular is what remains so
            largest = abs(whole).max(axis=1).toarray().reshape(-1)
            self._rows, scale = np.where(largest > 0.0, largest, 1.0), 1.0
            whole = sp.csc_array(whole / self._rows[:, None])
        else:
            whole = sp.csc_array(
                sp.block_array(
                    [[whole, scale * sp.csc_array(N)], [scale * sp.csc_array(N.conj().T), None]]
                )
            )
        if n <= DENSE:
            try:
                inverse = np.linalg.inv(whole.toarray())
            except np.linalg.LinAlgError:
                inverse = np.full((1, 1), np.nan)
            if not _is_regular(inverse, scale):
                raise ValueError("the coarsest A is singular; give its nullspace, or fewer levels")
            self._inverse = np.ascontiguousarray((inverse[:n, :n] / self._rows).astype(self.dtype))
            return
        signs = np.random.default_rng(0).choice([-1.0, 1.0], whole.shape[0]).astype(double)
        try:
            self._factors = sla.splu(whole)
            image = self._factors.solve(signs)
        except RuntimeError:  # a pivot is exactly 0
            image = np.full(1, np.nan)
        if not _is_regular(image, scale):
            raise ValueError("the coarsest A is singular; give its nullspace, or more levels")

    def __call__(self, r: NDArray[Any]) -> NDArray[Any]:
        """A^+ r, shape (n,)."""
        if np.shape(r) != self.A.shape[:1]:
            raise ValueError(f"r has shape {np.shape(r)}, must be {self.A.shape[:1]}")
        if self._inverse is not None:
            return self._inverse @ r
        extra = 0 if self.nullspace is None else self.nullspace.shape[1]
        right = np.concatenate([r / self._rows, np.zeros(extra)])
        solution = self._factors.solve(right.astype(np.result_type(self.dtype, np.float64)))
        return solution[: r.size].astype(self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        # a SuperLU object does not pickle
        return {key: value for key, value in self.__dict__.items() if key != "_factors"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._inverse is None:
            self._prepare()


def _is_regular(image: NDArray[Any], scale: float) -> bool:
    """Whether what the inverse of a matrix of size `scale` makes of numbers about 1 is no division
    by rounding."""
    return bool(np.isfinite(image).all() and np.abs(image).max() * scale < 1e14)
