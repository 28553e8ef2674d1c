"""Check a table of metadata (Excel, CSV, JSON) before it is uploaded: sheets, header, columns, keys, what is odd."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from synapse_skills.errors import run

EPILOG = """\
examples:
  check_excel.py meta.xlsx --key patient_id
  check_excel.py meta.csv --key patient_id --collection 57 --json

Reads .xlsx, .xlsm, .xls, CSV and TSV (UTF-8, UTF-16, CP949) and JSON. Rows are those that the sheet or an editor shows.
With a schema every row is held against it, after its values are made what the schema asks for, as an upload does.

exit codes: 0 fit · 1 something is wrong with the table or its values, or it has no rows · 2 wrong usage: no such file,
  sheet or column · 3 login or backend out of reach, a library is missing · 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="check_excel.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("file", metavar="FILE", type=Path, help="the table")
    command.add_argument("--key", metavar="COLUMN", help="the column that names the data units: its name or letter")
    command.add_argument("--sheet", metavar="NAME", help="the sheet to read; the first with a header if left out")
    schema = command.add_mutually_exclusive_group()
    schema.add_argument("--schema", metavar="FILE", type=Path, help="check the values against this JSON Schema")
    schema.add_argument("--collection", metavar="ID", type=int, help="check them against this collection's schema")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Check, and show."""
    args = parser().parse_args(argv)
    from synapse_skills.metadata.check import check_file
    from synapse_skills.metadata.schema_file import schema_from
    from synapse_skills.metadata.show import show_table

    schema = schema_from(args.schema, args.collection)
    report = check_file(args.file, sheet=args.sheet, key=args.key, schema=schema)
    if args.json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        show_table(report)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(run(main))
