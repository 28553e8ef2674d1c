"""Pictures, video and audio: small ones made of them, and files of another kind for what a collection does not take."""

from synapse_skills.media.conversion import (
    ALL_TARGETS,
    PART_PREFIX,
    PART_SUFFIX,
    SOURCES,
    convert,
    estimate,
    needs_ffmpeg,
    targets,
)
from synapse_skills.media.failures import (
    ConversionFailed,
    ConversionTimeout,
    Converted,
    DiskFull,
    NoFfmpeg,
    NotWritten,
)
from synapse_skills.media.ffmpeg import find_ffmpeg, stop_conversions
from synapse_skills.media.thumbnail import PICTURES, NoPicture, Thumbnail, thumbnail

__all__ = [
    "ALL_TARGETS",
    "PART_PREFIX",
    "PART_SUFFIX",
    "PICTURES",
    "SOURCES",
    "ConversionFailed",
    "ConversionTimeout",
    "Converted",
    "DiskFull",
    "NoFfmpeg",
    "NoPicture",
    "NotWritten",
    "Thumbnail",
    "convert",
    "estimate",
    "find_ffmpeg",
    "needs_ffmpeg",
    "stop_conversions",
    "targets",
    "thumbnail",
]
