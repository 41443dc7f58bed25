# %% [markdown]
"""# Multigrid on a graph, with PyAMG's coarse levels

A graph has no grid. PyAMG makes prolongations P from the entries of the matrix, and `transfers=`
takes them (or anybody's): a callable of a level that returns P, the restriction and the coarse
shape. Coarse operators are PᵀAP, smoothing is a polynomial, and the cycle preconditions SciPy's cg.
`Hierarchy.build(A, coarsening="pyamg")` does the like in one line.

Expect: with 4 times the points plain cg needs twice the steps, as the square root of the condition
number says; a polynomial of degree 8 divides them by six; with multigrid they stay below 25.
"""

# %%
try:
    import pyamg
except ModuleNotFoundError:
    raise SystemExit("this example needs PyAMG: pip install pyamg") from None
import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import laplacian
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

import polymgnet


def graph(n):
    """The Laplacian of n random points joined where they are close, plus 1/n."""
    points = np.random.default_rng(0).random((n, 2))
    i, j = cKDTree(points).query_pairs(1.8 / np.sqrt(n), output_type="ndarray").T
    W = sp.coo_array((np.ones(len(i)), (i, j)), shape=(n, n)).tocsr()
    return sp.csr_array(laplacian(W + W.T) + sp.eye_array(n) / n)


def with_pyamg(A):
    """A cycle on PyAMG's smoothed aggregates."""
    levels = pyamg.smoothed_aggregation_solver(sp.csr_matrix(A)).levels

    def transfers(level):
        if level.index == len(levels) - 1:  # the coarsest
            return None, None, level.shape
        P = sp.csr_array(levels[level.index].P)
        return P, P.T.tocsr(), (P.shape[1],)

    return polymgnet.Hierarchy.build(A, shape=A.shape[0], transfers=transfers).as_preconditioner()


def with_polynomial(A):
    return polymgnet.derive("chebyshev4", 8, A).polynomial.as_preconditioner(A)


# %%
ways = {"plain cg": lambda A: None, "degree 8": with_polynomial, "multigrid": with_pyamg}
sizes, steps = (1000, 4000, 16000), {name: [] for name in ways}
for n in sizes:
    A, b = graph(n), np.random.default_rng(1).standard_normal(n)
    for name, preconditioner in ways.items():
        iterates = []
        _, failed = cg(A, b, rtol=1e-8, M=preconditioner(A), callback=iterates.append)
        assert not failed
        steps[name].append(len(iterates))
    print(f"{n:5} points  ", "  ".join(f"{name} {count[-1]}" for name, count in steps.items()))
plain, degree8, multigrid = steps.values()
assert 1.7 < plain[2] / plain[1] < 2.3
assert max(multigrid) < 25
assert all(5 < one / other <= 8 for one, other in zip(plain, degree8))

# %%
figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
for name, counts in steps.items():
    ax.loglog(sizes, counts, "o-", label=name)
ax.set(xlabel="points of the graph", ylabel="steps of cg to 1e-8")
ax.legend()
figure.savefig("08_graph.png")
