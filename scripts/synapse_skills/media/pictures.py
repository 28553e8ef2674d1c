"""Pictures as PNG or JPEG, the pixels right: bits, palette, transparency, inks, profile, and which way is up.

PNG keeps every value, or the conversion is refused. cv2 writes it, because Pillow takes twenty times as long for the
same file; Pillow reads, because cv2 knows neither profiles nor palettes nor which way up a picture is. Of 16-bit
colour Pillow keeps only eight bits: there cv2 reads, and what it has read is compared with what Pillow sees.
EXIF is left behind, but for the orientation, which is applied.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

from synapse_skills.errors import SkillsError
from synapse_skills.media.budget import decoded
from synapse_skills.media.encode import jpeg, png, png_of_array
from synapse_skills.media.failures import ConversionFailed, library

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

# Above this a picture is refused: decoded it would take more memory than a worker can spare.
MAX_PIXELS = 150_000_000
MAX_WIDE_PIXELS = 75_000_000  # of 16-bit colour, which is held several times over: 2.4 GB at the most
MAX_WIDE_BYTES = 1 << 30
MAX_JPEG_SIDE = 65_500

_FORMATS = ("TIFF", "BMP", "WEBP", "GIF", "PNG", "JPEG")
_KINDS = {
    ".tiff": "TIFF",
    ".tif": "TIFF",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
}
_ORIENTATION = 0x0112
_BITS = 258
_PHOTOMETRIC = 262
_DEPTHS = (8, 10, 12, 14, 16)
_TOP = 65_535
_MESSAGE_CHARS = 120


def convert_picture(stream: BinaryIO, suffix: str, wanted: str) -> tuple[bytes | memoryview, tuple[str, ...]]:
    """The first picture of a file as `.png` or `.jpg`, and what is not as in the original.

    Raises:
        ConversionFailed: damaged, cut off, too large, or with values that the format can't hold.
    """
    library("PIL.Image")
    library("cv2").utils.logging.setLogLevel(0)  # what it thinks of a damaged file goes to nobody
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd metadata; too many pixels are refused below
    notes: list[str] = []
    try:
        return _converted(stream, suffix, wanted, notes), tuple(notes)
    except SkillsError:
        raise
    except MemoryError:
        raise ConversionFailed("there is not enough memory for a picture of this size") from None
    except Exception as error:  # Pillow raises almost anything at a damaged file
        raise ConversionFailed(_reason(error)) from None


def _reason(error: Exception) -> str:
    name, text = type(error).__name__, " ".join(str(error).split())
    if name == "UnidentifiedImageError":
        return "it is no picture of a kind that is known here"
    if name == "DecompressionBombError":
        return f"it has more pixels than are converted (at most {MAX_PIXELS:,})"
    return f"the picture is damaged or cut off: {text[:_MESSAGE_CHARS] or name}"


def _converted(stream: BinaryIO, suffix: str, wanted: str, notes: list[str]) -> bytes | memoryview:
    from PIL import Image

    with Image.open(stream, formats=_FORMATS) as opened:
        _check_size(opened, wanted)
        _note_what_it_is(opened, suffix, notes)
        is_wide, pixels = _is_wide_colour(opened, notes), opened.width * opened.height
        if is_wide and pixels > MAX_WIDE_PIXELS:
            raise ConversionFailed(f"16-bit colour is converted up to {MAX_WIDE_PIXELS:,} pixels")
        with decoded.holding(2 * pixels if is_wide else pixels):
            return _encoded(stream, opened, wanted, notes, is_wide=is_wide)


def _encoded(stream: BinaryIO, opened: Picture, wanted: str, notes: list[str], *, is_wide: bool) -> bytes | memoryview:
    from PIL import ImageOps

    profile = opened.info.get("icc_profile") or None
    # Only now: for the EXIF of a PNG all of it is decoded, and then nothing tells how wide its values were.
    if opened.getexif().get(_ORIENTATION, 1) in range(2, 9):
        notes.append("turned as its EXIF says")
    picture = ImageOps.exif_transpose(_loaded(opened))
    if is_wide:
        return _of_array(_wide_colour(stream, opened, picture), wanted, profile, notes)
    is_inverted = opened.format == "TIFF" and _tag(opened, _PHOTOMETRIC) == 0
    if picture.mode.startswith("I") or picture.mode == "F":
        return _of_array(_wide_grey(picture, is_inverted, notes), wanted, profile, notes)
    if wanted == ".png":
        return png(picture, profile, notes)
    return jpeg(picture, profile, notes)


def _loaded(opened: Picture) -> Picture:
    opened.load()
    return opened


def _check_size(opened: Picture, wanted: str) -> None:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise ConversionFailed(f"{width:,} × {height:,} pixels are more than are converted (at most {MAX_PIXELS:,})")
    if wanted != ".png" and max(width, height) > MAX_JPEG_SIDE:
        raise ConversionFailed(f"{width:,} × {height:,} pixels do not fit in a JPEG (at most {MAX_JPEG_SIDE:,} a side)")


def _note_what_it_is(opened: Any, suffix: str, notes: list[str]) -> None:
    kind = "JPEG" if opened.format == "MPO" else opened.format
    if kind != _KINDS.get(suffix):
        notes.append(f"it is a {kind} inside")
    count = getattr(opened, "n_frames", 1)
    if count > 1:
        notes.append(f"first of {count} {'pages' if kind == 'TIFF' else 'frames'}")
        opened.seek(0)


def _tag(opened: Any, number: int) -> Any:
    return opened.tag_v2.get(number)


def _is_wide_colour(opened: Any, notes: list[str]) -> bool:
    """Sixteen bits a channel in more than one channel: Pillow would keep the upper eight."""
    if opened.format == "TIFF":
        # By the file's own word: how Pillow unpacks the channels does not show it when they lie one after the other.
        is_wide = max(_tag(opened, _BITS) or (1,)) > 8
    else:
        is_wide = opened.format == "PNG" and any(";16" in str(tile[3]) for tile in opened.tile)
    if is_wide and opened.mode in ("CMYK", "LAB"):
        notes.append("16 bit scaled to 8 bit")
    return is_wide and opened.mode in ("RGB", "RGBA")


def _wide_colour(stream: BinaryIO, opened: Picture, seen: Picture) -> NDArray[Any]:
    """The 16-bit values of a colour picture, red first; refused where cv2 and Pillow do not see the same picture."""
    import cv2
    import numpy as np

    stream.seek(0, io.SEEK_END)
    if stream.tell() > MAX_WIDE_BYTES:
        raise ConversionFailed(
            f"a picture of 16-bit colour in a file above {MAX_WIDE_BYTES >> 20} MiB is not converted"
        )
    stream.seek(0)
    decoded = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3:
        raise ConversionFailed("16-bit colour of a kind that can't be read here")
    found: NDArray[Any] = cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGBA if decoded.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    del decoded
    eight: NDArray[Any] = np.asarray(seen)
    if found.shape[:2] != eight.shape[:2] or not np.array_equal((found >> 8)[..., :3], eight[..., :3]):
        raise ConversionFailed("16-bit colour of a kind that can't be read here: two readers disagree about it")
    return found[..., : eight.shape[2]]


def _wide_grey(picture: Picture, is_inverted: bool, notes: list[str]) -> NDArray[Any]:
    """The values of a grey picture of more than eight bits, if sixteen hold them; no value is ever guessed or cut."""
    import numpy as np

    values = np.asarray(picture)
    if values.dtype.kind != "u" or values.dtype.itemsize != 2:
        low, high = float(values.min()), float(values.max())
        kind = "floating point" if picture.mode == "F" else "whole"
        if not (low >= 0 and high <= _TOP):  # also true of NaN
            raise ConversionFailed(
                f"its {kind} values from {low:g} to {high:g} do not fit in 16 bits: scale them first"
            )
        narrow = values.astype(np.uint16)
        if not np.array_equal(narrow, values):
            raise ConversionFailed(
                f"its floating point values from {low:g} to {high:g} have fractions: scale them first"
            )
        notes.append(
            f"{kind} values of 32 bit, which 16 bit hold exactly" if picture.mode == "F" else "values fit 16 bit"
        )
        return narrow
    same = values.astype(np.uint16)  # in this machine's byte order
    return _TOP - same if is_inverted else same  # zero is white: Pillow turns that round for eight bits only


def _of_array(values: NDArray[Any], wanted: str, profile: bytes | None, notes: list[str]) -> bytes | memoryview:
    """16-bit values as a 16-bit PNG, or scaled as a JPEG of eight."""
    import numpy as np
    from PIL import Image

    if wanted == ".png":
        notes.append("16 bit kept")
        return png_of_array(values, profile, notes)
    colour = values[..., :3] if values.ndim == 3 else values
    depth = next(bits for bits in _DEPTHS if int(colour.max()) < 1 << bits)
    # The same scale for all pictures of a camera with so many bits; stretching each by itself would not be.
    lut = np.round(np.arange(1 << 16) * (255.0 / ((1 << depth) - 1))).clip(0, 255).astype(np.uint8)
    narrow = lut[values]
    if narrow.ndim == 3 and narrow.shape[2] == 4:
        narrow[..., 3] = values[..., 3] >> 8
    notes.append(f"16 bit scaled to 8 bit ({depth} bit used)")
    return jpeg(Image.fromarray(narrow), profile, notes)
