"""The same original under two names: whether it stands in more than one part of the split."""

from __future__ import annotations

import sqlite3

from synapse_skills.report import MAX_EXAMPLES

_SCHEMA = """
DROP TABLE IF EXISTS checksum;
CREATE TABLE checksum (checksum TEXT, split TEXT, name TEXT, PRIMARY KEY (checksum, split)) WITHOUT ROWID;
"""


class Checksums:
    """Checksums by part, in a table `checksum` that is made anew: memory does not grow with them."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.executescript(_SCHEMA)

    def add(self, checksum: str, split: str, name: str) -> None:
        """Take note of an original; of those of one part the first is kept by name."""
        row = (checksum.lower().encode("utf-8", "backslashreplace").decode(), split, name)
        self._database.execute("INSERT OR IGNORE INTO checksum VALUES (?, ?, ?)", row)

    def add_all(self, rows: list[tuple[str, str, str]]) -> None:
        """Take note of what another one has noted of later records."""
        self._database.executemany("INSERT OR IGNORE INTO checksum VALUES (?, ?, ?)", rows)

    def all(self) -> list[tuple[str, str, str]]:
        """All that was noted: checksum, part of the split, name."""
        return self._database.execute("SELECT checksum, split, name FROM checksum").fetchall()

    def shared(self) -> tuple[int, list[str]]:
        """How many checksums stand in several parts, and a few of them with their names."""
        query = "SELECT checksum FROM checksum GROUP BY checksum HAVING COUNT(*) > 1"
        count = sum(1 for _ in self._database.execute(query))
        examples = []
        for (checksum,) in self._database.execute(f"{query} ORDER BY checksum LIMIT ?", (MAX_EXAMPLES,)).fetchall():
            rows = self._database.execute(
                "SELECT split, name FROM checksum WHERE checksum = ? ORDER BY split", (checksum,)
            )
            examples.append(", ".join(f"{split}: {name}" for split, name in rows))
        return int(count), examples


def shares_of(items: dict[str, int]) -> dict[str, float]:
    """The share of each part, of so many media."""
    total = sum(items.values())
    return {part: round(count / total, 4) if total else 0.0 for part, count in items.items()}
