"""Reads a table and validates its rows, ours and what one would write first in turn, and prints the ratios.

(a) a workbook of 100,000 rows by 10 columns: `metadata.read_table` beside openpyxl in its read-only mode.
(b) 100,000 metas of 10 fields: `MetaCheck` beside jsonschema's `iter_errors`. `faults` looks at each meta and
    validates it; `complete` is all that a job does to it: values as the schema wants them, name and dataset_key.

examples:
  python benchmarks/metadata.py
  python benchmarks/metadata.py --rows 20000 --only validate
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import Side, Table, in_turn, parser_of, show

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["patient_id", "site", "age"],
    "properties": {
        "name": {"type": "string"},
        "patient_id": {"type": "string", "minLength": 1},
        "site": {"type": "string", "enum": ["Seoul", "Busan", "Daegu"]},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "weight": {"type": "number", "exclusiveMinimum": 0},
        "scanned": {"type": "string", "format": "date"},
        "contrast": {"type": "boolean"},
        "slices": {"type": "integer", "minimum": 1},
        "device": {"type": "string", "maxLength": 40},
        "note": {"type": ["string", "null"]},
    },
}


def metas(count: int) -> list[dict[str, Any]]:
    """The same every time, plain values, all of them valid."""
    chance = random.Random(4)
    return [
        {
            "name": f"scan {number}",
            "patient_id": f"{number:07}",
            "site": chance.choice(("Seoul", "Busan", "Daegu")),
            "age": chance.randrange(100),
            "weight": round(chance.uniform(3, 120), 1),
            "scanned": f"2024-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
            "contrast": chance.random() < 0.5,
            "slices": chance.randrange(1, 900),
            "device": "서울 CT 1" if number % 4 == 0 else "CT 1",
            "note": "as usual",
        }
        for number in range(count)
    ]


def timed(work: Callable[[], int], count: int) -> Side:
    """Seconds of this process: what else the machine does counts for neither side."""

    def side(_: int) -> float:
        started = time.process_time()
        assert work() == count
        return time.process_time() - started

    return side


def validation(count: int, rounds: int) -> Table:
    """Valid metas; `faults` looks at each, `complete` is all that a job does to it."""
    import jsonschema

    from synapse_skills.metadata import MetaCheck

    rows = metas(count)
    texts = [{key: value if value is None else str(value) for key, value in meta.items()} for meta in rows]
    theirs, check = jsonschema.Draft202012Validator(SCHEMA), MetaCheck(SCHEMA)
    sides = {
        "MetaCheck.faults": timed(lambda: sum(not check.faults(meta) for meta in rows), count),
        "MetaCheck.complete": timed(lambda: sum(not check.complete(meta, "unit")[1] for meta in rows), count),
        "complete, all texts": timed(lambda: sum(not check.complete(meta, "unit")[1] for meta in texts), count),
        "jsonschema": timed(lambda: sum(not list(theirs.iter_errors(meta)) for meta in rows), count),
    }
    table = Table(f"Schema, {count:,} metas of 10 fields", in_turn(sides, rounds))
    table.compare("MetaCheck.faults faster than jsonschema", "jsonschema", "MetaCheck.faults", 20)
    ratio = table.median("jsonschema") / table.median("MetaCheck.complete")
    table.facts["MetaCheck.complete"] = f"{ratio:.1f} × as fast as jsonschema, which completes nothing"
    return table


def reading(count: int, rounds: int, folder: Path) -> Table:
    """A workbook, each row as a dictionary."""
    import openpyxl

    from synapse_skills.metadata import read_table

    rows = metas(count)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("scans")
    sheet.append(list(rows[0]))
    for row in rows:
        sheet.append(list(row.values()))
    path = folder / "scans.xlsx"
    book.save(path)

    def with_openpyxl() -> int:
        opened = openpyxl.load_workbook(path, read_only=True)
        lines = opened.active.iter_rows(values_only=True)
        header = next(lines)
        read = sum(1 for line in lines if dict(zip(header, line, strict=True)))
        opened.close()
        return read

    sides = {
        "read_table": timed(lambda: sum(1 for row in read_table(path).rows() if row.values), count),
        "openpyxl": timed(with_openpyxl, count),
    }
    table = Table(f"Tables, {count:,} rows × 10", in_turn(sides, rounds))
    table.compare("read_table faster than openpyxl, read-only", "openpyxl", "read_table", 10)
    return table


def main() -> int:
    """Measure what was asked for."""
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=int, default=100_000, metavar="N", help="of the table, and metas (100000)")
    parser.add_argument("--only", choices=("read", "validate"), help="one of the two")
    args = parser.parse_args()
    tables = []
    if args.only != "read":
        tables.append(validation(args.rows, args.rounds))
    if args.only != "validate":
        with tempfile.TemporaryDirectory(prefix="metadata-") as folder:
            tables.append(reading(args.rows, args.rounds, Path(folder)))
    return show(tables, as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
