"""What is odd about a table, as problems: what, in which rows, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synapse_skills.errors import printable
from synapse_skills.metadata.cells import Seen, letter_of
from synapse_skills.metadata.columns import Profile
from synapse_skills.metadata.header import Header
from synapse_skills.metadata.notes import Notes, rows_text
from synapse_skills.report import Problems

if TYPE_CHECKING:
    from synapse_skills.metadata.tables import Column, SheetSeen

GUIDE = "How to fill this in"
"""The sheet of explanations in the workbooks that check_excel makes."""
_FIXES = {
    "table-formula": ("error", "Open it in Excel, let it calculate, and save it: the formulas have no value in it."),
    "table-error-cell": ("warning", "Mend these cells; as they are, they count as empty."),
    "table-long-number": ("error", "Write numbers of more than 15 digits as text: their last digits are lost here."),
    "table-wide": (
        "error",
        "Put texts with the delimiter in them in quotes; what stands behind the header is left out.",
    ),
    "table-trimmed": ("info", "Nothing: spaces around a text are taken off."),
    "table-decomposed": ("info", "Nothing: decomposed letters, as a Mac writes them, are composed."),
    "table-mixed-kinds": ("warning", "Give the whole column one kind of value, if these rows are not meant."),
}


def tell(
    notes: Notes,
    *,
    header: Header,
    columns: Sequence[Column],
    profiles: Sequence[Profile],
    twice: Sequence[tuple[str, str]],
    unnamed: Sequence[str],
    sheet: str | None,
    others: Sequence[SheetSeen],
    seen: Seen | None,
    keys_twice: Sequence[tuple[int, str]],
    row_count: int,
) -> Problems:
    """Everything that is odd, in one collector."""
    problems = Problems()
    by_letter = {column.letter: column.place for column in columns}
    for code, cells in (("table-formula", seen.unvalued), ("table-error-cell", seen.errors)) if seen else ():
        for row, index in cells:
            if row + 1 > header.row:
                letter = letter_of(index)
                notes.add(code, by_letter.get(letter, f"column {letter}"), [row + 1])
    for column, profile in zip(columns, profiles, strict=True):
        place = column.place
        notes.put("table-error-cell", f"{place}, infinite", profile.not_numbers)
        notes.add("table-long-number", place, [row for row in profile.rounded if row not in profile.exact])
        notes.put("table-trimmed", place, profile.trimmed)
        notes.put("table-decomposed", place, profile.decomposed)
        for kind, rows in profile.odd_kinds.items():
            said = (
                f"{place}, mostly {max(column.kinds, key=lambda each: column.kinds[each])}: {kind} in {rows_text(rows)}"
            )
            problems.add(
                "table-mixed-kinds",
                said if len(rows) >= column.kinds[kind] else f"{said} …",
                severity=_FIXES["table-mixed-kinds"][0],
                fix=_FIXES["table-mixed-kinds"][1],
                count=column.kinds[kind],
            )
    for code, (severity, fix) in _FIXES.items():
        notes.tell(problems, code, severity, fix)
    _tell_header(problems, header, twice, unnamed)
    if others:
        named = [
            f"{printable(other.name)}{' (hidden)' if other.hidden else ''}: {other.rows:,} rows" for other in others
        ]
        problems.add(
            "table-sheets",
            f"{printable(sheet or '')} was taken; there are also {'; '.join(named[:10])}",
            severity="warning" if any(map(_may_be_meant, others)) else "info",
            fix="Name the sheet that is meant, unless it is this one: metadata.sheet=NAME, or --sheet NAME.",
        )
    for row, key in keys_twice:
        problems.add(
            "table-duplicate-column",
            f"row {row:,} has {printable(key)} twice",
            fix="Rename or remove one of them; the last one counts.",
        )
    if not row_count:
        problems.add("table-no-rows", f"below row {header.row}", fix="Write one row for each data unit.")
    return problems


def _tell_header(problems: Problems, header: Header, twice: Sequence[tuple[str, str]], unnamed: Sequence[str]) -> None:
    if header.above:
        problems.add(
            "table-header-not-first",
            f"row {header.row} has the names of the columns; above it: {rows_text(list(header.above))}",
            severity="info",
            fix="Nothing, if that is so; else delete the rows above the names.",
        )
    for cells in header.merged:
        problems.add(
            "table-merged-header",
            printable(cells),
            severity="warning",
            fix="Unmerge the cells and give each column its own name, if the names shown are not right.",
        )
    for place, name in twice:
        problems.add(
            "table-duplicate-column",
            f"{place}: another column is called {printable(name)} too",
            fix="Rename one of them, or delete the one that is not meant.",
        )
    for place in unnamed:
        problems.add(
            "table-unnamed-column",
            place,
            severity="warning",
            fix="Give the column a name in the header row, or delete it.",
        )


def _may_be_meant(sheet: SheetSeen) -> bool:
    """Whether somebody could mean a sheet that was not taken."""
    return not sheet.hidden and sheet.rows > 0 and sheet.has_header is not False and sheet.name != GUIDE
