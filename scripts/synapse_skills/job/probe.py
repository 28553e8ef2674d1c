"""What a probe does on the cluster: look at paths that only it sees, and say through the log what is there.

Nothing is opened but files that were asked for by name, nothing is written but the log, and that has a limit: a log
is a file on the cluster's head which its dashboard reads whole, and the far end keeps 64 MB of it.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from synapse_skills.errors import FindingError, OutOfReach, SkillsError, printable, redact
from synapse_skills.job.markers import marker_lines
from synapse_skills.sources import File, Inventory, Source
from synapse_skills.sources.check import check_path
from synapse_skills.units import extension_of

REQUEST_VERSION = 1
MOST_FILES = 2_000_000
"""Files of a listing; a million of them make 20 to 50 MB of log."""
MOST_LOG_BYTES = 48 << 20
MOST_FILE_BYTES = 14 << 20
"""What doesn't compress, as a workbook, makes three times as much log."""
# However badly names compress, a part of these sizes fits into one document of `job.markers`.
PART_FILES = 20_000
PART_BYTES = 1_500_000
_EXAMPLES = 5
_KINDS = 12

Answer = dict[str, Any]
_Said = tuple[str, dict[str, Any]]
"""kind and document of one marker."""


def main(request: Path) -> int:
    """Answer every request of the file; one that can't be answered says why, and the others are answered all the same.

    Returns:
        0: that something is not there is an answer too.
    """
    asked = json.loads(request.read_text(encoding="utf-8"))
    answers: list[Answer] = []
    budget = MOST_LOG_BYTES
    for number, one in enumerate(asked["requests"]):
        with tempfile.TemporaryFile("w+", encoding="ascii") as file:
            spool = _Spool(file, budget)
            try:
                answer = {"said": _HOW[one["ask"]](number, one, spool)}
            except SkillsError as error:
                spool.empty()
                answer = {"error": _told(error)}
            except OSError as error:
                spool.empty()
                answer = {"error": _told(_unreadable(error))}
            budget -= spool.size
            file.seek(0)
            for line in file:
                sys.stdout.write(line)
        answers.append(answer)
    for line in marker_lines("probe", {"version": REQUEST_VERSION, "answers": answers}):
        print(line)
    sys.stdout.flush()
    return 0


class _Spool:
    """Holds lines back until all of them are known to fit: half a listing is none."""

    def __init__(self, file: IO[str], room: int) -> None:
        self._file = file
        self._room = room
        self.size = 0

    def say(self, kind: str, document: Mapping[str, Any]) -> None:
        """One document more.

        Raises:
            FindingError: `markers-too-long`.
        """
        for line in marker_lines(kind, document):
            self.size += len(line) + 1
            if self.size > self._room:
                raise FindingError(
                    "This is too much to be sent home through the job's log.",
                    hint="Ask for less at once, or plan where the files are.",
                    code="markers-too-long",
                )
            self._file.write(line + "\n")

    def empty(self) -> None:
        """Take all of it back."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0


def _told(error: SkillsError) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": redact(str(error)),
        "hint": redact(error.hint),
        "exit_code": error.exit_code,
    }


def _unreadable(error: OSError) -> OutOfReach:
    where = f" ({printable(os.fsdecode(error.filename))})" if isinstance(error.filename, str | bytes) else ""
    return OutOfReach(
        f"It can't be read: {error.strerror or error}{where}.", hint="Check the path.", code="source-missing"
    )


# ---- what can be asked


def _check(number: int, asked: Mapping[str, Any], spool: _Spool) -> Answer:
    """What check_path shows."""
    report = check_path(
        str(asked["path"]), recursive=bool(asked["recursive"]), limit=asked["limit"], extension_of=extension_of
    )
    return {"report": report.as_dict()}


def _listing(number: int, asked: Mapping[str, Any], spool: _Spool) -> Answer:
    """All files of the sources, as one walk finds them; beyond the limit only how many there are of which kind."""
    sources = [Source(str(each["path"]), recursive=bool(each["recursive"])) for each in asked["sources"]]
    roots = [str(source.root()) for source in sources]
    most = min(int(asked["most"]), MOST_FILES)
    with (
        tempfile.TemporaryDirectory(prefix="synapse-skills-") as folder,
        Inventory(Path(folder) / "all.sqlite") as inventory,
    ):
        walk = inventory.walk(sources)
        said: Answer = {
            "roots": roots,
            "files": walk.files,
            "bytes": walk.bytes,
            "folders": walk.folders,
            "problems": [problem.model_dump() for problem in walk.problems.as_list()],
        }
        if walk.files > most:
            return {**said, "parts": None, **_sample(inventory)}
        parts = 0
        try:
            for parts, part in enumerate(_parts(inventory.files()), 1):
                spool.say("listing", {"of": number, "part": parts, **part})
        except FindingError as error:
            if error.code != "markers-too-long":
                raise
            spool.empty()
            return {**said, "parts": None, **_sample(inventory)}
    return {**said, "parts": parts}


def _sample(inventory: Inventory) -> Answer:
    """What is brought of a tree that is too large to be brought."""
    kinds = inventory.counts().by_suffix
    names = [printable(file.path) for file, _ in zip(inventory.files(), range(_EXAMPLES), strict=False)]
    return {"kinds": {kind: files for kind, (files, _) in list(kinds.items())[:_KINDS]}, "examples": names}


def _parts(files: Iterator[File]) -> Iterator[dict[str, Any]]:
    """Columns of as many files as one document takes: path, size, and time of change in seconds."""
    part = _new_part()
    taken = 0
    for file in files:
        length = len(file.path.encode())
        if part["paths"] and (taken + length > PART_BYTES or len(part["paths"]) >= PART_FILES):
            yield part
            part, taken = _new_part(), 0
        part["sources"].append(file.source)
        part["paths"].append(file.path)
        part["sizes"].append(file.size)
        part["times"].append(file.mtime_ns // 1_000_000_000)
        taken += length
    if part["paths"]:
        yield part


def _new_part() -> dict[str, list[Any]]:
    return {"sources": [], "paths": [], "sizes": [], "times": []}


def _file(number: int, asked: Mapping[str, Any], spool: _Spool) -> Answer:
    """The content of one small file."""
    path, most = str(asked["path"]), min(int(asked["most"]), MOST_FILE_BYTES)
    shown = printable(path)
    try:
        # Not blocking, as a pipe would wait for ever; what it is, is known once it is open.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise OutOfReach(f"There is no file {shown}.", hint="Check the path.", code="no-file") from None
    except PermissionError:
        raise OutOfReach(
            f"No permission to read {shown}.",
            hint="Ask for read permission for the account that jobs run as.",
            code="source-denied",
        ) from None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise OutOfReach(f"{shown} is not a file.", hint="Name the file itself.", code="no-file")
    with os.fdopen(handle, "rb") as stream:
        if found.st_size > most:
            raise FindingError(
                f"{shown} has {found.st_size / 2**20:,.1f} MB; no more than {most / 2**20:,.0f} MB are brought home.",
                hint="Copy it to this machine yourself, and name its path here.",
                code="file-too-large",
            )
        parts, size = 0, 0
        # It may grow meanwhile: what was asked for is the most that is read.
        while size < most and (piece := stream.read(min(PART_BYTES, most - size))):
            parts, size = parts + 1, size + len(piece)
            spool.say("bytes", {"of": number, "part": parts, "data": base64.b64encode(piece).decode()})
    return {"parts": parts, "size": size}


_HOW: dict[str, Callable[[int, Mapping[str, Any], _Spool], Answer]] = {
    "check": _check,
    "listing": _listing,
    "file": _file,
}
