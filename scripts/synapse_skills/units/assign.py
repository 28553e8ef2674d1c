"""Which specification each kind of file fills, in the data units that a layout makes.

A *slot* is what can tell files apart: their extension, and perhaps the folder that they lie in, the end or the whole of
their name, or their source. Slots are given to specifications so that as many files as possible lie in complete data
units; where two ways are equally good, names that sound alike decide, and if they don't, the extension is contested:
the user must say.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

from synapse_skills.plan import SpecPlan
from synapse_skills.units.kinds import alike
from synapse_skills.units.names import could_take

MAX_SLOTS = 40
MAX_SEARCHED = 6
MAX_WAYS = 4_000
MAX_COUNT = 9
MAX_SIGNATURES = 100
_CLEAR = 0.02
_CLEARLY_ALIKE = 0.5

Slot = tuple[str, str]
"""(extension, marker); the marker is '' where the extension tells all."""
Signature = tuple[tuple[Slot, int], ...]
"""What a data unit holds: how many files of each slot."""
Way = dict[Slot, "str | None"]
"""Slot to specification; None for files that stay at home."""


@dataclass(frozen=True)
class Assigned:
    """The best way, and how clear it is.

    Attributes:
        way: slot to specification.
        explained: files that lie in complete data units.
        open: extensions about which another way that is as good says something else, with the specifications of both.
        idle: slots that make no difference: they only occur in data units that lack something anyway.
    """

    way: Way
    explained: int
    open: dict[str, tuple[str, ...]] = field(default_factory=dict)
    idle: frozenset[Slot] = frozenset()


def assign(
    signatures: Counter[Signature], specs: tuple[SpecPlan, ...], fixed: Callable[[Slot], str | None] | None = None
) -> Assigned | None:
    """Find the best way; None if there are too many slots to tell anything.

    Args:
        signatures: how many data units hold what.
        specs: the collection's specifications.
        fixed: slots whose specification has been said already.
    """
    found: Counter[Slot] = Counter()
    for signature, units in signatures.items():
        for slot, _ in signature:
            found[slot] += units
    if len(found) > MAX_SLOTS:
        return None
    ordered = [slot for slot, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))]
    choices: dict[Slot, list[str | None]] = {}
    may_stay = any(marker for _, marker in ordered)
    for slot in ordered:
        said = fixed(slot) if fixed is not None else None
        choices[slot] = [said] if said is not None else _choices(slot, specs, may_stay)
    # Rare slots, and those beyond what can be searched, go where their names point.
    open_ = [slot for slot in ordered if len(choices[slot]) > 1]
    for slot in open_[MAX_SEARCHED:]:
        choices[slot] = choices[slot][:1]
    open_ = open_[:MAX_SEARCHED]
    while _size(choices, open_) > MAX_WAYS:
        longest = max(open_, key=lambda slot: (len(choices[slot]), found[slot]))
        choices[longest] = choices[longest][:-1]
    return _best(signatures, specs, ordered, choices)


def _size(choices: dict[Slot, list[str | None]], open_: list[Slot]) -> int:
    size = 1
    for slot in open_:
        size *= len(choices[slot])
    return size


def _choices(slot: Slot, specs: tuple[SpecPlan, ...], may_stay: bool) -> list[str | None]:
    """The specifications that could take a slot, the likeliest first; to stay at home only where a marker tells."""
    extension, marker = slot
    able = [spec for spec in specs if extension in could_take(spec)]
    able.sort(key=lambda spec: (-alike(spec, marker), not spec.is_primary, not spec.is_required))
    names: list[str | None] = [spec.name for spec in able]
    return [*names, None] if may_stay else names


def _best(
    signatures: Counter[Signature],
    specs: tuple[SpecPlan, ...],
    slots: list[Slot],
    choices: dict[Slot, list[str | None]],
) -> Assigned:
    by_name = {spec.name: spec for spec in specs}
    required = {spec.name for spec in specs if spec.is_required}
    common = signatures.most_common(MAX_SIGNATURES)

    def explained_by(way: Way) -> int:
        return sum(units * _explained(signature, way, required) for signature, units in common)

    scored: list[tuple[float, float, tuple[str | None, ...]]] = []
    for values in product(*(choices[slot] for slot in slots)):
        way: Way = dict(zip(slots, values, strict=True))
        sound = sum(alike(by_name[spec], slot[1]) for slot, spec in way.items() if spec is not None)
        scored.append((explained_by(way), sound, values))
    explained, sound, values = max(scored, key=lambda each: each[:2])
    best: Way = dict(zip(slots, values, strict=True))
    idle = frozenset(
        slot
        for slot in slots
        if all(explained_by({**best, slot: choice}) == explained for choice in {None, *choices[slot]})
    )
    enough = explained * (1 - _CLEAR)
    rivals: dict[str, set[str | None]] = {}
    for other, likeness, others in scored:
        if other < enough or likeness <= sound - _CLEARLY_ALIKE:
            continue
        for slot, mine, theirs in zip(slots, values, others, strict=True):
            if mine != theirs and slot not in idle:
                rivals.setdefault(slot[0], set()).update((mine, theirs))
    order = [spec.name for spec in specs]
    open_ = {extension: tuple(name for name in order if name in names) for extension, names in rivals.items()}
    return Assigned(best, int(explained), open_, idle)


def _explained(signature: Signature, way: Way, required: set[str]) -> int:
    """How many files of a data unit are in their place, 0 if it is not complete."""
    filled: set[str] = set()
    for slot, count in signature:
        spec = way[slot]
        if spec is None:
            continue
        if count > 1 or spec in filled:
            return 0
        filled.add(spec)
    return len(filled) if required <= filled else 0


@functools.lru_cache(maxsize=20_000)
def fits(held: tuple[tuple[str, int], ...], specs: tuple[SpecPlan, ...]) -> bool:
    """Whether files of these extensions could be given to the specifications in some way: all files placed, all
    required ones filled, none twice."""
    if sum(count for _, count in held) > len(specs):
        return False
    needs = [extension for extension, count in held for _ in range(count)]

    def place(number: int, left: frozenset[int]) -> bool:
        if number == len(needs):
            return not any(specs[index].is_required for index in left)
        return any(
            place(number + 1, left - {index}) for index in sorted(left) if needs[number] in could_take(specs[index])
        )

    return bool(needs) and place(0, frozenset(range(len(specs))))


def sentence(held: Sequence[tuple[str, int]]) -> str:
    """`one .png and one .json`; pictures first, as people say it."""
    numbers = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine or more")
    data = (".json", ".txt", ".csv", ".xml", ".pdf", ".yaml", ".yml", ".md")
    parts = [
        f"{numbers[min(count, MAX_COUNT)]} {extension or 'without extension'}"
        for extension, count in sorted(held, key=lambda item: (item[0] in data, item[0]))
    ]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
