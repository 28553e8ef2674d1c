"""Fixtures that every folder of tests may use."""

pytest_plugins = ["sandbox_fixture", "job_fixture"]
