"""What most tests of the data units use."""

from __future__ import annotations

from synapse_skills.plan import SpecPlan
from synapse_skills.units import Place, by_extension, by_folder

SPECS = (
    SpecPlan(name="image_1", extensions=(".png",), is_required=True, is_primary=True),
    SpecPlan(name="label_1", extensions=(".json",), is_required=True),
    SpecPlan(name="scan_1", extensions=(".dcm",)),
)
TABLE = {".png": "image_1", ".json": "label_1", ".dcm": "scan_1"}
PLACE = Place(by_folder(1), by_extension(TABLE))
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
