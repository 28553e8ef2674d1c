"""Fixtures that every folder of tests may use."""

import os
from typing import Any

from hypothesis import HealthCheck, settings

from plugin import checks

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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how long the skills are: each is read whole, every time, so that is what they cost."""
    for folder in checks.skills(checks.ROOT):
        body = checks.split((folder / "SKILL.md").read_text(encoding="utf-8"))[1]
        lines, tokens = body.count("\n"), checks.tokens(body)
        limits = f"below {checks.MAX_LINES} and {checks.MAX_TOKENS}"
        terminalreporter.write_line(f"{folder.name}: {lines} lines, about {tokens} tokens ({limits})")
