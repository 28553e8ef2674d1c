"""The size of a picture out of its first bytes, or of the file that was fetched."""

from __future__ import annotations

from pathlib import Path

PROBES = (1 << 16, 1 << 18, 1 << 22)
"""So many bytes are asked for, one after the other: a JPEG's size may stand behind a large preview."""


def size_in(head: bytes) -> tuple[int, int] | None:
    """Width and height as they are stored; None if the bytes don't tell yet, or are no picture."""
    from PIL import ImageFile

    parser = ImageFile.Parser()
    try:
        parser.feed(head)
        image = parser.image
    except Exception:  # whatever a damaged picture makes its decoder raise: nothing is known of its size then
        return None
    return _fit(image.size) if image is not None else None


def size_of_file(path: Path) -> tuple[int, int] | None:
    """Width and height of a picture; None if it is none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return _fit(image.size)
    except Exception:
        return None


def channels_of_file(path: Path) -> int | None:
    """How many channels a picture has as its readers decode it: a palette stands for three. None if it is none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return 3 if image.mode == "P" else len(image.getbands())
    except Exception:
        return None


def _fit(size: tuple[int, int]) -> tuple[int, int] | None:
    width, height = size
    return (width, height) if width > 0 and height > 0 else None
