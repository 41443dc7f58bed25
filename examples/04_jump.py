# %% [markdown]
"""# A coefficient that jumps, and interpolation that follows it

-div(k ∇u) = 1 with k = 1, and k = J in a square inside. Where k jumps the gradient of u jumps too:
it is the flux k u_x that is continuous. Linear interpolation from the coarse grid averages across
the jump, black-box interpolation solves for the fine points with the entries of A (Alcouffe,
Brandt, Dendy, Painter 1981), which keeps the flux.

Expect: with black-box interpolation the factor of J = 1 at every J, about 0.1; with linear
interpolation 0.3 to 0.4 from J = 100 on. Black-box is the default where coefficients vary.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import polymgnet


def factor(hierarchy):
    error = np.random.default_rng(0).standard_normal(hierarchy.levels[0].size)
    r = hierarchy.solve(0 * error, error, tol=0, maxiter=25).residual_norms
    return (r[-1] / r[-6]) ** (1 / 5)


# %%
jumps = [1, 10, 100, 1_000, 10_000]
factors = {"linear": [], "black-box": []}
for jump in jumps:

    def k(x, y, jump=jump):
        return np.where((abs(x - 0.5) < 0.2) & (abs(y - 0.5) < 0.2), jump, 1.0)

    problem = polymgnet.poisson((63, 63), coefficient=k, f=lambda x, y: 1 + 0 * x)
    for kind, found in factors.items():
        hierarchy = polymgnet.Hierarchy.build(problem, interpolation=kind)
        found.append(factor(hierarchy))
    u = hierarchy.solve(problem.b).x.reshape(problem.shape)
    print(f"J = {jump:<6}", *(f"  {kind} {found[-1]:.3f}" for kind, found in factors.items()))

assert min(factors["linear"][2:]) > 0.3
assert max(factors["black-box"]) < 1.05 * factors["black-box"][0] < 0.15

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
figure.colorbar(left.imshow(u.T, origin="lower", extent=(0, 1, 0, 1)), ax=left)
left.set(title=f"u for J = {jump}", xlabel="x", ylabel="y")
for kind, found in factors.items():
    right.semilogx(jumps, found, "o-", label=f"{kind} interpolation")
right.set(xlabel="J", ylabel="residual left by one V(1,1) cycle", ylim=(0, 1))
right.legend()
figure.savefig("04_jump.png")
