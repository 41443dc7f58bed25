"""Matrix-free multigrid on constant stencils and for variable coefficients: `StencilHierarchy`.
Importing it does not import numba; building a hierarchy does."""

from mgtheory.matrixfree.hierarchy import StencilHierarchy

__all__ = ["StencilHierarchy"]
