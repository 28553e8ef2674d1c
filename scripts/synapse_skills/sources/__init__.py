"""A path or URL → files: one streaming walk into an inventory, and the only ways to open what it found.

`reach` opens the way to a source of any kind, `open_store` a folder of any kind to write to.
"""

from synapse_skills.sources.access import Access, credentials_of, reach
from synapse_skills.sources.faults import FileChanged, FileVanished
from synapse_skills.sources.inventory import Counts, Inventory
from synapse_skills.sources.opening import open_inside
from synapse_skills.sources.sorted_rows import RowError, SortedRows, write_sorted
from synapse_skills.sources.source import File, Source, source_at
from synapse_skills.sources.store import LocalStore, Store, Stored, open_store
from synapse_skills.sources.walk import Walk

__all__ = [
    "Access",
    "Counts",
    "File",
    "FileChanged",
    "FileVanished",
    "Inventory",
    "LocalStore",
    "RowError",
    "SortedRows",
    "Source",
    "Store",
    "Stored",
    "Walk",
    "credentials_of",
    "open_inside",
    "open_store",
    "reach",
    "source_at",
    "write_sorted",
]
