"""The trainer alone: the rate of a step, what an epoch's row says, and what twins train."""

import json

import pytest
import torch
from torch.nn import functional as F

from nets.data.order import keyed_order
from nets.fast.capture import CapturedStep
from nets.fast.fusion import exchanged
from nets.fast.levels import DenseTransfer, FusedLevel
from nets.fast.norms import FusedBatchNorm2d
from nets.models.blocks import Level
from nets.models.transfers import Transfer
from nets.training.checkpoint import load_model, save_model
from nets.training.optim import learning_rate

from .conftest import STEPS, epoch


def spied(t, look):
    """Calls look(images, targets, labels, total) after every step."""
    step = t.train_step

    def train_step(*batch):
        step(*batch)
        look(*batch)

    t.train_step = train_step
    return t


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


def test_a_validation_loss_that_is_not_finite_ends_the_run(make, monkeypatch):
    """The training loss of the epoch may have been: weights are evaluated after its last step."""
    t = make("lr=1e-3")
    monkeypatch.setattr(t, "evaluate", lambda part: (float("nan"), 0.1))
    with pytest.raises(FloatingPointError, match=r"loss is nan after step 3 \(epoch 1\)"):
        epoch(t)


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
