"""Metadata of data units: where values come from, and whether they fit the collection's schema."""

from synapse_skills.metadata.constants import Constants
from synapse_skills.metadata.schema import BadSchema, MetaCheck, check_meta

__all__ = ["BadSchema", "Constants", "MetaCheck", "check_meta"]
