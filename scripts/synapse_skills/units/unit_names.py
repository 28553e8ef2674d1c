"""What a table may call a data unit: its key, its folder, the stem or name of one of its files, or their path.

The names lie in temporary tables beside the inventory, so that a million data units take no memory. There are four
tiers, as a column holds names of one kind: those of the unit itself, and stems, names and paths of its files. The last
three are only filled when the first one does not settle it: a table that lists folders needs no look at file names.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched, groupby
from operator import itemgetter
from types import TracebackType
from typing import Any, Self

from synapse_skills.sources import File, Inventory
from synapse_skills.units.names import stem_of
from synapse_skills.units.placing import placed_rows
from synapse_skills.units.sidecars import SIDECAR

UNIT, STEM, NAME, PATH = TIERS = range(4)
LABELS = ("data unit", "folder name", "file stem", "file name", "path")
_KEY, _FOLDER, _STEM, _NAME, _PATH = range(5)
_BATCH = 5_000
_LONGEST = 4_096
_MOST_FILE_NAMES = 3_000
_ZEROS = "\0"


@dataclass(frozen=True, slots=True)
class Found:
    """A data unit that a table's key names.

    Attributes:
        unit: its number in the order of keys, from 1.
        label: index into `LABELS`.
        how: exact, case (only upper and lower case differ) or zeros (only leading zeros differ).
    """

    unit: int
    label: int
    how: str = "exact"


@dataclass(frozen=True, slots=True)
class Several:
    """More than one data unit is called so; the numbers of two."""

    units: tuple[int, ...]


class UnitNames:
    """The names of all data units of a placed inventory; a context manager, as the temporary tables must go.

    Attributes:
        units: how many data units have a file that a specification takes.
        last: the number of the last one, with or without such a file.
    """

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.units = 0
        self.last = 0
        self._has_files = False
        self._roots = _roots_of(inventory)

    def __enter__(self) -> Self:
        self._drop()
        with self.inventory.transaction() as connection:
            connection.execute("CREATE TEMP TABLE unit_row (id INTEGER PRIMARY KEY, key TEXT, is_real INTEGER)")
        self._fill_units()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def _drop(self) -> None:
        with self.inventory.transaction() as connection:
            for name in ("unit_row", *(f"unit_name_{tier}" for tier in TIERS)):
                connection.execute(f"DROP TABLE IF EXISTS temp.{name}")

    def key(self, unit: int) -> str:
        """The key of a data unit by its number."""
        return str(self.inventory.rows("SELECT key FROM temp.unit_row WHERE id = ?", (unit,))[0][0])

    def is_real(self, unit: int) -> bool:
        """Whether it has a file that a specification takes."""
        return bool(self.inventory.rows("SELECT is_real FROM temp.unit_row WHERE id = ?", (unit,))[0][0])

    def add_files(self) -> None:
        """Fill the other tiers; a second call does nothing."""
        if self._has_files:
            return
        tiers = (STEM, NAME, PATH)
        self._create(tiers)
        for batch in batched(self._file_names(), _BATCH):
            self._insert(tiers, batch)
        self._index(tiers)
        self._has_files = True

    def find(self, tier: int, value: str) -> Found | Several | None:
        """The data unit that a key means, exactly or else but for case, or else but for leading zeros."""
        if not value or len(value) > _LONGEST:
            return None
        for text in self._forms(tier, value):
            found = self._find(tier, text)
            if found is not None:
                return found
        return None

    def _forms(self, tier: int, value: str) -> list[str]:
        """A key as it may be written: Windows' slashes, and absolute paths."""
        forms = [value]
        plain = value.replace("\\", "/") if "\\" in value else value
        if plain.startswith("./"):
            plain = plain[2:]
        plain = plain.rstrip("/") or plain
        if tier == PATH:
            inside = [plain.removeprefix(root) for root in self._roots if plain.startswith(root)]
            forms += inside[:1]
        if plain != value:
            forms.append(plain)
        return forms

    def _find(self, tier: int, text: str) -> Found | Several | None:
        execute = self.inventory.connection.execute
        table = f"temp.unit_name_{tier}"
        fold = text.casefold()
        rows = execute(f"SELECT name, unit, label FROM {table} WHERE fold = ? LIMIT 3", (fold,)).fetchall()  # noqa: S608
        exact = [row for row in rows if row[0] == text]
        if len(rows) == 3:
            exact = execute(
                f"SELECT name, unit, label FROM {table} WHERE fold = ? AND name = ? LIMIT 2",  # noqa: S608
                (fold, text),
            ).fetchall()
        if exact or rows:
            return _one(exact or rows, "exact" if exact else "case")
        if tier > STEM or not (text.isascii() and text.isdecimal()):
            return None
        digits = text.lstrip("0") or "0"
        others = execute(
            f"SELECT name, unit, label FROM {table} WHERE fold IN (?, ?) LIMIT 3",  # noqa: S608
            (_ZEROS + digits, digits),
        ).fetchall()
        return _one(others, "zeros") if others else None

    # -- filling -------------------------------------------------------------------------------------------------

    def _fill_units(self) -> None:
        self._create([UNIT])
        for batch in batched(self._units(), _BATCH):
            units = [(number, key, is_real) for number, key, is_real, _ in batch]
            names = [(UNIT, name, number, label) for number, key, _, label in batch for name, label in _own(key, label)]
            with self.inventory.transaction() as connection:
                connection.executemany("INSERT INTO temp.unit_row VALUES (?, ?, ?)", units)
            self._insert([UNIT], names)
            self.last = units[-1][0]
            self.units += sum(is_real for _, _, is_real in units)
        self._index([UNIT])

    def _units(self) -> Iterator[tuple[int, str, bool, int]]:
        """(number, key, whether a specification takes one of its files, what the last part of the key is)."""
        for number, (key, rows) in enumerate(groupby(placed_rows(self.inventory), key=itemgetter(0)), 1):
            last = key.rpartition("/")[2]
            is_real = is_folder = is_name = False
            for _, spec, _, *values in rows:
                is_real = is_real or spec not in ("", SIDECAR)
                file = File(*values)
                is_folder = is_folder or file.key.startswith(f"{key}/")
                is_name = is_name or file.name == last
            yield number, key, is_real, _FOLDER if is_folder else _NAME if is_name else _STEM

    def _file_names(self) -> Iterator[tuple[int, str, int, int]]:
        """(tier, name, unit, label), each once for a data unit."""
        for number, (_, rows) in enumerate(groupby(placed_rows(self.inventory), key=itemgetter(0)), 1):
            seen: set[tuple[int, str]] = set()
            for _, spec, _, *values in rows:
                # A data unit has one file for each specification: whatever has thousands is not told by one of them.
                if spec in ("", SIDECAR) or len(seen) > _MOST_FILE_NAMES:
                    continue
                file = File(*values)
                for tier, name, label in (
                    (STEM, stem_of(file.name), _STEM), (NAME, file.name, _NAME), (PATH, file.key, _PATH)
                ):  # fmt: skip
                    if (tier, name) not in seen:
                        seen.add((tier, name))
                        yield tier, name.strip(), number, label

    def _create(self, tiers: Sequence[int]) -> None:
        with self.inventory.transaction() as connection:
            for tier in tiers:
                columns = "(fold TEXT, name TEXT, unit INTEGER, label INTEGER)"
                connection.execute(f"CREATE TEMP TABLE unit_name_{tier} {columns}")

    def _insert(self, tiers: Sequence[int], names: Sequence[tuple[int, str, int, int]]) -> None:
        with self.inventory.transaction() as connection:
            for tier in tiers:
                rows = [
                    (fold, name, unit, label)
                    for at, name, unit, label in names
                    if at == tier
                    for fold in _folds(tier, name)
                ]
                connection.executemany(f"INSERT INTO temp.unit_name_{tier} VALUES (?, ?, ?, ?)", rows)  # noqa: S608

    def _index(self, tiers: Sequence[int]) -> None:
        """At the end, sorted, which is many times faster than row by row."""
        with self.inventory.transaction() as connection:
            for tier in tiers:
                connection.execute(f"CREATE INDEX temp.unit_fold_{tier} ON unit_name_{tier} (fold, name)")


def key_text(value: Any) -> str:
    """A cell as a key: composed, without surrounding blanks; 7.0 is 7."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return unicodedata.normalize("NFC", str(value)).strip()


def _own(key: str, label: int) -> list[tuple[str, int]]:
    last = key.rpartition("/")[2]
    return [(key.strip(), label)] if last == key else [(key.strip(), _KEY), (last.strip(), label)]


def _folds(tier: int, name: str) -> list[str]:
    """What a name is found by: in lower case, and as a number that lost its leading zeros."""
    folds = [name.casefold()]
    if tier <= STEM and len(name) > 1 and name[0] == "0" and name.isascii() and name.isdecimal():
        folds.append(_ZEROS + (name.lstrip("0") or "0"))
    return folds


def _one(rows: Sequence[tuple[str, int, int]], how: str) -> Found | Several:
    units = tuple(dict.fromkeys(unit for _, unit, _ in rows))
    return Found(units[0], rows[0][2], how) if len(units) == 1 else Several(units)


def _roots_of(inventory: Inventory) -> list[str]:
    """The sources' folders with a slash at the end, to know absolute paths by."""
    try:
        roots = [str(root) for root, *_ in json.loads(inventory.state("sources") or "[]")]
    except (ValueError, TypeError):
        return []
    return [unicodedata.normalize("NFC", root).replace("\\", "/").rstrip("/") + "/" for root in roots]
