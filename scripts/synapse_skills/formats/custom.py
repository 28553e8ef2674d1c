"""Whatever a `convert` in the script makes of each record: the way to a format that is not among ours.

    def convert(record):
        yield File(f"{record.split}/{record.stem}.txt", text)               a file of its own: text, bytes, or JSON
        yield Line("all.jsonl", {...}, lost={"a1": "no-such-shape"})        one more line of a file
        yield Entry("tasks.json", {...})                                    one more element of a JSON list

`convert` is called once for each medium of each record, in their order; it returns or yields one of these, several, or
None. The annotations that it is handed count as written, less those that it names in `lost` with a reason of its own;
if it gives nothing at all, they are lost as `not-converted`, and if it raises, as `convert-failed` with the line that
did. What raises has written nothing: all of a medium is there, or none of it.

A path is relative to the folder of the format, whatever it says: its parts are made safe (`name-changed`), and a file
whose name is taken gets the record's key (`name-taken`). `_records.jsonl` says which files are of which record.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, get_args

import msgspec

from synapse_skills.annotations.model import Annotation, Group, Tool
from synapse_skills.formats.base import Format, Item, Loss, Settings
from synapse_skills.formats.classes import UNLABELLED
from synapse_skills.formats.csv_table import encoded
from synapse_skills.formats.custom_verify import INDEX, JSON_LINES, Listed, verify
from synapse_skills.formats.names import fold, safe_name, safe_segment, shortened, split_suffix

NOT_CONVERTED, FAILED = "not-converted", "convert-failed"
MAX_DEPTH = 8
"""Folders that lie in each other: with names as long as they may be, a path still fits."""


@dataclass(frozen=True, slots=True)
class CustomRecord:
    """One medium of a record, as `convert` gets it. All of it is a copy: it may be changed.

    Attributes:
        key, id, data_unit: numbers of the record and its data unit.
        media: key of the medium (`image_1`), `kind`: image, video, pcd, text, audio, prompt or data.
        name: of its original in the export, `stem`: the same without its suffix.
        split: its part; '' without a split.
        width, height: pixels; None if nobody knows them.
        annotations: `label` is the class as the export's list has it; None if it has none. Those that the list drops
            or does not know are not here: they are lost already.
        groups: annotations that belong together.
        meta: of the data unit.
    """

    key: int
    id: int
    data_unit: int | None
    media: str
    kind: str
    name: str
    stem: str
    split: str
    width: int | None
    height: int | None
    annotations: list[Annotation]
    groups: list[Group]
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class File:
    """A file of its own. `content`: text, bytes, or what becomes JSON. `lost`: id of an annotation → why."""

    path: str
    content: Any
    lost: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One more line of a file: text without a line break, or what becomes JSON."""

    path: str
    content: Any
    lost: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One more element of a JSON list."""

    path: str
    content: Any
    lost: Mapping[str, str] = field(default_factory=dict)


Made = File | Line | Entry
Convert = Callable[[CustomRecord], Made | Iterable[Made] | None]


@dataclass(slots=True)
class _Shared:
    """A file that many records write to."""

    kind: type[Line] | type[Entry]
    path: str
    count: int = 0


class Custom:
    """See the module; the protocol is `base.Writer`. Without a `convert` everything is lost as `not-converted`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.rows: dict[str, int] = dict.fromkeys(settings.splits or ("",), 0)
        self.notes: dict[str, int] = {}
        self._folder = folder
        self._classes = settings.classes
        self._convert: Convert | None = settings.convert
        # Of files and folders without regard to case and form; a hash of each, as `names.Taken` keeps them.
        self._files = {hash(fold(INDEX))}
        self._folders: set[int] = set()
        self._shared: dict[str, _Shared] = {}
        self._index = (folder / INDEX).open("wb")

    def write(self, item: Item) -> Sequence[Loss]:
        """Convert a medium and write what comes of it."""
        losses: list[Loss] = []
        handed: list[Annotation] = []
        given: list[Annotation] = []
        for annotation in item.media.annotations:
            place = self._classes.place(annotation)
            if isinstance(place, str) and place != UNLABELLED:
                losses.append(Loss(annotation, place))
                continue
            label = None if isinstance(place, str) else self._classes.names[place]
            handed.append(annotation)
            given.append(msgspec.structs.replace(annotation, label=label, attributes=deepcopy(annotation.attributes)))
        if self._convert is None:
            return [*losses, *(Loss(each, NOT_CONVERTED) for each in handed)]
        try:
            made = _all_of(self._convert(_record(item, given)))
            prepared = [self._prepared(each) for each in made]
            lost = _lost_of(made, handed)
        except (Exception, SystemExit, GeneratorExit) as error:
            # `exit()` in a script's function would end the whole export, and call it fine.
            self._note(FAILED)
            why = _told(error, self._convert)
            return [*losses, *(Loss(each, FAILED, why) for each in handed)]
        if not made:
            return [*losses, *(Loss(each, NOT_CONVERTED) for each in handed)]
        self._put(item, prepared, len(handed) - len(lost))
        return [*losses, *lost]

    def place(self, item: Item) -> None:
        """Originals go beside the formats: nobody knows where in this one they would belong."""

    def close(self) -> None:
        """End the lists."""
        for shared in self._shared.values():
            if shared.kind is Entry and shared.count:
                with (self._folder / shared.path).open("ab") as stream:
                    stream.write(b"\n]\n")
        self._index.close()

    # -- before anything is written ----------------------------------------------------------------------------------

    def _prepared(self, made: Made) -> tuple[Made, str, bytes]:
        """What was made, its path, and its bytes.

        Raises:
            ValueError: it can't be written; nothing of its record is.
        """
        path = _path_of(made.path)
        content = _bytes_of(made, path)
        if not isinstance(made, File):
            shared = self._shared.get(fold(path))
            if shared.kind is not type(made) if shared else self._is_taken(path):
                raise ValueError(f"{path} is a file of another kind already")
            if shared is None:
                # From now on: a File of the same record must not get this name.
                self._shared[fold(path)] = _Shared(type(made), path)
                self._claim(path)
        return made, path, content

    def _is_taken(self, path: str) -> bool:
        """Whether a file can't have this path: it, a folder of its name, or a file in place of its folder is there."""
        number = hash(fold(path))
        return number in self._files or number in self._folders or self._is_below_a_file(path)

    # -- writing -----------------------------------------------------------------------------------------------------

    def _put(self, item: Item, prepared: Sequence[tuple[Made, str, bytes]], rows: int) -> None:
        listed = Listed(item.record.id, item.record.data_unit, item.media.key, item.split, rows)
        for made, path, content in prepared:
            if path != made.path:
                self._note("name-changed")
            if isinstance(made, File):
                free = self._free(path, item.record.key)
                target = self._folder / free
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                listed.files.append(free)
            else:
                shared = self._append(path, content)
                (listed.lines if isinstance(made, Line) else listed.entries).append(shared)
        self._index.write(msgspec.json.encode(listed) + b"\n")
        self.rows[item.split] = self.rows.get(item.split, 0) + rows

    def _append(self, path: str, content: bytes) -> str:
        shared = self._shared[fold(path)]
        is_line = shared.kind is Line
        target = self._folder / shared.path
        if not shared.count:
            target.parent.mkdir(parents=True, exist_ok=True)
        start = b"" if is_line else b",\n" if shared.count else b"[\n"
        with target.open("ab") as stream:
            stream.write(start + content + (b"\n" if is_line else b""))
        shared.count += 1
        return shared.path

    def _free(self, path: str, key: int) -> str:
        """The path, or one with the record's key if somebody has it."""
        folder, _, name = path.rpartition("/")
        free, marks = path, count(1)
        while self._is_taken(free):
            number = next(marks)
            mark = f"__{key}" + (f"_{number}" if number > 1 else "")
            if self._is_below_a_file(path):
                top, _, rest = path.partition("/")
                free = f"{shortened(top, mark)}/{rest}"
            else:
                stem, suffix = split_suffix(name)
                free = "/".join(part for part in (folder, shortened(stem, mark + suffix)) if part)
        if free != path:
            self._note("name-taken")
        self._claim(free)
        return free

    def _claim(self, path: str) -> None:
        self._files.add(hash(fold(path)))
        self._folders.update(hash(each) for each in _above(path))

    def _is_below_a_file(self, path: str) -> bool:
        return any(hash(each) in self._files for each in _above(path))

    def _note(self, code: str) -> None:
        self.notes[code] = self.notes.get(code, 0) + 1


def _record(item: Item, annotations: list[Annotation]) -> CustomRecord:
    record, media = item.record, item.media
    return CustomRecord(
        record.key,
        record.id,
        record.data_unit,
        media.key,
        media.kind,
        item.name,
        item.stem,
        item.split,
        item.width,
        item.height,
        annotations,
        list(media.groups),
        deepcopy(record.meta),
    )


def _all_of(given: Any) -> list[Made]:
    """What `convert` gave, as a list.

    Raises:
        TypeError: there is something else among it.
    """
    made = [] if given is None else [given] if isinstance(given, Made) else list(given)
    for each in made:
        if not isinstance(each, Made):
            raise TypeError(f"convert gives File, Line or Entry, not {type(each).__name__}")
    return made


def _lost_of(made: Sequence[Made], handed: Sequence[Annotation]) -> list[Loss]:
    reasons: dict[str, str] = {}
    for each in made:
        for identity, reason in each.lost.items():
            reasons.setdefault(str(identity), str(reason))
    lost = [Loss(each, code_of(reasons[each.id])) for each in handed if each.id in reasons]
    if unknown := set(reasons) - {loss.annotation.id for loss in lost}:
        raise ValueError(f"lost names {min(unknown)!r}, and no annotation of the record has this id")
    return lost


def code_of(reason: str) -> str:
    """A reason as `losses.custom.REASON` can name it."""
    return re.sub(r"[^a-z0-9]+", "-", reason.lower()).strip("-")[:40].strip("-") or "not-held"


def _path_of(path: Any) -> str:
    """A path inside the folder, whatever was said.

    Raises:
        ValueError: there is no name in it, or it lies too deep.
    """
    parts = [part for part in str(path).replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts:
        raise ValueError(f"{path!r} is no path of a file")
    if len(parts) > MAX_DEPTH:
        raise ValueError(f"a path has at most {MAX_DEPTH} parts, not {len(parts)}")
    return "/".join([*(safe_segment(part) for part in parts[:-1]), safe_name(parts[-1])])


def _above(path: str) -> list[str]:
    """The folders that a path lies in, folded."""
    whole = fold(path)
    return [whole[: found.start()] for found in re.finditer("/", whole)]


def _bytes_of(made: Made, path: str) -> bytes:
    """The content as it is written.

    Raises:
        ValueError, TypeError: it has no bytes, or is no JSON where its file's name says so.
    """
    content = made.content
    is_raw = isinstance(made, File) and isinstance(content, bytes | bytearray)
    if isinstance(made, Entry) or not (is_raw or isinstance(content, str)):
        return encoded(content)
    written = bytes(content) if is_raw else content.encode("utf-8", "backslashreplace")
    if isinstance(made, Line) and (b"\n" in written or b"\r" in written):
        raise ValueError("the text of a Line holds a line break")
    if path.lower().endswith(JSON_LINES if isinstance(made, Line) else ".json"):
        json.loads(written)
    return written


def _told(error: BaseException, convert: Convert) -> str:
    """What went wrong, and where in the script."""
    code = getattr(convert, "__code__", None)
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if code is not None and frame.filename == code.co_filename
    ]
    where = f"{Path(code.co_filename).name}, line {lines[-1]}: " if code is not None and lines else ""
    try:
        said = str(error)
    except Exception:
        said = "with a text that can't be read"
    return f"{where}{type(error).__name__}: {said}"


FORMAT = Format(
    name="custom",
    title="Your own: what convert in the script makes of each record",
    media=(),
    holds=dict.fromkeys(get_args(Tool), "as convert says"),
    needs_size=True,
    options=(),
    write=Custom,
    verify=verify,
    by_script=True,
)
