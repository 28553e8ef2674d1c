"""Submit a job to the cluster, if nothing speaks against it: the gate, then `synapse script submit`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse_skills.arguments import whole_number
from synapse_skills.errors import EXIT_OK, Interrupted, UsageError, run

if TYPE_CHECKING:
    from synapse_skills.cluster import JobHome, Submission

EPILOG = """\
examples:
  submit.py synapse-jobs/scans --dry-run --wait
  submit.py synapse-jobs/scans --approve 3f9a1c07b2de --wait
  submit.py synapse-jobs/cars --approve 91c07b2de3fa        (an export)

exit codes: 0 submitted; with --wait: the job's own, 5 if it failed without a report · 1 refused: every reason is named,
  with what mends it · 2 wrong usage · 3 cluster, agent or Ray out of reach, or the job is not over after --timeout ·
  130 interrupted (a submitted job goes on)
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="submit.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("dir", type=Path, metavar="DIR", help="the job's home (synapse-jobs/NAME) or its job/ folder")
    command.add_argument("--approve", metavar="HASH", help="the hash of the plan that the user has seen and agreed to")
    command.add_argument(
        "--dry-run", action="store_true", help="check and count everything on the cluster; nothing is sent or exported"
    )
    command.add_argument("--wait", action="store_true", help="follow the job to its end, and end as it ended")
    command.add_argument(
        "--timeout", type=_seconds, metavar="S", help="give up after S seconds: submitting (300), and waiting (never)"
    )
    command.add_argument("--cpus", type=whole_number(0), metavar="N", help="CPUs to reserve for the job")
    command.add_argument("--gpus", type=whole_number(0), metavar="N", help="GPUs to reserve for the job")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Check, submit, wait."""
    args = parser().parse_args(argv)
    if args.approve is None and not args.dry_run:
        raise UsageError(
            "submit needs --approve HASH or --dry-run.",
            hint="Show the user the plan and submit with its hash once they agree; --dry-run changes nothing.",
        )
    from synapse_skills.cluster import JobHome, gate, submit_job
    from synapse_skills.cluster.show import say, show_gate

    home = JobHome.find(args.dir)
    found = gate(home, approve=args.approve, dry_run=args.dry_run)
    document: dict[str, Any] = {
        "status": "submitted" if found.open else "refused",
        "refusals": [each.as_dict() for each in found.refusals],
        "warnings": [each.as_dict() for each in found.warnings],
        # The hash of a plan comes from the plan that the user has seen, never from a refusal.
        "plan": found.plan if found.open else None,
        "content": found.content,
    }
    if not args.json:
        show_gate(found)
    if not found.open:
        if args.json:
            print(json.dumps(document, ensure_ascii=False))
        return found.exit_code
    submission = submit_job(
        home,
        mode="dry-run" if args.dry_run else home.kind,
        plan=found.plan,
        content=found.content,
        timeout=args.timeout,
        cpus=args.cpus,
        gpus=args.gpus,
    )
    document["submission"] = submission.model_dump(mode="json", exclude={"ended"})
    if not args.json:
        say(f"Submitted as {submission.job_id} ({submission.mode}) to {submission.agent.name}, {submission.dashboard}.")
    if not args.wait:
        if args.json:
            print(json.dumps(document, ensure_ascii=False))
        else:
            say(f"Follow it: job_status {home.folder} --follow    Stop it: job_status {home.folder} --stop")
        return EXIT_OK
    return _wait(home, submission, document, args)


def _wait(home: JobHome, submission: Submission, document: dict[str, Any], args: argparse.Namespace) -> int:
    from synapse_skills.cluster import RayJobs, bring_home, wait
    from synapse_skills.cluster.show import ProgressLine, show_ended
    from synapse_skills.cluster.status import Seen, Target

    job_id = str(submission.job_id)
    target = Target(job_id, RayJobs(submission.dashboard), home, submission)
    shown = ProgressLine(sys.stderr, target.counts)
    try:
        ended = wait(
            target.rays,
            job_id,
            timeout=args.timeout,
            on_line=None if args.json else shown.line,
            on_progress=None if args.json else shown.show,
        )
    except KeyboardInterrupt:
        raise Interrupted(
            f"Interrupted; {job_id} goes on.",
            hint=f"Follow it with job_status {job_id} --follow; stop it with job_status {job_id} --stop.",
        ) from None
    finally:
        shown.end()
    bring_home(home, submission, ended)
    if args.json:
        document |= {"status": "ended", "job": Seen(target, ended).as_dict()}
        print(json.dumps(document, ensure_ascii=False))
    else:
        show_ended(ended, what=target.counts, followed=True)
    return ended.exit_code


if __name__ == "__main__":
    sys.exit(run(main))
