# %% [markdown]
"""# Reading learned coefficients

The two steps of a level of q2 are q(t) = (1 - w₁ t)(1 - w₂ t) in its convolution A, roots 1/w₁ and
1/w₂. They start equal, with one max |q| = M for all levels on the disc of radius b that holds the
eigenvalues of A; M is fitted to the size of the features that the classifier reads. After training,
`analyse` measures what became of the roots on the spectrum of the learned A.

They can be read only where no batch norm follows the step: a norm divides the size of w out.
Expect: the same q(-b) > 1 on both levels at the start; a weight times 10 changes nothing with a
norm behind it, and much without.
"""

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import polymgnet

changes = ["width=8", "levels=2", "epochs=2", "batch_size=64", "lr=0.01", "coefficient_lr=2"]
with tempfile.TemporaryDirectory() as folder:
    run = Path(folder, "run")
    config = polymgnet.load_config("digits", [*changes, "tensorboard=false"])
    polymgnet.train(config, run, progress=False)
    report = polymgnet.analyse(run)
    model = polymgnet.load(run)

# %% [markdown]
# b is the spectral radius of A, so that roots / b says where a root lies on the spectrum.
# %%
for level, network in zip(report.levels, model.levels):
    b, q = {}, {}
    for role in ("start", "learned"):
        b[role], q[role] = level.operators[role].radius, level.views[role].polynomial
        roots = q[role].roots.real / b[role]
        print(f"level {level.level}, {role:7}  b {b[role]:.3f}  roots / b {roots.round(3)}")
    assert abs(network.polynomial().roots - q["learned"].roots).max() < 1e-6
    assert not level.not_identifiable
first, second = (x.views["start"].polynomial(-x.operators["start"].radius) for x in report.levels)
assert first.real > 1 > 1e5 * abs(second / first - 1)


# %% [markdown]
# What a norm behind the step does to w: the output of a fresh network, before and after w is 10 w.
# %%
def change(placement):
    torch.manual_seed(0)
    model = polymgnet.create_model("q2", width=8, in_channels=1, placement=placement)
    step, images = model.levels[0].steps[0], torch.rand(16, 1, 8, 8)
    with torch.no_grad():
        before = model(images)
        for w in step.coefficients.parameters():
            w *= 10
        return float((model(images) - before).norm() / before.norm())


changes = {placement: change(placement) for placement in ("regular", "relu_outside_nobn")}
print("output changes by", *(f"{value:.0e} ({placement})" for placement, value in changes.items()))
assert changes["regular"] < 1e-3 < 0.05 < changes["relu_outside_nobn"]

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 4.4), layout="constrained")
for ax, level in zip(axes, report.levels):
    roots = {role: level.views[role].polynomial.roots for role in ("start", "learned")}
    eigenvalues, q = level.arrays["eigenvalues/learned"], level.views["learned"].polynomial
    polymgnet.draw_spectrum(ax, eigenvalues, roots=roots, damping=("learned", q), legend=False)
    ax.set_title(f"level {level.level}")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
figure.savefig("10_reading_coefficients.png")
