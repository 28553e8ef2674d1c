"""The table of an export: every decision, in the order in which they are settled."""

from __future__ import annotations

from synapse_skills.planning.export_classes import CLASSES
from synapse_skills.planning.export_filters import COUNTED, FILTER, FILTERS_FAMILY, SCOPE_COUNT
from synapse_skills.planning.export_formats import FORMATS_ROW, LOSSES_FAMILY, OPTIONS_FAMILY
from synapse_skills.planning.export_place import ON_WORKER, OUTPUT, REPLACES, ROOM, STORAGE
from synapse_skills.planning.export_plugin import AS, STYLE
from synapse_skills.planning.export_scope import NAME, SCOPE
from synapse_skills.planning.export_shape import (
    DUPLICATES,
    EMPTY,
    ENGINE,
    GEOMETRY,
    NAMING,
    ORIGINALS,
    PAGE_SIZE,
    PROCESSES,
    STATE,
    WORKERS,
)
from synapse_skills.planning.export_split import BY, RATIOS, SEED, STRATIFY
from synapse_skills.planning.export_tools import TOOLS
from synapse_skills.planning.interview import Table

EXPORT: Table = (
    *SCOPE,
    NAME,
    SCOPE_COUNT,
    FILTER,
    FILTERS_FAMILY,
    FORMATS_ROW,
    COUNTED,
    TOOLS,
    OPTIONS_FAMILY,
    *CLASSES,
    GEOMETRY,
    LOSSES_FAMILY,
    EMPTY,
    DUPLICATES,
    RATIOS,
    BY,
    SEED,
    STRATIFY,
    ORIGINALS,
    NAMING,
    STORAGE,
    OUTPUT,
    REPLACES,
    ON_WORKER,
    ROOM,
    PAGE_SIZE,
    WORKERS,
    PROCESSES,
    ENGINE,
    STATE,
    AS,
    STYLE,
)
