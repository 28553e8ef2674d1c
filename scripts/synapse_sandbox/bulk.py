"""Made-up records by the ten thousand, for measuring: the same numbers give the same records."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence

from synapse_sandbox.objects import PREFIX

SIDES = (640, 480)
_CREATED = "2026-01-15T09:00:00.000000Z"
_FLAGS = '"isLocked": false, "isVisible": true, "isValid": true, "isDrawCompleted": true'


def fill(
    db: sqlite3.Connection, file: tuple[str, int, str, str], project: int, collection: int, count: int,
    boxes: int, classes: Sequence[str],
) -> int:  # fmt: skip
    """Put in data units, tasks and assignments.

    Args:
        db: the state, inside a transaction.
        file: where the one picture of all of them lies, its size, SHA-1 and MD5.
        project: whose tasks they are.
        collection: whose data units they are.
        count: how many.
        boxes: how many boxes each has.
        classes: of the boxes, in turn.

    Returns:
        The id of the first assignment; the others follow it.
    """
    unit, data_file, task, assignment, payload = (
        _next(db, table) for table in ("data_unit", "data_file", "task", "assignment", "payload")
    )
    source, size, sha1, md5 = file
    spread = range(count)
    names = [f"fill_{assignment + at:07d}.png" for at in spread]
    keys = (PREFIX + hashlib.md5(f"{data_file + at}".encode(), usedforsecurity=False).hexdigest() for at in spread)
    db.executemany(
        "insert into data_file (id, key, filename, content_type, size, sha1, md5, created, source)"
        " values (?, ?, ?, 'image/png', ?, ?, ?, ?, ?)",
        ((data_file + at, key, names[at], size, sha1, md5, _CREATED, source) for at, key in enumerate(keys)),
    )
    db.executemany(
        "insert into data_unit (id, collection, files, meta, groups, created) values (?, ?, ?, ?, 'null', ?)",
        (
            (unit + at, collection, _files(names[at], sha1, data_file + at), _meta(names[at], at), _CREATED)
            for at in spread
        ),
    )
    texts = (_document(assignment + at, boxes, classes) for at in spread)
    db.executemany(
        "insert into payload (id, size, digest, body) values (?, ?, ?, ?)",
        ((payload + at, len(text.encode()), _digest(text), text) for at, text in enumerate(texts)),
    )
    facts = json.dumps(
        {"status_label": "done", "is_discarded": False, "tags": [], "created": _CREATED, "updated": _CREATED}
    )
    db.executemany(
        "insert into task (id, project, data_unit, facts, payload) values (?, ?, ?, ?, ?)",
        ((task + at, project, unit + at, facts, payload + at) for at in spread),
    )
    more = facts[:-1] + ', "status_review": "confirmed", "is_confirmed": true, "labeler": 1, "reviewer": 2}'
    db.executemany(
        "insert into assignment (id, project, data_unit, facts, payload, task) values (?, ?, ?, ?, ?, ?)",
        ((assignment + at, project, unit + at, more, payload + at, task + at) for at in spread),
    )
    return assignment


def _next(db: sqlite3.Connection, table: str) -> int:
    # Never an id that was given before, whatever has been deleted since.
    row = db.execute("select seq from sqlite_sequence where name = ?", (table,)).fetchone()
    return 1 if row is None else int(row[0]) + 1


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _files(name: str, sha1: str, number: int) -> str:
    shown = {"is_primary": True, "file_type": "image", "meta": {"width": SIDES[0], "height": SIDES[1]}}
    given = {"checksum": sha1, "path": name}
    return json.dumps({"image_1": {"given": given, "data_file": number, "shown": shown}})


def _meta(name: str, at: int) -> str:
    return json.dumps(
        {"filename": name, "width": SIDES[0], "height": SIDES[1], "category": str(at % 5), "group": str(at // 10)}
    )


def _document(number: int, boxes: int, classes: Sequence[str]) -> str:
    annotations, places = [], []
    for box in range(boxes):
        seed = number * 31 + box * 977
        name = json.dumps(classes[(number + box) % len(classes)], ensure_ascii=False)
        place = f"a{number}_{box}"
        annotations.append(
            f'{{"id": "{place}", "tool": "bounding_box", {_FLAGS}, "label": [{name}], '
            f'"classification": {{"class": {name}}}}}'
        )
        x, y, width, height = seed % 500, seed * 7 % 380, 10 + seed % 120, 10 + seed % 90
        places.append(
            f'{{"id": "{place}", "coordinate": {{"x": {x}.5, "y": {y}.25, "width": {width}, "height": {height}}}}}'
        )
    return (
        f'{{"assignmentId": {number}, "extra": {{"image_1": {{"width": {SIDES[0]}, "height": {SIDES[1]}}}}}, '
        f'"relations": {{"image_1": []}}, "annotationGroups": {{"image_1": []}}, '
        f'"annotations": {{"image_1": [{", ".join(annotations)}]}}, '
        f'"annotationsData": {{"image_1": [{", ".join(places)}]}}}}'
    )
