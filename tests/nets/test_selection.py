"""Selection: validation alone chooses, the test part is looked at once, and the weights that
counted are those that are saved."""

import csv

import pytest
import torch
from torch.nn import functional as F

import nets
from nets.config import load_config
from nets.data.sources import load_data
from nets.training.checkpoint import Checkpoints, load_model
from nets.training.trainer import Trainer

SETS = [
    "width=4",
    "levels=2",
    "placement=regular",
    "init=chebyshev4",
    "validation=0.6",
    "batch_size=200",
    "epochs=3",
    "tensorboard=false",
]
SETS += ["optim=sgd", "lr=0.3", "schedule=constant"]
STEPS = 9  # 575 images, three batches an epoch


@pytest.fixture(scope="module")
def data():
    return load_data("digits", validation=0.6)


def run(out, *sets, **options):
    return nets.train(load_config("digits", [*SETS, *sets]), out, progress=False, **options)


def rows(out):
    with (out / "metrics.csv").open() as handle:
        return list(csv.DictReader(handle))


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def scored(model, data, part):
    """(mean cross-entropy, accuracy) on the images of a part as they are, in the model's
    precision."""
    dtype = next(model.parameters()).dtype
    x = ((torch.from_numpy(data.images[part]).double() / 255 - data.mean[0]) / data.std[0]).to(
        dtype
    )
    labels = torch.from_numpy(data.labels[part])
    with torch.no_grad():
        scores = model.eval()(x).double()
    return (
        F.cross_entropy(scores, labels).item(),
        (scores.argmax(1) == labels).double().mean().item(),
    )


@pytest.fixture
def looks(monkeypatch):
    """Every evaluation: the step it was made after, and the images it looked at."""
    seen, evaluate = [], Trainer.evaluate

    def spy(self, indices, weights=None):
        seen.append((self.step, indices.tolist()))
        return evaluate(self, indices, weights)

    monkeypatch.setattr(Trainer, "evaluate", spy)
    return seen


@pytest.mark.parametrize(
    "sets", [["select=last"], ["select=best"], ["select=best", "ema=0.5"]], ids=" ".join
)
def test_validation_after_every_epoch_and_the_test_part_once_at_the_end(
    tmp_path, looks, data, sets
):
    run(tmp_path / "run", *sets)
    validation, test = data.validation.tolist(), data.test.tolist()
    assert looks == [(3, validation), (6, validation), (9, validation), (9, test)]
    looks.clear()
    assert not run(tmp_path / "parts", *sets, stop=lambda: True).finished
    while not run(tmp_path / "parts", *sets, resume=True, stop=lambda: len(looks) == 1).finished:
        pass
    # a stopped and resumed run looks no more often
    assert looks == [(3, validation), (6, validation), (9, validation), (9, test)]
    run(tmp_path / "parts", *sets, resume=True)
    assert len(looks) == 4


def test_without_validation_images_the_test_part_does_not_stand_in(tmp_path, looks):
    data = load_data("digits", validation=0)
    summary = run(tmp_path / "run", "validation=0", "batch_size=720", "epochs=1")
    assert looks == [(2, []), (2, data.test.tolist())]
    assert summary.val_accuracy is None
    assert {row["val_accuracy"] for row in rows(tmp_path / "run")} == {""}


def test_numbers_are_those_of_the_parts_they_are_named_after(tmp_path, data):
    summary = run(tmp_path / "run", "precision=64")
    model = nets.load(tmp_path / "run")
    losses = {}
    for name, part in (("val", data.validation), ("test", data.test)):
        losses[name], accuracy = scored(model, data, part)
        # images are normalised in float32
        assert getattr(summary, f"{name}_loss") == pytest.approx(losses[name], rel=1e-6)
        assert getattr(summary, f"{name}_accuracy") == pytest.approx(accuracy, rel=1e-12)
    assert abs(losses["val"] - losses["test"]) > 1e-2  # else the two could be swapped
    last = rows(tmp_path / "run")[-1]
    assert (float(last["val_loss"]), float(last["train_loss"])) == (
        summary.val_loss,
        summary.train_loss,
    )


@pytest.mark.parametrize("ema", [0.0, 0.6])
def test_the_mean_of_weights_is_evaluated_and_saved_where_there_is_one(tmp_path, data, ema):
    out = tmp_path / "run"
    summary = run(out, f"ema={ema}", "precision=64")
    state = Checkpoints(out / "checkpoint").load()
    saved, live = nets.load(out).state_dict(), state.part("model")
    assert same(saved, state.part("ema") if ema else live)
    assert same(saved, live) is not bool(ema)
    assert summary.val_loss == pytest.approx(
        scored(nets.load(out), data, data.validation)[0], rel=1e-6
    )
    if ema:
        assert saved["stem_norm.num_batches_tracked"] == STEPS
        model = nets.load(out)
        model.load_state_dict(live)
        # the live weights score otherwise
        assert abs(summary.val_loss - scored(model, data, data.validation)[0]) > 1e-2


# (accuracy, loss) on validation after each epoch, and the epoch that is best: the larger accuracy,
# then the smaller loss, then the earlier
SCRIPTS = {
    "accuracy": ([(0.2, 2.0), (0.5, 1.5), (0.4, 1.0)], 2),
    "loss": ([(0.5, 1.5), (0.5, 1.2), (0.5, 1.3)], 2),
    "earlier": ([(0.5, 1.0), (0.5, 1.0), (0.3, 0.5)], 1),
    "last": ([(0.1, 1.0), (0.2, 3.0), (0.3, 4.0)], 3),
}


@pytest.fixture
def scripted(monkeypatch):
    """scripted(script) -> list of the weights after each epoch; validation then says what the
    script says."""

    def patch(script):
        kept, evaluate = [], Trainer.evaluate

        def told(self, indices, weights=None):
            if not torch.equal(indices, self.validation):
                return evaluate(self, indices, weights)
            source = self.ema.weights if self.ema else self.raw.state_dict()
            kept.append({name: value.clone() for name, value in source.items()})
            return script[len(kept) - 1][::-1]

        monkeypatch.setattr(Trainer, "evaluate", told)
        return kept

    return patch


@pytest.mark.parametrize(
    ("name", "ema", "stopped"),
    [
        ("accuracy", 0, False),
        ("accuracy", 0.5, False),
        ("accuracy", 0, True),
        ("loss", 0, False),
        ("earlier", 0.5, True),
        ("last", 0, False),
    ],
)
def test_the_best_epochs_weights_are_saved_and_tested(tmp_path, data, scripted, name, ema, stopped):
    script, best = SCRIPTS[name]
    kept, out, sets = scripted(script), tmp_path / "run", ["select=best", f"ema={ema}"]
    if stopped:  # between the second epoch and the third, the best lives in the checkpoint alone
        assert not run(out, *sets, stop=lambda: len(kept) == 2).finished
    summary = run(out, *sets, resume=stopped)
    assert len(kept) == 3
    assert not any(same(kept[i], kept[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert summary.best_epoch == best
    assert same(load_model(out / "model.safetensors").state_dict(), kept[best - 1])
    assert (summary.val_accuracy, summary.val_loss) == script[best - 1]
    assert summary.train_loss == float(rows(out)[best - 1]["train_loss"])
    loss, accuracy = scored(nets.load(out), data, data.test)
    assert summary.test_loss == pytest.approx(loss, rel=1e-4)  # float32
    # one image may sit on the boundary
    assert summary.test_accuracy == pytest.approx(accuracy, abs=1.1 / len(data.test))


def test_the_last_epochs_weights_where_nothing_is_selected(tmp_path, scripted):
    script, _ = SCRIPTS["accuracy"]
    kept = scripted(script)
    summary = run(tmp_path / "run", "select=last")
    assert summary.best_epoch == 3
    assert (summary.val_accuracy, summary.val_loss) == script[2]
    assert same(nets.load(tmp_path / "run").state_dict(), kept[2])
    assert not Checkpoints(tmp_path / "run" / "checkpoint").load().part("best")


# what is not finite is not saved
# ------------------------------------------------------------------------------------------


def test_a_bad_loss_noted_on_the_device_stops_the_next_save(tmp_path, monkeypatch):
    """As on an accelerator, where the host looks at the mark only when it saves: weights are
    finite, the mark alone speaks."""
    agreed = Trainer.agreed

    def marked(self, stop, **options):
        if self.step == 2:
            self.sums["bad"].fill_(1)
        return agreed(self, stop, **options)

    monkeypatch.setattr(Trainer, "agreed", marked)
    with pytest.raises(FloatingPointError, match=r"not finite at step 2 \(epoch 1\)"):
        run(tmp_path / "run", "checkpoint_steps=1")
    assert [path.name for path in Checkpoints(tmp_path / "run" / "checkpoint").files()] == [
        "step-000000001.safetensors"
    ]


@pytest.mark.parametrize("part", ["validation", "test"])
def test_scores_that_are_not_finite_leave_no_model(tmp_path, monkeypatch, part):
    evaluate = Trainer.evaluate

    def broken(self, indices, weights=None):
        loss, accuracy = evaluate(self, indices, weights)
        return (float("nan") if torch.equal(indices, getattr(self, part)) else loss), accuracy

    monkeypatch.setattr(Trainer, "evaluate", broken)
    with pytest.raises(FloatingPointError, match=f"the {part} loss is nan"):
        run(tmp_path / "run", "epochs=1")
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert not (tmp_path / "run" / "summary.json").exists()
    monkeypatch.undo()
    assert run(tmp_path / "run", "epochs=1", resume=True).finished


# seeds
# ------------------------------------------------------------------------------------------


def test_the_seed_draws_the_start_and_leaves_the_split_alone(tmp_path, looks):
    starts = []
    for name, seed in (("a", 0), ("b", 1), ("c", 0)):
        run(tmp_path / name, f"seed={seed}", "epochs=1", "init=uniform")
        starts.append(load_model(tmp_path / name / "start.safetensors").state_dict())
    assert same(starts[0], starts[2])
    drawn = [
        name
        for name in starts[0]
        if name.endswith("A.weight")
        or "coefficients" in name
        or name in ("stem.weight", "fc.weight")
    ]
    assert len(drawn) == 2 * 3 + 2  # A and two coefficients a level, the first and the last layer
    for key in drawn:
        assert not torch.equal(starts[0][key], starts[1][key]), key
    assert looks[:2] == looks[2:4] == looks[4:]
    run(tmp_path / "d", "epochs=1", "split_seed=1")
    assert looks[6] != looks[0]
    assert looks[7] == looks[1]  # the test part is fixed
