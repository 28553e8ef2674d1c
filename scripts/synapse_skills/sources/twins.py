"""Names in one folder that another system would take for one another.

Only names that differ from their folded form (`walk.fold`) are looked at; they lie in a temporary table on disk and
are compared in sorted order, so a folder with a million such names takes no memory.
"""

from __future__ import annotations

import itertools
import sqlite3
import unicodedata
from operator import itemgetter

from synapse_skills.errors import printable
from synapse_skills.report import Problems

ODD_TABLE = "temp.odd_name"
_MOST_NAMES = 8

# The plain twin, whose name is the folded form itself, is not in the table of odd names: a file or a folder that holds
# one. '0' comes right after '/', so the range is what lies below the folder.
_QUERY = f"""
SELECT source, fold, path,
       EXISTS (SELECT 1 FROM file WHERE file.source = odd.source AND file.path = odd.fold AND generation = :generation)
    OR EXISTS (SELECT 1 FROM file WHERE file.source = odd.source AND file.path > odd.fold || '/'
                                    AND file.path < odd.fold || '0' AND generation = :generation)
FROM {ODD_TABLE} AS odd ORDER BY source, fold, path
"""  # noqa: S608


def find_twins(connection: sqlite3.Connection, generation: int, problems: Problems) -> None:
    """Report `name-collision-nfc` (would become the same key) and `name-collision-case` (differ by case only)."""
    rows = connection.execute(_QUERY, {"generation": generation})
    for (_, fold), group in itertools.groupby(rows, key=itemgetter(0, 1)):
        names: list[str] = []
        for _, _, path, has_plain in group:
            if has_plain and not names:
                names.append(fold)
            if len(names) < _MOST_NAMES:
                names.append(path)
        if len(names) > 1:
            _report(names, problems)


def _report(names: list[str], problems: Problems) -> None:
    by_key: dict[str, list[str]] = {}
    for name in names:
        by_key.setdefault(unicodedata.normalize("NFC", name), []).append(name)
    for twins in by_key.values():
        if len(twins) > 1:
            problems.add(
                "name-collision-nfc",
                " and ".join(f"{printable(twin)} ({_form(twin)})" for twin in twins),
                fix="The names look the same and would become one key: rename one of each pair, or remove it.",
            )
    if len(by_key) > 1:
        problems.add(
            "name-collision-case",
            " and ".join(printable(key) for key in by_key),
            severity="warning",
            fix="They are kept apart here, but Windows and macOS would take one for the other: better rename one.",
        )


def _form(name: str) -> str:
    return "composed" if unicodedata.is_normalized("NFC", name) else "decomposed, as macOS writes it"
