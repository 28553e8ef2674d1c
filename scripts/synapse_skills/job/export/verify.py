"""An export read back: every file by its hash, every format by its verifier, every count against the summary."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from synapse_skills.errors import UsageError, printable
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Verified
from synapse_skills.job.export.checksums import shares_of
from synapse_skills.job.export.manifest import VERSION, File, Manifest, digest_of, read_manifest, walk
from synapse_skills.job.export.output import COMPLETE, MANIFEST, MARKER, METADATA, OURS, SUMMARY
from synapse_skills.job.export.write import RECORDS
from synapse_skills.on_disk import Firsts, in_order, side_by_side
from synapse_skills.report import Problem, Problems

AGAIN = "Export again."
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(File).decode


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


def _manifest(folder: Path, problems: Problems) -> Manifest | None:
    try:
        said = (folder / COMPLETE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        problems.add("incomplete", f"no {COMPLETE} in {folder.name}", fix=_unfinished(folder))
        said = ""
    try:
        manifest = read_manifest(folder / MANIFEST)
    except FileNotFoundError:
        problems.add("no-manifest", MANIFEST, fix=AGAIN)
        return None
    except (OSError, ValueError) as error:
        problems.add("bad-manifest", f"{MANIFEST}: {error}", fix=AGAIN)
        return None
    if manifest.version != VERSION:
        problems.add("bad-manifest", f"version {manifest.version}", fix="Verify it with the version that made it.")
        return None
    if said and manifest.digest != said:
        problems.add("bad-manifest", f"{MANIFEST} is another than {COMPLETE} says", fix=AGAIN)
    return manifest


def _files(folder: Path, manifest: Manifest, found: Inspected, problems: Problems) -> set[str]:
    """Hold every file against the manifest; folders in which something is no file, which nobody should open."""
    odd: set[str] = set()
    listed = in_order((each.path.encode(), _encode(each)) for each in manifest.files())
    there = in_order((os.fsencode(path), b"") for path in walk(folder) if path not in OURS)
    for name, (said, is_there) in side_by_side(listed, there):
        relative = os.fsdecode(name)
        if not is_there:
            problems.add("missing-file", printable(relative)[:300], fix=AGAIN)
            continue
        # No `Path`: Python 3.12 keeps each part of each path for ever (it interns them).
        about = os.lstat(f"{folder}/{relative}")
        if not stat.S_ISREG(about.st_mode):
            odd.add(relative.partition("/")[0])
            problems.add("link", f"{relative} is no plain file", fix=AGAIN)
            continue
        if not said:
            problems.add("unknown-file", relative, severity="warning", fix="It is none of the export's.")
            continue
        each = _decode(said[-1])
        if about.st_size != each.bytes:
            problems.add("changed-file", f"{relative}: {about.st_size} bytes, {each.bytes} were written", fix=AGAIN)
        elif digest_of(f"{folder}/{relative}", each.bytes) != each.sha256:
            problems.add("changed-file", f"{relative}: other bytes than were written", fix=AGAIN)
        else:
            found.files += 1
            found.bytes += each.bytes
    return odd


def _formats(folder: Path, manifest: Manifest, odd: set[str], found: Inspected, problems: Problems) -> None:
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


def _records(folder: Path, manifest: Manifest, found: Inspected, problems: Problems) -> None:
    parts, originals, records = Firsts(), Firsts(), Firsts()
    decoder = msgspec.json.Decoder(_Listed)
    try:
        with (folder / METADATA / RECORDS).open("rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    each = decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeError, RecursionError):
                    problems.add("bad-index", f"{METADATA}/{RECORDS}:{number}", fix=AGAIN)
                    continue
                found.records += records.claim(b"%d" % each.record) is None
                found.items[each.split] = found.items.get(each.split, 0) + 1
                if each.split:
                    _together(each, parts, problems)
                if each.split and each.checksum:
                    _shared(each, originals, problems)
    except OSError as error:
        problems.add("missing-file", f"{METADATA}/{RECORDS}: {error.strerror}", fix=AGAIN)
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


def _together(each: _Listed, parts: Firsts, problems: Problems) -> None:
    """Whether what belongs together is in one part of the split."""
    first = parts.claim(each.group.encode(), each.split.encode())
    if first is not None and first != each.split.encode():
        problems.add("split-leak", f"{each.group} is in {first.decode()} and {each.split}", fix=AGAIN)


def _shared(each: _Listed, originals: Firsts, problems: Problems) -> None:
    """Whether the same original stands in another part of the split, under whatever name."""
    first = originals.claim(str(each.checksum).lower().encode(), f"{each.split}\n{each.name}".encode())
    split, _, name = (first or b"").decode().partition("\n")
    if first is not None and split != each.split:
        fix = "Plan with split.by=checksum: it keeps each of them in one part."
        problems.add("shared-originals", f"{split}: {name}, {each.split}: {each.name}", severity="warning", fix=fix)
