"""What the gate says of a job's places: are its sources and its state there on the cluster, and can it log in to them?

Only a run there can prove that: a dry run on the cluster lists every source and writes its lease into the state. So a
job with a place elsewhere leaves only after one; what can't work at all is said at once.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from synapse_skills.errors import SkillsError, printable, redact
from synapse_skills.export_plan import ExportPlan
from synapse_skills.job.export.delivery import check_place
from synapse_skills.job.export.whereabouts import ELSEWHERE, FETCH_IT
from synapse_skills.plan import SourcePlan, UploadPlan
from synapse_skills.sources import Source
from synapse_skills.sources.address import is_url

_TEMPORARY = tuple(map(Path, ("/tmp", "/var/tmp", "/dev/shm")))  # noqa: S108 - to warn of them
_CANT_BE_WRITTEN = ("http", "https", "memory")
TRAVELLING: dict[str, tuple[tuple[str, ...], ...]] = {
    "s3": (("SYNAPSE_S3_ACCESS_KEY_ID", "SYNAPSE_S3_SECRET_ACCESS_KEY"), ("SYNAPSE_S3_ANONYMOUS",)),
    "gs": (("SYNAPSE_GCS_KEY",), ("SYNAPSE_GCS_ANONYMOUS",)),
    "sftp": (("SYNAPSE_SFTP_PASSWORD", "SYNAPSE_SFTP_HOST_KEY"), ("SYNAPSE_SFTP_KEY", "SYNAPSE_SFTP_HOST_KEY")),
    "smb": (("SYNAPSE_SMB_USERNAME", "SYNAPSE_SMB_PASSWORD"),),
}
"""Kind of place → sets of variables, any of which is a login that travels with the job."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that speaks against it; a warning has the same parts."""

    code: str
    message: str
    fix: str

    def as_dict(self) -> dict[str, str]:
        """For `--json`, redacted."""
        return {"code": self.code, "message": redact(self.message), "fix": redact(self.fix)}


Said = tuple[bool, Refusal]
"""Whether it is a refusal, or a warning; and what."""


def login_travels(kind: str, environ: Mapping[str, str]) -> bool:
    """Whether a place of this kind can be logged in to with what travels with a job."""
    return kind not in TRAVELLING or any(all(environ.get(name) for name in names) for names in TRAVELLING[kind])


def check_sources(plan: UploadPlan, environ: Mapping[str, str], *, dry_run: bool, ran_there: bool) -> Iterator[Said]:
    """What speaks against a plan's sources on the cluster.

    Args:
        plan: the plan.
        environ: what the submission starts from: its SYNAPSE_ variables travel.
        dry_run: it is to be a dry run.
        ran_there: a clean dry run of this job on the cluster is known.
    """
    for source in plan.sources:
        if source.is_remote:
            yield from _check_remote(source, environ, proved=dry_run or ran_there)
    local = [source.path for source in plan.sources if not source.is_remote]
    if local and not ran_there and not dry_run:
        yield (
            False,
            Refusal(
                "source-must-be-there",
                f"The job will look for {', '.join(map(printable, local[:3]))} on the cluster's machines.",
                "Make sure that they see the same folder; submit --dry-run tells for certain.",
            ),
        )


def _check_remote(source: SourcePlan, environ: Mapping[str, str], *, proved: bool) -> Iterator[Said]:
    try:
        address = Source(source.path, storage=source.storage).address()
    except SkillsError as error:
        yield True, Refusal(error.code, str(error), error.hint)
        return
    shown = printable(redact(str(address)))
    if source.credentials != "node" and not login_travels(address.kind, environ):
        yield True, Refusal("source-login-stays-home", *_stays_home(shown, address.kind))
    elif not proved:
        yield True, _not_proved(shown)


def _stays_home(shown: str, kind: str) -> tuple[str, str]:
    ways = " or ".join(" and ".join(names) for names in TRAVELLING[kind])
    return (
        f"Nothing that opens {shown} travels with the job: only SYNAPSE_… variables do, not files, profiles or agents.",
        f"Set {ways} for the submission; or use a Synapse storage as the source, or a folder that the cluster's "
        "machines mount; or, if those machines have a role that may read it, plan with --set "
        "sources.N.credentials=node (N counts the sources from 1).",
    )


def _not_proved(shown: str) -> Refusal:
    return Refusal(
        "place-not-proved",
        f"Nobody knows yet whether the cluster can open {shown}: another network, perhaps another login.",
        "Run submit --dry-run: it opens every place of the plan there, changes nothing, and counts for this.",
    )


def check_state(
    state: str | None, home: Path, *, dry_run: bool, ran_there: bool, planner: str = "plan_upload"
) -> Iterator[Said]:
    """What speaks against a plan's state on the cluster.

    Args:
        state: as the plan has it.
        home: the job's own folder.
        dry_run: it is to be a dry run.
        ran_there: a clean dry run of this job on the cluster is known.
        planner: what makes a plan of this kind.
    """
    if not state:
        why = "The plan names no state folder: what the job has done would be lost with the machine it runs on."
        fix = (
            "Set `state` to a folder that the cluster's machines share and that outlives them, or to a storage "
            f"({planner} --set state=/mnt/shared/NAME or s3://…), and approve the new plan."
        )
        yield not dry_run, Refusal("state-not-set", why, fix)
    elif is_url(state):
        yield from _check_state_url(state, planner, proved=dry_run or ran_there)
    elif not Path(state).is_absolute():
        yield (
            True,
            Refusal(
                "state-not-absolute",
                f"The state folder {printable(state)} is relative: on the cluster it would be in the job's own copy.",
                f"Set `state` to an absolute folder that the cluster's machines share ({planner} --set state=…).",
            ),
        )
    elif why := _doubt(Path(state), home):
        yield (
            False,
            Refusal(
                "state-may-not-last",
                f"The state folder {printable(state)} is {why}: it must be there on the cluster's machines, and stay.",
                f"If the cluster doesn't share it, set `state` to a folder that it does ({planner} --set state=…).",
            ),
        )


def _check_state_url(state: str, planner: str, *, proved: bool) -> Iterator[Said]:
    try:
        address = Source(state).address()
    except SkillsError as error:
        yield True, Refusal(error.code, str(error), error.hint)
        return
    shown = printable(redact(str(address)))
    if address.kind in _CANT_BE_WRITTEN:
        yield (
            True,
            Refusal(
                "state-not-supported",
                f"The state can't be kept at {shown}: a job can't write there.",
                "Set `state` to a folder that the cluster's machines share, or to s3://, gs://, sftp://, smb:// or "
                f"storage://ID/… ({planner} --set state=…).",
            ),
        )
    elif not proved:
        # Its login may be the role of the machines there: a dry run tells, with what is missing.
        yield True, _not_proved(shown)


def check_output(plan: ExportPlan, home: Path, *, dry_run: bool, ran_there: bool, on_worker: bool) -> Iterator[Said]:
    """What speaks against an export's output on the cluster.

    Args:
        plan: the plan.
        home: the job's own folder.
        dry_run: it is to be a dry run.
        ran_there: a clean dry run of this job on the cluster is known.
        on_worker: that has found the output on the worker's own disk.
    """
    if is_url(plan.place):
        yield from _check_output_url(plan.place, proved=dry_run or ran_there)
        return
    folder = Path(plan.place)
    shown = printable(plan.place)
    why = "on the worker's own disk" if on_worker else _doubt(folder, home)
    if not folder.is_absolute():
        why = "relative: on the cluster it would be in the job's own copy"
    if why:
        accepted = plan.output_on_worker == "accept"
        message = f"The output {shown} is {why}: there it may go with the machine that ran the job."
        fix = FETCH_IT if accepted else f"{ELSEWHERE} {FETCH_IT}"
        # The new plan has another hash: it is shown and approved like any other.
        yield not accepted and not dry_run, Refusal("output-may-not-last", message, fix)
    elif not ran_there and not dry_run:
        yield (
            False,
            Refusal(
                "output-must-be-there",
                f"The job will write to {shown} on the cluster's machines.",
                "Make sure that they mount the same folder; submit --dry-run tells for certain.",
            ),
        )


def _check_output_url(place: str, *, proved: bool) -> Iterator[Said]:
    try:
        check_place(place)
    except SkillsError as error:
        yield True, Refusal(error.code, str(error), error.hint)
        return
    if not proved:
        yield True, _not_proved(printable(redact(place)))


def _doubt(folder: Path, home: Path) -> str:
    path = Path(os.path.normpath(folder))
    places = {
        "in the job's own folder": [home],
        "in a folder for temporary files": [Path(tempfile.gettempdir()), *_TEMPORARY],
        "in your home folder": [Path.home()],
    }
    for why, roots in places.items():
        if any(path.is_relative_to(root) for root in roots):
            return why
    return ""
