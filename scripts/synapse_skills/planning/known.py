"""What is known about data units before anybody fills in a template: constants, and the rows of an earlier table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError, printable
from synapse_skills.plan import MetadataRule

MAX_NAMES = 1_000


class Known:
    """Asked for data units in the order of their keys, as the survey has them and the frozen rows lie: memory is flat.

    Args:
        rules: where the plan has metadata from.
        table: the frozen rows; read if a rule speaks of them.
    """

    def __init__(self, rules: Sequence[MetadataRule], table: Path) -> None:
        self._constants = [rule for rule in rules if rule.kind in ("constants", "said")]
        has_table = any(rule.kind == "table" for rule in rules)
        self._table = table if has_table and table.is_file() else None
        self._rows = self._read()
        self._next = next(self._rows, None)

    def of(self, key: str) -> dict[str, Any]:
        """What is known about a data unit; later sources win, in the order of the job."""
        while self._next is not None and self._next[0] < key:
            self._next = next(self._rows, None)
        row = self._next[1] if self._next is not None and self._next[0] == key else {}
        values: dict[str, Any] = {}
        for kind, more in (("constants", row), ("said", {})):
            for rule in self._constants:
                if rule.kind == kind:
                    values |= rule.values
            values |= more
        return values

    def names(self) -> list[str]:
        """All fields, in the order in which they are met."""
        names: dict[str, None] = {name: None for rule in self._constants for name in rule.values}
        for _, meta in self._read():
            names |= dict.fromkeys(meta)
            if len(names) > MAX_NAMES:
                break
        return list(names)

    def _read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if self._table is None:
            return
        with self._table.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    row = json.loads(line)
                    yield row["unit"], dict(row["meta"])
                except (ValueError, KeyError, TypeError):
                    raise FindingError(
                        f"{printable(str(self._table))}, line {number}: not what was frozen there.",
                        hint="Plan again with plan_upload: it writes the rows anew.",
                        code="bad-frozen-rows",
                    ) from None
