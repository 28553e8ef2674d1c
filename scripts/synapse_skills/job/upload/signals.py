"""Stopping gently, by the name that it had when only uploads did it."""

from synapse_skills.job.signals import gentle_stop

__all__ = ["gentle_stop"]
