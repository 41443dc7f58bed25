"""Descriptions of models: channels from every way to give a width, one entry per level from one for
all, JSON and back."""

import json

import pytest

from nets.models.create import create_model
from nets.models.options import level_channels, per_level
from nets.models.spec import ModelSpec

PUBLISHED = (64, 128, 256, 256)


@pytest.mark.parametrize(
    ("width", "levels", "channels"),
    [
        (None, None, PUBLISHED),
        (None, 6, (64, 128, 256, 256, 256, 256)),
        (7, None, (7, 14, 28, 28)),
        (1.5, 2, (96, 192)),
        (0.29, None, (19, 38, 76, 76)),  # 18.56 channels: rounded, not cut off
        (0.3, 1, (19,)),  # 19.2
        (0.55, 3, (35, 70, 140)),  # 35.2
        (0.01, 2, (1, 2)),  # 0.64
    ],
)
def test_a_whole_width_is_the_first_levels_and_a_factor_is_rounded_there(width, levels, channels):
    assert level_channels(PUBLISHED, channels=None, width=width, levels=levels) == channels


def test_no_level_is_left_without_a_channel():
    assert level_channels((64, 32, 16), channels=None, width=2, levels=None) == (2, 1, 1)
    with pytest.raises(ValueError, match=r"width is 0\.005, must be .* at least one channel"):
        level_channels(PUBLISHED, channels=None, width=0.005, levels=None)


def test_one_entry_is_for_all_levels_and_lists_are_one_per_level():
    assert per_level(["linear", "general3"], 2, what="factors") == (
        ("linear", "general3"),
        ("linear", "general3"),
    )
    assert per_level([["linear"], ["general3"]], 2, what="factors") == (("linear",), ("general3",))
    assert per_level(3, 2, what="steps") == (3, 3)
    assert per_level([1, 3], 2, what="steps") == (1, 3)
    for value, what, message in (
        ([["linear"]], "factors", r"is \[\['linear'\]\], must have one entry a level, 2"),
        ([["linear"], []], "factors", "no step"),
        ([1, 2, 3], "steps", r"is \[1, 2, 3\], must have one entry a level, 2"),
        ([1, True], "steps", "positive whole numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            per_level(value, 2, what=what)


def test_a_description_goes_through_json_and_is_not_its_callers():
    given = {"width": 4, "factors": [["linear"], ["linear", "linear"]], "levels": 2}
    spec = ModelSpec("q2", given)
    given["factors"][0].append("linear")
    assert spec.overrides["factors"] == [["linear"], ["linear", "linear"]]
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    model = create_model(spec.name, **spec.overrides)
    assert [len(level.steps) for level in model.levels] == [1, 2]
    assert model.spec == spec
    with pytest.raises(ValueError, match="must be JSON types"):
        ModelSpec("q2", {"width": object()})
    for data in ([], {}, {"name": 3}):
        with pytest.raises(ValueError, match="not a model's description"):
            ModelSpec.from_dict(data)
