"""Writing every file's data unit and specification into the inventory, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from synapse_skills.sources import File, Inventory
from synapse_skills.units.place import PlaceFunction, settle, signature

_PAGE = 10_000
_COLUMNS = "SELECT id, source, path, size, mtime_ns FROM file WHERE"
_BY_ID = f"{_COLUMNS} {{}}id > ? ORDER BY id LIMIT ?"
# For a place that reads a table beside the files, row by row.
_BY_PATH = f"{_COLUMNS} {{}}(source, path) > (?, ?) ORDER BY source, path LIMIT ?"
# Two questions a page, and the idle-looking condition, which is the index's own: otherwise SQLite reads a folder with a
# million files, or the whole index, once for each page.
_PLACED = "SELECT unit, spec, id, source, path, size, mtime_ns FROM file"
_SAME_GROUP = f"{_PLACED} WHERE unit = ? AND spec = ? AND id > ? ORDER BY id LIMIT ?"
_NEXT_GROUPS = f"{_PLACED} WHERE unit IS NOT NULL AND (unit, spec) > (?, ?) ORDER BY unit, spec, id LIMIT ?"
# Comes after every reason that files of no data unit ('') have in place of a specification.
_LAST_TEXT = "\U0010ffff"
_SMALL_PAGE = 1_000
_INDEX = "CREATE INDEX IF NOT EXISTS file_unit ON file (unit, spec) WHERE unit IS NOT NULL"


def place_all(inventory: Inventory, place: PlaceFunction, specs: frozenset[str]) -> None:
    """Ask `place` about every file, or only about new ones if the inventory's places were made by the same.

    Raises:
        FindingError: `place-raised`.
    """
    made_by = signature(place)
    # The set of specifications belongs to the signature: an answer that is none of them must not pass as checked.
    made_by = made_by and f"{made_by} for {sorted(specs)}"
    is_same = bool(made_by) and inventory.state("placed_by") == made_by
    if not is_same:
        inventory.keep_state("placed_by", "")
        with inventory.transaction() as connection:
            # Filling the index at the end, sorted, is many times faster than row by row.
            connection.execute("DROP INDEX IF EXISTS file_unit")
    ordered = getattr(place, "wants_order", False)
    query = (_BY_PATH if ordered else _BY_ID).format("unit IS NULL AND " if is_same else "")
    last: tuple[Any, ...] = (-1, "") if ordered else (0,)
    while page := inventory.rows(query, (*last, _PAGE)):
        last = page[-1][1:3] if ordered else page[-1][:1]
        answers = [(*settle(place, File(*values), specs), row) for row, *values in page]
        with inventory.transaction() as connection:
            connection.executemany("UPDATE file SET unit = ?, spec = ? WHERE id = ?", answers)
    with inventory.transaction() as connection:
        connection.execute(_INDEX)
    inventory.keep_state("placed_by", made_by)


def placed_rows(inventory: Inventory) -> Iterator[tuple[Any, ...]]:
    """Every file that is in a data unit: (unit, spec, id, source, path, size, mtime_ns), by unit, spec and id."""
    unit, spec, last = "", _LAST_TEXT, 0
    while True:
        page = inventory.rows(_SAME_GROUP, (unit, spec, last, _SMALL_PAGE))
        page += inventory.rows(_NEXT_GROUPS, (unit, spec, _SMALL_PAGE - len(page)))
        if not page:
            return
        yield from page
        unit, spec, last = page[-1][:3]
