"""The export that people write today, for `export.py` to compare with: PROJECT OUT.json plain|sdk|fetch.

`list_assignments(list_all=True)` of the SDK, one page after the other, then COCO by plain Python (or by the SDK's
converter) and `json.dump`. Nothing is remembered, counted or read back. `fetch` stops when all rows are there.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from conversion_baselines import plain_coco, sdk_coco
from synapse_sdk.utils.auth import create_backend_client

CLASSES = ("car", "person", "truck", "bus")


def main(project: int, out: Path, how: str) -> None:
    """Fetch, convert, write."""
    started = time.perf_counter()
    client = create_backend_client()
    rows, count = client.list_assignments({"project": project, "expand": "data"}, list_all=True)
    # The converters take bytes, as a job has them; to make them costs a hundredth of the fetch and stays in its time.
    found = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
    fetched = time.perf_counter() - started
    assert len(found) == count, (len(found), count)
    if how != "fetch":
        (plain_coco if how == "plain" else sdk_coco)(found, CLASSES, out.parent)
    out.write_text(json.dumps({"fetch": fetched, "records": len(found)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
