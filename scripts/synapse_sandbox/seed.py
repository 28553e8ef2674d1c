"""What the sandbox holds at first: tenant, collections, storages, projects, agents, settings, and labelled work.

`data_units`, `tasks`, `assignments` and `ground_truths` are rows as `synapse_sandbox.labels` describes them; a file of
a data unit may name a `local_path` below `files_root`.

Without a seed: one default storage that can presign, one agent, and an empty collection 1, "Examples", that takes a
picture and optionally a JSON label, so that the sandbox can be tried at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from synapse_sandbox.errors import BadInput
from synapse_sandbox.settings import Settings

RECORDS = ("data_units", "tasks", "assignments", "ground_truths")
KEYS = ("tenant", "collections", "storages", "projects", "agents", "settings", "files_root", *RECORDS)
PRESIGNING = frozenset({"amazon_s3", "s3", "minio", "gcp", "gcs", "azure"})

DEFAULT_SEED: dict[str, Any] = {
    "collections": [
        {
            "id": 1,
            "name": "Examples",
            "meta": None,
            "file_specifications": [
                {
                    "id": 101,
                    "name": "image_1",
                    "file_type": "image",
                    "extensions": [".png", ".jpg", ".jpeg"],
                    "is_required": True,
                    "is_primary": True,
                },
                {"id": 102, "name": "label_1", "file_type": "data", "extensions": [".json"], "is_required": False},
            ],
        }
    ],
    "agents": [{"id": 1, "name": "Sandbox agent"}],
}


@dataclass(frozen=True)
class Seed:
    """A checked seed: every row has an id and a name, every specification a shape that the routes rely on."""

    tenant: str
    collections: tuple[dict[str, Any], ...]
    storages: tuple[dict[str, Any], ...]
    projects: tuple[dict[str, Any], ...]
    agents: tuple[dict[str, Any], ...]
    settings: dict[str, Any]
    records: dict[str, list[Any]]
    files_root: str

    def digest(self) -> str:
        """What tells this seed from another: the same digest means that there is nothing to apply."""
        text = json.dumps(self.__dict__, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def read_seed(path: Path | None) -> Seed:
    """Read and check a seed file; the built-in seed if there is none.

    Raises:
        BadInput: unreadable, not JSON, or a row that can't be used; the message names it.
    """
    return parse_seed(DEFAULT_SEED if path is None else read_json(path, "seed"))


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file that a user names.

    Raises:
        BadInput: unreadable or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"the {what} file {path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(f"the {what} file {path} is not JSON: {error}") from None


def parse_seed(document: Any) -> Seed:
    """Check a seed document.

    Raises:
        BadInput: the message names the place.
    """
    if not isinstance(document, dict):
        raise BadInput("the seed must be an object", hint=f"Keys: {', '.join(KEYS)}.")
    for key in document:
        if key not in KEYS:
            raise BadInput(f"seed.{key}: no such key", hint=f"Keys: {', '.join(KEYS)}.")
    tenant = document.get("tenant", "sandbox")
    if not isinstance(tenant, str) or not tenant:
        raise BadInput("seed.tenant must be the tenant's code, a text")
    Settings().changed(document.get("settings", {}), "seed.settings")
    root = document.get("files_root", "")
    if not isinstance(root, str) or (root and not Path(root).is_dir()):
        raise BadInput("seed.files_root must be a folder", hint="It is where each local_path of a file begins.")
    for key in RECORDS:
        if not isinstance(document.get(key, []), list):
            raise BadInput(f"seed.{key} must be a list")
    return Seed(
        tenant=tenant,
        collections=tuple(_collection(row, where) for row, where in _rows(document, "collections")),
        storages=_storages(document),
        projects=tuple(_project(row) for row, _ in _rows(document, "projects")),
        agents=tuple({"status": "connected", **row} for row, _ in _rows(document, "agents")),
        settings=document.get("settings", {}),
        records={key: document.get(key, []) for key in RECORDS},
        files_root=root,
    )


def _rows(document: dict[str, Any], key: str) -> Iterator[tuple[dict[str, Any], str]]:
    rows = document.get(key) or []
    if not isinstance(rows, list):
        raise BadInput(f"seed.{key} must be a list")
    seen: set[int] = set()
    for index, row in enumerate(rows):
        where = f"seed.{key}[{index}]"
        if not isinstance(row, dict):
            raise BadInput(f"{where} must be an object")
        number = row.get("id")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise BadInput(f"{where}.id must be a whole number from 1")
        if number in seen:
            raise BadInput(f"{where}.id: {number} is there twice")
        seen.add(number)
        name = row.get("name", row.get("title"))
        if not isinstance(name, str) or not name:
            raise BadInput(f"{where}.name must be a text")
        yield {"name": name, **row}, where


def _project(row: dict[str, Any]) -> dict[str, Any]:
    # The real one calls its name `title`; both are sent, so that either reader finds it.
    return {"title": row["name"], "configuration": {}, **row}


def _storages(document: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    if "storages" not in document:
        document = {
            "storages": [{"id": 1, "name": "Default storage", "provider": "amazon_s3", "is_default": True}],
        }
    rows = []
    for row, where in _rows(document, "storages"):
        storage = {"category": "internal", "provider": "amazon_s3", "configuration": {}, "is_default": False, **row}
        if storage["category"] not in ("internal", "external"):
            raise BadInput(f"{where}.category: internal or external; got {storage['category']!r}")
        if not isinstance(storage["provider"], str) or not isinstance(storage["configuration"], dict):
            raise BadInput(f"{where}: provider is a text and configuration an object")
        if not isinstance(storage.get("credential", {}), dict):
            raise BadInput(f"{where}.credential must be an object: what only a session adds to the configuration")
        rows.append(storage)
    return tuple(rows)


def _collection(row: dict[str, Any], where: str) -> dict[str, Any]:
    meta = row.get("meta")
    if meta is not None and not isinstance(meta, dict):
        raise BadInput(f"{where}.meta must be an object or null")
    schema = (meta or {}).get("data_unit_meta_schema")
    if schema is not None:
        check_schema(schema, f"{where}.meta.data_unit_meta_schema")
    specs = row.get("file_specifications", [])
    if not isinstance(specs, list):
        raise BadInput(f"{where}.file_specifications must be a list")
    names = [spec.get("name") if isinstance(spec, dict) else None for spec in specs]
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) != len(names):
        raise BadInput(f"{where}.file_specifications: every one needs a name of its own; got {names!r}")
    full = [_spec(spec, f"{where}.file_specifications[{at}]", row["id"] * 100 + at) for at, spec in enumerate(specs, 1)]
    return {**row, "meta": meta, "file_specifications": full}


def _spec(spec: dict[str, Any], where: str, number: int) -> dict[str, Any]:
    extensions = spec.get("extensions")
    if extensions is not None and not (
        isinstance(extensions, list) and all(isinstance(extension, str) for extension in extensions)
    ):
        raise BadInput(f"{where}.extensions must be a list of texts")
    return {"id": number, "file_type": "data", "is_required": False, "is_primary": False, **spec}


def check_schema(schema: Any, where: str) -> None:
    """Refuse a meta schema that is not a JSON Schema.

    Raises:
        BadInput: with what is wrong in it.
    """
    if not isinstance(schema, dict):
        raise BadInput(f"{where} must be an object")
    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise BadInput(f"{where} is not a JSON Schema: {error.message}") from None
