"""A decoded picture as PNG or JPEG bytes; each notes what changes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

from synapse_skills.media.failures import ConversionFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

JPEG_QUALITY = 95
_MAX_PROFILE_BYTES = 4 << 20
_SPACES = {"1": "GRAY", "L": "GRAY", "LA": "GRAY", "P": "RGB", "RGB": "RGB", "RGBA": "RGB"}
# Behind the signature and the IHDR chunk: a colour profile must stand before the pixels.
_AFTER_HEADER = 8 + 25


def png(picture: Picture, profile: bytes | None, notes: list[str]) -> bytes | memoryview:
    """Every value kept; inks and other colour spaces become sRGB."""
    import numpy as np

    picture, profile = _displayable(picture, profile, notes)
    if picture.mode in ("L", "RGB", "RGBA") and "transparency" not in picture.info:
        return png_of_array(np.asarray(picture), profile, notes)
    written = io.BytesIO()
    profile = _fitting(profile, _SPACES[picture.mode], notes)
    # What Pillow would take out of the original's info is given, so that nothing else gets in.
    clear = {"transparency": picture.info["transparency"]} if "transparency" in picture.info else {}
    picture.info = {}
    picture.save(written, "PNG", icc_profile=profile, **clear)
    return written.getvalue()


def png_of_array(values: NDArray[Any], profile: bytes | None, notes: list[str]) -> bytes | memoryview:
    """Grey, or red, green, blue (and alpha), of 8 or 16 bits."""
    import cv2

    if values.ndim == 3:
        values = cv2.cvtColor(values, cv2.COLOR_RGBA2BGRA if values.shape[2] == 4 else cv2.COLOR_RGB2BGR)
    is_made, encoded = cv2.imencode(".png", values)
    if not is_made:
        raise ConversionFailed("a picture of this size can't be written as PNG")
    profile = _fitting(profile, "GRAY" if values.ndim == 2 else "RGB", notes)
    content = memoryview(encoded.data)
    if profile is None:
        return content
    return b"".join((content[:_AFTER_HEADER], _profile_chunk(profile), content[_AFTER_HEADER:]))


def jpeg(picture: Picture, profile: bytes | None, notes: list[str]) -> bytes:
    """Eight bits of grey or of red, green and blue; what is transparent is put on white."""
    from PIL import Image

    picture, profile = _displayable(picture, profile, notes)
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        if clear.getchannel("A").getextrema() != (255, 255):
            notes.append("transparency on white")
        white = Image.new("RGBA", clear.size, "white")
        white.alpha_composite(clear)
        is_grey = picture.mode in ("L", "LA")
        picture = white.convert("L" if is_grey else "RGB")
    elif picture.mode not in ("L", "RGB"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    written = io.BytesIO()
    profile = _fitting(profile, _SPACES[picture.mode], notes)
    picture.info = {}
    picture.save(written, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=profile)
    return written.getvalue()


def _displayable(picture: Picture, profile: bytes | None, notes: list[str]) -> tuple[Picture, bytes | None]:
    """A picture in a mode that PNG knows, and its profile if that still says something about it."""
    if picture.mode in _SPACES:
        return picture, profile
    if picture.mode in ("RGBX", "RGBa", "La", "PA"):
        return picture.convert({"RGBX": "RGB", "La": "LA"}.get(picture.mode, "RGBA")), profile
    if picture.mode == "YCbCr":
        return picture.convert("RGB"), profile
    if picture.mode not in ("CMYK", "LAB", "HSV"):
        raise ConversionFailed(f"pictures of the mode {picture.mode} are not converted")
    made = _by_profile(picture, profile)
    if made is not None:
        notes.append(f"{picture.mode} to sRGB by its profile")
        return made, None
    notes.append(f"{picture.mode} to RGB without a profile: colours are near, not exact")
    return picture.convert("RGB"), None


def _by_profile(picture: Picture, profile: bytes | None) -> Picture | None:
    """The picture in sRGB; None if its profile is not for it, or is damaged, or Pillow was built without profiles."""
    try:
        from PIL import ImageCms
    except ImportError:
        return None
    try:
        standard = ImageCms.createProfile("sRGB")
        if picture.mode == "LAB":
            given: Any = ImageCms.createProfile("LAB")
        elif profile and _space(profile) == picture.mode:
            given = ImageCms.getOpenProfile(io.BytesIO(profile))
        else:
            return None
        return ImageCms.profileToProfile(
            picture, given, standard, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _space(profile: bytes) -> str:
    """The colour space that a profile is about, as its header says; '' if it is no profile."""
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return ""
    return profile[16:20].decode("latin-1").strip()


def _fitting(profile: bytes | None, space: str, notes: list[str]) -> bytes | None:
    """The profile if it is about these pixels, else None and a note."""
    if profile is None:
        return None
    if _space(profile) == space and len(profile) <= _MAX_PROFILE_BYTES:
        return profile
    notes.append("colour profile left out: damaged, too large or of another colour space")
    return None


def _profile_chunk(profile: bytes) -> bytes:
    body = b"iCCP" + b"ICC Profile\0\0" + zlib.compress(profile)
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
