"""Annotations of a medium → shapes that a page draws over its picture, and words for what can't be drawn.

Shapes are numbers and nothing else: no text from outside becomes a part of a path.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from synapse_skills.annotations.model import (
    Annotation,
    Box,
    Cuboid,
    Entity,
    FrameBoxes,
    Keypoint,
    Mask,
    Media,
    Point,
    PointIndices,
    Polygon,
    Polyline,
    Section,
    Skeleton,
    Text,
    Whole,
)
from synapse_skills.formats.geometry import are_finite, bounds, corners
from synapse_skills.formats.poses import Joints, Pose, Poses

MOST_SHAPES = 150  # in one picture
MOST_POINTS = 400  # of one outline; of a longer one every second, third … is drawn
MOST_RUNS = 200_000  # of one mask that are looked at
MASK_ROWS = 120  # of one mask that are drawn
MOST_WORDS = 4
MOST_TEXT = 180
FRAMES = "a box in other frames"

Edges = tuple[float, float, float, float]


@dataclass(frozen=True)
class Shape:
    """Something to draw: an upright rectangle that `turn` turns about its centre, or else a path.

    Attributes:
        kind: box, area, line, mask, edges or dots.
        label: the class, as it is written.
        edges: left, top, right, bottom.
    """

    kind: str
    label: str
    edges: Edges
    path: str = ""
    box: tuple[str, str, str, str] | None = None
    turn: str = ""

    @property
    def length(self) -> int:
        """How long it is in the page, about."""
        return len(self.path) + len(self.label) + 120


@dataclass
class Drawing:
    """What a page shows of the annotations of one medium.

    Attributes:
        shapes: large ones first, so that the small ones on top of them can be pointed at.
        classes: how many annotations each class has; a pose is one.
        words: class and content of what has no place in the picture.
        frame: of a video, the frame that the shapes are of.
        undrawn: what could be neither drawn nor said, by why.
    """

    shapes: list[Shape] = field(default_factory=list)
    classes: dict[str, int] = field(default_factory=dict)
    words: list[tuple[str, str]] = field(default_factory=list)
    frame: int = 0
    undrawn: dict[str, int] = field(default_factory=dict)

    @property
    def edges(self) -> Edges | None:
        """Around all shapes; None if there are none."""
        if not self.shapes:
            return None
        lefts, tops, rights, bottoms = zip(*(shape.edges for shape in self.shapes), strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)


def draw(media: Media, width: int | None, poses: Poses, name_of: Callable[[Annotation], str]) -> Drawing:
    """Draw the annotations of one medium.

    Args:
        media: with its annotations.
        width: of the picture that they are of; without it no mask can be drawn.
        poses: puts keypoints of one object together.
        name_of: the class as the export has it.
    """
    drawing = Drawing(frame=_first_frame(media))
    found, _ = poses.of(media)
    together = {id(member) for pose in found for member in pose.members}
    for pose in found:
        _add(drawing, pose.label, _pose(pose, poses.joints(pose.label)))
    for annotation in media.annotations:
        if id(annotation) not in together:
            name = name_of(annotation)
            _add(drawing, name, _shapes(annotation, name, width, drawing))
    drawing.shapes.sort(key=_order)
    if (more := len(drawing.shapes) - MOST_SHAPES) > 0:
        drawing.undrawn["more than fit into one picture"] = more
        del drawing.shapes[MOST_SHAPES:]
    return drawing


def _add(drawing: Drawing, name: str, shapes: list[Shape]) -> None:
    drawing.classes[name] = drawing.classes.get(name, 0) + 1
    drawing.shapes += shapes


def _order(shape: Shape) -> tuple[int, float]:
    left, top, right, bottom = shape.edges
    return shape.kind in ("edges", "dots"), -(right - left) * (bottom - top)


def _first_frame(media: Media) -> int:
    """The first frame of a video that anything is drawn in."""
    frames = [each.geometry.boxes[0][0] for each in media.annotations if _has_frames(each.geometry)]  # type: ignore[union-attr]
    return min(frames, default=0)


def _has_frames(geometry: object) -> bool:
    return isinstance(geometry, FrameBoxes) and bool(geometry.boxes)


def _shapes(annotation: Annotation, name: str, width: int | None, drawing: Drawing) -> list[Shape]:
    """The shapes of one annotation; what there is of it instead is put into the drawing."""
    geometry, why = annotation.geometry, ""
    if isinstance(geometry, FrameBoxes):
        geometry = next((box for frame, box in geometry.boxes if frame == drawing.frame), None)
        why = FRAMES
    match geometry:
        case Box():
            return _box(geometry, name) or _not(drawing, "no place in a picture")
        case Polygon():
            return _outline("area", name, (geometry.points, *geometry.holes)) or _not(drawing, "no place in a picture")
        case Polyline():
            return _outline("line", name, (geometry.points,)) or _not(drawing, "no place in a picture")
        case Keypoint():
            return _dots(name, (geometry,)) or _not(drawing, "a keypoint that is not there")
        case Skeleton():
            return _dots(name, geometry.points) or _not(drawing, "no place in a picture")
        case Mask():
            if not width:
                return _not(drawing, "a mask of unknown width")
            return _mask(geometry, name, width) or _not(drawing, "an empty mask, or one too large to show")
        case Cuboid() | PointIndices():
            return _not(drawing, "a shape in space")
        case None:
            return _not(drawing, why or "no geometry")
    if said := _said(annotation):
        drawing.words.append((name, said if len(said) <= MOST_TEXT else f"{said[: MOST_TEXT - 1]}…"))
    return []


def _not(drawing: Drawing, why: str) -> list[Shape]:
    drawing.undrawn[why] = drawing.undrawn.get(why, 0) + 1
    return []


# ---- shapes


def _box(box: Box, name: str) -> list[Shape]:
    x, y, width, height = box.x, box.y, box.width, box.height
    if not are_finite((x, y, width, height)) or not math.isfinite(box.rotation) or width < 0 or height < 0:
        return []
    turn = ""
    if box.rotation:
        degrees = math.degrees(math.remainder(box.rotation, math.tau))
        turn = f"rotate({_number(degrees)} {_number(x + width / 2)} {_number(y + height / 2)})"
    numbers = (_number(x), _number(y), _number(width), _number(height))
    return [Shape("box", name, bounds(corners(box)), box=numbers, turn=turn)]


def _outline(kind: str, name: str, rings: Sequence[Sequence[Point]]) -> list[Shape]:
    good = [_thinned(ring) for ring in rings if len(ring) > 1 and all(are_finite(point) for point in ring)]
    if not good:
        return []
    end = "" if kind == "line" else "z"
    path = "".join(f"M{' '.join(f'{_number(x)} {_number(y)}' for x, y in ring)}{end}" for ring in good)
    return [Shape(kind, name, bounds(good[0]), path)]


def _thinned(ring: Sequence[Point]) -> Sequence[Point]:
    step = -(-len(ring) // MOST_POINTS)
    return ring if step == 1 else [*ring[:-1:step], ring[-1]]


def _dots(name: str, points: Iterable[Keypoint]) -> list[Shape]:
    """Each point a line without length: its round ends are a dot of the same size however the picture is scaled."""
    there = [(p.x, p.y) for p in points if p.visibility != 0 and are_finite((p.x, p.y))]
    if not there:
        return []
    return [Shape("dots", name, bounds(there), "".join(f"M{_number(x)} {_number(y)}h.01" for x, y in there))]


def _pose(pose: Pose, joints: Joints) -> list[Shape]:
    """The edges of the skeleton between the joints that are there, and the joints."""
    dots = _dots(pose.label, pose.joints.values())
    if not dots:
        return []
    there = {joints.places.get(key, -1): p for key, p in pose.joints.items() if p.visibility != 0}
    pairs = [(there[a], there[b]) for a, b in joints.edges if a in there and b in there]
    lines = "".join(
        f"M{_number(a.x)} {_number(a.y)} {_number(b.x)} {_number(b.y)}"
        for a, b in pairs
        if are_finite((a.x, a.y, b.x, b.y))
    )
    return [Shape("edges", pose.label, dots[0].edges, lines), *dots] if lines else dots


def _mask(mask: Mask, name: str, width: int) -> list[Shape]:
    """The rows of a mask as one path: each a rectangle, as high as the rows that stand for one."""
    runs = mask.runs
    if not runs or len(runs) > MOST_RUNS:
        return []
    top, bottom = runs[0][0] // width, (sum(runs[-1]) - 1) // width + 1
    step = max(1, -(-(bottom - top) // MASK_ROWS))
    pieces, left, right = [], width, 0
    for start, length in runs:
        row, end = start // width, start + length
        if length <= 0:
            return []
        row += -(row - top) % step
        while row * width < end:
            begin, stop = max(start, row * width) - row * width, min(end, (row + 1) * width) - row * width
            left, right = min(left, begin), max(right, stop)
            pieces.append(f"M{begin} {row}h{stop - begin}v{step}H{begin}z")
            row += step
    return [Shape("mask", name, (left, top, right, bottom), "".join(pieces))] if pieces else []


def _number(value: float) -> str:
    """Short, and never anything but a number."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


# ---- words


def _said(annotation: Annotation) -> str:
    """What there is to read of an annotation that has no shape."""
    match annotation.geometry:
        case Section(start=start, end=end, unit=unit):
            return f"{start:g} to {end:g} {unit + 's' if unit else ''}".strip()
        case Entity(content=content):
            return content
        case Text(parts=parts):
            return " ".join(_text(part) for part in parts[:MOST_WORDS])
        case Whole():
            return "; ".join(_text(value) for value in list(annotation.attributes.values())[:MOST_WORDS])
    return ""


def _text(value: Any) -> str:
    if isinstance(value, dict):
        for key in ("text", "value", "content"):
            if isinstance(value.get(key), str):
                return str(value[key])
    if isinstance(value, list):
        return "; ".join(_text(each) for each in value[:MOST_WORDS] if not isinstance(each, list))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
