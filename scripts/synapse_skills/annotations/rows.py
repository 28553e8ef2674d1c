"""A row of the backend, understood: one assignment, ground-truth event or task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from synapse_skills.annotations.document import read_document, read_plain
from synapse_skills.annotations.files import read_files
from synapse_skills.annotations.model import Record
from synapse_skills.annotations.payload import (
    NeedsPayload,
    Unreadable,
    as_bytes,
    check_depth,
    is_wrapper,
    parse,
    payload_of,
    unquoted,
)


class _Row(msgspec.Struct):
    """What is read of a row; the rest of it is skipped, and `data` is not even parsed with it."""

    id: Any = None
    pgh_id: Any = None
    project: Any = None
    task: Any = None
    data_unit: Any = None
    status_label: Any = None
    status: Any = None
    status_review: Any = None
    is_discarded: Any = None
    is_confirmed: Any = None
    category: Any = None
    tags: Any = None
    created: Any = None
    updated: Any = None
    meta: Any = None
    file: Any = None
    files: Any = None
    files_manifest: Any = None
    data: msgspec.Raw = msgspec.Raw(b"null")


_NAMES = tuple(name for name in _Row.__struct_fields__ if name != "data")
_DECODER = msgspec.json.Decoder(_Row)


def read_row(row: Mapping[str, Any] | bytes, target: str, *, payload: bytes | None = None) -> Record:
    """Read a row as it was received.

    Args:
        row: JSON bytes (the payload then stays as it is, byte for byte) or an object.
        target: assignment, ground_truth or task.
        payload: the payload of a row whose own is a link, once it has been fetched.

    Raises:
        NeedsPayload: the payload lies elsewhere.
        Unreadable: the row has no id, or its payload can't be read.
    """
    fields, data = _parts(row)
    given, pgh = fields.id, fields.pgh_id
    key = pgh if target == "ground_truth" and type(pgh) is int else given
    if type(key) is not int:
        raise Unreadable("The row has no id.")
    number = given if type(given) is int else key
    try:
        files = read_files(fields.files_manifest, fields.files, fields.data_unit, fields.file)
        # What is plain is itself and stands for nothing else.
        content = data if payload is None else unquoted(payload)
        document = read_plain(content, files)
        if document is None:
            content = content if payload is not None else _resolved(data)
            document = read_document(content, files=files)
        meta = _inner(fields.data_unit, "meta", fields.meta)
        if meta:
            check_depth(meta)
    except Unreadable as error:
        error.record = key
        raise
    task, unit, review = fields.task, fields.data_unit, fields.status_review
    return Record(
        key=key,
        id=number,
        target=target,
        document=document,
        payload=content,
        project=_number(fields.project, _inner(task, "project")),
        task=number if target == "task" else _number(task),
        data_unit=_number(unit, _inner(task, "data_unit")),
        status=_text(fields.status_label) or _text(fields.status),
        review=_text(review),
        is_discarded=fields.is_discarded is True,
        is_confirmed=_confirmed(fields.is_confirmed, review),
        category=_category(fields.category),
        tags=_tags(fields.tags, _inner(task, "tags")),
        created=_text(fields.created),
        updated=_text(fields.updated),
        meta=meta if isinstance(meta, dict) else {},
        files=files,
    )


def _parts(row: Mapping[str, Any] | bytes) -> tuple[_Row, bytes | None]:
    """The fields of a row, and its payload as bytes."""
    if not isinstance(row, bytes):
        data = row.get("data")
        return _fields(row), None if data is None else unquoted(as_bytes(data))
    try:
        parsed = _DECODER.decode(row)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        found = parse(row)
        if not isinstance(found, dict):
            raise Unreadable("The row is no JSON object.") from None
        return _fields(found), payload_of(row)
    return parsed, unquoted(bytes(parsed.data))


def _fields(row: Mapping[str, Any]) -> _Row:
    return _Row(**{name: row[name] for name in _NAMES if name in row})


def _resolved(data: bytes | None) -> bytes | None:
    """The payload itself: what a wrapper holds, if it holds it.

    Raises:
        NeedsPayload: it does not.
    """
    if data is None or b'"mode"' not in data:
        return data
    wrapper = is_wrapper(parse(data))
    if wrapper is None:
        return data
    if wrapper.needs_fetching or wrapper.data is None:
        raise NeedsPayload(wrapper)
    return payload_of(data)


def _inner(value: object, key: str, otherwise: Any = None) -> Any:
    if isinstance(value, dict):
        found = value.get(key)
        return otherwise if found is None else found
    return otherwise


def _number(*values: object) -> int | None:
    """The first that is an id, or an object with one."""
    for value in values:
        found = value.get("id") if isinstance(value, dict) else value
        if type(found) is int:
            return found
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _confirmed(value: object, review: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return True if review == "confirmed" else None


def _category(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("name")
    return value if isinstance(value, str) and value else None


def _tags(*lists: object) -> tuple[str, ...]:
    """Names of all tags, each once, in the order they stand."""
    names: dict[str, None] = {}
    for listed in lists:
        for tag in listed if isinstance(listed, list) else ():
            name = tag.get("name") if isinstance(tag, dict) else tag
            if isinstance(name, str | int) and not isinstance(name, bool):
                names[str(name)] = None
    return tuple(names)
