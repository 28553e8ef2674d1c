"""Routes of the sandbox itself, for tests: what it holds, what it counted, and what should go wrong next."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox.box import Box, Stats, answer, number_in_query, read_json
from synapse_sandbox.errors import ApiError, BadInput
from synapse_sandbox.faults import parse_faults


async def stats(box: Box, request: Request) -> Response:
    """Requests and answers of every route; DELETE begins to count anew."""
    if request.method == "DELETE":
        box.stats = Stats()
    return answer(box.stats.as_dict())


async def faults(box: Box, request: Request) -> Response:
    """The rules in force with their counts; POST puts others in their place."""
    if request.method == "POST":
        try:
            box.faults = parse_faults(await read_json(request), box.names)
        except BadInput as error:
            raise ApiError(400, f"{error} {error.hint}".strip()) from None
    return answer(box.faults.as_dict())


async def settings(box: Box, request: Request) -> Response:
    """The switches; POST changes those that it names, and they stay changed."""
    if request.method == "POST":
        try:
            box.store.change_settings(box.settings.changed(await read_json(request)))
        except BadInput as error:
            raise ApiError(400, f"{error} {error.hint}".strip()) from None
    return answer(box.settings.as_dict())


async def units(box: Box, request: Request) -> Response:
    """Every data unit, or those of one collection, as they were sent, whatever `echo` says."""
    wanted = number_in_query(request, "data_collection")
    query = "select * from data_unit where ?1 is null or collection = ?1 order by id"
    return answer(
        [
            {
                "id": row["id"],
                "data_collection": row["collection"],
                "files": {
                    name: {**entry["given"], "data_file": entry["data_file"]}
                    for name, entry in json.loads(row["files"]).items()
                },
                "meta": json.loads(row["meta"]),
                "groups": json.loads(row["groups"]),
                "created": row["created"],
            }
            for row in box.store.db.execute(query, (wanted,))
        ]
    )


async def tasks(box: Box, request: Request) -> Response:
    """Every task, or those of one project."""
    wanted = number_in_query(request, "project")
    query = """
        select id, project, data_unit, json_extract(facts, '$.created') created from task
        where ?1 is null or project = ?1 order by id
    """
    return answer([dict(row) for row in box.store.db.execute(query, (wanted,))])


async def files(box: Box, request: Request) -> Response:
    """Every data file, and how many objects were promised a link, arrived, and were confirmed."""
    rows = box.store.db.execute("select id, filename, content_type, size, sha1, md5, key from data_file order by id")
    counts = box.store.db.execute(
        "select count(*) presigned, count(size) arrived, count(data_file) confirmed from object where parts is null"
    ).fetchone()
    return answer({"data_files": [dict(row) for row in rows], "objects": dict(counts)})
