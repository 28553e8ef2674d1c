"""`run.py job DIR`: a job here, and the gate before an upload: only the plan that the user has seen is run."""

import hashlib
import os
from typing import List, NamedTuple, Optional, Tuple

from launcher.messages import FINDINGS, USAGE, LaunchError, exit_code_lines

HELP = """\
Run a job here, as it would run on the cluster.

usage: run.py job DIR (--approve HASH | --dry-run) [flags]     an upload
       run.py job DIR [flags]                                  an export

DIR is the job's home (synapse-jobs/NAME) or its job/ folder.

  --approve HASH    the first 12 hex digits of the SHA-256 of the plan that the user has seen and agreed to
  --dry-run         check everything and send nothing; needs no approval
  --limit N         stop after N data units or records; the rest is reported as pending
  --workers N       how many files are sent or fetched at once, at most
  --state DIR       where the job remembers what is done (default: the plan's, else ../state)
  --fresh           set that state aside and begin anew; what the backend has is recognised
  --retry-failed    try again what was refused; never what may have arrived
  --retry-unknown   send again what may have arrived; it may then be there twice
  --output DIR      where an export writes
  --report FILE     where the report goes (default: report.json in the state folder)
  --json            the report as one JSON document on stdout

examples:
  run.py job synapse-jobs/photos --dry-run
  run.py job synapse-jobs/photos --approve 3f9a1c07b2de --json

exit codes:
{codes}
"""


class Job(NamedTuple):
    """A rendered job: its script, its home, and whether it uploads."""

    script: str
    home: Optional[str]
    folder: str
    uploads: bool


def help_text() -> str:
    """What `run.py job --help` prints."""
    return HELP.replace("{codes}", "\n".join(exit_code_lines()))


def prepare(arguments: List[str]) -> List[str]:
    """Check a job's command line and what lies in its folder.

    Returns:
        The script to run, followed by its own flags.

    Raises:
        LaunchError: there is no job, it was rendered from another plan, or nobody agreed to this one.
    """
    if not arguments or arguments[0].startswith("-"):
        raise LaunchError("job needs a folder first: run.py job DIR [flags].", "run.py job --help", "usage", USAGE)
    job = _find(arguments[0])
    approved, flags = _take_approval(arguments[1:])
    before_end = flags[: flags.index("--")] if "--" in flags else flags
    digest = _check_plan(job)
    if approved is not None and approved.lower() != digest:
        raise LaunchError(
            "The approval {} is not for this plan: it was changed since, or it is another job's.".format(approved[:64]),
            "Plan again, show the user the plan as it is now, and run it with its hash once they agree.",
            "not-approved",
            FINDINGS,
        )
    if job.uploads and approved is None and "--dry-run" not in before_end:
        raise LaunchError(
            "An upload runs only after the user has agreed to its plan.",
            "Show the user the plan, and run it with --approve and its hash once they agree; "
            "or check it with --dry-run, which sends nothing.",
            "not-approved",
            FINDINGS,
        )
    return [job.script, *flags]


def _find(named: str) -> Job:
    folder = os.path.abspath(named)
    inner = os.path.join(folder, "job")
    for place, home in ((inner, folder), (folder, os.path.dirname(folder))):
        for name in ("upload.py", "export.py"):
            script = os.path.join(place, name)
            if os.path.isfile(script):
                # A job folder that was copied somewhere has no home: its neighbours aren't its own.
                has_home = place == inner or os.path.basename(place) == "job"
                return Job(script, home if has_home else None, place, name == "upload.py")
    raise LaunchError(
        "There is no job in {}.".format(named),
        "Name the folder that plan_upload or plan_export made (synapse-jobs/NAME), once its plan is ready.",
        "no-job",
        USAGE,
    )


def _take_approval(arguments: List[str]) -> Tuple[Optional[str], List[str]]:
    """Take `--approve HASH` out: the job's script doesn't know it, because starting that by hand is the consent."""
    approved: Optional[str] = None
    rest: List[str] = []
    waiting = False
    for index, argument in enumerate(arguments):
        if waiting:
            approved, waiting = argument, False
        elif argument == "--":
            return approved, rest + arguments[index:]
        elif argument == "--approve":
            waiting = True
        elif argument.startswith("--approve="):
            approved = argument[len("--approve=") :]
        else:
            rest.append(argument)
    if waiting or approved == "":
        raise LaunchError("--approve needs the plan's hash.", "run.py job --help", "usage", USAGE)
    return approved, rest


def _check_plan(job: Job) -> str:
    shipped = _read(os.path.join(job.folder, "plan.json"))
    if shipped is None:
        raise LaunchError(
            "{} has no plan.json beside its script.".format(job.folder),
            "Render the job again: run.py render PLAN.",
            "no-plan",
            FINDINGS,
        )
    planned = _read(os.path.join(job.home, "plan.json")) if job.home else None
    if planned is not None and planned != shipped:
        raise LaunchError(
            "The job was rendered from another plan than {}.".format(os.path.join(str(job.home), "plan.json")),
            "Render it again (run.py render {}), show the user the new plan, and approve that one.".format(
                os.path.join(str(job.home), "plan.json")
            ),
            "plan-changed",
            FINDINGS,
        )
    return hashlib.sha256(shipped).hexdigest()[:12]


def _read(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LaunchError("{} can't be read: {}.".format(path, error.strerror), "Check its permissions.") from error
