"""What the upload benchmarks send: folders with two pictures and a label each, a workbook, a schema, collections."""

from __future__ import annotations

import json
import random
import struct
import zlib
from pathlib import Path
from typing import Any

from metadata import SCHEMA, metas

FILES_A_UNIT = 3
STORAGE = 11


def seed(collections: int, schema: dict[str, Any] | None = SCHEMA) -> dict[str, Any]:
    """A backend with so many equal collections."""
    specs = [
        {"name": "image_1", "file_type": "image", "extensions": [".png"], "is_required": True, "is_primary": True},
        {"name": "mask_1", "file_type": "image", "extensions": [".png"], "is_required": True, "is_primary": False},
        {"name": "label_1", "file_type": "data", "extensions": [".json"], "is_required": True, "is_primary": False},
    ]
    return {
        "collections": [
            {
                "id": number,
                "name": f"Collection {number}",
                "meta": {"data_unit_meta_schema": schema} if schema else None,
                "file_specifications": [{"id": 10 * number + at, **spec} for at, spec in enumerate(specs)],
            }
            for number in range(1, collections + 1)
        ],
        "storages": [
            {
                "id": STORAGE,
                "name": "Main storage",
                "category": "internal",
                "provider": "amazon_s3",
                "is_default": True,
                "configuration": {"bucket_name": "main"},
            }
        ],
    }


def name_of(unit: int) -> str:
    """A data unit's folder, which is its name in the table too."""
    return f"scan_{unit:06}"


PICTURES = ("image.png", "mask.png")


def make_tree(root: Path, units: int, size: int, pictures: tuple[str, ...] = PICTURES) -> None:
    """Write `units` folders with these pictures and label.json of about `size` bytes each, no two the same."""
    chance = random.Random(9)
    for unit in range(units):
        folder = root / name_of(unit)
        folder.mkdir(parents=True)
        for name in pictures:
            (folder / name).write_bytes(picture(chance, size))
        (folder / "label.json").write_text(label(chance, size))


def picture(chance: random.Random, size: int) -> bytes:
    """A real grey PNG of noise, which can't be made smaller, so that its size is what was asked for."""
    width = 100
    height = max(1, (size - 80) // (width + 1))
    raw = b"".join(b"\0" + chance.randbytes(width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 0)), (b"IEND", b""))
    chunks = [struct.pack(">I", len(body)) + kind + body + _checksum(kind + body) for kind, body in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _checksum(content: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(content))


def label(chance: random.Random, size: int) -> str:
    """Boxes as a JSON document."""
    boxes: list[dict[str, Any]] = []
    while not boxes or 62 * len(boxes) < size - 40:
        x, y, w, h = (chance.randrange(1000, 9000) for _ in range(4))
        boxes.append({"class": chance.choice(("car", "bus", "van")), "x": x, "y": y, "width": w, "height": h})
    return json.dumps({"image": "image.png", "boxes": boxes})


def make_workbook(path: Path, units: int) -> None:
    """One row for each data unit, as people keep them: its folder in the first column."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("scans")
    rows = metas(units)
    fields = [name for name in rows[0] if name != "name"]
    sheet.append(["folder", *fields])
    for unit, row in enumerate(rows):
        sheet.append([name_of(unit), *(row[name] for name in fields)])
    book.save(path)
