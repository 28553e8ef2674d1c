"""What was submitted from a job's home: `submission.json`, written before anything is sent and never a step behind."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from synapse_skills.errors import FindingError, OutOfReach, UsageError, printable
from synapse_skills.report import write_json
from synapse_skills.texts import parse_json

Kind = Literal["upload", "export"]
Mode = Literal["upload", "export", "dry-run"]
SCRIPTS: dict[Kind, str] = {"upload": "upload.py", "export": "export.py"}
_KEEP = 20


class AgentNamed(BaseModel):
    """Where it went."""

    model_config = ConfigDict(extra="forbid")

    id: int | str
    name: str


class Ending(BaseModel):
    """How a job ended, kept for when Ray has forgotten it."""

    model_config = ConfigDict(extra="forbid")

    status: str
    exit_code: int
    message: str = ""


class Submission(BaseModel):
    """One submission. `job_id` is None from before the job is handed over until its id is known."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    job_id: str | None = None
    dashboard: str
    mode: Mode
    plan: str
    content: str
    tag: str
    submitted_at: str
    agent: AgentNamed
    ended: Ending | None = None

    @field_validator("submitted_at")
    @classmethod
    def _is_a_moment(cls, text: str) -> str:
        try:
            datetime.fromisoformat(text).timestamp()
        except OverflowError as error:
            raise ValueError(str(error)) from None
        return text


class Submissions(Submission):
    """`submission.json`: the last submission, and those before it."""

    earlier: list[Submission] = Field(default_factory=list)


@dataclass(frozen=True)
class JobHome:
    """The folder of one job (`synapse-jobs/NAME`), as far as the cluster is concerned."""

    folder: Path

    @classmethod
    def find(cls, named: Path) -> Self:
        """The home of a job from its folder or that of its script.

        Raises:
            UsageError: there is no job.
        """
        folder = named.expanduser().absolute()
        if any((folder / "job" / script).is_file() for script in SCRIPTS.values()):
            return cls(folder)
        if folder.name == "job" and any((folder / script).is_file() for script in SCRIPTS.values()):
            return cls(folder.parent)
        raise UsageError(
            f"There is no job in {printable(str(named))}.",
            hint="Name the folder that plan_upload or plan_export made (synapse-jobs/NAME), once its plan is ready.",
            code="no-job",
        )

    @property
    def job(self) -> Path:
        """What ships."""
        return self.folder / "job"

    @property
    def kind(self) -> Kind:
        """Which job it is: that of its script."""
        scripts = [kind for kind, script in SCRIPTS.items() if (self.job / script).is_file()]
        return scripts[0] if scripts else "upload"

    @property
    def script(self) -> str:
        """The script's name."""
        return SCRIPTS[self.kind]

    @property
    def planner(self) -> str:
        """What makes its plan."""
        return f"plan_{self.kind}"

    @property
    def dry_run(self) -> Path:
        """The report of the dry run that counts."""
        return self.folder / "dry_run.json"

    @property
    def report(self) -> Path:
        """The report that came home from the cluster, of a run that was none to try."""
        return self.folder / "report.json"

    @property
    def submission(self) -> Path:
        """What was submitted."""
        return self.folder / "submission.json"

    def submissions(self) -> list[Submission]:
        """All that is known to have been submitted from here, the last one first.

        Raises:
            FindingError: the file is damaged: a running job may be named in it.
        """
        try:
            document = Submissions.model_validate_json(self.submission.read_bytes())
        except FileNotFoundError:
            return []
        except (ValidationError, ValueError):
            raise FindingError(
                f"{printable(str(self.submission))} can't be read: it is not what submit has written.",
                hint="See with job_status whether a job of it still runs; then remove the file.",
                code="bad-submission",
            ) from None
        return [Submission(**document.model_dump(exclude={"earlier"})), *document.earlier]

    def remember(self, submissions: list[Submission]) -> None:
        """Write all of them down, the last one first; nothing is left of none."""
        if not submissions:
            self.submission.unlink(missing_ok=True)
            return
        first, *rest = submissions
        kept = [each for number, each in enumerate(rest) if number < _KEEP or each.ended is None]
        write_json(self.submission, Submissions(**first.model_dump(), earlier=kept).model_dump(mode="json"))

    def update(self, changed: Submission) -> None:
        """Replace what is known of one submission; it is the newest if nothing was."""
        known = self.submissions()
        if all(each.tag != changed.tag for each in known):
            known.insert(0, changed)
        self.remember([changed if each.tag == changed.tag else each for each in known])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """One submission at a time from here; the lock goes with the process, however it ends.

        Raises:
            OutOfReach: another one is under way.
        """
        try:
            import fcntl
        except ImportError:  # Windows: the job's own lock on its state is all there is
            yield
            return
        with (self.folder / ".submit.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutOfReach(
                    "This job is being submitted by another process.",
                    hint="Wait until that has ended; job_status tells what came of it.",
                    code="in-use",
                ) from None
            yield

    def forget(self, tag: str) -> None:
        """Take one away that never became a job."""
        self.remember([each for each in self.submissions() if each.tag != tag])


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file; None if there is none or it is something else."""
    try:
        document = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def now() -> str:
    """The time as reports write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
