"""What a shape is in COCO: a row with its box, area and segmentation, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from synapse_skills.annotations.model import Annotation, Box, Mask, Point, Polygon
from synapse_skills.formats import rle
from synapse_skills.formats.base import Loss
from synapse_skills.formats.geometry import (
    bounds,
    box_of,
    clamp_box,
    clamp_point,
    clip_polygon,
    clip_ring,
    corners,
    polygon_area,
    signed_area,
    upright,
)
from synapse_skills.formats.poses import Joints, Pose

_encode = msgspec.json.Encoder().encode

Joint = tuple[float, float, int]
_NOT_THERE: Joint = (0, 0, 0)


class Row(msgspec.Struct, gc=False):
    """An annotation as it is written. A struct and not text: msgspec writes its numbers ten times as fast as Python.

    The ids are given when it is written.
    """

    id: int
    image_id: int
    category_id: int
    bbox: Sequence[float]
    area: float
    segmentation: Sequence[Any] | dict[str, Any]
    iscrowd: int
    keypoints: Sequence[float] | UnsetType = UNSET
    num_keypoints: int | UnsetType = UNSET
    attributes: msgspec.Raw | UnsetType = UNSET


class Shapes:
    """Turns geometry into rows.

    Args:
        policy: what becomes of what runs out of its picture (`Settings.geometry`).
        rotated: `lose` or `envelope`.
        counts: `compressed` or `list`: how masks are written.
        notes: counts what was written in another shape.
    """

    def __init__(self, policy: str, rotated: str, counts: str, notes: dict[str, int]) -> None:
        self._policy = policy
        self._has_envelopes = rotated == "envelope"
        self._is_compressed = counts == "compressed"
        self._notes = notes

    def box(self, annotation: Annotation, box: Box, width: int, height: int) -> Row | Loss:
        """A box has no segmentation; a turned one is its four corners, if that was asked for."""
        if box.rotation:
            straight = upright(box)
            if straight is None:
                return self._turned(annotation, box, width, height)
            box = straight
        inside = clamp_box(box, width, height, self._policy)
        if isinstance(inside, str):
            return Loss(annotation, inside)
        w, h = inside.width, inside.height
        attributes = annotation.attributes
        return Row(0, 0, 0, (inside.x, inside.y, w, h), w * h, (), is_crowd(attributes) if attributes else 0)

    def polygon(self, annotation: Annotation, polygon: Polygon, width: int, height: int) -> Row | Loss:
        """One ring is written as it is; with holes, or as a crowd, it is a mask: lists of points know no holes."""
        inside = clip_polygon(polygon, width, height, self._policy)
        if isinstance(inside, str):
            return Loss(annotation, inside)
        box = _numbers(box_of(bounds(inside.points)))
        crowd = is_crowd(annotation.attributes)
        if not crowd and not inside.holes:
            return Row(0, 0, 0, box, polygon_area(inside), (_flat(inside.points),), 0)
        array = rle.raster((inside.points, *inside.holes), width, height)
        pixels = int(array.sum())
        if not pixels:
            return Loss(annotation, "zero-area", "no pixel's centre lies in it")
        self._note("holes-as-mask" if inside.holes else "crowd-as-mask")
        return Row(0, 0, 0, box, pixels, self._mask(rle.counts_of(array), width, height), crowd)

    def mask(self, annotation: Annotation, mask: Mask, width: int, height: int) -> Row | Loss:
        """Pixels are held exactly."""
        if not mask.runs:
            return Loss(annotation, "zero-area", "an empty mask")
        if not rle.fits(mask.runs, width, height):
            return Loss(annotation, "bad-geometry", "the mask does not fit the picture")
        left, top, right, bottom = rle.bounds(mask.runs, width)
        counts = rle.counts_of(rle.pixels(mask.runs, width, height))
        box = (left, top, right - left, bottom - top)
        return Row(
            0, 0, 0, box, rle.area(mask.runs), self._mask(counts, width, height), is_crowd(annotation.attributes)
        )

    def pose(self, pose: Pose, width: int, height: int) -> tuple[dict[str, Joint], Row, list[Loss]]:
        """The joints of a pose in their picture, its row less the keypoints, and the joints that are lost.

        The box is that of the group; without one, that of the points.
        """
        joints: dict[str, Joint] = {}
        losses: list[Loss] = []
        is_group = len(pose.members) == len(pose.joints)
        for number, (key, point) in enumerate(pose.joints.items()):
            if point.visibility == 0:
                joints[key] = _NOT_THERE
                continue
            place = clamp_point((point.x, point.y), width, height)
            if not isinstance(place, str):
                joints[key] = (*place, 2 if point.visibility is None else point.visibility)
            elif is_group:
                losses.append(Loss(pose.members[number], place))
            else:
                # One annotation with all points: it is held, this point of it is not.
                self._note("keypoints-outside")
        seen = [(x, y) for x, y, visible in joints.values() if visible]
        box = pose.box and clamp_box(pose.box, width, height)
        if not isinstance(box, Box):
            box = box_of(bounds(seen)) if seen else Box(0, 0, 0, 0)
        return joints, Row(0, 0, 0, _numbers(box), box.width * box.height, (), 0), losses

    def _turned(self, annotation: Annotation, box: Box, width: int, height: int) -> Row | Loss:
        if not self._has_envelopes:
            return Loss(annotation, "rotated")
        if not (box.width > 0 and box.height > 0):
            return Loss(annotation, "zero-area" if box.width >= 0 and box.height >= 0 else "bad-geometry")
        ring = clip_ring(corners(box), width, height, self._policy)
        if isinstance(ring, str):
            return Loss(annotation, ring)
        self._note("rotated-as-envelope")
        crowd = is_crowd(annotation.attributes)
        return Row(0, 0, 0, _numbers(box_of(bounds(ring))), abs(signed_area(ring)), (_flat(ring),), crowd)

    def _mask(self, counts: list[int], width: int, height: int) -> dict[str, Any]:
        return {"size": (height, width), "counts": rle.compress(counts) if self._is_compressed else counts}

    def _note(self, code: str) -> None:
        self._notes[code] = self._notes.get(code, 0) + 1


def fill_keypoints(row: Row, joints: Mapping[str, Sequence[float]], order: Joints) -> None:
    """Give a row its keypoints: all joints of the class in their order."""
    triples: list[Sequence[float]] = [_NOT_THERE] * len(order.names)
    for key, triple in joints.items():
        triples[order.places[key]] = triple
    row.keypoints = _flat(triples)
    row.num_keypoints = sum(triple[2] > 0 for triple in triples)


def is_crowd(attributes: Mapping[str, Any]) -> int:
    """1 if an annotation says of itself that it is a crowd, as COCO's own do."""
    value = attributes.get("iscrowd", attributes.get("is_crowd"))
    return int(value in (1, "1", "true", "True")) if isinstance(value, int | str) else 0


def attributes_of(attributes: Mapping[str, Any]) -> msgspec.Raw:
    """Attributes as JSON, values as they came; what no UTF-8 file holds becomes `?`."""
    try:
        return msgspec.Raw(_encode(attributes))
    except (ValueError, TypeError, RecursionError):  # UnicodeEncodeError is a ValueError
        return msgspec.Raw(text_of(attributes).encode())


def text_of(value: Any) -> str:
    """A value as one line of JSON; what no UTF-8 file holds becomes `?`."""
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()


def _flat(points: Sequence[Sequence[float]] | Sequence[Point]) -> list[float]:
    return [number for point in points for number in point]


def _numbers(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.width, box.height
