"""A polynomial in the words of other engines: PETSc, hypre, Trilinos (Ifpack2) and PyAMG.

All of them apply q to D^-1 A, D the diagonal of A (PyAMG's tuple of Chebyshev: to A), so the
polynomial is converted to that operator first, exactly, or refused. `kind` then asks whether it is
one that the engine knows by name; what an engine cannot apply is refused in one line, and what it
applies in another way than it was derived is named in the comment at the head of the file.

What each engine does with its options was read from its source: PETSc 3.26 (`KSPCHEBYSHEV`,
`PCCOMPOSITE`), hypre's relaxation 16, Trilinos' `Ifpack2::Chebyshev` with MueLu around it, PyAMG
5.4. PETSc's and PyAMG's are run against this package's own solver (`tests/petsc`,
`tests/mgtheory/export`).
"""

from mgtheory.export.conversion import Export, kind, predicted
from mgtheory.export.engines import TARGETS, export
from mgtheory.export.petsc import PYTHON_PC

__all__ = ["PYTHON_PC", "TARGETS", "Export", "export", "kind", "predicted"]
