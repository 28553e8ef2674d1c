"""JSON by class: a file for each class of a record, `<stem>_<postfix>.json`, in the folders of its data unit.

    annotations/[<split>/][<folders>/]<stem>_<postfix>.json
    videos/[<split>/][<folders>/]<name>      originals, if they were asked for (images/, audios/ … likewise)
    mapping.json                             class → postfix, and folders that no file system takes as they are
    records.jsonl                            which file is whose, and how many annotations are in it

The convention of exports that hand out one kind of description at a time. A file is the record's payload, value for
value, less the annotations of other classes: what reads a whole payload reads this too. Groups and relations stay in
it if one of their annotations does; everything else (`extra`, `assignmentId`, what nobody knows) stays. The postfix is
the class as the export calls it, the content says it as it was labelled. Folders and classes keep their exact text
unless a file system can't hold it, or a file beside the folder may be called so (`a.png`); then the name ends in `~`
and a hash, and mapping.json tells what it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec

from synapse_skills.annotations.model import Tool
from synapse_skills.formats import payloads
from synapse_skills.formats.base import Format, Item, Loss, Settings, Verified
from synapse_skills.formats.names import MAX_NAME_BYTES, Taken, safe_segment, shortened, with_digest
from synapse_skills.formats.synapse_json import INDEX, Places, index, originals_folder, read_document
from synapse_skills.report import Problems, write_json

MAPPING = "mapping.json"
NOT_FOUND = "not-in-payload"


class Line(msgspec.Struct):
    """One line of the index; `annotations` are those in the file's lists."""

    file: str
    record_id: int
    data_unit_id: int | None
    split: str
    label: str = msgspec.field(name="class")
    annotations: int


class ClassJson:
    """See the module; the protocol is `base.Writer`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.rows: dict[str, int] = dict.fromkeys(settings.splits or ("",), 0)
        self.notes: dict[str, int] = {}
        self._folder = folder
        self._classes = settings.classes
        self._places = Places(folder)
        self._postfixes = _Postfixes()
        self._taken = Taken()
        self._record: int | None = None
        self._absent: set[tuple[str, str]] = set()
        self._index = (folder / INDEX).open("wb")

    def write(self, item: Item) -> Sequence[Loss]:
        """Write all files of a record when its first medium comes; of each medium tell what is lost."""
        if item.record.key != self._record:
            self._record = item.record.key
            self._absent = self._write_record(item)
        losses = []
        for each in item.media.annotations:
            place = self._classes.place(each)
            if isinstance(place, str):
                losses.append(Loss(each, place))
            elif (item.media.key, each.id) in self._absent:
                losses.append(Loss(each, NOT_FOUND, "the payload doesn't name it by this id"))
        return losses

    def place(self, item: Item) -> str:
        """Beside the annotations, in the same folders."""
        return f"{self._places.of(originals_folder(item), item)}{item.name}"

    def close(self) -> None:
        """Write the mapping and close the index."""
        self._index.close()
        mapping = {"classes": dict(sorted(self._postfixes.by_class.items())), "folders": self._places.changed}
        write_json(self._folder / MAPPING, mapping)

    def _write_record(self, item: Item) -> set[tuple[str, str]]:
        """Write the files of a record; which of its annotations were not found in the payload."""
        record = item.record
        by_class: dict[int, set[tuple[str, str]]] = {}
        for media in record.document.media:
            for each in media.annotations:
                place = self._classes.place(each)
                if not isinstance(place, str):
                    by_class.setdefault(place, set()).add((media.key, each.id))
        if not by_class:
            return set()
        payload = payloads.Payload(record.payload or b"null", record.document)
        absent: set[tuple[str, str]] = set()
        for place in sorted(by_class):
            wanted = by_class[place]
            content, found, number = payload.only(wanted)
            absent |= wanted - found
            if found:
                self._write_file(item, self._classes.names[place], content, number)
        return absent

    def _write_file(self, item: Item, label: str, content: bytes, number: int) -> None:
        folder = self._places.made("annotations", item)
        name = shortened(item.stem, f"_{self._postfixes.of(label)}.json")
        # `a` with class `b_c` and `a_b` with class `c` would be one file.
        if not self._taken.claim(folder + name):
            name = shortened(item.stem, f"_{self._postfixes.of(label)}__{item.record.key}.json")
            self._taken.claim(folder + name)
        (self._folder / folder / name).write_bytes(content)
        record = item.record
        line = Line(folder + name, record.id, record.data_unit, item.split, label, number)
        self._index.write(msgspec.json.encode(line) + b"\n")
        self.rows[item.split] = self.rows.get(item.split, 0) + 1


class _Postfixes:
    """What each class is called in file names: no two the same, not even where case makes no difference."""

    def __init__(self) -> None:
        self.by_class: dict[str, str] = {}
        self._taken = Taken()

    def of(self, label: str) -> str:
        found = self.by_class.get(label)
        if found is None:
            found = safe_segment(label, limit=MAX_NAME_BYTES // 3)
            if not self._taken.claim(found):
                found = with_digest(label, limit=MAX_NAME_BYTES // 3)
                self._taken.claim(found)
            self.by_class[label] = found
        return found


def verify(folder: Path) -> Verified:
    """Every file of the index is there, parses and has as many annotations as it should; no other file is there."""
    found, problems = Verified(), Problems()
    listed = 0
    mapping = read_document(folder, MAPPING, problems)
    classes = mapping.get("classes", {}) if isinstance(mapping, dict) else {}
    last: tuple[int, str] | None = None
    for line in index(folder / INDEX, Line, problems):
        listed += 1
        if (line.record_id, line.split) != last:
            last = (line.record_id, line.split)
            found.items[line.split] = found.items.get(line.split, 0) + 1
        found.rows[line.split] = found.rows.get(line.split, 0) + 1
        if line.label not in classes:
            problems.add("unknown-class", f"{line.file}: {line.label}", fix="Export again.")
        document = read_document(folder, line.file, problems)
        if not isinstance(document, dict):
            problems.add("not-an-object", line.file, fix="Export again.")
        elif (number := payloads.count(document)) != line.annotations:
            problems.add(
                "wrong-count", f"{line.file}: {number} annotations, not {line.annotations}", fix="Export again."
            )
    there = sum(1 for path in (folder / "annotations").rglob("*.json") if path.is_file())
    if there > listed:
        problems.add("unknown-file", f"{there} files, {listed} in {INDEX}", count=there - listed)
    found.problems = problems.as_list()
    return found


FORMAT = Format(
    name="class_json",
    title="JSON by class (a file for each class of a record, in folders by category)",
    media=(),
    holds=dict.fromkeys(get_args(Tool), "exact"),
    needs_size=False,
    options=(),
    write=ClassJson,
    verify=verify,
)
