"""Rows of a sample, kept in the job's home from round to round: a conversation looks at its records once.

They lie in the job's folder, which only its owner can read, for an hour; a dry run looks at the backend itself.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from synapse_skills.report import write_bytes

FOLDER = ".sample"
FRESH_S = 3600
MOST = 4


def kept_rows(home: Path | None, key: Sequence[object], find: Callable[[], list[bytes]]) -> list[bytes]:
    """The rows of an earlier round of the same key; otherwise they are found, and kept if the home is there."""
    if home is None:
        return find()
    name = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:20]
    path = home / FOLDER / name
    with suppress(OSError, ValueError):
        # From the future it is if the clock was set back: then nobody knows how old it is.
        if 0 <= time.time() - path.stat().st_mtime < FRESH_S:
            return _read(path)
    rows = find()
    # Without it the next round only takes longer.
    with suppress(OSError):
        _write(path, rows)
    return rows


def _read(path: Path) -> list[bytes]:
    content = path.read_bytes()
    rows: list[bytes] = []
    at = 0
    while at < len(content):
        end = content.index(b"\n", at)
        size = int(content[at:end])
        rows.append(content[end + 1 : end + 1 + size])
        if len(rows[-1]) != size:
            raise ValueError("cut off")
        at = end + 1 + size
    return rows


def _write(path: Path, rows: Sequence[bytes]) -> None:
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_bytes(path, b"".join(b"%d\n%b" % (len(row), row) for row in rows))
    others = sorted(path.parent.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in others[MOST:]:
        old.unlink()
