"""Real folders, where SYNAPSE_SKILLS_TEST_DATA names them: which layout is found, and what it makes."""

from __future__ import annotations

import os

import pytest

from synapse_skills.plan import Limits, SpecPlan
from synapse_skills.sources import Inventory, Source
from synapse_skills.units import Hypothesis, Unit, best, hypotheses, place_for, recount, survey
from units.trees import MASK, SEED_SPECS, specs_of

DATA = os.environ.get("SYNAPSE_SKILLS_TEST_DATA", "")
pytestmark = pytest.mark.skipif(not DATA, reason="SYNAPSE_SKILLS_TEST_DATA is not set")
YOLO = specs_of(("image_1", (".jpg",), True), ("label_1", (".txt",), True))
PICTURES = specs_of(("image_1", (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"), True))


def understood(inventory: Inventory, name: str, specs: tuple[SpecPlan, ...]) -> tuple[Hypothesis, dict[str, Unit]]:
    """The winner, recounted, and the data units that a survey with it finds."""
    sources = [Source(f"{DATA}/{name}")]
    inventory.walk(sources)
    found = best(hypotheses(inventory, specs, sources)).winner
    assert found is not None
    place = place_for(found.grouping, found.specs, found.sources)
    units = {unit.key: unit for unit in survey(inventory, sources, place, found.specs, Limits()).units()}
    exact = recount(inventory, found)
    assert (exact.units, exact.complete) == (found.units, found.complete)
    return found, units


def test_coco128(inventory: Inventory) -> None:
    found, units = understood(inventory, "coco128", YOLO)
    assert set(found.grouping.ignore) >= {"images", "labels"} and found.specs[1].pattern == "labels/**/*.txt"
    assert sum(not unit.findings for unit in units.values()) == found.complete == 126
    missing = {key.rpartition("/")[2]: unit.codes for key, unit in units.items() if unit.findings}
    assert missing == {f"000000000{number}": ("missing-required-spec",) for number in (250, 508, 656, 659)}
    unit = units["train2017/000000000009"]
    assert {spec: file.path for spec, file in unit.files.items()} == {
        "image_1": "images/train2017/000000000009.jpg",
        "label_1": "labels/train2017/000000000009.txt",
    }


def test_coco128_with_two_folders_of_masks(inventory: Inventory) -> None:
    sources = [Source(f"{DATA}/coco128")]
    inventory.walk(sources)
    found = best(hypotheses(inventory, (*YOLO, MASK), sources)).winner
    assert found is not None and found.contested == {".png": ("mask_1",)} and found.complete == 126


def test_coco_mini_has_pictures_and_labels_of_all_of_them(inventory: Inventory) -> None:
    found, units = understood(inventory, "coco_mini", PICTURES)
    assert found.label == "same name" and found.unplaced == 3
    assert len(units) == 30 and not any(unit.findings for unit in units.values())


def test_medical(inventory: Inventory) -> None:
    found, units = understood(inventory, "medical", SEED_SPECS)
    assert found.label == "each top-level folder" and list(units) == [f"patient_{n:03}" for n in range(1, 9)]
    assert all(len(unit.files) == 3 and not unit.findings for unit in units.values())


def test_photos(inventory: Inventory) -> None:
    found, units = understood(inventory, "photos", PICTURES)
    # same_stem.jpg and same_stem.png are two pictures: by name they would be one data unit.
    assert found.label == "each file"
    assert units["고양이.jpg"].codes == ("several-candidates",)
    assert units["same_stem.jpg"].codes == units["same_stem.png"].codes == ()
    assert units["cam_a/IMG_0002.jpg"].codes == units["cam_b/IMG_0002.jpg"].codes == ()
    assert units["한글 폴더/우주 비행사 01.JPG"].codes == ()
    message = units["png_bytes.jpg"].findings[0].message
    assert "refused" in message and message.endswith("its content is .png")
    assert "its content is" not in units["not_an_image.jpg"].findings[0].message


def test_video(inventory: Inventory) -> None:
    found, units = understood(inventory, "video", specs_of(("video_1", (".mp4",), True), ("meta_1", (".json",), False)))
    assert found.label == "same name" and found.complete == 3
    assert all(set(unit.files) == {"video_1", "meta_1"} for unit in units.values() if not unit.findings)
