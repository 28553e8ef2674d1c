"""YOLO detect: `class x y width height`, upright boxes. The layout is told in `yolo_layout`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synapse_skills.annotations.model import Box, Mask, Polygon
from synapse_skills.formats.base import Format, Option, Verified
from synapse_skills.formats.geometry import bounds, box_of, clean_ring, clip_ring, envelope
from synapse_skills.formats.outlines import mask_box
from synapse_skills.formats.yolo_layout import Rows, YoloWriter, box_row
from synapse_skills.formats.yolo_verify import box_check
from synapse_skills.formats.yolo_verify import verify as verify_with

OPTIONS = (
    Option("rotated", ("lose", "envelope"), "Boxes that stand askew: lost, or written as the upright box around them."),
    Option("polygon", ("lose", "box"), "Polygons: lost, or written as the box around them."),
    Option("mask", ("lose", "box"), "Masks: lost, or written as the box around them."),
)


class Detect(YoloWriter):
    """One row for each box."""

    holds = frozenset({"bounding_box", "polygon", "segmentation"})

    def builders(self) -> Mapping[type, Callable[[Any, float, float], Rows]]:
        """Boxes; polygons and masks if their options say so."""
        options = self.settings.options
        builders: dict[type, Callable[[Any, float, float], Rows]] = {Box: self._box}
        if options["polygon"] == "box":
            builders[Polygon] = self._polygon
        if options["mask"] == "box":
            builders[Mask] = self._mask
        return builders

    def _box(self, box: Box, width: float, height: float) -> Rows:
        kept = self.upright_box(box, width, height)
        if kept == "rotated" and self.settings.options["rotated"] == "envelope":
            kept = self.upright_box(envelope(box), width, height)
            if isinstance(kept, Box):
                self.note("rotated-as-envelope")
        return kept if isinstance(kept, str) else box_row(kept, width, height)

    def _polygon(self, polygon: Polygon, width: float, height: float) -> Rows:
        ring = clean_ring(polygon.points)
        if isinstance(ring, str):
            return ring
        # Cut before it is measured: the box around a cut polygon may be smaller than the cut box around all of it.
        cut = clip_ring(ring, width, height, self.policy)
        if isinstance(cut, str):
            return cut
        whole, kept = box_of(bounds(ring)), box_of(bounds(cut))
        self.note("polygon-as-box")
        self.note_moved(whole, kept)
        return box_row(kept, width, height)

    def _mask(self, mask: Mask, width: float, height: float) -> Rows:
        box = mask_box(mask, int(width), int(height))
        if isinstance(box, str):
            return box
        self.note("mask-as-box")
        return box_row(box, width, height)


def verify(folder: Path) -> Verified:
    """Every row is a class and a box inside its picture."""
    return verify_with(folder, lambda _: box_check)


FORMAT = Format(
    name="yolo",
    title="YOLO (Ultralytics), boxes",
    media=("image",),
    holds={"bounding_box": "exact", "polygon": "polygon=box", "segmentation": "mask=box"},
    needs_size=True,
    options=OPTIONS,
    write=Detect,
    verify=verify,
)
