"""Several rows of a metadata table for one data unit that say different things: told with what they differ in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synapse_skills.errors import printable

_DIFFERENCES = 4


@dataclass(frozen=True)
class SeveralRows:
    """Rows with different values for one data unit.

    Attributes:
        unit: its key.
        rows: the first of them: number, and the values in which they differ.
        count: how many there are.
        used: the row that counts; None if none does.
    """

    unit: str
    rows: tuple[tuple[int, str], ...]
    count: int
    used: int | None

    def __str__(self) -> str:
        more = f" and {self.count - len(self.rows)} more" if self.count > len(self.rows) else ""
        return f"{printable(self.unit)}: " + "; ".join(f"row {number}: {text}" for number, text in self.rows) + more

    @property
    def numbers(self) -> str:
        """Which they are: `rows 20, 43`."""
        more = ", …" if self.count > len(self.rows) else ""
        return f"rows {', '.join(str(number) for number, _ in self.rows)}{more}"

    @property
    def outcome(self) -> str:
        """Which row counts: `017: row 20 is used, row 43 is dropped`."""
        others = [f"row {number}" for number, _ in self.rows if number != self.used]
        dropped = f"{', '.join(others)}{', …' if self.count > len(self.rows) else ''} dropped"
        return f"{printable(self.unit)}: {'no row' if self.used is None else f'row {self.used}'} is used, {dropped}"


def differing(rows: Sequence[tuple[int, str]], columns: Mapping[str, str]) -> tuple[tuple[int, str], ...]:
    """Rows, as JSON, with the values that are not the same in all: `나이 47, 성별 M`.

    Args:
        rows: their numbers and values.
        columns: field → what the table calls it.
    """
    metas = [(number, json.loads(meta)) for number, meta in rows]
    names = list(dict.fromkeys(name for _, meta in metas for name in meta))
    differ = [name for name in names if len({json.dumps(meta.get(name)) for _, meta in metas}) > 1]

    def told(meta: Mapping[str, Any]) -> str:
        said = [(printable(columns.get(name, name)), printable(str(meta.get(name, "empty")))[:30]) for name in differ]
        values = [f"{name} {value}" for name, value in said[:_DIFFERENCES]]
        return ", ".join(values) + (", …" if len(differ) > _DIFFERENCES else "") or "the same as the first"

    return tuple((number, told(meta)) for number, meta in metas)
