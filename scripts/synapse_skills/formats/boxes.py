"""Upright boxes, for formats that hold nothing else: of boxes, and of other shapes if an option says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synapse_skills.annotations.model import Box, Mask, Polygon
from synapse_skills.formats.base import LEAVE, Option
from synapse_skills.formats.geometry import NOISE, bounds, box_of, clamp_box, clean_ring, clip_ring, envelope, upright
from synapse_skills.formats.outlines import mask_box

OPTIONS = (
    Option(
        "rotated",
        ("lose", "envelope"),
        "Boxes that stand askew: lost, or written as the upright box around them.",
        labels=(LEAVE, "As upright boxes"),
    ),
    Option(
        "polygon",
        ("lose", "box"),
        "Polygons: lost, or written as the box around them.",
        labels=(LEAVE, "Keep as boxes"),
    ),
    Option("mask", ("lose", "box"), "Masks: lost, or written as the box around them.", labels=(LEAVE, "Keep as boxes")),
)
HOLDS = {"bounding_box": "exact", "polygon": "polygon=box", "segmentation": "mask=box"}


class Boxes:
    """Makes upright boxes inside their picture.

    Args:
        policy: what becomes of what runs out of it (`Settings.geometry`).
        options: some of `OPTIONS`; one that is not there is at its default.
        notes: where to count what was written in another shape.

    Attributes:
        shapes: types of geometry that a box is made of.
    """

    def __init__(self, policy: str, options: Mapping[str, Any], notes: dict[str, int]) -> None:
        self.shapes: set[type] = {Box}
        self._policy = policy
        self._is_envelope = options.get("rotated") == "envelope"
        self._notes = notes
        if options.get("polygon") == "box":
            self.shapes.add(Polygon)
        if options.get("mask") == "box":
            self.shapes.add(Mask)

    def of(self, geometry: Any, width: float, height: float) -> Box | str:
        """The box of a geometry of one of `shapes`, or the reason why there is none."""
        if type(geometry) is not Box:
            return self._around(geometry, width, height)
        straight = geometry if geometry.rotation == 0 else upright(geometry)
        if straight is not None:
            return self._inside(straight, width, height)
        if not self._is_envelope:
            return "rotated"
        kept = self._inside(envelope(geometry), width, height)
        if isinstance(kept, Box):
            self._note("rotated-as-envelope")
        return kept

    def _around(self, shape: Any, width: float, height: float) -> Box | str:
        if isinstance(shape, Polygon):
            return self._around_polygon(shape, width, height)
        box = mask_box(shape, int(width), int(height))
        if isinstance(box, Box):
            self._note("mask-as-box")
        return box

    def _around_polygon(self, polygon: Polygon, width: float, height: float) -> Box | str:
        ring = clean_ring(polygon.points)
        if isinstance(ring, str):
            return ring
        # Cut before it is measured: the box around a cut polygon may be smaller than the cut box around all of it.
        cut = clip_ring(ring, width, height, self._policy)
        if isinstance(cut, str):
            return cut
        box = box_of(bounds(cut))
        # A polygon that is no line may still be so thin that its box is.
        if min(box.width, box.height) < NOISE:
            return "zero-area"
        self._note("polygon-as-box")
        self._note_moved(box_of(bounds(ring)), box)
        return box

    def _inside(self, box: Box, width: float, height: float) -> Box | str:
        kept = clamp_box(box, width, height, self._policy)
        if kept is not box and isinstance(kept, Box):
            self._note_moved(box, kept)
        return kept

    def _note_moved(self, before: Box, after: Box) -> None:
        """Count a box that was cut at the edge, if it was by more than rounding noise."""
        if before.width - after.width > NOISE or before.height - after.height > NOISE:
            self._note("clamped")

    def _note(self, code: str) -> None:
        self._notes[code] = self._notes.get(code, 0) + 1
