"""Options of models spelled out per level: the channels, and one entry for all or one per level."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

MOST_CHANNELS = 1 << 14  # of a level: one 3 x 3 convolution of so many holds 9 GiB of weights


def one_of(value: Any, name: str, allowed: Collection[str]) -> Any:
    """The value itself; ValueError, with what is allowed, where it is another."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} is {value!r}, allowed are: {', '.join(allowed)}")
    return value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def check_kernel(kernel_size: Any) -> None:
    """ValueError where a "same" padding is not the same on all sides."""
    if not _is_count(kernel_size) or kernel_size % 2 == 0:
        raise ValueError(
            f"kernel_size is {kernel_size!r}, must be a whole number, odd and positive"
        )


def check_groups(groups: Any, channels: Sequence[int]) -> None:
    """ValueError where a convolution cannot have so many groups."""
    if not _is_count(groups) or any(c % groups for c in channels):
        raise ValueError(
            f"groups is {groups!r}, must be a whole number that divides the channels"
            f" {list(channels)}"
        )


def check_separable(separable: Any, groups: int) -> None:
    """ValueError where it is no flag, or would have groups."""
    if not isinstance(separable, bool):
        raise ValueError(f"separable is {separable!r}, allowed are: true, false")
    if separable and groups > 1:
        raise ValueError(
            f"separable convolutions have a filter for each channel and no groups, groups is"
            f" {groups}; use one of both"
        )


def check_number(value: Any, name: str) -> None:
    """ValueError where it is not a finite number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, must be a finite number")


def check_counts(
    values: Any, name: str, what: str = "positive whole numbers", count: int | None = None
) -> None:
    """ValueError where these are not positive whole numbers in a list or tuple, `count` or at least
    one."""
    listed = values if isinstance(values, list | tuple) else ()
    if not listed or not all(map(_is_count, listed)) or len(listed) != (count or len(listed)):
        raise ValueError(f"{name} is {values!r}, must be {what}")


def level_channels(
    default: Sequence[int],
    *,
    channels: Sequence[int] | None,
    width: float | None,
    levels: int | None,
) -> tuple[int, ...]:
    """Channels of every level from the options of `create_model`.

    A width keeps the proportions of `default`, the published channels; of `levels`, those beyond
    them repeat the last. ValueError for what is not positive, and where `channels` and one of the
    others are given.
    """
    if channels is not None:
        if width is not None or levels is not None:
            raise ValueError(
                "channels gives the width of every level: width and levels, a recipe's too, must be"
                " null (None)"
            )
        check_counts(channels, "channels", "positive whole numbers, one per level")
        return tuple(channels)
    count = len(default) if levels is None else levels
    if not _is_count(count) or count > 16:
        raise ValueError(f"levels is {levels!r}, must be a whole number from 1 to 16")
    first = default[0] if width is None else width
    if isinstance(width, float) and math.isfinite(width):
        first = round(width * default[0])
    if not _is_count(first):
        raise ValueError(
            f"width is {width!r}, must be a whole number of channels >= 1 or a float factor that"
            " leaves at least one channel"
        )
    if first > MOST_CHANNELS:
        raise ValueError(
            f"width is {width!r}, which gives the first level {first:,} channels; allowed are"
            f" {MOST_CHANNELS:,}"
        )
    padded = [*default[:count], *[default[-1]] * (count - len(default))]
    return tuple(max(1, int(first) * c // default[0]) for c in padded)


def per_level(value: Any, levels: int, *, what: str) -> tuple[Any, ...]:
    """One entry per level from one for all: lists of names for `factors`, else numbers; a
    ValueError says what does not fit."""
    entries = list(value) if isinstance(value, list | tuple) else [value]
    if what == "factors":
        if entries and all(isinstance(kind, str) for kind in entries):
            entries = [entries] * levels
        if not all(
            isinstance(kinds, list | tuple) and all(isinstance(kind, str) for kind in kinds)
            for kinds in entries
        ):
            raise ValueError(
                f"factors is {value!r}, must be a list of kinds for all levels or one list per"
                " level"
            )
        if not all(entries):
            raise ValueError("factors: a level has no step, it needs at least one")
        entries = [tuple(kinds) for kinds in entries]
    else:
        if not all(map(_is_count, entries)):
            raise ValueError(
                f"{what} is {value!r}, must be positive whole numbers, one for all levels or one"
                " per level"
            )
        if not isinstance(value, list | tuple):
            entries *= levels
    if len(entries) != levels:
        raise ValueError(f"{what} is {value!r}, must have one entry a level, {levels}")
    return tuple(entries)
