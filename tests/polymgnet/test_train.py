"""`train --resume`: settings apply to the run's own configuration."""

import json
import re

import pytest
from PIL import Image

import nets

WORDS = ("train", "--config", "digits", "--data", "digits")
SETS = [
    word
    for value in ("width=2", "levels=1", "batch_size=1024", "tensorboard=false", "init=constant")
    for word in ("--set", value)
]


@pytest.fixture
def trained(document, tmp_path):
    out = tmp_path / "run"
    document(*WORDS, *SETS, "--set", "epochs=1", "--out", out)
    return out


def test_what_is_trained_is_said_before_the_first_step(run, tmp_path):
    """Data, split, which coefficients the default placement makes meaningless, and the start."""
    sets = ("--set", "epochs=1", "--set", "placement=regular", "--set", "levels=2")
    first, data, coefficients, start, epoch = run(
        *WORDS, *SETS, *sets, "--out", tmp_path / "run"
    ).err.splitlines()[:5]
    assert first.startswith("q2 on digits, init constant")
    assert data.startswith(
        "1,797 images 8 x 8 of 1 grey channel, 10 classes (0, 1, 2, 3, 4, 5, ..."
    )
    assert coefficients.startswith("coefficients: all 4 will have no meaning of their own")
    assert re.fullmatch(
        r"start: max \|q\| of a level is up to [\d.]+; the features that the classifier reads have"
        r" size [\d.]+",
        start,
    )
    assert epoch.startswith("epoch 1/1")


def test_a_finished_run_trains_longer_by_its_own_configuration(document, trained):
    before = json.loads((trained / "config.json").read_text())
    longer = document("train", "--resume", "--set", "epochs=2", "--out", trained)
    assert (longer["epochs"], longer["finished"]) == (2, True)
    after = json.loads((trained / "config.json").read_text())
    assert after["train"].pop("epochs") == 2
    assert before["train"].pop("epochs") == 1
    assert after == before
    assert document("train", "--resume", "--out", trained)["epochs"] == 2
    assert any(
        note.startswith("train.epochs and its schedule: 1 from step 0, 2")
        for note in longer["notes"]
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "epochs=2", "--set", "width=4"], "model.width is 2 there and 4 here"),
        (["--set", "seed=1"], "train.seed is 0 there and 1 here"),
        (["--init", "xavier"], "init.scheme is 'constant' there and 'xavier' here"),
        (["--data", "cifar10"], "data.name is 'digits' there and 'cifar10' here"),
        (["--config", "q2"], "another configuration: "),
        (["--set", "epochs=0"], "train.epochs is 0"),
    ],
)
def test_what_is_another_run_is_named(refused, trained, words, message):
    content = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    assert message in refused("train", "--resume", *words, "--out", trained)
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == content


def test_a_misspelt_run_is_not_another_training(refused, document, tmp_path):
    """--resume of a folder without a run, and not a word of what to train there: nothing begins. A
    script that says what to train begins and goes on by one line."""
    for words in ([], ["--set", "epochs=2"], ["--init", "xavier"]):
        said = refused("train", "--resume", *words, "--out", tmp_path / "frist")
        assert f"{tmp_path / 'frist'} holds no run" in said
    assert list(tmp_path.iterdir()) == []
    sets = [word for value in ("epochs=1", "width=2") for word in ("--set", value)]
    words = ["train", "--resume", "--data", "digits", *sets, "--no-report", "--out"]
    assert document(*words, tmp_path / "new")["finished"]


def test_a_finished_run_is_said_to_be_on_what_it_was_trained_on(run, trained):
    """Whose images need not be there any more; those of another folder that is named must."""
    for path in (trained / "config.json", trained / "summary.json"):
        content = path.read_text()
        assert '"digits"' in content
        path.write_text(content.replace('"digits"', '"folder:/here/photos"'))
    words = ("train", "--resume", "--no-report", "--out", trained)
    assert "on folder:/here/photos" in run(*words).out
    done = run(*words, "--data", "folder:other")
    assert (done.status, done.out) == (2, "")
    assert "other" in done.err


def test_a_run_in_a_folder_of_a_shipped_name_and_marked(document, trained, monkeypatch):
    """The run's own file is meant, which an editor may have saved with a byte order mark."""
    trained.rename(trained.parent / "q2")
    monkeypatch.chdir(trained.parent)
    own = trained.parent / "q2/config.json"
    own.write_bytes(b"\xef\xbb\xbf" + own.read_bytes())
    assert document("train", "--resume", "--set", "epochs=2", "--out", "q2")["epochs"] == 2


def test_fine_tuning_starts_from_the_weights_of_a_run(document, run, trained, tmp_path):
    """Of its configuration, at its weights; the last layer is drawn anew for other classes."""
    from nets.training.checkpoint import load_model

    out = tmp_path / "tuned"
    summary = document("train", "--from", trained, "--set", "lr=0.001", "--out", out)
    learned, start = (
        load_model(trained / "model.safetensors"),
        load_model(out / "start.safetensors"),
    )
    same = learned.state_dict()
    assert all(value.equal(same[name]) for name, value in start.state_dict().items())
    count = len(list(start.parameters()))
    assert summary["notes"] == [f"{count} of {count} tensors of weights from {trained}"]
    ours, theirs = (json.loads((one / "config.json").read_text()) for one in (out, trained))
    assert ours["model"] == theirs["model"]
    assert ours["init"] == {
        "scheme": "none",
        "operator": "keep",
        "options": {},
        "weights": str(trained),
    }

    for label in ("cat", "dog"):
        (tmp_path / "few" / label).mkdir(parents=True)
        for k in range(4):
            Image.new("L", (8, 8), 40 * k).save(tmp_path / f"few/{label}/{k}.png")
    words = ("--data", f"folder:{tmp_path / 'few'}", "--set", "batch_size=4", "--out")
    other = tmp_path / "other"
    said = run("train", "--from", trained / "model.safetensors", *words, other).err
    assert "drawn anew: fc.weight, fc.bias (2 other classes)" in said
    start = load_model(other / "start.safetensors")
    assert start.levels[0].A.weight.equal(learned.levels[0].A.weight)
    assert start.fc.weight.shape == (2, 2)
    # weights of the package bring their network
    words = ("--data", f"folder:{tmp_path / 'few'}", "--set", "batch_size=4", "--set", "epochs=1")
    shown = run(
        "train", "--from", "q2-digits", *words, "--no-report", "--out", tmp_path / "shipped"
    )
    assert "drawn anew: fc.weight, fc.bias (2 other classes)" in shown.err
    assert "few\n  test" in shown.out  # started by nothing
    start = load_model(tmp_path / "shipped/start.safetensors")
    shipped = nets.create_model("q2", pretrained="digits", num_classes=2)
    assert start.spec.overrides == shipped.spec.overrides
    assert all(one.A.weight.equal(two.A.weight) for one, two in zip(start.levels, shipped.levels))
    # ten digits are no ten kinds of animals and vehicles
    words = ("--data", "digits", "--set", "epochs=1", "--no-report", "--out", tmp_path / "ten")
    (note,) = document("train", "--from", "q2-cifar10-16", *words)["notes"]
    assert note.endswith("drawn anew: stem.weight, fc.weight, fc.bias (10 other classes)")


def test_weights_that_do_not_fit_are_refused(refused, trained, tmp_path):
    words = ("train", "--out", tmp_path / "new", "--from")
    assert "only 3 of 12 tensors" in refused(*words, trained, "--set", "width=4")
    assert "nowhere: no such run or file" in refused(*words, tmp_path / "nowhere")
    assert "the package, which has q2-cifar10-16, q2-digits" in refused(*words, "q2-mnist")
    (tmp_path / "empty").mkdir()
    assert "empty: no config.json there; not a run folder" in refused(*words, tmp_path / "empty")
    assert not (tmp_path / "new").exists()


def test_weights_of_the_package_go_on_by_their_recipe(document, tmp_path):
    """By SGD at the rate 0.1 of q2 an epoch left 12 % of the 100 % that they are right in."""
    words = ("--set", "epochs=1", "--no-report", "--out", tmp_path / "run")
    assert document("train", "--from", "q2-digits", *words)["test_accuracy"] > 0.9
    made, recipe = nets.load_config(tmp_path / "run/config.json"), nets.load_config("digits")
    assert (made.optim, made.augment, made.data) == (recipe.optim, recipe.augment, recipe.data)
    assert (made.init.scheme, made.init.operator) == ("none", "keep")
