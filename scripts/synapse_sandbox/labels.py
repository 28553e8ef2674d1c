"""Routes that play the people who label: what becomes of tasks, and what an export finds.

All take the token, answer JSON, and do all or nothing. The same rows stand in a seed under `data_units`, `tasks`,
`assignments` and `ground_truths`.

`POST /_sandbox/label`: a row, a list of rows, or `{"records": [rows]}` → `{"count", "assignments": [{id, task,
data_unit}]}`. Each row makes an assignment (or replaces the one with its `id`) and puts its data on the task:

- whose: `task` (id), or `data_unit` (id: its task in the project, made if there is none), or `data_unit` as an object
  `{id?, data_collection?, meta, groups, files: {spec: {file_name_original, is_primary, ...}}}`, which is put in too;
  `project` where there are several. Bytes of a file: `content`, `content_base64`, `local_path` (below the seed's
  `files_root`), `missing: true` (a link to nothing); without any a grey picture of `meta.width` × `meta.height`;
- what: `data` (any JSON), or `data_text` (the very text: NaN, odd spacing, a key twice); `task_data`: the task's;
- how: `status_label` (done), `status_review`, `is_confirmed`, `is_discarded`, `is_discard_confirmed`, `tags` (names, or
  `{id, name}`), `labeler`, `reviewer` (an id, a name, or `{id, ...}`), `workshop`, `stages`, `groups`, `created`,
  `label_submitted`, `last_labeled`, `last_reviewed`, ...; any other key is shown as it is; `file: {}` for a record
  without one; `omit: [keys]` leaves keys out of the row.

`POST /_sandbox/edit`: one or a list of `{"target": assignment|task|ground_truth, "id" (ground_truth: pgh_id), ...}`:
changes what it names, `data` or `data_text` or any fact, and moves `updated` and `last_labeled` on; `"delete": true`.

`POST /_sandbox/ground_truth`: `{"name", "project", "version", "category", "records": [...]}`: a dataset with a version;
`dataset` (id) adds a version to one that is there, `version_id` adds to (or names) a version. A record is
`{"assignment" | "data_unit", "category", "data" | "data_text", "id", "pgh_id"}`; instead of `records`,
`"from_project": id` takes every assignment of a project. A seed's `ground_truths` may have `versions: [{"id",
"version", "records"}]`. → `{"dataset", "version", "versions": [{id, events, pgh_ids}]}`

`POST /_sandbox/fill`: `{"project", "records", "boxes", "data_collection", "classes", "ground_truth": false}`: that many
records made up, with a task and a data unit each, fast enough for a hundred thousand. → `{"count", "first", "version"}`

`GET /_sandbox/records?target=assignment&project=ID` (or `version=ID`): everything that is held, data parsed, no links.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from synapse_sandbox.box import Box, answer, now, number_in_query, read_json, read_object
from synapse_sandbox.errors import ApiError, BadInput
from synapse_sandbox.facts import facts_of
from synapse_sandbox.filters import GROUND_TRUTH, TARGETS, Target
from synapse_sandbox.plant import Planter


def _rows_of(body: Any) -> list[dict[str, Any]]:
    rows = body.get("records", [body]) if isinstance(body, dict) else body
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ApiError(400, "An object, a list of objects, or an object with records is expected.")
    return rows


def _refused(error: BadInput, at: int | None = None) -> ApiError:
    return ApiError(400, f"{'' if at is None else f'records[{at}]: '}{error} {error.hint}".strip())


async def label(box: Box, request: Request) -> Response:
    """Make assignments."""
    rows, made = _rows_of(await read_json(request)), []
    with box.store.transaction() as db:
        planter = box.store.planter(db)
        for at, row in enumerate(rows):
            try:
                made.append(planter.assignment(row))
            except BadInput as error:
                raise _refused(error, at) from None
    return answer({"count": len(made), "assignments": made}, 201)


async def ground_truth(box: Box, request: Request) -> Response:
    """Make a dataset's version."""
    row = await read_object(request)
    with box.store.transaction() as db:
        if (project := row.get("from_project")) is not None:
            found = db.execute("select id from assignment where project = ? order by id", (project,))
            row = {"project": project, **row, "records": [{"assignment": one["id"]} for one in found]}
        try:
            made = box.store.planter(db).ground_truth({key: row[key] for key in row if key != "from_project"})
        except BadInput as error:
            raise _refused(error) from None
    return answer(made, 201)


async def edit(box: Box, request: Request) -> Response:
    """Change records, or take them away."""
    rows = _rows_of(await read_json(request))
    with box.store.transaction() as db:
        planter = box.store.planter(db)
        for at, row in enumerate(rows):
            target = TARGETS.get(str(row.get("target", "assignment")))
            if target is None:
                raise ApiError(400, f"records[{at}].target: one of {', '.join(TARGETS)}")
            try:
                _edit(planter, target, row)
            except BadInput as error:
                raise _refused(error, at) from None
    return answer({"count": len(rows)})


def _edit(planter: Planter, target: Target, row: dict[str, Any]) -> None:
    number = row.get("pgh_id", row.get("id")) if target is GROUND_TRUTH else row.get("id")
    # The names of tables and keys are fixed texts.
    found = planter.db.execute(f"select * from {target.table} where {target.key} = ?", (number,)).fetchone()  # noqa: S608
    if found is None:
        raise BadInput(f"there is no {target.label} {number}")
    if row.get("delete"):
        planter.db.execute(f"delete from {target.table} where {target.key} = ?", (number,))  # noqa: S608
        return
    payload = planter.payload(row) if "data" in row or "data_text" in row else found["payload"]
    old = json.loads(found["facts"])
    moved = {"updated": now(), **({} if target is not TARGETS["assignment"] else {"last_labeled": now()})}
    facts = facts_of({**old, **moved, **row}, {})
    omit = json.dumps(row["omit"]) if "omit" in row else found["omit"]
    query = f"update {target.table} set facts = ?, payload = ?, omit = ? where {target.key} = ?"  # noqa: S608
    planter.db.execute(query, (json.dumps(facts, ensure_ascii=False), payload, omit, number))


async def records(box: Box, request: Request) -> Response:
    """All records of a target, or those of one project or version, as they are held."""
    target = TARGETS.get(request.query_params.get("target", "assignment"))
    if target is None:
        raise ApiError(400, {"target": [f"One of {', '.join(TARGETS)}."]})
    scope = "version" if target is GROUND_TRUTH else "project"
    wanted = number_in_query(request, scope)
    query = f"""
        select r.*, p.body from {target.table} r left join payload p on p.id = r.payload
        where ?1 is null or r.{scope} = ?1 order by r.{target.key}
    """  # noqa: S608
    shown = []
    for row in box.store.db.execute(query, (wanted,)):
        plain = {key: row[key] for key in row.keys() if key not in ("facts", "payload", "omit", "body")}  # noqa: SIM118
        shown.append({**plain, **json.loads(row["facts"]), "data": _parsed(row["body"])})
    return answer(shown)


def _parsed(body: str | None) -> Any:
    if body is None:
        return None
    try:
        document = json.loads(body)
        json.dumps(document, allow_nan=False)
    except (ValueError, RecursionError):
        # A text that an answer can't hold as JSON is shown as the text it is.
        return body
    return document


async def fill(box: Box, request: Request) -> Response:
    """Make many records up."""
    wanted = await read_object(request)
    try:
        count, boxes = int(wanted.get("records", 1000)), int(wanted.get("boxes", 10))
        project, collection = int(wanted["project"]), int(wanted.get("data_collection", 1))
    except (KeyError, TypeError, ValueError):
        raise ApiError(400, "project, records, boxes and data_collection must be whole numbers") from None
    classes = wanted.get("classes", ["car", "person", "sign"])
    with box.store.transaction() as db:
        first = box.store.planter(db).fill(project, collection, count, boxes, classes)
        made: dict[str, Any] = {"count": count, "first": first}
        if wanted.get("ground_truth"):
            rows = [{"assignment": number} for number in range(first, first + count)]
            made |= {"version": box.store.planter(db).ground_truth({"project": project, "records": rows})["version"]}
    return answer(made, 201)
