"""Our smoothers in a hierarchy of PyAMG, whose own cycles and accelerations then run with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.multigrid.smoothings import PolynomialSmoothing, Smoothing


@dataclass(frozen=True)
class InPlace:
    """x <- x + c(b - A x), `count` times, as PyAMG calls the smoothers of its levels."""

    smoothing: Smoothing | None
    count: int

    def __call__(self, A: Any, x: NDArray[Any], b: NDArray[Any]) -> None:
        """Change x, shape (n,) or (n, 1)."""
        if self.smoothing is None:
            return
        flat = x.reshape(-1)  # of an array in one piece, a view
        for _ in range(self.count):
            flat += self.smoothing.correct(b.reshape(-1) - self.smoothing.A @ flat)


def change_smoothers(
    ml: Any, smoother: Any = None, post_smoother: Any = None, **options: Any
) -> None:
    """Give a hierarchy of PyAMG our smoothers, as ``pyamg.relaxation.smoothing.change_smoothers``
    gives it those that it knows by name.

    Its ``solve`` and ``aspreconditioner`` then take x <- x + p(BA) B (b - A x) before and after the
    coarse-grid correction, on every level with the polynomial for that level.

    Parameters
    ----------
    ml
        A ``MultilevelSolver``; the smoothers of its levels are changed, nothing else is.
    smoother, post_smoother, **options
        As `mgtheory.Hierarchy.from_pyamg` takes them: degree, pre, post, damped.

    Raises
    ------
    ValueError
        As `mgtheory.Hierarchy.from_pyamg` does.

    Examples
    --------
    >>> import numpy as np, pyamg
    >>> A = pyamg.gallery.poisson((50, 50), format="csr")
    >>> ml = pyamg.smoothed_aggregation_solver(A)
    >>> change_smoothers(ml, "chebyshev4", degree=3)
    >>> x = ml.solve(np.ones(A.shape[0]), tol=1e-8, accel="cg")
    >>> bool(np.linalg.norm(A @ x - 1) < 1e-8 * 50)
    True
    """
    hierarchy = Hierarchy.from_pyamg(ml, smoother, post_smoother, **options)
    for theirs, level in zip(ml.levels[:-1], hierarchy.levels):
        theirs.presmoother = InPlace(level.pre, level.pre_count)
        theirs.postsmoother = InPlace(level.post, level.post_count)
    # PyAMG warns where cg meets a cycle that is not
    ml.symmetric_smoothing = all(
        isinstance(level.pre, PolynomialSmoothing)
        and level.pre is level.post
        and level.pre_count == level.post_count
        for level in hierarchy.levels[:-1]
    )
