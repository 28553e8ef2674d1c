"""A split in which every class has its share in every part, as far as groups allow.

What is kept together (`split.by`) stays together: a group is dealt as one. It is dealt with the groups whose rarest
class, counted in groups over the whole export, is the same; those without a class are dealt among themselves. Within
such a stratum groups are ordered by the hash of seed and name, and the parts are cut out of this order at their
ratios, from a place that the hash of the stratum's name says: a stratum of three does not always begin with `train`.

The same records and seed give the same parts. Other than without `stratify`, more data may move what is there: the
share of each class is held, and the cuts move with it.
"""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter

from synapse_skills.export_plan import ClassesPlan, SplitPlan

_SCHEMA = """
DROP TABLE IF EXISTS part_class; DROP TABLE IF EXISTS stratum; DROP TABLE IF EXISTS dealt;
CREATE TABLE part_class (part TEXT, class TEXT, PRIMARY KEY (part, class)) WITHOUT ROWID;
CREATE TABLE stratum (name TEXT, place INTEGER, part TEXT);
CREATE TABLE dealt (part TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID;
"""


PART_CLASS = "part_class"


class Strata:
    """Deals groups.

    Args:
        database: the index; its tables `part_class`, `stratum` and `dealt` are made anew.
        classes: so that classes that are merged count as one, and those that are dropped as none.
    """

    def __init__(self, database: sqlite3.Connection, split: SplitPlan, classes: ClassesPlan) -> None:
        self._database = database
        self._split = split
        self._map = classes.map
        self._dropped = set(classes.drop)
        self._kept = set(classes.keep)
        database.executescript(_SCHEMA)

    def add(self, part: str, labels: Iterable[str]) -> None:
        """Take note of a record: its group, and the classes that were labelled in it."""
        names = {self._map.get(label, label) for label in labels} - self._dropped
        names = names & self._kept if self._kept else names
        rows = [(part, _plain(name)) for name in sorted(names) if name] or [(part, "")]
        self._database.executemany("INSERT OR IGNORE INTO part_class VALUES (?, ?)", rows)

    def deal(self) -> None:
        """Write the part of the split into every record that has a group."""
        database = self._database
        counts: Counter[str] = Counter(dict(database.execute("SELECT class, COUNT(*) FROM part_class GROUP BY class")))
        reader = database.cursor().execute("SELECT part, class FROM part_class ORDER BY part, class")
        for part, rows in itertools.groupby(reader, key=itemgetter(0)):
            names = [name for _, name in rows if name]
            rarest = min(names, key=lambda name: (counts[name], name), default="")
            place = int(share_of(f"{self._split.seed}:{part}") * 2**62)
            database.execute("INSERT INTO stratum VALUES (?, ?, ?)", (rarest, place, part))
        database.create_function("cut", 3, self._cut, deterministic=True)
        database.execute(
            """
            INSERT INTO dealt SELECT part, cut(
                name, ROW_NUMBER() OVER (PARTITION BY name ORDER BY place, part) - 1, COUNT(*) OVER (PARTITION BY name)
            ) FROM stratum
            """
        )
        database.execute(
            "UPDATE record SET split = (SELECT split FROM dealt WHERE dealt.part = record.part) "
            "WHERE part IN (SELECT part FROM dealt)"
        )

    def _cut(self, name: str, number: int, size: int) -> str:
        """The part of the split of one group of a stratum, by its number in the order."""
        start = share_of(f"{self._split.seed}:stratum:{name}")
        return part_at((number + start) / size % 1, self._split)


def part_at(place: float, plan: SplitPlan) -> str:
    """The part of the split at a place from 0 to 1."""
    parts = [name for name in ("train", "val", "test") if name in plan.ratios]
    bound = 0.0
    for name in parts:
        bound += plan.ratios[name]
        if place < bound:
            return name
    return parts[-1]


def share_of(text: str) -> float:
    """A number from 0 to 1 that a text stands for, evenly spread."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _plain(name: str) -> str:
    """A name as the database takes it: halves of characters are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()
