"""Names beside the points of a figure, where they cover nothing.

`figures.studies.draw_costs` writes them at their points and marks each by its gid as `NAME` or
`IF_ROOM`; `place_names` moves them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

FRONT = "no other mean is better and cheaper"
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
        inside = ax.get_window_extent().padded(-EDGE * pixels)
        covered = np.array(
            [_covered(own, taken, intervals.get(one.xy), inside) for own, one in zip(boxes, names)]
        )
        covered /= pixels**2
        # in points: so much farther is a place taken as the near ones are covered
        astray = np.array([_astray(own, point, points) for own, point in zip(boxes, points)])
        costs = COVER * covered + AWAY + ASTRAY * astray
        needed = np.array([k for k, one in enumerate(names) if one.get_gid() == NAME], dtype=int)
        # the best that would fill half of the panel: more hardly stand, and push one another about
        needed = needed[2.0 * sizes[needed].prod(axis=1).cumsum() <= np.prod(inside.size)]
        chosen = _together(boxes[needed], costs[needed], pixels)
        placed = dict(zip(needed.tolist(), chosen))
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
    while the one that stands in its way has no reason to move. Only names within reach of one
    another are two, and what their places share is computed where it is needed: of a thousand names
    there are a thousand million pairs of places."""
    low, high = _reach(boxes)
    names = range(len(boxes))
    near = [
        np.flatnonzero(
            ((low < high[j]) & (low[j] < high)).all(axis=1) & (np.arange(len(boxes)) != j)
        )
        for j in names
    ]
    chosen = np.zeros(len(boxes), dtype=int)

    def shared(own: Any, others: Any) -> Any:
        return COVER * _overlap(own, others) / pixels**2

    def beside(j: int, others: Any) -> Any:
        """What every place of a name costs beside others where they are."""
        return costs[j] + shared(boxes[j], boxes[others, chosen[others]]).sum(axis=1)

    def hopeful(j: int, others: Any) -> Any:
        """Those of others with which a name would have better places, were both alone there."""
        mine = around[j] - shared(boxes[j], boxes[others, chosen[others]]).T
        theirs = shared(boxes[others].reshape(-1, 4), boxes[j, chosen[j]])
        theirs = around[others] - theirs.reshape(around[others].shape)
        now = around[j, chosen[j]] + theirs[np.arange(len(others)), chosen[others]]
        return others[mine.min(axis=1) + theirs.min(axis=1) < now - 1e-9]

    def move(j: int, k: int) -> None:
        """Give two names the places that are the best of both together."""
        between = shared(boxes[j], boxes[k])
        mine, theirs = around[j] - between[:, chosen[k]], around[k] - between[chosen[j]]
        both = mine[:, None] + theirs + between
        if both.min() < both[chosen[j], chosen[k]] - 1e-9:
            for name, place in zip((j, k), np.unravel_index(both.argmin(), both.shape)):
                ends = boxes[name, [chosen[name], place]]
                change = shared(boxes[near[name]].reshape(-1, 4), ends) @ [-1.0, 1.0]
                around[near[name]] += change.reshape(around[near[name]].shape)
                chosen[name] = place

    for j in names:
        chosen[j] = np.argmin(beside(j, near[j][near[j] < j]))
    for _ in range(ROUNDS):
        before, around = chosen.copy(), np.array([beside(j, near[j]) for j in names])
        for j in names:
            for k in hopeful(j, near[j][near[j] < j]):
                move(j, k)
        if (chosen == before).all():
            break
    return chosen.tolist()


def _marks(ax: Axes, pixels: float) -> tuple[Any, dict[tuple[float, float], int]]:
    """What a name must not cover, in pixels, shape (m, 4): points, intervals, and the line in small
    pieces; and point -> which of them is its interval."""
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
    return np.array([one.extents for one in taken]), intervals


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


def _covered(boxes: Any, taken: Any, interval: int | None, inside: Bbox) -> Any:
    """What a name covers at each of its places, in square pixels, of its own interval a part;
    outside of `inside` nothing may be."""
    low, high = _reach(boxes)
    near = (taken[:, :2] < high).all(axis=1) & (low < taken[:, 2:]).all(axis=1)
    part = np.ones(len(taken))
    if interval is not None:
        part[interval] = OF_OWN
    found = _overlap(boxes, taken[near]) @ part[near]
    out = (boxes[:, :2] < inside.min).any(axis=1), (boxes[:, 2:] > inside.max).any(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return found + areas * np.sum(out, axis=0)


def _astray(boxes: Any, own: Any, points: Any) -> Any:
    """At which of its places a name is nearer to another point than to its own."""

    def away(ends: Any, low: Any, high: Any) -> Any:
        return np.linalg.norm(ends - np.clip(ends, low, high), axis=-1)

    allowed = away(own, boxes[:, :2], boxes[:, 2:])
    others = points[away(points, *_reach(boxes)) < allowed.max()]
    found = away(others, boxes[:, None, :2], boxes[:, None, 2:])
    return (found < allowed[:, None] - 1e-9).any(axis=1)


def _reach(boxes: Any) -> tuple[Any, Any]:
    """The corners of what a name may cover, over all places: shape (2,) of one name's boxes, (n, 2)
    of n names'."""
    return boxes[..., :2].min(axis=-2), boxes[..., 2:].max(axis=-2)
