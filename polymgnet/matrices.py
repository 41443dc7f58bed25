"""A matrix, a right-hand side and points of the user's own, from files: Matrix Market (.mtx), .npz
and .npy of scipy and numpy, of which nothing is unpickled, and text."""

import cmath
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from polymgnet.backends import memory
from polymgnet.errors import one_line
from polymgnet.options import one_of


def of_command(
    matrix: Path | None,
    shape: str | None,
    *,
    instead: Mapping[str, Any],
    belonging: Mapping[str, Any] | None = None,
    needs_shape: bool = True,
    otherwise: str = "",
) -> tuple[Any, tuple[int, ...] | None]:
    """A of --matrix and the sizes of --shape; both None without --matrix.

    Parameters
    ----------
    instead, belonging
        Options that exclude --matrix, and those that mean nothing without it, beside --shape.
    needs_shape
        Whether there is nothing to do for a matrix without its grid.
    otherwise
        The option for a matrix that has no grid.

    Raises
    ------
    ValueError
        For options that do not fit, or a file that holds no matrix of an operator.
    """
    if matrix is None:
        for name, value in {"--shape": shape, **(belonging or {})}.items():
            if value is not None:
                raise ValueError(f"{name} is given without --matrix, to which it belongs")
        return None, None
    for name, value in instead.items():
        one_of({"--matrix": matrix, name: value})
    if shape is None and needs_shape:
        raise ValueError(
            "--matrix needs --shape, the unknowns per axis in the order of its rows, the last axis"
            f" fastest: --shape 63x63{otherwise and f', or, without a grid, {otherwise}'}"
        )
    sizes = None if shape is None else _sizes(shape)
    return read_matrix(matrix), sizes


def _sizes(text: str) -> tuple[int, ...]:
    """The numbers in 63x63 or 63,63."""
    words = text.lower().replace(",", "x").split("x")
    if not all(word.strip().isdecimal() and len(word) < 19 and int(word) for word in words):
        raise ValueError(f"--shape is {text!r}, allowed are sizes from 1 on such as 63x63, or 3969")
    if len(words) > 3:
        raise ValueError(f"--shape is {text!r}, allowed are 1 to 3 sizes, one for each axis")
    return tuple(map(int, words))


def read_matrix(path: Path) -> Any:
    """A square sparse array with finite entries, CSR; else a ValueError in one line."""
    import scipy.sparse as sp

    from mgtheory.multigrid.given import check_matrix

    A = _read(path, "matrix", {".mtx": _market, ".npz": _archive})
    try:
        return check_matrix(sp.csr_array(A))  # a file may have all entries
    except ValueError as error:
        raise ValueError(f"matrix file {path}: {error}") from error


def read_vector(path: Path, n: int, dtype: Any) -> Any:
    """A right-hand side of shape (n,), of numbers that go with the type of A."""
    import numpy as np

    from mgtheory._checks import check_vector

    def array(path: Path) -> Any:
        return np.load(path, allow_pickle=False)

    def market(path: Path) -> Any:
        found = _market(path, n)
        return found.toarray() if hasattr(found, "toarray") else found

    return check_vector(
        _read(path, "right-hand side", {".mtx": market, ".npy": array}), n, dtype, f"b of {path}"
    )


def read_points(path: Path) -> Any:
    """Complex sample points: a .npy array of one axis, or a text file, a line a point, its real
    part and, optionally, imaginary part, or a number such as 1-2j; # begins a comment."""
    import numpy as np

    from mgtheory._files import check_is_file

    rule = "a line is a real part and, optionally, an imaginary part, or a number such as 1-2j"
    check_is_file(path, "points")
    if path.suffix == ".npy":
        return _array_of_points(path)
    points = []
    for number, line in enumerate(
        path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1
    ):
        words = line.partition("#")[0].replace(",", " ").split()
        try:
            point = _point(words)
        except ValueError:
            raise ValueError(
                f"points file {path}, line {number} is {line[:60]!r}; {rule}"
            ) from None
        if not cmath.isfinite(point):
            raise ValueError(
                f"points file {path}, line {number} is {line[:60]!r}; numbers must be finite"
            )
        if words:
            points.append(point)
    if not points:
        raise ValueError(f"points file {path} is empty; {rule}")
    return np.array(points)


def _point(words: Sequence[str]) -> complex:
    """The point of a line's words, 0 of none; ValueError for words that are none."""
    if len(words) == 1 and words[0].strip("()").endswith("j"):  # as numpy.savetxt writes it
        return complex(words[0].strip("()"))
    if len(words) > 2:
        raise ValueError
    return complex(*(float(word) for word in words))


def _array_of_points(path: Path) -> Any:
    import numpy as np

    found = _read(path, "points", {".npy": partial(np.load, allow_pickle=False)})
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iufc":
        raise ValueError(
            f"points file {path} has an array of shape {found.shape} and type {found.dtype}; it"
            " must be of numbers, with one axis"
        )
    if not np.isfinite(found).all():
        raise ValueError(f"points file {path} has numbers that are not finite")
    return found.astype(complex)


def _read(path: Path, what: str, readers: Mapping[str, Callable[[Path], Any]]) -> Any:
    """What the reader of the file's suffix makes of it."""
    if path.suffix not in readers:
        raise ValueError(f"{what} file {path}: a name ends in {' or '.join(readers)}")
    if not path.is_file():
        raise FileNotFoundError(f"{what}: there is no file {path}")
    try:
        return readers[path.suffix](path)
    except Exception as error:  # whatever a parser trips over is wrong with the file
        raise ValueError(f"{what} file {path} cannot be read: {one_line(error)[:200]}") from error


def _market(path: Path, n: int | None = None) -> Any:
    """An array, or a sparse one, of a vector of n numbers if that is wanted; what a header promises
    is held against the size of the file before any memory is taken."""
    from scipy.io import mminfo, mmread

    rows, columns, entries, form, field, _ = mminfo(path)
    sparse = form == "coordinate"
    least = 4 * entries if sparse else rows * columns  # "1 1" and a line's end; half of "0" each
    if least > path.stat().st_size:
        raise ValueError(f"its header promises {entries:,} entries, more than the file can hold")
    if field == "pattern":
        raise ValueError("it says where entries are, and not what they are")
    if sparse and n is None:
        _check_rows(rows, columns, entries)
    elif sparse and (rows, columns) != (n, 1):
        raise ValueError(f"it is {rows} x {columns}, must be {n} x 1")
    return mmread(path)


def _archive(path: Path) -> Any:
    """The matrix that scipy.sparse.save_npz has written, its indices checked."""
    import scipy.sparse as sp

    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > memory() / 4:
        raise ValueError(f"it expands to {size / 2**30:,.0f} GiB, more than this machine holds")
    A = sp.load_npz(path)
    if A.format in ("csr", "csc", "bsr"):
        A.check_format(full_check=True)  # a column beyond the last would be read from anywhere
    rows, columns = A.shape
    _check_rows(rows, columns, A.nnz)
    return A


def _check_rows(rows: int, columns: int, entries: int) -> None:
    """Refuse sizes that take memory of their own: a symmetric file holds half of the entries."""
    if max(rows, columns) > 2 * entries:
        raise ValueError(f"{entries:,} entries in {rows:,} rows: some rows of A are empty")
