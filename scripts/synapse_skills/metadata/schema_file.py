"""A meta schema from a file or from a collection, for the scripts that check metadata by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synapse_skills.errors import UsageError, printable
from synapse_skills.metadata import limits


def schema_from(file: Path | None, collection: int | None) -> dict[str, Any] | bool | None:
    """The schema that a file or a collection gives; None if neither is named, or the collection has none.

    Raises:
        UsageError: `no-schema`: the file can't be read or is no JSON object.
        FindingError: there is no such collection.
        OutOfReach: no login, or the backend is away.
    """
    if file is not None:
        return _read(file)
    if collection is None:
        return None
    from synapse_skills.backend import Backend

    with Backend() as backend:
        return backend.collection(collection).meta_schema


def _read(file: Path) -> dict[str, Any] | bool:
    try:
        with file.open("rb") as stream:
            schema = json.loads(stream.read(limits.MAX_PART_BYTES).decode("utf-8-sig"))
    except OSError as error:
        why = error.strerror or str(error)
    except (ValueError, RecursionError) as error:
        why = str(error)
    else:
        if isinstance(schema, dict | bool):
            return schema
        why = "a schema is a JSON object"
    raise UsageError(
        f"The schema {printable(str(file))} can't be read: {printable(why)}",
        hint="Name a file that holds the data_unit_meta_schema as JSON, or the collection with --collection ID.",
        code="no-schema",
    )
