"""Wrong values of models, starts, data and learning: one line that says what was given, and nothing
done."""

import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

import nets
from mgtheory import problems
from nets.config import load_config
from nets.data.readers import read_cifar
from nets.data.sources import load_data
from nets.start.block import start_blocks
from nets.training.export import export

MODEL_OPTIONS = [
    ("q2", {"width": "8"}, "width is '8'"),
    ("q2", {"width": float("inf")}, "width is inf"),
    ("q2", {"width": float("nan")}, "width is nan"),
    ("q2", {"levels": [2]}, r"levels is \[2\]"),
    ("q2", {"levels": 2.5}, "levels is 2.5"),
    ("q2", {"channels": 8}, "channels is 8"),
    ("q2", {"channels": [8, "16"]}, "channels is"),
    ("q2", {"steps": 2.0}, "steps is 2.0"),
    ("q2", {"factors": 3}, "factors is 3"),
    ("q2", {"factors": [["linear"], 3]}, "factors is"),
    ("q2", {"factors": [[1, 2], [3]]}, "factors is"),
    ("q2", {"placement": ["regular"]}, "unknown placement"),
    ("q2", {"train_coefficients": "no"}, "train_coefficients is 'no', allowed are: true, false"),
    ("resnet20", {"preactivation": "yes"}, "preactivation is 'yes'"),
    ("q02", {}, "unknown model 'q02'"),
    ("p007", {}, "unknown model 'p007'"),
    ("p\u0663", {}, "unknown model"),
    (["q2"], {}, "unknown model"),
]


@pytest.mark.parametrize(("name", "options", "message"), MODEL_OPTIONS)
def test_model_options(name, options, message):
    with pytest.raises(ValueError, match=message) as error:
        nets.create_model(name, **options)
    assert "\n" not in str(error.value)


def _started(**given):
    return nets.initialise(nets.create_model("q2", width=2, in_channels=1), size=(8, 8), **given)


def _waiting(device):
    return torch.nn.Sequential(nets.PolynomialBlock(2, device=device))


def _classifier(model=None, **given):
    model = nets.create_model("q2", width=2, in_channels=1) if model is None else model
    return nets.Classifier(model, **{"mean": 0.5, "std": 0.5} | given)


DIGITS = nets.load_config("digits", ["epochs=1"])
DOORS = [
    (lambda: start_blocks(_waiting("meta"), torch.zeros(2, 2, 8, 8)), "^weights are on the device"),
    (lambda: _waiting("meta")[0].start((8, 8)), "^weights are on the device meta"),
    (
        lambda: nets.initialise(nets.create_model("resnet20", width=4, device="meta"), "none"),
        "^weights are on the device meta",
    ),
    (
        lambda: start_blocks(_waiting("cpu"), torch.zeros(2, 2, 8, 8, device="meta")),
        "the images are on the device meta",
    ),
    (lambda: _classifier("q2"), "model is a str, must be a network"),
    (lambda: _classifier(size=(8,)), r"size is \(8,\), must be positive integers"),
    (lambda: export("q2", "never.pt2", "torch"), "classifier is a str, must be a Classifier"),
    (lambda: load_data(np.zeros((9, 1, 8, 8))), "name is a ndarray, must be text: digits, .*PATH$"),
    (lambda: nets.train(DIGITS, None), "out is a NoneType, must be the folder of a run"),
    (lambda: nets.train(DIGITS, "never", callback=3), "callback is 3, must be callable"),
    (lambda: nets.train(DIGITS, "never", stop="soon"), "stop is 'soon', must be callable"),
    (lambda: nets.initialise("q2"), "model is a str, must be a network"),
    (lambda: start_blocks("q2", torch.zeros(2, 1, 8, 8)), "model is a str, must be a network"),
    (lambda: _started(sample=np.zeros((2, 1, 8, 8))), "sample is a ndarray, must be a tensor"),
    (lambda: _started(images=np.zeros((2, 1, 8, 8))), "images is a ndarray, must be a tensor"),
    (lambda: _started(images=torch.full((1, 1, 8, 8), torch.nan)), "not finite"),
    (lambda: _started(generator=0), "generator is an int, must be a torch.Generator"),
    (
        lambda: nets.learn_smoother(problems.poisson((15, 15)), 2, generator=0),
        "generator is an int, must be a torch.Generator",
    ),
    (
        lambda: nets.MultigridCycle(problems.poisson((15, 15)).A),
        "must be a Problem, as poisson",
    ),
    (lambda: nets.load_config("digits", "epochs=2"), r"settings are 'epochs=2'; must be a list"),
    (lambda: nets.load_config("digits", {"epochs": 2}), "must be a list"),
    (lambda: nets.train("digits", "never"), "config is a str, must be a TrainConfig"),
    (lambda: nets.train({"epochs": 2}, "never"), "config is a dict, must be a TrainConfig"),
]


@pytest.mark.parametrize(("call", "message"), DOORS)
def test_what_is_of_another_kind_is_said_in_a_line(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


STARTS = [
    ("chebyshev4:degree=3", {}, "unknown option 'degree' of scheme chebyshev4"),
    ("chebyshev4:lower=0.1", {}, "unknown option 'lower'"),
    ("chebyshev4:lmax=3", {}, "unknown option 'lmax'"),
    ("richardson:lmax=2", {}, "allowed are: lower"),
    ("chebyshev:interval=3", {}, "unknown option 'interval'"),
    ("chebyshev:lower=x", {}, "option lower of scheme chebyshev is 'x'"),
    ("minimax:points=3", {}, "unknown option 'points'"),
    ("two_grid_optimal:lower=0.3", {}, "allowed are: pre, post, coarsening"),
    ("two_grid_optimal:pre=x", {}, "pre is .x.|two_grid_optimal: "),
    (
        "constant:value=1e-39",
        {},
        r"linear coefficient w would be 1e\+39, must be finite in torch.float32",
    ),
    ("constant:value=1e308", {}, r"linear coefficient w would be 1e-308, which is 0 in torch"),
    ("constant:value=1,value=2", {}, "value stands there twice; give it once"),
    ("none:value=2", {}, "none leaves the coefficients and takes no option"),
    ("bounded:optimal=yes", {}, "option optimal of scheme bounded is 'yes'"),
    ("xavier:amplification=1", {}, "amplification is 1, must be larger than 1"),
    ("uniform:a=x", {}, "option a of scheme uniform is 'x'"),
    ("xavier", {"operator": "laplacian", "small": "x"}, "small is 'x'"),
    ("xavier", {"operator": "shifted", "margin": float("nan")}, "margin is nan"),
    ("xavier", {"size": 8}, "size is 8"),
    ("xavier", {"size": (8.5, 8)}, "size is"),
    (None, {}, "scheme is None"),
]


@pytest.mark.parametrize(("scheme", "options", "message"), STARTS)
def test_starts(scheme, options, message):
    model = nets.create_model("q2", width=4, levels=2)
    with pytest.raises(ValueError, match=message) as error:
        nets.initialise(model, scheme, **{"size": (8, 8)} | options)
    assert "\n" not in str(error.value)


def test_options_that_a_family_uses_pass():
    model = nets.create_model("q2", width=4, levels=2)
    assert nets.initialise(model, "two_grid_optimal:pre=2,post=1", size=(8, 8)).options == {
        "pre": 2,
        "post": 1,
    }
    reports = [
        nets.initialise(model, f"chebyshev:lower={lower}", size=(8, 8), operator="keep")
        for lower in (0.1, 0.5)
    ]
    assert [level.lower for report in reports for level in report.levels] == pytest.approx(
        [0.1, 0.1, 0.5, 0.5]
    )


def test_zero_operator_has_no_spectral_start():
    model = nets.create_model("q2", width=4, levels=2)
    for level in model.levels:
        torch.nn.init.zeros_(level.A.weight)
    with pytest.raises(ValueError, match="spectral"):
        nets.initialise(model, "spectral", operator="keep", size=(8, 8))


def test_spectral_roots_differ_where_real_eigenvalues_are_too_few():
    model = nets.create_model("q4", width=4, levels=1, generator=torch.Generator().manual_seed(0))
    report = nets.initialise(model, "spectral", operator="keep", size=(8, 8))
    roots = report.levels[0].roots.real
    assert len(set(roots.round(6))) == 4


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (
            ["schedule=step", "milestones=[150,225]"],
            (
                r"optim\.milestones\.0 is 150; allowed is a list of entries, each a number x with 0"
                r" < x < 1"
            ),
        ),
        (["model.options.generator=3"], "drawn by train.seed"),
        (["model.options.pretrained=digits"], "by train --from, or init.weights"),
        (["model.options.features_only=true"], "with its head"),
        (["model.options.dtype=float64"], "is train.precision"),
        (["model.options.steps=2.0"], "steps is 2.0"),
        (
            ["data.mean=[0.5,0.5]", "data.std=[0.1,0.2]"],
            "data.mean and data.std have 2 and 2 entries; digits has 1 channel$",
        ),
        (["data.mean=[0.5,0.5]", "data.std=[0.1]"], "have 2 and 1 entries; digits has 1"),
    ],
)
def test_configurations(tmp_path, sets, message):
    with pytest.raises(ValueError, match=message):
        nets.train(load_config("digits", [*sets, "epochs=1"]), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["power", "batch", "steps", "tolerance"])
def test_learning(option):
    for value in (0, "2", *(() if option == "tolerance" else (2.5,))):
        with pytest.raises(ValueError, match=f"{option} is {value!r}, must be a .*number"):
            nets.learn_smoother(problems.poisson((7, 7)), 2, **{option: value})


def test_hostile_image_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMGNET_CACHE", str(tmp_path / "cache"))
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "PNG")
    bomb = bytearray(picture.getvalue())
    bomb[16:24] = (60000).to_bytes(4, "big") * 2
    for name, content, flag in (
        ("bomb.zip", bytes(bomb), 0),
        ("locked.zip", picture.getvalue(), 1),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("train/cat/0.png", content)
        if flag:  # "encrypted" in both headers
            raw = (tmp_path / name).read_bytes()
            for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
                at = raw.index(mark) + offset
                raw = raw[:at] + bytes([raw[at] | 1]) + raw[at + 1 :]
            (tmp_path / name).write_bytes(raw)
        with pytest.raises(ValueError, match=r"0\.png|locked\.zip") as error:
            load_data(f"folder:{tmp_path / name}")
        assert "\n" not in str(error.value)


def test_data_sets(tmp_path):
    with pytest.raises(FileNotFoundError, match="home"):
        load_data("folder:~nobody-of-this-name/x")
    with pytest.raises(ValueError, match="name is a NoneType, must be text: digits"):
        load_data(None)
    with pytest.raises(ValueError, match="validation is 'x'"):
        load_data("digits", validation="x")


@pytest.mark.parametrize(
    "batch",
    [{b"data": [1]}, {b"labels": [0]}, [1, 2], {b"data": [1], b"labels": [2**70]}],
    ids=["no labels", "no data", "no dict", "labels beyond 64 bits"],
)
def test_foreign_cifar_batches(tmp_path, batch):
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        content = pickle.dumps(batch)
        entry = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    with pytest.raises(ValueError, match=r"cifar-10-python\.tar\.gz: ") as error:
        read_cifar(path, classes=10)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["digits", "mnist", "folder:nowhere"])
@pytest.mark.parametrize(
    ("argument", "value", "allowed"),
    [
        ("test", 2.0, "a number x with 0 <= x < 1"),
        ("test", -0.1, "a number x"),
        ("test", True, "a number x"),
        ("test", [0.2], "a number x"),
        ("validation", 1, "a number x"),
        ("validation", None, "a number x"),
        ("validation", float("nan"), "a number x"),
        ("split_seed", None, "a whole number from 0 on"),  # would draw another part every time
        ("split_seed", 1.5, "a whole number"),
        ("split_seed", -1, "a whole number"),
        ("split_seed", True, "a whole number"),
        ("root", 3, "a folder or None"),
        ("download", "no", "true or false"),
    ],
)
def test_arguments_of_data_sets_are_named(name, argument, value, allowed):
    """Before anything is looked for, of all kinds of data alike."""
    with pytest.raises(ValueError, match=rf"^{argument} is .*, must be {allowed}") as error:
        load_data(name, **{argument: value})
    assert "\n" not in str(error.value)
