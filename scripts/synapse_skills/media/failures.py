"""What a conversion comes to: a result with notes, or a failure with a reason that fits on a line."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from synapse_skills.errors import OutOfReach, SkillsError


@dataclass(frozen=True)
class Converted:
    """A file that was written whole.

    Attributes:
        bytes: its size.
        notes: what is not the same as in the original, each short: "first of 12 frames", "transparency on white".
    """

    bytes: int
    notes: tuple[str, ...] = ()


class ConversionFailed(SkillsError):
    """This file can't be converted; nothing was written."""

    code = "conversion-failed"
    hint = "Open the file in the program that made it and save it again, or leave its data unit out."


class ConversionTimeout(ConversionFailed):
    """The conversion took longer than it may; it was ended and nothing was written."""

    code = "conversion-timeout"
    hint = "Cut the recording into shorter parts, or convert it by hand."


class NotWritten(ConversionFailed):
    """The result is not where it was written, or can't be put there: that says nothing about the file."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"the result can't be written: {cause.strerror or cause}")
        self.cause = cause


class NoFfmpeg(ConversionFailed, OutOfReach):
    """Video and audio need ffmpeg, and there is none."""

    code = "no-ffmpeg"
    hint = (
        "Install it: `apt install ffmpeg` (Linux), `brew install ffmpeg` (macOS), `winget install ffmpeg` (Windows); "
        "or set SYNAPSE_SKILLS_FFMPEG to the program."
    )


class DiskFull(ConversionFailed, OutOfReach):
    """There is no room for the result."""

    code = "disk-full"
    hint = "Free some disk space, or name a folder on another disk; then run it again."


def library(name: str) -> Any:
    """Import what a conversion needs only when one is made: a job without conversions goes without."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise OutOfReach(
            f"Converting pictures needs {name.partition('.')[0]}, which is not installed here.",
            hint="Install the job's requirements.txt.",
            code="missing-library",
        ) from None
