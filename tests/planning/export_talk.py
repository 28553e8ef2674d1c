"""A scripted user who exports: a seed with labelled work, and conversations in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from planning.conversation import check_document
from synapse_skills.planning import Document, Request, plan_export

CARS, MIXED, EMPTY, TWICE, PLAIN, TASKS = 3, 4, 5, 6, 8, 9
VERSION = 5


def annotation(number: str, tool: str, class_: str | None, geometry: dict[str, Any]) -> tuple[Any, Any]:
    """One annotation's two halves."""
    named = {"class": class_} if class_ is not None else None
    return {"id": number, "tool": tool, "label": [], "classification": named}, {"id": number, **geometry}


def box(class_: str | None = "car", x: float = 1, y: float = 2, w: float = 10, h: float = 12, turn: float = 0) -> Any:
    """A box."""
    coordinate = {"x": x, "y": y, "width": w, "height": h} | ({"rotation": turn} if turn else {})
    return "bounding_box", class_, {"coordinate": coordinate}


def polygon(class_: str = "road") -> Any:
    """A triangle."""
    points = [{"x": 1, "y": 1, "id": "p"}, {"x": 20, "y": 1, "id": "q"}, {"x": 20, "y": 20, "id": "r"}]
    return "polygon", class_, {"coordinate": points}


def data(*shapes: Any, size: bool = True) -> dict[str, Any]:
    """The `data` of a record."""
    halves = [annotation(f"a{at}", *shape) for at, shape in enumerate(shapes)]
    return {
        "extra": {"image_1": {"width": 64, "height": 48}} if size else {},
        "annotations": {"image_1": [half[0] for half in halves]},
        "annotationsData": {"image_1": [half[1] for half in halves]},
    }


def record(number: int, project: int, *shapes: Any, unit: int | None = None, **changes: Any) -> dict[str, Any]:
    """One assignment with its task and its data unit."""
    unit = unit or 2000 + number
    files = {"image_1": {"file_name_original": f"photo_{unit}.png", "is_primary": True, "file_type": "image"}}
    return {
        "id": number,
        "project": project,
        "task": {"id": 1000 + unit},
        "data_unit": {"id": unit, "data_collection": 57, "meta": {"width": 64, "height": 48}, "files": files},
        "data": data(*shapes),
        "status_label": "done",
        "status_review": "confirmed",
        "created": f"2026-03-{number % 28 + 1:02}T10:00:00Z",
        **changes,
    }


SPEC = {"name": "image_1", "file_type": "image", "extensions": [".png"], "is_required": True, "is_primary": True}
SCHEMA = {"bounding_box": {"classification_schema": [{"code": "truck"}, {"code": "car"}]}}
RECORDS = [
    *(record(100 + at, CARS, box("car"), box("truck")) for at in range(6)),
    record(201, MIXED, box("car"), box("car", turn=0.5), polygon()),
    record(202, MIXED, box("bus"), status_review="rejected"),
    record(203, MIXED, box(None), box("car", x=60, w=30), is_discarded=True),
    record(204, MIXED, data=None, status_review="rejected"),
    record(205, MIXED),
    *(record(300 + at, TWICE, box("car"), unit=2900 + at // 2) for at in range(4)),
    *(record(400 + at, PLAIN, box(f"class {at + 1}")) for at in range(3)),
]
SEED: dict[str, Any] = {
    "tenant": "acme",
    "collections": [{"id": 57, "name": "Photos", "meta": None, "file_specifications": [SPEC]}],
    "storages": [{"id": 11, "name": "Main", "category": "internal", "provider": "amazon_s3", "is_default": True}],
    "projects": [
        {"id": CARS, "title": "Cars 2026", "configuration": {"classification": SCHEMA}},
        {"id": MIXED, "title": "Mixed", "configuration": {"classification": {"bounding_box": ["car", "van"]}}},
        {"id": EMPTY, "title": "Nothing yet"},
        {"id": TWICE, "title": "Twice"},
        {"id": PLAIN, "title": "Plain"},
    ],
    "agents": [{"id": 7, "name": "Agent seven"}],
    "assignments": RECORDS,
    "ground_truths": [
        {
            "id": 4,
            "name": "Gold",
            "project": CARS,
            "versions": [{"id": VERSION, "version": "1.0", "records": [{"assignment": 100 + at} for at in range(3)]}],
        }
    ],
}


class Exporter:
    """Someone in a folder of their own who exports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rounds: list[Document] = []

    def say(self, *sets: str, answers: Path | None = None, out: Path | None = None, **flags: Any) -> Document:
        """One round; flags are answers."""
        document = plan_export(Request(flags, sets, answers, out))
        check_document(document)
        self.rounds.append(document)
        return document

    def home(self, name: str = "Cars-2026") -> Path:
        """A job's folder."""
        return self.folder / "synapse-jobs" / name

    def plan(self, name: str = "Cars-2026") -> dict[str, Any]:
        """A job's plan.json."""
        return dict(json.loads((self.home(name) / "plan.json").read_bytes()))
