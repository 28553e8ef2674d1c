"""One annotation: what is said of it and its geometry, from the two rows (or the one) that a payload gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synapse_skills.annotations.geometry import MISSING, READERS, place, seen_of, visibility
from synapse_skills.annotations.labels import label_of, tool_of
from synapse_skills.annotations.masks import check_inside
from synapse_skills.annotations.model import Annotation, FrameBoxes, Geometry, Issue, Keypoint, Mask, Media, Skeleton
from synapse_skills.annotations.numbers import Bad, shown

_KNOWN = frozenset(
    {
        "id",
        "tool",
        "type",
        "isLocked",
        "isVisible",
        "isValid",
        "isDrawCompleted",
        "label",
        "classification",
        "data",
        "coordinate",
        "coordinates",
        "psr",
        "pixel_indices",
        "isCompressed",
        "compressionFormat",
        "encoding",
        "section",
        "excludedTracks",
        "ranges",
        "content",
        "points",
        "annotationId",
        "targetAnnotationId",
        "group_id",
        "frameIndex",
    }
)
_EMPTY: dict[str, Any] = {}


def read_annotation(
    identity: str, said: Mapping[str, Any], data: Mapping[str, Any] | None, media: Media, issues: list[Issue]
) -> Annotation:
    """One annotation of a medium.

    Args:
        identity: its id.
        said: its row in `annotations`: tool, class, flags, and in some shapes the geometry too.
        data: its row in `annotationsData`; None if there is none.
        media: what it belongs to; only its key, kind and size are read.
        issues: where to say what can't be understood.
    """
    named = said.get("tool") or said.get("type") or (data or _EMPTY).get("tool") or (data or _EMPTY).get("type")
    tool = tool_of(named) if isinstance(named, str) else ""
    label, raw_label, attributes = _said(identity, said, media, issues)
    if data is not None and tool not in ("prompt", "answer"):
        _keep(data, attributes)
    annotation = Annotation(
        identity,
        tool,
        label,
        raw_label,
        None,
        attributes,
        None,
        said.get("isValid") is not False,
        said.get("isVisible") is not False,
    )
    reader = READERS.get(tool)
    if reader is None:
        issues.append(Issue("unknown-tool", media.key, identity, "no tool is named" if not tool else ""))
        return annotation
    row = said if data is None else data
    value = place(row)
    if value is MISSING and row is not said:
        row, value = said, place(said)
    if value is MISSING and tool != "classification":
        row = said if "annotationId" in said or data is None else data
        if tool != "relation" or "annotationId" not in row:
            detail = "it has no row in annotationsData" if data is None else "its row in annotationsData has no place"
            issues.append(Issue("no-geometry", media.key, identity, detail))
            return annotation
    if tool == "keypoint":
        row = {**attributes, **said, **(data or _EMPTY)}
    try:
        annotation.geometry = reader(value, row, media.kind)
        if tool == "segmentation":
            _check_size(annotation, media, issues)
    except Bad as bad:
        annotation.geometry = None
        issues.append(Issue("bad-geometry", media.key, identity, str(bad)))
    if tool == "keypoint":
        _settle_visibility(annotation, row, media, issues)
    frame = (data or _EMPTY).get("frameIndex", said.get("frameIndex"))
    if frame is not None and not isinstance(annotation.geometry, FrameBoxes):
        annotation.attributes.setdefault("frameIndex", frame)
    return annotation


def _keep(row: Mapping[str, Any], attributes: dict[str, Any]) -> None:
    """What a row says beyond what is known is kept as an attribute."""
    if not _KNOWN.issuperset(row):
        for key, value in row.items():
            if key not in _KNOWN:
                attributes.setdefault(key, value)


def _said(
    identity: str, said: Mapping[str, Any], media: Media, issues: list[Issue]
) -> tuple[str | None, str | None, dict[str, Any]]:
    """Class, class as it came, and attributes."""
    given = said.get("classification")
    attributes: dict[str, Any] = {}
    name = given
    if type(given) is dict:
        name = given.get("class")
        if len(given) > 1 or name is None:
            attributes = {key: value for key, value in given.items() if key != "class"}
    raw: str | None = None
    if type(name) is str:
        raw = name
    elif type(name) is int:
        raw = str(name)
    elif name is not None:
        attributes["class"] = name
        issues.append(Issue("bad-class", media.key, identity, f"the class is {shown(name)}"))
    _keep(said, attributes)
    also = said.get("label")
    if also and also not in ([raw], raw):
        attributes.setdefault("label", also)
    return None if raw is None else label_of(raw), raw, attributes


def _check_size(annotation: Annotation, media: Media, issues: list[Issue]) -> None:
    if not isinstance(annotation.geometry, Mask):
        return
    if media.width is None or media.height is None:
        issues.append(Issue("no-size", media.key, annotation.id, "a mask needs the size of its picture"))
    else:
        check_inside(annotation.geometry, media.width, media.height)


def _settle_visibility(annotation: Annotation, row: Mapping[str, Any], media: Media, issues: list[Issue]) -> None:
    """What the geometry tells is no attribute any more; what it can't tell stays one."""
    geometry: Geometry | None = annotation.geometry
    if isinstance(geometry, Skeleton):
        if geometry.names:
            annotation.attributes = {k: v for k, v in annotation.attributes.items() if k not in ("names", "keypoints")}
        given = seen_of(place(row), row)
        seen: object = given if any(each is not None for each in given) else row.get("visibility")
        understood = seen is given and all(each is None or visibility(each) is not None for each in given)
    else:
        seen = row.get("visibility")
        understood = visibility(seen) is not None and isinstance(geometry, Keypoint)
    if understood:
        annotation.attributes = {key: value for key, value in annotation.attributes.items() if key != "visibility"}
    elif seen is not None and geometry is not None:
        annotation.attributes["visibility"] = seen
        issues.append(Issue("bad-visibility", media.key, annotation.id, f"visibility is {shown(seen)}"))
