"""Matrix-free multigrid on constant stencils: `StencilHierarchy`. Importing it does not import
numba; building a hierarchy does."""

from mgtheory.matrixfree.hierarchy import StencilHierarchy

__all__ = ["StencilHierarchy"]
