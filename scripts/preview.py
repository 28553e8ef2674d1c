"""Make a page to look at of an upload that has run: totals, problems, and data units with their pictures and files."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from synapse_skills.errors import run

MOST_UNITS = 60

EPILOG = """\
One HTML file that needs nothing else. It is made from what the job remembers and from the files themselves: no login
and no backend is needed.

examples:
  preview.py synapse-jobs/photos --out photos.html
  preview.py synapse-jobs/photos --state /data/state --out page.html --most 200 --json

exit codes: 0 page written · 1 the job has not been run yet · 2 wrong usage, or no upload there ·
  3 its state can't be read, or the page can't be written
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="preview.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("job", type=Path, metavar="DIR", help="the job's home (synapse-jobs/NAME) or its job/ folder")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the page goes")
    command.add_argument("--state", type=Path, metavar="DIR", help="state folder, if the job was run with --state")
    command.add_argument(
        "--most",
        type=_positive,
        default=MOST_UNITS,
        metavar="N",
        help=f"data units on the page (default: {MOST_UNITS})",
    )
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def _positive(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError("must be between 1 and 1000")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Make the page."""
    args = parser().parse_args(argv)
    from synapse_skills.rendering.page import upload_page
    from synapse_skills.rendering.result import read_result
    from synapse_skills.report import write_bytes

    result = read_result(args.job, state=args.state, most=args.most)
    page = upload_page(result)
    write_bytes(args.out, page.html)
    if args.json:
        about = {"page": str(args.out), "bytes": len(page.html), "units": page.units, "pictures": page.pictures}
        print(json.dumps({**about, "arrived": result.arrived}, ensure_ascii=False))
    else:
        print(f"{args.out}: {page.units:,} of {result.arrived:,} data units with {page.pictures:,} pictures.")
        print("Open it in a browser; it needs nothing else.")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
