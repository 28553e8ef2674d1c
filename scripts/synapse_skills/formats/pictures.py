"""Where a trainer looks for the pictures of a format, for those who put them there themselves.

Only formats that find a picture by its place: COCO names its pictures, and a trainer is told where they lie.
"""

from __future__ import annotations

from collections.abc import Sequence

_FOLDERS = {"panoptic": "images", "masks": "images", "voc": "JPEGImages"}
_YOLO = "yolo"
_ONE_PART = "train"
"""What YOLO calls all of it where there is no split."""


def picture_folders(name: str, parts: Sequence[str]) -> tuple[str, ...]:
    """Folders in an output where a format's pictures belong; () if they may lie anywhere.

    Args:
        name: of the format.
        parts: of the split; () without one.
    """
    if name.partition("_")[0] == _YOLO:
        return tuple(f"{name}/images/{part}" for part in parts or (_ONE_PART,))
    if name not in _FOLDERS:
        return ()
    folder = f"{name}/{_FOLDERS[name]}"
    return (folder,) if name == "voc" or not parts else tuple(f"{folder}/{part}" for part in parts)
