"""Metadata that the name of a data unit says: its folders, or what a regular expression finds in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from synapse_skills.errors import FindingError

MAX_REGEX_CHARS = 1_000


class FromFolders:
    """See `from_folders`."""

    def __init__(self, folders: Mapping[str, int]) -> None:
        for field, number in folders.items():
            if not isinstance(field, str) or isinstance(number, bool) or not isinstance(number, int):
                raise FindingError(
                    f"from_folders takes the number of a folder for each field, not {field!r}: {number!r:.80}",
                    hint='1 is the outermost folder, -1 the innermost, 0 the whole name: from_folders({"site": 1}).',
                    code="bad-folders",
                )
        self.folders = dict(folders)

    def __call__(self, unit: Any) -> dict[str, Any]:
        """The folders of one data unit."""
        folders = folders_of(unit)
        found = {}
        for field, number in self.folders.items():
            if number == 0:
                found[field] = unit.key
                continue
            at = number - 1 if number > 0 else len(folders) + number
            if 0 <= at < len(folders) and folders[at]:
                found[field] = folders[at]
        return found

    def __repr__(self) -> str:
        return f"from_folders({self.folders!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FromFolders) and other.folders == self.folders

    def __hash__(self) -> int:
        return hash(repr(self))


def folders_of(unit: Any) -> list[str]:
    """The folders in a data unit's key, outermost first; the last part of the key only if it is a folder.

    The key `seoul/001` has two folders where 001 is one, and one where it is the stem of files.
    """
    key: str = unit.key
    parts = key.split("/")
    files = [*getattr(unit, "files", {}).values(), *getattr(unit, "sidecars", ())]
    is_folder = not files or any(file.key.startswith(f"{key}/") for file in files)
    return parts if is_folder else parts[:-1]


def from_folders(folders: Mapping[str, int]) -> FromFolders:
    """Metadata from the folders in a data unit's key.

    A data unit whose key has fewer folders gets nothing for that field.

    Args:
        folders: field → which folder: 1 is the outermost, 2 the next, -1 the innermost, 0 the whole key.

    Raises:
        FindingError: `bad-folders`.
    """
    return FromFolders(folders)


class FromName:
    """See `from_name`."""

    def __init__(self, regex: str) -> None:
        hint = r"Name what is to become a field: (?P<patient>\d+)_(?P<view>[A-Z]+)"
        self.regex = regex
        self._expression = compile_regex(regex, hint=hint)
        if not self._expression.groupindex:
            raise FindingError(f"{regex!r} has no group with a name, so it gives no field", hint=hint, code="bad-regex")

    def __call__(self, unit: Any) -> dict[str, Any]:
        """What is found in one data unit's key; nothing if it does not fit."""
        found = self._expression.search(unicodedata.normalize("NFC", unit.key))
        return {} if found is None else {field: text for field, text in found.groupdict().items() if text}

    def __repr__(self) -> str:
        return f"from_name({self.regex!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FromName) and other.regex == self.regex

    def __hash__(self) -> int:
        return hash(self.regex)


def from_name(regex: str) -> FromName:
    """Metadata from a data unit's key: every named group of a regular expression is a field, its text the value.

    The expression is searched for anywhere in the key. Groups that find nothing give no field.

    Args:
        regex: Python's syntax, at most 1,000 characters; nested repeats such as `(a+)+$` can take minutes.

    Raises:
        FindingError: `bad-regex`.
    """
    return FromName(regex)


def compile_regex(regex: str, *, hint: str) -> re.Pattern[str]:
    """A user's regular expression, composed and within the limits.

    Raises:
        FindingError: `bad-regex`, with this hint.
    """
    if not isinstance(regex, str):
        raise FindingError(
            f"{regex!r:.80} is no regular expression but a {type(regex).__name__}", hint=hint, code="bad-regex"
        )
    if not regex or len(regex) > MAX_REGEX_CHARS:
        raise FindingError(
            f"The regular expression has {len(regex):,} characters; 1 to {MAX_REGEX_CHARS:,} are allowed",
            hint=hint,
            code="bad-regex",
        )
    try:
        return re.compile(unicodedata.normalize("NFC", regex))
    except (re.error, RecursionError, OverflowError) as error:
        raise FindingError(f"{regex!r} is not a regular expression: {error}", hint=hint, code="bad-regex") from None
