"""Whether an output will still be there when the job has ended: on the cluster a folder may be the worker's own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from synapse_skills.errors import FindingError, OutOfReach, printable
from synapse_skills.export_plan import ExportPlan
from synapse_skills.job.export.delivery import Delivery
from synapse_skills.job.places import on_network
from synapse_skills.job.worker import job_id
from synapse_skills.report import Problems

FETCH_IT = (
    "Fetch it before that machine goes: its node is on the job's page of the Ray dashboard; scp, `kubectl cp` or "
    "`ray rsync-down` bring the folder."
)
ELSEWHERE = (
    "Plan with --output at a storage (s3://…, storage://ID/…) or in a folder that the cluster's machines mount, or "
    "accept it with --set output_on_worker=accept."
)


class Whereabouts:
    """What is to be said of an export's place before anything is fetched.

    Args:
        plan: the export.
        problems: takes it.
        dry_run: nothing will be written.
    """

    def __init__(self, plan: ExportPlan, problems: Problems, *, dry_run: bool) -> None:
        self._plan = plan
        self._problems = problems
        self._dry_run = dry_run

    def claim_store(self, delivery: Delivery) -> None:
        """Make a storage ours; a dry run only looks.

        Raises:
            FindingError: somebody else's. OutOfReach: it can't be opened; of a dry run here it is only said, because
                the job may run where it can.
        """
        if not self._dry_run:
            delivery.claim()
            return
        try:
            delivery.look()
        except OutOfReach as error:
            if job_id() is not None:
                raise
            self._problems.add(error.code, str(error), severity="warning", fix=error.hint)

    def check_folder(self, folder: Path) -> None:
        """See that a folder on the cluster does not go with the machine, or that the plan accepts it.

        Raises:
            FindingError: `output-may-not-last`: it goes, and the plan does not accept that.
            OutOfReach: the plan asks for a cluster, and there is none.
        """
        if self._plan.engine == "ray" and not self._dry_run:
            from synapse_skills.job.ray_crew import connected

            connected()
        if job_id() is None or not is_the_machines_own(folder):
            return
        shown = printable(str(folder))
        if self._plan.output_on_worker == "accept":
            self._problems.add("output-on-worker", shown, severity="info", fix=FETCH_IT)
        elif self._dry_run:
            self._problems.add("output-may-not-last", shown, severity="warning", fix=ELSEWHERE)
        else:
            raise FindingError(
                f"{shown} is on the worker's own disk: the export would be lost with that machine.",
                hint=ELSEWHERE,
                code="output-may-not-last",
            )


def is_the_machines_own(folder: Path) -> bool:
    """Whether a folder is, or would be made, on the disk that this machine itself runs from."""
    if on_network(folder):
        return False
    there = Path(os.path.abspath(folder))  # noqa: PTH100 - a link must not be followed yet
    while not there.exists():
        there = there.parent
    own = {place.stat().st_dev for place in (Path("/"), Path(tempfile.gettempdir()), Path.home()) if place.exists()}
    return there.stat().st_dev in own
