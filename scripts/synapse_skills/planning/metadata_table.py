"""The rows about a table of metadata: which file, which sheet, which column names the data unit, and odd rows."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import EXIT_ENVIRONMENT, FindingError, printable
from synapse_skills.planning.answers import shown, text
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import (
    Ask,
    BadAnswer,
    Decision,
    Inferred,
    Later,
    Option,
    Refuse,
    Settled,
    Stopped,
)
from synapse_skills.planning.metadata_cover import AUTOMATIC, label_of
from synapse_skills.planning.metadata_evidence import resolve_table
from synapse_skills.planning.metadata_facts import (
    NONE,
    fields_of,
    key_columns_of,
    read,
    sidecars_by_name,
    table_of,
    table_path,
    tables_in_source,
    unit_keys,
)
from synapse_skills.planning.metadata_far import far_name, is_far
from synapse_skills.planning.metadata_far import inside as lies_inside
from synapse_skills.planning.on_agent import bring_table, true_path
from synapse_skills.planning.sources import sources_of

if TYPE_CHECKING:
    from synapse_skills.units.rows import KeyColumn

STOP = "stop"
MANY_FIELDS = 2
EXAMPLES = 3


# ---- metadata.table


def _decide_table(facts: Facts, settled: Settled) -> Inferred | Ask | None:
    found = tables_in_source(facts, settled)
    if len(found) > 1 and _hold_the_same(facts, found):
        _set_aside(facts, settled, *found)
        others = ", ".join(_inside(path, settled) for path in found[1:])
        because = f"{others} holds the same rows; `none` if it is no metadata"
        return Inferred(true_path(found[0], sources_of(settled)), because)
    if len(found) > 1:
        sources = sources_of(settled)
        options = [Option(_inside(path, settled), true_path(path, sources), _told(facts, path)) for path in found[:3]]
        return Ask(
            f"The source holds {len(found)} tables with names of metadata. Which one counts?",
            (*options, Option("None of them", NONE, "Data units get no metadata from a table")),
        )
    if found:
        try:
            table = read(facts, found[0])
        except FindingError as error:
            return Ask(
                f"{_inside(found[0], settled)} lies in the source and can't be read as a table. Go on without it?",
                (
                    Option("Stop", STOP, "Mend it first, or name another table with --excel"),
                    Option("Go on without it", NONE, "Data units get no metadata from a table"),
                ),
                problem=Refuse(error.code, str(error), error.hint, EXIT_ENVIRONMENT),
            )
        _set_aside(facts, settled, found[0])
        what = f"{table.row_count:,} rows with {len(table.columns):,} columns"
        return Inferred(
            true_path(found[0], sources_of(settled)), f"found in the source: {what}; `none` if it is no metadata"
        )
    missing = _missing(facts, settled)
    if len(missing) > MANY_FIELDS and not sidecars_by_name(facts, settled):
        names = ", ".join(missing[:6]) + (", …" if len(missing) > 6 else "")
        return Ask(
            f"The data collection requires metadata: {names}. Which table has it, a row for each data unit? Give the "
            "path of a workbook, CSV or JSON file, or `none`."
        )
    return None


def _hold_the_same(facts: Facts, paths: list[Path]) -> bool:
    """Whether tables hold the same rows, such as a workbook and the same one as an older version of Excel saves it."""
    try:
        tables = [read(facts, path) for path in paths]
    except FindingError:
        return False
    first = tables[0]
    names = [column.name for column in first.columns]
    return all(
        each.row_count == first.row_count
        and [column.name for column in each.columns] == names
        and all(mine.values == theirs.values for mine, theirs in zip(first.rows(), each.rows(), strict=False))
        for each in tables[1:]
    )


def _missing(facts: Facts, settled: Settled) -> list[str]:
    """Required fields that nothing said so far gives."""
    given = {key.split(".", 2)[2] for key in facts.answers if key.count(".") >= 2 and key.startswith("metadata.")}
    if "metadata.name" in facts.answers or "metadata.sidecars" in facts.answers:
        return []
    names = [field.name for field in fields_of(facts, settled) if field.required]
    return [name for name in names if name not in given and name not in AUTOMATIC]


def _inside(path: Path, settled: Settled) -> str:
    """A table as the user knows it: by its name in the source."""
    if url := far_name(path):
        return printable(url)
    for source in sources_of(settled):
        if not source.is_remote and path.is_relative_to(source.root()):
            return printable(str(path.relative_to(source.root())))
    return printable(str(path))


def _told(facts: Facts, path: Path) -> str:
    try:
        table = read(facts, path)
    except FindingError as error:
        return f"can't be read: {error}"
    named = ", ".join(printable(column.name) for column in table.columns[:4])
    return f"{table.row_count:,} rows: {named}{', …' if len(table.columns) > 4 else ''}"


def _set_aside(facts: Facts, settled: Settled, *paths: Path) -> None:
    """Tables are no data, even where a specification takes their extension."""
    inside: list[tuple[int, str]] = []
    for path in paths:
        inside += lies_inside(far_name(path) or "", sources_of(settled))
        for number, source in enumerate(sources_of(settled)):
            if not source.is_remote and path.is_relative_to(source.root()):
                inside.append((number, unicodedata.normalize("NFC", path.relative_to(source.root()).as_posix())))
    facts.set_aside(tables=tuple(inside))


def _parse_table(answer: Any, facts: Facts, settled: Settled) -> str:
    word = text(answer, facts, settled)
    if word.casefold() in (NONE, "no", "없음"):
        return NONE
    if word.casefold() == STOP:
        found = tables_in_source(facts, settled)
        path = found[0] if found else Path(word)
        why = _told(facts, path)
        raise Stopped(Refuse("bad-table", f"{_inside(path, settled)} {why}", "Mend it, or name another table."), STOP)
    bring_table(word, sources_of(settled))
    path, in_source = resolve_table(word, sources_of(settled))
    _check_suffix(path)
    read(facts, path)
    _set_aside(facts, settled, path)
    # A path in the source stays relative: the same answers hold for next week's folder.
    return word if in_source or Path(word).is_absolute() or is_far(word) else true_path(path, sources_of(settled))


def _check_suffix(path: Path) -> None:
    from synapse_skills.metadata import is_table

    if not is_table(path):
        raise FindingError(
            f"{printable(str(path))} is no table: its extension is {path.suffix or 'missing'}.",
            hint="Give a workbook (.xlsx, .xls), CSV, TSV, JSON or JSON Lines file.",
            code="bad-table",
        )


TABLE = Decision(
    "metadata.table",
    "Metadata",
    "A table with a row of metadata for each data unit: .xlsx, .xls, .csv, .tsv, .json or .jsonl; `none` for none.",
    _decide_table,
    _parse_table,
    needs=("data_collection", "sources.*.recursive"),
)


# ---- metadata.sheet


def _sheets(facts: Facts, settled: Settled) -> list[str]:
    """The sheets of the workbook that hold rows; hidden ones only if no other does."""
    path = table_path(settled)
    table = read(facts, path) if path is not None else None
    if table is None or table.sheet is None:
        return []
    full = [sheet for sheet in table.sheets if sheet.rows > 0 and sheet.has_header is not False]
    shown_ones = [sheet.name for sheet in full if not sheet.hidden]
    return shown_ones or [sheet.name for sheet in full]


def _decide_sheet(facts: Facts, settled: Settled) -> Inferred | Ask | Later | None:
    path = table_path(settled)
    if path is None:
        return None
    first = read(facts, path).sheet
    if first is None:
        return None
    sheets = _sheets(facts, settled)
    if len(sheets) < 2:
        return Inferred(first, "the only sheet with a header and rows")
    matched = {sheet: _best(facts, settled, sheet) for sheet in sheets[:20]}
    some = [sheet for sheet, best in matched.items() if best is not None and best.matched]
    if len(some) == 1:
        why = f"the only one of {len(sheets)} sheets that names data units: {_why(matched[some[0]])}"
        return Inferred(some[0], why)
    ranked = sorted(sheets, key=lambda sheet: -_matched(matched.get(sheet)))
    options = tuple(Option(printable(sheet), sheet, _why(matched.get(sheet))) for sheet in ranked)
    return Ask(f"{_inside(path, settled)} has {len(sheets)} sheets. Which one holds the metadata?", options)


def _best(facts: Facts, settled: Settled, sheet: str) -> KeyColumn | None:
    try:
        return next(iter(key_columns_of(facts, settled, sheet)), None)
    except FindingError:
        return None  # a sheet that can't be read is no candidate


def _matched(best: KeyColumn | None) -> int:
    return best.matched if best is not None else 0


def _why(best: KeyColumn | None) -> str:
    if best is None or not best.matched:
        return "no column names data units"
    return f"{printable(best.column)} names {best.units:,} data units"


def _parse_sheet(answer: Any, facts: Facts, settled: Settled) -> str:
    path = table_path(settled)
    if path is None:
        raise BadAnswer("There is no table, so there is no sheet.")
    table = read(facts, path)
    word = text(answer, facts, settled)
    names = [sheet.name for sheet in table.sheets]
    name = next((each for each in names if each == word), None) or next(
        (each for each in names if each.strip().casefold() == word.casefold()), None
    )
    if name is None:
        there = ", ".join(map(printable, names[:10])) or "none: it is no workbook"
        raise BadAnswer(f"{shown(answer)} is no sheet of {_inside(path, settled)}; there is {there}.")
    read(facts, path, name)
    return name


SHEET = Decision(
    "metadata.sheet",
    "Sheet",
    "The sheet of a workbook that holds the metadata.",
    _decide_sheet,
    _parse_sheet,
    needs=("metadata.table", "specs.*.pattern"),
    whole=True,
)


# ---- metadata.key


def _candidates(facts: Facts, settled: Settled) -> list[KeyColumn]:
    return key_columns_of(facts, settled, settled.get("metadata.sheet"))


def _decide_key(facts: Facts, settled: Settled) -> Inferred | Ask | None:
    path = table_path(settled)
    if path is None:
        return None
    found = [each for each in _candidates(facts, settled) if each.matched]
    if not found:
        return _ask_without_key(facts, settled, path)
    best = found[0]
    rivals = [each for each in found[1:] if each.matched == best.matched]
    few = 2 * best.matched < best.rows and 2 * best.units < len(unit_keys(facts, settled))
    if few:
        return Ask(
            f"Few rows of {_inside(path, settled)} name a data unit. Which column does?",
            (
                *(Option(label_of(each.column), each.column, _evidence(each)) for each in found[:2]),
                Option("Leave the table aside", NONE, "Data units get no metadata from it"),
            ),
        )
    if not rivals or _say_the_same(facts, settled, [best.column, *(each.column for each in rivals)]):
        return Inferred(best.column, _evidence(best))
    options = tuple(Option(label_of(each.column), each.column, _evidence(each)) for each in [best, *rivals][:4])
    return Ask(f"Several columns of {_inside(path, settled)} name the data units. Which one counts?", options)


def _ask_without_key(facts: Facts, settled: Settled, path: Path) -> Ask:
    units = ", ".join(map(printable, unit_keys(facts, settled)[:EXAMPLES]))
    held = "; ".join(
        f"{printable(each.column)}: {', '.join(map(printable, each.examples[:2]))}"
        for each in _candidates(facts, settled)[:EXAMPLES]
    )
    return Ask(
        f"No column of {_inside(path, settled)} names the data units. They are called {units}; the columns hold "
        f"{held}. Which column is it, or is the table left aside?",
        (
            Option("Stop", STOP, "Correct the table, or name another one with --excel"),
            Option("Leave the table aside", NONE, "Data units get no metadata from it"),
        ),
    )


def _say_the_same(facts: Facts, settled: Settled, columns: list[str]) -> bool:
    """Whether these columns hold the same in every row: then it does not matter which one is the key."""
    table = table_of(facts, settled)
    assert table is not None
    return all(len({str(row.values.get(column, "")) for column in columns}) == 1 for row in table.rows())


def _evidence(one: KeyColumn) -> str:
    zeros = ", once leading zeros are left out" if one.zeros else ""
    return (
        f"{one.matched:,} of {one.rows:,} rows name {one.units:,} data units by {one.how}{zeros}"
        f"{', such as ' + printable(one.examples[0]) if one.examples else ''}"
    )


def _parse_key(answer: Any, facts: Facts, settled: Settled) -> str:
    path = table_path(settled)
    if path is None:
        raise BadAnswer("There is no table, so no column names the data units.")
    table = read(facts, path, settled.get("metadata.sheet"))
    word = text(answer, facts, settled)
    column = next((each.name for each in table.columns if each.name == word), None) or next(
        (each.name for each in table.columns if each.name.casefold() == word.casefold()), None
    )
    if column is None and word.casefold() == STOP:
        stop = _ask_without_key(facts, settled, path)
        raise Stopped(Refuse("no-key-column", stop.question, "Give the table a column with the units' names."), STOP)
    if column is None and word.casefold() == NONE:
        return NONE
    if column is None:
        there = ", ".join(printable(each.name) for each in table.columns[:12])
        raise BadAnswer(f"{shown(answer)} is no column of {_inside(path, settled)}; there are {there}.")
    found = next((each for each in _candidates(facts, settled) if each.column == column), None)
    if found is None or not found.matched:
        units = ", ".join(map(printable, unit_keys(facts, settled)[:EXAMPLES]))
        seen = f" It holds {', '.join(map(printable, found.examples[:2]))}." if found and found.examples else ""
        raise BadAnswer(
            f"{shown(answer)} names no data unit.{seen} Data units are called {units}.", _all_keys(facts, settled)
        )
    return column


def _all_keys(facts: Facts, settled: Settled) -> Ask | None:
    found = [each for each in _candidates(facts, settled) if each.matched]
    options = tuple(Option(label_of(each.column), each.column, _evidence(each)) for each in found[:4])
    return Ask("Which column of the table names the data units?", options) if found else None


KEY = Decision(
    "metadata.key",
    "Key column",
    "The column of the table that names the data unit of each row; `none` leaves the table aside.",
    _decide_key,
    _parse_key,
    needs=("metadata.sheet",),
    whole=True,
)
