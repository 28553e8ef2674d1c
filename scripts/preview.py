"""Make a page to look at: of a plan before it is approved, or of an upload or export that has run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from synapse_skills.arguments import whole_number
from synapse_skills.errors import run

EPILOG = """\
One HTML file that needs nothing else. A plan shows what will be sent and where, the layout and why, what is left out,
problems, and a sample of its data units; an upload shows what has arrived and what has not; an export shows classes,
parts, sizes, what each format has lost and why, and a sample of records with their labels drawn on the pictures. No
login and no backend is needed. A job's folder shows what has run once it has, before that the plan; plan.json always
shows the plan.

examples:
  preview.py synapse-jobs/photos --out photos.html
  preview.py synapse-jobs/photos/plan.json --out plan.html --most 60
  preview.py synapse-jobs/photos --state /data/state --out page.html --most 200 --json
  preview.py synapse-jobs/my-project --output /data/dataset --out dataset.html

exit codes: 0 page written · 1 a file of the job is damaged, or nothing has run with that --state ·
  2 wrong usage, or neither plan nor job there · 3 its state can't be read, or the page can't be written
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="preview.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument(
        "job", type=Path, metavar="PLAN|DIR", help="a plan.json, a job's home (synapse-jobs/NAME) or its job/ folder"
    )
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the page goes")
    command.add_argument("--state", type=Path, metavar="DIR", help="state folder, if the job was run with --state")
    command.add_argument("--output", type=Path, metavar="DIR", help="where an export went, if it was run with --output")
    command.add_argument(
        "--most",
        type=whole_number(1, 1000),
        metavar="N",
        help="data units or records on the page (default: 24 of a plan, 60 of an upload, 48 of an export)",
    )
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Make the page."""
    args = parser().parse_args(argv)
    from synapse_skills.rendering.preview import preview
    from synapse_skills.report import write_bytes

    made = preview(args.job, state=args.state, output=args.output, most=args.most)
    page = made.page
    write_bytes(args.out, page.html)
    if args.json:
        about = {"page": str(args.out), "bytes": len(page.html), made.things: page.units, "pictures": page.pictures}
        print(json.dumps({**about, **made.about}, ensure_ascii=False))
    else:
        print(f"{args.out}: {made.told}")
        print("Open it in a browser; it needs nothing else.")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
