# %% [markdown]
"""# The best polynomial on a complex spectrum

Convection makes a matrix nonsymmetric and its eigenvalues complex: an interval does not hold them.
The minimax polynomial of degree k has the smallest max |q(z)| over given points z, q(0) = 1. It is
found by linear programs, each of which also proves that no polynomial of this degree is better.

Expect for -Δu + 8 u_x + 4 u_y, upwind, on the high frequencies: 0.257 with degree 4, where
Chebyshev's polynomial for their real parts leaves 0.72; and a proof of that to six digits.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import polymgnet
from mgtheory.fourier import grid_frequencies, high_frequencies, symbol

diffusion = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
convection = np.array([[0, -8, 0], [-4, 12, 0], [0, 0, 0]])
A = polymgnet.Stencil.from_array(diffusion + convection)

# %% [markdown]
# The symbol of A on the frequencies that a coarse grid cannot see is what a smoother has to damp.
# %%
theta = grid_frequencies((32, 32)).reshape(-1, 2)
z = symbol(A, theta)[high_frequencies(theta, axes=(0, 1))]

degrees, best, left = range(1, 7), [], []
for k in degrees:
    start = polymgnet.derive("minimax", k, z)
    found = start.provenance["result"]  # what came of the search
    real = polymgnet.derive("chebyshev", k, (z.real.min(), z.real.max()))
    best.append(found["value"])
    left.append(abs(real.polynomial(z)).max())
    proved = found["lower_bound"]
    print(f"degree {k}  minimax {best[-1]:.6f}, proved {proved:.6f}  Chebyshev {left[-1]:.2f}")
    assert abs(start.polynomial(z)).max() <= best[-1] * (1 + 1e-9) < left[-1]
    assert proved <= best[-1] <= proved * (1 + 1e-6)

# %%
q = polymgnet.derive("minimax", 4, z).polynomial
mu = polymgnet.smoothing_factor(A, q).factor  # the supremum, between the points too
print(f"µ = {mu:.4f}")
assert best[3] <= mu < 1.02 * best[3]
assert abs(mu - 0.257) < 2e-3

x, y = np.meshgrid(np.linspace(-1, 45, 200), np.linspace(-20, 20, 200))
figure, (one, two) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
one.contourf(x, y, abs(q(x + 1j * y)), levels=[0, mu, 1], colors=["C0", "C9"], alpha=0.3)
one.plot(z.real, z.imag, ".", markersize=2, label="high frequencies of A")
one.plot(q.roots.real, q.roots.imag, "kx", label="roots of q")
one.set(
    title=f"degree 4: |q| < 1 (light), < {mu:.3f} (dark)",
    xlabel="Re z",
    ylabel="Im z",
    aspect="equal",
)
one.legend()
two.semilogy(degrees, best, "o-", label="minimax")
two.semilogy(degrees, left, "s--", label="Chebyshev for the real parts")
two.set(xlabel="degree", ylabel="max |q| on the high frequencies")
two.legend()
figure.savefig("06_minimax.png")
