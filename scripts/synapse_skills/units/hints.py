"""What one pass over the paths suggests: folders that say the kind of a file, and ends of names that do.

A suggestion is only that: `hypotheses` counts what comes of it. Memory is bounded: stems are sampled by their hash, so
that all files of one stem are in the sample or none is, and the sample is the same every time.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from zlib import crc32

from synapse_skills.units.kinds import is_kind, is_split, numbered

MAX_DEPTH = 4
MAX_NAMES = 24
MAX_SAMPLE = 4_000
MAX_TAILS = 16
MAX_ENDINGS = 12
_ALL = 1 << 32
SALTS = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
"""Of what gates all others (cores, top-level folders), of what is sampled of these, and of data units."""
_SHARE = 0.2
_MARKS = "_-"


def mark(text: str, salt: int) -> int:
    """A number below 2**32, the same in every run.

    Samples that are taken of one another need different salts: the checksum of `train/001` follows from that of `001`
    by a fixed exclusive or, so a sample of a sample would hold all or nothing.
    """
    return crc32(text.encode()) * salt & (_ALL - 1)


@dataclass
class _Sample:
    """Sets of words by key, of those keys whose mark is small enough."""

    salt: int
    limit: int = _ALL
    found: dict[str, set[str]] = field(default_factory=dict)

    def add(self, key: str, word: str) -> None:
        if not self.keeps(key):
            return
        known = self.found.setdefault(key, set())
        if len(known) < MAX_TAILS:
            known.add(word)
        while len(self.found) > MAX_SAMPLE:
            self.limit //= 2
            self.found = {key: known for key, known in self.found.items() if self.keeps(key)}

    def keeps(self, key: str) -> bool:
        """Whether a key is in the sample."""
        return self.limit == _ALL or mark(key, self.salt) < self.limit

    @property
    def share(self) -> float:
        """The share of all keys that it holds."""
        return self.limit / _ALL


@dataclass
class _Position:
    """The folders at one level: from above (0, 1, …) or from below (-1)."""

    names: dict[str, str] = field(default_factory=dict)
    sample: _Sample = field(default_factory=lambda: _Sample(SALTS[1]))
    is_open: bool = True

    def add(self, name: str, key: str) -> None:
        folded = name.casefold()
        if folded not in self.names:
            if len(self.names) >= MAX_NAMES:
                # So many names are data units or parts of the data, not kinds of files.
                self.is_open = False
                self.names, self.sample = {}, _Sample(SALTS[1])
                return
            self.names[folded] = name
        self.sample.add(key, folded)

    def kinds(self) -> tuple[str, ...]:
        """The names whose files come in pairs, as they are written."""
        single: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        for found in self.sample.found.values():
            single.update(found)
            pairs.update(itertools.combinations(sorted(found), 2))
        kept: set[str] = set()
        for (one, other), count in pairs.items():
            if count >= _SHARE * min(single[one], single[other]):
                kept |= {one, other}
        kept -= numbered(self.names)
        names = [self.names[name] for name in self.names if name in kept and not is_split(name)]
        return tuple(sorted(names)) if len(names) > 1 else ()


@dataclass
class Hints:
    """Add every file, then ask.

    Attributes:
        depth: the most folders above a file.
        cores: a sample of the cores of names (see `core_of`).
        tops: a sample of the top-level folders.
    """

    depth: int = 0
    _levels: dict[int, _Position] = field(default_factory=lambda: {p: _Position() for p in (*range(MAX_DEPTH), -1)})
    _heads: _Sample = field(default_factory=lambda: _Sample(SALTS[1]))
    cores: _Sample = field(default_factory=lambda: _Sample(SALTS[0]))
    tops: _Sample = field(default_factory=lambda: _Sample(SALTS[0]))

    def add(self, folders: list[str], stem: str) -> None:
        """Take in one file: its folders and the stem of its name."""
        depth = len(folders)
        if depth:
            self.depth = max(self.depth, depth)
            self.tops.add(folders[0], "")
        core = core_of(stem)
        # All that a sample could hold of a stem has this core in common.
        if not self.cores.keeps(core):
            return
        self.cores.add(core, "")
        self._heads.add(stem, "")
        for head, tail in tails(stem):
            self._heads.add(head, tail.casefold())
        for position, level in self._levels.items():
            if level.is_open and depth > max(position, 0):
                rest = [*folders[:position], *folders[position + 1 :]] if position >= 0 else folders[:-1]
                level.add(folders[position], "/".join((*rest, core)))

    def ignores(self) -> list[tuple[str, ...]]:
        """Sets of folder names that could say the kind: of each level, those with a word for a kind, and of all."""
        found: list[tuple[str, ...]] = []
        for level in self._levels.values():
            kinds = level.kinds()
            known = tuple(name for name in kinds if is_kind(name))
            found += [kinds, known if len(known) > 1 else ()]
        every = tuple(sorted({name for names in found for name in names}))
        return [names for names in dict.fromkeys([*found, every]) if names]

    def endings(self) -> tuple[str, ...]:
        """Ends of names that come again and again beside the same beginning."""
        support: Counter[str] = Counter()
        heads = 0
        for found in self._heads.found.values():
            if len(found) > 1:
                heads += 1
                support.update(found - {""})
        enough = max(2.0, _SHARE * heads)
        kept = [(-n, tail) for tail, n in support.items() if n >= enough or (is_kind(tail) and n >= enough / 4)]
        return tuple(sorted(tail for _, tail in sorted(kept)[:MAX_ENDINGS]))


def core_of(stem: str) -> str:
    """A stem without any of the words at its end: all that endings could leave of it."""
    end = len(stem)
    while (cut := _cut(stem, end)) > 0:
        end = cut
    return stem[:end]


def tails(stem: str) -> Iterator[tuple[str, str]]:
    """(beginning, end) of a stem: without its last word, and without its last two; words of digits are no ends."""
    end = len(stem)
    for _ in range(2):
        end = _cut(stem, end)
        if end < 1:
            return
        yield stem[:end], stem[end:]


def _cut(stem: str, end: int) -> int:
    """Where the last word before `end` begins, with its mark; 0 if there is none that could be an ending."""
    cut = max(stem.rfind("_", 0, end), stem.rfind("-", 0, end))
    if cut < 1 or cut + 1 >= end or stem[cut + 1 : end].isdigit() or not stem[:cut].strip(_MARKS):
        return 0
    return cut
