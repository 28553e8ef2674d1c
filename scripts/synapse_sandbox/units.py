"""Routes of data units: checked and created all or none, listed as the switches say.

The same data unit sent twice becomes two: there is no key to know it by, here as on the real backend.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox.box import Box, answer, now, number_in_path, number_in_query, origin, paged, read_json
from synapse_sandbox.errors import ApiError, not_found
from synapse_sandbox.files import media_url
from synapse_sandbox.unit_rules import Checked, check_unit

_COMPARE = {"id": "=", "id__gt": ">", "id__gte": ">=", "id__lt": "<", "id__lte": "<="}
_ORDERS = {"id": "id asc", "-id": "id desc"}


async def create(box: Box, request: Request) -> Response:
    """Create one data unit (an object: an object comes back) or several (a list), all of them or none."""
    body = await read_json(request)
    documents = body if isinstance(body, list) else [body]
    if (rule := box.rule(request, "too-large")) and len(documents) > rule.units:
        raise ApiError(413, "Request Entity Too Large")
    found = dict[int, dict[str, Any] | None]()
    results = [check_unit(box, document, found) for document in documents]
    if (rule := box.rule(request, "choke")) and any(rule.contains in _text(document) for document in documents):
        raise ApiError(500, "Server Error")
    if rule := box.rule(request, "poison"):
        for at, document in enumerate(documents):
            if rule.contains in _text(document):
                results[at] = {"non_field_errors": ["This data unit can't be created."]}
    if any(isinstance(result, dict) for result in results):
        raise ApiError(400, _refusal(box, results, isinstance(body, list)))
    with box.store.transaction() as db:
        made = [_insert(db, unit) for unit in results if isinstance(unit, Checked)]
    rows = rows_by_id(box, made, origin(request))
    if isinstance(body, dict):
        return answer(rows[0], 201)
    if box.settings.create_answer == "results":
        return answer({"count": len(rows), "next": None, "previous": None, "results": rows}, 201)
    return answer(rows, 201)


def _text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)


def _insert(db: sqlite3.Connection, unit: Checked) -> int:
    cursor = db.execute(
        "insert into data_unit (collection, files, meta, groups, created) values (?, ?, ?, ?, ?)",
        (
            unit.collection,
            json.dumps(unit.files, ensure_ascii=False),
            json.dumps(unit.meta, ensure_ascii=False),
            json.dumps(unit.groups, ensure_ascii=False),
            now(),
        ),
    )
    return int(cursor.lastrowid or 0)


def _refusal(box: Box, results: Sequence[Checked | dict[str, Any]], as_list: bool) -> Any:
    errors = [result if isinstance(result, dict) else {} for result in results]
    if box.settings.error_shape == "dicts":
        return errors if as_list else errors[0]
    return [
        f"{f'Data unit {at}: ' if as_list else ''}{field}: {problem}"
        for at, error in enumerate(errors, 1)
        for field, problems in error.items()
        for problem in problems
    ]


async def listed(box: Box, request: Request) -> Response:
    """Data units, one page; parameters that are unknown, or not honoured, are ignored."""
    where, values = conditions(request, box.settings.honours)
    order = "id asc"
    if "ordering" in box.settings.honours:
        order = _ORDERS.get(request.query_params.get("ordering", ""), order)
    count = box.store.db.execute(f"select count(*) from data_unit where {where}", values).fetchone()[0]  # noqa: S608
    base = origin(request)

    def fetch(limit: int, offset: int) -> list[dict[str, Any]]:
        # Fixed texts only: the values travel as parameters.
        query = f"select * from data_unit where {where} order by {order} limit ? offset ?"  # noqa: S608
        return rows(box, box.store.db.execute(query, [*values, limit, offset]).fetchall(), base)

    return paged(request, box.settings, count, fetch)


def conditions(request: Request, honours: Iterable[str]) -> tuple[str, list[Any]]:
    """The parameters as SQL with its values."""
    clauses, values = ["1"], list[Any]()
    if "data_collection" in honours and (wanted := number_in_query(request, "data_collection")) is not None:
        clauses.append("collection = ?")
        values.append(wanted)
    if "id" in honours:
        for key, compare in _COMPARE.items():
            if (wanted := number_in_query(request, key)) is not None:
                clauses.append(f"id {compare} ?")
                values.append(wanted)
    if "ids" in honours and (listed := request.query_params.get("ids")):
        if not all(part.strip().isdecimal() for part in listed.split(",")):
            raise ApiError(400, {"ids": ["Enter numbers, with commas between them."]})
        clauses.append("id in (select value from json_each(?))")
        values.append(json.dumps([int(part) for part in listed.split(",")]))
    if "search" in honours and (text := request.query_params.get("search")):
        clauses.append("(instr(lower(meta), lower(?)) or instr(lower(files), lower(?)))")
        values += [text, text]
    return " and ".join(clauses), values


async def one(box: Box, request: Request) -> Response:
    """One data unit."""
    found = rows_by_id(box, [number_in_path(request)], origin(request))
    if not found:
        raise not_found("DataUnit")
    return answer(found[0])


def rows_by_id(box: Box, ids: Iterable[int], base: str, *, expired: bool = False) -> list[dict[str, Any]]:
    """The rows of these ids that exist, in this order; `expired`: with links that have ended."""
    wanted = list(ids)
    query = "select u.* from json_each(?) k join data_unit u on u.id = k.value"
    found = {row["id"]: row for row in box.store.db.execute(query, (json.dumps(wanted),))}
    return rows(box, [found[number] for number in wanted if number in found], base, expired=expired)


def rows(box: Box, found: Iterable[sqlite3.Row], base: str, *, expired: bool = False) -> list[dict[str, Any]]:
    """Data units as the backend shows them, with what `echo` lets through."""
    echo = box.settings.echo
    specs: dict[int, dict[str, dict[str, Any]]] = {}
    found = list(found)
    entries = [json.loads(row["files"]) for row in found]
    numbers = [entry["data_file"] for files in entries for entry in files.values()]
    query = "select id, key, filename from data_file where id in (select value from json_each(?))"
    stored = {row["id"]: row for row in box.store.db.execute(query, (json.dumps(numbers),))}
    shown = []
    for row, files in zip(found, entries, strict=True):
        if row["collection"] not in specs:
            collection = box.store.find("collection", row["collection"]) or {"file_specifications": []}
            specs[row["collection"]] = {spec["name"]: spec for spec in collection["file_specifications"]}
        unit: dict[str, Any] = {"id": row["id"], "data_collection": row["collection"], "created": row["created"]}
        unit["files"] = {
            name: _file(
                box, entry, stored[entry["data_file"]], specs[row["collection"]].get(name, {}), base, expired=expired
            )
            for name, entry in files.items()
        }
        if "meta" in echo:
            unit["meta"] = json.loads(row["meta"])
        if "groups" in echo:
            unit["groups"] = json.loads(row["groups"])
        shown.append(unit)
    return shown


def _file(
    box: Box, entry: dict[str, Any], row: sqlite3.Row, spec: dict[str, Any], base: str, *, expired: bool
) -> dict[str, Any]:
    shown = {
        "id": entry["data_file"],
        "url": media_url(box, base, row["key"], row["filename"], expired=expired),
        "file_name_original": row["filename"],
        "file_type": spec.get("file_type"),
        "is_primary": bool(spec.get("is_primary")),
    }
    given = {key: entry["given"].get(key) for key in ("checksum", "path") if key in box.settings.echo}
    # What a seed says of a file is shown as it says it, whatever the specification and the bytes are.
    return {**shown, **given, **entry.get("shown", {})}
