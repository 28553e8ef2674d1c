"""A small picture of a picture, whatever the file claims to be."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
MAX_PIXELS = 120_000_000
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_QUALITY = 78
_ORIENTATION = 0x0112
_ON_ITS_SIDE = frozenset({5, 6, 7, 8})


class NoPicture(Exception):
    """There is no small picture of this file; the message says why."""


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG, and the size of the picture that it was made from, as it is looked at (turned as EXIF says)."""

    jpeg: bytes
    width: int
    height: int


def thumbnail(stream: BinaryIO, longest: int = 480) -> Thumbnail:
    """Make a small picture.

    Args:
        stream: the file's content; only formats that Pillow decodes by itself are tried, whatever the name says.
        longest: the longer side of the result, in pixels; a smaller picture keeps its size.

    Raises:
        NoPicture: damaged, of another kind, or so large that decoding it would hurt.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata; too many pixels are refused right below
            with Image.open(stream, formats=_FORMATS) as opened:
                width, height = opened.size
                if width * height > MAX_PIXELS:
                    raise NoPicture(f"too large to show: {width:,} × {height:,} pixels")
                if opened.getexif().get(_ORIENTATION) in _ON_ITS_SIDE:
                    width, height = height, width
                opened.draft("RGB", (longest, longest))  # a JPEG is decoded small at once
                small = ImageOps.exif_transpose(opened)
                small.thumbnail((longest, longest))
                written = io.BytesIO()
                _plain(small).save(written, "JPEG", quality=_QUALITY, optimize=True)
    except NoPicture:
        raise
    except Exception as error:  # Pillow raises almost anything at a damaged file
        raise NoPicture(f"can't be shown: {type(error).__name__}") from None
    return Thumbnail(written.getvalue(), width, height)


def _plain(picture: Picture) -> Picture:
    """Eight bits of red, green and blue; what is transparent is white, what has more bits is scaled down."""
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":
        wide = picture.convert("F")
        low, high = wide.getextrema()
        span = float(high) - float(low) or 1.0  # type: ignore[arg-type]
        return wide.point(lambda value: (value - low) * (255.0 / span)).convert("L")
    if "A" in picture.getbands() or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        white.alpha_composite(clear)
        return white.convert("RGB")
    return picture.convert("RGB")
