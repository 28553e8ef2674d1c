"""The upload engine: every planned data unit on the backend exactly once, or named in the report with the reason."""

from synapse_skills.job.upload.command import Upload, add_job_flags, job_flags

__all__ = ["Upload", "add_job_flags", "job_flags"]
