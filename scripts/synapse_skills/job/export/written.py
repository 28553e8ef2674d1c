"""What was written, counted: of a whole export, or of a part of it that is added to the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synapse_skills.report import MAX_EXAMPLES


@dataclass
class Tally:
    """What became of the annotations in one format."""

    written: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def lose(self, reason: str, count: int, example: str) -> None:
        """Count annotations as lost; a few examples are kept for each reason."""
        if not count:
            return
        self.lost[reason] = self.lost.get(reason, 0) + count
        kept = self.examples.setdefault(reason, [])
        if len(kept) < MAX_EXAMPLES and example not in kept:
            kept.append(example)

    def wants(self, reason: str) -> bool:
        """Whether another example of a reason would be kept: of a million losses nobody needs as many sentences."""
        return len(self.examples.get(reason, ())) < MAX_EXAMPLES

    def add(self, other: Tally) -> None:
        """Count what another one has counted of later records."""
        self.written += other.written
        add_counts(self.lost, other.lost)
        add_examples(self.examples, other.examples)


@dataclass
class Written:
    """What was written, counted.

    Attributes:
        records: exported; `quarantined` set aside, by reason.
        annotations: source annotations of both.
        items: media by part; '' without a split.
        originals: placed; `missing` could not be.
        shared: checksums of originals that stand in several parts of the split.
        notes: by format, what was written in another shape by an option.
        contents: what is in it by class, tool and size.
    """

    records: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    quarantine_examples: dict[str, list[str]] = field(default_factory=dict)
    annotations: int = 0
    issues: dict[str, int] = field(default_factory=dict)
    issue_examples: dict[str, list[str]] = field(default_factory=dict)
    items: dict[str, int] = field(default_factory=dict)
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    formats: dict[str, Tally] = field(default_factory=dict)
    notes: dict[str, dict[str, int]] = field(default_factory=dict)
    originals: int = 0
    missing: int = 0
    shared: int = 0
    shared_examples: list[str] = field(default_factory=list)
    contents: dict[str, Any] = field(default_factory=dict)

    def add(self, other: Written) -> None:
        """Count what another one has counted of later records, but for what is counted at the end."""
        self.records += other.records
        self.annotations += other.annotations
        self.originals += other.originals
        self.missing += other.missing
        for ours, theirs in (
            (self.quarantined, other.quarantined),
            (self.issues, other.issues),
            (self.items, other.items),
        ):
            add_counts(ours, theirs)
        add_examples(self.quarantine_examples, other.quarantine_examples)
        add_examples(self.issue_examples, other.issue_examples)
        for name, tally in other.formats.items():
            self.formats[name].add(tally)


def add_counts(ours: dict[str, int], theirs: Mapping[str, int]) -> None:
    """Add counts by name; new names come behind."""
    for name, count in theirs.items():
        ours[name] = ours.get(name, 0) + count


def add_examples(ours: dict[str, list[str]], theirs: Mapping[str, list[str]]) -> None:
    """Add examples by name, as many as are kept."""
    for name, examples in theirs.items():
        kept = ours.setdefault(name, [])
        kept += [example for example in examples if example not in kept][: MAX_EXAMPLES - len(kept)]
