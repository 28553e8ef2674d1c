"""What people see while a job runs, by the name that it had when only uploads showed something."""

from synapse_skills.job.progress import Progress

__all__ = ["Progress"]
