"""YOLO segment: `class x1 y1 x2 y2 …`, one outline a row. The layout is told in `yolo_layout`.

A row has no place for holes: with `hole=bridge` the outline walks to each hole and back, which holds the same area. A
mask of several parts becomes as many rows: the trainer takes each for an object of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synapse_skills.annotations.model import Box, Mask, Polygon
from synapse_skills.formats.base import LEAVE, Format, Option, Verified
from synapse_skills.formats.geometry import BAD, ZERO, are_finite, bounds, clip_polygon, corners, runs_out
from synapse_skills.formats.outlines import bridged, mask_polygons
from synapse_skills.formats.yolo_layout import Rows, YoloWriter, points_row
from synapse_skills.formats.yolo_verify import ring_check
from synapse_skills.formats.yolo_verify import verify as verify_with

OPTIONS = (
    Option(
        "mask",
        ("lose", "polygon"),
        "Masks: lost, or written as their exact outlines, a row for each part.",
        labels=(LEAVE, "Keep as outlines"),
    ),
    Option(
        "hole",
        ("lose", "bridge"),
        "Shapes with holes: lost, or written as one outline that walks around them.",
        labels=(LEAVE, "As one bridged outline"),
    ),
    Option(
        "box",
        ("lose", "polygon"),
        "Boxes, rotated ones too: lost, or written as their four corners.",
        labels=(LEAVE, "Keep as four corners"),
    ),
)


class Segment(YoloWriter):
    """One row for each outline."""

    holds = frozenset({"bounding_box", "polygon", "segmentation"})

    def builders(self) -> Mapping[type, Callable[[Any, float, float], Rows]]:
        """Polygons; masks and boxes if their options say so."""
        options = self.settings.options
        builders: dict[type, Callable[[Any, float, float], Rows]] = {Polygon: self._polygon}
        if options["mask"] == "polygon":
            builders[Mask] = self._mask
        if options["box"] == "polygon":
            builders[Box] = self._box
        return builders

    def _polygon(self, polygon: Polygon, width: float, height: float) -> Rows:
        kept = clip_polygon(polygon, width, height, self.policy)
        if isinstance(kept, str):
            return kept
        if kept.holes and self.settings.options["hole"] != "bridge":
            return "holes"
        row = _row(kept, width, height)
        if row is None:
            return ZERO
        if kept.holes:
            self.note("holes-bridged")
        if runs_out(bounds(polygon.points), width, height):
            self.note("clamped")
        return [row]

    def _mask(self, mask: Mask, width: float, height: float) -> Rows:
        parts = mask_polygons(mask, int(width), int(height))
        if isinstance(parts, str):
            return parts
        has_holes = any(part.holes for part in parts)
        if has_holes and self.settings.options["hole"] != "bridge":
            return "holes"
        rows = [row for part in parts if (row := _row(part, width, height)) is not None]
        if len(rows) < len(parts):
            return ZERO
        self.note("mask-as-polygons")
        if len(parts) > 1:
            self.note("mask-in-several-rows")
        if has_holes:
            self.note("holes-bridged")
        return rows

    def _box(self, box: Box, width: float, height: float) -> Rows:
        if not are_finite((box.x, box.y, box.width, box.height, box.rotation)) or min(box.width, box.height) < 0:
            return BAD
        rows = self._polygon(Polygon(corners(box)), width, height)
        if not isinstance(rows, str):
            self.note("box-as-polygon")
        # The corners of a box without an area repeat: say what it is, as of any other box.
        return ZERO if rows == "too-few-points" else rows


def _row(polygon: Polygon, width: float, height: float) -> str | None:
    """One outline, or None if its points fall together in the digits that are written."""
    row = points_row(bridged(polygon) if polygon.holes else polygon.points, width, height)
    return None if ring_check([float(number) for number in row.split(" ")]) else row


def verify(folder: Path) -> Verified:
    """Every row is a class and a ring inside its picture."""
    return verify_with(folder, lambda _: ring_check)


FORMAT = Format(
    name="yolo_seg",
    title="YOLO (Ultralytics), outlines",
    media=("image",),
    holds={"polygon": "exact", "segmentation": "mask=polygon", "bounding_box": "box=polygon"},
    needs_size=True,
    options=OPTIONS,
    write=Segment,
    verify=verify,
    splits=True,
)
