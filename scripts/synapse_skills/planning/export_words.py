"""Tools and formats as people call them: for questions and labels; the code words are taken as answers all the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

TOOLS: dict[str, tuple[str, str]] = {
    "bounding_box": ("box", "boxes"),
    "polygon": ("polygon", "polygons"),
    "polyline": ("line", "lines"),
    "keypoint": ("keypoint", "keypoints"),
    "segmentation": ("mask", "masks"),
    "3d_bounding_box": ("3D box", "3D boxes"),
    "3d_segmentation": ("3D mask", "3D masks"),
    "classification": ("classification", "classifications"),
    "relation": ("relation", "relations"),
    "named_entity": ("named entity", "named entities"),
    "prompt": ("prompt", "prompts"),
    "answer": ("answer", "answers"),
    "time_range": ("time range", "time ranges"),
}
"""One of them, and several."""
FORMATS: dict[str, str] = {
    "synapse_json": "Synapse JSON",
    "class_json": "JSON by class",
    "coco": "COCO",
    "panoptic": "COCO panoptic",
    "yolo": "YOLO boxes",
    "yolo_seg": "YOLO segments",
    "yolo_pose": "YOLO pose",
    "yolo_obb": "YOLO rotated boxes",
    "masks": "Mask pictures",
    "voc": "Pascal VOC",
    "csv": "CSV table",
    "image_folder": "Image folders by class",
    "jsonl": "JSONL",
    "custom": "A format of your own",
}
_YOLO = re.compile(r"yolo_?(?:v?\d+)?[nsmlx]?(?:_(seg|segment|segmentation|pose|obb|detect))?")


def tool_words(name: str, count: int = 2) -> str:
    """A tool as people call so many of them."""
    one, several = TOOLS.get(name, (name, name))
    return one if count == 1 else several


def tool_named(word: str) -> str:
    """The tool that a word means: its own name, or as people call it; the word itself if it is neither."""
    plain = " ".join(word.casefold().replace("_", " ").replace("-", " ").split())
    for name, words in TOOLS.items():
        if plain in (name.replace("_", " "), *(each.casefold() for each in words)):
            return name
    return plain.replace(" ", "_")


def listed(words: Iterable[str]) -> str:
    """Words with commas, and an `and` before the last one."""
    parts = list(words)
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def counted(tools: Iterable[str], counts: Mapping[str, int]) -> str:
    """Tools with how many annotations there are of each, the most frequent first."""
    return listed(
        f"{counts[each]:,} {tool_words(each, counts[each])}" for each in sorted(tools, key=lambda each: -counts[each])
    )


def format_label(name: str) -> str:
    """A format as it stands on an option."""
    return FORMATS.get(name, name)


def format_named(label: str) -> str:
    """The format whose label this is; '' if none has it."""
    return next((name for name, words in FORMATS.items() if words.casefold() == label.strip().casefold()), "")


def plain_name(word: str) -> str:
    """A format as people write it: `YOLOv8-seg` and the like have one layout for all of their versions."""
    plain = word.strip().casefold().removesuffix(" (recommended)")
    if called := format_named(plain):
        return called
    name = plain.replace("-", "_").replace(" ", "_")
    if found := _YOLO.fullmatch(name):
        kind = {"segment": "seg", "segmentation": "seg", "detect": ""}.get(found[1] or "", found[1] or "")
        return f"yolo_{kind}" if kind else "yolo"
    return name
