"""Records as a plugin's own code gets them: what the SDK hands on, and what its own handlers leave behind."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from synapse_skills.annotations import NeedsPayload, Unreadable, read_row
from synapse_skills.annotations.model import MediaFile, Record
from synapse_skills.job.export.engine import Engine

AT_ONCE = 100


class NoJson(ValueError):
    """What a plugin's own code made of a record is no JSON."""


def items(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every record of an engine that can be read, newest first; what can't be is quarantined by the engine itself."""
    for keys in itertools.batched(engine.index.keys(), AT_ONCE):
        records = [record for key in keys if (record := _read(engine, key)) is not None]
        without = {record.data_unit for record in records if record.data_unit is not None and not record.meta}
        metas = engine.unit_metas(sorted(without)) if without else {}
        for record in records:
            yield _item(record, record.meta or metas.get(record.data_unit or 0, {}))


def _read(engine: Engine, key: int) -> Record | None:
    try:
        return read_row(engine.index.row(key), engine.plan.target)
    except (Unreadable, NeedsPayload):
        return None


def _item(record: Record, meta: dict[str, Any]) -> dict[str, Any]:
    """`data`, `files` and `id` as the SDK has them, and the rest.

    `key` tells records apart: of ground-truth events the id does not. Links are not among it: they end, and are issued
    when the originals are fetched.
    """
    primary = next((file for file in record.files if file.is_primary), record.files[0] if record.files else None)
    return {
        "id": record.id,
        "key": record.key,
        "data": None if record.payload is None else json.loads(record.payload),
        "files": {} if primary is None else _file(primary),
        "task": record.task,
        "tags": list(record.tags),
        "category": record.category if record.category is not None else meta.get("category"),
        "data_unit": {"id": record.data_unit, "meta": meta, "files": {file.spec: _file(file) for file in record.files}},
        "status": record.status,
        "review": record.review,
    }


def _file(file: MediaFile) -> dict[str, Any]:
    return {"file_name_original": file.name, "is_primary": file.is_primary, "checksum": file.checksum}


def changed_row(row: bytes, target: str, data: Any) -> bytes | None:
    """A row with other `data` in place of its own; None if they are the same.

    Raises:
        NoJson: the data is none.
    """
    payload = read_row(row, target).payload
    try:
        after = json.dumps(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise NoJson(f"its data is no JSON: {error}") from None
    if after == json.dumps(None if payload is None else json.loads(payload)):
        return None
    fields = json.loads(row)
    fields["data"] = data
    return json.dumps(fields).encode()
