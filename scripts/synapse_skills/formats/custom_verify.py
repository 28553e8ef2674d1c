"""What a `convert` has written, read back: every file is there, JSON parses, lines and elements are counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import msgspec

from synapse_skills.formats.base import Verified
from synapse_skills.formats.synapse_json import index
from synapse_skills.report import Problems

INDEX = "_records.jsonl"
JSON_LINES = (".jsonl", ".ndjson")
AGAIN = "Export again; if it comes back, look at convert in export.py."


class Listed(msgspec.Struct):
    """One line of the index: which files a medium is in; `annotations` of it were written."""

    record_id: int
    data_unit_id: int | None
    media: str
    split: str
    annotations: int
    files: list[str] = []
    lines: list[str] = []
    entries: list[str] = []


def verify(folder: Path) -> Verified:
    """Read the index, and every file that it names."""
    found, problems = Verified(), Problems()
    lines: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    files = 0
    for each in index(folder / INDEX, Listed, problems):
        found.items[each.split] = found.items.get(each.split, 0) + 1
        found.rows[each.split] = found.rows.get(each.split, 0) + each.annotations
        lines.update(each.lines)
        entries.update(each.entries)
        for name in each.files:
            files += 1
            _check_file(folder, name, problems)
    for name, count in lines.items():
        _check_lines(folder, name, count, problems)
    for name, count in entries.items():
        _check_entries(folder, name, count, problems)
    there = sum(1 for path in folder.rglob("*") if path.is_file()) - 1
    known = files + len(lines) + len(entries)
    if there > known:
        problems.add("unknown-file", f"{there} files, {known} in {INDEX}", fix=AGAIN, count=there - known)
    found.problems = problems.as_list()
    return found


def _check_file(folder: Path, name: str, problems: Problems) -> None:
    try:
        if not name.lower().endswith(".json"):
            (folder / name).stat()
        else:
            json.loads((folder / name).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        problems.add("unreadable-file", f"{name}: {error}", fix=AGAIN)


def _check_lines(folder: Path, name: str, count: int, problems: Problems) -> None:
    number = 0
    try:
        with (folder / name).open("rb") as stream:
            for line in stream:
                number += 1
                if name.lower().endswith(JSON_LINES):
                    json.loads(line)
    except (OSError, ValueError, RecursionError) as error:
        problems.add("unreadable-file", f"{name}:{number}: {error}", fix=AGAIN)
        return
    if number != count:
        problems.add("count-differs", f"{name}: {number} lines, {count} were written", fix=AGAIN)


def _check_entries(folder: Path, name: str, count: int, problems: Problems) -> None:
    """The writer puts every element on a line of its own, so that not all of it is in memory at once."""
    number = 0
    try:
        with (folder / name).open("rb") as stream:
            first, last = next(stream, b""), b""
            for line in stream:
                if last:
                    json.loads(last.rstrip().removesuffix(b","))
                    number += 1
                last = line
        if first != b"[\n" or last != b"]\n":
            raise ValueError("the list is cut off")
    except (OSError, ValueError, RecursionError) as error:
        problems.add("unreadable-file", f"{name}: element {number + 1}: {error}", fix=AGAIN)
        return
    if number != count:
        problems.add("count-differs", f"{name}: {number} elements, {count} were written", fix=AGAIN)
