"""A table of the user's own that says where each file goes, for trees that follow no rule.

CSV, TSV, a JSON list of objects, or one JSON object a line, with three columns: the file's path relative to its source,
its data unit, its spec. It is checked against the files and the specs, and frozen in the order in which the job reads
its files. The rows go through a temporary table of the inventory: memory does not grow with them.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError, printable

if TYPE_CHECKING:
    from synapse_skills.sources import Inventory

FROZEN = "placement.jsonl"
MAX_EXAMPLES = 3
COLUMNS = {
    "path": ("path", "file", "file_path", "filename", "file_name"),
    "unit": ("unit", "data_unit", "dataset_key", "group_key", "key"),
    "spec": ("spec", "spec_name", "specification", "file_specification"),
}
_TABLE = "CREATE TEMP TABLE placement (source INTEGER, path TEXT, unit TEXT, spec TEXT, line INTEGER)"
Row = tuple[int, str, str, str]


class BadTable(FindingError):
    """The table can't be used; the message says where it is wrong."""

    code = "bad-placement"
    hint = "One row for each file: its path relative to the source, its data unit, its spec."


@dataclass
class Placement:
    """What a table came to: rows for files that are there, and what it leaves open."""

    rows: int = 0
    units: int = 0
    files_without: int = 0
    mark: str = ""
    examples: list[str] = field(default_factory=list)


def read_placement(
    path: Path, inventory: Inventory, roots: Sequence[str], specs: Sequence[str], write: Callable[[Iterable[Row]], int]
) -> Placement:
    """Check a table and hand its rows, in the order of the inventory, to `write`.

    Raises:
        BadTable: it can't be read, a column is missing, a spec is unknown, a row names no file or one named before.
    """
    with inventory.transaction() as connection:
        connection.execute("DROP TABLE IF EXISTS placement")
        connection.execute(_TABLE)
        connection.create_function("nfc", 1, lambda text: unicodedata.normalize("NFC", text), deterministic=True)
        connection.executemany("INSERT INTO placement VALUES (?, ?, ?, ?, ?)", _checked(path, roots, specs))
        connection.execute("CREATE INDEX temp.placement_path ON placement (path, source)")
    found = _match(inventory, path)
    found.mark = digest(path)
    write(_ordered(inventory))
    return found


def digest(path: Path) -> str:
    """The table's content in short: another content is another plan."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]


def _match(inventory: Inventory, path: Path) -> Placement:
    """Hold the rows against the files."""
    twice = inventory.rows("SELECT path, min(line), max(line) FROM placement GROUP BY path, source HAVING count(*) > 1")
    if twice:
        name, first, last = twice[0]
        raise BadTable(f"{printable(path.name)} names {printable(name)} twice, in rows {first} and {last}.")
    # A row may leave the source open (one source, or paths that say it): -1 fits any that has the file.
    lost = inventory.rows(
        "SELECT p.path, p.line FROM placement p WHERE NOT EXISTS (SELECT 1 FROM file f WHERE f.path = p.path AND "
        "p.source IN (-1, f.source)) ORDER BY p.line LIMIT 4"
    )
    if lost:
        # A Mac writes names decomposed, a spreadsheet composed: compared once more by what they mean.
        with inventory.transaction() as connection:
            connection.execute("DROP TABLE IF EXISTS composed")
            connection.execute("CREATE TEMP TABLE composed AS SELECT nfc(path) AS name, path, source FROM file")
            connection.execute("CREATE INDEX temp.composed_name ON composed (name)")
            connection.execute(
                "UPDATE placement SET path = coalesce((SELECT c.path FROM composed c "
                "WHERE c.name = nfc(placement.path) AND placement.source IN (-1, c.source)), path)"
            )
            connection.execute("DROP TABLE composed")
        lost = inventory.rows(
            "SELECT p.path, p.line FROM placement p WHERE NOT EXISTS (SELECT 1 FROM file f WHERE f.path = p.path AND "
            "p.source IN (-1, f.source)) ORDER BY p.line LIMIT 4"
        )
    if lost:
        named = ", ".join(f"{printable(name)} (row {line})" for name, line in lost[:MAX_EXAMPLES])
        more = " and more" if len(lost) > MAX_EXAMPLES else ""
        raise BadTable(f"{printable(path.name)} names files that are not in the source: {named}{more}.")
    rows, units = inventory.rows("SELECT count(*), count(DISTINCT unit) FROM placement")[0]
    files = inventory.rows("SELECT count(*) FROM file")[0][0]
    if not rows:
        raise BadTable(f"{printable(path.name)} has no row.")
    return Placement(rows, units, max(0, files - rows))


def _ordered(inventory: Inventory) -> Iterator[Row]:
    query = (
        "SELECT f.source, f.path, p.unit, p.spec FROM file f JOIN placement p ON p.path = f.path AND p.source IN "
        "(-1, f.source) WHERE (f.source, f.path) > (?, ?) ORDER BY f.source, f.path LIMIT 2000"
    )
    last: tuple[int, str] = (-1, "")
    while page := inventory.rows(query, last):
        last = (page[-1][0], page[-1][1])
        yield from page


def _checked(path: Path, roots: Sequence[str], specs: Sequence[str]) -> Iterator[tuple[int, str, str, str, int]]:
    known = {name.casefold(): name for name in specs}
    for number, row in _rows(path):
        values = {}
        for column, names in COLUMNS.items():
            value = next((row[name] for name in names if row.get(name) not in (None, "")), None)
            if value is None:
                raise BadTable(
                    f"{printable(path.name)}, row {number}, has no {column}.",
                    hint=f"Columns: {'; '.join(f'{key} ({", ".join(each)})' for key, each in COLUMNS.items())}.",
                )
            values[column] = unicodedata.normalize("NFC", str(value)) if column == "unit" else str(value).strip()
        spec = known.get(values["spec"].casefold())
        if spec is None:
            near = difflib.get_close_matches(values["spec"], list(specs), n=1, cutoff=0.0)
            raise BadTable(
                f"{printable(path.name)}, row {number}: {printable(values['spec'])} is no spec of the collection.",
                hint=f"Did you mean {near[0]}?" if near else "",
            )
        source, inside = _inside(values["path"], roots)
        given = row.get("source")
        if isinstance(given, int) or (isinstance(given, str) and given.isdigit()):
            source = int(given) - 1
        yield source, inside, values["unit"].strip(), spec, number


def _inside(name: str, roots: Sequence[str]) -> tuple[int, str]:
    """An absolute path below a source, as the source sees it; anything else as it is."""
    name = name.replace("\\", "/") if "\\" in name and "/" not in name else name
    for number, root in enumerate(roots):
        if name.startswith(root.rstrip("/") + "/"):
            return number, name[len(root.rstrip("/")) + 1 :]
    return -1, name.removeprefix("./")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their numbers as a spreadsheet counts them."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            head = stream.read(1)
            stream.seek(0)
            if head == "[":
                for number, row in enumerate(json.load(stream), 1):
                    yield number, _object(row, path, number)
            elif head == "{":
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        yield number, _object(json.loads(line), path, number)
            else:
                sample = stream.readline()
                stream.seek(0)
                reader = csv.DictReader(stream, delimiter="\t" if "\t" in sample else ";" if ";" in sample else ",")
                reader.fieldnames = [(name or "").strip().casefold() for name in reader.fieldnames or ()]
                for row in reader:
                    yield reader.line_num, {str(key): value for key, value in row.items()}
    except OSError as error:
        raise BadTable(
            f"The table {printable(str(path))} can't be read: {error.strerror}.", hint="Check its path."
        ) from None
    except (UnicodeDecodeError, ValueError, csv.Error) as error:
        raise BadTable(
            f"{printable(path.name)} is no CSV or JSON table in UTF-8: {error}.", hint="Save it as CSV in UTF-8."
        ) from None


def _object(row: Any, path: Path, number: int) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise BadTable(f"{printable(path.name)}, row {number}, is no object with path, unit and spec.")
    return {str(key).strip().casefold(): value for key, value in row.items()}
