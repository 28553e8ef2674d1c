"""What the files themselves say about layout and specs, counted in one pass with flat memory.

A *signature* is what one folder holds of the extensions that the collection takes, such as one .png and one .json.
From the common signatures follow the depth of the folders that are data units, which spec each extension fills, and
where only a pattern can tell two specs apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING
from zlib import crc32

from synapse_skills.plan import SpecPlan

if TYPE_CHECKING:
    from synapse_skills.sources import File

MAX_DEPTH = 4
MAX_SIGNATURES = 5_000
MAX_WORDS = 5_000
MAX_COUNT = 9
MAX_CHOICES = 20_000
RARE = 0.005

Signature = tuple[tuple[str, int], ...]

# What a collection means by a file type when it lists no extensions.
FILE_TYPES = {
    "image": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    "video": (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"),
    "audio": (".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac"),
    "text": (".txt", ".json", ".csv", ".xml", ".md"),
    "document": (".json", ".txt", ".csv", ".xml", ".pdf", ".yaml", ".yml"),
    "data": (".json", ".csv", ".xml", ".txt", ".npy", ".npz", ".parquet"),
    "medical": (".dcm", ".dicom", ".nii", ".nii.gz", ".mha", ".nrrd"),
    "pcd": (".pcd", ".ply", ".las", ".laz", ".bin"),
}


def takes(spec: SpecPlan) -> tuple[str, ...]:
    """The extensions that a spec could take: its own, else those of its file type."""
    return spec.extensions or FILE_TYPES.get(spec.file_type.lower(), ())


class Extensions:
    """Finds the known extension of a file name: the longest one, so that `.nii.gz` goes before `.gz`."""

    def __init__(self, known: Iterable[str]) -> None:
        self.known = frozenset(known)
        self._compound = sorted((each for each in self.known if each.count(".") > 1), key=len, reverse=True)

    def of(self, name: str) -> str:
        """The known extension, else the last suffix, '' without one."""
        lower = name.lower()
        for extension in self._compound:
            if lower.endswith(extension) and len(lower) > len(extension):
                return extension
        stem, dot, suffix = lower.rpartition(".")
        return f".{suffix}" if dot and suffix and stem.strip(".") else ""


@dataclass
class Depth:
    """What the folders at one depth hold."""

    depth: int
    folders: int = 0
    above: int = 0
    signatures: Counter[Signature] = field(default_factory=Counter)

    def fitting(self, specs: tuple[SpecPlan, ...]) -> int:
        """How many folders hold a whole data unit and nothing too much."""
        return sum(count for signature, count in self.signatures.items() if assignments(signature, specs))

    def covering(self, specs: tuple[SpecPlan, ...]) -> int:
        """How many folders hold at least one file for every required spec."""
        needed = [set(takes(spec)) for spec in specs if spec.is_required]
        return sum(
            count
            for signature, count in self.signatures.items()
            if signature and all(wanted & {extension for extension, _ in signature} for wanted in needed)
        )

    def common(self, specs: tuple[SpecPlan, ...]) -> list[Signature]:
        """The signatures that hold whole units, rare ones left aside: an oddity is a finding, not a layout."""
        fitting = [(signature, n) for signature, n in self.signatures.items() if assignments(signature, specs)]
        enough = max(1.0, RARE * sum(n for _, n in fitting))
        return sorted(signature for signature, n in fitting if n >= enough)


@dataclass
class Layout:
    """One pass over the files."""

    files: int = 0
    known: int = 0
    extensions: Counter[str] = field(default_factory=Counter)
    depths: list[Depth] = field(default_factory=list)

    def best(self, specs: tuple[SpecPlan, ...]) -> Depth:
        """The shallowest depth where at least every second folder holds a data unit, else the one with the most.

        Shallow comes first because folders by type inside a unit (`img/`, `mask/`) look like units of their own.
        """
        for depth in self.depths:
            if depth.folders and 2 * depth.fitting(specs) >= depth.folders:
                return depth
        return max(self.depths, key=lambda depth: (depth.fitting(specs), depth.covering(specs), -depth.depth))


def measure(files: Iterable[File], specs: Sequence[SpecPlan]) -> Layout:
    """Count extensions, and signatures at every depth. Files must come ordered by source and path."""
    extensions = Extensions(extension for spec in specs for extension in takes(spec))
    layout = Layout(depths=[Depth(depth) for depth in range(1, MAX_DEPTH + 1)])
    # Plain dicts: a Counter for each folder would take most of the time.
    open_: list[dict[str, int] | None] = [None] * MAX_DEPTH
    source = -1
    before: tuple[str, ...] = ()
    for file in files:
        layout.files += 1
        *folders, name = file.key.split("/")
        extension = extensions.of(name)
        if len(layout.extensions) < MAX_WORDS or extension in layout.extensions:
            layout.extensions[extension] += 1
        counts = extension in extensions.known
        layout.known += counts
        here = tuple(folders[:MAX_DEPTH])
        if here != before or file.source != source:
            same = _shared(here, before) if file.source == source else 0
            for index in range(same, MAX_DEPTH):
                _close(layout.depths[index], open_[index])
                open_[index] = {} if index < len(here) else None
            source, before = file.source, here
        if counts:
            for index, depth in enumerate(layout.depths):
                held = open_[index]
                if held is None:
                    depth.above += 1
                else:
                    held[extension] = held.get(extension, 0) + 1
    for depth, held in zip(layout.depths, open_, strict=True):
        _close(depth, held)
    return layout


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many folders two paths have in common."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _close(depth: Depth, held: dict[str, int] | None) -> None:
    if held is None:
        return
    depth.folders += 1
    signature = tuple(sorted([(extension, min(count, MAX_COUNT)) for extension, count in held.items()]))
    if len(depth.signatures) < MAX_SIGNATURES or signature in depth.signatures:
        depth.signatures[signature] += 1


@lru_cache(maxsize=20_000)
def assignments(signature: Signature, specs: tuple[SpecPlan, ...]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """The best ways to give a folder's files to specs, as (spec, extension) pairs; none if a required spec or a file
    is left over.

    Best prefers required specs (all must be filled), then the primary one. More than one way means that the
    extensions alone can't tell.
    """
    held = dict(signature)
    choices = [[extension for extension in takes(spec) if extension in held] for spec in specs]
    if not held or any(spec.is_required and not choice for spec, choice in zip(specs, choices, strict=True)):
        return ()
    total = 1
    for spec, choice in zip(specs, choices, strict=True):
        total *= len(choice) + (not spec.is_required)
    if total > MAX_CHOICES:
        return ()
    best: list[tuple[tuple[str, str], ...]] = []
    best_score = -1
    ways = [choice if spec.is_required else [*choice, ""] for spec, choice in zip(specs, choices, strict=True)]
    for way in product(*ways):
        used = Counter(extension for extension in way if extension)
        if used != Counter(held):
            continue
        score = sum(bool(extension) and spec.is_primary for spec, extension in zip(specs, way, strict=True))
        pairs = tuple((spec.name, extension) for spec, extension in zip(specs, way, strict=True) if extension)
        if score > best_score:
            best, best_score = [pairs], score
        elif score == best_score:
            best.append(pairs)
    return tuple(best)


@dataclass(frozen=True)
class Decided:
    """What the signatures say about extensions.

    Attributes:
        takes: spec to the extensions that it alone fills.
        contested: extension to the specs that both have files of it: only a pattern can tell them apart.
    """

    takes: dict[str, tuple[str, ...]]
    contested: dict[str, tuple[str, ...]]


def decide(depth: Depth, specs: tuple[SpecPlan, ...]) -> Decided:
    """Which spec each extension fills, from the common signatures."""
    filled: dict[str, set[str]] = {}
    for signature in depth.common(specs):
        for way in assignments(signature, specs):
            for spec, extension in way:
                filled.setdefault(extension, set()).add(spec)
    order = [spec.name for spec in specs]
    own: dict[str, list[str]] = {name: [] for name in order}
    contested: dict[str, tuple[str, ...]] = {}
    for extension in sorted({extension for spec in specs for extension in takes(spec)}):
        candidates = filled.get(extension) or _heir(extension, specs)
        if len(candidates) > 1:
            contested[extension] = tuple(sorted(candidates, key=order.index))
        else:
            own[next(iter(candidates))].append(extension)
    # An extension that is nowhere goes with the spec that has the others, in the collection's own order.
    return Decided(
        {spec.name: tuple(e for e in takes(spec) if e in own[spec.name]) for spec in specs},
        contested,
    )


def _heir(extension: str, specs: Sequence[SpecPlan]) -> set[str]:
    candidates = [spec for spec in specs if extension in takes(spec)]
    first = max(candidates, key=lambda spec: (spec.is_primary, spec.is_required, -candidates.index(spec)))
    return {first.name}


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


def clues(files: Iterable[File], extension: str, known: Sequence[str], depth: int) -> list[Clue]:
    """Folders inside the units, whole names and endings of names that recur among the files of one extension.

    Only what finds some but not all of them is a clue. Most units first.
    """
    extensions = Extensions([*known, extension])
    found: dict[tuple[str, str], list[int]] = {}
    total = number = 0
    unit: tuple[int, list[str]] | None = None
    for file in files:
        *folders, name = file.key.split("/")
        if len(folders) < depth or extensions.of(name) != extension:
            continue
        total += 1
        if unit != (file.source, folders[:depth]):
            unit = (file.source, folders[:depth])
            number += 1
        mark = crc32(f"{file.source}/{file.path}".encode())
        for clue in _words(name, folders[-1] if len(folders) > depth else "", extension):
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


def _words(name: str, folder: str, extension: str) -> list[tuple[str, str]]:
    """Patterns that this file would support, with their labels. They hold for the end of a path (`units.patterns`)."""
    words = [(glob_escape(name), f"name {name}")]
    if folder:
        words.append((f"{glob_escape(folder)}/*{extension}", f"folder {folder}/"))
    stem = name[: len(name) - len(extension)]
    for mark in ("_", "-", "."):
        head, found, tail = stem.rpartition(mark)
        if found and head and tail and not tail.isdigit():
            words.append((f"*{mark}{glob_escape(tail)}{extension}", f"ending {mark}{tail}{extension}"))
            break
    return words


def glob_escape(text: str) -> str:
    """A name as part of a glob that matches only itself."""
    if not any(char in text for char in "*?["):
        return text
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)


def sentence(signature: Signature) -> str:
    """`one .png and one .json` for a signature; images first, as people say it."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine or more")
    parts = [f"{words[count]} {extension}" for extension, count in sorted(signature, key=_people_first)]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _people_first(item: tuple[str, int]) -> tuple[int, str]:
    data = {*FILE_TYPES["document"], *FILE_TYPES["text"]}
    return (item[0] in data, item[0])
