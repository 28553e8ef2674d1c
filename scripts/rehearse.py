"""Rehearse an upload: the job as it is, on this machine, against a stand-in with the real collection's rules."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from synapse_skills.arguments import whole_number
from synapse_skills.errors import run

SANDBOX = Path(__file__).resolve().parent / "sandbox.py"
EPILOG = """\
Uploads only: an export changes nothing on the backend, so it is tried with `run.py job DIR --dry-run`, or a part of it
into another folder (--limit 20 --output ANOTHER).

Nothing leaves this machine and nothing is sent to Synapse. The stand-in takes what the plan's collection takes: its
file specifications and metadata schema. All files are really read, converted and sent to it, then everything again,
and nothing may be made twice. A rehearsal begins anew every time, in rehearsal/ beside the job; its copy of the files
is removed at the end. Everything needs as much free disk as the files themselves: --limit rehearses a part.

examples:
  rehearse.py synapse-jobs/scans --limit 20
  rehearse.py synapse-jobs/scans --json

exit codes: 0 it would arrive as planned · 1 the source is not what was planned · 2 wrong usage · 3 source, disk or
  the stand-in out of reach · 5 some data units would fail or be set aside · 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="rehearse.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("dir", type=Path, metavar="DIR", help="the job's folder (synapse-jobs/NAME)")
    command.add_argument("--limit", type=whole_number(), metavar="N", help="only the first N data units")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Rehearse, and show."""
    args = parser().parse_args(argv)
    from synapse_skills.cluster import JobHome
    from synapse_skills.cluster.rehearsal import rehearse
    from synapse_skills.cluster.show import say, show_rehearsed

    home = JobHome.find(args.dir)
    found = rehearse(home, SANDBOX, limit=args.limit, say=lambda text: say(text, sys.stderr))
    if args.json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        show_rehearsed(found)
    return found.exit_code


if __name__ == "__main__":
    sys.exit(run(main))
