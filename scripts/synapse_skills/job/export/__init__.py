"""The engine of an export: fetch, understand, write, originals, verify."""

from synapse_skills.job.export.command import Export, export_flags
from synapse_skills.job.export.sample import sample, sample_of
from synapse_skills.job.export.scope import Scope
from synapse_skills.job.export.spool import Spool

__all__ = ["Export", "Scope", "Spool", "export_flags", "sample", "sample_of"]
