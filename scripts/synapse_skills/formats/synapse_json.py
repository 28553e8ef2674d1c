"""Synapse JSON: the payload of each record exactly as it was received, one file a record.

    annotations/[<split>/][<folders>/]<stem>.json     the `data` of the record, byte for byte; `null` if it has none
    images/[<split>/][<folders>/]<name>               originals, if they were asked for (videos/, audios/ … likewise)
    records.jsonl                                     which file is whose: the payload alone doesn't tell

Numbers, the order of keys and what isn't understood survive, because nothing is parsed. A record with several media
has one file, called after the first. With `envelope=yes` the payload is the `data` of an object that also holds the
record's ids, states and files (without their links).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from synapse_skills.annotations import FILE_SUFFIXES
from synapse_skills.annotations.model import Record, Tool
from synapse_skills.formats.base import Format, Item, Loss, Option, Settings, Verified
from synapse_skills.formats.names import MAX_NAME_BYTES, safe_segment, with_digest
from synapse_skills.formats.parts import pour
from synapse_skills.report import Problems

INDEX = "records.jsonl"


class Line(msgspec.Struct):
    """One line of the index: a file and what it belongs to."""

    file: str
    record_id: int
    data_unit_id: int | None
    split: str


class SynapseJson:
    """See the module; the protocol is `base.Writer`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.rows: dict[str, int] = dict.fromkeys(settings.splits or ("",), 0)
        self.notes: dict[str, int] = {}
        self._files = settings.files or folder
        self._has_envelope = settings.options.get("envelope", "no") == "yes"
        self._places = Places(self._files)
        self._record: int | None = None
        self._index = (folder / INDEX).open("wb")

    def write(self, item: Item) -> Sequence[Loss]:
        """Write the record when its first medium comes; everything is held."""
        record = item.record
        if record.key == self._record:
            return ()
        self._record = record.key
        relative = f"{self._places.made('annotations', item)}{item.stem}.json"
        payload = b"null" if record.payload is None else record.payload
        (self._files / relative).write_bytes(envelope(record, payload) if self._has_envelope else payload)
        self._index.write(msgspec.json.encode(Line(relative, record.id, record.data_unit, item.split)) + b"\n")
        self.rows[item.split] = self.rows.get(item.split, 0) + 1
        return ()

    def place(self, item: Item) -> str:
        """Beside the annotations, in the same folders."""
        return f"{self._places.of(originals_folder(item), item)}{item.name}"

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def leave(self) -> None:
        """End a part."""
        self._index.close()

    def take(self, folder: Path, left: None) -> None:
        """Add the index of a part."""
        pour(folder / INDEX, self._index)


class Places:
    """Folders of split and meta below a format's folder.

    Attributes:
        changed: what a file system could not hold, by value.
    """

    def __init__(self, folder: Path) -> None:
        self.changed: dict[str, str] = {}
        self._folder = folder
        self._made: set[str] = set()

    def of(self, top: str, item: Item) -> str:
        """`<top>/[<split>/][<folders>/]` of an item, with its slash."""
        segments = [_folder(each) for each in item.folders]
        self.changed.update((was, now) for was, now in zip(item.folders, segments, strict=True) if was != now)
        return "".join(f"{part}/" for part in (top, item.split, *segments) if part)

    def made(self, top: str, item: Item) -> str:
        """The same, and it is there."""
        found = self.of(top, item)
        if found not in self._made:
            (self._folder / found).mkdir(parents=True, exist_ok=True)
            self._made.add(found)
        return found


def _folder(text: str) -> str:
    """A folder that is never in the way of a file beside it: `a.png` may be a category, and a picture of none."""
    is_like_a_file = text.lower().endswith(FILE_SUFFIXES)
    return with_digest(text, limit=MAX_NAME_BYTES) if is_like_a_file else safe_segment(text)


def originals_folder(item: Item) -> str:
    """`images`, `videos` … by the kind of a medium."""
    return f"{safe_segment(item.media.kind or 'file')}s"


def envelope(record: Record, payload: bytes) -> bytes:
    """A record with its payload as `data`, value-faithful, and no link in it."""
    files = {
        file.spec: {
            "file_name_original": file.name,
            "is_primary": file.is_primary,
            "file_type": file.file_type,
            "size": file.bytes,
            "checksum": file.checksum,
            "width": file.width,
            "height": file.height,
        }
        for file in record.files
    }
    about: dict[str, Any] = {
        "files": files,
        "target": record.target,
        "project": record.project,
        "task": record.task,
        "data_unit": {"id": record.data_unit, "meta": record.meta},
        "status_label": record.status,
        "status_review": record.review,
        "is_discarded": record.is_discarded,
        "is_confirmed": record.is_confirmed,
        "category": record.category,
        "tags": record.tags,
        "created": record.created,
        "updated": record.updated,
    }
    # A lone half of a character becomes its JSON escape: that is what it was.
    text = json.dumps(about, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return b'{"id":%d,"data":%b,%b\n' % (record.id, payload, text[1:])


def verify(folder: Path) -> Verified:
    """Every file of the index is there, parses and holds an object or null; no other file is there."""
    found, problems = Verified(), Problems()
    listed = 0
    for line in index(folder / INDEX, Line, problems):
        listed += 1
        found.items[line.split] = found.items.get(line.split, 0) + 1
        found.rows[line.split] = found.rows.get(line.split, 0) + 1
        document = read_document(folder, line.file, problems)
        if document is not None and not isinstance(document, dict):
            problems.add("not-an-object", line.file, fix="Export again: a payload is an object or null.")
    there = sum(1 for path in (folder / "annotations").rglob("*.json") if path.is_file())
    if there > listed:
        problems.add("unknown-file", f"{there} files, {listed} in {INDEX}", count=there - listed)
    found.problems = problems.as_list()
    return found


def index[T](path: Path, kind: type[T], problems: Problems) -> Iterator[T]:
    """The lines of an index; what can't be read is a problem."""
    decoder = msgspec.json.Decoder(kind)
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    yield decoder.decode(line)
                except msgspec.DecodeError:
                    problems.add("bad-index", f"{path.name}:{number}", fix="Export again.")
    except OSError as error:
        problems.add("missing-file", f"{path.name}: {error.strerror}", fix="Export again.")


def read_document(folder: Path, relative: str, problems: Problems) -> Any:
    """A JSON file as Python reads it (big integers and NaN too); None, and a problem, if that fails."""
    try:
        return json.loads((folder / relative).read_bytes())
    except OSError as error:
        problems.add("missing-file", f"{relative}: {error.strerror}", fix="Export again.")
    except (ValueError, RecursionError) as error:
        problems.add("unreadable-file", f"{relative}: {error}", fix="Export again.")
    return None


FORMAT = Format(
    name="synapse_json",
    title="Synapse JSON (the platform's own, nothing lost)",
    media=(),
    holds=dict.fromkeys(get_args(Tool), "exact"),
    needs_size=False,
    options=(Option("envelope", ("no", "yes"), "Wrap each payload with the record's ids, states and files."),),
    write=SynapseJson,
    verify=verify,
    is_raw=True,
    splits=True,
)
