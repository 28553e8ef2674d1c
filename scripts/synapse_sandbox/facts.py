"""What a record says of itself, in the words of the backend: dates, tags, the classes of its annotations."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from typing import Any

from synapse_sandbox.errors import BadInput

DATES = (
    "created",
    "updated",
    "label_submitted",
    "last_labeled",
    "last_reviewed",
    "labeler_last_action_at",
    "reviewer_last_action_at",
)
# What of a row is no fact of the record: links to others, or words for us.
_LINKS = frozenset({"id", "pgh_id", "project", "task", "data_unit", "ground_truth_dataset_version", "version"})
_NO_FACTS = _LINKS | {"data", "data_text", "task_data", "file", "files", "omit", "delete", "target"}


def facts_of(row: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """What a record says of itself, with dates as the backend writes them and tags that have an id and a name."""
    facts = {**base, **{key: value for key, value in row.items() if key not in _NO_FACTS}}
    for key in DATES:
        if facts.get(key) is not None:
            facts[key] = moment(facts[key])
    facts["created"] = facts.get("created") or just_now()
    facts["updated"] = facts.get("updated") or facts["created"]
    for key in ("tags", "task_tags"):
        if isinstance(facts.get(key), list):
            facts[key] = [_tag(tag) for tag in facts[key]]
    return facts


def _tag(tag: Any) -> Any:
    return tag if isinstance(tag, dict) else {"id": zlib.crc32(str(tag).encode()), "name": str(tag)}


def moment(text: Any) -> str | None:
    """A time as the backend writes it: UTC with microseconds, so that texts compare as times do.

    Raises:
        BadInput: it is no time.
    """
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise BadInput(f"{text!r} is no date or time") from None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def just_now() -> str:
    """The time as the backend writes it."""
    return str(moment(datetime.now(UTC).isoformat()))


def class_names(document: Any) -> set[str]:
    """The classes that the annotations of a payload have, as far as it is one."""
    names = set()
    annotations = document.get("annotations") if isinstance(document, dict) else None
    for media in annotations.values() if isinstance(annotations, dict) else ():
        for annotation in media if isinstance(media, list) else ():
            given = annotation.get("classification") if isinstance(annotation, dict) else None
            name = given.get("class") if isinstance(given, dict) else given
            if isinstance(name, str):
                names.add(name)
    return names


def as_text(value: Any) -> str:
    """A value as JSON that SQLite can hold."""
    text = json.dumps(value, ensure_ascii=False)
    # Half a surrogate pair is no text for SQLite; escaped it is.
    return text if text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text) else json.dumps(value)
