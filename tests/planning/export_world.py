"""What a tenant's people have labelled, as plain facts, and the same as a seed of the sandbox.

The facts are what the tests hold the exported files against; nothing of the library is used to make them.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

WIDTH, HEIGHT = 64, 48


@dataclass(frozen=True)
class Shape:
    """One annotation.

    Attributes:
        tool: as the platform calls it.
        label: its class.
        geometry: its half in `annotationsData`.
        attributes: beside its class.
        group: of the object that it belongs to.
    """

    tool: str
    label: str
    geometry: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    group: str = ""

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x, y, width and height of a box."""
        at = self.geometry["coordinate"]
        return at["x"], at["y"], at["width"], at["height"]

    @property
    def points(self) -> list[tuple[float, float]]:
        """Of a polygon, or the one of a keypoint."""
        at = self.geometry["coordinate"]
        return [(each["x"], each["y"]) for each in (at if isinstance(at, list) else [at])]

    @property
    def pixels(self) -> set[int]:
        """Of a mask, counted row by row."""
        return set(self.geometry["pixel_indices"])


@dataclass(frozen=True)
class Labelled:
    """One record: a file, and what somebody has labelled on it; `row` are its other facts."""

    id: int
    name: str
    shapes: tuple[Shape, ...] = ()
    row: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    media: str = "image_1"
    unit: int = 0
    content: bytes = b""


def box(label: str, x: float, y: float, width: float, height: float, turn: float = 0, **more: Any) -> Shape:
    """A box, turned by so many radians around its centre."""
    at = {"x": x, "y": y, "width": width, "height": height} | ({"rotation": turn} if turn else {})
    return Shape("bounding_box", label, {"coordinate": at}, **more)


def outline(label: str, *points: tuple[float, float]) -> Shape:
    """A polygon."""
    listed = [{"x": x, "y": y, "id": f"p{number}"} for number, (x, y) in enumerate(points)]
    return Shape("polygon", label, {"coordinate": listed})


def area(label: str, left: int, top: int, right: int, bottom: int) -> Shape:
    """A mask: all pixels of a rectangle, less its first."""
    pixels = [y * WIDTH + x for y in range(top, bottom) for x in range(left, right)][1:]
    return Shape("segmentation", label, {"pixel_indices": pixels, "isCompressed": False, "compressionFormat": None})


def joint(name: str, x: float, y: float, group: str) -> Shape:
    """A keypoint of an object."""
    return Shape("keypoint", name, {"coordinate": {"x": x, "y": y}}, group=group)


def whole(label: str, **attributes: Any) -> Shape:
    """What is said of the file as a whole."""
    return Shape("classification", label, attributes=attributes)


def question(text: str) -> Shape:
    """A prompt."""
    return Shape("prompt", "질문", {"input": [{"type": "text", "value": text, "changeHistory": []}]})


def reply(text: str) -> Shape:
    """An answer."""
    return Shape("answer", "답", {"output": [{"type": "text", "value": text, "primaryKey": "k1"}], "model": "m-1"})


def picture(number: int) -> bytes:
    """A PNG that is like no other."""
    stream = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (number % 251, number // 251 % 251, 7)).save(stream, "PNG")
    return stream.getvalue()


def payload(shapes: Iterable[Shape], media: str = "image_1", group: str = "person") -> dict[str, Any]:
    """The `data` of a record."""
    said, data, groups = [], [], {}
    for number, shape in enumerate(shapes):
        said.append(
            {"id": f"a{number}", "tool": shape.tool, "classification": {"class": shape.label, **shape.attributes}}
        )
        data.append({"id": f"a{number}", **shape.geometry})
        if shape.group:
            groups.setdefault(shape.group, []).append(f"a{number}")
    return {
        "extra": {media: {"width": WIDTH, "height": HEIGHT}} if media.startswith("image") else {},
        "annotations": {media: said},
        "annotationsData": {media: data},
        "annotationGroups": {
            media: [
                {"id": each, "annotationIds": ids, "classification": {"class": group}} for each, ids in groups.items()
            ]
        },
    }


def row_of(project: int, each: Labelled) -> dict[str, Any]:
    """An assignment as a seed holds it."""
    unit = each.unit or 100_000 + each.id
    content = each.content or (picture(unit) if each.media.startswith("image") else f"file {unit}".encode())
    file = {
        "file_name_original": each.name,
        "is_primary": True,
        "file_type": each.media.partition("_")[0],
        "content_base64": base64.b64encode(content).decode(),
    }
    data = {} if "data_text" in each.row else {"data": payload(each.shapes, each.media)}
    return {
        "id": each.id,
        "project": project,
        "task": {"id": 200_000 + unit},
        "data_unit": {"id": unit, "data_collection": 57, "meta": each.meta, "files": {each.media: file}},
        "status_label": "done",
        "status_review": "confirmed",
        "created": "2026-03-05T10:00:00Z",
        **data,
        **each.row,
    }


def seed_of(projects: dict[int, tuple[str, Sequence[Labelled]]], **more: Any) -> dict[str, Any]:
    """A tenant with these projects."""
    spec = {"name": "image_1", "file_type": "image", "extensions": [".png"], "is_required": True, "is_primary": True}
    return {
        "tenant": "acme",
        "collections": [{"id": 57, "name": "Photos", "meta": None, "file_specifications": [spec]}],
        "storages": [{"id": 11, "name": "Main", "category": "internal", "provider": "amazon_s3", "is_default": True}],
        "projects": [{"id": number, "title": title} for number, (title, _) in projects.items()],
        "agents": [{"id": 7, "name": "Agent seven"}],
        "assignments": [row_of(number, each) for number, (_, records) in projects.items() for each in records],
        **more,
    }
