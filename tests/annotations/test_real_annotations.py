"""Real labels, where SYNAPSE_SKILLS_TEST_DATA names them: every one is read, and every number is the source's."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from synapse_skills.annotations import file_of, payload_of, read_document, read_row, size_of
from synapse_skills.annotations.fast import read_fast
from synapse_skills.annotations.model import (
    Annotation,
    Box,
    FrameBoxes,
    Keypoint,
    Mask,
    Polygon,
    Section,
    Skeleton,
    Whole,
)
from synapse_skills.annotations.v1 import read_v1

DATA = Path(os.environ.get("SYNAPSE_SKILLS_TEST_DATA", ""))
pytestmark = pytest.mark.skipif(
    "SYNAPSE_SKILLS_TEST_DATA" not in os.environ, reason="SYNAPSE_SKILLS_TEST_DATA is not set"
)


def documents(shape: str) -> list[Path]:
    return sorted((DATA / "dm_v1" / shape).glob("*.json"))


def counts(path: Path) -> tuple[Counter[str], Any]:
    document = read_document(path.read_bytes())
    assert document.issues == []
    return Counter(each.tool for media in document.media for each in media.annotations), document


def same_ring(points: Any, polygon: Polygon) -> bool:
    ring = [tuple(float(number) for number in point) for point in points]
    return list(polygon.points) == (ring[:-1] if len(ring) > 1 and ring[0] == ring[-1] else ring)


def check_real(said: Any, row: Any, annotation: Annotation) -> None:
    """The numbers of an annotation against those of its source."""
    assert annotation.raw_label == said["classification"]["class"] and annotation.tool == said["tool"]
    geometry, coordinate = annotation.geometry, row.get("coordinate")
    if isinstance(geometry, Box):
        assert (geometry.x, geometry.y, geometry.width, geometry.height) == tuple(
            coordinate[side] for side in ("x", "y", "width", "height")
        )
    elif isinstance(geometry, Polygon):
        assert same_ring([(point["x"], point["y"]) for point in coordinate], geometry)
    elif isinstance(geometry, Keypoint):
        assert (geometry.x, geometry.y) == (coordinate["x"], coordinate["y"])
        assert geometry.visibility == ("missing", "occluded", "visible").index(said["classification"]["visibility"])
    elif isinstance(geometry, Mask):
        assert [list(run) for run in geometry.runs] == row["pixel_indices"]
    else:
        assert isinstance(geometry, Whole) and annotation.tool == "classification"


def test_the_two_lists() -> None:
    expected = json.loads((DATA / "dm_v1/expected_counts.json").read_text())
    total: Counter[str] = Counter()
    for path in documents("real"):
        found, document = counts(path)
        source, [media] = json.loads(path.read_text()), document.media
        assert {"width": media.width, "height": media.height} == source["extra"]["image_1"]
        rows = {each["id"]: each for each in source["annotationsData"]["image_1"]}
        for said, annotation in zip(source["annotations"]["image_1"], media.annotations, strict=True):
            check_real(said, rows[said["id"]], annotation)
        groups = {each["id"]: tuple(each["annotationIds"]) for each in source["annotationGroups"]["image_1"]}
        assert {group.id: group.members for group in media.groups} == groups
        total += found
        wanted = {tool: number for tool, number in expected["source_counts"][path.stem].items() if tool != "pose"}
        assert wanted == dict(found)
        if (fast := read_fast(path.read_bytes())) is not None:
            assert fast == read_v1(source, "")
    assert dict(total) == {tool: number for tool, number in expected["totals"].items() if tool != "pose"}


def test_the_flat_shape() -> None:
    expected = json.loads((DATA / "dm_v1/expected_counts.json").read_text())["totals"]
    total: Counter[str] = Counter()
    for path in documents("simple"):
        found, document = counts(path)
        total += found
        source = json.loads(path.read_text())
        for said, annotation in zip(source["annotations"]["image_1"], document.media[0].annotations, strict=True):
            geometry, data = annotation.geometry, said["data"]
            assert annotation.label == said["classification"]
            if isinstance(geometry, Box):
                assert [geometry.x, geometry.y, geometry.width, geometry.height] == data
            elif isinstance(geometry, Polygon):
                assert same_ring(data, geometry)
            elif isinstance(geometry, Skeleton):
                assert [[point.x, point.y] for point in geometry.points] == data
                assert [point.visibility for point in geometry.points] == said["visibility"]
            else:
                assert isinstance(geometry, Whole)
    assert dict(total) == {
        **{tool: expected[tool] for tool in ("bounding_box", "polygon", "classification")},
        "keypoint": expected["pose"],
    }


@pytest.mark.parametrize(
    ("name", "target", "number"),
    [("items", "assignment", 158), ("items_task_sample", "task", 20), ("items_gt_sample", "ground_truth", 20)],
)
def test_rows(name: str, target: str, number: int) -> None:
    lines = (DATA / "dm_v1" / f"{name}.jsonl").read_bytes().splitlines()
    assert len(lines) == number
    for line in lines:
        source, record = json.loads(line), read_row(line, target)
        assert record == read_row(source, target)
        assert record.key == source["pgh_id" if target == "ground_truth" else "id"]
        assert record.payload == payload_of(line) and record.payload in line
        [media] = record.document.media
        assert record.document == read_document(source["data"]) and record.document.issues == []
        file = file_of(record, media)
        assert file is not None and file.name == source["data_unit"]["files"]["image_1"]["file_name_original"]
        assert size_of(record, media) == (record.meta["width"], record.meta["height"])


def test_videos() -> None:
    for path in sorted((DATA / "video/dm_v1").glob("*.json")):
        found, document = counts(path)
        assert found == {"classification": 1, "segmentation": 1, "bounding_box": 1}
        rows = {each["id"]: each for each in json.loads(path.read_text())["annotationsData"]["video_1"]}
        for annotation in document.media[0].annotations:
            row = rows[annotation.id]
            if isinstance(annotation.geometry, Section):
                section = row["section"]
                assert annotation.geometry == Section(section["startFrame"], section["endFrame"], "frame")
            elif isinstance(annotation.geometry, FrameBoxes):
                assert {str(frame): box for frame, box in annotation.geometry.boxes} == {
                    frame: Box(**box) for frame, box in row["coordinates"].items()
                }
