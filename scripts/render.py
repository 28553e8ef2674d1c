"""Render a plan into its job folder again: needed only after plan.json was edited by hand."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from synapse_skills.errors import run

EPILOG = """\
examples:
  render.py synapse-jobs/scans/plan.json
  render.py synapse-jobs/scans --out /data/jobs/scans --force

exit codes: 0 rendered · 1 not a plan, another job's folder, or an edited script (see --force) · 2 wrong usage ·
  3 the folder can't be written
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="render.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("plan", type=Path, metavar="PLAN", help="plan.json, or the folder that holds it")
    command.add_argument("--out", type=Path, metavar="DIR", help="job folder (default: job/ beside plan.json)")
    command.add_argument("--force", action="store_true", help="write over an edited script")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Render."""
    args = parser().parse_args(argv)
    from synapse_skills.rendering import render_file

    done = render_file(args.plan, out=args.out, force=args.force)
    if args.json:
        print(json.dumps({"job": str(done.folder), "script": str(done.script), "hash": done.hash}, ensure_ascii=False))
    else:
        print(f"Rendered {done.script} from a plan with hash {done.hash}.")
        print(f"Check it: python {done.script} --dry-run")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
