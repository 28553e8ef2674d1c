"""How an export asks the backend: at the pace of its plan, and for as long as it makes sense to wait."""

from __future__ import annotations

from synapse_skills.backend import Api, Login
from synapse_skills.job.running import seconds_said

PATIENCE_S = 60.0


def api_of(who: Login, workers: int) -> Api:
    """An Api for so many requests at once to the backend, and as many to the storage."""
    patience = seconds_said("SYNAPSE_SKILLS_PATIENCE_S") or PATIENCE_S
    return Api(who, patience=patience, connections=2 * workers + 8)
