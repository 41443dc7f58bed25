"""What `solve` solves: a model problem, or a matrix of the user's own with its right-hand side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymgnet import backends, options
from polymgnet.matrices import of_command, read_vector


@dataclass(frozen=True)
class System:
    """What is solved.

    Attributes
    ----------
    name
        Of the problem, or the file of the matrix.
    of
        The model problem, or the matrix.
    b
        The right-hand side, or None for the problem's own.
    exact, reference
        The solution where it is known, and what it is, in words.
    shape
        The grid's, as the result names it.
    grid
        A hierarchy's options for the grid of a matrix.
    """

    name: str
    of: Any
    b: Any
    exact: Any
    reference: str
    shape: tuple[int, ...]
    grid: dict[str, Any]

    def boundary(self, hierarchy: Any) -> str | None:
        """What ends the grid: of a matrix as it is named or as A has it; None where coarse levels
        have no grid."""
        if not self.grid:
            return str(self.of.boundary)
        return None if hierarchy.coarsening == "pyamg" else str(hierarchy.levels[0].boundary)

    def error(self, x: Any, hierarchy: Any) -> float | None:
        """||x - u|| / ||u||; None without a u, or where a matrix leaves its mean open."""
        if self.exact is None or (self.b is not None and hierarchy.nullspace is not None):
            return None
        import numpy as np

        return float(np.linalg.norm(x - self.exact) / np.linalg.norm(self.exact))


def chosen(
    *,
    problem: str | None,
    n: int | None,
    boundary: str | None,
    matrix: Path | None,
    shape: str | None,
    rhs: Path | None,
    needs_shape: bool,
    backend: str,
) -> System:
    """What the options of these names describe; ValueError for those that do not fit, or more than
    this machine can hold."""
    beside = {"--problem": problem, "--n": n}
    given: dict[str, Any] = {"instead": beside, "belonging": {"--rhs": rhs}}
    otherwise = "--coarsening pyamg"
    A, sizes = of_command(matrix, shape, **given, needs_shape=needs_shape, otherwise=otherwise)
    if matrix is None:
        return _of_model(problem or options.MODEL, n, boundary or options.SIDES, backend)
    backends.check_takes_matrix(backend)
    return _of_matrix(str(matrix), A, sizes, boundary, rhs)


def _of_model(name: str, n: int | None, boundary: str, backend: str) -> System:
    """A model problem, whose exact solution is that of the differential equation."""
    model = options.model_problem(name, n, dict.fromkeys((1, 2, 3), 255), boundary)
    backends.check_size(model, backend)
    reference = "the exact solution of the differential equation"
    return System(name, model, None, model.exact, reference, model.shape, {})


def _of_matrix(
    name: str, A: Any, sizes: tuple[int, ...] | None, boundary: str | None, rhs: Path | None
) -> System:
    """A matrix with the right-hand side of a file, or that of a random solution."""
    import numpy as np

    exact = np.random.default_rng(0).standard_normal(A.shape[0]) if rhs is None else None
    b = A @ exact if rhs is None else read_vector(rhs, A.shape[0], A.dtype)
    grid = {"shape": sizes, "boundary": boundary}
    return System(name, A, b, exact, "the exact solution", sizes or A.shape[:1], grid)
