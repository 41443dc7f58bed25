"""Prediction from images as they are: the accuracy of the summary exactly, the normalisation by
definition, refusals in one line."""

import copy
import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import top_k_accuracy_score

import nets
from nets.data.sources import load_data
from nets.models.cost import count_flops
from nets.training import build, predict
from nets.training.build import _take
from nets.training.checkpoint import load_model
from nets.training.folder import read_config
from nets.training.predict import DATA_FILE, DataFacts, check_data, evaluate, read_data_facts

SETS = ["epochs=4", "width=4", "levels=2", "batch_size=64", "tensorboard=false"]


@pytest.fixture(scope="module")
def data():
    return load_data("digits")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run, and its summary."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, nets.train(nets.load_config("digits", SETS), out, progress=False)


def accuracy(classifier, data, part):
    return float((classifier.predict(data.images[part]).numpy() == data.labels[part]).mean())


@pytest.fixture(scope="module")
def colours():
    """A classifier of two classes for images of three channels with their own moments."""
    model = nets.create_model(
        "q2",
        width=4,
        levels=2,
        in_channels=3,
        num_classes=2,
        generator=torch.Generator().manual_seed(0),
    ).eval()
    return nets.Classifier(model, mean=(0.2, 0.5, 0.7), std=(0.1, 0.3, 0.9), classes=("cat", "dog"))


def test_accuracy_is_the_summary_s(run, data):
    out, summary = run
    classifier = nets.load_classifier(out)
    assert not classifier.training
    assert accuracy(classifier, data, data.test) == summary.test_accuracy
    assert accuracy(classifier, data, data.validation) == summary.val_accuracy
    assert classifier.classes == tuple("0123456789")
    assert summary.test_accuracy > 0.3  # chance is 0.1


def test_data_of_a_run(run, data):
    """Moments of the training part alone, by their definition."""
    facts = read_data_facts(run[0])
    pixels = data.images[data.train].astype(float) / 255
    assert facts.mean == pytest.approx([pixels.mean()], rel=1e-12)
    assert facts.std == pytest.approx([pixels.std()], rel=1e-12)
    assert facts.shape == (1, 8, 8)
    assert facts.images == {
        "train": len(data.train),
        "validation": len(data.validation),
        "test": len(data.test),
    }


def test_given_moments_are_used_and_kept(tmp_path, data):
    """Far from the measured ones: with those, the scores would be others."""
    sets = [*SETS, "data.mean=[0.9]", "data.std=[2]"]
    summary = nets.train(nets.load_config("digits", sets), tmp_path / "run", progress=False)
    classifier = nets.load_classifier(tmp_path / "run")
    assert (classifier.mean, classifier.std) == ((0.9,), (2.0,))
    assert accuracy(classifier, data, data.test) == summary.test_accuracy
    file = tmp_path / "run" / "data.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())  # as some editors save it
    written = read_data_facts(tmp_path / "run")
    file.unlink()  # of an older version: not measured, but those of the configuration
    assert read_data_facts(tmp_path / "run") == written
    assert (written.mean, written.std) == ((0.9,), (2.0,))


def test_folder_of_an_older_version(run, tmp_path):
    """Without data.json the moments are measured again."""
    shutil.copytree(run[0], tmp_path / "run")
    (tmp_path / "run" / "data.json").unlink()
    assert read_data_facts(tmp_path / "run") == read_data_facts(run[0])
    (tmp_path / "run" / "summary.json").unlink()
    nets.train(read_config(run[0]), tmp_path / "run", resume=True, progress=False)
    assert (tmp_path / "run" / "data.json").read_bytes() == (run[0] / "data.json").read_bytes()


def test_scores_by_definition(colours):
    """Bytes, floats and arrays give the network's scores of (x - mean) / std; predict cuts into
    pieces and is their largest."""
    images = torch.randint(
        256, (7, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    shape = (1, 3, 1, 1)
    x = (images.double() / 255 - torch.tensor([0.2, 0.5, 0.7]).view(shape)) / torch.tensor(
        [0.1, 0.3, 0.9]
    ).view(shape)
    with torch.no_grad():
        expected = colours.model(x.float())
        for given in (images, images.numpy(), images / 255, images.double().numpy() / 255):
            # single precision, other order of the arithmetic
            torch.testing.assert_close(colours(given), expected, rtol=1e-4, atol=1e-5)
    many = images.repeat(300, 1, 1, 1)
    assert torch.equal(colours.predict(many), expected.argmax(1).repeat(300))
    assert [colours.classes[i] for i in colours.predict(images)] == [
        ("cat", "dog")[i] for i in expected.argmax(1)
    ]
    assert "2 classes" in repr(colours)


@pytest.mark.filterwarnings("error")  # torch's, of an array that cannot be written to
def test_every_form_of_an_image(colours, tmp_path):
    """A file, a picture, channels first and last, one image and several are one and the same."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)  # n, h, w, c
    pictures = [Image.fromarray(one) for one in pixels]
    pictures[0].save(tmp_path / "x.png")
    expected = colours(pixels.transpose(0, 3, 1, 2)).softmax(1)
    one, first = expected[:1], pixels[0]
    forms = {
        "a batch, channels last": (pixels, expected),
        "floats": (pixels / 255, expected),
        "pictures": (pictures, expected),
        "arrays of both orders": ([first, pixels[1].transpose(2, 0, 1), pixels[2]], expected),
        "one image": (torch.from_numpy(first), one),
        "one picture": (pictures[0], one),
        "a picture's array": (np.asarray(pictures[0]), one),
        "a file": (tmp_path / "x.png", one),
        "its name": (str(tmp_path / "x.png"), one),
    }
    for name, (given, wanted) in forms.items():
        found = colours.probabilities(given)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6, msg=name)
        assert torch.equal(colours.predict(given), wanted.argmax(1)), name
    narrow = pixels.transpose(0, 3, 1, 2)[..., :3]  # as wide as it has channels: channels first
    assert torch.equal(colours.predict(narrow), colours(narrow).argmax(1))
    assert torch.equal(colours.batch(narrow), torch.from_numpy(narrow))
    grey = Image.fromarray(first[..., 0])  # repeated on all channels
    repeated = np.repeat(first[None, :, :, :1], 3, axis=3)
    torch.testing.assert_close(colours.probabilities(grey), colours.probabilities(repeated))
    with pytest.raises(ValueError, match=r"images differ: \(3, 8, 6\) .*\(3, 4, 6\)"):
        colours.predict([first, first[:4]])
    with pytest.raises(ValueError, match=r"torch.uint8 and 5 more; give one kind, or of files"):
        colours.predict([first[: k + 1] for k in range(7)])
    alpha = np.dstack([first, first[..., :1]])
    with pytest.raises(ValueError, match=r"shape \(8, 6, 4\); allowed are \(n, 3 or 1, height"):
        colours.predict(alpha)


def test_arrays_are_brought_to_the_channels_of_the_network_as_pictures_are(colours):
    """All greys and random colours, to the byte of what Pillow makes of them."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 17, 3), dtype=np.uint8)
    pixels[0].reshape(-1, 3)[:256] = np.arange(256)[:, None]
    narrow = nets.Classifier(nets.create_model("q2", width=4, in_channels=1), mean=0.3, std=0.4)
    pictures = [Image.fromarray(one) for one in pixels]
    wanted = torch.from_numpy(np.stack([np.asarray(one.convert("L")) for one in pictures]))[:, None]
    first = pixels.transpose(0, 3, 1, 2)
    for given in (pictures, pixels, first, torch.from_numpy(first), list(pixels), list(first)):
        assert torch.equal(narrow.batch(given), wanted)
    exact = pixels / 255 @ [0.299, 0.587, 0.114]
    for dtype in (np.float16, np.float32, np.float64):  # weights of 16 bits, values of 11 or more
        found = narrow.batch((pixels / 255).astype(dtype))[:, 0].numpy()
        assert np.abs(found - exact).max() < (1e-3 if dtype == np.float16 else 1e-5)
        assert narrow.predict(np.ones((1, 8, 8, 3), dtype)).shape == (1,)  # white is 1, not above
    grey = wanted[:, 0]
    for given in (wanted, wanted.movedim(1, -1), list(grey), list(grey[:, None])):
        assert torch.equal(colours.batch(given), wanted.expand(-1, 3, -1, -1))


def test_arrays_that_torch_does_not_share_are_copied(colours):
    """Those turned back to front, as of OpenCV's blue, green and red, of another byte order, and
    of more digits than torch has."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), dtype=np.uint8)
    turned = np.ascontiguousarray(pixels[..., ::-1])
    assert torch.equal(colours.batch(turned[..., ::-1]), colours.batch(pixels))
    wanted = colours.batch(pixels / 255)
    for dtype in (">f8", np.longdouble):
        assert torch.equal(colours.batch((pixels / 255).astype(dtype)), wanted)


@pytest.mark.parametrize("count", [1, 3])
def test_another_type_is_refused_before_channels_are(count):
    flat = nets.Classifier(torch.nn.Flatten(), mean=[0.5] * count, std=[1] * count)
    for given in (torch.zeros(1, 3, 2, 2) + 0j, np.zeros((1, 3, 2, 2), int), [[[True]]]):
        with pytest.raises(ValueError, match=r"images are .*; allowed are uint8, or floats in"):
            flat.predict(given)


def test_a_folder_and_an_archive_are_their_images_by_name(colours, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)
    names = ("b.png", "a/z.png", "a/b/c.png")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, one in zip(names, pixels, strict=True):
            file = tmp_path / "all" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(one).save(file)
            archive.write(file, name)
    (tmp_path / "all" / "notes.txt").write_text("no image")
    (tmp_path / "all" / ".hidden.png").write_bytes(b"")
    wanted = colours.batch(pixels[[2, 1, 0]])
    for given in (tmp_path / "all", str(tmp_path / "all.zip"), [tmp_path / "all"]):
        assert torch.equal(colours.batch(given), wanted)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=r"none holds no image; allowed are \.png"):
        colours.predict(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="gone: No such file"):
        colours.predict(tmp_path / "gone")


def test_what_has_no_parameters_is_a_network_too():
    flat = nets.Classifier(torch.nn.Flatten(), mean=np.full((1, 1, 1), 0.5), std=1)
    assert flat.predict(np.array([[0.1, 0.9], [0.3, 0.2]])).tolist() == [1]


def test_weights_of_as_many_other_classes_leave_the_last_layer(run, data):
    there = nets.load(run[0])
    for classes, same in ((data.classes, True), (data.classes[::-1], False)):
        model = nets.create_model(there.spec.name, **there.spec.overrides)
        own = model.fc.weight.clone()
        said = _take(model, str(run[0]), replace(data, classes=classes))
        assert torch.equal(model.fc.weight, there.fc.weight if same else own)
        assert torch.equal(model.stem.weight, there.stem.weight)
        assert ("drawn anew: fc.weight, fc.bias (10 other classes)" in said) != same


def test_weights_of_another_width_are_refused_and_none_is_taken(run, data):
    """Though some fit: what has no channels, or those of the images."""
    model = nets.create_model("q2", width=8, levels=2, in_channels=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"init\.weights: only [1-9]\d* of \d+ tensors of weights"):
        _take(model, str(run[0]), data)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_block_whose_operator_does_not_fit_starts_by_its_own(data, monkeypatch):
    """A wider kernel has another spectrum: neither the coefficients for the old one are taken nor
    that the block was started; the other block's are."""

    def blocks(kernel):
        wide = nets.PolynomialBlock(4, "q4", "relu_outside_nobn", kernel_size=kernel)
        return torch.nn.Sequential(wide, nets.PolynomialBlock(4, "q4", "relu_outside_nobn"))

    there, here, images = blocks(3), blocks(5), torch.randn(1, 4, 8, 8)
    there.eval()(images)
    own = copy.deepcopy(here[0])
    own.start((8, 8))
    monkeypatch.setattr(build, "_source", lambda path: there)
    assert "drawn anew: 0.level." in build._take(here, "there", data)
    assert [bool(block.started) for block in here] == [False, True]
    here.eval()(images)  # the norms as they are
    for block, twin in zip(here, (own, there[1]), strict=True):
        for name, value in twin.state_dict().items():
            assert torch.equal(value, block.state_dict()[name]), name


def test_prediction_is_in_eval_mode_whatever_mode_it_is_called_in(run, data):
    """One image alone has the scores it has among others, and no running mean moves; afterwards
    every module is in the mode it was in."""
    classifier = nets.load_classifier(run[0])
    images = data.images[data.test]
    expected = classifier.probabilities(images)
    whole = evaluate(classifier, data)
    classifier.train()
    classifier.model.stem_norm.eval()  # as of a network that is trained on with a frozen start
    modes = [module.training for module in classifier.modules()]
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    torch.testing.assert_close(classifier.probabilities(images[:1]), expected[:1])
    assert evaluate(classifier, data) == whole
    count_flops(classifier.model, data.shape)
    assert [module.training for module in classifier.modules()] == modes
    assert all(torch.equal(value, before[k]) for k, value in classifier.state_dict().items())


def test_mistakes_are_the_surest_wrong_answers(run, data, monkeypatch):
    """Of all of them, whichever piece they are predicted in, by the probabilities of the network;
    the names are those of their classes, in whatever order the data have them."""
    monkeypatch.setattr(predict, "BATCH", 100)
    classifier = nets.load_classifier(run[0])
    p = classifier.probabilities(data.images).double().numpy()
    answers, sure = p.argmax(1), p.max(1)
    wrong = np.flatnonzero(answers != data.labels)
    found = evaluate(classifier, data, "all")
    assert len(wrong) == found.images - found.right > len(found.mistakes) == 20
    assert f"{len(wrong):,} of 1,797 images" in found.about_mistakes()
    assert "the 20 surest" in found.about_mistakes()
    assert {one.index for one in found.mistakes} == set(wrong[np.argsort(-sure[wrong])[:20]])
    given = [one.probability for one in found.mistakes]
    assert given == sorted(given, reverse=True)
    for one in found.mistakes:
        k = one.index
        assert (one.name, one.image) == (None, str(k))
        assert (one.truth, one.answer) == (str(data.labels[k]), str(answers[k]))
        assert one.probability == pytest.approx(sure[k], rel=1e-5)
    names = tuple(f"{k}.png" for k in range(len(data.images)))
    turned = replace(data, classes=data.classes[::-1], labels=9 - data.labels, names=names)
    again = evaluate(classifier, turned, "all").mistakes
    assert [replace(one, name=None) for one in again] == list(found.mistakes)
    assert [one.image for one in again] == [f"{one.index}.png" for one in found.mistakes]
    few = evaluate(classifier, replace(data, test=wrong[:2]))
    assert {one.index for one in few.mistakes} == set(wrong[:2])  # of the data, not of the part
    assert few.about_mistakes() == "2 of 2 images are taken for another class"


def test_the_top_5_accuracy_is_scikit_learn_s(run, data):
    classifier = nets.load_classifier(run[0])
    scores = classifier.probabilities(data.images[data.test]).numpy()
    found = evaluate(classifier, data)
    of = data.labels[data.test]
    assert found.top5 == top_k_accuracy_score(of, scores, k=5, normalize=False, labels=range(10))
    assert found.right < found.top5 < found.images
    assert found.top5_accuracy == found.top5 / found.images


def test_pictures_are_brought_to_the_size_of_the_run(run):
    """Scaled to cover 8 x 8 and cut in the middle, as data.size does; colours become luminance."""
    classifier = nets.load_classifier(run[0])
    values = np.tile(np.arange(32, dtype=np.uint8)[:, None, None] * 8, (1, 16, 3))
    found = classifier.batch(Image.fromarray(values))
    assert found.shape == (1, 1, 8, 8)
    middle = values[8:24, :, 0].reshape(8, 2, 8, 2).mean((1, 3))
    assert np.abs(found[0, 0].numpy() - middle)[1:-1].max() <= 1
    dyed = classifier.batch(Image.fromarray(values // np.array([1, 2, 4], np.uint8)))[0, 0]
    luminance = (0.299 + 0.587 / 2 + 0.114 / 4) * middle  # of red, green and blue
    assert np.abs(dyed.numpy() - luminance)[1:-1].max() <= 2


def test_gradients_and_double_precision(colours):
    from copy import deepcopy

    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    colours(images).sum().backward()
    assert images.grad.abs().max() > 0
    assert deepcopy(colours).double()(images).dtype == torch.float64


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 8, 8), r"shape \(3, 8, 8\); allowed is \(n, 3, height, width\)"),
        (torch.zeros(1, 1, 8, 8), r"shape \(1, 1, 8, 8\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "int64; allowed are uint8, or floats"),
        (np.ma.masked_less(np.eye(8), 0.5), "images is a masked array, 56 of its 64 entries"),
        (None, "images are None, must be numbers, a path or a picture"),
        (b"\x89PNG", r"images are b'.x89PNG', must be numbers, a path or a picture"),
        (torch.full((1, 3, 8, 8), 255.0), r"floats from 255 to 255; allowed are \[0, 1\]"),
        (torch.full((1, 3, 8, 8), -0.5), "floats from -0.5"),
        (np.full((1, 3, 8, 8), np.nan), "floats from nan"),
    ],
)
def test_wrong_images(colours, images, message):
    with pytest.raises(ValueError, match=message) as error:
        colours(images)
    assert "\n" not in str(error.value)


def test_an_empty_path_is_not_the_present_folder(colours):
    with pytest.raises(ValueError, match="images is '', must be the path of a file, folder or"):
        colours.predict("")


@pytest.mark.parametrize(
    ("mean", "std"), [((), ()), ((0.5,), (1.0, 1.0)), ((0.5,), (0.0,)), ((float("nan"),), (1.0,))]
)
def test_wrong_moments(colours, mean, std):
    with pytest.raises(ValueError, match="std > 0"):
        nets.Classifier(colours.model, mean=mean, std=std)


def test_damaged_facts_are_named(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "run")
    facts = read_data_facts(run[0])
    file = tmp_path / "run" / "data.json"
    for text in ("{", "[]", "{}", json.dumps({"mean": 1})):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"data\.json") as error:
            nets.load_classifier(tmp_path / "run")
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"mean \(0.1, 0.2\)"):
        replace(facts, mean=(0.1, 0.2))
    file.write_bytes((run[0] / "data.json").read_bytes())
    assert read_data_facts(tmp_path / "run") == facts == replace(facts, mean=facts.mean)
    assert isinstance(facts, DataFacts)


def test_a_folder_is_no_file_of_weights(run):
    with pytest.raises(IsADirectoryError, match=r"nets\.load\(run\)"):
        load_model(run[0])
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        nets.load_classifier(run[0].parent)


@pytest.mark.parametrize(
    "change",
    [
        {"images": {}},
        {"images": [1, 2, 3]},
        {"images": "many"},
        {"images": {"train": 1, "validation": -1, "test": 2}},
        {"mean": ["a"]},
        {"mean": [None]},
        {"mean": [0.1, 0.2]},
        {"shape": [1, 8]},
        {"shape": [1, 8, "8"]},
        {"classes": [1, 2]},
        {"more": 1},
    ],
)
def test_damaged_facts_of_the_data_are_one_line(run, data, tmp_path, change):
    shutil.copytree(run[0], tmp_path / "run")
    path = tmp_path / "run" / DATA_FILE
    right = json.loads(path.read_text())
    path.write_text(json.dumps({**right, **change}))
    with pytest.raises(ValueError, match="not the data of a run"):
        nets.load_classifier(tmp_path / "run")
    check_data(tmp_path / "run", data)  # a damaged file says nothing
    path.write_text(json.dumps({**right, "digest": "0" * 32}))
    with pytest.raises(ValueError, match="is not what"):
        check_data(tmp_path / "run", data)
    path.write_text(json.dumps({key: value for key, value in right.items() if key != "digest"}))
    check_data(tmp_path / "run", data)  # of an older run
