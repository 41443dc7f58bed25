"""Configurations: recipes by name, files, settings by dotted and short keys, and one line for
everything that is wrong."""

import json
from inspect import signature

import pytest
from pydantic import ValidationError

from nets.config import config_from_dict, list_recipes, list_settings, load_config
from nets.data.sources import find_source, load_data
from nets.models.registry import model_entry
from nets.settings import SECTIONS, TrainConfig


@pytest.mark.parametrize("name", list_recipes())
def test_recipe_is_complete(name):
    config = load_config(name)
    model_entry(config.model.name)
    find_source(config.data.name)
    assert config_from_dict(config.to_dict()) == config
    assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_shipped_names():
    assert {"q2", "g6", "resnet18", "mgnet", "paper", "fast", "digits"} <= set(list_recipes())


def test_defaults_are_those_of_residual_networks():
    """[He et al. 2016, section 4.2]: rate 0.1, momentum 0.9, 128 images, a tenth of the rate at 1/2
    and 3/4; decay 5e-4 [Zagoruyko, Komodakis 2016]; two operations of strength 9 of RandAugment."""
    c = TrainConfig()
    assert (c.optim.name, c.optim.lr, c.optim.momentum, c.optim.nesterov) == ("sgd", 0.1, 0.9, True)
    assert (c.optim.milestones, c.optim.gamma, c.optim.weight_decay) == ((0.5, 0.75), 0.1, 5e-4)
    assert (c.optim.betas, c.train.batch_size) == ((0.9, 0.999), 128)
    assert (c.augment.randaugment_ops, c.augment.randaugment_magnitude) == (2, 9.0)


def test_a_warm_up_may_take_the_whole_run():
    assert load_config("q2", ["epochs=4", "warmup=4"]).optim.warmup == 4
    with pytest.raises(ValueError, match=r"optim.warmup is 4.5 epochs; allowed is at most .* 4"):
        load_config("q2", ["epochs=4", "warmup=4.5"])


def test_data_are_loaded_with_all_that_a_section_says_of_them():
    """But for what is done with them afterwards."""
    sets = ["data=mnist", "split_seed=3", "validation=0.2", "data.root=/there", "data.download=no"]
    assert load_config("q2", sets).data.arguments() == {
        **{"name": "mnist", "split_seed": 3, "validation": 0.2, "test": None, "size": None},
        **{"root": "/there", "download": False},
    }
    assert set(load_config("q2").data.arguments()) == set(signature(load_data).parameters)


def test_paper_recipe_is_the_papers():
    c = load_config("paper")
    assert (c.optim.name, c.optim.lr, c.optim.momentum, c.optim.weight_decay, c.optim.schedule) == (
        "sgd",
        0.1,
        0.9,
        1e-4,
        "cosine",
    )
    assert (c.train.batch_size, c.train.epochs, c.augment.policy) == (128, 400, "autoaugment")


def test_fast_recipe_scales_the_papers_rate_with_the_batch():
    fast, paper = load_config("fast"), load_config("paper")
    assert fast.optim.lr / paper.optim.lr == pytest.approx(
        fast.train.batch_size / paper.train.batch_size
    )
    assert fast.train.compile == "auto"
    assert [
        load_config("fast", [f"compile={value}"]).train.compile
        for value in ("true", "false", "auto")
    ] == [True, False, "auto"]
    with pytest.raises(
        ValueError, match=r"train\.compile is 'always'; allowed is true or false or auto"
    ):
        load_config("fast", ["compile=always"])


def test_settings_by_dotted_short_and_section_keys():
    sets = [
        "epochs=7",
        "optim.lr=0.25",
        "seed=3",
        "width=12",
        "data=fashion_mnist",
        "init=chebyshev:lower=0.3",
        "model.options.groups=2",
        "ema=0.5",
    ]
    c = load_config("q2", sets)
    assert (c.train.epochs, c.optim.lr, c.train.seed, c.model.width) == (7, 0.25, 3, 12)
    assert (c.data.name, c.init.scheme, c.optim.ema) == (
        "fashion_mnist",
        "chebyshev:lower=0.3",
        0.5,
    )
    assert c.model.overrides() == {"width": 12, "groups": 2}
    assert load_config("q2", ["lr=1", "lr=2"]).optim.lr == 2  # the last one counts


def test_short_keys_are_the_unique_ones():
    names = [field for model in SECTIONS.values() for field in model.model_fields]
    assert {"epochs", "seed", "lr", "width", "batch_size", "scheme", "operator"} <= {
        n for n in names if names.count(n) == 1
    }


def test_file_with_base(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"base": "q2", "optim": {"lr": 0.5}}))
    c, base = load_config(path), load_config("q2")
    assert c.optim.lr == 0.5
    assert c.optim.label_smoothing == base.optim.label_smoothing
    assert c.train == base.train
    toml = tmp_path / "mine.toml"
    toml.write_text('base = "q2"\n[optim]\nlr = 0.5\n')
    assert load_config(toml) == c


def test_every_key_is_listed_with_what_it_means():
    """The value of each listed key is what the configuration has there; a value outside what is
    allowed is refused with the same words."""
    c = load_config("fast", ["lr=0.3"])
    listed = {row.key: row for row in list_settings(c)}
    assert list(listed) == [
        f"{section}.{field}" for section, model in SECTIONS.items() for field in model.model_fields
    ]
    plain = c.to_dict()
    for key, row in listed.items():
        section, field = key.split(".")
        assert row.value == plain[section][field]
        assert row.meaning.endswith(".")
        assert "\n" not in row.meaning
    assert listed["optim.lr"].value == 0.3
    assert listed["optim.momentum"].allowed == "a number x with 0 <= x < 1"
    with pytest.raises(ValueError, match=listed["optim.momentum"].allowed):
        load_config("fast", ["momentum=1"])


def test_frozen():
    with pytest.raises(ValidationError):
        TrainConfig().train.epochs = 3


WRONG = [
    (["lr=-1"], r"optim.lr is -1; allowed is a number > 0"),
    (["lr=nan"], r"optim.lr is 'nan'|optim.lr is nan"),
    (["epoch=3"], r"unknown key 'epoch'; did you mean epochs\?$"),
    (
        ["zzz=3"],
        r"unknown key 'zzz'; known are the fields of model, data, augment, init, optim, train",
    ),
    (["name=q2"], r"not unique; give one of model.name, data.name, optim.name"),
    (["optim=rmsprop"], r"optim.name is 'rmsprop'; allowed is sgd, adamw"),
    (["optim.rate=1"], r"unknown key 'optim.rate'; known in optim are name, lr"),
    (["epochs"], r"setting 'epochs' is not key=value"),
    (
        ["randaugment_ops=9"],
        r"augment.randaugment_ops is 9; allowed is a whole number x with 1 <= x <= 8",
    ),
    (
        ["betas=[0.9, 2]"],
        r"optim.betas.1 is 2; allowed is a list of 2, each a number x with 0 <= x < 1",
    ),
    (["on_device=maybe"], r"data.on_device is 'maybe'; allowed is auto, always, never"),
    (["placement=7"], r"model.placement is 7; allowed is text or a table or null"),
    (["epochs=0"], r"train.epochs is 0; allowed is a whole number >= 1"),
    (["epochs=2.5"], r"train.epochs is 2.5"),
    (["warmup=1000"], r"at most train.epochs"),
    (["batch_size=4", "ghost_groups=4"], r"need at least 2 images each"),
    (["data.mean=[0.5]"], r"together"),
    (["momentum=0"], r"Nesterov"),
    (["validation=1"], r"data.validation is 1; allowed is a number x with 0 <= x < 1"),
]


@pytest.mark.parametrize(("sets", "message"), WRONG, ids=[s[0] for s, _ in WRONG])
def test_wrong_setting_is_one_line(sets, message):
    with pytest.raises(ValueError, match=message) as error:
        load_config("q2", sets)
    assert "\n" not in str(error.value)


def test_wrong_files(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"neither a file nor a shipped name; known names are .*q2"
    ):
        load_config("q17")
    cases = {
        "a.json": ("{", "is not JSON"),
        "b.json": ("[1]", "holds a JSON list, must be an object"),
        "c.json": ('{"optim": 3}', "sections"),
    }
    cases |= {
        "d.json": ('{"solver": {}}', "unknown key 'solver'; known are model, data"),
        "e.toml": ("a =", "is not TOML"),
    }
    for name, (text, message) in cases.items():
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as error:
            load_config(path)
        assert "\n" not in str(error.value)
    loop = tmp_path / "loop.json"
    loop.write_text(json.dumps({"base": str(loop)}))
    with pytest.raises(ValueError, match="refers back"):
        load_config(loop)


def test_byte_order_marks_and_other_encodings(tmp_path):
    """Of UTF-8 the mark is passed over, in a base too; other encodings are named."""
    base = tmp_path / "base.toml"
    base.write_bytes(b'\xef\xbb\xbfbase = "q2"\n[optim]\nlr = 0.25\n')
    path = tmp_path / "mine.json"
    text = json.dumps({"base": str(base), "train": {"epochs": 7}})
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = load_config(path)
    assert (found.optim.lr, found.train.epochs) == (0.25, 7)
    assert load_config(base).optim.lr == 0.25
    for encoding in ("utf-16", "utf-16-le", "utf-32", "latin-1"):
        path.write_bytes((text + "é").encode(encoding))
        with pytest.raises(ValueError, match=r"mine\.json is not JSON") as error:
            load_config(path)
        assert "\n" not in str(error.value)


def test_a_section_that_is_no_table():
    with pytest.raises(ValueError, match=r"^optim is 3; allowed is a table$"):
        config_from_dict({"optim": 3})


@pytest.mark.parametrize("value", [10**30, "9" * 400])
def test_a_number_that_nobody_counts_to(value):
    with pytest.raises(ValueError, match=r"train.epochs is a whole number of \d+ digits; allowed"):
        load_config("digits", [f"epochs={value}"])
    with pytest.raises(ValueError, match=r"train.epochs is a whole number of \d+ digits; allowed"):
        config_from_dict({"train": {"epochs": value}})
