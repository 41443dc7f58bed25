"""Networks from the command line: their list, and what is done with a trained one."""

import json
import os
import re
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix

import nets
import nets.training.export
from analysis.runs.records import read_run
from mgtheory import derive
from mgtheory.export import TARGETS, Export
from nets import training
from polymgnet.commands.models import nearest
from polymgnet.console import number


def test_models_are_those_of_the_registry_with_what_they_cost(document, run, monkeypatch):
    """A level of c channels costs 2 * 9 c^2 operations a pixel and product with A."""
    data = document(
        "models", "q2", "q3", "resnet20", "q2", "--size", 8, "--channels", 1, "--width", 16
    )
    q2, q3, resnet = data["models"]
    assert [one["name"] for one in data["models"]] == ["q2", "q3", "resnet20"]
    assert (q2["degree"], q3["degree"], resnet["degree"]) == ([2] * 4, [3] * 4, [])
    model = nets.create_model("q2", width=16, in_channels=1)
    assert q2["weights"] == sum(p.numel() for p in model.parameters())
    channels = [level.A.in_channels for level in model.levels]
    products = [2 * 9 * c**2 * (8 // 2**l) ** 2 for l, c in enumerate(channels)]
    assert q3["flops"] - q2["flops"] == sum(products)
    monkeypatch.setattr(nets, "list_models", lambda: ["q2"])
    line = run("models", "--size", 8, "--channels", 1, "--width", 16).out.splitlines()[4]
    assert line.split()[:4] == ["q2", f"{q2['weights']:,}", f"{q2['flops'] / 1e6:.1f}", "2"]


@pytest.mark.parametrize("target", [1, 9, 10, 13, 30, 1000])
def test_the_nearest_count(target):
    counts = {n: 2 * n**2 + 3 for n in range(1, 40)}  # 5, 11, 21, 35, ...
    best = min(counts, key=lambda n: abs(counts[n] - target))
    assert nearest(counts.__getitem__, target) == best


def test_the_width_with_as_many_weights(document, run, refused):
    words = ("models", "resnet8", "q4", "--channels", 1, "--levels", 2, "--weights", 13_386)
    resnet, q4 = document(*words)["models"]
    assert (q4["degree"], q4["width"]) == ([4, 4], 16)
    for one in (resnet, q4):
        for width in (one["width"] - 1, one["width"] + 1):
            other = nets.create_model(one["name"], width=width, levels=2, in_channels=1)
            count = sum(p.numel() for p in other.parameters())
            assert abs(count - 13_386) > abs(one["weights"] - 13_386)
    assert re.search(rf"q4 +16 +{q4['weights']:,} ", run(*words).out)
    assert "only one is allowed" in refused(*words, "--width", 4)


def test_an_unknown_network_is_refused(refused):
    assert "unknown model 'zebra', known are: q2" in refused("models", "zebra")


SETS = ("epochs=1", "width=4", "levels=2", "batch_size=600", "tensorboard=false")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one epoch, and the digits that it was trained on."""
    out = tmp_path_factory.mktemp("runs") / "run"
    nets.train(nets.load_config("digits", SETS), out, progress=False)
    return out, nets.load_data("digits")


@pytest.fixture
def pictures(trained, tmp_path):
    """Five digits of the test part as files in class folders, one of them twice as large and in
    colour; with them a file that is no image."""
    data = trained[1]
    for k in data.test[:5]:
        folder = tmp_path / "pictures" / data.classes[data.labels[k]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.images[k, 0]).save(folder / f"{k}.png")
    (tmp_path / "pictures/notes.txt").write_text("no image")
    large = Image.fromarray(data.images[data.test[0], 0]).convert("RGB")
    large.resize((16, 16), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    return tmp_path / "pictures"


def test_predict_says_what_the_network_says(trained, pictures, document, run):
    out, data = trained
    found = document("predict", out, pictures, pictures.parent / "large.png")
    images = {one["image"]: one for one in found["images"]}
    assert len(images) == 6
    assert found["classes"] == list("0123456789")
    scores = nets.load_classifier(out)(data.images[data.test[:5]])
    for k, own in zip(data.test[:5], scores.softmax(1).tolist(), strict=True):
        one = images[str(pictures / data.classes[data.labels[k]] / f"{k}.png")]
        assert one["probabilities"] == pytest.approx(own, rel=1e-5)
        assert one["probability"] == max(one["probabilities"])
        assert one["probabilities"][int(one["class"])] == one["probability"]
    large = images[str(pictures.parent / "large.png")]
    line = run("predict", out, pictures.parent / "large.png").out.rstrip().splitlines()[-1]
    assert line.split()[-2:] == [large["class"], number(100 * large["probability"])]


def test_a_folder_that_cannot_be_read_is_told(trained, pictures, run, monkeypatch):
    scandir, (closed, *_) = os.scandir, sorted(pictures.iterdir())

    def refusing(path):
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    shown = run("predict", trained[0], pictures)
    assert shown.status != 0
    assert f"{closed}: Permission denied" in shown.err
    assert shown.out == ""


def test_an_image_that_cannot_be_read_leaves_the_others(trained, pictures, run):
    """They have their classes, and the end says which one has none, and why."""
    out, _ = trained
    (pictures / "broken.png").write_bytes(b"no picture")
    shown = run("predict", out, pictures)
    assert shown.status == 1
    assert shown.out.count(".png") == 5
    assert "1 of 6 images could not be read: " in shown.err
    assert "broken.png: not a readable image" in shown.err
    found = json.loads(run("predict", out, pictures, "--json").out)
    assert len(found["images"]) == 5
    (one,) = found["unread"]
    assert one["image"] == str(pictures / "broken.png")
    assert one["reason"] in shown.err


@pytest.mark.parametrize("kind", ["zip", "xztar"])
def test_an_archive_is_predicted_like_the_folder_in_it(trained, pictures, document, run, kind):
    """By name, hidden files left out; what in it is no image is told, and a damaged one refused."""
    (pictures / ".hidden.png").write_bytes(b"no picture")
    archive = Path(shutil.make_archive(pictures, kind, pictures))
    folder, packed = (document("predict", trained[0], one)["images"] for one in (pictures, archive))
    assert len(folder) == 5
    for one, other in zip(folder, packed, strict=True):
        name = Path(one["image"]).relative_to(pictures)
        assert other == {**one, "image": str(archive / name)}
    (pictures / "broken.png").write_bytes(b"no picture")
    shutil.make_archive(pictures, kind, pictures)
    shown = run("predict", trained[0], archive)
    assert shown.status == 1
    assert shown.out.count(".png") == 5
    assert f"{archive / 'broken.png'}: not a readable image" in shown.err
    archive.write_bytes(archive.read_bytes()[:-100])
    shown = run("predict", trained[0], pictures / "broken.png", archive)
    assert (shown.status, shown.out) == (2, "")
    assert f"{archive.name}: damaged archive" in shown.err


def test_colours_are_evaluated_as_they_are_predicted(trained, pictures, document, run, tmp_path):
    """By a network for grey images on their luminance, which one line says."""
    out, rng = trained[0], np.random.default_rng(0)
    for file in pictures.glob("*/*.png"):
        shades = np.asarray(Image.open(file))[..., None] * rng.random(3)
        Image.fromarray(shades.astype(np.uint8)).save(file)
    (tmp_path / "pictures" / "notes.txt").unlink()
    told = document("predict", out, pictures)["images"]
    shown = run("evaluate", out, "--data", f"folder:{pictures}", "--json")
    found = json.loads(shown.out)
    true = [one["probabilities"][int(Path(one["image"]).parent.name)] for one in told]
    assert found["images"] == len(true) == 5
    assert found["loss"] == pytest.approx(-np.log(true).mean(), rel=1e-5)
    assert shown.err == (
        f"folder:{pictures} has 3 channels, the network takes 1: colours are taken as their"
        " luminance\n"
    )


def test_evaluate_shows_the_top_5_accuracy_of_many_classes(trained, document, run, monkeypatch):
    out, _ = trained
    found = document("evaluate", out)
    line = f"top-5 accuracy  {100 * found['top5_accuracy']:.2f} % ("
    assert "top-5" not in run("evaluate", out).out  # the digits have ten
    monkeypatch.setattr("polymgnet.commands.evaluate.MANY", 9)
    assert line in run("evaluate", out).out


def test_evaluate_is_the_summary_s(trained, pictures, document, run):
    out, data = trained
    found = document("evaluate", out)
    summary = nets.training.folder.read_summary(out)
    assert (found["accuracy"], found["images"]) == (summary.test_accuracy, len(data.test))
    assert found["loss"] == pytest.approx(summary.test_loss, rel=1e-6)
    assert sum(one["right"] for one in found["classes"].values()) == found["right"]
    assert found["interval"][0] < found["accuracy"] < found["interval"][1]
    # as scikit-learn counts: a row a true class
    told = nets.load_classifier(out).predict(data.images[data.test]).numpy()
    matrix = confusion_matrix(data.labels[data.test], told)
    rows = [[row.get(one, 0) for one in data.classes] for row in found["confusion"].values()]
    assert (list(found["confusion"]), rows) == (list(data.classes), matrix.tolist())
    shown = run("evaluate", out).out
    assert f"{100 * found['accuracy']:.2f} %" in shown
    np.fill_diagonal(matrix, 0)
    for row, name in zip(matrix, data.classes):
        (line,) = re.findall(rf"^ {name} +\d+ +[\d.]+ +(.*?) *$", shown, re.MULTILINE)
        assert line.startswith(f"{data.classes[row.argmax()]} {row.max()}" if row.any() else "")
    # the run's own data by its name: not what it was trained on
    assert document("evaluate", out, "--data", "digits")["images"] == len(data.test)
    # classes in a folder are told by their names: here a few of them, whose numbers differ
    other = document("evaluate", out, "--data", f"folder:{pictures}")
    expected = nets.load_classifier(out).predict(data.images[data.test[:5]]).numpy()
    assert (other["part"], other["images"]) == ("all", 5)
    assert other["right"] == int((expected == data.labels[data.test[:5]]).sum())
    # which they are: by their files' names of a folder, else by their place in the data
    for one in found["mistakes"]:
        k = one["index"]
        assert (one["image"], one["class"]) == (None, data.classes[data.labels[k]])
        assert one["taken_for"] == data.classes[told[list(data.test).index(k)]] != one["class"]
        assert re.search(rf"^ {k} +{one['class']} +{one['taken_for']} ", shown, re.MULTILINE)
    wrong = [k for k, own in zip(data.test[:5], expected, strict=True) if own != data.labels[k]]
    names = sorted(f"{data.classes[data.labels[k]]}/{k}.png" for k in wrong)
    assert sorted(one["image"] for one in other["mistakes"]) == names
    listed = run("evaluate", out, "--data", f"folder:{pictures}").out
    assert all(name in listed for name in names)


def test_other_images_are_brought_to_the_height_and_width_of_the_run(tmp_path, document):
    """Of a run on images that are no squares; their sides were the run's height."""
    rng = np.random.default_rng(0)
    for name, scale in (("own", 1), ("same", 1), ("larger", 2)):
        for i in range(24):
            folder = tmp_path / name / "ab"[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (8, 12), dtype=np.uint8).repeat(scale, 0).repeat(scale, 1)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    sets = [*SETS, f"data=folder:{tmp_path / 'own'}", "batch_size=8", "data.test=0.25"]
    nets.train(nets.load_config("digits", sets), tmp_path / "run", progress=False)
    classifier = nets.load_classifier(tmp_path / "run")
    assert classifier.size == (8, 12)
    for name in ("same", "larger"):
        data = nets.load_data(f"folder:{tmp_path / name}", size=(8, 12))
        expected = training.predict.evaluate(classifier, data, "all")
        found = document("evaluate", tmp_path / "run", "--data", f"folder:{tmp_path / name}")
        assert (found["images"], found["loss"]) == (24, pytest.approx(expected.loss, rel=1e-6))
    for part in ("train", "test"):  # what the run held back says nothing of other data
        shutil.copytree(tmp_path / "same", tmp_path / "parts" / part)
    words = ("evaluate", tmp_path / "run", "--data", f"folder:{tmp_path / 'parts'}")
    assert document(*words)["images"] == 48
    assert document(*words, "--part", "test")["images"] == 24


def test_export_is_loaded_again_and_compared(trained, document, tmp_path, monkeypatch):
    out, data = trained
    file = tmp_path / "net.pt2"
    found = document("export", out, "--out", file)  # its ending says what it is
    assert (found["kind"], found["difference"] < 1e-5) == ("torch", True)
    extra = {"polymgnet.json": ""}
    loaded = torch.export.load(file, extra_files=extra).module()
    classifier, images = nets.load_classifier(out), torch.from_numpy(data.images[data.test[:7]])
    torch.testing.assert_close(loaded(images / 255), classifier(images), rtol=1e-4, atol=1e-5)
    assert json.loads(extra["polymgnet.json"])["classes"] == list("0123456789")

    pixels = training.export._Pixels
    own = pixels.forward
    monkeypatch.setattr(pixels, "forward", lambda self, images: 1.001 * own(self, images))
    with pytest.raises(ArithmeticError, match="the torch file gives other scores"):
        training.export.export(classifier, tmp_path / "other.pt2", "torch")
    assert not (tmp_path / "other.pt2").exists()


def test_a_network_for_colours_is_exported(tmp_path):
    """Its channels have moments of their own; in eval mode, whatever mode the network is in."""
    model = nets.create_model("q2", width=4, levels=2)
    moments = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    classifier = nets.Classifier(model, **moments, classes=("a", "b"), size=(8, 8))
    file, images = tmp_path / "net.pt2", torch.rand(3, 3, 8, 8)
    training.export.export(classifier, file, "torch")
    assert model.training
    scores = torch.export.load(file).module()(images)
    torch.testing.assert_close(scores, classifier.eval()(images), rtol=1e-4, atol=1e-5)


def test_export_to_onnx(trained, run, tmp_path):
    file = tmp_path / "net.onnx"
    result = run("export", trained[0], "--to", "onnx", "--out", file)
    if find_spec("onnx") and find_spec("onnxruntime") and find_spec("onnxscript"):
        assert "loaded again by onnxruntime" in result.out
        assert file.stat().st_size > 1000
    else:
        assert result.status == 2
        assert result.err.endswith("pip install 'polymgnet[export]'\n")
        assert not file.exists()


def test_a_learned_polynomial_is_exported_relative_to_its_level(trained, document, run, tmp_path):
    """Its roots in units of the level's b, times lmax; the first level where none is named."""
    states = read_run(trained[0]).learned
    for words, state in (((), states[0]), (("--level", 2), states[1])):
        file = tmp_path / f"{len(words)}.petsc"
        to = ("--to", "petsc", "--lmax", 2, "--out", file)
        found = document("export", trained[0], *words, *to)
        options = dict(w.split() for w in file.read_text().splitlines() if w.startswith("-"))
        a, b = map(float, options["-mg_levels_ksp_chebyshev_eigenvalues"].split(","))
        # two roots that are close to each other are those of Chebyshev's polynomial on some [a, b]
        roots = (a + b) / 2 + (b - a) / 2 * np.sqrt([0.5, 0.5]) * [1, -1]
        learned = 2.0 / state.spectrum.radius * state.polynomial.roots.real
        np.testing.assert_allclose(roots, np.sort(learned)[::-1], rtol=1e-12)
        assert (found["kind"], found["degree"]) == ("petsc", 2)
        assert found["form"] == "its Chebyshev of kind first"
        assert "learned by q2, level" in file.read_text()


def test_a_derived_polynomial_is_exported_with_what_it_needs(run, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "points").write_text("1 0.5\n1 -0.5\n2\n0.7\n1.5 0.4\n1.5 -0.4\n")
    run("derive", "--family", "minimax", "--degree", 3, "--points", "points", "--out", "init.json")
    words = ("export", "init.json", "--scaling", "diagonal", "--out", "a", "--to", "petsc")
    assert run(*words).out == "a: a PC in Python\npolymgnet_pc.py: what it needs beside it\n"
    (tmp_path / "a").unlink()
    run(*words)  # the same module again is none that is overwritten
    (tmp_path / "a").unlink()
    (tmp_path / "polymgnet_pc.py").write_text("mine")
    assert "polymgnet_pc.py exists; give another name" in refused(*words)
    assert not (tmp_path / "a").exists()
    assert "this polynomial, minimax, degree 3, is none" in refused(*words[:-1], "hypre")
    assert "--level belongs to a run" in refused(*words, "--level", 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("export {run} --out x --to petsc", "which the engine does not have: give lmax"),
        ("export {run} --out x --to petsc --level 3", "--level is 3, {run} has the levels 1 to 2"),
        ("export {run} --out x --to petsc --lmax nan", "lmax is nan"),
        ("export {run} --out x --to torch --lmax 2", "--lmax belongs to a polynomial's engine"),
        ("export {run}/config.json --out x --to petsc", "not a file of initial coefficients"),
        ("export {run}/config.json --out x", "config.json is a file; onnx takes a run folder"),
        ("export {run} --out net.tflite", "net.tflite, a network's name ends in .onnx or .pt2"),
        ("export missing --out x --to petsc", "there is no file missing"),
        ("predict {run} missing.png", "missing.png: No such file or directory"),
        ("predict {run} {run}/config.json", "not a readable image (allowed are PNG"),
        ("predict {run} {run}", "holds no image; allowed are .png"),
        ("predict missing x.png", "missing: no config.json there"),
        ("report {run} --out {run}/config.json/a.html", "config.json is a file; give the name of"),
        ("evaluate {run} --part half", "part is 'half'; allowed are train, validation, test, all"),
        ("evaluate {run} --data zebra", "unknown data set 'zebra'"),
        (
            "export {run} --out {run}/config.json --to torch",
            "exists; give another name, or --force",
        ),
        ("export {run} --out missing/net.pt2 --to torch", "folder missing does not exist"),
        ("export {run} --out net.x --to zebra", "'zebra' is not one of 'onnx', 'torch'"),
    ],
)
def test_wrong_values(trained, refused, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    assert message.format(run=trained[0]) in refused(*words.format(run=trained[0]).split())
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_polynomials_has_none_to_export(trained, refused, monkeypatch):
    record = SimpleNamespace(learned=(SimpleNamespace(factors=()),), label="resnet8")
    monkeypatch.setattr("analysis.runs.records.read_run", lambda run: record)
    said = refused("export", trained[0], "--out", "x", "--to", "petsc", "--lmax", 2)
    assert "resnet8 has no polynomial" in said


def test_other_classes_and_channels_are_refused(trained):
    evaluate = training.predict.evaluate
    classifier, data = nets.load_classifier(trained[0]), trained[1]
    with pytest.raises(ValueError, match="has the class 'ten'; the network knows 0, 1, 2"):
        evaluate(classifier, replace(data, classes=("ten", *data.classes[1:])))
    pairs = replace(data, images=data.images.repeat(2, axis=1))
    with pytest.raises(ValueError, match="images of 2 channels; the network takes 1"):
        evaluate(classifier, pairs)
    with pytest.raises(ValueError, match="has no validation images; take another part, or all"):
        evaluate(classifier, replace(data, validation=data.validation[:0]), "validation")


def test_a_new_engine_is_one_function_and_one_entry(run, refused, tmp_path, monkeypatch):
    """Entered in its registry, it is taken by the command, in its help, and named where another one
    is unknown."""
    monkeypatch.chdir(tmp_path)
    derive("chebyshev4", 2, 2.0).save("init.json")
    words = ("export", "init.json", "--scaling", "diagonal", "--out", "a", "--to")
    assert "'own' is not one of 'onnx', 'torch', 'petsc', 'hypre'" in refused(*words, "own")
    monkeypatch.setitem(TARGETS, "own", lambda given: Export("own", str(given.q.degree), "its own"))
    assert run(*words, "own").out == "a: its own\n"
    assert (tmp_path / "a").read_text() == "2"
    shown = run("export", "--help").out
    assert "own" in shown.split("engine:")[1].split("--level")[0]
    assert "onnx | torch | petsc |" in shown
