"""Routes of records: assignments, tasks and ground truth events, in pages or by cursor.

A row is put together from texts and its `data` is never parsed, so that it arrives as it was put in, and so that twenty
thousand of them are served in seconds.
"""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox import payloads
from synapse_sandbox.box import Box, number_in_path, origin, page_of, page_size
from synapse_sandbox.errors import ApiError, not_found
from synapse_sandbox.filters import GROUND_TRUTH, TARGETS, TASK, Target, where
from synapse_sandbox.units import rows_by_id


async def listed(box: Box, request: Request, target: str, shape: str = "full") -> Response:
    """One page of a target's records.

    Args:
        box: the sandbox.
        request: with filters, `ordering`, `pagination`, `page_size`, `expand`, `fields`, `response_mode`.
        target: a key of `TARGETS`.
        shape: `full`, or `data` or `files` as those variants of the list have it.
    """
    kind = TARGETS[target]
    clause, values = where(request, kind, box.settings)
    rows = Rows(box, request, kind, shape)
    if request.query_params.get("pagination") == "cursor":
        return _by_cursor(box, request, rows, clause, values)
    order = _order(request, kind)
    count = box.store.db.execute(f"select count(*) from {kind.table} r where {clause}", values).fetchone()[0]  # noqa: S608
    page = page_of(request, box.settings, count)
    # Fixed texts only: the values travel as parameters. The keys first: what is skipped is never read.
    query = f"select r.{kind.key} from {kind.table} r where {clause} order by {order} limit ? offset ?"  # noqa: S608
    keys = [row[0] for row in box.store.db.execute(query, [*values, page.size, page.offset])]
    return _answer({"count": count, "next": page.next, "previous": page.previous}, rows.texts(keys))


def _by_cursor(box: Box, request: Request, rows: Rows, clause: str, values: list[Any]) -> Response:
    kind = rows.target
    ordering = request.query_params.get("ordering", f"-{kind.key}")
    # A cursor needs a key that is unique: anything else is as good as the newest first.
    ascending = ordering == kind.key
    compare, direction = (">", "asc") if ascending else ("<", "desc")
    size = page_size(request, box.settings)
    values = list(values)
    if (text := request.query_params.get("cursor")) is not None:
        clause += f" and r.{kind.key} {compare} ?"
        values.append(_place(text))
    query = f"select r.{kind.key} from {kind.table} r where {clause} order by r.{kind.key} {direction} limit ?"  # noqa: S608
    keys = [row[0] for row in box.store.db.execute(query, [*values, size + 1])]
    following = None
    if len(keys) > size:
        keys.pop()
        token = base64.urlsafe_b64encode(f"p={keys[-1]}".encode()).decode()
        following = str(request.url.include_query_params(cursor=token))
    return _answer({"next": following, "previous": None}, rows.texts(keys))


def _place(cursor: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(cursor.encode()).decode().removeprefix("p="))
    except (ValueError, binascii.Error):
        raise ApiError(404, "Invalid cursor") from None


def _order(request: Request, kind: Target) -> str:
    wanted = request.query_params.get("ordering", "")
    name, direction = wanted.removeprefix("-"), "desc" if wanted.startswith("-") else "asc"
    if name == kind.key:
        return f"r.{name} {direction}"
    if name == "id":
        return f"r.id {direction}, r.{kind.key} {direction}"
    if name == "created":
        return f"json_extract(r.facts, '$.created') {direction}, r.{kind.key} {direction}"
    return f"r.{kind.key} desc"


def _answer(envelope: dict[str, Any], rows: Iterable[str]) -> Response:
    head = json.dumps(envelope, ensure_ascii=False)[:-1]
    return Response(f'{head}, "results": [{", ".join(rows)}]}}', media_type="application/json")


class Rows:
    """Writes records of one request."""

    def __init__(self, box: Box, request: Request, target: Target, shape: str = "full", mode: str = "") -> None:
        query, settings = request.query_params, box.settings
        self.box = box
        self.target = target
        self.base = origin(request)
        self.shape = shape
        self.mode = mode or query.get("response_mode", payloads.INLINE)
        self.expired = box.rule(request, "expired-links") is not None
        self.no_data = box.rule(request, "null-data") is not None
        expanded = {part for text in query.getlist("expand") for part in text.split(",")}
        self.unit_shown = target is GROUND_TRUTH or ("data_unit" in expanded and target.name in settings.expands)
        fields = {part for text in query.getlist("fields") for part in text.split(",") if part}
        self.fields = fields if target.name in settings.narrows else set()
        if shape == "data":
            self.fields = {"id", "data", target.key}
        elif shape == "files":
            self.fields = {"id", "files", target.key}

    def texts(self, keys: list[int]) -> list[str]:
        """The JSON of the records with these keys, in this order."""
        # Not by the mode: what it changes, a long payload, is not kept.
        asked = (self.target.name, self.shape, self.base, self.unit_shown, frozenset(self.fields))
        kept = {} if self.expired or self.no_data else self.box.kept_rows.those(asked)
        if missing := [key for key in keys if key not in kept]:
            return self._made(keys, missing, kept)
        return [kept[key] for key in keys]

    def _made(self, keys: list[int], missing: list[int], kept: dict[int, str]) -> list[str]:
        kind = self.target
        # Fixed texts only: the values travel as parameters.
        those = f"from json_each(?) k join {kind.table} r on r.{kind.key} = k.value"
        if self._shows("data"):
            query = f"select r.*, {payloads.COLUMNS} {those} left join payload p on p.id = r.payload"
            values: tuple[Any, ...] = (payloads.longest(self.box.settings, self.mode), json.dumps(missing))
        else:
            query, values = f"select r.* {those}", (json.dumps(missing),)
        found = {row[kind.key]: row for row in self.box.store.db.execute(query, values)}
        wanted = {row["data_unit"] for row in found.values() if row["data_unit"] is not None}
        if not self._shows(*_FILES):
            wanted = set()
        units = {unit["id"]: unit for unit in rows_by_id(self.box, wanted, self.base, expired=self.expired)}
        has_tasks = kind is not TASK and self._shows("task")
        tasks = self._tasks({row["task"] for row in found.values()}) if has_tasks else {}
        made = {key: self._text(row, units.get(row["data_unit"]), tasks) for key, row in found.items()}
        if not (self.expired or self.no_data):
            for key, row in found.items():
                # A link to a payload is another one each time.
                if not self._shows("data") or not payloads.is_linked(self.box.settings, row):
                    self.box.kept_rows.keep(kept, key, made[key])
        return [text for key in keys if (text := made.get(key) or kept.get(key)) is not None]

    def _shows(self, *names: str) -> bool:
        """Whether a row shows any of these: what `fields` leaves out costs nothing, as in a real backend."""
        return not self.fields or not self.fields.isdisjoint(names)

    def _tasks(self, numbers: set[int | None]) -> dict[int, str]:
        among = "id in (select value from json_each(?))"
        query = f"select id, project, json_extract(facts, '$.tags') tags from task where {among}"  # noqa: S608
        found = self.box.store.db.execute(query, (json.dumps([number for number in numbers if number is not None]),))
        return {
            row["id"]: f'{{"id": {row["id"]}, "project": {row["project"]}, "tags": {row["tags"] or "[]"}}}'
            for row in found
        }

    def _text(self, row: sqlite3.Row, unit: dict[str, Any] | None, tasks: dict[int, str]) -> str:
        kind = self.target
        if self.shape == "bulk":
            return self._bulk_text(row, unit)
        is_null = self.no_data or not self._shows("data")
        data = "null" if is_null else payloads.as_text(self.box, self.base, row, self.mode, expired=self.expired)
        parts = {"id": str(row["id"])}
        if kind is GROUND_TRUTH:
            parts["pgh_id"] = str(row["pgh_id"])
            parts["ground_truth_dataset_version"] = str(row["version"])
        else:
            parts["project"] = str(row["project"])
        if kind is not TASK:
            parts["task"] = tasks.get(row["task"], "null")
        if self._shows(*_FILES):
            parts |= self._files(unit)
        facts = row["facts"]
        if self.fields or row["omit"] or (kind.name == "assignment" and '"file"' in facts):
            # Rare, and then every field is looked at on its own; a fact of the same name wins.
            parts |= {key: _json(value) for key, value in json.loads(facts).items() if self._shows(key)}
            omit = set(json.loads(row["omit"] or "[]"))
            parts["data"] = data
            return _joined(
                {key: value for key, value in parts.items() if key not in omit and key in (self.fields or parts)}
            )
        return f'{_joined(parts)[:-1]}, {facts[1:-1]}, "data": {data}}}'

    def _bulk_text(self, row: sqlite3.Row, unit: dict[str, Any] | None) -> str:
        return _joined(
            {
                "id": str(row["id"]),
                "project_id": str(row["project"]),
                "data_unit_id": _json(row["data_unit"]),
                "data": payloads.as_text(self.box, self.base, row, self.mode, expired=self.expired),
                "files_manifest": _json((unit or {}).get("files") or None),
            }
        )

    def _files(self, unit: dict[str, Any] | None) -> dict[str, str]:
        files: dict[str, Any] = {} if unit is None else unit["files"]
        if self.shape == "files":
            return {"files": _json([{"name": spec, **file} for spec, file in files.items()])}
        parts: dict[str, str] = {}
        manifest = self.box.settings.files_shape == "manifest"
        if unit is not None and manifest:
            unit = {key: value for key, value in unit.items() if key != "files"}
        shown: Any = unit if unit is None or self.unit_shown else unit["id"]
        parts["data_unit"] = _json(shown)
        if manifest:
            parts["files_manifest"] = _json(files or None)
        elif self.target.name == "assignment":
            first: dict[str, Any] = next(iter(files.values()), {})
            parts["file"] = _json(next((file for file in files.values() if file.get("is_primary")), first))
        elif self.target is GROUND_TRUTH:
            parts["files"] = _json(files)
        return parts


_FILES = ("data_unit", "file", "files", "files_manifest")


def _joined(parts: dict[str, str]) -> str:
    return "{" + ", ".join(f'"{key}": {value}' for key, value in parts.items()) + "}"


# One for all: `json.dumps` with an option makes an encoder for every value.
_json = json.JSONEncoder(ensure_ascii=False).encode


async def one(box: Box, request: Request, target: str) -> Response:
    """One record, its data whole."""
    texts = Rows(box, request, TARGETS[target]).texts([number_in_path(request)])
    if not texts:
        raise not_found(TARGETS[target].label)
    return Response(texts[0], media_type="application/json")
