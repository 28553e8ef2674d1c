"""Every format written in one pass over the records, and every annotation accounted for: written, or lost and why."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from synapse_skills.annotations import NeedsPayload, Unreadable, count_annotations, file_of, size_of
from synapse_skills.annotations.model import Annotation, Media, MediaFile, Record
from synapse_skills.errors import printable
from synapse_skills.export_plan import ExportPlan
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Format, Item, Loss, Settings, Writer
from synapse_skills.formats.classes import Classes
from synapse_skills.formats.names import Names
from synapse_skills.formats.parts import PartWriter, pour
from synapse_skills.formats.reasons import NOT_HELD, TOOL_LEFT_OUT, not_held
from synapse_skills.job.export.checksums import Checksums
from synapse_skills.job.export.contents import MOST_NAMES, Contents, Counted
from synapse_skills.job.export.decide import PAYLOAD_MISSING, UNREADABLE, parts_of
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.output import METADATA
from synapse_skills.job.export.records import media_of, read_record
from synapse_skills.job.export.wanted import Wanted
from synapse_skills.job.export.written import Tally, Written, add_counts
from synapse_skills.report import MAX_EXAMPLES

BATCH = 500
QUARANTINED = "record-quarantined"
ORIGINAL_MISSING = "original-missing"
BROKEN = "writer-failed"
RECORDS = "records.jsonl"
QUARANTINE = "quarantine.jsonl"

Place = Callable[[Record, Media, MediaFile | None, Path], bool]
"""Puts the original of a medium somewhere; False if it isn't there."""
SizeOf = Callable[[Record, Media], tuple[int, int] | None]


@dataclass(frozen=True)
class Part:
    """A range of the records that was written apart: what was counted, and what its writers tell by format."""

    done: Written
    left: dict[str, Any]
    contents: Counted
    checksums: list[tuple[str, str, str]]


@dataclass
class _Part:
    """One format on its way."""

    format: Format
    folder: Path
    writer: Writer
    tally: Tally


class Export:
    """One pass of writing.

    Args:
        plan: what to write.
        index: what was fetched, decided upon.
        folders: where each format goes; empty folders.
        metadata: the folder for `records.jsonl`.
        quarantine: the file for what is set aside.
        seen: labelled classes for `unknown: add`.
        place: see `Place`; None if no originals are wanted.
        rest: where originals go that no format places.
        convert: the script's own, for the format `custom`.
        probed: sizes that had to be looked up in the pictures; `channels` likewise, for formats that say them.
        on_record: is told of so many more.
        names: gives each medium its name; those of a part are given before (`parts.py`).
        places: what is written is one of several parts: `leave` it instead of `run`. Here are the folders of the whole
            formats, to which files of one record alone go.
    """

    def __init__(
        self,
        plan: ExportPlan,
        index: Index,
        folders: Mapping[str, Path],
        *,
        metadata: Path,
        quarantine: Path,
        seen: Sequence[str] = (),
        place: Place | None = None,
        rest: Path | None = None,
        convert: Callable[[Any], Any] | None = None,
        probed: SizeOf = lambda record, media: None,
        channels: Callable[[Record, Media], int | None] = lambda record, media: None,
        on_record: Callable[[int], None] = lambda count: None,
        names: Callable[[Record, MediaFile | None], str] | None = None,
        places: Mapping[str, Path] | None = None,
    ) -> None:
        self.plan = plan
        self.index = index
        self.done = Written()
        self._places = places
        self.on_record = on_record
        self._place = place
        self._rest = rest
        self._convert = convert
        self._probed = probed
        self._channels = channels if "voc" in folders else None
        self._metadata = metadata
        self._quarantine = quarantine
        self._name_of = names or Names(plan.naming).of
        self._classes = Classes(plan.classes, seen)
        self._contents = Contents(self._classes, most=MOST_NAMES if places is None else sys.maxsize)
        self._wanted = Wanted(plan.tools, plan.classes, plan.formats)
        self._checksums = Checksums(index.database)
        self._has_folders = "class_json" in folders
        self._has_missing = index.database.execute("SELECT 1 FROM missing LIMIT 1").fetchone() is not None
        self._parts = [self._part(each.name, each.options, folders[each.name]) for each in plan.formats]

    def _part(self, name: str, options: Mapping[str, Any], folder: Path) -> _Part:
        format = FORMATS[name]
        settings = Settings(
            classes=self._classes,
            splits=parts_of(self.plan.split),
            geometry=self.plan.geometry,
            options=format.complete(options),
            title=self.plan.name,
            convert=self._convert,
            is_part=self._places is not None,
            files=self._places[name] if self._places is not None else None,
        )
        tally = self.done.formats[name] = Tally()
        return _Part(format, settings.files or folder, format.write(folder, settings), tally)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class list as it is written."""
        return self._classes.names

    def run(self) -> Written:
        """Write everything."""
        self._write_all()
        return self._finish()

    def leave(self) -> Part:
        """Write everything, as one part of several."""
        self._write_all()
        left = {each.format.name: cast(PartWriter, each.writer).leave() for each in self._parts}
        for each in self._parts:
            self.done.rows[each.format.name] = each.writer.rows
            self.done.notes[each.format.name] = each.writer.notes
        return Part(self.done, left, self._contents.counted(), self._checksums.all())

    def join(self, parts: Iterable[tuple[Part, Path]]) -> Written:
        """Put together what was written in parts, in order: each with the folder that its formats lie in."""
        self._metadata.mkdir(parents=True, exist_ok=True)
        with self._quarantine.open("wb") as aside, (self._metadata / RECORDS).open("wb") as listed:
            for part, folder in parts:
                pour(folder / QUARANTINE, aside)
                pour(folder / METADATA / RECORDS, listed)
                self.done.add(part.done)
                self._contents.add_all(part.contents)
                self._checksums.add_all(part.checksums)
                for each in self._parts:
                    name = each.format.name
                    add_counts(each.writer.rows, part.done.rows[name])
                    add_counts(each.writer.notes, part.done.notes[name])
                    cast(PartWriter, each.writer).take(folder / name, part.left[name])
                shutil.rmtree(folder)
                self.on_record(part.done.records)
        return self._finish()

    def _write_all(self) -> None:
        self._metadata.mkdir(parents=True, exist_ok=True)
        with self._quarantine.open("wb") as aside, (self._metadata / RECORDS).open("wb") as listed:
            for keys in self._keys():
                for key, split, part, quarantined in keys:
                    self._record(key, split, part, quarantined, aside.write, listed.write)
                self.on_record(len(keys))

    def _finish(self) -> Written:
        for each in self._parts:
            each.writer.close()
            self.done.rows[each.format.name] = dict(each.writer.rows)
            if each.writer.notes:
                self.done.notes[each.format.name] = dict(sorted(each.writer.notes.items()))
        self.done.contents = self._contents.as_dict()
        if self.plan.split is not None:
            self.done.shared, self.done.shared_examples = self._checksums.shared()
        return self.done

    def _keys(self) -> Iterator[list[tuple[int, str, str, str]]]:
        last = -1
        while True:
            rows = self.index.database.execute(
                "SELECT key, split, COALESCE(part, ''), quarantined FROM record WHERE key > ? AND left_out = '' "
                "ORDER BY key LIMIT ?",
                (last, BATCH),
            ).fetchall()
            if not rows:
                return
            yield rows
            last = rows[-1][0]

    # -- one record ------------------------------------------------------------------------------------------------

    def _record(
        self, key: int, split: str, part: str, quarantined: str, aside: Callable[[bytes], Any], listed: Any
    ) -> None:
        record, detail = None, ""
        try:
            record = read_record(self.index, key, self.plan.target)
        except Unreadable as error:
            quarantined, detail = UNREADABLE, str(error)
        except NeedsPayload:
            quarantined, detail = PAYLOAD_MISSING, "The payload could not be fetched."
        if record is not None:
            self._count_issues(record)
        missing = self._missing(record) if record is not None and not quarantined else ""
        if missing:
            quarantined, detail = ORIGINAL_MISSING, missing
        if quarantined or record is None:
            detail = detail or self.index.why_aside(key)
            self._set_aside(key, record, quarantined, detail, aside)
            return
        self.done.records += 1
        self.done.annotations += count_annotations(record.document)
        for media in media_of(record):
            file = file_of(record, media)
            item = self._item(record, media, file, split)
            checksum = file.checksum if file is not None and split else None
            if checksum:
                self._checksums.add(checksum, split, item.name)
            listed(_line(item, part, checksum))
            self.done.items[split] = self.done.items.get(split, 0) + 1
            ours, others = self._wanted.of(media)
            part_of_it = item
            if others:
                wanted = msgspec.structs.replace(media, annotations=ours)
                part_of_it = msgspec.structs.replace(item, media=wanted)
            self._contents.add(part_of_it)
            for each in self._parts:
                # The payload as it came is the payload as it came, whatever its tools are.
                whole = each.format.is_raw or not others
                if not whole:
                    self._leave_out(each, record, others)
                self._write(each, item if whole else part_of_it)
            self._originals(item)
        self._lose_issues(record)

    def _item(self, record: Record, media: Media, file: MediaFile | None, split: str) -> Item:
        size = size_of(record, media) or (self._probed(record, media) if media.kind == "image" else None)
        folders: tuple[str, ...] = ()
        if self._has_folders:
            category = record.meta.get("category")
            folders = (category,) if isinstance(category, str) and category else ()
        name = self._name_of(record, file)
        width, height = size or (None, None)
        channels = self._channels(record, media) if self._channels is not None and media.kind == "image" else None
        return Item(record, media, name, split, width, height, folders, channels)

    def _leave_out(self, part: _Part, record: Record, annotations: Sequence[Annotation]) -> None:
        for each in annotations:
            part.tally.lose(TOOL_LEFT_OUT, 1, printable(f"record {record.key}, {each.id}: {each.tool}")[:200])

    def _write(self, part: _Part, item: Item) -> None:
        annotations = item.media.annotations
        if part.format.media and item.media.kind not in part.format.media:
            part.tally.lose(
                not_held(item.media.kind),
                len(annotations),
                f"record {item.record.key}: {item.media.kind or 'no media'}",
            )
            return
        try:
            losses = part.writer.write(item)
        except OSError:
            raise
        except Exception as error:
            # A bug of ours in one record: counted and said; the run goes on.
            part.tally.lose(BROKEN, len(annotations), f"record {item.record.key}: {type(error).__name__}: {error}")
            return
        lost = _once(losses)
        part.tally.written += len(annotations) - len(lost)
        for loss in lost:
            detail = f": {loss.detail}" if loss.detail else ""
            reason = reason_of(part.format, loss)
            example = f"record {item.record.key}, {loss.annotation.id}{detail}" if part.tally.wants(reason) else ""
            part.tally.lose(reason, 1, printable(example)[:200])

    def _lose_issues(self, record: Record) -> None:
        """Annotations that could not even be read: what holds the payload as it came holds them too."""
        for issue in record.document.issues:
            if not issue.counts:
                continue
            for part in self._parts:
                if part.format.is_raw:
                    part.tally.written += 1
                else:
                    example = f"record {record.key}, {issue.annotation or issue.media}: {issue.detail or issue.code}"
                    part.tally.lose(issue.code, 1, printable(example)[:200])

    def _count_issues(self, record: Record) -> None:
        for issue in record.document.issues:
            self.done.issues[issue.code] = self.done.issues.get(issue.code, 0) + 1
            kept = self.done.issue_examples.setdefault(issue.code, [])
            if len(kept) < MAX_EXAMPLES:
                where = " ".join(filter(None, (issue.media, issue.annotation)))
                kept.append(printable(f"record {record.key}, {where}: {issue.detail}")[:200])

    def _set_aside(
        self, key: int, record: Record | None, reason: str, detail: str, aside: Callable[[bytes], Any]
    ) -> None:
        readable = count_annotations(record.document) if record is not None else 0
        self.done.quarantined[reason] = self.done.quarantined.get(reason, 0) + 1
        examples = self.done.quarantine_examples.setdefault(reason, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(printable(f"record {key}: {detail}")[:200])
        self.done.annotations += readable
        for part in self._parts:
            part.tally.lose(QUARANTINED, readable, f"record {key}: {reason}")
        line = {"record": key, "reason": reason, "detail": detail, "annotations": readable}
        aside(json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")

    # -- originals -------------------------------------------------------------------------------------------------

    def _missing(self, record: Record) -> str:
        """Why a record whose originals are required can't be exported; '' if nothing is missing."""
        if not self._has_missing:
            return ""
        found = self.index.database.execute("SELECT media, reason FROM missing WHERE key = ?", (record.key,)).fetchall()
        self.done.missing += len(found)
        if self.plan.originals != "required" or not found:
            return ""
        return "; ".join(f"{media}: {reason}" for media, reason in found)

    def _originals(self, item: Item) -> None:
        if self._place is None:
            return
        file = file_of(item.record, item.media)
        places = []
        for part in self._parts:
            if part.format.media and item.media.kind not in part.format.media:
                continue
            wanted = part.writer.place(item)
            if wanted is not None:
                places.append(part.folder / wanted)
        if not places and self._rest is not None and file is not None:
            places.append(self._rest / item.split / item.name)
        there = [self._place(item.record, item.media, file, path) for path in dict.fromkeys(places)]
        self.done.originals += any(there)


def reason_of(form: Format, loss: Loss) -> str:
    """Why an annotation is lost: what has no place in a format is told apart by its tool, for consent to each."""
    is_ours = loss.reason == NOT_HELD and not form.by_script
    return not_held(loss.annotation.tool) if is_ours else loss.reason


def _once(losses: Sequence[Loss]) -> list[Loss]:
    """Each annotation is lost once, whatever a writer says of it."""
    return list({id(loss.annotation): loss for loss in reversed(losses)}.values())[::-1] if losses else []


# One for all: json.dumps makes a new one for each line.
_as_json = json.JSONEncoder(ensure_ascii=False).encode


def _line(item: Item, part: str, checksum: str | None) -> bytes:
    """Which record a file of the export comes from, and with what it was kept together."""
    about = {
        "record": item.record.key,
        "id": item.record.id,
        "data_unit": item.record.data_unit,
        "media": item.media.key,
        "name": item.name,
        "split": item.split,
        "group": part,
    } | ({"checksum": checksum} if checksum else {})
    return _as_json(about).encode("utf-8", "backslashreplace") + b"\n"
