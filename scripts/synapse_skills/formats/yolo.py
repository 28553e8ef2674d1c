"""YOLO detect: `class x y width height`, upright boxes. The layout is told in `yolo_layout`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synapse_skills.annotations.model import Box
from synapse_skills.formats.base import Format, Item, Loss, Verified
from synapse_skills.formats.boxes import HOLDS, OPTIONS, Boxes
from synapse_skills.formats.geometry import NOISE
from synapse_skills.formats.yolo_layout import UNSEEN, Rows, YoloWriter, box_row
from synapse_skills.formats.yolo_verify import box_check
from synapse_skills.formats.yolo_verify import verify as verify_with

_ROW = "%d %.8f %.8f %.8f %.8f\n"
"""As `box_row` writes it, for all boxes of a picture at once."""


class Detect(YoloWriter):
    """One row for each box."""

    holds = frozenset(HOLDS)

    def builders(self) -> Mapping[type, Callable[[Any, float, float], Rows]]:
        """Boxes; polygons and masks if their options say so."""
        self._places: dict[str | None, int | str] = {}
        boxes = Boxes(self.settings.geometry, self.settings.options, self.notes)

        def build(geometry: Any, width: float, height: float) -> Rows:
            box = boxes.of(geometry, width, height)
            return box if isinstance(box, str) else box_row(box, width, height)

        return dict.fromkeys(boxes.shapes, build)

    def lines(self, item: Item) -> tuple[list[str], list[Loss]]:
        """The rows of a picture. Nearly all boxes are upright and inside: these go the short way, twice as fast."""
        width, height = float(item.width or 0), float(item.height or 0)
        # Twice the least that has a digit: the long way tells near ones apart.
        thin, low = max(NOISE, 2 * UNSEEN * width), max(NOISE, 2 * UNSEEN * height)
        places = self._places
        cells: list[float] = []
        for annotation in item.media.annotations:
            box, place = annotation.geometry, places.get(annotation.label)
            if place is None:
                place = places[annotation.label] = self.settings.classes.place(annotation)
            if type(box) is not Box or box.rotation or isinstance(place, str):
                return super().lines(item)
            x, y, w, h = box.x, box.y, box.width, box.height
            if not (x >= 0 and y >= 0 and w >= thin and h >= low and x + w <= width and y + h <= height):
                return super().lines(item)
            w, h = w / width, h / height
            cells += (place, x / width + w / 2, y / height + h / 2, w, h)
        return [_ROW * (len(cells) // 5) % tuple(cells)] if cells else [], []


def verify(folder: Path) -> Verified:
    """Every row is a class and a box inside its picture."""
    return verify_with(folder, lambda _: box_check)


FORMAT = Format(
    name="yolo",
    title="YOLO (Ultralytics), boxes",
    media=("image",),
    holds=HOLDS,
    needs_size=True,
    options=OPTIONS,
    write=Detect,
    verify=verify,
    splits=True,
)
