"""Groups and relations of a medium: none of them, however malformed, costs an annotation."""

from __future__ import annotations

from typing import Any

from synapse_skills.annotations.labels import label_of
from synapse_skills.annotations.model import Annotation, Group, Issue, Media
from synapse_skills.annotations.numbers import shown


def identity_of(value: object) -> str:
    """An id as text; '' if it is none."""
    if type(value) is str:
        return value
    return str(value) if type(value) is int else ""


def read_groups(raw: object, media: Media, issues: list[Issue]) -> None:
    """Give the annotations of a medium their groups, from `annotationGroups`."""
    if raw is None or raw == {}:
        return
    if not isinstance(raw, list):
        issues.append(Issue("bad-group", media.key, "", f"the groups are {shown(raw)}"))
        return
    by_id = {annotation.id: annotation for annotation in media.annotations}
    taken: set[str] = set()
    for each in raw:
        group = identity_of(each.get("id")) if isinstance(each, dict) else ""
        members = _members(each) if isinstance(each, dict) else None
        if not group or group in taken or members is None:
            issues.append(Issue("bad-group", media.key, group, "it has no id of its own, or no list of members"))
            continue
        taken.add(group)
        kept = [member for member in dict.fromkeys(members) if _joins(member, group, by_id, media, issues)]
        media.groups.append(Group(group, _label(each), tuple(kept)))


def _joins(member: str, group: str, by_id: dict[str, Annotation], media: Media, issues: list[Issue]) -> bool:
    annotation = by_id.get(member)
    if annotation is None:
        issues.append(Issue("group-member", media.key, member, "a group names it, and it is not there"))
        return False
    if annotation.group is not None and annotation.group != group:
        issues.append(Issue("group-member", media.key, member, "two groups name it: it stays in the first"))
        return False
    annotation.group = group
    return True


def _label(group: dict[str, Any]) -> str | None:
    given = group.get("classification")
    name = given.get("class") if isinstance(given, dict) else given
    return label_of(name) if isinstance(name, str) else None


def _members(group: dict[str, Any]) -> list[str] | None:
    """Ids of `annotationIds`, or of `annotationList` with all that stands below; None if neither is a list."""
    listed = group.get("annotationIds")
    if listed is None:
        listed = group.get("annotationList")
    if not isinstance(listed, list):
        return None
    found: list[str] = []
    waiting = list(reversed(listed))
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            below = each.get("children")
            waiting.extend(reversed(below) if isinstance(below, list) else ())
            each = each.get("annotationId", each.get("id"))
        if identity := identity_of(each):
            found.append(identity)
    return found
