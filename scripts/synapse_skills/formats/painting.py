"""A picture's annotations painted as pixels, one over the other in their order: what mask pictures are made of."""

from __future__ import annotations

import colorsys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from synapse_skills.annotations.model import Annotation, Mask, Polygon
from synapse_skills.formats import rle
from synapse_skills.formats.base import Item, Loss, Settings
from synapse_skills.formats.classes import DROPPED, Classes
from synapse_skills.formats.geometry import bounds, clip_polygon

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOT_HELD, NO_GEOMETRY, NO_SIZE, OCCLUDED = "not-held", "no-geometry", "no-size", "occluded"


@dataclass(slots=True)
class Painted:
    """A painted picture.

    Attributes:
        numbers: of each pixel the number of what lies on top there, from 1; 0 is nothing.
        shown: those annotations that can be seen, with their number, the place of their class, and their pixels.
        covered: how many annotations lost some of their pixels to others, and are still to be seen.
        losses: all others.
    """

    numbers: NDArray[np.int32]
    shown: list[tuple[int, Annotation, int, int]]
    covered: int
    losses: list[Loss]


class PaintingWriter(ABC):
    """A writer that paints every picture; the protocol is `base.Writer`.

    Attributes:
        what: what it makes, for messages.
    """

    what: ClassVar[str]

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.rows: dict[str, int] = dict.fromkeys(settings.splits or ("",), 0)
        self.notes: dict[str, int] = {}
        self.folder = folder
        self.settings = settings

    def write(self, item: Item) -> Sequence[Loss]:
        """Paint a picture; without annotations it is black."""
        annotations = item.media.annotations
        if item.media.kind != "image":
            detail = f"{self.what} hold pictures, not {item.media.kind}"
            return [Loss(each, NOT_HELD, detail) for each in annotations]
        if not item.width or not item.height:
            self._note(NO_SIZE, 1)
            return [Loss(each, NO_SIZE) for each in annotations]
        painted = paint(item, self.settings.classes, self.settings.geometry)
        if painted.covered:
            self._note(OCCLUDED, painted.covered)
        self.keep(item, painted)
        self.rows[item.split] = self.rows.get(item.split, 0) + len(painted.shown)
        return painted.losses

    @abstractmethod
    def keep(self, item: Item, painted: Painted) -> None:
        """Write what was painted."""

    def place(self, item: Item) -> str | None:
        """In `images`, below the part."""
        if item.media.kind != "image":
            return None
        return "/".join(part for part in ("images", item.split, item.name) if part)

    def _note(self, code: str, count: int) -> None:
        self.notes[code] = self.notes.get(code, 0) + count


def paint(item: Item, classes: Classes, policy: str) -> Painted:
    """Paint polygons and masks; what comes later lies on top. The picture's size must be known."""
    import numpy as np

    width, height = int(item.width or 0), int(item.height or 0)
    canvas = np.zeros((height, width), dtype=np.int32)
    painted = Painted(canvas, [], 0, [])
    laid: list[tuple[int, Annotation, int, int]] = []
    for number, each in enumerate(item.media.annotations, start=1):
        place = classes.place(each)
        laying = _LAY.get(type(each.geometry))
        if laying is None:
            reason = DROPPED if place == DROPPED else NO_GEOMETRY if each.geometry is None else NOT_HELD
            painted.losses.append(Loss(each, reason))
        elif isinstance(place, str):
            painted.losses.append(Loss(each, place))
        else:
            pixels = laying(canvas, each.geometry, number, policy)
            if isinstance(pixels, str):
                painted.losses.append(Loss(each, pixels))
            else:
                laid.append((number, each, place, pixels))
    seen = dict(zip(*(part.tolist() for part in np.unique(canvas, return_counts=True)), strict=True))
    for number, each, place, pixels in laid:
        if left := seen.get(number, 0):
            painted.covered += left < pixels
            painted.shown.append((number, each, place, left))
        else:
            painted.losses.append(Loss(each, OCCLUDED, "others lie on all of its pixels"))
    return painted


def colour(place: int) -> tuple[int, int, int]:
    """The colour of a class: no two of the first thousands are the same, and neighbours look different."""
    number = place + 1
    red, green, blue = colorsys.hsv_to_rgb(number * 0.6180339887 % 1, 0.55 + 0.45 * (number % 3) / 2, 0.95)
    # The lowest bits tell apart what the eye doesn't.
    return tuple((int(part * 255) & ~15) | (number >> shift & 15) for part, shift in ((red, 0), (green, 4), (blue, 8)))  # type: ignore[return-value]


def _lay_polygon(canvas: NDArray[np.int32], polygon: Polygon, number: int, policy: str) -> int | str:
    height, width = canvas.shape
    inside = clip_polygon(polygon, width, height, policy)
    if isinstance(inside, str):
        return inside
    left, top, right, bottom = bounds(inside.points)
    x, y = floor(left), floor(top)
    # Only the window around it is looked at: pictures are large, and polygons mostly aren't.
    rings = [[(px - x, py - y) for px, py in ring] for ring in (inside.points, *inside.holes)]
    pixels = rle.raster(rings, ceil(right) - x, ceil(bottom) - y).astype(bool)
    window = canvas[y : y + pixels.shape[0], x : x + pixels.shape[1]]
    window[pixels] = number
    return int(pixels.sum()) or "zero-area"


def _lay_mask(canvas: NDArray[np.int32], mask: Mask, number: int, _policy: str) -> int | str:
    if not mask.runs:
        return "zero-area"
    if not rle.fits(mask.runs, canvas.shape[1], canvas.shape[0]):
        return "bad-geometry"
    flat = canvas.reshape(-1)
    for start, length in mask.runs:
        flat[start : start + length] = number
    return rle.area(mask.runs)


_LAY: dict[type, Callable[..., int | str]] = {Polygon: _lay_polygon, Mask: _lay_mask}
