"""What is published in examples/ may be: every picture has its row, every licence allows it, every label fits."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PHOTOS = EXAMPLES / "everyday-photos"
MOST_BYTES = 4_000_000
ALLOWED = {"CC0 1.0", "CC BY 2.0"}
FOLDERS = sorted(path for path in PHOTOS.iterdir() if path.is_dir())


def rows() -> dict[str, list[str]]:
    """The attribution table: picture → author, source, licence, label."""
    found = {}
    for line in (EXAMPLES / "ATTRIBUTION.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if len(cells) == 5 and cells[0].startswith("`"):
            found[cells[0].strip("`")] = cells[1:]
    return found


def nfc(path: Path) -> str:
    return unicodedata.normalize("NFC", path.relative_to(PHOTOS).as_posix())


def test_small_enough():
    sizes = [path.stat().st_size for path in EXAMPLES.rglob("*") if path.is_file()]
    assert len(sizes) > 40
    assert sum(sizes) <= MOST_BYTES


def test_every_picture_has_its_row_and_every_row_its_picture():
    pictures = {nfc(path) for path in PHOTOS.rglob("*") if path.suffix in (".jpg", ".png")}
    assert len(pictures) == 17
    assert set(rows()) == pictures


def test_only_licences_that_allow_it():
    for picture, (author, source, licence, label) in rows().items():
        assert licence in ALLOWED, picture
        assert author, picture
        assert re.search(r"\(https?://", source), picture
        assert label, picture
        if licence.startswith("CC BY"):
            number = re.search(r"\[(\d+) on Flickr\]", source)
            assert number, picture
            assert f"photo.gne?id={number[1]}" in author, picture
            assert f"/{number[1]}_" in source, picture


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_folder_is_one_data_unit_with_real_geometry(folder):
    by_suffix = {path.suffix: path for path in folder.iterdir()}
    picture = by_suffix.pop(".jpg", None) or by_suffix.pop(".png")
    label = json.loads(by_suffix.pop(".json").read_text(encoding="utf-8"))
    assert set(by_suffix) <= {".txt"}
    with Image.open(picture) as image:
        image.load()
        width, height = image.size
    assert label["image"] == {"file_name": picture.name, "width": width, "height": height}
    assert bool(label["objects"]) == (folder.name != "snowy-hill")
    for entry in label["objects"]:
        x, y, w, h = entry["box"]
        assert w > 0
        assert h > 0
        assert -0.02 <= x <= x + w <= width + 0.02
        assert -0.02 <= y <= y + h <= height + 0.02
        for polygon in entry.get("polygons", []):
            assert len(polygon) >= 6
            assert len(polygon) % 2 == 0
            # COCO rounds boxes and polygons separately.
            assert x - 1 <= min(polygon[::2]) <= max(polygon[::2]) <= x + w + 1
            assert y - 1 <= min(polygon[1::2]) <= max(polygon[1::2]) <= y + h + 1
