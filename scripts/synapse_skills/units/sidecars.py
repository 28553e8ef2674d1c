"""Sidecars: files that hold the metadata of a data unit and fill no specification, told by a glob."""

from __future__ import annotations

import re
from dataclasses import replace

from synapse_skills.sources import File
from synapse_skills.sources.source import suffix_of
from synapse_skills.units.patterns import alternatives, compile_pattern

SIDECAR = "*metadata*"
"""What stands in place of a specification's name for a sidecar; no file name on any system can be a glob's asterisk."""
_WILD = re.compile(r"[*?\[]")


class Sidecars:
    """Tells which files are sidecars, and whose.

    What the pattern spells out (`_info` in `*_info.yaml`, `meta` in `meta/*.json`) says that a file is a sidecar, not
    whose it is: it is taken away before the grouping is asked.

    Raises:
        FindingError: `bad-pattern`.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._tests = [(compile_pattern(each), *_spelt_out(each)) for each in alternatives(pattern)]

    def is_one(self, file: File) -> bool:
        """Whether a file is a sidecar."""
        return any(test.fullmatch(file.key) for test, _, _ in self._tests)

    def beside(self, file: File) -> File:
        """The file as it would be called if it were not a sidecar: `meta/001_info.yaml` as `001.yaml`."""
        folders, tail = next((folders, tail) for test, folders, tail in self._tests if test.fullmatch(file.key))
        parts = file.key.split("/")
        name = parts[-1]
        if len(name) > len(tail):
            name = name[: len(name) - len(tail)] + suffix_of(name)
        kept = [part for part in parts[:-1] if part.casefold() not in folders]
        return replace(file, path="/".join([*kept, name]))


def _spelt_out(pattern: str) -> tuple[frozenset[str], str]:
    """The folders in a glob that are no wildcards, and the end of the name behind its last wildcard."""
    *folders, name = pattern.removeprefix("/").split("/")
    wild = [found.end() for found in _WILD.finditer(name)]
    closed = name.rfind("]") + 1
    tail = name[max(wild[-1], closed) :] if wild else ""
    return frozenset(part.casefold() for part in folders if not _WILD.search(part)), tail
