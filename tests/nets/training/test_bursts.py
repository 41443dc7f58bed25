"""Bursts of the gradient: the run that showed them, and runs that are none."""

import nets
from nets.config import load_config
from nets.training import run as running
from nets.training.bursts import bursts

# training loss and accuracy of q4 on CIFAR-10 at 16 x 16, SGD at 0.1 unclipped: its epochs 1 to 6
BURST = [
    *(
        (1.953, 0.322),
        (1.813, 0.388),
        (1.728, 0.428),
        (1.859, 0.362),
        (1.786, 0.398),
        (1.704, 0.439),
    )
]


def rows(pairs):
    return [
        {"epoch": i, "lr": 0.1, "train_loss": loss, "train_accuracy": accuracy}
        for i, (loss, accuracy) in enumerate(pairs, 1)
    ]


def told(pairs, **options):
    return list(bursts(rows(pairs), **({"clip": 0.0, "images": 45_000, "classes": 10} | options)))


def test_the_epoch_in_which_training_fell_back_is_named():
    (line,) = told(BURST)
    assert "in epoch 4, from 42.8 to 36.2 % of its images" in line
    assert "clipping it (optim.clip=2, say)" in line
    (line,) = told(BURST, clip=5.0)
    assert "a smaller optim.clip (it is 5)" in line
    assert line.endswith("may prevent one")  # AdamW at 0.8 fell back as much under a clip of 0.1


def test_one_line_for_many_bursts_and_none_for_ordinary_training():
    assert len(told([*BURST, *BURST])) == 1
    assert not told(BURST[:3] + BURST[4:])  # smaller again, but by three points
    assert not told([(0.50, 0.90), (0.49, 0.80)])  # more are wrong, by a smaller loss
    assert not told([(0.50, 0.80), (0.60, 0.90)])
    assert not told([])
    fall = [(0.64, 0.70), (0.73, 0.55)]
    assert told(fall, images=1000)
    assert not told(fall, images=20)  # three images
    # three standard deviations of the difference of two parts of 100, sqrt(1/200) each at most
    assert told([(0.64, 0.70), (0.73, 0.70 - 0.213)], images=100)
    assert not told([(0.64, 0.70), (0.73, 0.70 - 0.211)], images=100)
    assert not told(BURST[:1])


def test_the_first_epoch_of_a_run_that_is_made_longer_is_none():
    """The digits at a rate of 1: a cosine came down in 6 epochs and rose again for 24."""
    ended = {"epoch": 6, "lr": 1.8e-4, "train_loss": 1.317, "train_accuracy": 0.664}
    rose = {"epoch": 7, "lr": 0.998, "train_loss": 1.531, "train_accuracy": 0.539}
    options = {"clip": 0.0, "images": 1295, "classes": 10}
    assert not list(bursts([ended, rose], **options))
    assert list(bursts([ended | {"lr": 0.998 / 4}, rose], **options))  # as a warm-up rises


def test_a_test_loss_of_single_images_is_told_from_one_of_guessing():
    (line,) = told(BURST[:1], test_loss=1062.8, test_accuracy=0.6)
    assert line.startswith(
        "the mean test loss is 1.06e+03, where to guess costs 2.30, though 60.0 %"
    )
    assert "immense, perhaps on few images alone" in line  # a mean does not say on how many
    assert not told(BURST[:1], test_loss=5.0, test_accuracy=0.6)  # too sure of itself, no more
    assert not told(BURST[:1], test_loss=1062.8, test_accuracy=0.1)  # nothing was learned at all
    assert not told(BURST[:1], test_loss=None, test_accuracy=None)  # no test part


def test_a_run_notes_them_at_its_end(tmp_path, monkeypatch, capsys):
    seen = {}

    def told(rows, **found):
        seen.update(found, epochs=[row["epoch"] for row in rows])
        yield "training fell back"

    monkeypatch.setattr(running, "bursts", told)
    sets = ["width=4", "levels=2", "batch_size=512", "epochs=2", "tensorboard=false", "clip=3"]
    summary = nets.train(load_config("digits", sets), tmp_path / "run", progress=True)
    assert summary.notes == ["training fell back"]
    assert "training fell back" in capsys.readouterr().err
    assert (seen["epochs"], seen["clip"], seen["classes"]) == ([1, 2], 3, 10)
    assert seen["images"] == 1295  # of 1,797, less the parts to test and validate on
    assert seen["test_loss"] == summary.test_loss
    assert seen["test_accuracy"] == summary.test_accuracy
