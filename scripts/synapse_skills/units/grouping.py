"""Data units that are no folders: files belong together by the stem of their names, or by a regular expression.

Both give the file's whole path as its path inside the data unit, so a pattern with a leading `/` is tied to the
source's own folder.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from synapse_skills.errors import FindingError
from synapse_skills.metadata import compile_regex
from synapse_skills.sources import File
from synapse_skills.units.mapping import normal_extension
from synapse_skills.units.names import stem_of

GROUP_KEY = "group_key"


@dataclass(frozen=True)
class ByStem:
    """See `by_stem`."""

    ignore: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    _ignored: frozenset[str] = field(init=False, repr=False, compare=False)
    _cut: tuple[tuple[str, int], ...] = field(init=False, repr=False, compare=False)

    is_folder = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ignored", frozenset(map(_folded, self.ignore)))
        cut = sorted({unicodedata.normalize("NFC", ending) for ending in self.endings}, key=lambda e: (-len(e), e))
        object.__setattr__(self, "_cut", tuple((ending.casefold(), len(ending)) for ending in cut))

    def __call__(self, file: File) -> tuple[str, str] | None:
        """The folders that count and the stem are the key."""
        key = file.key
        folders, slash, name = key.rpartition("/")
        stem = self.shorten(stem_of(name, self.extensions))
        if slash and self._ignored:
            folders = "/".join(part for part in folders.split("/") if part.casefold() not in self._ignored)
        return (f"{folders}/{stem}" if folders else stem), key

    def shorten(self, stem: str) -> str:
        """A stem without the longest ending that it has; an ending that is all of it stays."""
        for ending, length in self._cut:
            if len(stem) > length and stem[-length:].casefold() == ending:
                return stem[:-length]
        return stem

    def __repr__(self) -> str:
        given = [("ignore", self.ignore), ("endings", self.endings), ("extensions", self.extensions)]
        return f"by_stem({', '.join(f'{name}={value!r}' for name, value in given if value)})"


def by_stem(ignore: Iterable[str] = (), endings: Iterable[str] = (), extensions: Iterable[str] = ()) -> ByStem:
    """A grouping: files whose names differ only by their extension are one data unit.

    The folders above stay in the key, so `a/001.png` and `b/001.png` are two data units.

    Args:
        ignore: names of folders that say the kind of file, dropped from the key wherever they stand, in upper or lower
            case: with `images` and `labels`, `images/001.png` and `labels/001.json` are both of `001`.
        endings: ends of names that say the kind, in upper or lower case: with `_mask`, `001_mask.png` is of `001`. The
            longest one that fits is taken away, once, and never all of the name.
        extensions: suffixes of several parts to take for one, beside well-known ones such as `.nii.gz`.

    Raises:
        FindingError: `bad-grouping`: one of them is no name.
    """
    ignored, cut, compound = _texts("ignore", ignore), _texts("endings", endings), _texts("extensions", extensions)
    if any("/" in name for name in (*ignored, *cut)):
        raise _bad("by_stem takes names of folders and ends of names, without a slash", "Name each folder by itself.")
    return ByStem(ignored, cut, tuple(map(normal_extension, compound)))


@dataclass(frozen=True)
class ByFile:
    """See `by_file`."""

    is_folder = False

    def __call__(self, file: File) -> tuple[str, str] | None:
        """The whole path is the key."""
        return file.key, file.key

    def __repr__(self) -> str:
        return "by_file()"


def by_file() -> ByFile:
    """A grouping: every file is a data unit of its own, its path in the source is the key.

    For collections with one specification, where matching names would put `a.jpg` and `a.png` together.
    """
    return ByFile()


@dataclass(frozen=True)
class ByRegex:
    """See `by_regex`."""

    regex: str
    template: str = f"{{{GROUP_KEY}}}"
    _expression: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _parts: tuple[tuple[str, str | None], ...] = field(init=False, repr=False, compare=False)

    is_folder = False

    def __post_init__(self) -> None:
        expression = _compiled(self.regex)
        object.__setattr__(self, "_expression", expression)
        object.__setattr__(self, "_parts", _template(self.template, expression))

    def __call__(self, file: File) -> tuple[str, str] | None:
        """Search the path; what is not found, or gives no name, belongs to nothing."""
        key = file.key
        found = self._expression.search(key)
        if found is None:
            return None
        named = found.groupdict()
        if GROUP_KEY not in named:
            named[GROUP_KEY] = found.group(1) if self._expression.groups else found.group()
        words: list[str] = []
        for text, name in self._parts:
            value = "" if name is None else named[name]
            if value is None:
                return None
            words += [text, value]
        unit = "".join(words).strip("/")
        return (unit, key) if unit and not _climbs(unit) else None

    def __repr__(self) -> str:
        more = f", template={self.template!r}" if self.template != f"{{{GROUP_KEY}}}" else ""
        return f"by_regex({self.regex!r}{more})"


def by_regex(regex: str, template: str = f"{{{GROUP_KEY}}}") -> ByRegex:
    """A grouping: a regular expression finds the data unit's key in the path relative to the source.

    The group called `group_key` is the key, else the first group, else all that was found:
    `by_regex("(.+?)/(?:img|json)/")` makes `patient_001` of `patient_001/img/scan.png`. A file in whose path nothing
    is found belongs to no data unit.

    Patterns are limited to 1,000 characters, paths to what a file system holds. That bounds ordinary patterns, but
    nested repeats such as `(a+)+$` can still take minutes for one long name: write `a+$`.

    Args:
        regex: Python's syntax; `(?i)` in front makes upper and lower case the same.
        template: the key; `{group_key}` and the names of groups stand for what was found.

    Raises:
        FindingError: `bad-regex` or `bad-template`.
    """
    if not isinstance(regex, str) or not isinstance(template, str):
        raise FindingError(
            f"by_regex takes texts, not {regex!r} and {template!r}", hint="See its docstring.", code="bad-regex"
        )
    return ByRegex(regex, template)


def _compiled(regex: str) -> re.Pattern[str]:
    return compile_regex(regex, hint="Write for example (.+?)/(?:img|json)/ : the first group is the data unit's key.")


def _template(template: str, expression: re.Pattern[str]) -> tuple[tuple[str, str | None], ...]:
    """The template in pieces of (text, name): names only, nothing that `str.format` could reach through them."""
    known = {GROUP_KEY, *expression.groupindex}
    hint = f"Use only {', '.join(f'{{{name}}}' for name in sorted(known))}; double a brace that is meant as such."
    try:
        parts = list(string.Formatter().parse(unicodedata.normalize("NFC", template)))
    except ValueError as error:
        raise FindingError(f"{template!r} is not a template: {error}", hint=hint, code="bad-template") from None
    for _, name, spec, conversion in parts:
        if name is not None and (name not in known or spec or conversion):
            raise FindingError(f"{template!r} asks for {{{name}}}, which is not there", hint=hint, code="bad-template")
    if not any(name for _, name, _, _ in parts):
        raise FindingError(f"{template!r} would give all files the same key", hint=hint, code="bad-template")
    return tuple((text, name) for text, name, _, _ in parts)


def _climbs(unit: str) -> bool:
    """A key is part of a path on the backend: none of its parts may mean another folder."""
    return any(part in ("", ".", "..") for part in unit.split("/"))


def _texts(what: str, given: Iterable[str]) -> tuple[str, ...]:
    values: tuple[Any, ...] = (given,) if isinstance(given, str) else tuple(given)
    for value in values:
        if not isinstance(value, str) or not value.strip():
            raise _bad(f"by_stem takes names as {what}, not {value!r}", 'For example by_stem(ignore=("images",)).')
    return values


def _bad(message: str, hint: str) -> FindingError:
    return FindingError(message, hint=hint, code="bad-grouping")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
