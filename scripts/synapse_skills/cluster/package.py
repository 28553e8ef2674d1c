"""The job folder as Ray will pack it: how large, pinned or not, and whether a file hides another."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from synapse_skills.errors import FindingError, OutOfReach, printable
from synapse_skills.rendering.script import environment

MOST_BYTES = 90 << 20
"""Ray's dashboard refuses 100 MiB; the rest is for what differs between two zip libraries."""

_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\[[A-Za-z0-9,._ -]+\])?\s*==\s*"
    r"[A-Za-z0-9][A-Za-z0-9.+!_-]*\s*(?:;.*)?"
)
_COMMENT = re.compile(r"(?:^|\s)#.*$")


class _TooLarge(Exception):
    """Enough was counted."""


class _Counting:
    """Takes what a zip writes and keeps only how much it was."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> int:
        """Count."""
        self.size += len(data)
        if self.size > MOST_BYTES:
            raise _TooLarge
        return len(data)

    def flush(self) -> None:
        """Nothing is kept."""


def zip_size(folder: Path, files: Sequence[Path]) -> int:
    """How large Ray's package will be: really packed, into nothing, and as Ray does it: a zip without compression.

    Raises:
        FindingError: larger than what Ray's dashboard takes.
        OutOfReach: a file can't be read.
    """
    sink = _Counting()
    path = folder
    try:
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, strict_timestamps=False) as packed:  # type: ignore[call-overload]
            for path in files:
                packed.write(path, path.relative_to(folder).as_posix())
    except _TooLarge:
        largest = sorted(files, key=lambda each: each.stat().st_size, reverse=True)[:3]
        shown = ", ".join(f"{printable(each.name)} ({each.stat().st_size >> 20} MiB)" for each in largest)
        raise FindingError(
            f"The job folder is larger than {MOST_BYTES >> 20} MiB; Ray packs it uncompressed, and its dashboard "
            f"takes 100. Largest: {shown}.",
            hint="Keep data out of the job folder: sources are read where they are. A table may be split.",
            code="package-too-large",
        ) from None
    except OSError as error:
        raise OutOfReach(
            f"{printable(str(path))} can't be read: {error.strerror or error}.",
            hint="Check its permissions; rendering the job again (run.py render) makes its files anew.",
            code="job-not-readable",
        ) from None
    return sink.size


def unpinned(requirements: Path) -> list[str]:
    """What is wrong with a requirements.txt, one sentence each; nothing if every line is `name==version`.

    Ray installs it on the cluster: without it the newest SDK, and a line that floats is another job every day.
    """
    try:
        text = requirements.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ["there is no requirements.txt: Ray would install the newest synapse-sdk"]
    wrong, names = [], set()
    for number, line in enumerate(text.splitlines(), 1):
        bare = _COMMENT.sub("", line).strip()
        if not bare:
            continue
        match = _PINNED.fullmatch(bare)
        if match:
            names.add(re.sub(r"[-_.]+", "-", match["name"]).lower())
        else:
            wrong.append(f"line {number} is not name==version")
    if "synapse-sdk" not in names:
        wrong.append("synapse-sdk is not in it")
    return wrong


def hiding_files(folder: Path, files: Sequence[Path]) -> list[str]:
    """Ignore files that could keep at home what must ship.

    Ray reads the `.gitignore` and `.rayignore` of the folder and of every folder in it (none above). The job's own
    `.rayignore` may say less than it was rendered with, never more.
    """
    rendered = set(environment().get_template("job/rayignore.j2").render().splitlines())
    found = []
    for path in files:
        if path.name not in (".gitignore", ".rayignore"):
            continue
        if path.parent == folder and path.name == ".rayignore":
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            if not {line for line in lines if line.strip() and not line.startswith("#")} - rendered:
                continue
        found.append(printable(path.relative_to(folder).as_posix()))
    return found
