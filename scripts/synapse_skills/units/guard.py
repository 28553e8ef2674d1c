"""The SDK's content guard, asked file by file: one that it refuses is a finding, and never stops the others.

An answer is kept for (absolute path, size, time of change, SDK version): asking costs 1 ms for a JSON label of 20 KB,
and the plan, the dry run and the job would each ask.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from synapse_skills.errors import OutOfReach, redact
from synapse_skills.sources import File, open_inside
from synapse_skills.units.looks import HEAD_BYTES, looks_like

IS_REALLY = "its content is "
"""Before the extension that the content calls for, in a finding `refused-by-guard`: such files can be converted."""

_MOST_REASONS = 3
_MOST_CHARACTERS = 200


class _Guarded:
    """What the guard needs of a path: a name, and a way to read that no link can lead out of the source."""

    def __init__(self, name: str, opener: Callable[[], BinaryIO]) -> None:
        self.name = name
        self._opener = opener

    def open(self, mode: str = "rb") -> BinaryIO:
        return self._opener()


@functools.cache
def content_guard() -> Callable[[Any], list[Any]]:
    """The SDK's `inspect_file`.

    Raises:
        OutOfReach: `no-content-guard`: no SDK, or one without it.
    """
    try:
        module = importlib.import_module("synapse_sdk.utils.file.content_guard")
        inspect: Callable[[Any], list[Any]] = module.inspect_file
    except (ImportError, AttributeError):
        raise OutOfReach(
            "The installed synapse-sdk has no content guard, so what it would refuse to upload can't be found out",
            hint="Install a newer synapse-sdk, as requirements.txt says.",
            code="no-content-guard",
        ) from None
    return inspect


def guard_key(root: Path | str, file: File) -> bytes:
    """What an answer is kept under; `root` is the source's folder or URL."""
    text = f"{_sdk_version()}\0{root}/{file.path}\0{file.size}\0{file.mtime_ns}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def ask_guard(root: Path, file: File) -> str:
    """Why the guard refuses a file, short and without any of its content; '' if it does not.

    Raises:
        OSError: the file can't be read.
    """
    return _ask(file.name, lambda: open_inside(root, file))


def ask_guard_about_copy(name: str, copy: Path) -> str:
    """`ask_guard` for a file that lies here under another name than its own.

    Raises:
        OSError: it can't be read.
    """
    return _ask(name, lambda: copy.open("rb"))


def ask_guard_about_name(name: str) -> str:
    """`ask_guard` for a file of which only the name is known: what is in it is asked when it is here."""
    return _ask(name, io.BytesIO)


def _ask(name: str, opener: Callable[[], BinaryIO]) -> str:
    found = content_guard()(_Guarded(name, opener))
    reasons = [_reason(finding) for finding in found]
    more = f" and {len(reasons) - _MOST_REASONS} more" if len(reasons) > _MOST_REASONS else ""
    return redact(", ".join(reasons[:_MOST_REASONS]) + more + _really(opener, found))[:_MOST_CHARACTERS]


def _really(opener: Callable[[], BinaryIO], found: list[Any]) -> str:
    """What a file is whose content is not what its extension promises."""
    if not any(_rule(finding) == "type mismatch" for finding in found):
        return ""
    with opener() as stream:
        real = looks_like(stream.read(HEAD_BYTES))
    return f"; {IS_REALLY}{real}" if real is not None else ""


def _reason(finding: Any) -> str:
    """Rule, label and offset only: that is all the guard says today, and all that may be said."""
    rule = _rule(finding)
    offset = getattr(finding, "offset", None)
    return f"{rule} ({finding.label}{f' at byte {offset}' if isinstance(offset, int) else ''})"


def _rule(finding: Any) -> str:
    return str(getattr(finding.rule, "value", finding.rule)).lower().replace("_", " ")


@functools.cache
def _sdk_version() -> str:
    try:
        return importlib.metadata.version("synapse-sdk")
    except importlib.metadata.PackageNotFoundError:
        return ""
