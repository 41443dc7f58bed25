"""Names beside the points of a figure, where they cover nothing.

`figures.studies.draw_costs` writes them at their points and marks each by its gid as `NAME` or
`IF_ROOM`; `place_names` moves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

FRONT = "no other is better and cheaper"
NAME = "name of a point"
IF_ROOM = "name of a point, if there is room"
COVER = 2.0  # what a place is worse, in typographic points, for a square point that it covers
OF_OWN = 0.3  # as much of that counts where it is the interval of its own point
ASTRAY = 8.0  # what a place is worse, in typographic points, that is nearer to another point
EDGE = 2.0  # typographic points between a name and the frame
NEAR = 10.0  # typographic points from its own, beyond which a name needs a line to it
# of a name from its point in typographic points, and the part of its width that lies left of there
PLACES = [
    (dx * r, dy * r, part)
    for r in (5.0, 9.0, 14.0, 20.0, 27.0)
    for dx, dy, parts in (
        *((1, 0, (0.0,)), (1, 1, (0.0,)), (-1, 0, (1.0,)), (-1, 1, (1.0,))),
        *((1, -1, (0.0,)), (-1, -1, (1.0,))),
        *((0, 1.6, (0.5, 0.25, 0.75)), (0, -1.6, (0.5, 0.25, 0.75))),
    )
    for part in parts
]
AWAY = [float(np.hypot(dx, dy)) for dx, dy, _ in PLACES]
ROUNDS = 9  # of looking whether two names together have better places


def place_names(made: Figure) -> None:
    """Move the names to where they cover no other name, no point, no interval and no line, the
    nearest such places to their own points, with a line to it from afar; call it last, for it lays
    the figure out.

    Names that have no such place near their point are left out where the panel does not need them,
    and where even the farthest places are covered by half."""
    made.canvas.draw()
    pixels = made.dpi / 72.0
    for ax in made.axes:
        names: list[Any] = [one for one in ax.texts if one.get_gid() in (NAME, IF_ROOM)]
        if not names:
            continue
        points = ax.transData.transform([one.xy for one in names]).reshape(-1, 2)
        sizes = np.array([(size.width, size.height) for one in names for size in [_size(one)]])
        boxes = _boxes(points, sizes, pixels)
        taken, intervals = _marks(ax, pixels)
        weights = np.ones((len(names), len(taken)))
        for at, where in intervals.items():
            weights[[one.xy == at for one in names], where] = OF_OWN
        inside = ax.get_window_extent().padded(-EDGE * pixels)
        covered = _covered(boxes, taken, weights, inside) / pixels**2
        # in points: so much farther is a place taken as the near ones are covered
        costs = COVER * covered + AWAY
        for k, own in enumerate(boxes):
            costs[k] += [ASTRAY * _astray(Bbox.from_extents(box), points[k], points) for box in own]
        needed = [k for k, one in enumerate(names) if one.get_gid() == NAME]
        chosen = _together(boxes[needed], costs[needed], pixels)
        placed = dict(zip(needed, chosen))
        for k, text in enumerate(names):
            others = [boxes[j, place] for j, place in placed.items() if j != k]
            by_names = _overlap(boxes[k], others).sum(axis=1) / pixels**2
            total, own = costs[k] + COVER * by_names, covered[k] + by_names
            place = placed.get(k, int(np.argmin(total)))
            area = sizes[k].prod() / pixels**2
            far = AWAY[place]
            if own[place] > 0.3 * area or (k not in placed and total[place] > min(far, NEAR)):
                text.set_visible(False)
                placed.pop(k, None)
                continue
            placed[k] = place
            corner = (boxes[k, place, :2] + [0.0, 0.5 * sizes[k, 1]] - points[k]) / pixels
            text.arrow_patch.set_visible(far > NEAR)
            text.set_position(tuple(corner))
            text.set_ha("left")
            text.set_va("center")


def _together(boxes: Any, costs: Any, pixels: float) -> list[int]:
    """Of each name the place: one after the other the least that it costs beside those before it,
    then two at a time the least that both cost beside all others. A name alone finds no other place
    while the one that stands in its way has no reason to move."""
    count, places = costs.shape
    between = np.zeros((count, places, count, places))
    for j, own in enumerate(boxes):
        for k in range(j):
            between[j, :, k] = COVER * _overlap(own, boxes[k]) / pixels**2
            between[k, :, j] = between[j, :, k].T
    chosen: list[int] = []
    for j in range(count):
        beside = sum(between[j, :, k, place] for k, place in enumerate(chosen))
        chosen.append(int(np.argmin(costs[j] + beside)))

    def all_beside() -> Any:
        """What every place of every name costs beside the others where they are."""
        return costs + sum(between[:, :, i, place] for i, place in enumerate(chosen))

    for _ in range(ROUNDS):
        before, beside = list(chosen), all_beside()
        for j in range(count):
            for k in range(j):
                mine = beside[j] - between[j, :, k, chosen[k]]
                other = beside[k] - between[k, :, j, chosen[j]]
                both = mine[:, None] + other[None, :] + between[j, :, k]
                if both.min() < both[chosen[j], chosen[k]] - 1e-9:
                    chosen[j], chosen[k] = map(int, np.unravel_index(both.argmin(), both.shape))
                    beside = all_beside()
        if chosen == before:
            break
    return chosen


def _marks(ax: Axes, pixels: float) -> tuple[list[Bbox], dict[tuple[float, float], int]]:
    """What a name must not cover, in pixels: points, intervals, and the line in small pieces; and
    point -> which of them is its interval."""
    taken, intervals = list[Bbox](), dict[tuple[float, float], int]()
    bars: list[Any] = list(ax.containers)
    for marker, _, (interval,) in (bar.lines for bar in bars):
        x, y = marker.get_xydata()[0]
        taken.append(Bbox([ax.transData.transform((x, y))] * 2).padded(3 * pixels))
        intervals[float(x), float(y)] = len(taken)
        taken.append(Bbox(ax.transData.transform(interval.get_segments()[0])).padded(pixels))
    for line in ax.lines:
        if line.get_label() == FRONT:
            ends = ax.transData.transform(line.get_xydata())
            for low, high in pairwise(ends):
                steps = max(2, int(np.hypot(*(high - low)) / (2 * pixels)))
                taken += [Bbox([at, at]).padded(pixels) for at in np.linspace(low, high, steps)]
    return taken, intervals


def _size(text: Any) -> Bbox:
    """The extent of a name's words, without the line to its point."""
    return Text.get_window_extent(text)


def _boxes(points: Any, sizes: Any, pixels: float) -> Any:
    """Where each name is at each place: (x0, y0, x1, y1) in pixels, shape (names, places, 4)."""
    offset, part = np.array(PLACES)[:, :2] * pixels, np.array(PLACES)[:, 2]
    shift = np.stack([part, np.full_like(part, 0.5)], axis=1)
    low = points[:, None] + offset - shift * sizes[:, None]
    return np.concatenate([low, low + sizes[:, None]], axis=2)


def _overlap(boxes: Any, others: Any) -> Any:
    """What each box shares with each of the others, in square pixels."""
    own, given = np.asarray(boxes)[:, None], np.reshape(others, (-1, 4))[None]
    low, high = np.maximum(own[..., :2], given[..., :2]), np.minimum(own[..., 2:], given[..., 2:])
    return np.clip(high - low, 0.0, None).prod(axis=2)


def _covered(boxes: Any, taken: Sequence[Bbox], weights: Any, inside: Bbox) -> Any:
    """What each name covers at each place, in square pixels times its `weights` of what there is;
    outside of `inside` nothing may be."""
    found = _overlap(boxes.reshape(-1, 4), [one.extents for one in taken])
    found = np.einsum("kpi,ki->kp", found.reshape(*boxes.shape[:2], -1), weights)
    out = (boxes[..., :2] < inside.min).any(axis=2), (boxes[..., 2:] > inside.max).any(axis=2)
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(axis=2)
    return found + areas * np.sum(out, axis=0)


def _astray(box: Bbox, own: Any, points: Any) -> bool:
    """Whether a name there is nearer to another point than to its own."""
    ends = np.clip(np.vstack([own, points]), box.min, box.max)
    away = np.linalg.norm(np.vstack([own, points]) - ends, axis=1)
    return bool((away[1:] < away[0] - 1e-9).any())
