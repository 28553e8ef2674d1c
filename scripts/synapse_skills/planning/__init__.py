"""The conversation that leads to a plan: answers and facts in, questions or a rendered and dry-run plan out."""

from synapse_skills.planning.cli import plan_upload
from synapse_skills.planning.document import Document, Request
from synapse_skills.planning.export import EXPORT
from synapse_skills.planning.export_classes import read_classes
from synapse_skills.planning.export_cli import filter_flag, plan_export
from synapse_skills.planning.given import source_flags
from synapse_skills.planning.interview import reference
from synapse_skills.planning.upload import UPLOAD

__all__ = [
    "EXPORT",
    "UPLOAD",
    "Document",
    "Request",
    "filter_flag",
    "plan_export",
    "plan_upload",
    "read_classes",
    "reference",
    "source_flags",
]
