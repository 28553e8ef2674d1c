"""Read an export back: every file by its hash, every format by its verifier, every count against the summary."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from synapse_skills.errors import EXIT_FINDINGS, EXIT_OK, printable, redact, run

EPILOG = """\
examples:
  verify_export.py ~/datasets/cars
  verify_export.py ~/datasets/cars --json
  verify_export.py s3://datasets/cars

What lies at a URL is fetched to this machine first, and removed again.

exit codes: 0 the export is whole and says of itself what is true · 1 findings, or nothing to inspect · 2 wrong usage ·
  3 the storage is out of reach, or there is no room for a copy
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="verify_export.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("output", metavar="OUTPUT", help="the output of an export: folder or URL")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Verify, and show what was found."""
    args = parser().parse_args(argv)
    from synapse_skills.job.export.reading_back import verify_place
    from synapse_skills.texts import human_bytes

    found = verify_place(args.output)
    if args.json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        size = f"{found.files:,} files, {human_bytes(found.bytes)}; {found.records:,} records"
        print(f"{printable(redact(args.output))}: {size}")
        for part, count in sorted(found.items.items()):
            print(f"  {part or 'media':<12} {count:>10,}")
        for name, verified in found.formats.items():
            items, rows = sum(verified.items.values()), sum(verified.rows.values())
            print(f"  {name:<12} {items:>10,} media, {rows:,} rows")
        for problem in found.problems:
            print(f"{problem.severity}: {problem.code} × {problem.count:,}")
            for example in problem.examples:
                print(f"    {printable(example)}")
            if problem.fix:
                print(f"    next: {problem.fix}")
        print("fine" if found.is_fine else "not fine")
    return EXIT_OK if found.is_fine else EXIT_FINDINGS


if __name__ == "__main__":
    sys.exit(run(main))
