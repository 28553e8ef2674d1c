"""Files → data units, and everything that can be wrong with one.

The objects here are the ones that the planner counts with and that a rendered script holds: what was planned is what
the job does.
"""

from synapse_skills.units.choice import Choice, Hypothesis, best
from synapse_skills.units.described import Describe, Described, check_frozen, describe_for, table_rule
from synapse_skills.units.findings import FIXES, SEVERITIES, Finding
from synapse_skills.units.freeze import Frozen, freeze_table
from synapse_skills.units.grouping import by_file, by_regex, by_stem
from synapse_skills.units.guard import content_guard, guard_key
from synapse_skills.units.hypotheses import hypotheses, recount
from synapse_skills.units.kinds import alike, is_kind
from synapse_skills.units.layout import (
    MappingTables,
    grouping_for,
    mapping_tables,
    place_for,
    set_aside_of,
    sidecars_of,
)
from synapse_skills.units.looks import dicom_without_suffix, looks_like
from synapse_skills.units.mapping import Mapping, by_extension, by_pattern, by_source
from synapse_skills.units.names import compound_extensions, could_take, extension_of, stem_of
from synapse_skills.units.pattern_file import BatchPattern, parse_pattern, read_pattern_file
from synapse_skills.units.patterns import glob_escape
from synapse_skills.units.place import Grouping, Place, Placed, PlaceFunction, Unplaced, by_folder
from synapse_skills.units.rows import FrozenRows, KeyColumn, freeze_rows, key_columns
from synapse_skills.units.survey import Survey, Unit, survey
from synapse_skills.units.table import by_table, write_table

__all__ = [
    "FIXES",
    "SEVERITIES",
    "BatchPattern",
    "Choice",
    "Describe",
    "Described",
    "Finding",
    "Frozen",
    "FrozenRows",
    "Grouping",
    "Hypothesis",
    "KeyColumn",
    "Mapping",
    "MappingTables",
    "Place",
    "PlaceFunction",
    "Placed",
    "Survey",
    "Unit",
    "Unplaced",
    "alike",
    "best",
    "by_extension",
    "by_file",
    "by_folder",
    "by_pattern",
    "by_regex",
    "by_source",
    "by_stem",
    "by_table",
    "check_frozen",
    "compound_extensions",
    "content_guard",
    "could_take",
    "describe_for",
    "dicom_without_suffix",
    "extension_of",
    "freeze_rows",
    "freeze_table",
    "glob_escape",
    "grouping_for",
    "guard_key",
    "hypotheses",
    "is_kind",
    "key_columns",
    "looks_like",
    "mapping_tables",
    "parse_pattern",
    "place_for",
    "read_pattern_file",
    "recount",
    "set_aside_of",
    "sidecars_of",
    "stem_of",
    "survey",
    "table_rule",
    "write_table",
]
