"""Some records of an export with what they say: evenly spread, those with the most different tools first."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import msgspec

from synapse_skills.annotations import NeedsPayload, Unreadable
from synapse_skills.annotations.model import Record
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.records import read_record
from synapse_skills.job.export.spool import DamagedSpool, Page, Spool

CANDIDATES = 3
"""So many times as many records are looked at as are shown: among them rare tools are found."""


class Listed(msgspec.Struct):
    """A line of `records.jsonl`: a medium of a record."""

    record: int
    media: str
    name: str
    split: str = ""
    data_unit: int | None = None


@dataclass(frozen=True)
class Sampled:
    """A record to look at, the lines of its media, and the sizes that had to be looked up in its pictures."""

    record: Record
    lines: tuple[Listed, ...]
    sizes: dict[str, tuple[int, int]]

    @property
    def tools(self) -> frozenset[str]:
        """The tools that it was labelled with."""
        return frozenset(each.tool for media in self.record.document.media for each in media.annotations)


def sample_records(listed: Path, spool: Path, target: str, records: int, most: int) -> list[Sampled]:
    """Choose some records of an export, and read them.

    Args:
        listed: `records.jsonl` of the output.
        spool: the folder of the rows; there may be none any more.
        target: of the plan.
        records: how many there are in the list.
        most: how many are chosen.
    """
    some = list(_spread(listed, records, most * CANDIDATES))
    if not some or not spool.is_dir():
        return []
    return choose(list(_read(some, spool, target)), most)


def choose(found: Sequence[Sampled], most: int) -> list[Sampled]:
    """Those that show a tool that no other does, then others at even distances; most different tools first."""
    chosen: list[Sampled] = []
    covered: frozenset[str] = frozenset()
    for each in sorted(found, key=lambda one: (-len(one.tools), one.record.key)):
        if len(chosen) < most and each.tools - covered:
            chosen.append(each)
            covered |= each.tools
    taken = {each.record.key for each in chosen}
    rest = [each for each in found if each.record.key not in taken]
    room = min(most - len(chosen), len(rest))
    chosen += [rest[number * len(rest) // room] for number in range(room)]
    return sorted(chosen, key=lambda one: (-len(one.tools), one.record.key))


def _spread(listed: Path, records: int, most: int) -> Iterator[tuple[Listed, ...]]:
    """The lines of some records, at even distances over the whole list."""
    wanted = {number * records // most for number in range(most)} if records > most else None
    decoder = msgspec.json.Decoder(Listed)
    try:
        with listed.open("rb") as stream:
            lines = (line for line in map(_decoded(decoder), stream) if line is not None)
            for number, (_, group) in enumerate(itertools.groupby(lines, key=attrgetter("record"))):
                if wanted is None or number in wanted:
                    yield tuple(group)
                if wanted is None and number >= most:
                    return
    except OSError:
        return


def _decoded(decoder: msgspec.json.Decoder[Listed]) -> Callable[[bytes], Listed | None]:
    def decoded(line: bytes) -> Listed | None:
        try:
            return decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeError):
            return None  # verify_export names such a line; a page shows the others

    return decoded


class _Some(Spool):
    """A spool of which only some rows count: an index of it is small, however long it is."""

    def __init__(self, folder: Path, keys: Collection[int], units: Collection[int]) -> None:
        super().__init__(folder)
        self._keys = keys
        self._units = units

    def pages(self) -> Iterator[Page]:
        """The pages with the rows that count."""
        for page in super().pages():
            facts = page.facts
            wanted = self._units if facts.get("t") == "units" else self._keys
            if facts.get("t") == "sizes":
                facts = facts | {"sizes": [each for each in facts["sizes"] if each[0] in self._keys]}
            yield Page(facts, [place for place in page.places if place.key in wanted])


def _read(some: Sequence[tuple[Listed, ...]], spool: Path, target: str) -> Iterator[Sampled]:
    keys = {lines[0].record for lines in some}
    units = {lines[0].data_unit for lines in some if lines[0].data_unit is not None}
    with tempfile.TemporaryDirectory() as folder:
        rows = _Some(spool, keys, units)
        index = Index(Path(folder) / "page.sqlite", rows)
        try:
            for lines in some:
                key = lines[0].record
                if not index.database.execute("SELECT 1 FROM row WHERE key = ?", (key,)).fetchone():
                    continue  # fetched anew since the output was written
                try:
                    record = read_record(index, key, target)
                except (Unreadable, NeedsPayload, DamagedSpool):
                    continue  # the export names it when it runs again
                yield Sampled(record, lines, _sizes(index, key))
        finally:
            index.close()
            rows.close()


def _sizes(index: Index, key: int) -> dict[str, tuple[int, int]]:
    found = index.database.execute("SELECT media, width, height FROM size WHERE key = ?", (key,))
    return {media: (int(width), int(height)) for media, width, height in found}
