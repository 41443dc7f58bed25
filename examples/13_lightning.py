# %% [markdown]
"""# A Poly-MgNet in Lightning's Trainer

Lightning asks for a module with `training_step` and `configure_optimizers`; the network is one
attribute of it. `initialise` goes into the constructor, before any process is started: it sets
parameters in place, and all processes must begin alike.

Expect: about 95 % of the test images after four epochs.
"""

# %%
try:
    import lightning as L
except ModuleNotFoundError:
    raise SystemExit("this example needs Lightning: pip install lightning") from None
import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import polymgnet


class Digits(L.LightningModule):
    def __init__(self, steps):
        super().__init__()
        self.network = polymgnet.create_model("q2", width=16, levels=2, in_channels=1)
        polymgnet.initialise(self.network, size=(8, 8))
        self.steps, self.losses = steps, []

    def training_step(self, batch, index):
        images, labels = batch
        loss = F.cross_entropy(self.network(images), labels)
        self.losses.append(loss.item())
        return loss

    def test_step(self, batch, index):
        images, labels = batch
        self.log("accuracy", (self.network(images).argmax(1) == labels).float().mean())

    def configure_optimizers(self):
        optimiser = torch.optim.AdamW(self.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.01, total_steps=self.steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


# %%
torch.manual_seed(0)
data = polymgnet.load_data("digits")
images = (torch.tensor(data.images) / 255 - data.mean[0]) / data.std[0]
labels = torch.tensor(data.labels)
train, test = (TensorDataset(images[i], labels[i]) for i in (data.train, data.test))
loader = DataLoader(train, batch_size=64, shuffle=True, drop_last=True)

module = Digits(steps=4 * len(loader))
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
trainer = L.Trainer(max_epochs=4, accelerator="cpu", enable_model_summary=False, **quiet)
trainer.fit(module, loader)
(found,) = trainer.test(module, DataLoader(test, batch_size=len(test)), verbose=False)
print(f"test accuracy {found['accuracy']:.1%}")
assert found["accuracy"] > 0.9

# %%
figure, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
ax.plot(module.losses)
ax.set(xlabel="step", ylabel="training loss", title=f"test accuracy {found['accuracy']:.1%}")
figure.savefig("13_lightning.png")
