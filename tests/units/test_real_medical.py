"""Real patients, where SYNAPSE_SKILLS_TEST_DATA names them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synapse_skills.plan import Limits, SpecPlan
from synapse_skills.sources import Inventory, Source
from synapse_skills.units import Place, by_extension, by_folder, survey

DATA = os.environ.get("SYNAPSE_SKILLS_TEST_DATA", "")
pytestmark = pytest.mark.skipif(not DATA, reason="SYNAPSE_SKILLS_TEST_DATA is not set")


def test_eight_patients(inventory: Inventory) -> None:
    specs = [
        SpecPlan(name="image_1", extensions=(".png",), is_required=True),
        SpecPlan(name="label_1", extensions=("json",), is_required=True),
        SpecPlan(name="scan_1", extensions=(".dcm",)),
    ]
    sources = [Source(f"{DATA}/medical")]
    inventory.walk(sources)
    found = survey(
        inventory,
        sources,
        Place(by_folder(1), by_extension({".png": "image_1", ".json": "label_1", ".dcm": "scan_1"})),
        specs,
        Limits(),
    )
    units = list(found.units())
    assert [unit.key for unit in units] == [f"patient_{number:03d}" for number in range(1, 9)]
    assert all(not unit.findings and len(unit.files) == 3 for unit in units)
    assert {p.code: p.count for p in found.problems.as_list()} == {"belongs-to-nothing": 2}


def test_photos_by_a_hand_written_place(inventory: Inventory) -> None:
    """Each picture a data unit of its own: the broken ones are findings, the rest is fit."""
    pictures = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
    specs = [SpecPlan(name="image_1", extensions=pictures, is_required=True)]
    sources = [Source(f"{DATA}/photos")]
    inventory.walk(sources)
    found = survey(
        inventory,
        sources,
        lambda file: (file.key.replace("/", "__"), "image_1") if file.suffix in pictures else None,
        specs,
        Limits(),
    )
    units = {unit.key: unit.codes for unit in found.units()}
    assert units["zero_bytes.jpg"] == ("empty-file",)
    assert units["png_bytes.jpg"] == units["not_an_image.jpg"] == ("refused-by-guard",)
    assert units["고양이.jpg"] == ("several-candidates",)  # composed and decomposed: one key, never the last one
    assert units["한글 폴더__우주 비행사 01.JPG"] == ()
    assert max(len(Path(key).name.encode()) for key in units) == 235
    assert {p.code: p.count for p in found.problems.as_list()}["belongs-to-nothing"] == 2
