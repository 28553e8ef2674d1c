"""What has been converted into a folder: lines that are only ever added, so that a kill loses one file's work."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from synapse_skills.errors import OutOfReach, UsageError, printable
from synapse_skills.media.conversion import PART_PREFIX, PART_SUFFIX
from synapse_skills.media.failures import Converted
from synapse_skills.media.tree import Original
from synapse_skills.texts import parse_json

NAME = f"{PART_PREFIX}conversions.jsonl"
_LOCK = f"{PART_PREFIX}conversions.lock"
_VERSION = 1


class Manifest:
    """The names that results were given, and which of them are done; one run at a time."""

    def __init__(self, out: Path, source: Path, target: str) -> None:
        self._out = out
        self._path = out / NAME
        self._target = target
        self._done: dict[str, dict[str, Any]] = {}
        self.names: dict[str, str] = {}
        self._lock = _locked(out / _LOCK)
        try:
            self._source = str(source.absolute()).encode("utf-8", "backslashreplace").decode()
            self._read()
            self._lines: IO[str] = self._path.open("a", encoding="utf-8")
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Let go of the folder."""
        self._lines.close()
        self._lock.close()

    def _read(self) -> None:
        """Take over what is known; a last line that a kill has cut off is cut away."""
        if not self._path.exists():
            header = {"version": _VERSION, "source": self._source}
            self._path.write_text(json.dumps(header, ensure_ascii=False) + "\n", encoding="utf-8")
            return
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self._path.open("r+b") as stream:
                stream.truncate(len(whole))
        lines = [_row(line) for line in whole.splitlines()]
        if not lines:
            self._path.unlink()
            self._read()
            return
        if lines[0].get("version") != _VERSION or lines[0].get("source") != self._source:
            raise UsageError(
                f"{printable(str(self._out))} holds what was made of {printable(str(lines[0].get('source')))}.",
                hint="Name another folder with --out: one folder for one source.",
                code="conversions-of-another",
            )
        for row in lines[1:]:
            path, name = row.get("path"), row.get("name")
            if isinstance(path, str) and isinstance(name, str) and row.get("to") == self._target:
                self.names[path] = name
                if "bytes" in row:
                    self._done[path] = row

    def name(self, names: Iterable[tuple[str, str]]) -> None:
        """Write down which names are ours, before any file has one of them."""
        for path, name in names:
            if path not in self.names:
                self.names[path] = name
                self._write({"path": path, "to": self._target, "name": name})
        self._lines.flush()
        os.fsync(self._lines.fileno())

    def is_done(self, original: Original) -> bool:
        """Whether this very file, unchanged, was converted, and the result is there."""
        row = self._done.get(original.path, {})
        seen = (row.get("size"), row.get("modified_ns"))
        return seen == (original.size, original.modified_ns) and self._size(row) == row.get("bytes")

    def is_foreign(self, original: Original) -> bool:
        """Whether somebody has changed the result since it was made: it is not written over."""
        row = self._done.get(original.path, {})
        return bool(row) and self._size(row) not in (None, row.get("bytes"))

    def _size(self, row: dict[str, Any]) -> int | None:
        try:
            return (self._out / str(row["name"])).stat().st_size
        except (OSError, KeyError):
            return None

    def notes(self, original: Original) -> tuple[str, ...]:
        """What was noted when it was converted."""
        notes = self._done[original.path].get("notes")
        return tuple(str(note) for note in notes) if isinstance(notes, list) else ()

    def done(self, original: Original, made: Converted) -> None:
        """One more is there, whole."""
        row = {"path": original.path, "to": self._target, "name": self.names[original.path], "size": original.size}
        self._write({**row, "modified_ns": original.modified_ns, "bytes": made.bytes, "notes": list(made.notes)})
        self._lines.flush()

    def _write(self, row: dict[str, Any]) -> None:
        self._lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def sweep(out: Path) -> None:
    """Remove what a killed run was writing; only for who holds the folder's lock."""
    for folder, _, names in os.walk(out):
        for name in names:
            if name.startswith(PART_PREFIX) and name.endswith(PART_SUFFIX):
                Path(folder, name).unlink(missing_ok=True)


def _row(line: bytes) -> dict[str, Any]:
    try:
        row = parse_json(line, 0)
    except ValueError:
        return {}  # a damaged line: its file is converted again
    return row if isinstance(row, dict) else {}


def _locked(path: Path) -> IO[str]:
    stream = path.open("a", encoding="utf-8")
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        stream.close()
        raise OutOfReach(
            f"Another run converts into {printable(str(path.parent))}, or its file system can't lock files.",
            hint="Wait for it, or name another folder with --out.",
            code="already-running",
        ) from None
    return stream
