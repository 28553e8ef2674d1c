"""Files that people have: every one unlike any other, and fit for its name."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable
from typing import Any

from PIL import Image


def _mark(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def png(name: str) -> bytes:
    """A small picture, its colour made from the name."""
    return _saved(Image.new("RGB", (24, 16), tuple(_mark(name)[:3])), "PNG") + _mark(name)


def jpg(name: str) -> bytes:
    """The same as JPEG."""
    return _saved(Image.new("RGB", (24, 16), tuple(_mark(name)[:3])), "JPEG") + _mark(name)


def tiff(name: str) -> bytes:
    """A picture without loss that has a pattern of its own."""
    values = (_mark(name) * 24)[: 32 * 24]
    return _saved(Image.frombytes("L", (32, 24), values), "TIFF")


def _saved(image: Image.Image, form: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form)
    return stream.getvalue()


def pixels(content: bytes) -> tuple[tuple[int, int], str, bytes]:
    """What can be seen of a picture, whatever its format."""
    with Image.open(io.BytesIO(content)) as image:
        return image.size, image.mode, image.tobytes()


def label(name: str) -> bytes:
    """A JSON document."""
    return json.dumps({"of": name, "mark": _mark(name).hex()[:16]}, ensure_ascii=False).encode()


def dicom(name: str) -> bytes:
    """What a reader of DICOM knows by its beginning."""
    return b"\0" * 128 + b"DICM" + _mark(name)


def workbook(rows: Iterable[Iterable[Any]]) -> bytes:
    """One sheet; the same rows are the same bytes."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.worksheets[0]
    for row in rows:
        sheet.append(list(row))
    stream = io.BytesIO()
    book.save(stream)
    told = io.BytesIO()
    with zipfile.ZipFile(stream) as before, zipfile.ZipFile(told, "w") as after:
        for name in before.namelist():
            # What says when it was made is left out: entries have no time, and the times in the core properties go.
            content = re.sub(rb"(?s)<dcterms:.*?</dcterms:\w+>", b"", before.read(name))
            after.writestr(zipfile.ZipInfo(name), content)
    return told.getvalue()


def made(path: str) -> bytes:
    """Content that is fit for a path's extension."""
    kinds = {"png": png, "jpg": jpg, "tif": tiff, "tiff": tiff, "json": label, "dcm": dicom}
    return kinds[path.rpartition(".")[2].lower()](path)


def tree(*paths: str) -> dict[str, bytes]:
    """Files by path."""
    return {path: made(path) for path in paths}


def spec(name: str, kind: str, extensions: str, *, required: bool = True, primary: bool = False) -> dict[str, Any]:
    """A file specification."""
    return {
        "name": name,
        "file_type": kind,
        "extensions": extensions.split(),
        "is_required": required,
        "is_primary": primary,
    }


IMAGE = spec("image_1", "image", ".png .jpg .jpeg", primary=True)
LABEL = spec("label_1", "data", ".json")
SCAN = spec("scan_1", "data", ".dcm", required=False)
MASK = spec("mask_1", "image", ".png", required=False)


def collection(number: int, name: str, *specs: dict[str, Any], schema: Any = None) -> dict[str, Any]:
    """A data collection."""
    meta = {"data_unit_meta_schema": schema} if schema else None
    return {"id": number, "name": name, "meta": meta, "file_specifications": list(specs)}


def tenant(*collections: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A seed."""
    return {
        "tenant": "acme",
        "collections": list(collections),
        "storages": [
            {
                "id": 11,
                "name": "Main storage",
                "category": "internal",
                "provider": "amazon_s3",
                "is_default": True,
                "configuration": {"bucket_name": "main"},
            }
        ],
        "projects": [{"id": 3, "title": "CT labelling"}, {"id": 4, "title": "Pilot"}],
        "agents": [{"id": 7, "name": "Agent seven"}],
        **more,
    }
