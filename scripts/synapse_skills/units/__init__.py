"""Files → data units, and everything that can be wrong with one.

The objects here are the ones that the planner counts with and that a rendered script holds: what was planned is what
the job does.
"""

from synapse_skills.units.findings import FIXES, SEVERITIES, Finding
from synapse_skills.units.guard import content_guard, guard_key
from synapse_skills.units.mapping import Mapping, by_extension, by_pattern, extensions_overlap, mapping_for
from synapse_skills.units.place import Grouping, Place, Placed, PlaceFunction, Unplaced, by_folder
from synapse_skills.units.survey import Survey, Unit, survey

__all__ = [
    "FIXES",
    "SEVERITIES",
    "Finding",
    "Grouping",
    "Mapping",
    "Place",
    "PlaceFunction",
    "Placed",
    "Survey",
    "Unit",
    "Unplaced",
    "by_extension",
    "by_folder",
    "by_pattern",
    "content_guard",
    "extensions_overlap",
    "guard_key",
    "mapping_for",
    "survey",
]
