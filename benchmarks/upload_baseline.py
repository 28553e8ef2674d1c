"""The upload that people write today, for `upload.py` to compare with: SOURCE WORKBOOK COLLECTION.

rglob, is_file and stat; openpyxl read-only; jsonschema for each row; `upload_files_bulk` of the SDK for all files,
then `create_data_units` in batches of 50. Nothing is remembered, and nothing is looked up when it breaks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jsonschema
import openpyxl
from synapse_sdk.utils.auth import create_backend_client

SPECS = {"image.png": "image_1", "mask.png": "mask_1", "label.json": "label_1"}
BATCH = 50


def main(source: Path, workbook: Path, collection: int) -> None:
    """All of it, one step after the other."""
    client = create_backend_client()
    schema = client.get_data_collection(collection)["meta"]["data_unit_meta_schema"]
    units: dict[str, dict[str, Path]] = {}
    size = 0
    for path in source.rglob("*"):
        if path.is_file():
            size += path.stat().st_size
            units.setdefault(path.parent.name, {})[SPECS[path.name]] = path
    book = openpyxl.load_workbook(workbook, read_only=True)
    lines = book.active.iter_rows(values_only=True)
    header = [str(name) for name in next(lines)]
    metas: dict[str, dict[str, Any]] = {}
    for line in lines:
        row = dict(zip(header, line, strict=True))
        metas[str(row.pop("folder"))] = row
    for meta in metas.values():
        jsonschema.Draft202012Validator(schema).validate(meta)
    paths = [path for files in units.values() for path in files.values()]
    answer = client.upload_files_bulk(paths, strategy="presigned")
    checksums = {row.file_key: row.checksum for row in answer.results if row.success}
    requests = [
        {
            "data_collection": collection,
            "files": {spec: {"checksum": checksums[str(path)], "path": path.name} for spec, path in files.items()},
            "meta": metas[key],
        }
        for key, files in units.items()
    ]
    for start in range(0, len(requests), BATCH):
        client.create_data_units(requests[start : start + BATCH])
    print(f"{len(requests)} data units, {len(paths)} files, {size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
