# %% [markdown]
"""# Anisotropy, and coarsening along one axis

-u_xx - ε u_yy couples neighbours along y weakly where ε is small. No smoother of points damps what
oscillates along y alone, and a grid that is coarser along y cannot represent it: the factor of full
coarsening tends to 1. Coarsen x alone, and only frequencies that are high along x have to be
damped. As ε -> 0 they fill [2, 4]/h², where Chebyshev's polynomial of degree 2 leaves 1/T_2(3) =
1/17.

Expect: 0.99 with full coarsening, 0.0588 along x alone. The solver chooses the axes by itself.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import polymgnet

epsilons = [1.0, 0.1, 0.01, 0.001]
ways = {"both axes": "all", "x alone": (0,)}


def measured(problem, start, axes):
    hierarchy = polymgnet.Hierarchy.build(problem, smoother=start, axes=axes, max_levels=2)
    error = np.random.default_rng(0).standard_normal(problem.unknowns)
    r = hierarchy.solve(0 * error, error, tol=0, maxiter=20).residual_norms
    return (r[-1] / r[-6]) ** (1 / 5)


# %%
figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
for colour, (way, axes) in zip(("C1", "C0"), ways.items()):
    predicted, found = [], []
    for epsilon in epsilons:
        problem = polymgnet.poisson((127, 127), weights=(1.0, epsilon))
        start = polymgnet.derive("chebyshev", 2, problem, axes=axes)
        predicted.append(polymgnet.two_grid_factor(problem, start, axes=axes).factor)
        found.append(measured(problem, start, axes))
        print(f"{way:9}  ε {epsilon:<5}  two-grid {predicted[-1]:.4f}  measured {found[-1]:.4f}")
    ax.loglog(epsilons, predicted, color=colour, label=f"{way}, predicted")
    ax.loglog(epsilons, found, "o", color=colour, label=f"{way}, measured")
    if way == "both axes":
        assert predicted[-1] > 0.99
    else:
        assert abs(predicted[-1] - 1 / 17) < 1e-3
        assert abs(found[-1] - 1 / 17) < 3e-3

chosen = polymgnet.derive("chebyshev", 2, problem).operator.axes
print(f"chosen by the solver: axes {chosen}")
assert chosen == (0,)

ax.axhline(1 / 17, color="grey", linestyle=":", label="1/17")
ax.set(xlabel="ε", ylabel="error left by one V(1,1) cycle")
ax.legend()
figure.savefig("03_anisotropy.png")
