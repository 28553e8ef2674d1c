"""An export read back: every file by its hash, every format by its verifier, every count against the summary."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from synapse_skills.errors import UsageError, printable
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Verified
from synapse_skills.job.export.checksums import shares_of
from synapse_skills.job.export.output import (
    COMPLETE,
    MANIFEST,
    MANIFEST_VERSION,
    MARKER,
    METADATA,
    OURS,
    SUMMARY,
    digest_of,
    walk,
)
from synapse_skills.job.export.write import RECORDS
from synapse_skills.report import Problem, Problems

AGAIN = "Export again."


@dataclass
class Inspected:
    """What was found in an output.

    Attributes:
        files: with the hash that the manifest says; `bytes` of them.
        records: that the list of records names; `items` media of theirs by part.
        formats: what each format's verifier found.
    """

    files: int = 0
    bytes: int = 0
    records: int = 0
    items: dict[str, int] = field(default_factory=dict)
    formats: dict[str, Verified] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong."""
        return not any(problem.severity == "error" for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """As the JSON document of `verify_export`."""
        return {
            "ok": self.is_fine,
            "files": self.files,
            "bytes": self.bytes,
            "records": self.records,
            "items": self.items,
            "formats": {name: {"items": each.items, "rows": each.rows} for name, each in self.formats.items()},
            "problems": [problem.model_dump() for problem in self.problems],
        }


class _Listed(msgspec.Struct):
    record: int
    split: str
    group: str
    name: str = ""
    data_unit: int | None = None
    checksum: str | None = None


class _File(msgspec.Struct):
    path: str
    bytes: int
    sha256: str


class _Rows(msgspec.Struct):
    rows: dict[str, int] = {}


class _Counts(msgspec.Struct):
    formats: dict[str, _Rows] = {}
    records: int | None = None


class _Manifest(msgspec.Struct):
    version: int
    counts: _Counts
    files: list[_File]


class _Kept(msgspec.Struct):
    written: int = 0
    lost: dict[str, int] = {}


class _Annotations(msgspec.Struct):
    read: int
    formats: dict[str, _Kept]


class _Exported(msgspec.Struct):
    exported: int


class _Summary(msgspec.Struct):
    records: _Exported
    annotations: _Annotations
    items: dict[str, int]
    reached: dict[str, float] | None = None


def verify_output(folder: Path) -> Inspected:
    """Read an export back.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {printable(str(folder))}.", hint="Name the output of an export.")
    found, problems = Inspected(), Problems()
    manifest = _manifest(folder, problems)
    if manifest is not None:
        odd = _files(folder, manifest, found, problems)
        _formats(folder, manifest, odd, found, problems)
        _records(folder, manifest, found, problems)
    if not found.files or not found.items:
        is_empty = manifest is not None and manifest.counts.records == 0
        fix = (
            "No record was exported: the report says why." if is_empty else "This is no finished export: run it again."
        )
        problems.add("nothing-inspected", printable(str(folder)), fix=fix)
    found.problems = problems.as_list()
    return found


def _unfinished(folder: Path) -> str:
    """What to do about a folder without COMPLETE: it may be none of ours."""
    if (folder / MARKER).is_file():
        return "Run the export again: it goes on."
    return "This is no output of an export: name the folder that the plan calls `output`."


def _manifest(folder: Path, problems: Problems) -> _Manifest | None:
    try:
        said = (folder / COMPLETE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        problems.add("incomplete", f"no {COMPLETE} in {folder.name}", fix=_unfinished(folder))
        said = ""
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(content, type=_Manifest)
    except FileNotFoundError:
        problems.add("no-manifest", MANIFEST, fix=AGAIN)
        return None
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        problems.add("bad-manifest", f"{MANIFEST}: {error}", fix=AGAIN)
        return None
    if manifest.version != MANIFEST_VERSION:
        problems.add("bad-manifest", f"version {manifest.version}", fix="Verify it with the version that made it.")
        return None
    if said and hashlib.sha256(content).hexdigest() != said:
        problems.add("bad-manifest", f"{MANIFEST} is another than {COMPLETE} says", fix=AGAIN)
    return manifest


def _files(folder: Path, manifest: _Manifest, found: Inspected, problems: Problems) -> set[str]:
    """Hold every file against the manifest; folders in which something is no file, which nobody should open."""
    odd: set[str] = set()
    known = {each.path: each for each in manifest.files}
    there: set[str] = set()
    for path in walk(folder):
        relative = path.relative_to(folder).as_posix()
        if relative in OURS:
            continue
        each = known.get(relative)
        if not stat.S_ISREG(path.lstat().st_mode):
            odd.add(relative.partition("/")[0])
            there.add(relative)
            problems.add("link", f"{relative} is no plain file", fix=AGAIN)
            continue
        if each is None:
            problems.add("unknown-file", relative, severity="warning", fix="It is none of the export's.")
            continue
        there.add(relative)
        size = path.stat().st_size
        if size != each.bytes:
            problems.add("changed-file", f"{relative}: {size} bytes, {each.bytes} were written", fix=AGAIN)
            continue
        if digest_of(path, size) != each.sha256:
            problems.add("changed-file", f"{relative}: other bytes than were written", fix=AGAIN)
            continue
        found.files += 1
        found.bytes += size
    for path_said in known:
        if path_said not in there:
            problems.add("missing-file", printable(path_said)[:300], fix=AGAIN)
    return odd


def _formats(folder: Path, manifest: _Manifest, odd: set[str], found: Inspected, problems: Problems) -> None:
    said = manifest.counts.formats
    if not said:
        problems.add("bad-manifest", "no formats", fix=AGAIN)
        return
    for name, counts in said.items():
        if name not in FORMATS:
            problems.add("unknown-format", printable(str(name)), fix="Verify it with the version that made it.")
            continue
        if name in odd:
            continue
        verified = found.formats[name] = check_format(name, folder / name, counts.rows)
        for problem in verified.problems:
            problems.merge(problem)


def check_format(name: str, folder: Path, rows: dict[str, int]) -> Verified:
    """A format's folder by its own verifier, and against the rows that its writer counted."""
    problems = Problems()
    if not folder.is_dir():
        problems.add("missing-file", f"{name}/", fix=AGAIN)
        return Verified(problems=problems.as_list())
    verified = FORMATS[name].verify(folder)
    for problem in verified.problems:
        marked = problem.model_copy(update={"examples": [f"{name}: {example}" for example in problem.examples]})
        problems.merge(marked)
    wanted = {part: count for part, count in rows.items() if count}
    there = {part: count for part, count in verified.rows.items() if count}
    # A format that always has parts calls the whole `train`: then only the sum can be compared.
    if sum(wanted.values()) != sum(there.values()) or (set(wanted) == set(there) and wanted != there):
        problems.add("count-differs", f"{name}: {there} read back, {wanted} written", fix=AGAIN)
    verified.problems = problems.as_list()
    return verified


def _records(folder: Path, manifest: _Manifest, found: Inspected, problems: Problems) -> None:
    parts: dict[str, str] = {}
    originals: dict[str, tuple[str, str]] = {}
    records: set[int] = set()
    decoder = msgspec.json.Decoder(_Listed)
    try:
        with (folder / METADATA / RECORDS).open("rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    each = decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeError, RecursionError):
                    problems.add("bad-index", f"{METADATA}/{RECORDS}:{number}", fix=AGAIN)
                    continue
                records.add(each.record)
                found.items[each.split] = found.items.get(each.split, 0) + 1
                if each.split and parts.setdefault(each.group, each.split) != each.split:
                    problems.add("split-leak", f"{each.group} is in {parts[each.group]} and {each.split}", fix=AGAIN)
                if each.split and each.checksum:
                    _shared(each, originals, problems)
    except OSError as error:
        problems.add("missing-file", f"{METADATA}/{RECORDS}: {error.strerror}", fix=AGAIN)
    found.records = len(records)
    try:
        summary = msgspec.json.decode((folder / METADATA / SUMMARY).read_bytes(), type=_Summary)
    except FileNotFoundError as error:
        problems.add("missing-file", f"{METADATA}/{SUMMARY}: {error.strerror}", fix=AGAIN)
        return
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        problems.add("bad-index", f"{METADATA}/{SUMMARY}: {error}", fix=AGAIN)
        return
    said = [manifest.counts.records, summary.records.exported]
    if any(count != found.records for count in said):
        problems.add("count-differs", f"{found.records} records are listed, {said} were counted", fix=AGAIN)
    if summary.items != found.items:
        problems.add("count-differs", f"{found.items} media are listed, {summary.items} counted", fix=AGAIN)
    reached = summary.reached
    if reached and reached != shares_of({part: found.items.get(part, 0) for part in reached}):
        problems.add("count-differs", f"{reached} is not the share of {found.items}", fix=AGAIN)
    read = summary.annotations.read
    for name, counts in summary.annotations.formats.items():
        if read != counts.written + sum(counts.lost.values()):
            problems.add("count-differs", f"{name}: read {read} is not written + lost", fix=AGAIN)


def _shared(each: _Listed, originals: dict[str, tuple[str, str]], problems: Problems) -> None:
    """Whether the same original stands in another part of the split, under whatever name."""
    split, name = originals.setdefault(str(each.checksum).lower(), (each.split, each.name))
    if split != each.split:
        fix = "Plan with split.by=checksum: it keeps each of them in one part."
        problems.add("shared-originals", f"{split}: {name}, {each.split}: {each.name}", severity="warning", fix=fix)
