"""The route that makes tasks for data units of a project; `records` lists them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox.box import Box, answer, read_object
from synapse_sandbox.errors import ApiError


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
        planter = box.store.planter(db)
        made = [planter.task({"project": project, "data_unit": entry["data_unit"]}) for entry in data]
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
