"""Metadata of data units: where values come from, and whether they fit the collection's schema."""

from synapse_skills.metadata.check import TableReport, check_file, check_table, key_text
from synapse_skills.metadata.coerce import Coercion
from synapse_skills.metadata.constants import Constants
from synapse_skills.metadata.describe import Conflict, FromTable, Merged, Said, from_table, kinds_of
from synapse_skills.metadata.doubts import Doubt, doubts
from synapse_skills.metadata.faults import Fault, Faults
from synapse_skills.metadata.names import FromFolders, FromName, compile_regex, from_folders, from_name
from synapse_skills.metadata.schema import BadSchema, MetaCheck, check_meta
from synapse_skills.metadata.schema_file import schema_from
from synapse_skills.metadata.sidecars import BadSidecar, FromSidecars, from_sidecars
from synapse_skills.metadata.tables import STANDARD_NAMES, Column, Row, SheetSeen, Table, is_table, read_table
from synapse_skills.metadata.text import encoding_of
from synapse_skills.metadata.wants import Field, is_closed, wants

__all__ = [
    "STANDARD_NAMES",
    "BadSchema",
    "BadSidecar",
    "Coercion",
    "Column",
    "Conflict",
    "Constants",
    "Doubt",
    "Fault",
    "Faults",
    "Field",
    "FromFolders",
    "FromName",
    "FromSidecars",
    "FromTable",
    "Merged",
    "MetaCheck",
    "Row",
    "Said",
    "SheetSeen",
    "Table",
    "TableReport",
    "check_file",
    "check_meta",
    "check_table",
    "compile_regex",
    "doubts",
    "encoding_of",
    "from_folders",
    "from_name",
    "from_sidecars",
    "from_table",
    "is_closed",
    "is_table",
    "key_text",
    "kinds_of",
    "read_table",
    "schema_from",
    "wants",
]
