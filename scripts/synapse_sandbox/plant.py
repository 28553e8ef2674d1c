"""Puts labelled work into the state: data units with their files, tasks, assignments, ground truths.

A record's own text is kept as it came (`data_text`) or as JSON writes it (`data`), so that what an export receives is
value for value what was put in. An edit makes another payload: a link to the older one still leads to the older text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import sqlite3
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synapse_sandbox import bulk
from synapse_sandbox.errors import BadInput
from synapse_sandbox.facts import as_text, class_names, facts_of, just_now, moment
from synapse_sandbox.objects import Objects, new_key

# What of a file is for us, and not shown with it.
_UNSHOWN = frozenset({"local_path", "content", "content_base64", "missing"})


class Planter:
    """Puts rows in, inside the caller's transaction.

    Args:
        db: the state.
        objects: the folder of its bytes.
        root: the folder that a file's `local_path` lies in; "" if no file may name one.
    """

    def __init__(self, db: sqlite3.Connection, objects: Path, root: str) -> None:
        self.db = db
        self.objects = Objects(objects)
        self.root = root
        self._known: dict[Any, tuple[str | None, int, str, str]] = {}
        self._units: set[int] = set()

    def seed(self, records: dict[str, list[Any]]) -> None:
        """All records of a seed.

        Raises:
            BadInput: the message names the row.
        """
        for key, plant in (
            ("data_units", self.unit),
            ("tasks", self.task),
            ("assignments", self.assignment),
            ("ground_truths", self.ground_truth),
        ):
            for at, row in enumerate(records.get(key, [])):
                if not isinstance(row, dict):
                    raise BadInput(f"seed.{key}[{at}] must be an object")
                try:
                    plant(row)
                except BadInput as error:
                    raise BadInput(f"seed.{key}[{at}]: {error}", hint=error.hint) from None

    def unit(self, row: dict[str, Any]) -> int:
        """A data unit with its files; its id."""
        files, meta = row.get("files") or {}, row.get("meta")
        if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
            raise BadInput("files must be an object of objects")
        kept = {spec: self._file(entry, meta if isinstance(meta, dict) else {}) for spec, entry in files.items()}
        values = (
            _number(row, "id"),
            _number(row, "data_collection") or 1,
            as_text(kept),
            as_text(meta),
            as_text(row.get("groups")),
            moment(row.get("created")) or just_now(),
        )
        cursor = self.db.execute(
            "insert or replace into data_unit (id, collection, files, meta, groups, created) values (?, ?, ?, ?, ?, ?)",
            values,
        )
        return int(cursor.lastrowid or 0)

    def _file(self, entry: dict[str, Any], unit_meta: dict[str, Any]) -> dict[str, Any]:
        name = str(entry.get("file_name_original") or "file")
        key = new_key()
        source, size, sha1, md5 = self._bytes(entry, name, key, unit_meta)
        made = self.db.execute(
            "insert into data_file (key, filename, content_type, size, sha1, md5, created, source)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            (key, name, None, size, sha1, md5, just_now(), source),
        ).lastrowid
        shown = {key: value for key, value in entry.items() if key not in _UNSHOWN}
        return {"given": {"checksum": sha1, "path": name}, "data_file": made, "shown": shown}

    def _bytes(
        self, entry: dict[str, Any], name: str, key: str, unit_meta: dict[str, Any]
    ) -> tuple[str | None, int, str, str]:
        if entry.get("missing"):
            # Never there: the link leads to nothing.
            return str(self.objects.path(key).with_suffix(".missing")), 0, _NOTHING[0], _NOTHING[1]
        if local := entry.get("local_path"):
            return self._local(str(local))
        if "content_base64" in entry or "content" in entry:
            content = _content(entry)
            self.objects.path(key).write_bytes(content)
            return (None, len(content), *_digests(content))
        own = entry.get("meta")
        sizes = {**unit_meta, **(own if isinstance(own, dict) else {})}
        return self._made_up(name, sizes, key)

    def _local(self, local: str) -> tuple[str | None, int, str, str]:
        if local not in self._known:
            place = Path(self.root, local).resolve()
            if not self.root or not place.is_relative_to(Path(self.root).resolve()) or not place.is_file():
                raise BadInput(f"local_path: {local!r} is no file below files_root")
            content = place.read_bytes()
            self._known[local] = (str(place), len(content), *_digests(content))
        return self._known[local]

    def _made_up(self, name: str, sizes: dict[str, Any], key: str) -> tuple[str | None, int, str, str]:
        kind = (
            "json"
            if name.lower().endswith(".json")
            else (_side(sizes.get("width"), 64), _side(sizes.get("height"), 48))
        )
        if kind not in self._known:
            # One object on disk serves every file that looks the same.
            content = b"{}" if isinstance(kind, str) else picture(*kind)
            place = self.objects.path(key)
            place.write_bytes(content)
            self._known[kind] = (str(place.resolve()), len(content), *_digests(content))
        return self._known[kind]

    def payload(self, row: dict[str, Any], key: str = "data") -> int | None:
        """What a record's `data` is kept as: None if it has none."""
        text = row.get("data_text") if key == "data" else None
        if text is None:
            if row.get(key) is None:
                return None
            text = as_text(row[key])
        if not isinstance(text, str):
            raise BadInput("data_text must be the JSON of the data, as a text")
        body = text.encode()
        return self.db.execute(
            "insert into payload (size, digest, body) values (?, ?, ?)",
            (len(body), hashlib.sha256(body).hexdigest(), text),
        ).lastrowid

    def task(self, row: dict[str, Any]) -> int:
        """A task; its id."""
        unit = self._unit_of(row)
        values = (
            _number(row, "id"),
            self._project(row),
            unit,
            as_text(facts_of(row, {"status_label": "stand_by", "is_discarded": False, "tags": []})),
            _omit(row),
            self.payload(row),
        )
        cursor = self.db.execute(
            "insert or replace into task (id, project, data_unit, facts, omit, payload) values (?, ?, ?, ?, ?, ?)",
            values,
        )
        return int(cursor.lastrowid or 0)

    def assignment(self, row: dict[str, Any]) -> dict[str, Any]:
        """An assignment of a task that is there, or that is made for it; its ids."""
        task, unit, project = self._task_of(row)
        review = row.get("status_review", "stand_by")
        base = {
            "status_label": "done",
            "status_review": review,
            "is_confirmed": review == "confirmed",
            "is_discarded": False,
            "is_discard_confirmed": False,
            "tags": [],
            "labeler": None,
            "reviewer": None,
        }
        facts = facts_of(row, base)
        for key in ("label_submitted", "last_labeled", "labeler_last_action_at"):
            facts.setdefault(key, facts["created"])
        if "file" in row and not row["file"]:
            facts["file"] = row["file"]
        values = (_number(row, "id"), project, unit, as_text(facts), _omit(row), self.payload(row), task)
        cursor = self.db.execute(
            "insert or replace into assignment (id, project, data_unit, facts, omit, payload, task)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        made = int(cursor.lastrowid or 0)
        # A task shows the work that was done last for it, unless it is said what it shows.
        shown = self.payload(row, "task_data") if "task_data" in row else values[5]
        self.db.execute(
            "update task set payload = ?, facts = json_set(facts, '$.status_label', ?, '$.updated', ?) where id = ?",
            (shown, facts["status_label"], facts["updated"], task),
        )
        return {"id": made, "task": task, "data_unit": unit}

    def _task_of(self, row: dict[str, Any]) -> tuple[int, int | None, int]:
        given = row.get("task")
        number = given.get("id") if isinstance(given, dict) else given
        found = None
        if number is not None:
            found = self.db.execute("select id, data_unit, project from task where id = ?", (number,)).fetchone()
            if found is None and not isinstance(given, dict) and row.get("data_unit") is None:
                raise BadInput(f"task: there is no task {number}")
        if found is None:
            unit, project = self._unit_of(row), self._project(row)
            if number is None and unit is not None:
                found = self.db.execute(
                    "select id, data_unit, project from task where data_unit = ? and project = ? order by id limit 1",
                    (unit, project),
                ).fetchone()
        if found is not None:
            return int(found["id"]), found["data_unit"], int(found["project"])
        more = given if isinstance(given, dict) else {}
        made = self.task({**more, "id": number, "project": project, "data_unit": unit, "created": row.get("created")})
        return made, unit, project

    def _unit_of(self, row: dict[str, Any]) -> int | None:
        given = row.get("data_unit")
        if given is None and (row.get("file") or row.get("files")):
            given = {"files": row.get("files") or {"image_1": row["file"]}}
        if isinstance(given, dict):
            number = given.get("id")
            if number is not None and self._is_there(number) and "files" not in given:
                return int(number)
            # The same data unit stands in several rows of a seed: once is enough.
            if number is not None and number in self._units:
                return int(number)
            made = self.unit(given)
            self._units.add(made)
            return made
        if given is not None and not self._is_there(given):
            raise BadInput(f"data_unit: there is no data unit {given}")
        return given

    def _is_there(self, unit: Any) -> bool:
        return self.db.execute("select 1 from data_unit where id = ?", (unit,)).fetchone() is not None

    def _project(self, row: dict[str, Any]) -> int:
        if (number := _number(row, "project")) is not None:
            return number
        found = self.db.execute("select id from catalogue where kind = 'project' limit 2").fetchall()
        if len(found) != 1:
            raise BadInput("project is missing, and there is not just one to take")
        return int(found[0]["id"])

    def ground_truth(self, row: dict[str, Any]) -> dict[str, Any]:
        """A dataset with one version or several, and what is in each of them; their ids."""
        dataset = self._catalogued("dataset", row.get("id", row.get("dataset")), {
            "name": row.get("name"), "project_id": _number(row, "project"), "description": row.get("description", ""),
        })  # fmt: skip
        made = []
        for version in row.get("versions") or [row]:
            own = {key: version[key] for key in ("is_archived", "description") if key in version}
            number = self._catalogued("version", version.get("id") if version is not row else row.get("version_id"), {
                "version": str(version.get("version", "1")), "ground_truth_dataset": dataset,
                "created": moment(version.get("created")) or just_now(), "is_archived": False, "description": "", **own,
            })  # fmt: skip
            events = [self.event({**record, "version": number}, row) for record in version.get("records", [])]
            made.append({"id": number, "events": len(events), "pgh_ids": events})
        return {"dataset": dataset, "version": made[-1]["id"], "versions": made}

    def event(self, row: dict[str, Any], dataset: dict[str, Any] | None = None) -> int:
        """A ground truth event, of an assignment, of a data unit, or as it stands; its pgh_id."""
        task, payload, unit = row.get("task"), None, None
        if "assignment" in row:
            found = self.db.execute("select * from assignment where id = ?", (row["assignment"],)).fetchone()
            if found is None:
                raise BadInput(f"assignment: there is no assignment {row['assignment']}")
            task, payload, unit = found["task"], found["payload"], found["data_unit"]
        if "data" in row or "data_text" in row:
            payload = self.payload(row)
        if unit is None:
            unit = self._unit_of(row)
        facts = facts_of({key: value for key, value in row.items() if key != "assignment"}, {
            "category": (dataset or {}).get("category", "train"), "classes": self._classes(payload),
        })  # fmt: skip
        number = _number(row, "id")
        if number is None:
            number = self.db.execute("select coalesce(max(id), 0) + 1 from ground_truth").fetchone()[0]
        version = row.get("version", row.get("ground_truth_dataset_version"))
        cursor = self.db.execute(
            "insert or replace into ground_truth (pgh_id, id, version, data_unit, facts, omit, payload, task)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            (_number(row, "pgh_id"), number, version, unit, as_text(facts), _omit(row), payload, task),
        )
        return int(cursor.lastrowid or 0)

    def fill(self, project: int, collection: int, count: int, boxes: int, classes: Sequence[str]) -> int:
        """Made-up records; the id of the first assignment, the others follow it."""
        sizes = {"width": bulk.SIDES[0], "height": bulk.SIDES[1]}
        source, size, sha1, md5 = self._made_up("fill.png", sizes, new_key())
        return bulk.fill(self.db, (str(source), size, sha1, md5), project, collection, count, boxes, classes)

    def _catalogued(self, kind: str, number: Any, body: dict[str, Any]) -> int:
        found = None
        if number is None:
            number = self.db.execute(
                "select coalesce(max(id), 0) + 1 from catalogue where kind = ?", (kind,)
            ).fetchone()[0]
        else:
            found = self.db.execute("select body from catalogue where kind = ? and id = ?", (kind, number)).fetchone()
        old = {} if found is None else json.loads(found["body"])
        new = {**old, **{key: value for key, value in body.items() if value is not None}, "id": number}
        if kind == "dataset":
            new = {"name": f"Ground truth {number}", "project_id": 0, **new}
        self.db.execute("insert or replace into catalogue values (?, ?, ?)", (kind, number, as_text(new)))
        return int(number)

    def _classes(self, payload: int | None) -> list[str]:
        if payload is None:
            return []
        body = self.db.execute("select body from payload where id = ?", (payload,)).fetchone()["body"]
        try:
            return sorted(class_names(json.loads(body)))
        except (ValueError, RecursionError):
            return []


def _omit(row: dict[str, Any]) -> str | None:
    return as_text(row["omit"]) if row.get("omit") else None


def _number(row: dict[str, Any], key: str) -> int | None:
    value = row.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise BadInput(f"{key} must be a whole number from 1")
    return value


def _content(entry: dict[str, Any]) -> bytes:
    if "content" in entry:
        return str(entry["content"]).encode()
    try:
        return base64.b64decode(entry["content_base64"], validate=True)
    except (TypeError, binascii.Error):
        raise BadInput("content_base64 is no base64") from None


def _digests(content: bytes) -> tuple[str, str]:
    sha1, md5 = hashlib.sha1(content, usedforsecurity=False), hashlib.md5(content, usedforsecurity=False)
    return sha1.hexdigest(), md5.hexdigest()


_NOTHING = _digests(b"")


def _side(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and 0 < value <= 8192 else otherwise


def picture(width: int, height: int) -> bytes:
    """A grey PNG."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = (b"\x00" + b"\x80" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
