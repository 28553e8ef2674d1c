"""Formats: records → COCO, YOLO and others; one module a format, the writer beside the verifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import get_args

from synapse_skills.annotations.model import Tool
from synapse_skills.formats.base import Format

__all__ = ["FORMATS", "LOST", "matrix"]

LOST = "lost"

_NAMES = (
    "synapse_json",
    "class_json",
    "coco",
    "panoptic",
    "yolo",
    "yolo_seg",
    "yolo_pose",
    "yolo_obb",
    "masks",
    "voc",
    "csv",
    "image_folder",
    "jsonl",
    "custom",
)  # fmt: skip
"""The formats in the order in which documents list them. Each is a module of this package with a `FORMAT` in it."""

_MODULES = {"csv": "csv_table"}
"""Modules that are not called as their format is: two modules `csv` would be one too many."""


class _Formats(Mapping[str, Format]):
    """The formats by name. A module is imported when its format is asked for: a job imports only what it writes."""

    def __getitem__(self, name: str) -> Format:
        if name not in _NAMES:
            raise KeyError(name)
        found: Format = import_module(f"synapse_skills.formats.{_MODULES.get(name, name)}").FORMAT
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


FORMATS: Mapping[str, Format] = _Formats()


def matrix() -> dict[str, dict[str, str]]:
    """Tool → format → what becomes of it there: `exact`, what it turns into, `OPTION=VALUE`, or `lost`."""
    formats = list(FORMATS.values())
    return {tool: {each.name: each.holds.get(tool, LOST) for each in formats} for tool in get_args(Tool)}
