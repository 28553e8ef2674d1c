"""Check a table of metadata (Excel, CSV, JSON) before it is uploaded: sheets, header, columns, keys, what is odd.

Or make one to fill in, for a job that has been planned as far as its data units.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from synapse_skills.errors import EXIT_OK, run

EPILOG = """\
examples:
  check_excel.py meta.xlsx --key patient_id
  check_excel.py --make-template to-fill-in.xlsx --job synapse-jobs/scans

Reads .xlsx, .xlsm, .xls, CSV and TSV (UTF-8, UTF-16, CP949) and JSON. Rows are those that the sheet or an editor shows.
With a schema every row is held against it, after its values are made what the schema asks for, as an upload does.
A template has a row for each data unit of the job and a column for each field that its data collection wants.

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
    command.add_argument("file", metavar="FILE", nargs="?", type=Path, help="the table")
    command.add_argument("--key", metavar="COLUMN", help="the column that names the data units: its name or letter")
    command.add_argument("--sheet", metavar="NAME", help="the sheet to read; the first with a header if left out")
    schema = command.add_mutually_exclusive_group()
    schema.add_argument("--schema", metavar="FILE", type=Path, help="check the values against this JSON Schema")
    schema.add_argument("--collection", metavar="ID", type=int, help="check them against this collection's schema")
    command.add_argument("--make-template", metavar="FILE", type=Path, help="write a workbook to be filled in (.xlsx)")
    command.add_argument("--job", metavar="DIR", type=Path, help="its job: synapse-jobs/NAME, or the job/ in it")
    command.add_argument("--force", action="store_true", help="replace a template that is there")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Check, and show."""
    command = parser()
    args = command.parse_args(argv)
    if args.make_template is not None or args.job is not None or args.force:
        return _make(args, command)
    if args.file is None:
        command.error("name a FILE to check, or --make-template FILE --job DIR")
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


def _make(args: argparse.Namespace, command: argparse.ArgumentParser) -> int:
    """Make a template."""
    if args.make_template is None or args.job is None:
        command.error("--make-template FILE and --job DIR go together; --force is for them")
    if any(value is not None for value in (args.file, args.key, args.sheet, args.schema, args.collection)):
        command.error("--make-template takes --job, --force and --json: what it asks for is found in the job")
    from synapse_skills.planning.template import make_template, show_template

    made = make_template(args.job, args.make_template, force=args.force)
    if args.json:
        print(json.dumps(made.as_dict(), ensure_ascii=False))
    else:
        show_template(made)
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(run(main))
