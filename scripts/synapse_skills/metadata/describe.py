"""Where the metadata of a data unit comes from: parts that each answer for one unit, and what merges them.

A part is callable(unit) → dict, and its repr() is the Python source that makes it: rendered scripts are written with
it. The planner counts with the same objects.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse_skills.metadata.constants import Constants
from synapse_skills.metadata.names import FromFolders, FromName
from synapse_skills.metadata.sidecars import FromSidecars
from synapse_skills.plan import METADATA_ORDER
from synapse_skills.sources import RowError, SortedRows

Part = Callable[[Any], Mapping[str, Any]]
OWN = "describe"
"""What a function of somebody's own is called among the kinds."""


class Said(Constants):
    """Gives every data unit the same values, and wins over everything: the user said so."""

    def __repr__(self) -> str:
        return f"Said({self.values!r})"


class FromTable(SortedRows[str, tuple[int, dict[str, Any]]]):
    """See `from_table`."""

    title = "metadata table"
    shape = '{"unit": …, "row": …, "meta": {…}}'
    sorted_by = "data unit"
    no_file = "no-metadata-table"
    bad_row = "bad-metadata-table"

    def parse(self, row: Any) -> tuple[str, tuple[int, dict[str, Any]]]:
        """A row names a data unit, the row of the user's table and the values."""
        unit, number, meta = row["unit"], row["row"], row["meta"]
        if not isinstance(unit, str) or not unit or type(number) is not int or not isinstance(meta, dict):
            raise RowError("needs a text as unit, a number as row and an object as meta")
        return unit, (number, meta)

    def __call__(self, unit: Any) -> dict[str, Any]:
        """The values of the data unit's row; none if it has no row."""
        found = self.find(unit.key)
        return {} if found is None else dict(found[1])

    def row_of(self, unit: Any) -> int | None:
        """The number of its row in the user's table, None if it has none."""
        found = self.find(unit.key)
        return None if found is None else found[0]

    def __repr__(self) -> str:
        return f"from_table({self.path!r})"


def from_table(path: str, *, folder: Path | None = None) -> FromTable:
    """Metadata from the frozen rows of a table, sorted by data unit: read along with the units, one row at a time.

    Args:
        path: `metadata.jsonl`; a relative path is one beside the script.
        folder: where a relative path is looked up instead.

    Raises:
        FindingError: when it is asked: `no-metadata-table`, `bad-metadata-table`.
    """
    return FromTable(path, folder)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two sources of metadata say different things about one field of a data unit.

    Attributes:
        field: the field.
        said: (source, value) as they were found; the last one is taken.
    """

    field: str
    said: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        words = [f"{_short(value)} ({source})" for source, value in self.said]
        return f"{self.field} is {' and '.join(words)}; {_short(self.said[-1][1])} is taken"


class Merged:
    """Merges parts in a fixed order, whatever order they are given in: constants, folders, name, table, sidecars, said.

    The later one wins. A value that is an object or a list is replaced as a whole, never merged with another. A
    function of somebody's own comes after sidecars. None is a value like any other: a part that has nothing to say
    about a field leaves it out.
    """

    def __init__(self, *parts: Part) -> None:
        self.parts = tuple(sorted(parts, key=_rank))

    def __call__(self, unit: Any) -> dict[str, Any]:
        """The metadata of one data unit."""
        return self.merge(unit)[0]

    def merge(self, unit: Any) -> tuple[dict[str, Any], list[Conflict]]:
        """The metadata of one data unit, and where its sources disagree.

        Constants are defaults, and what the user said is the last word: neither is a conflict.
        """
        merged: dict[str, Any] = {}
        seen: dict[str, list[tuple[str, Any]]] = {}
        for part in self.parts:
            kind = kind_of(part)
            if kind == "said":
                merged |= part(unit)
                for field in part(unit):
                    seen.pop(field, None)
                continue
            for source, values in _answers(part, kind, unit):
                merged |= values
                if kind != "constants":
                    for field, value in values.items():
                        seen.setdefault(field, []).append((source, value))
        disagree = [
            Conflict(field, tuple(said))
            for field, said in seen.items()
            if len(said) > 1 and any(not _same(value, said[-1][1]) for _, value in said[:-1])
        ]
        return merged, disagree

    def __repr__(self) -> str:
        return f"Merged({', '.join(map(repr, self.parts))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Merged) and other.parts == self.parts

    def __hash__(self) -> int:
        return hash(repr(self))


def kind_of(part: Part) -> str:
    """One of `METADATA_ORDER`, or `describe` for a function of somebody's own."""
    if isinstance(part, Said):
        return "said"
    for cls, kind in _KINDS:
        if isinstance(part, cls):
            return kind
    return OWN


def kinds_of(describe: Part | None) -> list[str]:
    """The kinds of metadata sources, in the order in which they are merged, each once."""
    if describe is None:
        return []
    parts: Iterable[Part] = describe.parts if isinstance(describe, Merged) else (describe,)
    return list(dict.fromkeys(map(kind_of, parts)))


_KINDS: tuple[tuple[type, str], ...] = (
    (Constants, "constants"),
    (FromFolders, "folders"),
    (FromName, "name"),
    (FromTable, "table"),
    (FromSidecars, "sidecars"),
)


def _rank(part: Part) -> float:
    kind = kind_of(part)
    return METADATA_ORDER.index("said") - 0.5 if kind == OWN else METADATA_ORDER.index(kind)


def _answers(part: Part, kind: str, unit: Any) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """What a part says, with a name for where: each sidecar speaks for itself."""
    if isinstance(part, FromSidecars):
        return part.each(unit)
    values = dict(part(unit))
    if isinstance(part, FromTable) and values:
        return [(f"row {part.row_of(unit)}", values)]
    return [(kind, values)]


def _same(one: Any, other: Any) -> bool:
    """Whether two values say the same; as text they need not be spelled alike, so `45` is "45" and `True` is "true"."""
    if isinstance(one, list | dict) or isinstance(other, list | dict):
        return bool(one == other)
    return _plain(one) == _plain(other)


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return unicodedata.normalize("NFC", str(value)).strip().casefold()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:59] + "…"
