"""Collections with metadata schemas, and tables for the conversations about them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from planning.conversation import IMAGE, User, collection, spec

PLAIN, PATIENTS, KOREAN, NAMES, MANY, SHEETS, MEDICAL, BROKEN = 70, 71, 72, 73, 74, 75, 76, 77

PATIENT_SCHEMA = {
    "type": "object",
    "required": ["age", "sex"],
    "additionalProperties": False,
    "properties": {
        "age": {"type": "integer", "minimum": 0, "title": "나이"},
        "sex": {"enum": ["M", "F"]},
        "scanned": {"type": "string", "format": "date"},
        "name": {"type": "string"},
    },
}
KOREAN_SCHEMA = {
    "type": "object",
    "required": ["diagnosis", "years"],
    "properties": {
        "diagnosis": {"type": "string", "description": "진단명"},
        "years": {"type": "integer", "description": "age of the patient"},
    },
}
NAMES_SCHEMA = {
    "type": "object",
    "required": ["site"],
    "properties": {"site": {"type": "string"}, "taken": {"type": "string", "format": "date"}},
}
MANY_SCHEMA = {
    "type": "object",
    "required": ["a", "b", "c"],
    "properties": {name: {"type": "string"} for name in "abc"},
}


MEDICAL_SCHEMA = {
    "type": "object",
    "required": ["diagnosis", "modality", "width"],
    "additionalProperties": False,
    "properties": {
        "patient_id": {"type": "string"},
        "diagnosis": {"type": "string", "title": "진단"},
        "sex": {"enum": ["M", "F"], "title": "성별"},
        "age": {"type": "integer", "title": "나이"},
        "scanned": {"type": "string", "format": "date", "title": "검사일"},
        "modality": {"enum": ["CT", "MR", "US", "NM"]},
        "width": {"type": "integer", "title": "가로"},
        "height": {"type": "integer", "title": "세로"},
        "kilobytes": {"type": "number", "description": "용량(KB)"},
        "hospital": {"type": "string", "title": "병원"},
        "note": {"type": "string", "title": "비고"},
        "male": {"type": "boolean", "title": "남성여부"},
    },
}


def image_only(identity: int, name: str, schema: Any = None) -> dict[str, Any]:
    return collection(identity, name, spec("image_1", [".png"], **IMAGE), schema=schema)


COLLECTIONS = [
    image_only(PLAIN, "Pictures"),
    image_only(PATIENTS, "Patients", PATIENT_SCHEMA),
    image_only(KOREAN, "Korean", KOREAN_SCHEMA),
    image_only(NAMES, "Sites in names", NAMES_SCHEMA),
    image_only(MANY, "Three fields", MANY_SCHEMA),
    image_only(BROKEN, "Broken schema", {"$ref": "https://example.com/schema.json"}),
    collection(SHEETS, "Takes CSV", spec("image_1", [".png"], **IMAGE), spec("table_1", ["csv"], kind="data")),
    collection(
        MEDICAL,
        "Medical",
        spec("image_1", [".png"], **IMAGE),
        spec("label_1", [".json"], required=True),
        spec("scan_1", [".dcm"]),
        schema=MEDICAL_SCHEMA,
    ),
]


def table(path: Path, rows: Sequence[Sequence[Any]]) -> Path:
    """A CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def frozen(user: User, job: str = "scans") -> dict[str, dict[str, Any]]:
    """The frozen rows, by data unit."""
    lines = (user.home(job) / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["unit"]: row["meta"] for row in map(json.loads, lines)}
