"""Routes of tasks: created for data units of a project, listed for an export or a look-up."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox.box import Box, answer, now, number_in_query, origin, paged, read_object
from synapse_sandbox.errors import ApiError
from synapse_sandbox.units import rows_by_id

_FILTERS = {
    "project": "project = ?",
    "data_unit": "data_unit = ?",
    "id": "id = ?",
    "id__gt": "id > ?",
    "id__gte": "id >= ?",
    "id__lt": "id < ?",
    "id__lte": "id <= ?",
}


async def create(box: Box, request: Request) -> Response:
    """Create a task for each data unit named, all or none. Naming one twice makes two."""
    body = await read_object(request)
    project, data = body.get("project"), body.get("data")
    if not isinstance(project, int) or box.store.find("project", project) is None:
        raise ApiError(400, {"project": [f'Invalid pk "{project}" - object does not exist.']})
    if not isinstance(data, list):
        raise ApiError(400, {"data": ["Expected a list of objects."]})
    errors = [_problem(box, entry) for entry in data]
    if any(errors):
        raise ApiError(400, {"data": errors})
    with box.store.transaction() as db:
        made = [
            db.execute(
                "insert into task (project, data_unit, created) values (?, ?, ?)", (project, entry["data_unit"], now())
            ).lastrowid
            for entry in data
        ]
    rows = [
        {"id": number, "project": project, "data_unit": entry["data_unit"]}
        for number, entry in zip(made, data, strict=True)
    ]
    return answer(rows if box.settings.tasks_answer == "list" else {"results": rows}, 201)


def _problem(box: Box, entry: Any) -> dict[str, Any]:
    number = entry.get("data_unit") if isinstance(entry, dict) else None
    if not isinstance(number, int) or isinstance(number, bool):
        return {"data_unit": ["This field is required."]}
    if box.store.db.execute("select 1 from data_unit where id = ?", (number,)).fetchone() is None:
        return {"data_unit": [f'Invalid pk "{number}" - object does not exist.']}
    return {}


async def listed(box: Box, request: Request) -> Response:
    """Tasks with their data units, one page."""
    clauses, values = ["1"], []
    for key, clause in _FILTERS.items():
        if (wanted := number_in_query(request, key)) is not None:
            clauses.append(clause)
            values.append(wanted)
    where = " and ".join(clauses)
    order = "desc" if request.query_params.get("ordering") == "-id" else "asc"
    count = box.store.db.execute(f"select count(*) from task where {where}", values).fetchone()[0]  # noqa: S608
    base = origin(request)

    def fetch(limit: int, offset: int) -> list[dict[str, Any]]:
        # Fixed texts only: the values travel as parameters.
        query = f"select * from task where {where} order by id {order} limit ? offset ?"  # noqa: S608
        found = box.store.db.execute(query, [*values, limit, offset]).fetchall()
        units = {unit["id"]: unit for unit in rows_by_id(box, {row["data_unit"] for row in found}, base)}
        return [
            {"id": row["id"], "project": row["project"], "data": None, "data_unit": units[row["data_unit"]]}
            for row in found
        ]

    return paged(request, box.settings, count, fetch)
