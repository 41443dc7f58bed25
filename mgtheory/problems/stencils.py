"""Constant-coefficient stencils: their algebra, the named discretisations of the Laplacian, and
their periodic and Dirichlet matrices.

A stencil is a list of integer offsets k and values a_k with (A u)(x) = sum_k a_k u(x + k). That is
the cross-correlation of deep-learning frameworks, so a convolution kernel with c channels is a
stencil whose values are c x c matrices. Those that are made here by name have mesh width h = 1.
Axis 0 of an array is the first coordinate.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Number

import numpy as np
import numpy.typing as npt
import scipy.sparse

from mgtheory._checks import (
    check_array,
    check_finite,
    check_kind,
    check_name,
    check_number,
    check_shape,
    check_whole,
)
from mgtheory._frozen import ReadOnlyArrays
from mgtheory.problems.schemes import SCHEMES
from mgtheory.problems.tensor import stencil_array

Tap = tuple[tuple[int, ...], npt.NDArray[np.inexact]]


@dataclass(frozen=True, eq=False)
class Stencil(ReadOnlyArrays):
    """(A u)(x) = sum_k a_k u(x + k) with one number, or one c x c matrix, per offset k.

    Parameters
    ----------
    offsets
        Distinct integer offsets k, each a tuple of 1, 2 or 3 entries.
    values
        Real or complex, shape (len(offsets),) for a scalar stencil, (len(offsets), c, c) for c
        coupled channels: `values[i, p, q]` takes channel q to channel p.
    """

    offsets: tuple[tuple[int, ...], ...]
    values: npt.NDArray[np.inexact]

    def __post_init__(self) -> None:
        try:
            offsets = tuple(tuple(operator.index(j) for j in k) for k in self.offsets)
        except TypeError:
            offsets = ()
        lengths = {len(k) for k in offsets}
        if lengths not in ({1}, {2}, {3}) or len(set(offsets)) != len(offsets):
            text = (
                "offsets must be distinct tuples of 1, 2 or 3 integers, of one common length, got"
            )
            raise ValueError(f"{text} {self.offsets!r}".replace("\n", ""))
        values = np.array(check_array(self.values, "values"))
        square = values.ndim == 3 and values.shape[1] == values.shape[2] > 0
        if values.shape[:1] != (len(offsets),) or not (values.ndim == 1 or square):
            raise ValueError(
                f"values must have shape ({len(offsets)},) or ({len(offsets)}, c, c), got"
                f" {values.shape}"
            )
        check_finite(values, "values")
        self.__dict__.update(offsets=offsets, values=values)
        super().__post_init__()

    @classmethod
    def from_array(cls, kernel: npt.ArrayLike, *, channels: bool | None = None) -> Stencil:
        """The stencil of a kernel centred in an odd array; entries that are zero are left out.

        Parameters
        ----------
        kernel
            Shape (n,), (n, n) or (n, n, n), odd sizes, or the layout of a convolution's weight,
            (c, c, n, ...) = (channels out, channels in, space).
        channels
            Whether the two leading axes are channels. None: they are if there are more than three
            axes.
        """
        array = check_array(kernel, "kernel")
        coupled = array.ndim > 3 if channels is None else channels
        size = array.shape[2:] if coupled else array.shape
        if not 1 <= len(size) <= 3 or any(n % 2 == 0 for n in size):
            raise ValueError(
                "a kernel needs odd extents along 1, 2 or 3 axes (after two channel axes, if any),"
                f" got shape {array.shape}"
            )
        if coupled and array.shape[0] != array.shape[1]:
            raise ValueError(
                f"a stencil needs as many channels out as in, got {array.shape[0]} out,"
                f" {array.shape[1]} in"
            )
        moved = np.moveaxis(array, (0, 1), (-2, -1)) if coupled else array
        centre = tuple(n // 2 for n in size)
        kept = [k for k in itertools.product(*map(range, size)) if np.any(moved[k] != 0)]
        places = kept or [centre]
        offsets = tuple(tuple(j - m for j, m in zip(k, centre)) for k in places)
        return cls(offsets, np.stack([moved[k] for k in places]))

    def to_array(self) -> npt.NDArray[np.inexact]:
        """The smallest centred odd array, shape (n, ...) or (c, c, n, ...): the inverse of
        `from_array`."""
        reach = self.reach
        size = (*(2 * n + 1 for n in reach), *self.values.shape[1:])
        array = np.zeros(size, dtype=self.values.dtype)
        for k, value in zip(self.offsets, self.values):
            array[tuple(j + n for j, n in zip(k, reach))] = value
        return np.moveaxis(array, (-2, -1), (0, 1)) if self.values.ndim == 3 else array

    @property
    def dim(self) -> int:
        """Number of space dimensions, 1 to 3."""
        return len(self.offsets[0])

    @property
    def channels(self) -> int:
        """Number of coupled channels c; 1 for a scalar stencil."""
        return 1 if self.values.ndim == 1 else self.values.shape[1]

    @property
    def reach(self) -> tuple[int, ...]:
        """Largest |k_j| along each axis."""
        return tuple(max(abs(k[j]) for k in self.offsets) for j in range(self.dim))

    @property
    def matrices(self) -> npt.NDArray[np.inexact]:
        """The values as matrices, shape (len(offsets), c, c), with c = 1 for a scalar stencil."""
        return self.values.reshape(len(self.offsets), self.channels, self.channels)

    @property
    def diagonal(self) -> npt.NDArray[np.inexact]:
        """The centre tap a_0 as a c x c matrix (zero if there is none)."""
        taps = dict(zip(self.offsets, self.matrices))
        return taps.get((0,) * self.dim, np.zeros((self.channels, self.channels)))

    def couplings(self) -> tuple[float, ...]:
        """The strength of the coupling along each axis: the stencil summed over the other axes,
        mean modulus of its two taps next to the centre; of matrices the norm.

        Of a discretised second derivative it is a_j/h_j^2, whatever corners the stencil has.
        """
        k = np.array(self.offsets)
        unit = float(np.abs(self.values).max()) or 1.0  # whose squares may leave the range
        taps = self.matrices / unit
        return tuple(
            unit
            / 2
            * float(sum(np.linalg.norm(taps[k[:, j] == way].sum(axis=0)) for way in (1, -1)))
            for j in range(self.dim)
        )

    @property
    def adjoint(self) -> Stencil:
        """The stencil of A^H: values conj(a_k)^T at -k."""
        values = self.values.conj() if self.values.ndim == 1 else self.values.conj().swapaxes(1, 2)
        return Stencil(tuple(tuple(-j for j in k) for k in self.offsets), values)

    def _check_alike(self, other: Stencil, fitting: bool) -> None:
        if self.dim != other.dim or not fitting:
            raise ValueError(
                f"stencils must agree in dimension and channels, got ({self.dim}, {self.channels})"
                f" and ({other.dim}, {other.channels})"
            )

    def __add__(self, other: Stencil) -> Stencil:
        if not isinstance(other, Stencil):
            return NotImplemented
        self._check_alike(other, self.channels == other.channels)
        taps = [*zip(self.offsets, self.matrices), *zip(other.offsets, other.matrices)]
        return _summed(taps, self.values.ndim == 1 and other.values.ndim == 1)

    def __sub__(self, other: Stencil) -> Stencil:
        return self + -other if isinstance(other, Stencil) else NotImplemented

    def __mul__(self, factor: complex) -> Stencil:
        return Stencil(self.offsets, self.values * check_kind(factor, Number, "factor", "a number"))

    __rmul__ = __mul__

    def __truediv__(self, divisor: complex) -> Stencil:
        if check_kind(divisor, Number, "divisor", "a number") == 0:
            raise ValueError("divisor is 0, a stencil can be divided by other numbers")
        return Stencil(self.offsets, self.values / divisor)

    def __neg__(self) -> Stencil:
        return Stencil(self.offsets, -self.values)

    def __matmul__(self, other: Stencil) -> Stencil:
        """The product A B: first B, then A; its symbol is the product of the symbols."""
        if not isinstance(other, Stencil):
            return NotImplemented
        scalar = 1 in (self.channels, other.channels)
        self._check_alike(other, scalar or self.channels == other.channels)
        taps = (
            (tuple(i + j for i, j in zip(k, m)), a * b if scalar else a @ b)
            for k, a in zip(self.offsets, self.matrices)
            for m, b in zip(other.offsets, other.matrices)
        )
        return _summed(taps, self.values.ndim == 1 and other.values.ndim == 1)

    def subsampled(self, step: int | Sequence[int] = 2) -> Stencil:
        """a_{step k} at k, one step or one per axis (a Galerkin product is R A P, subsampled)."""
        steps = check_shape(step, "step", self.dim)
        taps = [
            (tuple(j // s for j, s in zip(k, steps)), value)
            for k, value in zip(self.offsets, self.matrices)
            if all(j % s == 0 for j, s in zip(k, steps))
        ]
        nothing = ((0,) * self.dim, np.zeros((self.channels,) * 2))
        return _summed(taps or [nothing], self.values.ndim == 1)

    def periodic(self, shape: Sequence[int]) -> scipy.sparse.csr_array:
        """The matrix on a periodic grid; unknowns in C order: channel * prod(shape) + point."""
        return self._matrix(shape, periodic=True)

    def dirichlet(self, shape: Sequence[int]) -> scipy.sparse.csr_array:
        """The matrix on a grid with zeros outside (zero padding); unknowns as in `periodic`."""
        return self._matrix(shape, periodic=False)

    def _matrix(self, shape: Sequence[int], *, periodic: bool) -> scipy.sparse.csr_array:
        size = check_shape(shape, "shape", self.dim)
        points = np.indices(size).reshape(self.dim, -1)
        rows = np.arange(points.shape[1])
        extent = np.array(size)[:, None]
        shifts, columns, data = [rows[:0]], [rows[:0]], [self.values.ravel()[:0]]
        for k, value in zip(self.offsets, self.matrices):
            target = points + np.array(k)[:, None]
            inside = periodic | ((target >= 0) & (target < extent)).all(axis=0)
            column = np.ravel_multi_index(tuple(target % extent), size)[inside]
            for p, q in zip(*np.nonzero(value)):
                shifts.append(rows[inside] + p * len(rows))
                columns.append(column + q * len(rows))
                data.append(np.full(len(column), value[p, q]))
        places = np.concatenate(shifts), np.concatenate(columns)
        shape = (self.channels * len(rows),) * 2
        return scipy.sparse.coo_array((np.concatenate(data), places), shape).tocsr()


def _summed(taps: Iterable[Tap], scalar: bool) -> Stencil:
    """The stencil of the given taps, those of equal offsets added, without those that are exactly
    zero (one is kept)."""
    total: dict[tuple[int, ...], npt.NDArray[np.inexact]] = {}
    for k, value in taps:
        total[k] = total[k] + value if k in total else value
    kept = {k: value for k, value in total.items() if np.any(value != 0)} or dict(
        [next(iter(total.items()))]
    )
    values = np.stack(list(kept.values()))
    return Stencil(tuple(kept), values[:, 0, 0] if scalar else values)


def tensor(*kernels: Sequence[float]) -> Stencil:
    """The tensor product of centred one-dimensional kernels, one per axis."""
    lines = (check_array(kernel, "kernel", real=True) for kernel in kernels)
    return Stencil.from_array(functools.reduce(np.multiply.outer, lines, np.ones(())))


def anisotropic(coefficients: Sequence[float]) -> Stencil:
    """-sum_j e_j d^2/dx_j^2 by second differences, one coefficient e_j > 0 per axis."""
    weights = check_array(coefficients, "coefficients", real=True)
    positive = (np.isfinite(weights) & (weights > 0)).all()
    if not (weights.ndim == 1 and 1 <= weights.size <= 3 and positive):
        raise ValueError(
            f"one positive coefficient for each of 1 to 3 axes is needed, got {weights.tolist()}"
        )
    return _of_scheme(f"{2 * weights.size + 1}-point", weights.tolist())


def _of_scheme(name: str, weights: Sequence[float]) -> Stencil:
    """The interior stencil of a scheme of `SCHEMES` with a_j = weights, for h = 1."""
    h = (1.0,) * len(weights)
    return Stencil.from_array(stencil_array(SCHEMES[name].matrix(weights, h), h))


def _laplace(dim: int, *names: str) -> Stencil:
    """-Laplace by the scheme among those named that exists in `dim` dimensions."""
    allowed = {d: name for name in names for d in SCHEMES[name].dims}
    if check_whole(dim, "dim", 1) not in allowed:
        raise ValueError(f"dim is {dim}, allowed are {', '.join(map(str, allowed))}")
    return _of_scheme(allowed[dim], (1.0,) * dim)


def laplacian(dim: int) -> Stencil:
    """-Laplace by second differences, 2 dim + 1 points: 2 dim at the centre, -1 at the neighbours;
    spectrum in [0, 4 dim]."""
    return _laplace(dim, "3-point", "5-point", "7-point")


def mehrstellen(dim: int) -> Stencil:
    """-Laplace, compact and of fourth order where the right-hand side is averaged too: 9 points in
    2D, [-1 -4 -1; -4 20 -4; -1 -4 -1] / 6, 19 in 3D."""
    return _laplace(dim, "9-point", "19-point")


def multilinear(dim: int) -> Stencil:
    """-Laplace by multilinear finite elements, over h^dim: 9 points in 2D, [-1 -1 -1; -1 8 -1; -1
    -1 -1] / 3, 27 in 3D."""
    return _laplace(dim, "q1")


def rotated_anisotropic(epsilon: float = 0.1, angle: float = np.pi / 4) -> Stencil:
    """-(d_xi^2 + epsilon d_eta^2) in axes turned by `angle` (radians) in 2D; the mixed derivative
    by four corner points."""
    check_number(epsilon, "epsilon", "larger than 0")
    check_number(angle, "angle", "of any sign")
    weights, mixed = turned(epsilon, angle)
    return plane_stencil(weights, mixed, (0.0, 0.0), (1.0, 1.0))


def turned(epsilon: float, angle: float) -> tuple[tuple[float, float], float]:
    """Of T diag(1, epsilon) T', T the turn by `angle` (radians), the diagonal and the entry beside
    it."""
    c, s = np.cos(angle), np.sin(angle)
    return (c * c + epsilon * s * s, s * s + epsilon * c * c), (1.0 - epsilon) * c * s


def plane_stencil(
    weights: Sequence[float], mixed: float, wind: Sequence[float], h: Sequence[float]
) -> Stencil:
    """-a_1 u_xx - 2 m u_xy - a_2 u_yy + w.grad u on mesh widths h: second differences, u_xy by the
    four corner points (order 2), the wind upwind, w_j (u_i - u_{i-1})/h_j where w_j > 0 (order
    1)."""
    array = stencil_array({(0,): float(weights[0]), (1,): float(weights[1])}, h)
    corner = mixed / (2.0 * h[0] * h[1])
    array += corner * np.array([[-1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, -1.0]])
    for axis, (w, h_j) in enumerate(zip(wind, h, strict=True)):
        line = np.array([-max(w, 0.0), abs(w), -max(-w, 0.0)]) / h_j
        array[(slice(None), 1) if axis == 0 else (1, slice(None))] += line
    return Stencil.from_array(array, channels=False)


STENCILS: dict[str, Stencil] = {
    "3-point": laplacian(1),
    "5-point": laplacian(2),
    "7-point": laplacian(3),
    "9-point": mehrstellen(2),
    "19-point": mehrstellen(3),
    "q1": multilinear(2),
    "q1-3d": multilinear(3),
    "anisotropic": anisotropic((1.0, 0.01)),
    "rotated-anisotropic": rotated_anisotropic(),
}


def named(name: str) -> Stencil:
    """The stencil of that name in `STENCILS`, on the h = 1 scale.

    >>> named("9-point").to_array() * 6
    array([[-1., -4., -1.],
           [-4., 20., -4.],
           [-1., -4., -1.]])
    """
    return STENCILS[check_name(name, tuple(STENCILS), "stencil")]
