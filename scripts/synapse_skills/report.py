"""The report of a run: what was planned, and what became of every bit of it (DESIGN.md, section 5).

`planned = created + already + failed + quarantined + pending`, always: the model refuses to be built otherwise.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from synapse_skills.errors import redact

REPORT_VERSION = 1
MAX_EXAMPLES = 3


class Problem(BaseModel):
    """One thing that is wrong or worth knowing, however often it occurs: a count and a few examples, mostly three."""

    model_config = ConfigDict(extra="forbid")

    code: str
    severity: Literal["error", "warning", "info"] = "error"
    count: int = Field(default=1, ge=1)
    examples: list[str] = Field(default_factory=list)
    fix: str = ""


class FileCounts(BaseModel):
    """Files of the planned units. `reused`: confirmed by an earlier run; `sent`: by this one."""

    model_config = ConfigDict(extra="forbid")

    planned: int = 0
    sent: int = 0
    reused: int = 0
    bytes: int = 0
    by_spec: dict[str, int] = Field(default_factory=dict)


class TaskCounts(BaseModel):
    """Tasks of the planned units, 0 and 0 without a project."""

    model_config = ConfigDict(extra="forbid")

    planned: int = 0
    created: int = 0


class UploadReport(BaseModel):
    """`report.json` of an upload."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["upload"] = "upload"
    name: str
    version: int = REPORT_VERSION
    started: str
    seconds: float
    exit_code: int
    mode: Literal["upload", "dry-run"] = "upload"
    planned: int = 0
    created: int = 0
    already: int = 0
    failed: int = 0
    quarantined: int = 0
    pending: int = 0
    left_out: int = 0
    files: FileCounts = FileCounts()
    tasks: TaskCounts = TaskCounts()
    metadata_sources: list[str] = Field(default_factory=list)
    job_id: str | None = None
    content: str | None = Field(default=None, description="Hash over the job folder that ran, as it ships.")
    worker: dict[str, str] = Field(default_factory=dict, description="Python, SDK and system of where it ran.")
    problems: list[Problem] = Field(default_factory=list)

    @model_validator(mode="after")
    def _adds_up(self) -> UploadReport:
        parts = self.created + self.already + self.failed + self.quarantined + self.pending
        if self.planned != parts:
            raise ValueError(
                f"planned {self.planned} is not created + already + failed + quarantined + pending = {parts}"
            )
        return self


class RecordCounts(BaseModel):
    """Records of an export: read = exported + quarantined + left_out."""

    model_config = ConfigDict(extra="forbid")

    read: int = 0
    exported: int = 0
    quarantined: int = 0
    left_out: int = 0


class FormatCounts(BaseModel):
    """Source annotations that one format holds, and those that it does not, by reason."""

    model_config = ConfigDict(extra="forbid")

    written: int = 0
    lost: dict[str, int] = Field(default_factory=dict)


class AnnotationCounts(BaseModel):
    """Source annotations, not rows of the output: for each format read = written + lost."""

    model_config = ConfigDict(extra="forbid")

    read: int = 0
    formats: dict[str, FormatCounts] = Field(default_factory=dict)


class ExportFiles(BaseModel):
    """Files of the output, and originals that were fetched or are missing."""

    model_config = ConfigDict(extra="forbid")

    written: int = 0
    originals: int = 0
    missing: int = 0


class ExportReport(BaseModel):
    """`report.json` of an export."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["export"] = "export"
    name: str
    version: int = REPORT_VERSION
    started: str
    seconds: float
    exit_code: int
    mode: Literal["export", "dry-run"] = "export"
    records: RecordCounts = RecordCounts()
    annotations: AnnotationCounts = AnnotationCounts()
    files: ExportFiles = ExportFiles()
    splits: dict[str, int] = Field(default_factory=dict)
    output: str | None = Field(default=None, description="Where the export lies: a folder or a URL. None: not there.")
    next: str = Field(default="", description="The command that comes next, behind run.py.")
    job_id: str | None = None
    content: str | None = Field(default=None, description="Hash over the job folder that ran, as it ships.")
    worker: dict[str, str] = Field(default_factory=dict, description="Python, SDK and system of where it ran.")
    problems: list[Problem] = Field(default_factory=list)

    @model_validator(mode="after")
    def _adds_up(self) -> ExportReport:
        records = self.records
        if records.read != records.exported + records.quarantined + records.left_out:
            raise ValueError(f"records do not add up: {records}")
        for name, counts in self.annotations.formats.items():
            if self.annotations.read != counts.written + sum(counts.lost.values()):
                raise ValueError(f"{name}: read {self.annotations.read} is not written + lost: {counts}")
        return self


class Problems:
    """Collects problems by code; memory does not grow with how often one occurs.

    Several problems may have one code, each with a `group` of its own: metadata that is wrong in two ways, say.
    """

    def __init__(self) -> None:
        self._by_code: dict[tuple[str, str], Problem] = {}

    def add(
        self,
        code: str,
        example: str = "",
        *,
        severity: str = "error",
        fix: str = "",
        count: int = 1,
        group: str = "",
        most: int = MAX_EXAMPLES,
    ) -> None:
        """Count one more occurrence; the first `most` different examples are kept, redacted."""
        problem = self._by_code.get((code, group))
        if problem is None:
            problem = self._by_code[code, group] = Problem(code=code, severity=severity, count=count, fix=fix)
        else:
            problem.count += count
        example = redact(example)
        if example and len(problem.examples) < most and example not in problem.examples:
            problem.examples.append(example)

    def merge(self, problem: Problem, *, group: str = "") -> None:
        """Add what another collector has counted; where it names more than three, they stay named."""
        most = max(MAX_EXAMPLES, len(problem.examples))
        for number, example in enumerate(problem.examples or [""]):
            self.add(
                problem.code,
                example,
                severity=problem.severity,
                fix=problem.fix,
                count=0 if number else problem.count,
                group=group,
                most=most,
            )

    def as_list(self) -> list[Problem]:
        """Errors first, then by count."""
        order = {"error": 0, "warning": 1, "info": 2}
        return sorted(self._by_code.values(), key=lambda p: (order[p.severity], -p.count, p.code))

    def __bool__(self) -> bool:
        return bool(self._by_code)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document so that a kill leaves the old file or the new one, never half of one."""
    write_bytes(path, (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a temporary neighbour, synced, then renamed over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write a file of any length whole or not at all; none is left if there is no line."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.writelines(lines)
        if Path(temporary).stat().st_size:
            Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
