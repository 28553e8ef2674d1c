"""The newer shape: lists of media, each with its annotations by tool, with or without the envelope.

A medium has no name there. It is taken from `annotation_meta`, which keeps the older shape beside it, else from the
record's files, else it is counted (`image_1`). Flags, groups, sizes and relations are in `annotation_meta` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synapse_skills.annotations.annotation import read_annotation
from synapse_skills.annotations.groups import identity_of, read_groups
from synapse_skills.annotations.labels import KINDS, kind_of, natural, tool_of
from synapse_skills.annotations.model import Annotation, Document, Group, Issue, Media
from synapse_skills.annotations.numbers import shown
from synapse_skills.annotations.v1 import medium, read_relations

PLURALS = {f"{kind}s": kind for kind in KINDS}
_FLAGS = ("isValid", "isVisible", "label")
_NO_TOOLS = frozenset({"id", "extra", "width", "height", "classification"})


def is_v2(payload: Mapping[str, Any]) -> bool:
    """Whether an object has this shape."""
    return "annotation_data" in payload or any(isinstance(payload.get(plural), list) for plural in PLURALS)


def read_v2(payload: Mapping[str, Any], specs: tuple[str, ...]) -> Document:
    """Read the newer shape; `specs` are the file specifications of the record."""
    issues: list[Issue] = []
    document = Document([], issues)
    data = payload.get("annotation_data", payload)
    meta = payload.get("annotation_meta")
    meta = meta if isinstance(meta, dict) else {}
    if not isinstance(data, dict):
        issues.append(Issue("bad-shape", "", "", f"annotation_data is {shown(data)}"))
        data = {}
    if isinstance(older := data.get("annotations"), dict) and any(older.values()):
        issues.append(Issue("two-shapes", "", "", "the lists of media are read, and not the older shape beside them"))
    for plural, kind in PLURALS.items():
        items = data.get(plural)
        if items is None:
            continue
        if not isinstance(items, list):
            issues.append(Issue("bad-shape", plural, "", f"it is {shown(items)}"))
            continue
        for key, item in zip(_keys(kind, len(items), meta, specs), items, strict=True):
            document.media.append(_medium(key, item, meta, issues))
    document.media.sort(key=lambda media: natural(media.key))
    return document


def _keys(kind: str, count: int, meta: Mapping[str, Any], specs: tuple[str, ...]) -> list[str]:
    """Names of the media of one kind: of `annotation_meta`, else of the files, if there are as many of them."""
    kept = _part(meta, "annotations")
    for names in (kept, specs):
        own = sorted((name for name in names if kind_of(name) == kind), key=natural)
        if len(own) == count:
            return own
    return [f"{kind}_{number}" for number in range(1, count + 1)]


def _part(meta: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = meta.get(name)
    return part if isinstance(part, dict) else {}


def _medium(key: str, item: object, meta: Mapping[str, Any], issues: list[Issue]) -> Media:
    media = medium(key, _part(meta, "extra").get(key), issues)
    if not isinstance(item, dict):
        issues.append(Issue("bad-shape", key, "", f"the medium is {shown(item)}"))
        return media
    kept = _part(meta, "annotations").get(key)
    kept = [each for each in kept if isinstance(each, dict)] if isinstance(kept, list) else []
    flags = {identity_of(each.get("id")): each for each in kept}
    seen: set[str] = set()
    belongs: dict[str, list[str]] = {}
    for tool, listed in item.items():
        if not isinstance(listed, list):
            if tool not in _NO_TOOLS:
                issues.append(Issue("bad-shape", key, "", f"the annotations of a tool are {shown(listed)}"))
            continue
        for index, each in enumerate(listed):
            annotation = _annotation(tool, index, each, flags, seen, media, issues)
            if annotation is not None and (group := identity_of(each.get("group_id"))):
                belongs.setdefault(group, []).append(annotation.id)
    order = {identity: place for place, identity in enumerate(flags)}
    media.annotations.sort(key=lambda annotation: order.get(annotation.id, len(order)))
    edges = _part(meta, "relations").get(key)
    read_relations(edges if isinstance(edges, list) else [], seen, media, issues)
    read_groups(_part(meta, "annotationGroups").get(key), media, issues)
    _group(belongs, media)
    return media


def _annotation(
    tool: str, index: int, each: Any, flags: Mapping[str, Any], seen: set[str], media: Media, issues: list[Issue]
) -> Annotation | None:
    if not isinstance(each, dict):
        issues.append(Issue("bad-annotation", media.key, "", f"it is {shown(each)}", True))
        return None
    identity = identity_of(each.get("id"))
    if not identity:
        identity = f"#{tool}-{index}"
        issues.append(Issue("no-id", media.key, identity, "it is named by its place in the list"))
    if identity in seen:
        issues.append(Issue("duplicate-id", media.key, identity, "the first one with this id is taken", True))
        return None
    seen.add(identity)
    said = _said(tool, identity, each, flags.get(identity, {}), media, issues)
    annotation = read_annotation(identity, said, None, media, issues)
    media.annotations.append(annotation)
    return annotation


def _said(
    tool: str, identity: str, each: Mapping[str, Any], flags: Mapping[str, Any], media: Media, issues: list[Issue]
) -> dict[str, Any]:
    """The annotation as the older shape says it, its geometry inside."""
    attributes: dict[str, Any] = {}
    attrs = each.get("attrs")
    if isinstance(attrs, dict):
        attributes.update(attrs)
    elif isinstance(attrs, list):
        named = [attr for attr in attrs if isinstance(attr, dict) and isinstance(attr.get("name"), str)]
        attributes.update((attr["name"], attr.get("value")) for attr in named)
        if len(named) != len(attrs):
            issues.append(Issue("bad-attributes", media.key, identity, "an attribute has no name"))
    elif attrs is not None:
        issues.append(Issue("bad-attributes", media.key, identity, f"the attributes are {shown(attrs)}"))
    said = {name: value for name, value in each.items() if name not in ("attrs", "classification", "tool", "type")}
    said.update((flag, flags[flag]) for flag in _FLAGS if flag in flags and flag not in said)
    data = said.get("data")
    if tool_of(tool) == "bounding_box" and isinstance(data, list) and len(data) == 4 and "rotation" in attributes:
        sides = dict(zip(("x", "y", "width", "height"), data, strict=True))
        said["data"] = {**sides, "rotation": attributes.pop("rotation")}
    label = each.get("classification")
    if isinstance(label, dict):
        attributes.update(label)
    elif label is not None:
        attributes["class"] = label
    said["classification"] = attributes
    said["tool"] = tool
    return said


def _group(belongs: Mapping[str, list[str]], media: Media) -> None:
    """Groups that only the annotations name."""
    known = {group.id for group in media.groups}
    by_id = {annotation.id: annotation for annotation in media.annotations}
    for group, members in belongs.items():
        if group in known:
            continue
        free = [member for member in members if by_id[member].group is None]
        for member in free:
            by_id[member].group = group
        media.groups.append(Group(group, None, tuple(free)))
