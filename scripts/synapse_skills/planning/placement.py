"""The name of a frozen placement table: it tells the content, so that another content is another plan."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from synapse_skills.errors import FindingError, printable


def frozen_name(path: Path) -> str:
    """What the table is called beside the script, once it is matched with the files.

    Raises:
        FindingError: there is no such file (`no-table`).
    """
    try:
        found = path.stat()
        return f"placement-{_digest(path, found.st_mtime_ns, found.st_size)}.jsonl"
    except OSError as error:
        raise FindingError(
            f"The table {printable(str(path))} can't be read: {error.strerror}.",
            hint="Check its path.",
            code="no-table",
        ) from None


@functools.lru_cache(maxsize=8)
def _digest(path: Path, mtime_ns: int, size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]
