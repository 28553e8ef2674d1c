"""What a file is by its first bytes."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from pathlib import Path

import pytest

from synapse_skills.plan import SpecPlan
from synapse_skills.sources import Inventory, Source
from synapse_skills.units import dicom_without_suffix, looks_like
from units.trees import DCM, JPG, PNG, SEED_SPECS, write_tree

DATA = os.environ.get("SYNAPSE_SKILLS_TEST_DATA", "")


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr(zipfile.ZipInfo("a"), "b")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "extension"),
    [
        (PNG, ".png"),
        (JPG, ".jpg"),
        (DCM, ".dcm"),
        (b"II*\0" + DCM[4:], ".dcm"),
        (b"GIF89a..", ".gif"),
        (b"II*\0....", ".tif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", ".webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", ".wav"),
        (b"RIFF\x10\0\0\0ABCD", None),
        (b"BM" + b"\x46\0\0\0" + b"\0\0\0\0" + b"\x36\0\0\0" + b"\x28\0\0\0", ".bmp"),
        (b"BMW is no bitmap, and this is text", None),
        (b"\0\0\0\x18ftypisom", ".mp4"),
        (b"\0\0\0\x18ftypqt  ", ".mov"),
        (b"%PDF-1.7", ".pdf"),
        (zipped(), ".zip"),
        (gzip.compress(b"x", mtime=0), ".gz"),
        (b"", None),
        (b"{}", None),
        (b"id,name\n", None),
    ],
)
def test_looks_like(tmp_path: Path, content: bytes, extension: str | None) -> None:
    (tmp_path / "x").write_bytes(content)
    assert looks_like(content) == looks_like(tmp_path / "x") == extension


def test_dicom_without_suffix_is_known_by_its_content(tmp_path: Path, inventory: Inventory) -> None:
    paths = [f"p{n}/{name}" for n in range(3) for name in ("IM0001", "1.2.840.10008.1", "image.png")]
    root = write_tree(tmp_path / "data", paths, {path: DCM for path in paths if not path.endswith(".png")})
    source = Source(str(root))
    inventory.walk([source])
    assert dicom_without_suffix(inventory.files(), [source.root()], SEED_SPECS) == "dicom_1"
    assert dicom_without_suffix(inventory.files(), [source.root()], SEED_SPECS[:2]) is None
    twice = (*SEED_SPECS, SpecPlan(name="scan_2", extensions=(".dcm",)))
    assert dicom_without_suffix(inventory.files(), [source.root()], twice) is None
    (root / "p1/README").write_text("text")
    inventory.walk([source])
    assert dicom_without_suffix(inventory.files(), [source.root()], SEED_SPECS) is None


@pytest.mark.skipif(not DATA, reason="SYNAPSE_SKILLS_TEST_DATA is not set")
def test_real_files() -> None:
    assert looks_like(Path(DATA) / "medical/patient_001/scan.dcm") == ".dcm"
    assert looks_like(Path(DATA) / "photos/png_bytes.jpg") == ".png"
    assert looks_like(Path(DATA) / "photos/not_an_image.jpg") is None
    assert looks_like(Path(DATA) / "photos/CAMERA.TIF") == ".tif"
    assert looks_like(Path(DATA) / "photos/coins.bmp") == ".bmp"
    assert looks_like(Path(DATA) / "medical/meta.xlsx") == ".zip"
    assert looks_like(Path(DATA) / "medical/meta.xls") == ".xls"
