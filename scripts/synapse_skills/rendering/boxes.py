"""Boxes to draw over a picture, from label files of the one plain form that the examples have.

Understanding annotations in general is another room's work; a label of any other form has no boxes here.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

MAX_LABEL_BYTES = 1_000_000
MAX_BOXES = 100


@dataclass(frozen=True)
class Box:
    """A rectangle in the picture's pixels, and what is in it."""

    label: str
    x: float
    y: float
    width: float
    height: float


def read_boxes(content: bytes, width: int, height: int) -> list[Box]:
    """The boxes of a label file for a picture of this size.

    Args:
        content: `{"image": {"width", "height"}, "objects": [{"class", "box": [x, y, width, height]}, …]}`.
        width: of the picture; a label for one of another size is none of its.
        height: of the picture.

    Returns:
        None of them if the file has another form.
    """
    if len(content) > MAX_LABEL_BYTES:
        return []
    try:
        document = json.loads(content)
        image = document["image"]
        if (image["width"], image["height"]) != (width, height):
            return []
        return [_box(entry) for entry in document["objects"][:MAX_BOXES]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def _box(entry: Any) -> Box:
    x, y, width, height = (float(number) for number in entry["box"])
    if not all(map(math.isfinite, (x, y, width, height))) or width < 0 or height < 0:
        raise ValueError("not a box")
    return Box(str(entry["class"]), x, y, width, height)
