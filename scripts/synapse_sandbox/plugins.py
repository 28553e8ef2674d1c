"""Routes of plugins: publishing one, running one, and what becomes of its job. Held in memory: a restart forgets them.

Nothing is executed: a job stays where it is until `POST /_sandbox/jobs` with `{"id", "status", "result",
"progress_record", "logs": [lines]}` plays the worker. A plugin is known once it was published, or by `POST
/_sandbox/plugins` with `{"code", "version"}`.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox.box import Box, answer, now, page_of, read_object
from synapse_sandbox.errors import ApiError, not_found

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_STATES = ("PENDING", "RUNNING", *ENDED)


async def release(box: Box, request: Request) -> Response:
    """A release of a plugin, with its archive."""
    form = await request.form()
    code, version = str(form.get("plugin") or ""), str(form.get("version") or "")
    if not code or not version or form.get("file") is None:
        raise ApiError(400, "A release has a plugin, a version and a file.")
    if version in box.plugins.get(code, []):
        raise ApiError(400, f"{code} {version} is there already.")
    box.plugins.setdefault(code, []).append(version)
    number = sum(map(len, box.plugins.values()))
    return answer({"id": number, "plugin": code, "version": version}, 201)


async def install(box: Box, request: Request) -> Response:
    """Make a plugin known without an archive."""
    row = await read_object(request)
    box.plugins.setdefault(str(row["code"]), []).append(str(row.get("version", "0.1.0")))
    return answer({"count": 1}, 201)


async def run(box: Box, request: Request) -> Response:
    """Begin a job."""
    code = request.path_params["code"]
    body = await read_object(request)
    if code not in box.plugins:
        raise not_found("Plugin")
    number = body.get("agent")
    if not isinstance(number, int) or box.store.find("agent", number) is None:
        raise ApiError(400, "There is no such agent.")
    if not isinstance(body.get("action"), str) or not isinstance(body.get("params", {}), dict):
        raise ApiError(400, "An action and its params are expected.")
    identity = str(uuid4())
    box.jobs[identity] = {
        "id": identity,
        "status": "PENDING",
        "action": body["action"],
        "params": body.get("params", {}),
        "agent": body["agent"],
        "plugin_release": {"plugin": code, "version": box.plugins[code][-1]},
        "progress_record": {},
        "metrics_record": {},
        "result": None,
        "created": now(),
        "completed": None,
        "logs": [],
    }
    return answer(_shown(box.jobs[identity]), 201)


async def jobs(box: Box, request: Request) -> Response:
    """All jobs, the newest first."""
    rows = [_shown(job) for job in reversed(box.jobs.values())]
    page = page_of(request, box.settings, len(rows))
    some = rows[page.offset : page.offset + page.size]
    return answer({"count": len(rows), "next": page.next, "previous": page.previous, "results": some})


async def job(box: Box, request: Request) -> Response:
    """One job."""
    return answer(_shown(_found(box, request)))


async def logs(box: Box, request: Request) -> Response:
    """What a job has said so far."""
    return answer(_found(box, request)["logs"])


async def tail(box: Box, request: Request) -> Response:
    """The same as a stream of events."""
    events = [{"type": "connected"}]
    events += [
        {"type": "log", "data": f"data: {json.dumps({'type': 'log', 'message': line + chr(10)})}\n"}
        for line in _found(box, request)["logs"]
    ]
    events.append({"type": "complete"})
    lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return Response(lines, media_type="text/event-stream")


async def stop(box: Box, request: Request) -> Response:
    """Stop a job, by the second API."""
    found = _found(box, request)
    if found["status"] in ENDED:
        raise ApiError(400, f"The job is {found['status']}.")
    found |= {"status": "STOPPED", "completed": now()}
    return answer({"data": _shown(found), "meta": {"request_id": str(uuid4())}})


async def play(box: Box, request: Request) -> Response:
    """Do what the worker of a job does."""
    row = await read_object(request)
    found = box.jobs.get(str(row.pop("id", "")))
    if found is None or row.get("status", "RUNNING") not in _STATES:
        raise ApiError(400, "The id of a job, and a state that there is, are expected.")
    found["logs"] += row.pop("logs", [])
    found |= row
    if found["status"] in ENDED:
        found["completed"] = now()
    return answer(_shown(found))


def _found(box: Box, request: Request) -> dict[str, Any]:
    found = box.jobs.get(request.path_params["job"])
    if found is None:
        raise not_found("Job")
    return found


def _shown(job: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if key != "logs"}
