# %% [markdown]
"""# A polynomial preconditioner for your own matrix

SciPy's conjugate gradients take M = p(A) as a preconditioner, p(t) = (1 - q(t))/t: matrix products
and nothing else, so it runs wherever A does. m steps with q of degree k search in the Krylov space
of km products, where plain cg finds the best there is: k steps(k) >= steps(1). A polynomial saves
no products. It saves steps, and with each the inner products for which all processors wait.

Expect: at most half as many products again, and 67 steps with degree 8 in place of 384.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import laplacian
from scipy.sparse.linalg import cg
from scipy.spatial import Delaunay

import polymgnet

# %% [markdown]
# The matrix: springs along the edges of a triangulation of random points, with random stiffness.
# %%
n, rng = 4000, np.random.default_rng(0)
triangles = Delaunay(rng.random((n, 2))).simplices
edges = np.concatenate([triangles[:, [i, i - 1]] for i in range(3)])
W = sp.coo_array((10 ** rng.uniform(-1, 1, len(edges)), edges.T), shape=(n, n)).tocsr()
A = sp.csr_array(laplacian(W + W.T) + 0.01 * sp.eye_array(n))
b = rng.standard_normal(n)


def steps(M=None):
    """The residual norms of cg, relative to b, one a step."""
    norms = [1.0]

    def note(x):
        norms.append(np.linalg.norm(b - A @ x) / np.linalg.norm(b))

    _, failed = cg(A, b, rtol=1e-8, M=M, callback=note)
    assert not failed
    return norms


# %%
figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
plain = steps()
ax.semilogy(plain, label=f"plain: {len(plain) - 1} steps")
print(f"plain      {len(plain) - 1} steps")
for k, dashes in ((2, "--"), (4, "-."), (8, ":")):
    q = polymgnet.derive("chebyshev4", k, A).polynomial  # finds the largest eigenvalue by itself
    norms = steps(q.as_preconditioner(A))
    ax.semilogy(norms, dashes, label=f"degree {k}: {len(norms) - 1} steps")
    products = k * (len(norms) - 1) / (len(plain) - 1)
    print(f"degree {k}  {len(norms) - 1} steps, {products:.2f} times the products")
    assert 1 <= products < 1.5

ax.set(xlabel="steps of cg", ylabel="residual, relative to b")
ax.legend()
figure.savefig("07_preconditioner.png")
