"""What the files themselves say, counted in one pass with flat memory: extensions, and clues that tell files apart.

Which layouts are possible is counted in `units.hypotheses`; here is what a question needs to offer its options.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

from synapse_skills.plan import SpecPlan

if TYPE_CHECKING:
    from synapse_skills.sources import File

    Group = Callable[[File], "tuple[str, str] | None"]

MAX_WORDS = 5_000


def takes(spec: SpecPlan) -> tuple[str, ...]:
    """The extensions that a spec could take: its own, else those of its file type."""
    from synapse_skills.units import could_take

    return could_take(spec)


@dataclass
class Kinds:
    """How many files there are, how many of them some spec takes, and how many have each extension."""

    files: int = 0
    known: int = 0
    extensions: Counter[str] = field(default_factory=Counter)


def measure(files: Iterable[File], specs: Sequence[SpecPlan]) -> Kinds:
    """Count files by extension; compound ones that a spec names count as one."""
    from synapse_skills.units import compound_extensions, extension_of

    compound = compound_extensions(specs)
    known = {extension for spec in specs for extension in takes(spec)}
    kinds = Kinds()
    for file in files:
        kinds.files += 1
        extension = extension_of(file.name, compound)
        if len(kinds.extensions) < MAX_WORDS or extension in kinds.extensions:
            kinds.extensions[extension] += 1
        kinds.known += extension in known
    return kinds


@dataclass(frozen=True)
class Clue:
    """A pattern that could tell a spec's files: the glob on the end of the path, how it reads, what it finds.

    `mark` is a checksum of the files found: two clues with the same one say the same in other words.
    """

    pattern: str
    label: str
    files: int
    units: int
    mark: int = 0

    @property
    def once(self) -> bool:
        """No unit has two."""
        return self.files == self.units


def clues(
    files: Iterable[File], extension: str, compound: tuple[str, ...], group: Group, kinds: Collection[str] = ()
) -> list[Clue]:
    """Folders inside the units, whole names and endings of names that recur among the files of one extension.

    Only what finds some but not all of them is a clue. Most units first. Units that are no folders are counted once
    for each run of their files, which is near enough to rank clues. `kinds` are the folders that say the kind of a file
    wherever they stand: where there are any, no other folder is a clue.
    """
    from synapse_skills.units import extension_of

    found: dict[tuple[str, str], list[int]] = {}
    total = number = 0
    unit = ""
    for file in files:
        if extension_of(file.name, compound) != extension:
            continue
        placed = group(file)
        if placed is None:
            continue
        total += 1
        if unit != placed[0]:
            unit = placed[0]
            number += 1
        mark = crc32(f"{file.source}/{file.path}".encode())
        *folders, name = placed[1].split("/")
        for clue in _words(name, folders, extension, {each.casefold() for each in kinds}):
            counts = found.get(clue)
            if counts is None:
                if len(found) >= MAX_WORDS:
                    # Names that came once so far make room; one that recurs will come again.
                    found = {each: seen for each, seen in found.items() if seen[1] > 1}
                    if len(found) >= MAX_WORDS // 2:
                        continue
                counts = found[clue] = [0, 0, 0, 0]
            counts[0] += 1
            counts[2] += mark
            if counts[3] != number:
                counts[1] += 1
                counts[3] = number
    result = [Clue(pattern, label, *counts[:3]) for (pattern, label), counts in found.items() if counts[0] < total]
    top = max((clue.units for clue in result), default=0)
    enough = max(1 if top < 3 else 2, top // 20)
    result = [clue for clue in result if clue.units >= enough]
    # A folder says it plainer than a name, a whole name plainer than an ending.
    kinds = ("folder", "name", "ending")
    return sorted(result, key=lambda c: (-c.units, not c.once, kinds.index(c.label.split()[0]), c.pattern))


def _words(name: str, folders: list[str], extension: str, kinds: set[str]) -> list[tuple[str, str]]:
    """Patterns that this file would support, with their labels. They hold for the end of a path (`units.patterns`)."""
    from synapse_skills.units import glob_escape

    words = [(glob_escape(name), f"name {name}")]
    for folder in folders if kinds else folders[-1:]:
        if not kinds:
            words.append((f"{glob_escape(folder)}/*{extension}", f"folder {folder}/"))
        elif folder.casefold() in kinds:
            words.append((f"{glob_escape(folder)}/**/*{extension}", f"folder {folder}/"))
    stem = name[: len(name) - len(extension)]
    for mark in ("_", "-", "."):
        head, found, tail = stem.rpartition(mark)
        if found and head and tail and not tail.isdigit():
            words.append((f"*{mark}{glob_escape(tail)}{extension}", f"ending {mark}{tail}{extension}"))
            break
    return words
