# %% [markdown]
"""# Learning a smoother rediscovers Chebyshev

`learn_smoother` takes the coefficients of the smoothing polynomial as parameters of the multigrid
cycle, and makes the factor of the error that falls slowest smaller, by exact derivatives. In one
dimension the best two-grid factor with degree k is known: Chebyshev's fourth kind has it,
1/(2k + 1)².

Expect: from the first kind, whose factor is 0.058, learning goes to 1/25 = 0.04, and its roots to
those of the fourth kind, in all digits that are printed. It never sees either.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import polymgnet

problem = polymgnet.poisson((127,))
learned = polymgnet.learn_smoother(problem, 2, start="chebyshev", max_levels=2)
theory = polymgnet.derive("chebyshev4", 2, problem)
b = theory.operator.upper
print(f"factor  {learned.factor_start:.4f} -> {learned.factor:.4f}   theory {1 / 25:.4f}")
for name, q in {"start": learned.start, "learned": learned.polynomial, "theory": theory}.items():
    print(f"{name:8} roots / b", np.sort(q.roots.real / b).round(4))
assert abs(learned.factor - 1 / 25) < 1e-6
assert abs(np.sort(learned.polynomial.roots.real) - np.sort(theory.roots.real)).max() < 1e-4 * b

# %%
t = np.linspace(0, 1, 300)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
left.plot(t, learned.start(b * t), "C1--", label="start: first kind")
left.plot(t, theory.polynomial(b * t), "k", linewidth=3, alpha=0.3, label="theory: fourth kind")
left.plot(t, learned.polynomial(b * t), "C0", label="learned")
left.axhline(0, color="grey", linewidth=0.5)
left.set(xlabel="eigenvalue of A / b", ylabel="q")
left.legend()
right.plot(learned.factors, "o-", label="measured")
right.axhline(1 / 25, color="k", alpha=0.3, linewidth=3, label="1/25")
right.set(xlabel="step", ylabel="error left by a cycle")
right.legend()
figure.savefig("11_learning_a_smoother.png")
