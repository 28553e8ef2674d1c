"""The shape of two lists joined by id, `annotations` and `annotationsData`, and the flat one with the data inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synapse_skills.annotations.annotation import read_annotation
from synapse_skills.annotations.groups import identity_of, read_groups
from synapse_skills.annotations.labels import kind_of, natural
from synapse_skills.annotations.model import Annotation, Document, Issue, Media
from synapse_skills.annotations.numbers import shown

_CONTAINERS = ("annotations", "annotationsData", "annotationGroups", "relations")

Rows = dict[str, list[Mapping[str, Any]]]


def read_v1(payload: Mapping[str, Any], only: str) -> Document:
    """Read the older shape.

    Args:
        payload: the object.
        only: key of the medium that a list without keys is about; '' if there are several it could be.
    """
    issues: list[Issue] = []
    parts = [_by_media(payload, name, only, issues) for name in _CONTAINERS]
    extra = payload.get("extra")
    extra = extra if isinstance(extra, dict) else {}
    keys = {key for part in parts for key in part}
    keys.update(key for key, value in extra.items() if isinstance(value, dict) and kind_of(key))
    said, data, groups, relations = parts
    document = Document([], issues)
    if payload and not any(name in payload for name in (*_CONTAINERS, "extra", "assignmentId")):
        issues.append(Issue("unknown-shape", "", "", "none of its keys is one of annotations"))
    for key in sorted(keys, key=natural):
        media = medium(key, extra.get(key), issues)
        fill(media, said.get(key), data.get(key), relations.get(key), issues)
        read_groups(groups.get(key), media, issues)
        document.media.append(media)
    return document


def _by_media(payload: Mapping[str, Any], name: str, only: str, issues: list[Issue]) -> dict[str, Any]:
    part = payload.get(name)
    if isinstance(part, dict):
        return part
    if isinstance(part, list) and part and only:
        return {only: part}
    if isinstance(part, list):
        code = {"annotations": "bad-annotation", "annotationsData": "geometry-alone"}.get(name, "bad-shape")
        counts = name == "annotations" or (name == "annotationsData" and not payload.get("annotations"))
        issues.extend(Issue(code, "", "", "it belongs to no medium", counts) for _ in part)
    elif part is not None:
        issues.append(Issue("bad-shape", "", "", f"{name} is {shown(part)}"))
    return {}


def medium(key: str, extra: object, issues: list[Issue]) -> Media:
    """An empty medium with its kind, and its size if `extra` tells it."""
    media = Media(key, kind_of(key))
    if not media.kind:
        issues.append(Issue("unknown-media", key))
    if isinstance(extra, dict):
        media.width, media.height = size_in(extra)
        given = extra.get("width"), extra.get("height")
        if media.width is None and given != (None, None):
            issues.append(Issue("bad-size", key, "", f"{shown(given[0])} x {shown(given[1])}"))
    return media


def size_in(holder: object) -> tuple[int, int] | tuple[None, None]:
    """`width` and `height` of an object, if both are whole numbers above 0."""
    if isinstance(holder, dict):
        width, height = _side(holder.get("width")), _side(holder.get("height"))
        if width is not None and height is not None:
            return width, height
    return None, None


def _side(value: object) -> int | None:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 < value < 10**6 else None


def fill(media: Media, said: object, data: object, relations: object, issues: list[Issue]) -> None:
    """Read the annotations of one medium; whatever can't become one is counted by an issue."""
    key = media.key
    rows = _rows_by_id(data, media, issues)
    edges = relations if isinstance(relations, list) else []
    if relations and not isinstance(relations, list):
        issues.append(Issue("bad-relation", key, "", f"the relations are {shown(relations)}"))
    between = {each["id"]: each for each in edges if isinstance(each, dict) and isinstance(each.get("id"), str)}
    seen: set[str] = set()
    append = media.annotations.append
    for index, each in enumerate(_listed(said, media, issues)):
        if type(each) is not dict:
            issues.append(Issue("bad-annotation", key, "", f"it is {shown(each)}", True))
            continue
        identity = each.get("id")
        if type(identity) is not str or not identity:
            identity = _identity(each, index, media, issues)
        if identity in seen:
            issues.append(Issue("duplicate-id", key, identity, "the first one with this id is taken", True))
            rows.pop(identity, None)
            continue
        seen.add(identity)
        found = rows.pop(identity, None)
        if found is None:
            append(read_annotation(identity, each, between.get(identity), media, issues))
        elif len(found) == 1:
            append(read_annotation(identity, each, found[0], media, issues))
        else:
            append(_of_several(identity, each, found, media, issues))
    for identity, left in rows.items():
        if identity in seen:
            continue
        alone = Issue("geometry-alone", key, identity, "no annotation has this id", True)
        issues.extend(alone for _ in left)
    read_relations(edges, seen, media, issues)


def _listed(said: object, media: Media, issues: list[Issue]) -> list[Any]:
    if isinstance(said, list):
        return said
    if said is not None:
        issues.append(Issue("bad-shape", media.key, "", f"the annotations are {shown(said)}"))
    return []


def _identity(each: Mapping[str, Any], index: int, media: Media, issues: list[Issue]) -> str:
    """The id of an annotation as text; its place in the list if it has none."""
    if identity := identity_of(each.get("id")):
        return identity
    issues.append(Issue("no-id", media.key, f"#{index}", "it is named by its place in the list"))
    return f"#{index}"


def _rows_by_id(data: object, media: Media, issues: list[Issue]) -> Rows:
    if data is None:
        return {}
    if not isinstance(data, list):
        issues.append(Issue("bad-shape", media.key, "", f"the data of the annotations is {shown(data)}"))
        return {}
    rows: Rows = {}
    for each in data:
        identity = each.get("id") if type(each) is dict else None
        if type(identity) is not str:
            identity = identity_of(identity)
        if not identity:
            issues.append(Issue("geometry-alone", media.key, "", "it has no id", True))
        elif identity in rows:
            rows[identity].append(each)
        else:
            rows[identity] = [each]
    return rows


def _of_several(
    identity: str, said: Mapping[str, Any], rows: list[Mapping[str, Any]], media: Media, issues: list[Issue]
) -> Annotation:
    """An annotation with several data rows: one for each frame of a video, or it is not known which one is right."""
    if all(type(row.get("frameIndex")) is int and isinstance(row.get("coordinate"), dict) for row in rows):
        frames = [{"frameIndex": row["frameIndex"], **row["coordinate"]} for row in rows]
        return read_annotation(identity, said, {"id": identity, "coordinates": frames}, media, issues)
    if all(row == rows[0] for row in rows):
        issues.append(Issue("duplicate-id", media.key, identity, "its data stands there more than once"))
        return read_annotation(identity, said, rows[0], media, issues)
    issues.append(Issue("duplicate-id", media.key, identity, f"{len(rows)} different data rows have its id"))
    known = {key: value for key, value in said.items() if key in ("id", "tool", "type", "classification", "label")}
    return read_annotation(identity, known, {"id": identity}, media, issues)


def read_relations(edges: list[Any], seen: set[str], media: Media, issues: list[Issue]) -> None:
    """The relations that stand beside the annotations become annotations of the tool `relation`, so that they count."""
    for index, each in enumerate(edges):
        if not isinstance(each, dict):
            issues.append(Issue("bad-relation", media.key, "", f"it is {shown(each)}", True))
            continue
        identity = identity_of(each.get("id")) or f"#relation-{index}"
        if identity in seen:
            continue
        seen.add(identity)
        said = {**each, "tool": each.get("tool") or "relation"}
        media.annotations.append(read_annotation(identity, said, None, media, issues))
