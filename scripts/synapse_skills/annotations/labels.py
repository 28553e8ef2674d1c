"""Names in a payload: media, tools and classes, each brought to its one spelling."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import get_args

from synapse_skills.annotations.model import Tool

KINDS = ("image", "video", "pcd", "text", "audio", "prompt", "data")
TOOLS = frozenset(get_args(Tool))

_ALIASES = {
    "bbox": "bounding_box",
    "box": "bounding_box",
    "rectangle": "bounding_box",
    "point": "keypoint",
    "line": "polyline",
    "mask": "segmentation",
    "cuboid": "3d_bounding_box",
}
_DIGITS = re.compile(r"(\d+)")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=1024)
def tool_of(name: str) -> str:
    """The standard name of a tool (`bbox`, `boundingBox` → `bounding_box`); an unknown one as it came."""
    if name in TOOLS:
        return name
    plain = _HUMP.sub("_", name.strip()).lower().replace("-", "_").replace(" ", "_")
    plain = plain.replace("3_d_", "3d_")
    plain = _ALIASES.get(plain, plain)
    return plain if plain in TOOLS else name


@lru_cache(maxsize=4096)
def label_of(name: str) -> str | None:
    """A class as it is compared and written: stripped and composed (NFC); None if nothing is left of it."""
    return unicodedata.normalize("NFC", name.strip()) or None


@lru_cache(maxsize=1024)
def kind_of(media: str) -> str:
    """Kind of a medium by its key (`image_1` → image); '' if the key tells none."""
    return next((kind for kind in KINDS if media.startswith(kind)), "")


@lru_cache(maxsize=1024)
def natural(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sort key that puts `image_2` before `image_10`."""
    parts = _DIGITS.split(name)
    return tuple(_part(part) for part in parts if part), name


def _part(text: str) -> tuple[int, int, str]:
    # int() refuses much longer ones, and nobody counts by them.
    return (1, int(text), text) if text.isascii() and text.isdigit() and len(text) < 100 else (0, 0, text)
