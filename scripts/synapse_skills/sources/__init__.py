"""A path → files: one streaming walk into an inventory, and the only way to open what it found."""

from synapse_skills.sources.inventory import Counts, Inventory
from synapse_skills.sources.opening import open_inside
from synapse_skills.sources.source import File, Source
from synapse_skills.sources.walk import Walk

__all__ = ["Counts", "File", "Inventory", "Source", "Walk", "open_inside"]
