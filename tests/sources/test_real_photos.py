"""Real messy folders, where SYNAPSE_SKILLS_TEST_DATA names them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sources.cases import codes, examples, found
from synapse_skills.sources import Inventory, Source

DATA = os.environ.get("SYNAPSE_SKILLS_TEST_DATA", "")
pytestmark = pytest.mark.skipif(not DATA, reason="SYNAPSE_SKILLS_TEST_DATA is not set")


def test_a_messy_photo_folder(inventory: Inventory) -> None:
    walk = inventory.walk([Source(f"{DATA}/photos")])
    assert codes(walk) == {"name-collision-nfc": 1, "name-collision-case": 1, "junk-set-aside": 6}
    assert "img_0001.jpg and IMG_0001.JPG" in examples(walk, "name-collision-case")
    names = {file.key for file in inventory.files()}
    assert {"한글 폴더/우주 비행사 01.JPG", "📷 사진 — 카페.jpg", "no_extension", "zero_bytes.jpg"} <= names
    assert not any(name.startswith(".") or "__MACOSX" in name for name in names)


def test_a_copy_with_links_all_ways(inventory: Inventory, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(f"{DATA}/photos/cam_a", root / "cam_a")
    (root / "cam_a").chmod(0o700)
    (root / "loop/a").mkdir(parents=True)
    for path, target in {
        "loop/a/back_to_loop": "../../loop",
        "loop/self": "self",
        "loop/dangling.jpg": "no_such_file.jpg",
        "loop/outside.txt": "../../README.md",
        "loop/ok_link.jpg": "../cam_a/IMG_0002.jpg",
    }.items():
        (root / path).symlink_to(target)
    (tmp_path / "README.md").write_text("outside")
    walk = inventory.walk([Source(str(root))])
    assert found(inventory) == ["cam_a/IMG_0002.jpg", "loop/ok_link.jpg"]
    assert codes(walk) == {"link-outside": 3, "link-broken": 1, "junk-set-aside": 1}
