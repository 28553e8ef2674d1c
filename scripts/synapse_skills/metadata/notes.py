"""What is odd about a table, noted with row numbers and told in a few lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from synapse_skills.report import Problems

_SHOWN = 10


@dataclass(slots=True)
class Rows:
    """How many rows have something, and the first of them; memory does not grow with the table."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, row: int) -> None:
        """One more row."""
        self.count += 1
        if len(self.first) < _SHOWN:
            self.first.append(row)

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        return rows_text(self.first, self.count)


class Notes:
    """Counts what is odd by code and place."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Rows] = {}

    def add(self, code: str, place: str, rows: Iterable[int]) -> None:
        """Note rows that have something odd at a place (a column)."""
        for row in rows:
            self._rows.setdefault((code, place), Rows()).add(row)

    def put(self, code: str, place: str, rows: Rows) -> None:
        """The same for rows that are counted already."""
        if rows:
            self._rows[code, place] = rows

    def tell(self, problems: Problems, code: str, severity: str, fix: str) -> None:
        """Add what was noted under a code to the problems: one example for each place, the commonest first."""
        found = [(place, rows) for (noted, place), rows in self._rows.items() if noted == code]
        for place, rows in sorted(found, key=lambda pair: -pair[1].count):
            problems.add(code, f"{place}: {rows}" if place else str(rows), severity=severity, fix=fix, count=rows.count)


def rows_text(rows: list[int], count: int | None = None) -> str:
    """`row 7`, `rows 7, 9 and 12`, `rows 7, 9, 12 and 40 more`."""
    shown = [f"{row:,}" for row in rows[:_SHOWN]]
    more = (count or len(rows)) - len(shown)
    if more > 0:
        return f"rows {', '.join(shown)} and {more:,} more"
    if len(shown) == 1:
        return f"row {shown[0]}"
    return f"rows {', '.join(shown[:-1])} and {shown[-1]}"
