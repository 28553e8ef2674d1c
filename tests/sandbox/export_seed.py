"""Labelled work for the tests of the export half: seven records of one project, awkward where the real ones may be."""

from __future__ import annotations

from typing import Any

PROJECT, OTHER, COLLECTION, STORAGE, VERSION = 3, 4, 57, 11, 5
FIRST = 101


def document(number: int, boxes: int = 1, class_: str = "car") -> dict[str, Any]:
    """The `data` of one record."""
    ids = [f"a{number}-{box}" for box in range(boxes)]
    flags = {"isLocked": False, "isVisible": True, "isValid": True, "isDrawCompleted": True}
    return {
        "assignmentId": number,
        "extra": {"image_1": {"width": 64, "height": 48}},
        "relations": {"image_1": []},
        "annotationGroups": {"image_1": []},
        "annotations": {
            "image_1": [
                {"id": one, "tool": "bounding_box", **flags, "label": [class_], "classification": {"class": class_}}
                for one in ids
            ]
        },
        "annotationsData": {
            "image_1": [{"id": one, "coordinate": {"x": 1.0, "y": 2.5, "width": 10, "height": 1e-7}} for one in ids]
        },
    }


def row(at: int, **changes: Any) -> dict[str, Any]:
    """One assignment with its task and its data unit."""
    number = FIRST + at
    files = {"image_1": {"file_name_original": f"이미지_{at}.png", "is_primary": True, "file_type": "image"}}
    return {
        "id": number,
        "project": PROJECT,
        "task": {"id": 1000 + number, "tags": ["night"] if at % 2 else []},
        "data_unit": {
            "id": 2000 + number,
            "data_collection": COLLECTION,
            "meta": {"width": 64, "height": 48, "category": "1. 자연", "name": f"unit {at}"},
            "files": files,
        },
        "created": f"2026-03-0{at + 1}T10:00:00Z",
        "labeler": 8 if at % 2 else {"id": 9, "name": "kim"},
        "data": document(number),
        **changes,
    }


def rows() -> list[dict[str, Any]]:
    """The seven."""
    traversal = row(4)
    traversal["data_unit"]["files"] = {
        "data_meta_1": {"file_name_original": "side.json", "file_type": "data", "content": '{"side": "카"}'},
        "image_1": {"file_name_original": "../../x.png", "is_primary": True, "file_type": "image"},
    }
    missing = row(5)
    missing["data_unit"]["files"]["image_1"]["missing"] = True
    return [
        row(0, status_review="confirmed", reviewer=12, tags=[{"id": 7, "name": "야간"}]),
        row(1, status_review="rejected", reviewer={"id": 13}),
        row(2, data=document(FIRST + 2, boxes=40, class_="truck"), tags=["야간", "rain"]),
        row(3, data=None, status_label="stand_by", is_discarded=True),
        traversal,
        missing,
        row(6, data=None, data_text='{"n": 1.0,  "big": 12345678901234567890123, "nan": NaN, "n": 2}', file={}),
        row(0, id=900, project=OTHER, task={"id": 1900}, data_unit={"id": 2900, "files": {}}),
    ]


def seed(folder: str, **settings: Any) -> dict[str, Any]:
    """A seed with them, a ground truth of four of them, and a storage that is a folder."""
    spec = {"name": "image_1", "file_type": "image", "extensions": [".png"], "is_required": True, "is_primary": True}
    schema = {"bounding_box": {"classification_schema": [{"code": "car"}, {"code": "truck"}]}}
    storage = {"id": STORAGE, "name": "Out", "provider": "file_system", "configuration": {"location": folder}}
    truths = [
        {"assignment": FIRST, "id": 1, "category": "train"},
        {"assignment": FIRST + 2, "id": 2, "category": "validation"},
        {"data_unit": 2000 + FIRST + 1, "id": 3, "data": document(3), "category": "train"},
    ]
    return {
        "tenant": "acme",
        "collections": [{"id": COLLECTION, "name": "Road", "file_specifications": [spec]}],
        "storages": [{**storage, "is_default": True}],
        "projects": [
            {"id": PROJECT, "title": "Road", "configuration": {"classification": schema}},
            {"id": OTHER, "title": "Other"},
        ],
        "assignments": rows(),
        "ground_truths": [
            {
                "id": 31,
                "name": "Road GT",
                "project": PROJECT,
                "versions": [
                    {"id": VERSION, "version": "v1", "records": truths},
                    {"id": 6, "version": "v2", "is_archived": True, "records": [{"assignment": FIRST, "id": 1}]},
                ],
            }
        ],
        "settings": {"wrap_bytes": 4096, **settings},
    }
