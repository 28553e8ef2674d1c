"""A fair sample of a plan's data units with all their files, from an inventory that is there already.

Nothing is walked and nothing is written. Where the plan's own place has placed the inventory, its index is read; where
another one has (an earlier hypothesis of the conversation), every file is placed again on the way through, once.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from synapse_skills.sources import File
from synapse_skills.sources.reading import PlacedFiles
from synapse_skills.units import PlaceFunction
from synapse_skills.units.place import settle, signature

MAX_PLACED = 1_000_000
"""Files that are placed again for one page: some ten seconds."""
MOST_FILES = 100  # of one data unit: a wrong layout may put a million files into one


def mark(key: str) -> int:
    """A number for a data unit's key, as good as drawn by lot but always the same."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())


@dataclass
class Sample:
    """Some data units.

    Attributes:
        units: key and files with their specifications, in the order of the keys.
        seen: how many data units there were to choose from; None if they were not counted.
        looked_at: how many files were looked at, if that was only a part of them; else None.
    """

    units: list[tuple[str, list[tuple[str, File]]]] = field(default_factory=list)
    seen: int | None = None
    looked_at: int | None = None


class _Lot:
    """Keeps the keys with the smallest numbers: each has the same chance, whenever and however often it comes.

    The largest number that is kept only falls, so a key that is kept at the end was kept from its first file on.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[int, str]] = []
        self.kept: dict[str, list[tuple[str, File]]] = {}

    def take(self, key: str, number: int) -> list[tuple[str, File]] | None:
        """The list for a key's files if it is among the kept ones, for now."""
        files = self.kept.get(key)
        if files is not None or self._most < 1:
            return files
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, (-number, key))
        elif number < -self._heap[0][0]:
            del self.kept[heapq.heapreplace(self._heap, (-number, key))[1]]
        else:
            return None
        return self.kept.setdefault(key, [])


def was_placed_by(placed: PlacedFiles, place: PlaceFunction, specs: Collection[str]) -> bool:
    """Whether an inventory's data units are those of this place."""
    made_by = signature(place)
    return bool(made_by) and placed.placed_by() == f"{made_by} for {sorted(specs)}" and placed.is_placed()


def sample_placed(placed: PlacedFiles, most: int, without: Collection[int]) -> Sample:
    """Choose among the data units that an inventory has.

    Args:
        placed: every file in it is placed.
        most: how many data units.
        without: the marks of those that stay at home.
    """
    lot, seen = _Lot(most), 0
    for key in placed.units():
        number = mark(key)
        if number not in without:
            seen += 1
            lot.take(key, number)
    return Sample([(key, placed.files_of(key, MOST_FILES)) for key in sorted(lot.kept)], seen)


def sample_by(
    placed: PlacedFiles, place: PlaceFunction, specs: Collection[str], most: int, without: Collection[int]
) -> Sample:
    """Place every file again, and choose among the data units that come of it.

    Args:
        placed: its own data units don't count.
        place: the plan's.
        specs: the names of the plan's specifications.
        most: how many data units.
        without: the marks of those that stay at home.

    Raises:
        FindingError: `place-raised`, `bad-placement`, `no-placement`.
    """
    lot, looked_at = _Lot(most), 0
    for key, files in groupby(_placed_again(placed, place, frozenset(specs)), key=itemgetter(0)):
        number = mark(key) if key else 0
        chosen = lot.take(key, number) if key and number not in without else None
        for _, spec, file in files:
            looked_at += 1
            if chosen is not None and spec and len(chosen) < MOST_FILES:
                chosen.append((spec, file))
    there = placed.counts()[0]
    return Sample(sorted(lot.kept.items()), None, looked_at if looked_at < there else None)


def _placed_again(placed: PlacedFiles, place: PlaceFunction, specs: frozenset[str]) -> Iterator[tuple[str, str, File]]:
    """(data unit, specification, file); a file that fills no specification has no data unit here."""
    for file in placed.files(MAX_PLACED):
        unit, spec = settle(place, file, specs)
        yield (unit, spec, file) if unit and spec else ("", "", file)
