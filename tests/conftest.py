"""Fixtures that every folder of tests may use."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["sandbox_fixture", "job_fixture", "remote_fixture", "export_fixture"]

# A loaded machine is no finding: only what a property says may fail a test, never how long it took.
# Every day a few dozen examples; with rounds (`make soak`) as many as hypothesis takes by itself.
settings.register_profile(
    "synapse-skills",
    deadline=None,
    max_examples=100 if "SYNAPSE_SKILLS_ROUNDS" in os.environ else 40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("synapse-skills")
