"""What the documents say about the flags of a job is what the job takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from synapse_skills.job.upload import job_flags

ROOT = Path(__file__).resolve().parents[2]


def test_run_py_lists_the_flags_of_a_job() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "run.py"), "job", "--help"], capture_output=True, text=True, check=True
    )
    flags = [flag for flag, _ in job_flags()]
    assert flags
    for flag in flags:
        assert flag in done.stdout, flag
