"""Fixtures that every folder of tests may use."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["sandbox_fixture", "job_fixture"]

# A loaded machine is no finding: only what a property says may fail a test, never how long it took.
settings.register_profile("synapse-skills", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("synapse-skills")
