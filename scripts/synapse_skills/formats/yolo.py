"""YOLO detect: `class x y width height`, upright boxes. The layout is told in `yolo_layout`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synapse_skills.formats.base import Format, Verified
from synapse_skills.formats.boxes import HOLDS, OPTIONS, Boxes
from synapse_skills.formats.yolo_layout import Rows, YoloWriter, box_row
from synapse_skills.formats.yolo_verify import box_check
from synapse_skills.formats.yolo_verify import verify as verify_with


class Detect(YoloWriter):
    """One row for each box."""

    holds = frozenset(HOLDS)

    def builders(self) -> Mapping[type, Callable[[Any, float, float], Rows]]:
        """Boxes; polygons and masks if their options say so."""
        boxes = Boxes(self.settings.geometry, self.settings.options, self.notes)

        def build(geometry: Any, width: float, height: float) -> Rows:
            box = boxes.of(geometry, width, height)
            return box if isinstance(box, str) else box_row(box, width, height)

        return dict.fromkeys(boxes.shapes, build)


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
)
