"""-Laplace u = f on the unit square, n x n inner points, by PETSc's multigrid with the smoother of
an options file; rank 0 prints the residual norms, relative to the first, as JSON.

Run by `twin.py` with PETSc's own Python: poisson.py -n 63 -levels 4 -options_file FILE. It knows
nothing of this package: matrices and interpolations are assembled row by row.
"""

import json
import sys

import petsc4py

petsc4py.init(sys.argv)
from petsc4py import PETSc  # noqa: E402


def laplacian(n):
    """h^2 times the 5-point matrix, so that P^T restricts."""
    A = PETSc.Mat().createAIJ(n * n, nnz=5)
    for row in range(*A.getOwnershipRange()):
        i, j = divmod(row, n)
        A.setValue(row, row, 4.0)
        for k, l in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
            if 0 <= k < n and 0 <= l < n:
                A.setValue(row, n * k + l, -1.0)
    A.assemble()
    return A


def interpolation(fine, coarse, n, m):
    """Bilinear: a coarse point lies on every second fine one, the boundary is 0."""
    shape = (fine.getOwnershipRange(), coarse.getOwnershipRange())
    P = PETSc.Mat().createAIJ([[b - a, size] for (a, b), size in zip(shape, (n * n, m * m))], nnz=4)

    def line(i):
        """The coarse points of a fine one, with their weights."""
        near = [(i // 2, 1.0)] if i % 2 else [(i // 2 - 1, 0.5), (i // 2, 0.5)]
        return [(k, w) for k, w in near if 0 <= k < m]

    for row in range(*shape[0]):
        i, j = divmod(row, n)
        for k, v in line(i):
            for l, w in line(j):
                P.setValue(row, m * k + l, v * w)
    P.assemble()
    return P


def main():
    options = PETSc.Options()
    n, levels = options.getInt("n", 63), options.getInt("levels", 4)
    sizes = [(n + 1) // 2 ** (levels - 1 - l) - 1 for l in range(levels)]  # the coarsest first
    matrices = [laplacian(size) for size in sizes]
    ksp = PETSc.KSP().create()
    ksp.setOperators(matrices[-1])
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    norms = []  # without a monitor Richardson leaves its loop to the multigrid
    ksp.setMonitor(lambda ksp, step, norm: norms.append(norm))
    pc = ksp.getPC()
    pc.setType("mg")
    pc.setMGLevels(levels)
    for l in range(levels):
        pc.getMGSmoother(l).setOperators(matrices[l])
        if l:
            P = interpolation(matrices[l], matrices[l - 1], sizes[l], sizes[l - 1])
            pc.setMGInterpolation(l, P)
    ksp.setFromOptions()
    b, x = matrices[-1].createVecs()
    for row in range(*b.getOwnershipRange()):
        b.setValue(row, row * 7919 % 1009 / 1009 - 0.5)
    b.assemble()
    ksp.solve(b, x)
    if PETSc.COMM_WORLD.rank == 0:
        print(json.dumps([float(norm / norms[0]) for norm in norms]))


main()
