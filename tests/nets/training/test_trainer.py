"""The trainer alone: which images a step sees, in which order and with which partners, at which
rate, and what an epoch's row says."""

import dataclasses
import json

import pytest
import torch
from torch.nn import functional as F

from nets.config import load_config
from nets.data.augment import Augment, normalise
from nets.data.order import keyed_order
from nets.data.sources import load_data
from nets.fast.capture import CapturedStep
from nets.fast.fusion import exchanged
from nets.fast.levels import DenseTransfer, FusedLevel, SingleTransfer
from nets.fast.norms import FusedBatchNorm2d
from nets.models.blocks import Level
from nets.models.transfers import Transfer
from nets.training.build import build
from nets.training.checkpoint import load_model, save_model
from nets.training.launch import launched_fabric
from nets.training.optim import learning_rate
from nets.training.trainer import Trainer

SETS = [
    "width=4",
    "levels=2",
    "batch_size=500",
    "epochs=3",
    "init=xavier",
    "placement=outside",
    "precision=64",
    "optim=sgd",
]
STILL = ["crop=0", "rotate=0", "scale=0"]
STEPS = 3  # 1,295 images in batches of 500, 500 and 295


@pytest.fixture(scope="module")
def data():
    return load_data("digits")


@pytest.fixture
def make(data):
    """make(*sets) -> a trainer at its first step, on the CPU in float64."""

    def made(*sets):
        config = load_config("digits", [*SETS, *sets])
        return Trainer(config, launched_fabric(config.train), build(config, data)[0], data)

    return made


def epoch(t):
    assert not t.run_epoch(stop=lambda: False, tick=lambda: None, save=lambda: None)
    return t.end_epoch()


def spied(t, look):
    """Calls look(images, targets, labels, total) after every step."""
    step = t.train_step

    def train_step(*batch):
        step(*batch)
        look(*batch)

    t.train_step = train_step
    return t


# which images
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("world", "rank"), [(1, 0), (2, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize(("seed", "number"), [(0, 0), (0, 1), (1, 0), (2**40, 7)])
def test_batches_are_the_keyed_order_cut_into_pieces(make, seed, number, world, rank):
    """Batch k is order[500 k : 500 (k + 1)], a rank's share a contiguous part of it, and the
    partner of order[i] is order[i + 1]."""
    t = make(f"seed={seed}")
    t.epoch, t.world, t.rank = number, world, rank
    order = keyed_order(t.train, seed=seed, epoch=number).tolist()
    follower = dict(zip(order, [*order[1:], order[0]], strict=True))
    for k, (samples, partners, total) in enumerate(t.shares()):
        piece = order[500 * k : 500 * (k + 1)]
        assert total == len(piece)
        share = torch.tensor(piece).tensor_split(world)[rank].tolist()
        assert samples.tolist() == share
        assert partners.tolist() == [follower[i] for i in share]
    assert k + 1 == STEPS
    assert [total for *_, total in t.batches()] == [500, 500, 295]
    assert t.within == 0


def test_orders_of_epochs_and_seeds_have_nothing_in_common(make):
    """Two random permutations of n agree in one place on average; 12 in common has a probability
    below 1e-9."""
    orders = []
    for seed, number in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
        t = make(f"seed={seed}")
        t.epoch = number
        orders.append(torch.cat([samples for samples, _, _ in t.shares()]))
    for i, one in enumerate(orders):
        assert torch.equal(one.sort().values, orders[0].sort().values)
        assert all((one == other).sum() < 12 for other in orders[:i])


def test_training_goes_from_epoch_to_epoch_and_goes_on_inside_one(make):
    t, seen = make("seed=5"), []
    batch = t.batch
    t.batch = lambda samples, partners: seen.append(samples) or batch(samples, partners)
    for number in range(2):
        epoch(t)
        assert torch.equal(torch.cat(seen), keyed_order(t.train, seed=5, epoch=number))
        assert (t.epoch, t.within, t.step) == (number + 1, 0, STEPS * (number + 1))
        seen.clear()
    t.within = 1
    assert torch.equal(
        torch.cat([samples for samples, _, _ in t.shares()]),
        keyed_order(t.train, seed=5, epoch=2)[500:],
    )


@pytest.mark.parametrize(
    "sets",
    [["crop=2", "cutout=3"], ["policy=randaugment"], ["mixup=0.2", "cutmix=1"]],
    ids=lambda sets: sets[0],
)
@pytest.mark.parametrize("within", [0, 1])
def test_batches_augmented_together_are_those_augmented_one_by_one(make, sets, within):
    """As on a GPU, where several batches are augmented at once: equal in every bit, wherever the
    epoch goes on."""
    found = []
    for ahead in (1, 2, 5):
        t = make("batch_size=300", "seed=3", *sets)  # 1,295 images: four full batches and one of 95
        t.ahead, t.within = ahead, within
        found.append(list(t.batches()))
    for other in found[1:]:
        assert (
            [total for *_, total in other]
            == [total for *_, total in found[0]]
            == [300] * (4 - within) + [95]
        )
        for one, another in zip(found[0], other, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one[:3], another[:3], strict=True))


def test_images_are_drawn_by_seed_epoch_and_sample(make, data):
    samples = torch.from_numpy(data.train[:50])
    found = {}
    for seed, number in ((0, 0), (0, 3), (4, 0)):
        t = make(f"seed={seed}", "crop=2", "rotate=0", "scale=0")
        t.epoch = number
        found[seed, number], target = t.batch(samples, samples.roll(-1))
        by_hand = Augment(seed=seed, classes=10, mean=data.mean, std=data.std, crop=2)
        assert torch.equal(
            found[seed, number],
            by_hand.images(
                torch.from_numpy(data.images), samples, by_hand.draws(samples, number)
            ).double(),
        )
        assert target.tolist() == data.labels[data.train[:50]].tolist()
    assert all(not torch.equal(found[0, 0], found[key]) for key in ((0, 3), (4, 0)))


def test_mixed_targets_say_how_much_of_which_image_is_in_the_mixture(make, data):
    t = make("mixup=1", *STILL)
    samples, partners, _ = next(t.shares())
    x, target = t.batch(samples, partners)
    plain = (torch.from_numpy(data.images).double() / 255 - data.mean[0]) / data.std[0]
    labels = torch.from_numpy(data.labels)
    differ = labels[samples] != labels[partners]
    share = target.gather(1, labels[samples][:, None])[differ]
    torch.testing.assert_close(target.gather(1, labels[partners][:, None])[differ], 1 - share)
    share = share[..., None, None]
    expected = share * plain[samples][differ] + (1 - share) * plain[partners][differ]
    # images and shares are made in float32
    torch.testing.assert_close(x[differ], expected, rtol=0, atol=3e-6)
    # Beta(1, 1) is uniform: the share is the draw itself, another one in every epoch
    for number in (0, 2):
        t.epoch = number
        share = t.batch(samples, partners)[1].gather(1, labels[samples][:, None])[differ, 0]
        torch.testing.assert_close(
            share.float(), t.augment.draws(samples, number)["mix"][differ], rtol=0, atol=1e-6
        )


# steps
# ------------------------------------------------------------------------------------------


def test_every_step_has_the_rate_of_its_number(make):
    t = make("schedule=linear", "warmup=1", "lr=0.2", "coefficient_lr=0.25")
    section, rates = t.config.optim, []
    spied(t, lambda *_: rates.append({g["name"]: g["lr"] for g in t.optimizer.param_groups}))
    lines = [epoch(t) for _ in range(3)]
    expected = [learning_rate(section, k, steps=9, steps_per_epoch=STEPS) for k in range(9)]
    assert expected == pytest.approx([0.05, 0.1, 0.15, *(0.2 * (1 - k / 6) for k in range(6))])
    for rate, lr in zip(rates, expected, strict=True):
        assert rate == pytest.approx({"weights": lr, "norms": lr, "coefficients": 0.25 * lr})
    assert [line["lr"] for line in lines] == pytest.approx(expected[STEPS - 1 :: STEPS])


def test_what_a_module_draws_is_that_of_the_seed_the_step_and_the_rank(make):
    """As of a dropout, whatever was drawn before; no two are equal."""

    def drawn(seed, step, rank):
        t = trainers[seed]
        t.step, t.rank, t.world, found = step, rank, 2, []
        hook = t.model.register_forward_pre_hook(lambda *_: found.append(torch.rand(()).item()))
        t.train_step(*next(t.batches()))
        hook.remove()
        return found[0]

    with torch.random.fork_rng(devices=[]):
        trainers = {seed: make(f"seed={seed}") for seed in (0, 1, 2**40)}
        addresses = [(0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0), (2**40, 0, 0)]
        first = [drawn(*one) for one in addresses]
        assert first == [drawn(*one) for one in addresses]
    assert len(set(first)) == len(addresses)


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_the_last_smaller_batch_counts_its_own_images(make, clip):
    """Without momentum and decay a step is -lr times the gradient of the mean over the batch, cut
    to norm `clip`."""
    t = make(
        "momentum=0",
        "nesterov=false",
        "weight_decay=0",
        "lr=0.5",
        "schedule=constant",
        "coefficient_lr=1",
        f"clip={clip}",
    )
    x, y, labels, total = list(t.batches())[-1]
    assert total == len(x) == 295
    assert torch.equal(labels, y)
    before = {name: p.detach().clone() for name, p in t.raw.named_parameters()}
    loss = F.cross_entropy(t.raw(x), y, label_smoothing=0.1)
    gradients = dict(zip(before, torch.autograd.grad(loss, list(t.raw.parameters())), strict=True))
    norm = torch.stack([g.norm() for g in gradients.values()]).norm().item()
    assert norm > 0.01
    factor = clip / norm if clip else 1.0
    t.train_step(x, y, labels, total)
    for name, p in t.raw.named_parameters():
        # clipping adds 1e-6 to the norm it divides by
        torch.testing.assert_close(
            p,
            before[name] - 0.5 * factor * gradients[name],
            rtol=1e-10,
            atol=1e-6 if clip else 1e-12,
            msg=name,
        )


def test_row_is_the_mean_over_the_epochs_images_as_they_were_trained_on(make):
    """Loss (smoothed, before each update) and hits of the epoch alone, summed over 1,295 images,
    not averaged over batches."""
    t = make("lr=0.3")
    scores, seen = [], []
    t.eager.register_forward_hook(
        lambda model, _, out: scores.append(out.detach()) if model.training else None
    )
    spied(t, lambda x, target, labels, total: seen.append(labels))
    for number in (1, 2):
        row = epoch(t)
        labels, found = torch.cat(seen), torch.cat(scores)
        assert torch.equal(labels, t.labels[keyed_order(t.train, seed=0, epoch=number - 1)])
        assert len(found) == 1295
        assert row["train_loss"] == pytest.approx(
            F.cross_entropy(found, labels, label_smoothing=0.1).item(), rel=1e-12
        )
        assert row["train_accuracy"] == pytest.approx(
            (found.argmax(1) == labels).double().mean().item(), rel=1e-12
        )
        assert (row["epoch"], row["step"]) == (number, STEPS * number)
        assert t.rows[-1] is row
        scores.clear()
        seen.clear()


def test_hits_of_mixed_images_are_those_of_the_first_image(make):
    t = make("cutmix=1")
    scores = []
    t.eager.register_forward_hook(lambda _, __, out: scores.append(out.detach()))
    samples, _, total = next(t.shares())
    t.train_step(*next(t.batches()))
    assert t.sums["hits"] == (scores[0].argmax(1) == t.labels[samples]).sum()
    assert t.sums["seen"] == total == 500


# evaluation
# ------------------------------------------------------------------------------------------


def test_a_partner_is_augmented_as_it_is_by_itself(make):
    """Mixed images are s of the one and 1 - s of the other as an epoch without mixing has them."""
    mixing, plain = make("mixup=1"), make()
    samples, partners, _ = next(mixing.shares())
    x, target = mixing.batch(samples, partners)
    (own, labels), (other, others) = (plain.batch(part, part) for part in (samples, partners))
    apart = labels != others
    share = target.gather(1, labels[:, None])[:, :, None, None]
    torch.testing.assert_close(x[apart], (other + share * (own - other))[apart], rtol=0, atol=1e-5)


def test_a_length_that_no_step_was_trained_with_is_forgotten(make):
    """A run of 3 epochs is made 5 long at step 4, and 9 before it has gone on from there."""
    t = make("epochs=9")
    state = t.state()
    state.info.update(step=4, lengths=[[0, 3], [4, 5]])
    t.restore(state)
    assert t.lengths == [[0, 3], [4, 9]]
    state.info.update(step=5)
    t.restore(state)
    assert t.lengths == [[0, 3], [4, 5], [5, 9]]


def test_every_step_enters_the_mean_of_weights(make):
    """d w_ema + (1 - d) w behind each of them, d = (1 + n)/(10 + n) after n."""
    t, name = make("ema=0.9", "lr=0.1"), "stem.weight"
    mean, *seen = [t.raw.state_dict()[name].clone()]
    spied(t, lambda *batch: seen.append(t.raw.state_dict()[name].clone()))
    epoch(t)
    assert len(seen) == STEPS
    for n, weights in enumerate(seen):
        mean = ((1 + n) * mean + 9 * weights) / (10 + n)
    torch.testing.assert_close(t.ema.weights[name], mean, rtol=1e-12, atol=0)


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_evaluation_leaves_the_model_as_it_was(make, ema):
    t = make(f"ema={ema}")
    t.model.train()
    t.train_step(*next(t.batches()))
    before = {name: value.clone() for name, value in t.raw.state_dict().items()}
    loss, accuracy = t.evaluate(t.validation)
    assert t.raw.training
    assert all(torch.equal(value, before[name]) for name, value in t.raw.state_dict().items())
    counted = t.ema.weights if ema else before
    assert (loss, accuracy) == t.evaluate(t.validation, counted)
    if ema:
        assert loss != t.evaluate(t.validation, before)[0]
    t.raw.eval()
    t.evaluate(t.validation)
    assert not t.raw.training
    t.raw.train()
    t.images = t.images.expand(-1, 2, -1, -1)  # the forward pass fails
    with pytest.raises(RuntimeError, match="channels"):
        t.evaluate(t.validation, counted)
    assert t.raw.training
    assert all(torch.equal(value, before[name]) for name, value in t.raw.state_dict().items())


def test_evaluation_counts_every_image_once_whatever_the_pieces(make, data, monkeypatch):
    t = make()
    loss, accuracy = t.evaluate(t.test)
    x = (torch.from_numpy(data.images[data.test]).double() / 255 - data.mean[0]) / data.std[0]
    labels = torch.from_numpy(data.labels[data.test])
    with torch.no_grad():
        scores = t.raw.eval()(x)
    # images are normalised in float32
    assert loss == pytest.approx(F.cross_entropy(scores, labels).item(), rel=1e-6)
    assert accuracy == (scores.argmax(1) == labels).double().mean().item()
    monkeypatch.setattr("nets.training.trainer.EVAL_BATCH", 37)
    assert t.evaluate(t.test) == (pytest.approx(loss, rel=1e-12), accuracy)
    assert t.evaluate(t.test[:0]) == (None, None)


@pytest.mark.parametrize("first", [1, 2])
def test_the_first_bad_loss_is_the_one_that_is_named(make, first):
    t = make("lr=1e-3")
    good = [p.detach().clone() for p in t.raw.parameters()]
    batch = next(t.batches())
    for poison in (first == 1, True, False, True):
        with torch.no_grad():
            for p, kept in zip(t.raw.parameters(), good, strict=True):
                p.copy_(kept)
            if poison:
                t.raw.fc.bias.fill_(float("inf"))
        t.train_step(*batch)
    t.step = 3 * STEPS
    with pytest.raises(FloatingPointError, match=rf"not finite at step {first} \(epoch 1\)"):
        t.check_finite()


def test_one_image_alone_makes_no_batch(data):
    for count, sets, steps in (
        (5, [], 2),
        (5, ["batch_size=3"], 2),
        (5, ["batch_size=3", "last_batch=drop"], 1),
        (7, ["batch_size=4"], 2),
        (7, ["batch_size=4", "ghost_groups=2"], 1),  # 2 and 1
    ):
        few = dataclasses.replace(data, train=data.train[:count])
        config = load_config("digits", [*SETS, "batch_size=2", *sets])
        assert (
            Trainer(
                config, launched_fabric(config.train), build(config, few)[0], few
            ).steps_per_epoch
            == steps
        )


def test_ranks_agree_on_a_stop_every_16_steps_and_where_they_are_told_to(make):
    """All at the same steps, whichever of them is asked; between them none waits for another."""
    t, asked = make(), []
    t.world, t._reduced = 2, lambda value: asked.append(t.step) or float(value)
    for t.step in range(40):
        assert t.agreed(lambda: True) == (t.step % 16 == 0)
    assert asked == [0, 16, 32]
    assert t.agreed(lambda: True, now=True)
    assert not t.agreed(lambda: False, now=True)


def test_a_captured_step_sees_where_sums_are_and_what_a_state_replaced(make):
    """The sums stay where they are; after going back to a state the step is captured anew, as the
    optimiser's tensors are new ones."""
    t = make()
    lines = []
    t.captured = before = CapturedStep(report=lines.append)
    places = {name: value.data_ptr() for name, value in t.sums.items()}
    t.captured = None  # on a CPU nothing can be captured
    epoch(t)
    assert {name: value.data_ptr() for name, value in t.sums.items()} == places
    assert (t.sums["seen"], t.sums["bad"]) == (0, -1)
    t.train_step(*next(t.batches()))
    state = t.state()
    t.captured = before
    t.restore(state)
    assert t.captured is not None
    assert t.captured is not before
    assert t.captured.report == lines.append
    assert {name: value.data_ptr() for name, value in t.sums.items()} == places
    assert t.sums["seen"] == 500


def test_the_position_moves_with_every_step_and_not_with_the_block(make):
    """Also where a save or a stop looks at it, and in an epoch that goes on inside."""
    for start, expected in ((0, [1, 2, 3, 4, 5]), (3, [4, 5])):
        t, seen = make("batch_size=300", "checkpoint_steps=1"), []
        t.ahead, t.within = 5, start
        next(t.batches())
        assert t.within == start  # nothing is trained yet
        saved = []
        assert not t.run_epoch(
            stop=lambda t=t, seen=seen: seen.append(t.within) is not None,
            tick=lambda: None,
            save=lambda t=t, saved=saved: saved.append(t.within),
        )
        assert seen == saved == expected[:-1]  # the end of an epoch is not inside of it
        assert t.within == expected[-1]
        t, seen = make("batch_size=300"), []
        t.ahead, t.within = 5, start
        assert t.run_epoch(stop=lambda: True, tick=lambda: None, save=lambda: None)
        assert t.within == start + 1
        assert [len(x) for x, *_ in t.batches()] == [300, 300, 300, 95][start:]


def test_rows_are_json_where_rates_are_tensors(make):
    t = make("lr=0.1", "schedule=constant")
    for group in t.optimizer.param_groups:
        group["lr"] = torch.tensor(0.1)
    t.train_step(*list(t.batches())[-1])
    row = t.end_epoch()
    assert json.loads(json.dumps(row))["lr"] == pytest.approx(0.1)


# twins
# ------------------------------------------------------------------------------------------


def test_a_twin_trains_and_the_model_as_it_is_written_is_kept(make, monkeypatch, tmp_path):
    """As on a GPU, where norms, levels and transfers are exchanged and compiled: the numbers are
    those of the plain step to rounding, and weights, means, states and files are the model's."""
    # five equal batches: each size is compiled anew; a step fewer is compiled quicker
    sets = ["ema=0.5", "lr=0.1", "placement=regular", "batch_size=259", "model.options.steps=[1,2]"]
    plain = make(*sets)
    expected = epoch(plain)
    swaps = {
        Transfer: DenseTransfer,
        Level: FusedLevel,
        torch.nn.BatchNorm2d: FusedBatchNorm2d,
    }
    monkeypatch.setattr(
        "nets.training.trainer.prepare", lambda model, device, **_: exchanged(model, swaps)
    )
    monkeypatch.setattr(
        "nets.training.trainer.compiled",
        lambda model, mode: torch.compile(model, backend="aot_eager", dynamic=False),
    )
    t = make(*sets, "compile=true")
    found = epoch(t)
    for key in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        assert found[key] == pytest.approx(expected[key], rel=1e-6), key
    one, other = t.state().tensors, plain.state().tensors
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-6, atol=1e-8, msg=name)
    assert {type(module) for module in t.raw.modules()} == {type(m) for m in plain.raw.modules()}
    assert t.eager is not t.raw
    assert t.raw.training
    assert t.eager.training
    save_model(tmp_path / "model.safetensors", t.raw)
    read = load_model(tmp_path / "model.safetensors")
    assert [type(m) for m in read.modules()] == [type(m) for m in plain.raw.modules()]
    assert all(torch.equal(v, t.raw.state_dict()[k]) for k, v in read.state_dict().items())


def test_evaluation_in_half_precision_is_the_twins(make):
    t = make("precision=bf16")
    assert isinstance(t.eager.transfers[0], SingleTransfer)
    assert type(t.raw.transfers[0]) is Transfer
    loss, _ = t.evaluate(t.validation)
    assert t.eager.training
    x = normalise(t.images[t.validation], t.augment.mean, t.augment.std)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        scores = t.eager.eval()(x)
    expected = F.cross_entropy(scores.float(), t.labels[t.validation]).item()
    assert loss == pytest.approx(expected, rel=1e-6)
