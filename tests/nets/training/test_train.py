"""Training: what a run leaves behind, equality of ranks, and refusals that write
nothing."""

import csv
import json
import re
import sys

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import nets
from nets.data.sources import load_data
from nets.training.build import build, check_start
from nets.training.checkpoint import load_model
from nets.training.folder import read_config, read_summary
from nets.training.trainer import Trainer

from .tiny import config


def run(out, *sets, **options):
    return nets.train(config(*sets), out, progress=False, **options)


def weights(out, which="learned"):
    return nets.load(out, which=which).state_dict()


def rows(out):
    with (out / "metrics.csv").open() as handle:
        return list(csv.DictReader(handle))


def test_run_folder(tmp_path):
    out, seen = tmp_path / "run", []
    summary = run(out, "tensorboard=true", "epochs=3", callback=seen.append)
    names = {
        "config.json",
        "init.json",
        "start.safetensors",
        "data.json",
        "metrics.csv",
        "coefficients.jsonl",
        "epochs",
        "checkpoint",
        "tensorboard",
        "model.safetensors",
        "summary.json",
    }
    assert {path.name for path in out.iterdir()} == names
    assert read_config(out) == config("tensorboard=true", "epochs=3")
    assert read_summary(out) == summary
    assert json.loads((out / "init.json").read_text())["scheme"] == "chebyshev4"
    table = rows(out)
    assert [row["epoch"] for row in table] == ["1", "2", "3"]
    assert [row["epoch"] for row in seen] == [1, 2, 3]
    assert summary.finished
    assert summary.epochs == 3
    assert summary.steps == 3 * 6 == int(table[-1]["step"])  # 1,295 images in batches of 256
    assert summary.parameters == sum(p.numel() for p in nets.load(out).parameters())
    assert summary.images_per_second > 0
    assert any((out / "tensorboard").iterdir())
    table = EventAccumulator(str(out / "tensorboard/settings")).Reload()
    assert table.Scalars("final/test_accuracy")[0].value == pytest.approx(summary.test_accuracy)
    given = table.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"init.scheme" in given
    assert b"optim.lr" in given
    data, model = load_data("digits"), nets.load(out)
    x = (torch.from_numpy(data.images).double() / 255 - data.mean[0]) / data.std[0]
    labels = torch.from_numpy(data.labels)
    for part, accuracy in (
        (data.test, summary.test_accuracy),
        (data.validation, summary.val_accuracy),
    ):
        with torch.no_grad():
            hits = (model(x[part].float()).argmax(1) == labels[part]).double().mean()
        # one image may sit on the boundary
        assert hits.item() == pytest.approx(accuracy, abs=1.1 / len(part))
    start = nets.load(out, which="start")
    torch.manual_seed(0)
    fresh, _ = build(config(), data)
    assert all(
        torch.equal(a, b)
        for a, b in zip(start.state_dict().values(), fresh.state_dict().values(), strict=True)
    )


def test_roots_that_lost_their_meaning_are_in_the_summary_and_said(tmp_path, monkeypatch, capsys):
    step = Trainer.train_step

    def turned(self, *args):
        step(self, *args)
        with torch.no_grad():
            weight = self.raw.levels[1].steps[0].coefficients.w
            weight.copy_(-weight.abs())

    plain = run(tmp_path / "plain", "coefficient_lr=0")
    assert plain.roots_at_guard == []
    monkeypatch.setattr(Trainer, "train_step", turned)
    summary = nets.train(config("coefficient_lr=0", "ema=0.5"), tmp_path / "turned")
    (event,) = read_summary(tmp_path / "turned").roots_at_guard
    assert summary.roots_at_guard == [event]
    assert (event["level"], event["step"], event["kind"]) == (2, 1, "linear")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"roots: level 2, step 1 (linear): {event['message']}"

    def at_last(self, *args):  # behind the mean of weights, which counts where there is one
        step(self, *args)
        if self.step == self.total_steps:
            with torch.no_grad():
                self.raw.levels[1].steps[0].coefficients.w.neg_()

    monkeypatch.setattr(Trainer, "train_step", at_last)
    assert len(run(tmp_path / "live", "coefficient_lr=0").roots_at_guard) == 1
    assert run(tmp_path / "mean", "coefficient_lr=0", "ema=0.5").roots_at_guard == []
    # what is trained, its data, two epochs, what was trained and how fast, accuracy, roots
    assert len(lines) == 7
    assert re.fullmatch(
        r"q2 on digits, init chebyshev4: 1,050 weights, 0.1 MFLOP an image forward; cpu .* x 1, \d+"
        r" threads?, torch .*, revision .*; "
        r"[\d,]+ images/s",
        lines[4],
    )


def test_progress_without_a_terminal_is_a_line_an_epoch(tmp_path, monkeypatch, capsys):
    """Loss, validation accuracy and seconds; within an epoch a line when none came for long;
    nothing with progress=False."""
    nets.train(config(), tmp_path / "run")
    epochs = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch")]
    for line, row in zip(epochs, rows(tmp_path / "run"), strict=True):
        said = (
            f"loss {float(row['train_loss']):.3f}, validation accuracy"
            f" {100 * float(row['val_accuracy']):.2f} %, "
        )
        assert line.startswith(f"epoch {row['epoch']}/2: {said}")
        assert re.fullmatch(
            r"\d+\.\d s \(\d+ s in all\)", line.removeprefix(f"epoch {row['epoch']}/2: {said}")
        )
    run(tmp_path / "silent")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    monkeypatch.setattr("nets.training.run.EVERY", 0.0)
    nets.train(config("validation=0"), tmp_path / "long")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[1].strip() for line in lines if line.startswith("epoch 2/2, ")] == [
        f"step {k}/6" for k in range(1, 7)
    ]
    assert "training accuracy" in next(line for line in lines if line.startswith("epoch 1/2:"))


def test_progress_on_a_terminal_is_a_bar(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    nets.train(config(), tmp_path / "run")
    captured = capsys.readouterr()
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", captured.err)
    assert captured.out == ""
    assert re.search(r"━.* 12/12 .*steps.*epoch 2/2: loss \d\.\d{3}, validation accuracy", text)
    assert "s in all)" not in text


def test_learns_in_a_few_epochs(tmp_path):
    summary = run(
        tmp_path / "run",
        "epochs=8",
        "width=8",
        "batch_size=64",
        "placement=regular",
        "lr=0.1",
        "coefficient_lr=1",
    )
    table = rows(tmp_path / "run")
    assert float(table[-1]["train_loss"]) < 0.6 * float(table[0]["train_loss"])
    assert summary.val_accuracy > 0.8  # chance is 0.1


def test_equal_runs_are_equal_to_the_bit_and_seeds_matter(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, f"seed={seed}")
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run(tmp_path / "d")
    assert torch.equal(torch.get_rng_state(), before)  # the caller's generator is the caller's


def test_finished_begun_and_foreign_folders(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    first = run(out)
    content = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(
        FileExistsError,
        match=(
            r"holds a finished run; --resume \(.*resume=True\) gives its summary again, --force"
            r" \(force=True\) starts it anew"
        ),
    ):
        run(out)
    capsys.readouterr()
    assert run(out, resume=True) == first
    assert capsys.readouterr().err == ""
    assert nets.train(config(), out, resume=True) == first
    assert capsys.readouterr().err == f"{out}: finished before, nothing was done\n"
    with pytest.raises(
        ValueError, match=r"another configuration: optim.lr is .* there and 0.5 here"
    ):
        run(out, "lr=0.5", resume=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == content
    (out / "summary.json").unlink()
    with pytest.raises(FileExistsError, match="holds a begun run"):
        run(out)
    assert run(out, "lr=0.5", force=True).finished
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    (out / "notes.txt").write_text("mine")
    with monkeypatch.context() as patch:
        # refused before anything is read or started
        patch.setattr(sys.modules["nets.training.train"], "load_data", None)
        for options in ({}, {"resume": True}, {"force": True}):
            with pytest.raises(FileExistsError, match=r"not a run folder \(it holds thesis.tex\)"):
                run(other, **options)
        with pytest.raises(FileExistsError, match=r"holds notes\.txt, which no run writes"):
            run(out, force=True)
    assert (out / "model.safetensors").exists()
    with pytest.raises(ValueError, match="exclude one another"):
        run(out, resume=True, force=True)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["model=q0x"], "unknown model 'q0x', known are"),
        (["data=imagenet"], "unknown data set 'imagenet'"),
        (["init=chebyshov"], "chebyshov"),
        (["init=chebyshev4", "model=resnet20", "model.placement=null"], "none"),
        (["select=best", "validation=0"], "no validation images: data.validation is 0; allowed is"),
        (["select=best", "validation=1e-3"], "no class has enough for 0.001 of them; allowed is"),
        (["batch_size=2000", "last_batch=drop"], "no batch of 2000"),
        (["data.mean=[0.5,0.5]", "data.std=[1,1]"], "digits has 1 channel$"),
        (["accelerator=cuda"], "no CUDA device is available"),
        (["sync_batchnorm=true"], "needs CUDA devices"),
        (["randaugment_ops=99", "policy=randaugment"], "augment.randaugment_ops is 99"),
    ],
)
def test_wrong_input_writes_nothing(tmp_path, sets, message):
    if "cuda" in message.lower() and torch.cuda.is_available():
        sets, message = ["model=q0x"], "unknown model"
    with pytest.raises(ValueError, match=message) as error:
        run(tmp_path / "run", *sets)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("default", ["bounded:features=0.6", "bounded", "xavier"])
def test_a_recipe_s_default_scheme_is_for_networks_without_coefficients_too(default):
    """Of this version and of earlier ones, as old configurations have them; it starts nothing."""
    sets = ["model=resnet8", "placement=null", f"init={default}"]
    c, data = config(*sets), load_data("digits")
    check_start(c)
    (model, report), (other, _) = build(c, data), build(config(*sets, "init=none"), data)
    assert (report["scheme"], report["levels"]) == (default, [])
    assert all(map(torch.equal, model.state_dict().values(), other.state_dict().values()))


def test_broken_run_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config.json there; not a run folder"):
        nets.load(tmp_path)
    out = tmp_path / "run"
    run(out)
    with pytest.raises(ValueError, match="which is 'best'; allowed are learned, start"):
        nets.load(out, which="best")
    for name, function in (
        ("config.json", read_config),
        ("summary.json", read_summary),
        ("model.safetensors", nets.load),
    ):
        content = (out / name).read_bytes()
        (out / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=name) as error:
            function(out)
        assert "\n" not in str(error.value)
        (out / name).write_bytes(content)


def test_best_epoch_is_kept(tmp_path):
    summary = run(
        tmp_path / "run", "epochs=6", "select=best", "batch_size=128", "lr=0.3", "schedule=constant"
    )
    accuracies = [(float(r["val_accuracy"]), -float(r["val_loss"])) for r in rows(tmp_path / "run")]
    assert summary.best_epoch == 1 + int(np.argmax([a for a, _ in accuracies])) or accuracies[
        summary.best_epoch - 1
    ] == max(accuracies)
    assert summary.val_accuracy == max(a for a, _ in accuracies)


def test_loaded_start_is_a_model_of_its_own(tmp_path):
    run(tmp_path / "run")
    start = load_model(tmp_path / "run" / "start.safetensors")
    assert not start.training
    assert any(
        not torch.equal(a, b)
        for a, b in zip(
            weights(tmp_path / "run").values(), start.state_dict().values(), strict=True
        )
    )
