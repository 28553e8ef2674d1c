"""The rendered script, run as anybody would run it: what the plan counts is what the script does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synapse_skills.errors import (
    EXIT_ENVIRONMENT,
    EXIT_FINDINGS,
    EXIT_INTERRUPTED,
    Interrupted,
    SkillsError,
    redact,
)
from synapse_skills.planning.home import Home
from synapse_skills.report import ExportReport, UploadReport, write_json
from synapse_skills.texts import parse_json

# Counts of a dry run that the document carries: what differs from run to run (times) stays in dry_run.json.
COUNTS = ("planned", "created", "already", "failed", "quarantined", "pending", "left_out", "files", "exit_code")
EXPORT_COUNTS = ("records", "annotations", "files", "splits", "exit_code")


def run_script(
    command: Sequence[str], environment: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[bytes]:
    """Start the script and wait for it."""
    return subprocess.run(  # noqa: S603 - our own interpreter and script
        command, capture_output=True, env=environment, cwd=folder, check=False
    )


def counts_of(report: UploadReport | ExportReport) -> dict[str, Any]:
    """What the document carries of a report."""
    full = report.model_dump(mode="json")
    return {key: full[key] for key in (COUNTS if isinstance(report, UploadReport) else EXPORT_COUNTS)}


def dry_run(home: Home) -> tuple[UploadReport | None, SkillsError | None]:
    """Run the rendered upload."""
    return _run(home, "upload.py", UploadReport)


def dry_run_export(home: Home) -> tuple[ExportReport | None, SkillsError | None]:
    """Run the rendered export."""
    return _run(home, "export.py", ExportReport)


def _run[R: (UploadReport, ExportReport)](
    home: Home, script: str, model: type[R]
) -> tuple[R | None, SkillsError | None]:
    """Run the rendered script as anybody would: what is counted is what the script does."""
    # A planned state may be a folder of the cluster: what is counted here is remembered here.
    command = [sys.executable, str(home.job / script), "--dry-run", "--json", "--state", str(home.state)]
    # The copy of the library beside the script must be the one that runs; a cache would ship with the job.
    hidden = ("PYTHONSAFEPATH", "SYNAPSE_SKILLS_DRY_RUN")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = run_script(command, environment, home.folder)
    if done.returncode in (EXIT_INTERRUPTED, -2, -15):
        raise Interrupted("Interrupted during the dry run.")
    try:
        document = parse_json(done.stdout)
        error = document.get("error")
        if error is None:
            report = model.model_validate(document)
            write_json(home.dry_run, document)
            return report, None
    except (ValueError, AttributeError):
        said = redact(done.stderr.decode(errors="replace").strip()[-600:])
        return None, SkillsError(
            f"The script ended with exit code {done.returncode} and no report. {said}",
            hint=f"Run it to see why: python {home.job / script} --dry-run",
            code="script-failed",
        )
    failure = SkillsError(str(error["message"]), hint=str(error["hint"]), code=str(error["code"]))
    failure.exit_code = EXIT_ENVIRONMENT if done.returncode == EXIT_ENVIRONMENT else EXIT_FINDINGS
    return None, failure
