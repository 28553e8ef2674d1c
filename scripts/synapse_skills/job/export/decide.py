"""What is exported of what was fetched: records by the plan's policies, and which part of the split each one is in.

Everything is decided from the spool alone, in the order of the records, so that the same rows always give the same
export.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from synapse_skills.annotations import NeedsPayload, Unreadable, file_of, size_of
from synapse_skills.annotations.labels import natural
from synapse_skills.annotations.model import Record
from synapse_skills.export_plan import ExportPlan, SplitPlan
from synapse_skills.formats.names import Names
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.parts import Tables, put
from synapse_skills.job.export.records import media_of, read_head, read_record
from synapse_skills.job.export.spool import PAYLOAD
from synapse_skills.job.export.strata import Strata, part_at, share_of
from synapse_skills.job.export.wanted import Wanted

REVIEWED = frozenset({"confirmed", "approved", "accepted", "passed", "done", "completed", "reviewed"})
PAYLOAD_MISSING = "payload-missing"
UNREADABLE = "unreadable-record"
CONVERT_FAILED = "convert-failed"
NO_PART = "no-part"
LABELS = "labels"
"""Among what came of a part: the labels that were seen in it."""
OWN_PARTS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip
"""What categories call the parts of a dataset."""
FILED = ("image", "video", "audio", "pcd")
"""Kinds of media that are files; a prompt may be nothing but its text."""
BATCH = 500
Keep = Callable[[Record], bool]


class Failed(Exception):
    """The `keep` of the script raised: what it did, on which record."""


@dataclass
class Decided:
    """What was decided, counted."""

    read: int = 0
    quarantined: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    discarded: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    leaking: list[str] = field(default_factory=list)

    @property
    def exported(self) -> int:
        """Records that go into the export."""
        return self.read - self.quarantined - sum(self.left_out.values())


class Decider:
    """Decides about the records of an index.

    Args:
        keep: the script's own rule.
        limit: only so many of the newest.
        needs_meta: a format needs what data units' meta say.
        needs_size: a format needs the sizes of pictures.
        on_record: is told of each record that was looked at.
        notes_names: the names that media would like to have are noted, for whoever gives them.
        apart: has the same done with parts of the index: `look` or `decide` → what came of each part, in order.
    """

    def __init__(
        self,
        plan: ExportPlan,
        index: Index,
        *,
        keep: Keep | None = None,
        limit: int | None = None,
        needs_meta: bool = False,
        needs_size: bool = False,
        on_record: Callable[[int], None] = lambda count: None,
        notes_names: bool = False,
        apart: Callable[[str], Iterator[Tables]] | None = None,
    ) -> None:
        self.plan = plan
        self.index = index
        self.keep = keep
        self.limit = limit
        self.needs_meta = needs_meta or (plan.split is not None and plan.split.by not in ("record", "data_unit"))
        self.needs_size = needs_size
        self.on_record = on_record
        self.labels: set[str] = set()
        self._notes_names = notes_names
        self._apart = apart
        self._names = Names(plan.naming)
        is_dealt = plan.split is not None and plan.split.stratify == "class"
        self._strata = Strata(index.database, plan.split, plan.classes) if plan.split and is_dealt else None
        self._wanted = Wanted(plan.tools, plan.classes, plan.formats)

    # -- first: what every row says of itself ----------------------------------------------------------------------

    def look(self) -> None:
        """Read every row but its annotations: whose it is, how good, and whether something must be asked for."""
        database = self.index.database
        database.executescript("DELETE FROM record; DELETE FROM want; DELETE FROM name")
        # What a script says of its own may remember what it has seen: it is asked here, in the order of the records.
        if self._apart is None or self.keep is not None or self.limit is not None:
            self.look_at_rows()
        else:
            self._take(self._apart("look"))
        database.execute(
            "UPDATE record SET quarantined = ? WHERE quarantined = '' AND key IN (SELECT key FROM aside)",
            (CONVERT_FAILED,),
        )
        self._duplicates()

    def look_at_rows(self) -> None:
        """The part of it that looks at each row."""
        for rows in _batches(self._rows()):
            found = [self._looked(key, lacks == PAYLOAD) for key, lacks in rows]
            with self.index.transaction():
                self.index.database.executemany(
                    "INSERT INTO record (key, data_unit, rank, moment, unit_meta, left_out, quarantined) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    found,
                )
            self.on_record(len(found))

    def _take(self, parts: Iterator[Tables]) -> None:
        """Take over what came of each part of the index."""
        for tables in parts:
            self.labels.update(label for (label,) in tables.pop(LABELS, []))
            put(self.index, tables)
            self.on_record(len(tables["record"]))

    def _rows(self) -> Iterator[tuple[int, int]]:
        if self.limit is None:
            return _paged(self.index, "SELECT key, lacks FROM row WHERE key > ? ORDER BY key LIMIT ?")
        rows = self.index.database.execute("SELECT key, lacks FROM row ORDER BY key DESC LIMIT ?", (self.limit,))
        return iter(rows.fetchall()[::-1])

    def _looked(self, key: int, lacks: bool) -> tuple[Any, ...]:
        try:
            head = read_head(self.index, key, self.plan.target)
        except (Unreadable, NeedsPayload):
            return key, None, 0, "", 0, "", UNREADABLE
        left_out, quarantined = "", PAYLOAD_MISSING if lacks else ""
        if self.keep is not None and not quarantined:
            record, quarantined = self._read(key)
            if record is not None and not self._kept(record):
                left_out = "not-kept"
        rank = 4 * head.is_discarded
        if self.plan.duplicates == "best":
            is_reviewed = head.review.casefold() in REVIEWED
            rank += 2 * (head.is_confirmed is not True) + (head.is_confirmed is not True and not is_reviewed)
        wants = head.data_unit is not None and not head.meta and (self.needs_meta or self._is_nameless(head))
        return key, head.data_unit, rank, head.updated or head.created, int(wants), left_out, quarantined

    def _is_nameless(self, head: Record) -> bool:
        return self.plan.naming == "original" and not any(file.name for file in head.files)

    def _kept(self, record: Record) -> bool:
        assert self.keep is not None
        try:
            return bool(self.keep(record))
        except Exception as error:
            raise Failed(f"record {record.key}: {type(error).__name__}: {error}") from error

    def _duplicates(self) -> None:
        if self.plan.duplicates == "all":
            return
        # Those that can't be read don't stand for their data unit.
        self.index.database.execute(
            """
            UPDATE record SET left_out = 'duplicate' WHERE key IN (
                SELECT key FROM (
                    SELECT key, ROW_NUMBER() OVER (
                        PARTITION BY data_unit ORDER BY rank, moment DESC, key DESC
                    ) AS place
                    FROM record WHERE data_unit IS NOT NULL AND left_out = '' AND quarantined = ''
                ) WHERE place > 1
            )
            """
        )

    def wanted_units(self) -> list[int]:
        """Data units whose meta must be asked for, in order."""
        query = """
            SELECT DISTINCT data_unit FROM record LEFT JOIN unit ON unit.id = record.data_unit
            WHERE unit_meta AND left_out = '' AND unit.id IS NULL ORDER BY data_unit
        """
        return [identity for (identity,) in self.index.database.execute(query)]

    # -- then: what takes the annotations, or the data unit --------------------------------------------------------

    def decide(self) -> Decided:
        """Empty records, the split, and the classes that there are."""
        if self._apart is None or not self._decides:
            self.decide_on_rows()
        else:
            self._take(self._apart("decide"))
        if self._strata is not None:
            with self.index.transaction():
                self._strata.deal()
        return self._counted()

    @property
    def has_strata(self) -> bool:
        """Whether classes are counted for the split."""
        return self._strata is not None

    @property
    def _needs_all(self) -> bool:
        plan = self.plan
        needs_all = plan.empty == "drop" or plan.classes.unknown == "add" or plan.originals != "none"
        return needs_all or self.needs_size or self.has_strata

    @property
    def _decides(self) -> bool:
        """Whether there is anything to decide about each record."""
        return self._needs_all or self.plan.split is not None or self._notes_names

    def decide_on_rows(self) -> None:
        """The part of it that decides about each row."""
        needs_all = self._needs_all
        if self._decides:
            query = (
                "SELECT key, 0 FROM record WHERE key > ? AND left_out = '' AND quarantined = '' ORDER BY key LIMIT ?"
            )
            for rows in _batches(_paged(self.index, query)):
                with self.index.transaction():
                    changes = [self._decided(key, needs_all) for key, _ in rows]
                    self.index.database.executemany(
                        "UPDATE record SET left_out = ?, quarantined = ?, split = ?, part = ? WHERE key = ?", changes
                    )
                self.on_record(len(changes))

    def _decided(self, key: int, needs_all: bool) -> tuple[str, str, str, str, int]:
        left_out = quarantined = split = part = ""
        record = None
        if needs_all:
            record, quarantined = self._read(key)
            if record is None:
                return "", quarantined, "", "", key
            if self.plan.empty == "drop" and self._wanted.is_empty(record.document):
                return "empty", "", "", "", key
            if self.plan.classes.unknown == "add":
                self.labels.update(_labels(record))
            self._want(record)
            self._note_names(record)
        elif self._notes_names:
            self._note_names(self._read(key)[0])
        if self.plan.split is not None:
            record = record or read_head(self.index, key, self.plan.target)
            part = part_of(record, self.plan.split.by)
            split = own_part(record) if self.plan.split.own else split_of(part, self.plan.split)
            if split not in self.plan.split.ratios:
                return left_out, quarantined or NO_PART, "", part, key
            if self._strata is not None:
                self._strata.add(part, _labels(record))
        return left_out, quarantined, split, part, key

    def _note_names(self, record: Record | None) -> None:
        """Note the names that the media of a record would like to have."""
        if self._notes_names and record is not None:
            names = [self._names.wanted(record, file_of(record, media)) for media in media_of(record)]
            rows = [(record.key, place, name) for place, name in enumerate(names)]
            self.index.database.executemany("INSERT OR REPLACE INTO name VALUES (?, ?, ?)", rows)

    def _want(self, record: Record) -> None:
        """Note the originals of a record that must be fetched, whole or for their size."""
        for media in record.document.media:
            has_size = media.kind != "image" or size_of(record, media) is not None
            size = self.needs_size and not has_size
            if not size and self.plan.originals == "none":
                continue
            file = file_of(record, media)
            if file is None and media.kind not in FILED:
                continue
            named = (file.spec, file.checksum) if file is not None else (None, None)
            row = (record.key, media.key, named[0], record.data_unit, named[1], int(size))
            self.index.database.execute("INSERT OR REPLACE INTO want VALUES (?, ?, ?, ?, ?, ?)", row)

    def _read(self, key: int) -> tuple[Record | None, str]:
        """A record, or why it is quarantined."""
        try:
            return read_record(self.index, key, self.plan.target), ""
        except NeedsPayload:
            return None, PAYLOAD_MISSING
        except Unreadable:
            return None, UNREADABLE

    def _counted(self) -> Decided:
        database = self.index.database

        def pairs(query: str) -> dict[str, int]:
            return {str(name): int(count) for name, count in database.execute(query)}

        one = "SELECT COUNT(*) FROM record"
        done = Decided(
            read=database.execute(one).fetchone()[0],
            quarantined=database.execute(f"{one} WHERE quarantined != ''").fetchone()[0],
            left_out=pairs("SELECT left_out, COUNT(*) FROM record WHERE left_out != '' GROUP BY 1 ORDER BY 1"),
            discarded=database.execute(f"{one} WHERE rank >= 4 AND left_out = '' AND quarantined = ''").fetchone()[0],
            classes=tuple(sorted(self.labels, key=natural)),
        )
        if self.plan.split is not None:
            found = pairs("SELECT split, COUNT(*) FROM record WHERE split != '' GROUP BY 1")
            done.splits = {name: found.get(name, 0) for name in parts_of(self.plan.split)}
            leaking = database.execute(
                "SELECT data_unit FROM record WHERE split != '' AND data_unit IS NOT NULL "
                "GROUP BY data_unit HAVING COUNT(DISTINCT split) > 1 ORDER BY data_unit"
            )
            done.leaking = [f"data unit {identity}" for (identity,) in leaking]
        return done


def _labels(record: Record) -> Iterator[str]:
    for media in record.document.media:
        for annotation in media.annotations:
            if annotation.label is not None:
                yield annotation.label


def parts_of(split: SplitPlan | None) -> tuple[str, ...]:
    """The parts in their order; () without a split."""
    return tuple(name for name in ("train", "val", "test") if split is not None and name in split.ratios)


def split_of(part: str, plan: SplitPlan) -> str:
    """The part of the split that a group is in: decided by its name and the seed alone, whatever else there is."""
    return part_at(share_of(f"{plan.seed}:{part}"), plan)


def own_part(record: Record) -> str:
    """The part of the split that a record's own category names; '' if it names none."""
    category = record.category if record.category is not None else record.meta.get("category")
    return OWN_PARTS.get(category.strip().casefold(), "") if isinstance(category, str) else ""


def part_of(record: Record, by: str) -> str:
    """What a record is kept together by; by itself if it has nothing of the kind."""
    value: Any = None
    if by == "data_unit":
        value = record.data_unit
    elif by == "category":
        value = record.category if record.category is not None else record.meta.get("category")
    elif by == "checksum":
        media = record.document.media[0] if record.document.media else None
        file = file_of(record, media) if media is not None else None
        file = file or next((each for each in record.files if each.checksum), None)
        value = file.checksum if file is not None else None
    elif by.startswith("meta."):
        value = _inside(record.meta, by.removeprefix("meta."))
    if value is None or value == "":
        return f"record:{record.key}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, sort_keys=True)
    return f"{by}:{text}"


def _inside(meta: dict[str, Any], path: str) -> Any:
    """A value of the meta: by its key, or by keys with dots between them."""
    if path in meta:
        return meta[path]
    found: Any = meta
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _paged(index: Index, query: str) -> Iterator[tuple[int, int]]:
    """Rows of a query by key, a batch at a time: the table may change under way."""
    last = -1
    while True:
        rows = index.database.execute(query, (last, BATCH)).fetchall()
        if not rows:
            return
        yield from rows
        last = rows[-1][0]


def _batches(rows: Iterator[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    batch: list[tuple[int, int]] = []
    for row in rows:
        batch.append(row)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
