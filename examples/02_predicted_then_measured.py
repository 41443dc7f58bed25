# %% [markdown]
"""# Predicted, then measured

Local Fourier analysis predicts what a cycle leaves of the error, without running it. On an infinite
grid the 5-point Laplacian multiplies exp(iθ·x) by its symbol, and a smoother q(A) by q of it. On
the high frequencies the symbol fills [2, 8]/h², where Chebyshev's polynomial of degree k leaves

    µ = max |q| = 1/T_k(5/3):  3/5, 9/41, 27/365, ...   T_k(t) = cosh(k arcosh t)

of the error. A cycle mixes high and low frequencies: its two-grid factor is the largest eigenvalue
of 4 x 4 matrices, one for each θ. Expect: µ to rounding, and the measured factor within 5 % of the
predicted one.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import polymgnet

problem = polymgnet.poisson((127, 127))
degrees = range(1, 6)


# %% [markdown]
# To measure, run the cycle on A e = 0 from a random error: all that is left is the slowest mode.
# %%
def measured(smoother):
    hierarchy = polymgnet.Hierarchy.build(problem, smoother=smoother, max_levels=2)
    error = np.random.default_rng(0).standard_normal(problem.unknowns)
    r = hierarchy.solve(0 * error, error, tol=0, maxiter=20).residual_norms
    return (r[-1] / r[-6]) ** (1 / 5)


# %%
figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
for family, colour, mark in (("chebyshev", "C0", "o"), ("chebyshev4", "C1", "s")):
    starts = [polymgnet.derive(family, k, problem) for k in degrees]
    predicted = [
        polymgnet.two_grid_factor(problem, start, pre=1, post=1).factor for start in starts
    ]
    found = [measured(start) for start in starts]
    ax.semilogy(degrees, predicted, color=colour, label=f"{family}, predicted")
    ax.semilogy(degrees, found, mark, color=colour, label=f"{family}, measured")
    for k, start, rho, factor in zip(degrees, starts, predicted, found):
        mu = polymgnet.smoothing_factor(problem, start).factor
        print(f"{family:10} {k}  µ {mu:.4f}  two-grid {rho:.4f}  measured {factor:.4f}")
        assert abs(factor / rho - 1) < 0.05
        assert family != "chebyshev" or abs(mu * np.cosh(k * np.arccosh(5 / 3)) - 1) < 1e-9

ax.set(xlabel="degree of the smoother", xticks=degrees, ylabel="error left by one V(1,1) cycle")
ax.legend()
figure.savefig("02_predicted_then_measured.png")
