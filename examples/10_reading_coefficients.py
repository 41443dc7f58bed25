# %% [markdown]
"""# Reading learned coefficients

The two steps of a level of q2 are q(t) = (1 - w₁ t)(1 - w₂ t) in its convolution A, roots 1/w₁ and 1/w₂.
They start equal, as long as max |q| <= 8 allows on the disc of radius b that holds the eigenvalues of
A. After training, `analyse` measures what became of them on the spectrum of the learned A.

They can be read only where no batch norm follows the step: a norm divides the size of w out. Expect:
q(-b) = 8 at the start; a weight times 10 changes nothing with a norm behind it, and much without.
"""

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import polymgnet
from mgtheory.polynomials.factors import Linear

changes = ["width=8", "levels=2", "epochs=4", "batch_size=64", "lr=0.01", "coefficient_lr=2"]
with tempfile.TemporaryDirectory() as folder:
    run = Path(folder, "run")
    polymgnet.train(polymgnet.load_config("digits", [*changes, "tensorboard=false"]), run, progress=False)
    report = polymgnet.analyse(run)
    model = polymgnet.load(run)

# %%
for level, network in zip(report.levels, model.levels):
    start, learned = (level.views[role].polynomial for role in ("start", "learned"))
    b = {role: level.operators[role].radius for role in ("start", "learned")}
    print(f"level {level.level}  roots/b {start.roots.real / b['start']} -> {learned.roots.real / b['learned']}")
    print(f"         max |q| {level.views['start'].max_modulus:.1f} -> {level.views['learned'].max_modulus:.1f}")
    assert abs(start(-b["start"]) - 8) < 1e-4
    assert abs(network.polynomial().roots - learned.roots).max() < 1e-6
    assert not level.not_identifiable


# %% [markdown]
# What a norm behind the step does to w: the output of a fresh network, before and after w is 10 w.
# %%
def change(placement):
    model = polymgnet.create_model("q2", width=8, in_channels=1, placement=placement)
    images, step = torch.rand(16, 1, 8, 8), model.levels[0].steps[0]
    with torch.no_grad():
        before = model(images)
        step.coefficients.set_factor(Linear(10 * step.factor().w))
        return float((model(images) - before).norm() / before.norm())


changes = {placement: change(placement) for placement in ("regular", "relu_outside_nobn")}
print("output changes by", *(f"  {value:.0e} ({placement})" for placement, value in changes.items()))
assert changes["regular"] < 1e-3 < 0.05 < changes["relu_outside_nobn"]

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
for ax, level in zip(axes, report.levels):
    roots = {role: level.views[role].polynomial.roots for role in ("start", "learned")}
    learned = "learned", level.views["learned"].polynomial
    polymgnet.draw_spectrum(ax, level.arrays["eigenvalues/learned"], roots=roots, damping=learned)
figure.savefig("10_reading_coefficients.png")
