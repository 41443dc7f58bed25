# %% [markdown]
"""# Export to ONNX, run without PyTorch

`Classifier` joins a network and the normalisation of its data, so that bytes go in and scores come
out: that is what is worth exporting. The batch is left free. The file, 14_onnx.onnx beside the
picture, runs in ONNX Runtime with neither PyTorch nor polymgnet.

Expect: the same scores to about 1e-5, the rounding of float32, for batches of any size.
"""

# %%
from pathlib import Path

try:
    import onnxruntime
    import onnxscript  # noqa: F401  torch.onnx.export writes with it
except ModuleNotFoundError:
    needed = "onnx onnxruntime onnxscript"
    raise SystemExit(f"this example needs ONNX: pip install {needed}") from None
import matplotlib.pyplot as plt
import numpy as np
import torch

import polymgnet

data = polymgnet.load_data("digits")
torch.manual_seed(0)
network = polymgnet.create_model("q2", width=16, levels=2, in_channels=1)  # or load(RUN)
polymgnet.initialise(network, size=(8, 8))
classifier = polymgnet.Classifier(network, mean=data.mean, std=data.std).eval()

# %%
images = torch.tensor(data.images[data.test])
program = torch.onnx.export(
    classifier,
    (images[:2],),
    input_names=["images"],
    output_names=["scores"],
    dynamic_shapes=({0: torch.export.Dim("batch")},),
    verbose=False,
)
program.save("14_onnx.onnx")

# %%
session = onnxruntime.InferenceSession("14_onnx.onnx")
with torch.no_grad():
    expected = classifier(images).numpy()
(found,) = session.run(["scores"], {"images": images.numpy()})
(one,) = session.run(["scores"], {"images": images[:1].numpy()})
difference = abs(found - expected).max()
size = Path("14_onnx.onnx").stat().st_size / 1024
print(f"{len(images)} images, {size:.0f} KiB, largest difference of a score {difference:.1e}")
assert difference < 1e-4 * abs(expected).max()
assert np.allclose(one, expected[:1], atol=1e-4)

# %%
figure, ax = plt.subplots(figsize=(4.4, 3.6), layout="constrained")
ax.plot(expected.ravel(), found.ravel(), ".", markersize=3)
ax.axline((0, 0), slope=1, color="k", linewidth=0.5)
ax.set(xlabel="score in PyTorch", ylabel="score in ONNX Runtime", aspect="equal")
ax.set_title(f"largest difference {difference:.0e}")
figure.savefig("14_onnx.png")
