"""Symbols of stencils: what a constant-coefficient operator does to the Fourier mode exp(i
theta.x), also where it is singular.

    Ahat(theta) = sum_k a_k exp(i k.theta),      theta in (-pi, pi]^d.

Multigrid couples modes that a coarser grid cannot tell apart, the harmonics theta + 2 pi alpha / n.
Near theta = 0 the symbol of a Laplacian, and the transfers at the harmonics, vanish like theta^2.
They are therefore summed as

    sum_k a_k w^(k.alpha) + sum_k a_k w^(k.alpha) (exp(i k.theta) - 1),      w = exp(2 pi i / n),

where the second sum has no cancellation and a first sum below rounding (`ROW_SUM` times sum |a_k|)
is taken as the exact zero it stands for. For second-order operators, quotients such as Ahat(theta)
/ Ahat_coarse(2 theta) are then accurate for all theta; for operators of order 4 they keep a
relative error of about 1e-16 / |theta|^2.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mgtheory._checks import check_array, check_shape
from mgtheory.problems.stencils import Stencil

Complex = npt.NDArray[np.complex128]
Float = npt.NDArray[np.float64]

# 64 units in the last place: what sums and Galerkin products of rounded taps leave of an exact zero
ROW_SUM = 2.0**-46
# frequencies per axis by dimension; the minimum on so many points is that of the region to 1 %
COMPLEX_SAMPLES = {1: 128, 2: 32, 3: 12}


def the_stencil(operator: Any) -> Stencil:
    """A `Stencil` itself, that of anything with a `.stencil`, or of a centred odd array."""
    found = operator if isinstance(operator, Stencil) else getattr(operator, "stencil", operator)
    if isinstance(found, Stencil):
        return found
    if isinstance(found, np.ndarray):
        return Stencil.from_array(found)
    what = getattr(operator, "name", type(operator).__name__)
    if sp.issparse(operator):
        what += (
            "; of a matrix take Problem.from_stencil(Hierarchy.build(A, shape=n).levels[0].stencil,"
            " n, boundary=...) with coarsening='galerkin', or compare_smoothers(A, shape=n)"
        )
    elif operator is None or getattr(operator, "problem", operator) is None:
        what += ": of a matrix, a level has a stencil where it is one, and even along every axis"
    raise ValueError(
        f"Fourier analysis needs a Stencil or a problem with constant coefficients, got {what}"
    )


def of_level(operator: Any) -> Any:
    """Of a level of a hierarchy its problem, whose boundary, transfers and coarse operators a bare
    stencil does not have; all else as it is.

    A ValueError for a level without one, R A P or a matrix, whose coarse operator it does not know.
    """
    if not (hasattr(operator, "stencil") and hasattr(operator, "problem")):
        return operator
    the_stencil(operator)  # refuses a level without a stencil
    if operator.problem is None:
        raise ValueError(
            f"level {operator.index} has a stencil but no problem: it is R A P, or a matrix; take"
            " Problem.from_stencil(level.stencil, level.shape, boundary=...) with"
            " coarsening='galerkin'"
        )
    return operator.problem


def grid_frequencies(shape: int | Sequence[int]) -> Float:
    """theta_j = 2 pi m / n_j in (-pi, pi], ascending: the modes of a periodic grid, shape (*shape,
    d).

    >>> grid_frequencies(4)[:, 0] / np.pi
    array([-0.5,  0. ,  0.5,  1. ])
    """
    size = check_shape(shape, "shape")
    axes = [2 * np.pi * (np.arange(n) - (n - 1) // 2) / n for n in size]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def mirrored(shape: Sequence[int], axes: Sequence[int] | None = None) -> npt.NDArray[np.int64]:
    """For each point of `grid_frequencies(shape)`, flattened, the place of -theta modulo 2 pi; of
    theta with the signs of some axes changed, if `axes` are given.

    >>> mirrored((4,)).tolist()  # of -pi/2, 0, pi/2, pi
    [2, 1, 0, 3]
    """
    index = np.arange(int(np.prod(shape))).reshape(shape)
    places = [
        (2 * ((n - 1) // 2) - np.arange(n)) % n if axes is None or j in axes else np.arange(n)
        for j, n in enumerate(shape)
    ]
    return index[np.ix_(*places)].ravel()


def high_frequencies(theta: Float, axes: Sequence[int] | None = None) -> npt.NDArray[np.bool_]:
    """Whether some |theta_j| >= pi/2 on a coarsened axis (all of them by default), to rounding, for
    theta in (-pi, pi], shape (..., d): shape (...).

    Sample counts that are multiples of 4 contain the ends pi/2 and pi exactly.
    """
    chosen = theta if axes is None else theta[..., list(axes)]
    return np.asarray((np.abs(chosen) >= np.pi / 2 - 1e-12).any(axis=-1))


def symbol(operator: Any, theta: npt.ArrayLike) -> Complex:
    """Ahat(theta) = sum_k a_k exp(i k.theta), shape (*theta.shape[:-1],) or (..., c, c) for c
    coupled channels.

    Parameters
    ----------
    operator
        What `the_stencil` takes.
    theta
        Frequencies, last axis of length d; in one dimension also a number or a list of them.
    """
    stencil = the_stencil(operator)
    points = check_array(theta, "theta", real=True)
    if stencil.dim == 1 and (points.ndim == 0 or points.shape[-1] != 1):
        points = points[..., None]
    if points.shape[-1:] != (stencil.dim,):
        raise ValueError(
            f"theta must have a last axis of length {stencil.dim}, got shape {points.shape}"
        )
    values = harmonic_symbols(stencil, points.reshape(-1, stencil.dim))[:, 0].astype(complex)
    return values.reshape(points.shape[:-1] + stencil.values.shape[1:])


def complex_symbols(operator: Any, axes: Sequence[int] | None = None) -> Complex | None:
    """Samples of Ahat at the frequencies that are high on the given axes, shape (m,), as of an
    operator with a wind; None where Ahat is real, or a matrix.

    The eigenvalues of the periodic matrix are values of Ahat. Those of the Dirichlet matrix need
    not be, and say little where it is far from normal; but its field of values lies in the convex
    hull of Ahat.
    """
    stencil = the_stencil(operator)
    theta = grid_frequencies((COMPLEX_SAMPLES[stencil.dim],) * stencil.dim)
    theta = theta.reshape(-1, stencil.dim)
    values = harmonic_symbols(stencil, theta[high_frequencies(theta, axes)])
    if stencil.channels > 1 or not np.iscomplexobj(values):
        return None
    return np.asarray(values[:, 0, 0, 0])


def harmonic_symbols(
    stencil: Stencil, theta: Float, turns: npt.NDArray[np.int64] | None = None, order: int = 2
) -> Complex:
    """Ahat(theta + 2 pi alpha / order), shape (F, m, c, c), for each base frequency theta, shape
    (F, d), and each integer vector alpha in `turns`, shape (m, d), None for the single alpha = 0;
    real numbers where the stencil is real and a_-k = a_k."""
    alpha = np.zeros((1, stencil.dim), np.int64) if turns is None else turns
    k, turned, sums = _turned(stencil, np.asarray(alpha, np.int64).tobytes(), order)
    phase = theta @ k.T
    # exp(i phase) - 1, without cancellation near theta = 0
    waves: Any = -2.0 * np.sin(phase / 2) ** 2
    if not np.iscomplexobj(sums):
        values = sums + _summed(waves, turned.real)
        if turned.imag.any():
            values -= _summed(np.sin(phase), turned.imag)
    else:
        values = sums + _summed(waves + 1j * np.sin(phase), turned)
    return values.reshape(len(theta), len(alpha), stencil.channels, stencil.channels)


@functools.lru_cache(maxsize=64)
def _turned(stencil: Stencil, turns: bytes, order: int) -> tuple[Float, Complex, Any]:
    """The offsets k, shape (K, d), a_k w^(k.alpha), shape (K, m, c c), and their sums over k, real
    where the symbol is."""
    k = np.array(stencil.offsets, float)
    alpha = np.frombuffer(turns, np.int64).reshape(-1, stencil.dim)
    taps = stencil.matrices.reshape(len(k), -1)
    powers = (np.array(stencil.offsets) @ alpha.T) % order
    turned = _root_of_unity(powers, order)[:, :, None] * taps[:, None]
    sums, sizes = turned.sum(axis=0), np.abs(taps).sum(axis=0)
    sums[np.abs(sums) <= ROW_SUM * sizes] = 0.0
    opposite = {offset: i for i, offset in enumerate(stencil.offsets)}
    mirror = [opposite.get(tuple(-j for j in offset)) for offset in stencil.offsets]
    even = None not in mirror and not np.iscomplexobj(taps)
    if even and (np.abs(taps[np.array(mirror)] - taps) <= ROW_SUM * sizes).all():
        return k, turned, sums.real
    return k, turned, sums


def _summed(waves: Any, turned: Any) -> Any:
    """sum_k waves_fk turned_kmc, shape (F, m, c c), as one product of matrices."""
    count, modes, size = turned.shape
    return (waves @ turned.reshape(count, -1)).reshape(len(waves), modes, size)


def _root_of_unity(power: npt.NDArray[np.int64], order: int) -> Complex:
    """exp(2 pi i power / order), exact at quarter turns."""
    roots = np.exp(2j * np.pi * np.arange(order) / order)
    for quarter, exact in enumerate((1.0, 1j, -1.0, -1j)):
        if quarter * order % 4 == 0:
            roots[quarter * order // 4] = exact
    return roots[power]


def spectral_radius(matrices: npt.NDArray[Any]) -> Float:
    """max |eigenvalue| of each matrix of a stack; infinite where an entry is not finite."""
    if matrices.shape[-1] == 1:
        radius = np.abs(matrices[..., 0, 0])
        return np.where(np.isfinite(radius), radius, np.inf)
    finite = np.isfinite(matrices).all(axis=(-2, -1))
    safe = matrices if finite.all() else np.where(finite[..., None, None], matrices, 0.0)
    return np.where(finite, np.abs(np.linalg.eigvals(safe)).max(axis=-1), np.inf)


def eigenvectors(
    matrices: npt.NDArray[Any],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Eigenvalues of matrices, shape (..., n, n), right eigenvectors x and left ones y with y^T x =
    1."""
    values, x = np.linalg.eig(matrices)
    try:
        inverse = np.linalg.inv(x)
    except np.linalg.LinAlgError:  # a defective one has too few eigenvectors
        inverse = np.linalg.pinv(x)
    return values, x, inverse.swapaxes(-1, -2)


def channel_eigenvalues(kernel: npt.ArrayLike, shape: int | Sequence[int]) -> Complex:
    """All eigenvalues of `Stencil.from_array(kernel, channels=True).periodic(shape)`: those of
    Ahat(theta), complex, shape (*shape, c), in the order of `grid_frequencies(shape)`.

    Parameters
    ----------
    kernel
        Shape (c, c, n) or (c, c, n, n), odd n, as the weight of a convolution layer (channels out,
        channels in, space) that computes the cross-correlation.
    shape
        The periodic grid, one size per axis.
    """
    stencil = Stencil.from_array(kernel, channels=True)
    theta = grid_frequencies(shape)
    size = theta.shape[:-1]
    if len(size) != stencil.dim:
        raise ValueError(f"shape must have {stencil.dim} entries, got {size}")
    flat = theta.reshape(-1, stencil.dim)
    values = np.empty((len(flat), stencil.channels), np.complex128)
    partner = mirrored(size)
    real = not np.iscomplexobj(stencil.values)
    # of a real kernel those of -theta are the conjugates of those of theta: half of the problems
    solved = np.flatnonzero(np.arange(len(flat)) <= partner) if real else np.arange(len(flat))
    batch = max(1, 2**22 // stencil.channels**2)  # at most 64 MiB of symbols at a time
    for chosen in (solved[i : i + batch] for i in range(0, len(solved), batch)):
        matrices = harmonic_symbols(stencil, flat[chosen])[:, 0]
        own = real & (partner[chosen] == chosen)
        if own.any():  # theta = -theta modulo 2 pi: the symbol is real
            values[chosen[own]] = np.linalg.eigvals(matrices[own].real)
        if not own.all():
            values[chosen[~own]] = np.linalg.eigvals(matrices[~own])
    if real:
        rest = np.setdiff1d(np.arange(len(flat)), solved)
        values[rest] = values[partner[rest]].conj()
    return values.reshape(*size, stencil.channels)
