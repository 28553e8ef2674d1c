"""Trees to find the layout of: the five of the upload seed, its file specifications and its batch pattern, and others.

A tree is a list of paths; `write_tree` makes files of it. The fifth tree of the seed has a local folder where the seed
has S3.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synapse_skills.plan import SpecPlan
from synapse_skills.sources import File

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5"
    "f645400000000049454e44ae426082"
)
JPG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
DCM = b"\0" * 128 + b"DICM"

SEED_SPECS = (
    SpecPlan(
        name="image_1", file_type="image", extensions=(".png", ".jpg", ".jpeg"), is_required=True, is_primary=True
    ),
    SpecPlan(name="label_1", file_type="document", extensions=(".json",), is_required=True),
    SpecPlan(name="dicom_1", file_type="medical", extensions=(".dcm", ".dicom")),
)
"""The seed's list. It says nothing of a primary one; the SDK takes the first image for it."""
MASK = SpecPlan(name="mask_1", file_type="image", extensions=(".png",))
MASK_SPECS = (SEED_SPECS[0], MASK, SEED_SPECS[1])

SEED_PATTERN: dict[str, Any] = {
    "root": "/data/patients",
    "file_rules": [
        {"pattern": "**/img/*.png", "spec_name": "image_1"},
        {"pattern": "**/json/*.json", "spec_name": "label_1"},
    ],
    "group_key_regex": "(.+?)/(?:img|json)/",
    "dataset_key_template": "{group_key}",
}

Units = dict[str, dict[str, str]]
"""data unit → spec → path; the wanted outcome."""


def nested(count: int = 3) -> Units:
    """Pattern 1: a folder for each data unit."""
    units: Units = {}
    for number in range(1, count + 1):
        key = f"patient_{number:03}"
        units[key] = {
            "image_1": f"{key}/image.png",
            "label_1": f"{key}/label.json",
            "dicom_1": f"{key}/scan.dcm",
        }
    return units


def type_folders(count: int = 3) -> Units:
    """Pattern 2: a folder for each kind of file; dicoms only for the first."""
    units: Units = {}
    for number in range(1, count + 1):
        key = f"{number:03}"
        units[key] = {"image_1": f"images/{key}.png", "label_1": f"labels/{key}.json"}
        if number == 1:
            units[key]["dicom_1"] = f"dicoms/{key}.dcm"
    return units


def flat(count: int = 3) -> Units:
    """Pattern 3: one folder, matching names."""
    return {
        f"sample_{number:03}": {"image_1": f"sample_{number:03}.png", "label_1": f"sample_{number:03}.json"}
        for number in range(1, count + 1)
    }


def deep(count: int = 2) -> Units:
    """Pattern 4: a folder for each kind in that of each data unit; a mask for the first only."""
    units: Units = {}
    for number in range(1, count + 1):
        key = f"patient_{number:03}"
        units[key] = {"image_1": f"{key}/img/scan.png", "label_1": f"{key}/json/label.json"}
        if number == 1:
            units[key]["mask_1"] = f"{key}/mask/segmentation.png"
    return units


def sources(count: int = 3) -> list[tuple[str, list[str]]]:
    """Pattern 5: a source for each spec: (spec, paths)."""
    numbers = range(1, count + 1)
    return [
        ("image_1", [f"{number:03}.png" for number in numbers]),
        ("label_1", [f"{number:03}.json" for number in numbers]),
        ("mask_1", [f"{number:03}.png" for number in numbers]),
    ]


def paths_of(units: Units) -> list[str]:
    return sorted(path for files in units.values() for path in files.values())


def files_of(paths: Iterable[str], source: int = 0) -> list[File]:
    return [File(source, path, 10, 1) for path in sorted(paths)]


def content_of(path: str) -> bytes:
    """Something of the kind that the extension promises, different for each path."""
    lower = path.lower()
    if lower.endswith(".png"):
        return PNG + path.encode()
    if lower.endswith((".jpg", ".jpeg")):
        return JPG + path.encode()
    if lower.endswith((".dcm", ".dicom")):
        return DCM + path.encode()
    return json.dumps({"path": path}).encode()


def write_tree(root: Path, paths: Iterable[str], contents: Mapping[str, bytes] | None = None) -> Path:
    """Make the files."""
    for path in paths:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((contents or {}).get(path) or content_of(path))
    return root


def specs_of(*named: tuple[str, Sequence[str], bool]) -> tuple[SpecPlan, ...]:
    """(name, extensions, required) each."""
    return tuple(
        SpecPlan(name=name, extensions=tuple(extensions), is_required=required, is_primary=index == 0)
        for index, (name, extensions, required) in enumerate(named)
    )
