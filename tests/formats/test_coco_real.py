"""Real labels, where SYNAPSE_SKILLS_TEST_DATA names them, judged by readers that know nothing of this project."""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from formats.export_make import Ran, items_of, run
from synapse_skills.annotations import read_row
from synapse_skills.annotations.model import Box, Polygon, Record
from synapse_skills.formats.base import Item

DATA = os.environ.get("SYNAPSE_SKILLS_TEST_DATA", "")
pytestmark = [pytest.mark.skipif(not DATA, reason="SYNAPSE_SKILLS_TEST_DATA is not set"), pytest.mark.heavy]


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [read_row(line, "assignment") for line in (Path(DATA) / "dm_v1/items.jsonl").read_bytes().splitlines()]


@pytest.fixture(scope="module")
def items(records: list[Record]) -> list[Item]:
    return items_of(records)


@pytest.fixture(scope="module")
def ran(items: list[Item], tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run("coco", tmp_path_factory.mktemp("coco") / "out", items)


def test_every_label_is_there(ran: Ran) -> None:
    totals = json.loads((Path(DATA) / "dm_v1/expected_counts.json").read_bytes())["totals"]
    assert ran.verified.problems == []
    assert ran.verified.items == {"": 158}
    assert ran.rows[""] == sum(totals[kind] for kind in ("bounding_box", "polygon", "segmentation", "pose"))
    assert Counter((loss.annotation.tool, loss.reason) for loss in ran.losses) == {
        ("classification", "not-held"): totals["classification"]
    }


def test_boxes_and_polygons_equal_the_source(ran: Ran, items: list[Item]) -> None:
    rows = json.loads((ran.folder / "annotations/instances.json").read_bytes())["annotations"]
    source = [
        each for item in items for each in item.media.annotations if each.tool not in ("keypoint", "classification")
    ]
    for row, each in zip(rows, source, strict=True):
        if isinstance(each.geometry, Box):
            box = each.geometry
            assert row["bbox"] == [box.x, box.y, box.width, box.height]
        elif isinstance(each.geometry, Polygon):
            ring = list(dict.fromkeys(each.geometry.points))  # twins of a point are one
            assert set(ring) == set(zip(row["segmentation"][0][::2], row["segmentation"][0][1::2], strict=True))


def evaluated(path: Path, kind: str, extra: str | None) -> tuple[float, float]:
    """The lowest precision and recall of a file evaluated against itself."""
    truth = COCO(str(path))
    rows = [each for each in truth.anns.values() if not each["iscrowd"] and (kind != "segm" or each["segmentation"])]
    truth.dataset["annotations"] = [dict(each) for each in rows]
    truth.createIndex()
    names = ("image_id", "category_id", "bbox", *([extra] if extra else []))
    found = truth.loadRes([{name: each[name] for name in names} | {"score": 1.0} for each in rows])
    result = COCOeval(truth, found, kind)
    result.params.maxDets = [500] if kind == "keypoints" else [500, 500, 500]
    result.evaluate()
    result.accumulate()
    precision, recall = result.eval["precision"], result.eval["recall"]
    return precision[precision > -1].min(), recall[recall > -1].min()


@pytest.mark.parametrize(
    ("name", "kind", "extra"),
    [
        ("instances", "bbox", None),
        ("instances", "segm", "segmentation"),
        ("person_keypoints", "keypoints", "keypoints"),
    ],
)
def test_evaluated_against_itself_it_is_perfect(ran: Ran, name: str, kind: str, extra: str | None) -> None:
    lowest = evaluated(ran.folder / f"annotations/{name}.json", kind, extra)
    assert lowest == pytest.approx((1.0, 1.0))


def test_crowds_are_pixel_equal(ran: Ran, items: list[Item]) -> None:
    truth = COCO(str(ran.folder / "annotations/instances.json"))
    crowds = [each for each in truth.anns.values() if each["iscrowd"]]
    source = [each for item in items for each in item.media.annotations if each.tool == "segmentation"]
    assert len(crowds) == len(source) == 6
    for row, each in zip(crowds, source, strict=True):
        flat = truth.annToMask(row).reshape(-1).nonzero()[0].tolist()
        runs: Any = each.geometry
        assert flat == [n for start, length in runs.runs for n in range(start, start + length)]


def test_supervision_reads_it(ran: Ran, items: list[Item], tmp_path: Path) -> None:
    from PIL import Image
    from supervision import DetectionDataset

    for item in items:
        Image.new("RGB", (item.width or 1, item.height or 1)).save(tmp_path / item.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = DetectionDataset.from_coco(str(tmp_path), str(ran.folder / "annotations/instances.json"))
    assert len(read) == 158
    assert sum(len(each) for each in read.annotations.values()) == ran.rows[""] - 61


@pytest.mark.parametrize("name", ["synapse_json", "class_json"])
def test_json_formats_hold_it_all(name: str, items: list[Item], tmp_path: Path) -> None:
    done = run(name, tmp_path / "out", items)
    assert done.verified.problems == []
    assert done.losses == []
    assert done.rows == done.verified.rows
