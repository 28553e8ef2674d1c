"""What the files themselves say about metadata: tables and sidecars by their names, and parts of the units' names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from synapse_skills.errors import FindingError, printable
from synapse_skills.planning.metadata_far import fetch_from, fetch_table, is_far
from synapse_skills.planning.on_agent import in_mirror, is_there

if TYPE_CHECKING:
    from synapse_skills.metadata import Field
    from synapse_skills.sources import File, Source

WORDS = ("meta", "metadata", "info", "attributes")
SUFFIXES = (".json", ".yaml", ".yml")
MAX_SHAPES = 200
MIN_SHARE = 0.9
_DATE = re.compile(r"(?:19|20)\d\d-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])")
_PARTS = re.compile(r"[^_\-./ ]+")


# ---- tables


def found_tables(sources: Sequence[Source]) -> list[Path]:
    """Files with a standard name in the sources' own top folders, in the order in which the names are looked for."""
    from synapse_skills.metadata import STANDARD_NAMES

    order = {name: number for number, name in enumerate(STANDARD_NAMES)}
    found: list[tuple[int, int, str, Path]] = []
    for number, source in enumerate(sources):
        if source.is_remote:
            continue  # a table has to be here to be read
        root = source.root()
        with os.scandir(root) as entries:
            for entry in entries:
                rank = order.get(entry.name.casefold())
                if rank is not None and entry.is_file() and Path(os.path.realpath(entry.path)).is_relative_to(root):
                    found.append((number, rank, entry.name, root / entry.name))
    return [path for *_, path in sorted(found)]


def resolve_table(text: str, sources: Sequence[Source]) -> tuple[Path, bool]:
    """Where a table is that somebody has named, and whether it was found in a source by a relative path.

    Absolute paths are taken as they are; others are looked for in the sources, then in the working folder. One at a
    URL is fetched.

    Raises:
        FindingError: `no-table`: there is no such file; others of `fetch_table`. OutOfReach: its place is out of reach.
    """
    if is_far(text):
        return fetch_table(text), False
    path = Path(text).expanduser()
    if path.is_absolute():
        if path.is_file():
            return _plain(path), False
        if brought := in_mirror(text, sources):
            return brought, False
        where = ", neither here nor on the cluster" if is_there(sources) else ""
        raise FindingError(f"There is no file {printable(text)}{where}.", hint="Check the path.", code="no-table")
    for source in sources:
        if not source.is_remote and (source.root() / path).is_file():
            return _plain(source.root() / path), True
    if (Path.cwd() / path).is_file():
        return _plain(Path.cwd() / path), False
    if fetched := fetch_from(sources, text):
        return fetched, True
    raise FindingError(
        f"There is no file {printable(text)} in the source or in the working folder.",
        hint="Check the path, or give the absolute one, or a URL such as s3://bucket/table.xlsx.",
        code="no-table",
    )


def _plain(path: Path) -> Path:
    """A path as the sources' are: without links on the way, so that what lies in a source is known to."""
    return Path(os.path.realpath(path.parent)) / path.name


# ---- sidecars


@dataclass(frozen=True)
class Shape:
    """Files that are called alike and may hold metadata."""

    pattern: str
    suffix: str
    files: int
    example: str


def _shape_of(file: File) -> tuple[str, str] | None:
    """The glob of a file whose name says metadata, and its suffix."""
    *folders, name = file.key.split("/")
    suffix = next((each for each in SUFFIXES if name.casefold().endswith(each)), None)
    if suffix is None:
        return None
    stem = name[: -len(suffix)].casefold()
    if stem in WORDS:
        # In the source's own folder it speaks of all data units: that is a table.
        return (f"{stem}{suffix}", suffix) if folders else None
    for word in WORDS:
        for mark in "._-":
            if stem.endswith(mark + word):
                return f"*{mark}{word}{suffix}", suffix
    if folders and folders[-1].casefold() in WORDS:
        return f"{folders[-1].casefold()}/*{suffix}", suffix
    return None


def named_sidecars(files: Iterable[File], taken: frozenset[str], *, wanted: bool) -> list[Shape]:
    """Files beside the data whose names say metadata.

    Args:
        files: all of the sources.
        taken: extensions that a specification takes. Files with one are sidecars only if the collection wants
            metadata, and there are at least as many others for the specification.
        wanted: the collection has a metadata schema.
    """
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    others: Counter[str] = Counter()
    for file in files:
        shape = _shape_of(file)
        if shape is None:
            others[file.suffix] += 1
        else:
            counts[shape] += 1
            examples.setdefault(shape, printable(file.path))
    found = []
    for (pattern, suffix), count in sorted(counts.items()):
        if suffix in taken and not (wanted and others[suffix] >= count):
            continue
        found.append(Shape(pattern, suffix, count, examples[pattern, suffix]))
    return found


def other_shapes(files: Iterable[File], taken: frozenset[str]) -> list[tuple[str, list[File], int]]:
    """Names of JSON and YAML files that no specification takes: glob, some of the files, how many."""
    from synapse_skills.units import glob_escape

    held: dict[str, tuple[list[File], int]] = {}
    for file in files:
        *folders, name = file.key.split("/")
        if file.suffix not in SUFFIXES or file.suffix in taken or _shape_of(file) is not None:
            continue
        # The same name in many folders, or one beside each file: `scan.yaml`, or all that end alike.
        for pattern in [glob_escape(name)] * bool(folders) + [f"*{file.suffix}"]:
            if pattern in held or len(held) < MAX_SHAPES:
                some, count = held.get(pattern, ([], 0))
                held[pattern] = ([*some, file] if len(some) < 5 else some, count + 1)
    whole = [(pattern, some, count) for pattern, (some, count) in held.items() if count > 1]
    return sorted(whole, key=lambda each: (-each[2], each[0].startswith("*"), each[0]))


def keys_in(files: Iterable[tuple[BinaryIO, str]]) -> list[str]:
    """The names of the fields that some sidecars, open and with their paths, hold, in the order they are met.

    One that can't be read says nothing here: it is told when all data units are counted.
    """
    from synapse_skills.metadata.sidecars import BadSidecar, read_sidecar

    names: dict[str, None] = {}
    for stream, path in files:
        with stream, suppress(BadSidecar):
            names |= dict.fromkeys(read_sidecar(stream, path))
    return list(names)


# ---- parts of names


@dataclass(frozen=True)
class Part:
    """A part of the data units' names that differs between them."""

    number: int
    values: tuple[str, ...]
    kinds: frozenset[str]

    def suits(self, field: Field) -> int:
        """How well it could be a field: 0 is not at all."""
        if field.enum:
            allowed = {str(value).casefold() for value in field.enum}
            return 3 if all(value.casefold() in allowed for value in self.values) else 0
        if field.format in ("date", "date-time"):
            return 3 if self.kinds == {"date"} else 0
        if "integer" in field.types or "number" in field.types:
            return 2 if self.kinds <= {"digits"} else 0
        if not field.types or "string" in field.types:
            return 1 if self.kinds & {"letters", "mixed", "digits"} else 0
        return 0


@dataclass(frozen=True)
class Skeleton:
    """What the data units' names have in common: a regular expression, a group for each part."""

    pieces: tuple[str, ...]
    parts: tuple[Part, ...]

    def regex(self, groups: dict[int, str]) -> str:
        """The expression, with these parts as named groups."""
        text = ""
        for number, piece in enumerate(self.pieces):
            if number % 2 == 0:
                text += re.escape(piece)
            else:
                part = number // 2 + 1
                text += f"(?P<{groups[part]}>{piece})" if part in groups else piece
        return f"^{text}$"


def skeleton(keys: Sequence[str]) -> Skeleton | None:
    """The form that nine in ten names have, if it has more than one part."""
    shapes: Counter[tuple[str, ...]] = Counter()
    for key in keys:
        shapes[tuple(_PARTS.split(key))] += 1
    if not shapes:
        return None
    marks, count = shapes.most_common(1)[0]
    if count < MIN_SHARE * len(keys) or len(marks) < 3:
        return None
    rows = [_PARTS.findall(key) for key in keys if tuple(_PARTS.split(key)) == marks]
    parts, pieces = [], [marks[0]]
    for number, column in enumerate(zip(*rows, strict=True), 1):
        values = tuple(dict.fromkeys(column))
        kinds = frozenset(map(kind_of, values))
        parts.append(Part(number, values, kinds))
        pieces += [r"\d+" if kinds <= {"digits", "date"} else r"[^_\-./ ]+", marks[number]]
    varied = tuple(part for part in parts if len(part.values) > 1)
    return Skeleton(tuple(pieces), varied) if varied else None


def kind_of(value: str) -> str:
    """What a part of a name is: a date, digits, letters or mixed."""
    if _DATE.fullmatch(value):
        return "date"
    return "digits" if value.isdecimal() else "letters" if value.isalpha() else "mixed"


def proposals(found: Skeleton, fields: Sequence[Field]) -> Iterator[dict[int, str]]:
    """Ways to give these fields parts of the name, the likeliest first: part number → field."""
    ranked = {
        field.name: sorted(
            (part for part in found.parts if part.suits(field)),
            key=lambda part: (-part.suits(field), len(part.values), part.number),
        )
        for field in fields
        if field.name.isidentifier()
    }
    seen: list[dict[int, str]] = []
    for shift in range(3):
        way: dict[int, str] = {}
        for name, parts in ranked.items():
            free = [part for part in parts if part.number not in way]
            if len(free) > shift or (free and len(ranked) > 1):
                way[free[min(shift, len(free) - 1)].number] = name
        if way and way not in seen:
            seen.append(way)
            yield way
