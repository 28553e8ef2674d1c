"""What has become of jobs, here and on the cluster: state, how far, why it failed, report; follow or stop one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from synapse_skills.errors import EXIT_OK, Interrupted, UsageError, run

if TYPE_CHECKING:
    from synapse_skills.cluster.local import Here
    from synapse_skills.cluster.status import Seen, Target

EPILOG = """\
examples:
  job_status.py
  job_status.py synapse-jobs/scans --follow
  job_status.py raysubmit_Ab12Cd34Ef56Gh78 --stop

exit codes: 0 planned, on its way or done; with --stop: it has ended · 1 what was submitted from there never began ·
  2 wrong usage · 3 the dashboard is out of reach (what is known here is shown) · 5 the job failed or was killed ·
  130 the job was stopped, or interrupted here (the job goes on); a job that ran here: as its last run ended
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="job_status.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument(
        "job", nargs="?", metavar="DIR|JOB_ID", help="a job's home, or Ray's id; without it all known jobs"
    )
    what = command.add_mutually_exclusive_group()
    what.add_argument("--follow", action="store_true", help="print what it says until it has ended")
    what.add_argument("--stop", action="store_true", help="stop it and wait until it has stopped; submit goes on later")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Look, follow or stop."""
    args = parser().parse_args(argv)
    from synapse_skills.cluster import status
    from synapse_skills.cluster.local import Here
    from synapse_skills.cluster.show import show_known, show_seen

    if args.job is None:
        if args.follow or args.stop:
            raise UsageError("--follow and --stop need a job: its folder or Ray's id.", hint="job_status.py --help")
        known = status.known_jobs()
        if args.json:
            trouble = known.trouble.as_dict() if known.trouble else {}
            print(json.dumps({"jobs": known.rows, "problems": known.problems, **trouble}, ensure_ascii=False))
        else:
            show_known(known)
        return known.exit_code
    target = status.find(args.job)
    if isinstance(target, Here):
        return _here(target, args)
    seen = status.stop(target) if args.stop else _follow(target, args.json) if args.follow else status.see(target)
    if args.json:
        print(json.dumps(seen.as_dict(), ensure_ascii=False))
    else:
        show_seen(seen, followed=args.follow)
    return EXIT_OK if args.stop and seen.ended is not None else seen.exit_code


def _here(found: Here, args: argparse.Namespace) -> int:
    """A job that runs on this machine: what is written down of it."""
    from synapse_skills.cluster.show import show_here

    if args.stop:
        from synapse_skills.cluster.local import stop_here

        found = stop_here(found)
    if args.json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        show_here(found)
    return EXIT_OK if args.stop else found.exit_code


def _follow(target: Target, as_json: bool) -> Seen:
    from synapse_skills.cluster import status, wait
    from synapse_skills.cluster.show import ProgressLine

    shown = ProgressLine(sys.stderr if as_json else sys.stdout, target.counts)
    try:
        ended = wait(target.rays, target.job_id, on_line=shown.line, on_progress=shown.show)
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; {target.job_id} goes on.", hint="Follow it again, or --stop it.") from None
    finally:
        shown.end()
    status.keep(target, ended)
    return status.Seen(target, ended)


if __name__ == "__main__":
    sys.exit(run(main))
