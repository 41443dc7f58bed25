"""Level 0: how A is stored, and what a bare matrix says of its grid: its stencil, where its axes
end, which rows fix values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from mgtheory.multigrid import transfer
from mgtheory.multigrid.doubts import (
    about_boundary,
    about_order,
    about_scales,
    about_symmetry,
    row_scales,
)
from mgtheory.multigrid.ends import (
    ends_of_axes,
    fitting_boundary,
    inside_of_fixed_lines,
    kinds_of_ends,
    stencil_inside,
)
from mgtheory.multigrid.given import Given
from mgtheory.multigrid.level import STORED, Level, diagonal_storage
from mgtheory.multigrid.phases import Phases
from mgtheory.multigrid.scales import alike, beside_fixed
from mgtheory.problems.grids import Boundary, Shape
from mgtheory.problems.problem import Problem
from mgtheory.problems.symbols import complex_symbols
from mgtheory.problems.tensorform import TensorForm, recognise
from mgtheory.spectra.bounds import fixed_values

Search = Callable[[sp.csr_array, Shape, NDArray[np.bool_]], NDArray[np.float64] | None]


def make_level(
    A: sp.csr_array,
    shape: Shape,
    work: np.dtype[Any],
    tensor: TensorForm | None,
    problem: Problem | None,
    finer: Level | None = None,
    boundary: Boundary = Boundary.DIRICHLET,
) -> Level:
    """The level of a matrix, stored as it is applied fastest: by diagonals straight from the tensor
    form where there is one."""
    known = None if tensor is None else tensor.todia(A.dtype)
    if known is None or known.data.size > STORED * A.nnz + 64:
        known = diagonal_storage(A)
    return Level(
        0 if finer is None else finer.index + 1,
        A,
        shape,
        known,
        known.astype(work, copy=False),
        reference=None if finer is None else finer.finest,
        tensor=tensor,
        problem=problem,
        boundary=boundary if finer is None else finer.boundary,
        ends=transfer.sides(boundary, len(shape)) if finer is None else finer.ends,
    )


def finest(
    given: Given, *, grid: bool = True, fixed: bool = True, search: Search | None = None
) -> Level:
    """Level 0, with its tensor form where the stencil is constant. In a bare matrix that is
    recognised; where it is not, it may have no `grid`, rows be `fixed`, and scales of its unknowns
    be given, or found by a `search`."""
    A, shape, problem = given.A, given.shape, given.problem
    boundary = given.boundary or fitting_boundary(kinds_of_ends(A, shape) if grid else {})
    tensor = recognise(A, shape, boundary) if problem is None else problem.equation.form(shape)
    level = make_level(A, shape, given.work, tensor, problem, boundary=boundary)
    if problem is not None:
        level.even = problem.stencil is not None and complex_symbols(problem.stencil) is None
    elif tensor is None:
        level.rows = row_scales(level)
        if grid:
            plain = level.rows is None
            level.phases = given.phases if plain else Phases.of(level.balanced, shape)
            level.inside = _inside(level, given, search) if fixed else None
        scales = _scales(level, given, search)
        level = level if scales is None else replace(level, scales=scales)
        if grid:
            _look_at_ends(level, given.boundary)
        if level.inside is None:
            level.doubts += about_symmetry(level)
    return level


def _look_at_ends(level: Level, named: Boundary | None) -> None:
    """Where the grid of a bare matrix ends, and what speaks against it; as the boundary that is
    named has it where A contradicts that. Beyond lines that are fixed the grid has ended."""
    if (inside := level.inside) is not None:
        level.boundary, level.ends, level.doubts = inside.boundary, inside.ends, inside.doubts
        return
    kinds, order = kinds_of_ends(level.in_phase, level.shape), about_order(level, named)
    level.boundary = named or fitting_boundary({} if order else kinds)
    known = level.ends = transfer.sides(level.boundary, len(level.shape))
    said = order or about_boundary(kinds, level.shape, level.boundary)
    level.doubts = tuple(text for text in (said, about_scales(level)) if text)
    if not said:
        level.ends = ends_of_axes(level, kinds)
        other = level.ends != known or level.scales is not None  # else its tensor form is known
        level.even = other and stencil_inside(level.in_phase, level.shape) is not None


def _scales(level: Level, given: Given, search: Search | None) -> NDArray[np.float64] | None:
    """Those of the unknowns, as `mgtheory.multigrid.scales` has them: given, or found where A is
    Hermitian but for rows that fix values; those of lines of such rows with the least
    couplings."""
    if given.scales is not None:
        return given.scales
    if (inside := level.inside) is not None:
        if inside.scales is None:
            return None
        part = np.zeros(level.shape, dtype=bool)
        part[inside_of_fixed_lines(level.balanced, level.shape)] = True
        return beside_fixed(level.balanced, inside.scales, ~part.reshape(-1))
    if search is None or np.iscomplexobj(level.in_phase.data):
        return None
    S, one_way = level.in_phase, np.zeros(level.size, dtype=bool)
    if not level.symmetric:  # beside a unit diagonal those of large units are none
        diagonal = np.abs(S.diagonal())
        one_way = fixed_values(alike(S, np.where(diagonal > 0.0, diagonal, 1.0) ** -0.5))
    return search(S, level.shape, one_way)


def _inside(level: Level, given: Given, search: Search | None) -> Level | None:
    """What `Level.inside` is of level 0; of the boundary of such a grid A alone knows."""
    part = inside_of_fixed_lines(level.balanced, level.shape)
    places = np.arange(level.size).reshape(level.shape)[part]
    if places.shape == level.shape:
        return None
    index = places.reshape(-1)
    A = sp.csr_array(level.A[index][:, index])
    scales = None if given.scales is None else given.scales[index]
    inside = replace(given, A=A, shape=places.shape, boundary=None, scales=scales)
    return finest(inside, fixed=False, search=search)
