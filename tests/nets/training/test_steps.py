"""Steps and epochs: the formula of a step, its options, the order of images, and where they lie."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

import nets
from nets.config import load_config
from nets.data.order import one_step_an_epoch
from nets.data.sources import load_data
from nets.models.create import create_model
from nets.models.norms import convert_ghost_batchnorm
from nets.settings import TrainSection
from nets.training.build import build
from nets.training.launch import launched_fabric
from nets.training.trainer import Trainer, memory_format

from .tiny import config


def trainer(*sets):
    c = config(*sets)
    data = load_data(c.data.name, validation=c.data.validation)
    model, _ = build(c, data)
    return Trainer(
        c, launched_fabric(c.train), convert_ghost_batchnorm(model, c.train.ghost_groups), data
    )


def test_first_step_is_the_formula():
    """Weights after one SGD step with Nesterov momentum against autograd and the definition, from
    the very batch of the epoch's order."""
    t = trainer(
        "lr=0.5",
        "precision=64",
        "schedule=constant",
        "weight_decay=0.01",
        "coefficient_lr=0.1",
        "momentum=0.9",
    )
    x, y, labels, total = next(t.batches())
    twin = nets.create_model(
        "q2", width=4, levels=2, in_channels=1, placement="relu_outside_nobn"
    ).double()
    twin.load_state_dict(t.raw.state_dict())
    F.cross_entropy(twin(x), y, label_smoothing=t.config.optim.label_smoothing).backward()
    special = {name for name, _ in twin.named_parameters() if "coefficients" in name}
    assert special
    expected = {}
    for name, p in twin.named_parameters():
        g = p.grad + (0.01 * p if p.ndim > 1 else 0)
        expected[name] = p - (0.5 * 0.1 if name in special else 0.5) * (1 + 0.9) * g
    t.train_step(x, y, labels, total)
    for name, p in t.raw.named_parameters():
        # float64, two orders of summation
        torch.testing.assert_close(p, expected[name], atol=1e-12, rtol=1e-12, msg=name)


@pytest.mark.parametrize(
    ("count", "batch", "parts", "fitting", "steps"),
    [
        *((60, 128, 1, 4, 15), (60, 60, 1, 4, 15), (60, 59, 1, 4, 15), (60, 58, 1, None, 2)),
        *((127, 128, 1, 8, 16), (33, 40, 1, 4, 8), (5, 128, 1, 2, 2), (3, 128, 1, None, 1)),
        *((64, 128, 2, 8, 8), (64, 128, 4, 8, 8), (9, 128, 4, None, 1)),
    ],
)
def test_an_epoch_of_one_step_is_told_with_a_batch_that_fits(count, batch, parts, fitting, steps):
    """Eight steps or more where there are images for them, at least two images a part."""
    section = load_config("digits", [f"batch_size={batch}", f"ghost_groups={parts}"]).train
    line = one_step_an_epoch(section, count, 1)
    if fitting is None:
        assert line == ""
        return
    assert f"batch_size is {batch} and there are {count} images" in line
    assert line.endswith(f"batch_size={fitting} makes it {steps} steps")


def test_train_says_at_once_that_an_epoch_is_one_step(tmp_path, capsys):
    sets = ["batch_size=2000", "epochs=1", "width=4", "levels=2", "tensorboard=false"]
    summary = nets.train(load_config("digits", sets), tmp_path / "run")
    (note,) = summary.notes
    assert "1295 images to train on; batch_size=128 makes it 11 steps" in note
    lines = capsys.readouterr().err.splitlines()
    assert lines.index(note) < next(k for k, line in enumerate(lines) if "epoch 1/1" in line)
    text = r"no batch of 2000 with train.last_batch=drop; a batch_size that fits is 128"
    with pytest.raises(ValueError, match=text):
        nets.train(load_config("digits", [*sets, "last_batch=drop"]), tmp_path / "other")


def test_epoch_sees_every_image_once_and_a_last_one_alone_does_not_crash():
    t = trainer("batch_size=647", "epochs=1")  # 1,295 = 2 * 647 + 1
    seen = torch.cat([samples for samples, _, _ in t.shares()])
    assert len(seen) == 1294
    assert not t.run_epoch(stop=lambda: False, tick=lambda: None, save=lambda: None)
    t = trainer("batch_size=500")
    seen = torch.cat([samples for samples, _, _ in t.shares()])
    assert torch.equal(seen.sort().values, t.train.sort().values)
    assert t.steps_per_epoch == 3
    assert trainer("batch_size=500", "last_batch=drop").steps_per_epoch == 2


def test_every_epoch_and_seed_has_its_own_order_and_partners_come_next():
    def order(epoch, *sets):
        t = trainer("batch_size=500", *sets)
        t.epoch = epoch
        samples, partners, _ = zip(*t.shares(), strict=True)
        return torch.cat(samples), torch.cat(partners)

    samples, partners = order(0)
    assert torch.equal(partners, samples.roll(-1))
    assert torch.equal(samples, order(0)[0])
    for other in (order(1)[0], order(0, "seed=1")[0]):
        assert (other != samples).double().mean() > 0.9


@pytest.mark.parametrize(
    ("device", "precision", "faster"),
    [
        *(("cpu", "32", True), ("cpu", "bf16", True), ("cpu", "64", False)),
        *(("cuda", "bf16", True), ("cuda", "32", False), ("mps", "32", False)),
    ],
)
def test_memory_format_is_as_configured_or_the_faster_one(device, precision, faster):
    network = create_model("q2", channels=(2,))
    for choice, last in (("auto", faster), (True, True), (False, False)):
        section = TrainSection(channels_last=choice, precision=precision)
        expected = torch.channels_last if last else torch.contiguous_format
        assert memory_format(section, torch.device(device), network) is expected


class Viewed(torch.nn.Module):
    """Of colour images, a view of them, and weights of five axes: what knows no NHWC."""

    def __init__(self, *, in_channels=3, num_classes=10):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1, 1, 1, 1, 1))
        self.layer = torch.nn.LazyLinear(num_classes)

    def forward(self, x):
        return self.layer((self.scale[0] * x).view(len(x), -1))


def test_a_model_of_ones_own_keeps_the_format_that_torch_has():
    """It was refused, by torch's own words, where nothing was configured."""
    c = config("data.mean=[0.5, 0.5, 0.5]", "data.std=[1, 1, 1]")
    grey = load_data(c.data.name, validation=c.data.validation)
    data = replace(grey, images=grey.images.repeat(3, axis=1))
    model = Viewed()
    model(torch.zeros(1, *data.shape))
    t = Trainer(c, launched_fabric(c.train), model, data)
    t.train_step(*next(t.batches()))
    assert t.evaluate(t.validation)[0] > 0.0


def test_images_and_weights_have_one_memory_format():
    t = trainer("width=4")
    x = next(t.batches())[0]
    weight = t.raw.levels[0].A.weight
    assert x.stride() == x.to(memory_format=torch.channels_last).stride()
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()


@pytest.mark.parametrize(
    "sets",
    [
        ["mixup=0.2", "cutmix=1"],
        ["policy=randaugment", "cutout=3", "flip=alternating"],
        ["policy=autoaugment", "pad=reflect"],
        ["channels_last=false", "precision=bf16"],
        ["ema=0.9", "clip=0.5"],
        ["optim=adamw", "lr=0.01", "schedule=step"],
        ["model=g6", "placement=null", "optim=adamw", "lr=0.01"],
        ["model=resnet20", "placement=null", "init=none", "levels=null"],
    ],
    ids=lambda sets: sets[0],
)
def test_every_option_trains(sets):
    t = trainer("batch_size=432", "epochs=1", "rotate=0", "scale=0", *sets)
    t.run_epoch(stop=lambda: False, tick=lambda: None, save=lambda: None)
    row = t.end_epoch()
    assert row["train_loss"] < 5
    assert all(math.isfinite(p.sum().item()) for p in t.raw.parameters())


def test_compiled_step_equals_eager():
    ends = []
    for compile_it in (False, True):
        t = trainer("precision=64")
        if compile_it:
            t.model = torch.compile(t.raw, backend="aot_eager")
            t.fabric.backward = lambda loss: loss.backward()
        t.train_step(*next(t.batches()))
        ends.append(t.raw.state_dict())
    for name in ends[0]:
        torch.testing.assert_close(*(end[name] for end in ends), atol=1e-10, rtol=1e-10, msg=name)


def test_images_in_host_memory_give_the_same_steps(monkeypatch):
    ends = []
    for choice in ("always", "never"):
        t = trainer(f"on_device={choice}", "crop=1", "rotate=0", "scale=0")
        if choice == "never":  # on a CPU both memories are one: take the path through rows
            monkeypatch.setattr(
                t,
                "_augmented",
                lambda s, u, t=t: t.augment.images(t.images[s], torch.arange(len(s)), u),
            )
        t.train_step(*next(t.batches()))
        ends.append(t.raw.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
