"""The commonest payload, read at the speed of its parser: boxes, polygons and lines in two lists, nothing odd.

Typed decoding refuses whatever is not exactly that, and then `v1` reads it, slower and patiently. Both give the same
document for every payload that this one takes; a property of the tests says so.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from synapse_skills.annotations.labels import kind_of, label_of, natural
from synapse_skills.annotations.model import (
    Annotation,
    Box,
    Coordinate,
    Document,
    Media,
    Polygon,
    Polyline,
    Whole,
)
from synapse_skills.annotations.payload import check_values
from synapse_skills.annotations.v1 import medium

# What was just parsed holds no cycle: nothing here needs the garbage collector.


class _Point(msgspec.Struct, gc=False):
    x: Coordinate
    y: Coordinate


class _Data(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    id: str
    coordinate: Box | list[_Point] | None = None


class _Said(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    id: str
    tool: Literal["bounding_box", "polygon", "polyline", "classification"]
    classification: dict[str, Any] | None = None
    label: list[str] = []
    isValid: bool = True
    isVisible: bool = True
    isLocked: bool = False
    isDrawCompleted: bool = True


class _Payload(msgspec.Struct, forbid_unknown_fields=True):
    annotations: dict[str, list[_Said]]
    annotationsData: dict[str, list[_Data]]
    extra: dict[str, dict[str, Any]] = {}
    relations: dict[str, list[Any]] = {}
    annotationGroups: dict[str, list[Any]] = {}
    assignmentId: Any = None


_DECODER = msgspec.json.Decoder(_Payload)
_WHOLE = Whole()


def read_fast(content: bytes) -> Document | None:
    """The document of a plain payload; None if it isn't one, and the patient way is to be taken.

    Raises:
        Unreadable: it nests too deep.
    """
    try:
        payload = _DECODER.decode(content)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    said, data, extra = payload.annotations, payload.annotationsData, payload.extra
    if any(payload.annotationGroups.values()) or any(payload.relations.values()):
        return None
    keys = {*said, *data, *payload.relations, *payload.annotationGroups, *(key for key in extra if kind_of(key))}
    document = Document([], [])
    for key in sorted(keys, key=natural):
        media = medium(key, extra.get(key), document.issues)
        if document.issues or not _fill(media, said.get(key) or [], data.get(key) or []):
            return None
        document.media.append(media)
    return document


def _fill(media: Media, said: list[_Said], data: list[_Data]) -> bool:
    """Whether every annotation has its one data row, and both are what they should be."""
    places = {row.id: row.coordinate for row in data}
    if len(places) != len(data) or len(said) != len(data) or "" in places:
        return False
    take, append = places.pop, media.annotations.append
    for each in said:
        identity, tool = each.id, each.tool
        coordinate = take(identity, None)
        geometry: Box | Polygon | Polyline | Whole
        if tool == "bounding_box":
            if type(coordinate) is not Box:
                return False
            geometry = coordinate
        elif tool == "classification":
            geometry = _WHOLE
        elif type(coordinate) is not list or not coordinate:
            return False
        else:
            points = [(point.x, point.y) for point in coordinate]
            if tool == "polyline":
                geometry = Polyline(tuple(points))
            else:
                if len(points) > 1 and points[0] == points[-1]:
                    points.pop()
                geometry = Polygon(tuple(points))
        attributes = each.classification or {}
        raw = attributes.pop("class", None)
        if raw is not None and type(raw) is not str:
            return False
        label = each.label
        if label and (len(label) != 1 or label[0] != raw):
            attributes.setdefault("label", label)
        if attributes:
            check_values(attributes)
        name = None if raw is None else label_of(raw)
        append(Annotation(identity, tool, name, raw, geometry, attributes, None, each.isValid, each.isVisible))
    # An annotation without a data row, or a second one of its id, has left another's behind.
    return not places
