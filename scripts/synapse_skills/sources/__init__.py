"""A path → files: one streaming walk into an inventory, and the only way to open what it found."""

from synapse_skills.sources.inventory import Counts, Inventory
from synapse_skills.sources.opening import open_inside
from synapse_skills.sources.sorted_rows import RowError, SortedRows, write_sorted
from synapse_skills.sources.source import File, Source
from synapse_skills.sources.walk import Walk

__all__ = [
    "Counts",
    "File",
    "Inventory",
    "RowError",
    "SortedRows",
    "Source",
    "Walk",
    "open_inside",
    "write_sorted",
]
