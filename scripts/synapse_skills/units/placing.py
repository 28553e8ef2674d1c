"""Writing every file's data unit and specification into the inventory, page by page."""

from __future__ import annotations

from typing import Any

from synapse_skills.sources import File, Inventory
from synapse_skills.units.place import PlaceFunction, settle, signature

_PAGE = 10_000
_COLUMNS = "SELECT id, source, path, size, mtime_ns FROM file WHERE"
_BY_ID = f"{_COLUMNS} {{}}id > ? ORDER BY id LIMIT ?"
# For a place that reads a table beside the files, row by row.
_BY_PATH = f"{_COLUMNS} {{}}(source, path) > (?, ?) ORDER BY source, path LIMIT ?"
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
