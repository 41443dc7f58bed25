"""The error operator of a `MultigridCycle` in the eigenvectors of its operators: exact, small and
differentiable.

Where A is constant and even, and the grids are nested, sines (Dirichlet) or waves (periodic) are
the eigenvectors of A on every level, and a transfer couples each with its alias alone. There
smoothing is an elementwise product, and the error operator E of a whole cycle falls into small
blocks, one for each set of aliases. All blocks are had at once, by one cycle on few sums of
eigenvectors of different blocks.

E is a polynomial in the coefficients that are learned, so that the imaginary part at c + i h gives
its derivative to the last digit, however small h is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor

from mgtheory.multigrid.cycle import run_cycle
from mgtheory.multigrid.hierarchy import Hierarchy
from mgtheory.polynomials.series import basis
from mgtheory.problems.grids import Boundary
from mgtheory.problems.problem import Problem
from mgtheory.problems.symbols import eigenvectors
from nets.pde.error import SYMMETRIC, ErrorOperator, Smoothed, Solved

Float = NDArray[np.float64]

TINY = 1e-30  # the imaginary step
PIECES = 3  # eigenvalues of each block that take part, largest first


class ModalCycle(ErrorOperator):
    """e -> E e of a cycle with given coefficients, on coefficients of eigenvectors: of a hierarchy
    as `MultigridCycle` builds it, with nested grids, full weighting and constant coefficients.
    """

    def __init__(self, problem: Problem, hierarchy: Hierarchy, degree: int, **around: Any) -> None:
        super().__init__(hierarchy, degree, **around)
        levels = hierarchy.levels
        self.periodic = problem.boundary is Boundary.PERIODIC
        self.singular = problem.nullspace is not None
        self.shapes = [tuple(level.shape) for level in levels]
        self.axes = [tuple(level.axes) for level in levels[:-1]]
        dim = len(self.shapes[0])
        # axes from the end, for batches stand before them
        self.transfers = [
            [(j - dim, *self._weights(coarse[j])) for j in axes]
            for axes, coarse in zip(self.axes, self.shapes[1:])
        ]
        self.eigenvalues = [torch.from_numpy(self._eigenvalues(level)) for level in levels]
        # p(t) of a level is -(sum_i c_i T_i) / b: what q leaves of an error is 1 - t p(t)
        self.tables = []
        for b, t in zip(self.bounds, self.eigenvalues):
            table = basis(t.numpy().ravel(), b, degree, divided=True)
            self.tables.append(torch.from_numpy(-table.T.reshape(degree, *t.shape).copy()))
        inverse = torch.where(self.eigenvalues[-1] == 0, torch.inf, self.eigenvalues[-1])
        self.inverse = 1 / inverse
        self.kept: Tensor | None = None  # 0 for the constant, which is no error
        if self.singular:
            self.kept = (self.eigenvalues[0] != 0).double()
        self.unknowns = self.eigenvalues[0].numel() - int(self.singular)

    def _eigenvalues(self, level: Any) -> Float:
        """One product with the sum of all eigenvectors has all eigenvalues."""
        if self.periodic:
            point = np.zeros(level.size)
            point[0] = 1.0
            t = np.asarray(scipy.fft.fftn((level.A @ point).reshape(level.shape)).real)
        else:
            everything = scipy.fft.idstn(np.ones(level.shape), 1, norm="ortho")
            image = (level.A @ everything.ravel()).reshape(level.shape)
            t = np.asarray(scipy.fft.dstn(image, 1, norm="ortho"))
        if self.singular:
            t[(0,) * t.ndim] = 0.0
        return t

    def map(self, c: Tensor) -> Callable[[Tensor], Tensor]:
        """e -> E e for coefficients of shape (..., sets, degree)."""
        levels: list[Any] = []
        for i, (t, table) in enumerate(zip(self.eigenvalues, self.tables)):
            flat = table.to(c.dtype).reshape(self.degree, -1)
            legs = (
                (c[..., k, :] @ flat).reshape(*c.shape[:-2], 1, *t.shape) for k in self.which[i]
            )
            A, before, after = (partial(torch.mul, factor) for factor in (t, *legs))
            R, P = partial(self.restrict, level=i), partial(self.interpolate, level=i)
            levels.append(Smoothed(A, before, after, R, P, self.pre, self.post))
        levels.append(Solved(partial(torch.mul, self.inverse)))

        def reduced(e: Tensor) -> Tensor:
            self.watch.ran(e.numel() // math.prod(self.shapes[0]))
            return self.project(e - run_cycle(levels, self.eigenvalues[0] * e, self.kind))

        return reduced

    def project(self, e: Tensor) -> Tensor:
        """e without the constant."""
        return e if self.kept is None else e * self.kept

    def expand(self, e: Tensor) -> Tensor:
        """Coefficients of the eigenvectors."""
        kind: Any = {"norm": "ortho"}
        grid = e.numpy()
        modes = scipy.fft.fftn(grid, **kind) if self.periodic else scipy.fft.dstn(grid, 1, **kind)
        return torch.from_numpy(modes)

    def restrict(self, r: Tensor, level: int) -> Tensor:
        """Full weighting: a mode and its alias, by cos^2 and sin^2 of half its angle."""
        for j, keeps, takes in self.transfers[level]:
            n, r = len(keeps), r.movedim(j, -1)
            alias = r[..., n:] if self.periodic else r[..., n + 1 :].flip(-1)
            r = (keeps * r[..., :n] + takes * alias).movedim(-1, j)
        return r

    def interpolate(self, e: Tensor, level: int) -> Tensor:
        """Linear interpolation, 2^d R^T."""
        for j, keeps, takes in self.transfers[level]:
            e = 2 * e.movedim(j, -1)
            parts = [keeps * e, takes * e]
            if not self.periodic:  # the mode between is 0 in every coarse point
                parts = [parts[0], torch.zeros_like(e[..., :1]), parts[1].flip(-1)]
            e = torch.cat(parts, dim=-1).movedim(-1, j)
        return e

    def _weights(self, n: int) -> tuple[Tensor, Tensor]:
        """Of the modes of n coarse points and of their aliases. What these add has the opposite
        sign where sines are restricted."""
        k = torch.arange(n, dtype=torch.float64)
        angle = math.pi * k / n if self.periodic else math.pi * (k + 1) / (2 * n + 2)
        keeps = 0.5 * (1 + torch.cos(angle))
        takes = (1 - keeps) if self.periodic else keeps - 1
        return keeps / math.sqrt(2), takes / math.sqrt(2)

    @cached_property
    def blocks(self) -> NDArray[np.int64]:
        """The modes of each block, by their places in the flattened grid, shape (blocks, size);
        -1 stands behind those of a smaller one."""
        labels, members = [], []
        for j in range(len(self.shapes[0])):
            label = np.arange(self.shapes[-1][j])
            for level in reversed(range(len(self.axes))):
                if j in self.axes[level]:
                    own = [label, label]
                    if not self.periodic:
                        own = [label, np.array([label.max() + 1]), label[::-1]]
                    label = np.concatenate(own)
            member = np.zeros_like(label)
            for value in range(label.max() + 1):
                member[label == value] = np.arange((label == value).sum())
            labels.append(label)
            members.append(member)
        block, member = np.zeros(self.shapes[0], int), np.zeros(self.shapes[0], int)
        counts = 1, 1
        for l, m in zip(np.meshgrid(*labels, indexing="ij"), np.meshgrid(*members, indexing="ij")):
            block, member = block * (l.max() + 1) + l, member * (m.max() + 1) + m
            counts = counts[0] * (int(l.max()) + 1), counts[1] * (int(m.max()) + 1)
        table = np.full(counts, -1)
        table[block.ravel(), member.ravel()] = np.arange(block.size)
        return table

    @property
    def entries(self) -> int:
        """One sum for each mode of a block."""
        return int(self.blocks.shape[1]) * self.unknowns

    @cached_property
    def probes(self) -> Tensor:
        """Sums of one mode of each block, shape (size, *grid)."""
        return self._spread(
            torch.eye(self.blocks.shape[1]).double().expand(len(self.blocks), -1, -1)
        )

    def _spread(self, x: Any) -> Tensor:
        """Vectors of each block, shape (blocks, size, m), as m grids: shape (m, *grid)."""
        x = torch.as_tensor(x)
        flat: Tensor = x.new_zeros(x.shape[-1], math.prod(self.shapes[0]))
        inside = self.blocks >= 0
        flat[:, self.blocks[inside]] = x[torch.from_numpy(inside)].T
        return flat.reshape(-1, *self.shapes[0])

    def _gather(self, grids: Tensor) -> Tensor:
        """The inverse: grids of shape (..., m, *grid) as (..., blocks, size, m), 0 where a block
        has no such mode."""
        dim = len(self.shapes[0])
        flat = grids.flatten(-dim)
        inside = torch.from_numpy(self.blocks >= 0)
        found = flat[..., torch.from_numpy(np.maximum(self.blocks, 0))] * inside
        return found.movedim(-3, -1)

    def matrices(self, c: Tensor) -> Tensor:
        """The blocks of E, shape (blocks, size, size)."""
        return self._gather(self(c.reshape(self.sets, self.degree), self.probes))

    @cached_property
    def _balance(self) -> Float | None:
        """sqrt(t) of each mode of each block: in the energy norm a symmetric cycle is symmetric."""
        t = self.eigenvalues[0].flatten()
        if bool((t < 0).any()):
            return None
        root = torch.sqrt(torch.where(t == 0, 1.0, t)).numpy()
        return np.where(self.blocks >= 0, root[np.maximum(self.blocks, 0)], 1.0)

    def pieces(self, c: Float) -> tuple[Float, Float]:
        """The largest |eigenvalues| of each block and their gradients, shapes (m,) and (m, sets *
        degree)."""
        with torch.no_grad():
            E = self.matrices(torch.from_numpy(np.array(c))).numpy()
            values, right, left = self._eigen(E)
            order = np.argsort(np.abs(values), axis=1)[:, ::-1][:, :PIECES]
            values = np.take_along_axis(values, order, 1)
            right = np.take_along_axis(right, order[:, None, :], 2)
            left = np.take_along_axis(left, order[:, None, :], 2)
            steps = torch.eye(len(c), dtype=torch.float64).reshape(-1, self.sets, self.degree)
            shifted = torch.from_numpy(np.array(c)).reshape(self.sets, -1) + 1j * TINY * steps
            parts = [right.real, right.imag] if np.iscomplexobj(right) else [right]
            slopes = [
                self._gather(self(shifted, self._spread(part))).imag.numpy() / TINY
                for part in parts
            ]
        slope: Any = slopes[0] if len(slopes) == 1 else slopes[0] + 1j * slopes[1]
        found = np.einsum("bip,jbip->bpj", left, slope)
        size = np.abs(values)
        turned = np.conj(values) / np.where(size == 0, 1.0, size)
        return size.ravel(), (turned[..., None] * found).real.reshape(size.size, -1)

    def _eigen(self, E: Float) -> tuple[Any, Any, Any]:
        """Eigenvalues of each block, right eigenvectors x and left ones y with y^T x = 1."""
        D = self._balance
        if D is not None:
            balanced = D[:, :, None] * E / D[:, None, :]
            turned = balanced.swapaxes(1, 2)
            if np.abs(balanced - turned).max() <= SYMMETRIC * np.abs(balanced).max():
                values, x = np.linalg.eigh(0.5 * (balanced + turned))
                return values, x / D[:, :, None], x * D[:, :, None]
        return eigenvectors(E)
