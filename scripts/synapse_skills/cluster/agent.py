"""The agent that jobs are submitted to, as the user has selected it; nothing here ever asks."""

from __future__ import annotations

from dataclasses import dataclass

from synapse_skills import environment
from synapse_skills.errors import OutOfReach, keep_secret, printable


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent: `dashboard` is the Ray dashboard that `synapse script submit` talks to."""

    id: int | str
    name: str
    url: str
    dashboard: str


def agent() -> Agent:
    """The selected agent.

    Raises:
        OutOfReach: none is selected, or it has no address.
    """
    config, checked = environment.read_config(environment.config_path())
    if checked.status == environment.ERROR:
        raise OutOfReach(f"{printable(checked.detail)}.", hint=checked.fix, code="no-agent")
    selected = config.get("agent")
    if isinstance(selected, dict) and isinstance(selected.get("token"), str):
        keep_secret(selected["token"])
    host, checked = environment.check_agent(config, None)
    if not host or not isinstance(selected, dict):
        raise OutOfReach(
            f"There is no cluster to submit to: {printable(checked.detail)}.",
            hint=f"{checked.fix} `run.py list_resources agents` lists them.",
            code="no-agent",
        )
    # The SDK takes nothing but the host from the address: scheme and port are always these.
    shown = f"[{host}]" if ":" in host else host
    dashboard = f"http://{shown}:{environment.DASHBOARD_PORT}"
    return Agent(selected["id"], str(selected.get("name") or "agent"), str(selected["url"]), dashboard)
