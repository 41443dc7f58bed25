"""What an evaluation counts, in which precision, and that it leaves the model as it was."""

import pytest
import torch
from torch.nn import functional as F

from nets.data.augment import normalise
from nets.fast.levels import SingleTransfer
from nets.models.transfers import Transfer


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
