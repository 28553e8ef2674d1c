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
_SHARE = 0.2
_MARKS = "_-"


@dataclass
class _Sample:
    """Sets of words by key, of those keys whose hash is small enough."""

    limit: int = _ALL
    found: dict[str, set[str]] = field(default_factory=dict)

    def add(self, key: str, word: str) -> None:
        mark = crc32(key.encode())
        if mark >= self.limit:
            return
        known = self.found.setdefault(key, set())
        if len(known) < MAX_TAILS:
            known.add(word)
        while len(self.found) > MAX_SAMPLE:
            self.limit //= 2
            self.found = {key: known for key, known in self.found.items() if crc32(key.encode()) < self.limit}


@dataclass
class _Position:
    """The folders at one level: from above (0, 1, …) or from below (-1)."""

    names: dict[str, str] = field(default_factory=dict)
    sample: _Sample = field(default_factory=_Sample)
    is_open: bool = True

    def add(self, name: str, key: str) -> None:
        folded = name.casefold()
        if folded not in self.names:
            if len(self.names) >= MAX_NAMES:
                # So many names are data units or parts of the data, not kinds of files.
                self.is_open = False
                self.names, self.sample = {}, _Sample()
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
    """Add every file, then ask."""

    depth: int = 0
    _levels: dict[int, _Position] = field(default_factory=lambda: {p: _Position() for p in (*range(MAX_DEPTH), -1)})
    _heads: _Sample = field(default_factory=_Sample)

    def add(self, folders: list[str], stem: str) -> None:
        """Take in one file: its folders and the stem of its name."""
        self.depth = max(self.depth, len(folders))
        core = stem
        self._heads.add(stem, "")
        for head, tail in tails(stem):
            self._heads.add(head, tail.casefold())
            core = head
        for position, level in self._levels.items():
            if level.is_open and len(folders) > position:
                rest = [*folders[:position], *folders[position + 1 :]] if position >= 0 else folders[:-1]
                if folders:
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


def tails(stem: str) -> Iterator[tuple[str, str]]:
    """(beginning, end) of a stem: without its last word, and without its last two; words of digits are no ends."""
    end = len(stem)
    for _ in range(2):
        cut = max(stem.rfind(mark, 0, end) for mark in _MARKS)
        if cut < 1 or cut + 1 >= end or stem[cut + 1 : end].isdigit() or not stem[:cut].strip(_MARKS):
            return
        yield stem[:cut], stem[cut:]
        end = cut
