"""What is known about data units before anybody fills in a template: all that is said but not by sidecars."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError, printable
from synapse_skills.plan import METADATA_TABLE, MetadataRule
from synapse_skills.texts import parse_json

if TYPE_CHECKING:
    from synapse_skills.units import Unit

MAX_NAMES = 1_000


class Known:
    """Asked for data units in the order of their keys, as the survey has them and the frozen rows lie: memory is flat.

    Sidecars win over what a table says, so a template need not repeat them, and they would have to be read one by one.

    Args:
        rules: where metadata comes from so far.
        folder: where the frozen rows of a table lie.
    """

    def __init__(self, rules: Sequence[MetadataRule], folder: Path) -> None:
        from synapse_skills.units.described import describe_for

        table = folder / METADATA_TABLE
        self._table = table if any(rule.kind == "table" for rule in rules) and table.is_file() else None
        gone = ("sidecars",) if self._table else ("sidecars", "table")
        self._rules = [rule for rule in rules if rule.kind not in gone]
        self._describe = describe_for(self._rules, folder=folder)

    def of(self, unit: Unit) -> dict[str, Any]:
        """What is known about a data unit, merged as the job does it."""
        return dict(self._describe(unit)) if self._describe is not None else {}

    def names(self) -> list[str]:
        """All fields, in the order in which they are met."""
        names: dict[str, None] = {}
        for rule in self._rules:
            names |= dict.fromkeys([*rule.values, *rule.folders])
            if rule.regex:
                names |= dict.fromkeys(re.compile(rule.regex).groupindex)
        for meta in self._read():
            names |= dict.fromkeys(meta)
            if len(names) > MAX_NAMES:
                break
        return list(names)

    def _read(self) -> Iterator[dict[str, Any]]:
        if self._table is None:
            return
        with self._table.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield dict(parse_json(line, 0)["meta"])
                except (ValueError, KeyError, TypeError):
                    raise FindingError(
                        f"{printable(str(self._table))}, line {number}: not what was frozen there.",
                        hint="Plan again with plan_upload: it writes the rows anew.",
                        code="bad-frozen-rows",
                    ) from None
