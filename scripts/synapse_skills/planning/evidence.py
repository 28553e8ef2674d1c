"""What the files themselves say about layout and specs, counted in one pass with flat memory.

A *signature* is what one folder holds of the extensions that the collection takes, such as one .png and one .json.
From the common signatures follow the depth of the folders that are data units, which spec each extension fills, and
where only a pattern can tell two specs apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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


def extension_of(name: str, suffix: str, known: Iterable[str]) -> str:
    """The longest known extension that a file name ends with (`.nii.gz` before `.gz`), else its suffix."""
    lower = name.lower()
    fitting = [extension for extension in known if lower.endswith(extension) and len(lower) > len(extension)]
    return max(fitting, key=len) if fitting else suffix


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
    known = sorted({extension for spec in specs for extension in takes(spec)})
    layout = Layout(depths=[Depth(depth) for depth in range(1, MAX_DEPTH + 1)])
    open_: list[tuple[tuple[int, tuple[str, ...]] | None, Counter[str]]] = [(None, Counter())] * MAX_DEPTH
    for file in files:
        layout.files += 1
        extension = extension_of(file.name, file.suffix, known)
        if len(layout.extensions) < MAX_WORDS or extension in layout.extensions:
            layout.extensions[extension] += 1
        counts = extension in known
        layout.known += counts
        folders = file.folders
        for index, depth in enumerate(layout.depths):
            if len(folders) < depth.depth:
                depth.above += counts
                continue
            place = (file.source, folders[: depth.depth])
            if open_[index][0] != place:
                _close(depth, open_[index])
                open_[index] = (place, Counter())
            if counts:
                open_[index][1][extension] += 1
    for index, depth in enumerate(layout.depths):
        _close(depth, open_[index])
    return layout


def _close(depth: Depth, folder: tuple[object, Counter[str]]) -> None:
    place, held = folder
    if place is None:
        return
    depth.folders += 1
    signature = tuple(sorted((extension, min(count, MAX_COUNT)) for extension, count in held.items()))
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
    found: dict[tuple[str, str], list[int]] = {}
    last: dict[tuple[str, str], object] = {}
    total = 0
    for file in files:
        if len(file.folders) < depth or extension_of(file.name, file.suffix, known) != extension:
            continue
        total += 1
        unit = (file.source, file.folders[:depth])
        mark = crc32(f"{file.source}/{file.path}".encode())
        words = list(_words(file, extension))
        if len(file.folders) > depth:
            folder = file.folders[-1]
            words.append((f"{glob_escape(folder)}/*{extension}", f"folder {folder}/"))
        for clue in words:
            if clue not in found:
                if len(found) >= MAX_WORDS:
                    continue
                found[clue] = [0, 0, 0]
            found[clue][0] += 1
            found[clue][2] += mark
            if last.get(clue) != unit:
                found[clue][1] += 1
                last[clue] = unit
    result = [Clue(pattern, label, *counts) for (pattern, label), counts in found.items() if counts[0] < total]
    top = max((clue.units for clue in result), default=0)
    enough = max(1 if top < 3 else 2, top // 20)
    result = [clue for clue in result if clue.units >= enough]
    # A folder says it plainer than a name, a whole name plainer than an ending.
    kinds = ("folder", "name", "ending")
    return sorted(result, key=lambda c: (-c.units, not c.once, kinds.index(c.label.split()[0]), c.pattern))


def _words(file: File, extension: str) -> Iterator[tuple[str, str]]:
    """Patterns that this file would support, with their labels. They hold for the end of a path (`units.patterns`)."""
    stem = file.name[: len(file.name) - len(extension)]
    yield glob_escape(file.name), f"name {file.name}"
    for mark in ("_", "-", "."):
        head, found, tail = stem.rpartition(mark)
        if found and head and tail and not tail.isdigit():
            yield f"*{mark}{glob_escape(tail)}{extension}", f"ending {mark}{tail}{extension}"
            break


def glob_escape(text: str) -> str:
    """A name as part of a glob that matches only itself."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)


def sentence(signature: Signature) -> str:
    """`one .png and one .json` for a signature; images first, as people say it."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine or more")
    parts = [f"{words[count]} {extension}" for extension, count in sorted(signature, key=_people_first)]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _people_first(item: tuple[str, int]) -> tuple[int, str]:
    data = {*FILE_TYPES["document"], *FILE_TYPES["text"]}
    return (item[0] in data, item[0])
