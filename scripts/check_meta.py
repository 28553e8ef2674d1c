"""Check metadata against a data collection's schema before anything is sent: every object, all faults, by row."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from synapse_skills.errors import printable, run

EPILOG = """\
examples:
  check_meta.py --collection 57 --excel scans.xlsx --key patient
  check_meta.py --schema schema.json --sidecars 'scans/**/*.json' --report json

It first shows what the schema wants: required and optional fields and their types. Then each object is checked as an
upload would send it: values in the form that the schema asks for ("45" as 45), `name` and `dataset_key` added where
they are let in. Equal faults are one line with three examples. A row's number is the one that the sheet shows.

--json names the file to be checked, here; for the result as one JSON document on stdout there is --report json.

exit codes: 0 everything fits · 1 something does not, nothing was found to check, or the schema is broken ·
  2 wrong usage · 3 login or backend out of reach, or a library is missing · 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="check_meta.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    schema = command.add_mutually_exclusive_group(required=True)
    schema.add_argument("--schema", metavar="FILE", help="a JSON Schema")
    schema.add_argument("--collection", metavar="ID", type=int, help="the data collection whose schema is meant")
    objects = command.add_mutually_exclusive_group(required=True)
    objects.add_argument("--excel", metavar="FILE", help="a table: .xlsx, .xls, .csv, .tsv; each row is an object")
    objects.add_argument("--json", metavar="FILE", help="a list of objects, objects by name, or one object a line")
    objects.add_argument("--sidecars", metavar="GLOB", help="JSON or YAML files of one object each; quote the pattern")
    command.add_argument("--sheet", metavar="NAME", help="of the workbook; the first with a header row otherwise")
    command.add_argument("--key", metavar="COLUMN", help="the column that names the data units")
    command.add_argument("--report", choices=("text", "json"), default="text", help="json: one document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Check, and show."""
    command = parser()
    args = command.parse_args(argv)
    if args.sheet is not None and args.excel is None:
        command.error("--sheet goes with --excel")
    if args.key is not None and args.sidecars is not None:
        command.error("--key goes with --excel or --json")
    from synapse_skills.metadata import checked

    if args.schema is not None:
        schema, name = checked.read_schema(args.schema), printable(args.schema)
    else:
        schema, name = checked.collection_schema(args.collection)
    if args.sidecars is not None:
        source = checked.from_sidecars(args.sidecars)
    else:
        source = checked.from_table(args.excel or args.json, sheet=args.sheet, key=args.key, schema=schema)
    with checked.counting(quiet=args.report == "json") as progress:
        report = checked.check_source(source, schema, name, progress)
    print(json.dumps(report.as_dict(), ensure_ascii=False) if args.report == "json" else "\n".join(report.lines()))
    return report.exit_code


if __name__ == "__main__":
    # An error is one JSON document where the report would have been one; `--json` names a file here.
    said = " ".join(sys.argv[1:]).replace("=", " ")
    wants_json = "--report json" in said
    sys.exit(run(lambda _: main(), ["--json"] if wants_json else []))
