"""From what a payload says about the place of an annotation to a geometry, tool by tool.

Nothing is filled in: a number that is missing, not finite, a string or absurdly large makes the geometry `Bad`, and the
message says which one. What is merely odd (outside of the picture, no area, two points) is kept: whether a format can
hold it is the format's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from synapse_skills.annotations.masks import read_mask
from synapse_skills.annotations.model import (
    Box,
    Cuboid,
    Entity,
    FrameBoxes,
    Geometry,
    Keypoint,
    Point,
    PointIndices,
    Polygon,
    Polyline,
    Relation,
    Section,
    Skeleton,
    Text,
    Whole,
)
from synapse_skills.annotations.numbers import MAX_COORDINATE, Bad, number, shown, whole

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "missing"})()
"""What `place` gives if a payload says nothing at all of the place."""

Read = Callable[[Any, Mapping[str, Any], str], Geometry]

_PLACES = ("coordinate", "coordinates", "psr", "pixel_indices", "section", "ranges", "points", "input", "output")
_VISIBILITY = {"missing": 0, "occluded": 1, "visible": 2, "0": 0, "1": 1, "2": 2}


def place(row: Mapping[str, Any]) -> Any:
    """The part of a data row (or of an annotation) that holds the geometry; MISSING if there is none."""
    for key in _PLACES:
        value = row.get(key)
        if value is not None:
            return value
    value = row.get("data")
    return MISSING if value is None else value


def visibility(value: object) -> int | None:
    """0, 1 or 2; None if it is none of them."""
    if isinstance(value, str):
        return _VISIBILITY.get(value.strip().lower())
    return value if type(value) is int and 0 <= value <= 2 else None


def _box(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
    if type(value) is dict and "x" in value:
        box = box_of(value)
        frame = row.get("frameIndex")
        return FrameBoxes(((frame, box),)) if kind == "video" and type(frame) is int and frame >= 0 else box
    if isinstance(value, list) and (not value or not isinstance(value[0], dict)):
        if len(value) != 4:
            raise Bad(f"a box is four numbers, here are {len(value)}")
        return box_of({"x": value[0], "y": value[1], "width": value[2], "height": value[3]})
    if row.get("coordinates") is value and isinstance(value, dict | list):
        return _frames(value)
    raise Bad(f"the box is {shown(value)}")


def box_of(value: Mapping[str, Any]) -> Box:
    """A box from its four numbers, and its rotation if it has one."""
    width, height = number(value, "width"), number(value, "height")
    if width < 0 or height < 0:
        raise Bad(f"the box is {shown(width)} x {shown(height)}")
    rotation = 0.0 if value.get("rotation") is None else number(value, "rotation")
    return Box(number(value, "x"), number(value, "y"), width, height, rotation)


def _frames(value: dict[str, Any] | list[Any]) -> FrameBoxes:
    """The boxes of an object by frame; a frame that is null is one where the object is not."""
    if isinstance(value, list):
        pairs = [(each.get("frameIndex", each.get("frame")), each) for each in value if isinstance(each, dict)]
        if len(pairs) != len(value):
            raise Bad("the boxes of the frames are not objects")
    else:
        pairs = [(frame, box) for frame, box in value.items() if box is not None]
    boxes: dict[int, Box] = {}
    for frame, box in pairs:
        at = _frame(frame)
        if not isinstance(box, dict) or at in boxes:
            raise Bad(f"frame {at} has {'two boxes' if at in boxes else 'no box'}")
        try:
            boxes[at] = box_of(box)
        except Bad as bad:
            raise Bad(f"frame {at}: {bad}") from None
    if not boxes:
        raise Bad("no frame has a box")
    return FrameBoxes(tuple(sorted(boxes.items())))


def _frame(value: object) -> int:
    if type(value) is int and 0 <= value <= MAX_COORDINATE:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    raise Bad(f"a frame is called {shown(value)}")


def _points(value: Any, row: Mapping[str, Any]) -> tuple[Point, ...]:
    if isinstance(value, dict):
        if "points" not in value and row.get("coordinates") is value:
            raise Bad("a place for each frame is only understood for boxes")
        value = value.get("points")
    if not isinstance(value, list):
        raise Bad(f"the points are {shown(value)}")
    if not value:
        raise Bad("there are no points")
    return tuple([_point(each) for each in value])


def _point(value: Any) -> Point:
    if type(value) is dict:
        x, y = value.get("x"), value.get("y")
    elif isinstance(value, list) and len(value) == 2:
        x, y = value
    else:
        raise Bad(f"a point is {shown(value)}")
    if type(x) is float and type(y) is float and abs(x) <= MAX_COORDINATE and abs(y) <= MAX_COORDINATE:
        return x, y
    return number({"x": x}, "x"), number({"y": y}, "y")


def _polygon(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
    points = _points(value, row)
    if len(points) > 1 and points[0] == points[-1]:
        points = points[:-1]
    return Polygon(points)


def _polyline(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
    return Polyline(_points(value, row))


def _keypoint(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
    if isinstance(value, dict) and "points" in value:
        value = value["points"]
    if isinstance(value, dict) or (isinstance(value, list) and value and not isinstance(value[0], dict | list)):
        seen = row.get("visibility")
        return Keypoint(*_point(value), visibility=visibility(seen))
    if not isinstance(value, list) or not value:
        raise Bad(f"the keypoints are {shown(value)}")
    return _skeleton(value, row)


def _skeleton(value: list[Any], row: Mapping[str, Any]) -> Skeleton:
    names, seen = row.get("names", row.get("keypoints")), seen_of(value, row)
    if len(seen) != len(value):
        raise Bad(f"{len(value)} keypoints have {len(seen)} visibilities")
    points = []
    for each, shows in zip(value, seen, strict=True):
        at = each[:2] if isinstance(each, list) and len(each) == 3 else each
        points.append(Keypoint(*_point(at), visibility=visibility(shows)))
    if isinstance(names, list) and len(names) == len(points) and all(isinstance(name, str) for name in names):
        return Skeleton(tuple(points), tuple(names))
    return Skeleton(tuple(points))


def seen_of(value: Any, row: Mapping[str, Any]) -> list[Any]:
    """What is said of the visibility of each point of a skeleton: by a list beside them, or by themselves."""
    if isinstance(value, dict):
        value = value.get("points")
    if not isinstance(value, list):
        return []
    beside = row.get("visibility")
    seen = list(beside) if isinstance(beside, list) else [None] * len(value)
    for index, each in enumerate(value[: len(seen)]):
        if isinstance(each, list) and len(each) == 3:
            seen[index] = each[2]
        elif isinstance(each, dict) and "visibility" in each:
            seen[index] = each["visibility"]
    return seen


def _segmentation(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
    if isinstance(value, dict):
        return _section(value, row, "second")
    return read_mask(value, row)


def _time_range(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
    return _section(value, row, "")


def _section(value: Any, row: Mapping[str, Any], unit: Literal["second", ""]) -> Section:
    if not isinstance(value, dict):
        raise Bad(f"the section is {shown(value)}")
    in_frames = "startFrame" in value or "endFrame" in value
    first, last = ("startFrame", "endFrame") if in_frames else ("start", "end")
    start, end = number(value, first, limit=None), number(value, last, limit=None)
    if end < start:
        raise Bad(f"the section ends ({shown(end)}) before it starts ({shown(start)})")
    excluded = row.get("excludedTracks", value.get("excludedTracks"))
    if excluded is not None and not isinstance(excluded, list):
        raise Bad(f"excludedTracks is {shown(excluded)}")
    return Section(start, end, "frame" if in_frames else unit, tuple(excluded or ()))


def _cuboid(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
    if not isinstance(value, dict):
        raise Bad(f"the box is {shown(value)}")
    scale = _three(value, "scale")
    if min(scale) < 0:
        raise Bad(f"scale has a negative side: {shown(min(scale))}")
    turned = value.get("rotation", {"x": 0, "y": 0, "z": 0})
    if isinstance(turned, dict) and turned.get("w") is not None:
        rotation: tuple[float, ...] = tuple(number(turned, axis) for axis in "wxyz")
        if not any(rotation):
            raise Bad("the rotation is a quaternion of zeros")
    else:
        rotation = _three({"rotation": turned}, "rotation")
    return Cuboid(_three(value, "position"), scale, rotation)


def _three(value: Mapping[str, Any], key: str) -> tuple[float, float, float]:
    part = value.get(key)
    if isinstance(part, list) and len(part) == 3:
        part = dict(zip("xyz", part, strict=True))
    if not isinstance(part, dict):
        raise Bad(f"{key} is {shown(part)}")
    try:
        return number(part, "x"), number(part, "y"), number(part, "z")
    except Bad as bad:
        raise Bad(f"{key}: {bad}") from None


def _indices(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
    if isinstance(value, dict):
        value = value.get("points")
    if not isinstance(value, list) or not value:
        raise Bad(f"the points are {shown(value)}")
    return PointIndices(tuple([whole(each) for each in value]))


def _relation(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
    ends = row.get("annotationId"), row.get("targetAnnotationId")
    if ends == (None, None) and isinstance(value, list) and len(value) == 2:
        ends = value[0], value[1]
    for end in ends:
        if not isinstance(end, str | int) or isinstance(end, bool) or end == "":
            raise Bad(f"an end of the relation is {shown(end)}")
    return Relation(str(ends[0]), str(ends[1]))


def _entity(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
    holder = value if isinstance(value, dict) else row
    ranges, content = holder.get("ranges"), holder.get("content")
    if not isinstance(ranges, list) or not ranges:
        raise Bad(f"ranges is {shown(ranges)}")
    if content is not None and not isinstance(content, str):
        raise Bad(f"content is {shown(content)}")
    return Entity(tuple(ranges), content or "")


def _text(part: str) -> Read:
    def read(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
        data = row.get("data")
        holder = row if part in row else data if isinstance(data, dict) else row
        parts = holder.get(part)
        if isinstance(parts, str):
            parts = [parts]
        if not isinstance(parts, list) or not parts:
            raise Bad(f"{part} is {shown(parts)}")
        about = {key: each for key, each in holder.items() if key not in _NOT_ABOUT and key != part}
        return Text(tuple(parts), about)

    return read


def _whole(value: Any, row: Mapping[str, Any], kind: str) -> Geometry:
    return Whole()


_NOT_ABOUT = frozenset({"id", "tool", "type", "classification", "label", "data"}) | {
    "isLocked",
    "isVisible",
    "isValid",
    "isDrawCompleted",
}

READERS: dict[str, Read] = {
    "bounding_box": _box,
    "polygon": _polygon,
    "polyline": _polyline,
    "keypoint": _keypoint,
    "segmentation": _segmentation,
    "3d_bounding_box": _cuboid,
    "3d_segmentation": _indices,
    "classification": _whole,
    "relation": _relation,
    "named_entity": _entity,
    "prompt": _text("input"),
    "answer": _text("output"),
    "time_range": _time_range,
}
"""By tool: (what `place` gave, the row it stands in, kind of the medium) → geometry; raises `Bad`."""
