# %% [markdown]
"""# Poisson's equation, solved

-Δu = f on the unit square, u = 0 on its border, by the 5-point stencil: (4 u_ij - its four
neighbours) / h² = f_ij. Its error is O(h²), so half the mesh width leaves a quarter of it.
Multigrid finds u in a number of cycles that does not grow with the number of unknowns.

Expect: order 2.00, and at most 7 cycles on every grid.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import polymgnet


# %% [markdown]
# An f whose solution is known: u = x (1 - x) sin 3πy.
# %%
def exact(x, y):
    return x * (1 - x) * np.sin(3 * np.pi * y)


def f(x, y):
    return (2 + 9 * np.pi**2 * x * (1 - x)) * np.sin(3 * np.pi * y)


# %% [markdown]
# Four grids. `solve` builds the hierarchy of coarser ones, smooths by a Chebyshev polynomial in the
# matrix, and stops at ‖b - A u‖ <= 1e-8 ‖b‖.
# %%
sizes, errors = [31, 63, 127, 255], []
for n in sizes:
    problem = polymgnet.poisson((n, n), f=f)
    solution = polymgnet.solve(problem, tol=1e-8)
    u = solution.x.reshape(problem.shape)
    errors.append(abs(u - exact(*problem.grid)).max())
    print(f"{n:3} x {n:<3}  {solution.iterations} cycles  error {errors[-1]:.2e}")
    assert solution.converged
    assert solution.iterations <= 7

order = np.log2(errors[-2] / errors[-1])
print(f"order {order:.3f}")
assert abs(order - 2) < 0.01

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
figure.colorbar(left.imshow(u.T, origin="lower", extent=(0, 1, 0, 1)), ax=left)
left.set(title="u", xlabel="x", ylabel="y")
right.loglog(sizes, errors, "o-", label="largest error")
right.loglog(sizes, errors[0] * (32 / (np.array(sizes) + 1)) ** 2, "k--", label="h²")
right.set(xlabel="unknowns per axis", xticks=sizes, xticklabels=sizes)
right.minorticks_off()
right.legend()
figure.savefig("01_poisson.png")
