"""Metadata of data units: where values come from, and whether they fit the collection's schema."""

from synapse_skills.metadata.coerce import Coercion
from synapse_skills.metadata.constants import Constants
from synapse_skills.metadata.doubts import Doubt, doubts
from synapse_skills.metadata.faults import Fault, Faults
from synapse_skills.metadata.schema import BadSchema, MetaCheck, check_meta
from synapse_skills.metadata.wants import Field, is_closed, wants

__all__ = [
    "BadSchema",
    "Coercion",
    "Constants",
    "Doubt",
    "Fault",
    "Faults",
    "Field",
    "MetaCheck",
    "check_meta",
    "doubts",
    "is_closed",
    "wants",
]
