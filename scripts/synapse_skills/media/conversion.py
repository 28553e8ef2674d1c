"""A file as a collection takes it: pictures, video, audio and Pascal VOC annotations, the original untouched."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path
from typing import BinaryIO

from synapse_skills.media.failures import ConversionFailed, Converted, DiskFull, NotWritten
from synapse_skills.media.ffmpeg import AUDIO, VIDEO, transcode
from synapse_skills.media.pictures import convert_picture
from synapse_skills.media.voc import voc_as_json

# What is being written; whoever finds one of these that nobody writes to any more may remove it.
PART_PREFIX = ".synapse-"
PART_SUFFIX = ".part"

_PICTURES = (".tiff", ".tif", ".bmp", ".webp", ".gif")
_TARGETS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_PICTURES, (".png", ".jpg")),
    ".png": (".jpg",),
    ".jpg": (".png",),
    ".jpeg": (".png",),
    **dict.fromkeys(VIDEO, (".mp4",)),
    ".wav": (".mp3", ".m4a", ".aac"),
    ".flac": (".mp3", ".m4a", ".aac"),
    ".ogg": (".mp3", ".m4a", ".aac"),
    ".wma": (".mp3", ".m4a", ".aac"),
    ".m4a": (".mp3", ".aac"),
    ".xml": (".json",),
}
SOURCES = frozenset(_TARGETS)
ALL_TARGETS = tuple(sorted({target for targets in _TARGETS.values() for target in targets}))

# How much larger the result may be than the file, at the worst that is usual: what the disk must have room for.
_GROWTH: dict[tuple[str, str], float] = {
    (".jpg", ".png"): 12,
    (".jpeg", ".png"): 12,
    (".webp", ".png"): 16,
    (".webp", ".jpg"): 6,
    (".tiff", ".png"): 2,
    (".tif", ".png"): 2,
    (".gif", ".jpg"): 4,
    (".ogg", ".mp3"): 3,
    (".wma", ".mp3"): 3,
    (".m4a", ".mp3"): 3,
    (".wav", ".mp3"): 0.6,
    (".xml", ".json"): 2,
}
_USUAL_GROWTH = 1.5
_VIDEO_GROWTH = 3  # HEVC and VP9 become H.264
_LEAST = 64 << 10
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def targets(suffix: str) -> tuple[str, ...]:
    """What a file with this suffix can become, best first; nothing if nothing is known."""
    return _TARGETS.get(suffix.lower(), ())


def needs_ffmpeg(suffix: str, target: str) -> bool:
    """Whether this conversion is done by ffmpeg."""
    return target.lower() in targets(suffix) and suffix.lower() in VIDEO | AUDIO


def estimate(suffix: str, target: str, size: int) -> int:
    """Bytes that the result may have, a guess on the safe side: for the disk space to look for."""
    suffix, target = suffix.lower(), target.lower()
    usual = _VIDEO_GROWTH if suffix in VIDEO else _USUAL_GROWTH
    return int(size * _GROWTH.get((suffix, target), usual)) + _LEAST


def convert(stream: BinaryIO, suffix: str, target: Path, *, timeout: float | None = None) -> Converted:
    """Convert one file; the target is written whole or not at all, and replaced if it is there.

    Args:
        stream: an open regular file; what it holds is read through this handle and through no path.
        suffix: the file's suffix, which says what it is taken for.
        target: what to write; its suffix is one of `targets(suffix)`.
        timeout: seconds that ffmpeg may take; 600 for video and 300 for audio if None. Pictures have none: their
            size is limited instead.

    Returns:
        Its size, and what is not as in the original.

    Raises:
        ConversionFailed: it can't be done; the message says why. Also ConversionTimeout, NoFfmpeg, and for
            what the file is not to blame: NotWritten, DiskFull.
    """
    suffix, wanted = suffix.lower(), target.suffix.lower()
    if wanted not in targets(suffix):
        raise ConversionFailed(f"nothing here makes {wanted or 'a file without extension'} of {suffix or 'it'}")
    part = target.parent / f"{PART_PREFIX}{secrets.token_hex(8)}{PART_SUFFIX}"
    try:
        stream.seek(0)
        notes = _write(stream, suffix, wanted, part, timeout)
        size = part.stat().st_size
        part.replace(target)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull("the disk is full") from None
        if error.filename and Path(error.filename) in (part, target):
            raise NotWritten(error) from None
        raise ConversionFailed(f"can't be read or written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return Converted(size, notes)


def _write(stream: BinaryIO, suffix: str, wanted: str, part: Path, timeout: float | None) -> tuple[str, ...]:
    """Make the content of the result in a file of its own; what is not as in the original."""
    content: bytes | memoryview
    notes: tuple[str, ...]
    if suffix in VIDEO | AUDIO:
        notes = transcode(stream, suffix, wanted, part, timeout)
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        return notes
    notes = ()
    if suffix == ".xml":
        content = voc_as_json(stream)
    else:
        content, notes = convert_picture(stream, suffix, wanted)
    with part.open("xb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())
    return notes
