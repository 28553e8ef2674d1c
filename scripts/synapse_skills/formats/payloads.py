"""A payload less the annotations that are not wanted; all else as it was received, in any shape that is understood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from synapse_skills.annotations.groups import identity_of
from synapse_skills.annotations.model import Document

Ids = set[tuple[str, str]]
"""Annotations as (key of their medium, id)."""

_PLURALS = ("images", "videos", "pcds", "texts", "audios", "prompts", "datas")
_LISTS = ("annotations", "annotationsData")
_ABOUT = ("annotationGroups", "relations")


class Payload:
    """The payload of one record.

    Args:
        payload: JSON bytes as they were received.
        document: what was understood of it: it knows what the newer shape calls its media.
    """

    def __init__(self, payload: bytes, document: Document) -> None:
        self._whole = json.loads(payload)
        self._all = {(media.key, each.id) for media in document.media for each in media.annotations}
        self._keys: dict[str, list[str]] = {}
        for media in document.media:
            self._keys.setdefault(f"{media.kind}s", []).append(media.key)

    def only(self, wanted: Ids) -> tuple[bytes, Ids, int]:
        """The payload with these annotations alone, as JSON; which of them were found in it; and its `count`."""
        found: Ids = set()
        kept = self._document(self._whole, wanted, found)
        # Half a character becomes the escape that it was.
        text = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace"), found, count(kept) if isinstance(kept, dict) else 0

    def _document(self, value: Any, wanted: Ids, found: Ids) -> Any:
        if not isinstance(value, dict):
            return value
        kept: dict[str, Any] = {}
        for name, part in value.items():
            if name in _LISTS and isinstance(part, dict):
                kept[name] = {key: self._annotations(key, listed, wanted, found) for key, listed in part.items()}
            elif name in _ABOUT and isinstance(part, dict):
                kept[name] = {key: self._about(key, listed, wanted, found) for key, listed in part.items()}
            elif name in ("annotation_data", "annotation_meta"):
                kept[name] = self._document(part, wanted, found)
            elif name in self._keys and isinstance(part, list):
                kept[name] = self._media(self._keys[name], part, wanted, found)
            else:
                kept[name] = part
        return kept

    def _media(self, keys: list[str], items: list[Any], wanted: Ids, found: Ids) -> list[Any]:
        if len(keys) != len(items):
            return items
        return [
            {tool: self._annotations(key, listed, wanted, found) for tool, listed in item.items()}
            if isinstance(item, dict)
            else item
            for key, item in zip(keys, items, strict=True)
        ]

    def _annotations(self, key: str, listed: Any, wanted: Ids, found: Ids) -> Any:
        """Those of a list that are wanted, in their order."""
        if not isinstance(listed, list):
            return listed
        kept = []
        for each in listed:
            identity = (key, identity_of(each.get("id"))) if isinstance(each, dict) else ("", "")
            if identity in wanted:
                found.add(identity)
                kept.append(each)
        return kept

    def _about(self, key: str, listed: Any, wanted: Ids, found: Ids) -> Any:
        """Groups or relations that speak of a wanted annotation, or of none at all."""
        if not isinstance(listed, list):
            return listed
        kept = []
        for number, each in enumerate(listed):
            # A relation may be an annotation itself.
            own = isinstance(each, dict) and (key, identity_of(each.get("id")) or f"#relation-{number}")
            if own in self._all:
                if own in wanted:
                    found.add(own)
                    kept.append(each)
                continue
            named = {(key, text) for text in _texts(each)} & self._all
            if not named or named & wanted:
                kept.append(each)
        return kept


def count(document: dict[str, Any]) -> int:
    """How many annotations stand in the lists of a payload, of either shape."""
    lists = document.get("annotations")
    if isinstance(lists, dict) and "annotation_data" not in document:
        return sum(len(each) for each in lists.values() if isinstance(each, list))
    data = document.get("annotation_data", document)
    if not isinstance(data, dict):
        return 0
    media = [item for plural in _PLURALS for item in data.get(plural) or () if isinstance(item, dict)]
    return sum(len(each) for item in media for each in item.values() if isinstance(each, list))


def _texts(value: Any) -> Iterator[str]:
    """All that may be an id in a value, however deep."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str | int):
        yield identity_of(value)
