"""Where a job runs: here or on Ray, with which Python and SDK."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping

from synapse_skills.texts import parse_json

RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray gives this to the processes of a submitted job. It holds the whole runtime environment, login included."""
MARKERS = "SYNAPSE_SKILLS_MARKERS"
"""Set to 1, it makes a job speak as it does on Ray."""


def is_remote(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether whoever started this job reads it from a log, so that it must say its report there."""
    return RAY_JOB in environment or environment.get(MARKERS) == "1"


def job_id(environment: Mapping[str, str] = os.environ) -> str | None:
    """What Ray calls this job (`raysubmit_…`), None outside of one."""
    try:
        metadata = parse_json(environment.get(RAY_JOB, ""))["metadata"]
        found = metadata["job_submission_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(found)


def worker() -> dict[str, str]:
    """What a report tells of the machine: Python, SDK, Ray if there is one, system. No names of hosts or users."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name in ("synapse-sdk", "ray"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
