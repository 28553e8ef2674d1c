"""Metadata of data units: where values come from, and whether they fit the collection's schema."""

from synapse_skills.metadata.coerce import Coercion
from synapse_skills.metadata.constants import Constants
from synapse_skills.metadata.doubts import Doubt, doubts
from synapse_skills.metadata.faults import Fault, Faults
from synapse_skills.metadata.schema import BadSchema, MetaCheck, check_meta
from synapse_skills.metadata.tables import STANDARD_NAMES, Column, Row, SheetSeen, Table, is_table, read_table
from synapse_skills.metadata.text import encoding_of
from synapse_skills.metadata.wants import Field, is_closed, wants

__all__ = [
    "STANDARD_NAMES",
    "BadSchema",
    "Coercion",
    "Column",
    "Constants",
    "Doubt",
    "Fault",
    "Faults",
    "Field",
    "MetaCheck",
    "Row",
    "SheetSeen",
    "Table",
    "check_meta",
    "doubts",
    "encoding_of",
    "is_closed",
    "is_table",
    "read_table",
    "wants",
]
