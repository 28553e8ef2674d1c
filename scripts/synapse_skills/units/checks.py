"""What can be told about a data unit without looking into its files."""

from __future__ import annotations

import functools
import heapq
from collections.abc import Mapping, Sequence

from synapse_skills.errors import printable
from synapse_skills.plan import Conversion, Limits, SpecPlan
from synapse_skills.sources import File
from synapse_skills.units.findings import Finding
from synapse_skills.units.mapping import normal_extension
from synapse_skills.units.names import extension_of

MEBIBYTE = 1024 * 1024
"""`max_file_size_mb` counts in these, as the SDK does."""
MAX_KEY_BYTES = 255
_MOST_NAMES = 10


Converts = Mapping[str, Mapping[str, str]]
"""specification → extension that it does not take → the one that it becomes"""
_NONE: Converts = {}


def by_spec(conversions: Sequence[Conversion]) -> Converts:
    """A plan's conversions, to be looked up."""
    found: dict[str, dict[str, str]] = {}
    for each in conversions:
        found.setdefault(each.spec, {})[normal_extension(each.source)] = normal_extension(each.target)
    return found


def converts(conversions: Converts, spec: str, file: File) -> str | None:
    """The extension that a file is converted to before it is sent, None if it is sent as it is."""
    known = conversions.get(spec)
    return known.get(file.suffix) if known else None


class Candidates:
    """Files of one data unit for one specification; only the first ten by path are held, the rest are counted."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[tuple[tuple[int, str], File]] = []

    def add(self, file: File) -> None:
        """Take in one more."""
        self.count += 1
        self._first.append(((file.source, file.path), file))
        if len(self._first) > 2 * _MOST_NAMES:
            self._first = heapq.nsmallest(_MOST_NAMES, self._first, key=lambda item: item[0])

    def first(self) -> list[File]:
        """The first ones by source and path."""
        return [file for _, file in heapq.nsmallest(_MOST_NAMES, self._first, key=lambda item: item[0])]


def check_unit(
    key: str,
    files: dict[str, File],
    findings: list[Finding],
    candidates: dict[str, Candidates],
    specs: Sequence[SpecPlan],
    limits: Limits,
    conversions: Converts = _NONE,
) -> None:
    """Fill a data unit's files and findings from the candidates for its specifications, in the collection's order."""
    if len(key.encode()) > MAX_KEY_BYTES:
        message = f"{printable(key)[:60]}…: the key has {len(key.encode())} bytes, at most {MAX_KEY_BYTES} are allowed"
        findings.append(Finding("key-too-long", key, message))
    for spec in specs:
        found = candidates.get(spec.name)
        if found is None:
            if spec.is_required:
                findings.append(Finding("missing-required-spec", key, f"{printable(key)}: no {spec.name}", spec.name))
        elif found.count > 1:
            names = ", ".join(shown_path(file, key) for file in found.first())
            more = f" and {found.count - _MOST_NAMES} more" if found.count > _MOST_NAMES else ""
            message = f"{printable(key)}: {found.count} files for {spec.name}: {names}{more}"
            findings.append(Finding("several-candidates", key, message, spec.name))
        else:
            file = files[spec.name] = found.first()[0]
            _check_file(
                key, file, spec, limits, findings, is_converted=converts(conversions, spec.name, file) is not None
            )


def _check_file(
    key: str, file: File, spec: SpecPlan, limits: Limits, findings: list[Finding], *, is_converted: bool
) -> None:
    if file.size == 0:
        said = "is empty"
        findings.append(_file_finding("empty-file", key, spec.name, file, said))
    elif not is_converted and file.size > limits.max_file_size_mb * MEBIBYTE:
        # What is converted is judged by what becomes of it, when it is sent.
        said = f"has {file.size / MEBIBYTE:,.1f} MB, the limit is {limits.max_file_size_mb:g} MB"
        findings.append(_file_finding("oversized-file", key, spec.name, file, said))
    if spec.extensions and not is_converted and not takes(spec, file):
        said = f"is not one of {', '.join(spec.extensions)}"
        findings.append(_file_finding("wrong-extension", key, spec.name, file, said))


def takes(spec: SpecPlan, file: File) -> bool:
    """Whether a specification takes a file's extension; '' among them takes names without one."""
    name = file.name.lower()
    extensions = _extensions(spec.extensions)
    return name.endswith(extensions) or ("" in spec.extensions and not extension_of(name))


@functools.lru_cache(maxsize=256)
def _extensions(extensions: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, map(normal_extension, extensions)))


def may_ask_guard(findings: Sequence[Finding], spec: str) -> bool:
    """The guard is not asked about files that are unfit already: reading an oversized text takes minutes."""
    return not any(finding.spec == spec for finding in findings)


def guard_finding(key: str, spec: str, file: File, why: str) -> Finding:
    """The content guard refuses a file."""
    return _file_finding("refused-by-guard", key, spec, file, f"is refused: {why}")


def unreadable_finding(key: str, spec: str, file: File, error: OSError) -> Finding:
    """A file could not be read when the content guard wanted to."""
    return _file_finding("unreadable-file", key, spec, file, f"can't be read: {error.strerror or error}")


def _file_finding(code: str, key: str, spec: str, file: File, said: str) -> Finding:
    return Finding(code, key, f"{printable(key)}: {shown_path(file, key)} ({spec}) {said}", spec)


def shown_path(file: File, key: str) -> str:
    """A file's path as it is told beside its data unit: without the unit's own folders."""
    return printable(file.key.removeprefix(f"{key}/"))
