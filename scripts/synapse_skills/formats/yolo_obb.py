"""YOLO OBB: `class x1 y1 x2 y2 x3 y3 x4 y4`, boxes by their corners. The layout is told in `yolo_layout`.

Of a turned box that runs out of its picture each corner is moved to the edge: the trainer refuses what lies outside,
and makes a rectangle of any four corners.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synapse_skills.annotations.model import Box, Polygon
from synapse_skills.formats.base import LEAVE, Format, Option, Verified
from synapse_skills.formats.geometry import (
    BAD,
    NOISE,
    OUTSIDE,
    ZERO,
    Ring,
    are_finite,
    bounds,
    clean_ring,
    clip_ring,
    corners,
    runs_out,
    signed_area,
)
from synapse_skills.formats.outlines import smallest_box
from synapse_skills.formats.yolo_layout import Rows, YoloWriter, points_row
from synapse_skills.formats.yolo_verify import corners_check
from synapse_skills.formats.yolo_verify import verify as verify_with

OPTIONS = (
    Option(
        "polygon",
        ("lose", "min_area_box"),
        "Polygons: lost, or written as the smallest turned box around them.",
        labels=(LEAVE, "Keep as rotated boxes"),
    ),
)


class Oriented(YoloWriter):
    """One row for each box, turned or not."""

    holds = frozenset({"bounding_box", "polygon"})

    def builders(self) -> Mapping[type, Callable[[Any, float, float], Rows]]:
        """Boxes; polygons if their option says so."""
        builders: dict[type, Callable[[Any, float, float], Rows]] = {Box: self._box}
        if self.settings.options["polygon"] == "min_area_box":
            builders[Polygon] = self._polygon
        return builders

    def _box(self, box: Box, width: float, height: float) -> Rows:
        if not are_finite((box.x, box.y, box.width, box.height, box.rotation)) or min(box.width, box.height) < 0:
            return BAD
        if min(box.width, box.height) < NOISE:
            return ZERO
        ring = self._inside(corners(box), width, height)
        return ring if isinstance(ring, str) else [points_row(ring, width, height)]

    def _polygon(self, polygon: Polygon, width: float, height: float) -> Rows:
        ring = clean_ring(polygon.points)
        if isinstance(ring, str):
            return ring
        if isinstance(cut := clip_ring(ring, width, height, self.policy), str):
            return cut
        # The smallest box around what lies in the picture may itself run out of it: it is treated like any other.
        rows = self._box(smallest_box(cut), width, height)
        if not isinstance(rows, str):
            self.note("polygon-as-min-area-box")
        return rows

    def _inside(self, ring: Ring, width: float, height: float) -> Ring | str:
        edges = bounds(ring)
        if edges[0] >= 0 and edges[1] >= 0 and edges[2] <= width and edges[3] <= height:
            return ring
        if self.policy != "clamp" and runs_out(edges, width, height):
            return OUTSIDE
        if isinstance(clip_ring(ring, width, height), str):
            return OUTSIDE
        moved = tuple((min(max(x, 0.0), width), min(max(y, 0.0), height)) for x, y in ring)
        if isinstance(clean_ring(moved), str) or signed_area(moved) < NOISE * NOISE:
            return OUTSIDE
        if runs_out(edges, width, height):
            self.note("clamped")
        return moved


def verify(folder: Path) -> Verified:
    """Every row is a class and four corners inside their picture."""
    return verify_with(folder, lambda _: corners_check)


FORMAT = Format(
    name="yolo_obb",
    title="YOLO (Ultralytics), rotated boxes",
    media=("image",),
    holds={"bounding_box": "exact", "polygon": "polygon=min_area_box"},
    needs_size=True,
    options=OPTIONS,
    write=Oriented,
    verify=verify,
    splits=True,
)
