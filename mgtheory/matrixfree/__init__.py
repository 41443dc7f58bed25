"""Matrix-free multigrid on constant stencils and for variable coefficients: `StencilHierarchy`.
Importing it does not import numba; building a hierarchy does.

A level's matrix is in `operators` (constant stencils) or `faces` (variable coefficients); a grid's
steps are joined to sweeps (`swept`), which compiled `kernels` do (`kernel_level`) and `threads`
share; `cycle` runs on them."""

from mgtheory.matrixfree.hierarchy import StencilHierarchy

__all__ = ["StencilHierarchy"]
