"""What a data unit is held to before it is created."""

from __future__ import annotations

import functools
import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
from referencing.exceptions import Unresolvable

from synapse_sandbox.box import Box

Errors = dict[str, Any]


@dataclass(frozen=True)
class Checked:
    """A data unit that may be created; each file knows its data file."""

    collection: int
    files: dict[str, dict[str, Any]]
    meta: dict[str, Any] | None
    groups: list[str] | None


def check_unit(box: Box, document: Any, found: dict[int, dict[str, Any] | None]) -> Checked | Errors:
    """Check one data unit of a request.

    Args:
        box: the sandbox.
        document: what the request says of it.
        found: the collections that this request has asked for so far; this one is added.

    Returns:
        What to create, or what is wrong by field.
    """
    if not isinstance(document, dict):
        return {"non_field_errors": ["Invalid data. Expected a dictionary."]}
    number = document.get("data_collection")
    if not isinstance(number, int) or isinstance(number, bool):
        return {"data_collection": ["Incorrect type. Expected pk value."]}
    if number not in found:
        found[number] = box.store.find("collection", number)
    collection = found[number]
    if collection is None:
        return {"data_collection": [f'Invalid pk "{number}" - object does not exist.']}
    errors: dict[str, list[str]] = {}
    files = _files(box, document.get("files"), collection["file_specifications"], errors)
    meta = document.get("meta")
    if meta is not None and not isinstance(meta, dict):
        errors["meta"] = ["Expected an object or null."]
    elif problems := _meta_problems(box, collection, meta):
        errors["meta"] = problems
    groups = document.get("groups")
    if groups is not None and not (isinstance(groups, list) and all(isinstance(name, str) for name in groups)):
        errors["groups"] = ["Expected a list of texts."]
    return errors or Checked(number, files, meta, groups)


def _files(box: Box, given: Any, specs: list[dict[str, Any]], errors: dict[str, list[str]]) -> dict[str, Any]:
    if not isinstance(given, dict):
        errors["files"] = ["This field is required." if given is None else "Expected an object."]
        return {}
    enforces, by_name = box.settings.enforces, {spec["name"]: spec for spec in specs}
    problems, files = [], {}
    if "specs" in enforces:
        problems += [f'"{name}" is not a file specification.' for name in given if name not in by_name]
    if "required" in enforces:
        missing = [name for name, spec in by_name.items() if spec["is_required"] and name not in given]
        problems += [f'"{name}" is required.' for name in missing]
    for name, entry in given.items():
        row, problem = _data_file(box, entry)
        if row is None:
            problems.append(f'"{name}": {problem}')
            continue
        filename = str(entry.get("path") or row["filename"])
        extensions = by_name.get(name, {}).get("extensions")
        if "extension" in enforces and not _allowed(filename, extensions):
            problems.append(f'"{name}": the extension of {filename} is not one of {", ".join(extensions or [])}.')
        files[name] = {"given": entry, "data_file": row["id"]}
    if problems:
        errors["files"] = problems
    return files


def _data_file(box: Box, entry: Any) -> tuple[sqlite3.Row | None, str]:
    if not isinstance(entry, dict):
        return None, "expected an object."
    checksum, path = entry.get("checksum"), entry.get("path")
    if not isinstance(checksum, str):
        return None, "a checksum is required."
    if path is not None and not isinstance(path, str):
        return None, "the path must be a text."
    # Several data files may hold these bytes: the one that was uploaded under this name, else the newest.
    row: sqlite3.Row | None = box.store.db.execute(
        "select id, filename from data_file where sha1 = ? order by filename = ? desc, id desc limit 1",
        (checksum.lower(), (path or "").rpartition("/")[2]),
    ).fetchone()
    if row is None and "checksum" not in box.settings.enforces:
        # An unknown checksum is let through; the row has to show some file, and the newest is as wrong as any.
        row = box.store.db.execute("select id, filename from data_file order by id desc limit 1").fetchone()
    return row, f"no file with the checksum {checksum} has been uploaded."


def _allowed(filename: str, extensions: list[str] | None) -> bool:
    if not extensions:
        return True
    name = filename.lower()
    return any(name.endswith("." + extension.lower().lstrip(".")) for extension in extensions)


def _meta_problems(box: Box, collection: dict[str, Any], meta: dict[str, Any] | None) -> list[str]:
    schema = (collection["meta"] or {}).get("data_unit_meta_schema")
    if schema is None or "meta" not in box.settings.enforces:
        return []
    validator = _validator(json.dumps(schema))
    try:
        errors = sorted(validator.iter_errors(meta or {}), key=lambda error: error.json_path)
    except Unresolvable as error:
        return [f"The collection's schema can't be applied: {error}"]
    return [f"{error.json_path}: {error.message}" for error in errors]


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Validator:
    # The registry holds the meta-schemas and nothing else: no reference makes this server fetch or open anything.
    document = json.loads(schema)
    return validator_for(document)(document, registry=REGISTRY)
