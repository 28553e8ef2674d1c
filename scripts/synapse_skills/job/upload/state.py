"""The state folder, by the name that it had when only uploads had one."""

from synapse_skills.job.state import AlreadyRunning, State

__all__ = ["AlreadyRunning", "State"]
