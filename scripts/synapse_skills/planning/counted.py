"""What one pass over the data units comes to, and how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection as Collection_
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from synapse_skills.errors import printable, redact
from synapse_skills.report import MAX_EXAMPLES, Problem

if TYPE_CHECKING:
    from synapse_skills.metadata import Faults
    from synapse_skills.units import Described, Survey, Unit

MISSING = "missing-required-spec"
OVERSIZED = "oversized-file"
UNFIT = "meta-invalid"
MOST_NAMED = 10
"""Data units with one kind of finding of which the examples are kept."""


@dataclass
class Found:
    """Data units with one kind of finding."""

    units: int = 0
    examples: list[str] = field(default_factory=list)
    specs: dict[str, int] = field(default_factory=dict)

    @property
    def shown(self) -> list[str]:
        """All of them where they are few, else the first three."""
        return list(self.examples if self.units <= MOST_NAMED else self.examples[:MAX_EXAMPLES])

    def add(self, other: Found) -> None:
        """Take in others of the same kind."""
        self.units += other.units
        self.examples = [*self.examples, *other.examples][:MOST_NAMED]
        for spec, count in other.specs.items():
            self.specs[spec] = self.specs.get(spec, 0) + count


@dataclass
class Amount:
    """Files of one kind."""

    files: int = 0
    bytes: int = 0
    largest: int = 0

    def add(self, size: int) -> None:
        """Count one more."""
        self.files += 1
        self.bytes += size
        self.largest = max(self.largest, size)


@dataclass
class Counted:
    """What one pass over the data units came to. `clean*` are those without any finding.

    Units with findings are counted by the set of their codes: one that stays at home for one finding needs no
    consent for another. `unfit` says what is wrong with metadata, one problem for each kind of fault. `clean_by_suffix`
    counts only files that are converted. `example` is one data unit's metadata as it arrives.
    """

    units: int = 0
    clean: int = 0
    clean_files: int = 0
    clean_bytes: int = 0
    clean_by_spec: dict[str, int] = field(default_factory=dict)
    clean_by_suffix: dict[str, Amount] = field(default_factory=dict)
    by_codes: dict[frozenset[str], dict[str, Found]] = field(default_factory=dict)
    largest: int = 0
    problems: list[Problem] = field(default_factory=list)
    unfit: list[Problem] = field(default_factory=list)
    example: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def found(self, consented: Collection_[str] = ()) -> dict[str, Found]:
        """Findings by code, of the units that no consent covers yet."""
        merged: dict[str, Found] = {}
        for codes in sorted(self.by_codes, key=sorted):
            if codes.isdisjoint(consented):
                for code, found in self.by_codes[codes].items():
                    merged.setdefault(code, Found()).add(found)
        return dict(sorted(merged.items()))

    def left_out(self, consented: Collection_[str]) -> int:
        """Units that stay at home by these consents."""
        return sum(
            next(iter(found.values())).units
            for codes, found in self.by_codes.items()
            if not codes.isdisjoint(consented)
        )


def amount(units: int) -> str:
    """`1 data unit`, `1,203 data units`."""
    return f"{units:,} data unit{'' if units == 1 else 's'}"


class Progress:
    """Says on stderr how far a pass is: a line that rewrites itself on a terminal, else a line every ten seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._tty = self._stream.isatty()
        self._next = time.monotonic() + (0.5 if self._tty else 10)
        self._shown = False

    def __call__(self, what: str, count: int) -> None:
        """Say it, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.2 if self._tty else 10)
        self._shown = True
        self._stream.write(f"\r\x1b[K{what}: {count:,}" if self._tty else f"{what}: {count:,}\n")
        self._stream.flush()

    def close(self) -> None:
        """Take the line away."""
        if self._shown and self._tty:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def with_metadata(
    units: Iterable[Unit],
    described: Described | None,
    faults: Faults,
    example: dict[str, Mapping[str, Any]] | None = None,
) -> Iterator[Unit]:
    """Data units with what is wrong with their metadata among their findings; the first good one's is the example."""
    from synapse_skills.units import Finding

    for unit in units:
        if described is not None:
            meta, found = described.meta_of(unit)
            if example is not None and not example and meta is not None and not found and not unit.findings:
                example[unit.key] = meta
            if found:
                where = described.where(unit)
                faults.add(where, found)
                told = "; ".join(str(fault) for fault in found[:MAX_EXAMPLES])
                unit.findings.append(Finding(UNFIT, unit.key, redact(f"{printable(where)}: {told}")))
        yield unit


def count(units: Iterator[Unit], survey: Survey, progress: Progress, described: Described | None = None) -> Counted:
    """One pass over the data units, flat in memory; with `described` their metadata is made and checked too."""
    from synapse_skills.metadata import Faults

    total, faults = Counted(), Faults()
    converted = {each.source for each in survey.conversions}
    for unit in with_metadata(units, described, faults, total.example):
        total.units += 1
        progress("data units counted", total.units)
        total.largest = max(total.largest, *(file.size for file in unit.files.values()), 0)
        if not unit.findings:
            total.clean += 1
            total.clean_files += len(unit.files)
            total.clean_bytes += unit.bytes
            for spec, file in unit.files.items():
                total.clean_by_spec[spec] = total.clean_by_spec.get(spec, 0) + 1
                if file.suffix in converted:
                    total.clean_by_suffix.setdefault(file.suffix, Amount()).add(file.size)
            continue
        kind = total.by_codes.setdefault(frozenset(unit.codes), {})
        for code in unit.codes:
            kind.setdefault(code, Found()).units += 1
        for finding in unit.findings:
            found = kind[finding.code]
            if finding.spec:
                found.specs[finding.spec] = found.specs.get(finding.spec, 0) + 1
            if len(found.examples) < MOST_NAMED:
                found.examples.append(finding.message)
    total.problems = survey.problems.as_list()
    total.unfit = faults.problems(UNFIT)
    if described is not None:
        total.problems += described.conflicts()
    return total
