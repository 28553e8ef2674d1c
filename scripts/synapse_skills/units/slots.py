"""What tells the files of a layout apart, as `takes` and `pattern` of the specifications or `spec` of the sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from synapse_skills.plan import GroupingPlan, SourcePlan, SpecPlan
from synapse_skills.sources import File
from synapse_skills.units.assign import MAX_COUNT, MAX_SLOTS, Assigned, Slot, Way, assign
from synapse_skills.units.hints import tails
from synapse_skills.units.kinds import is_kind
from synapse_skills.units.layout import MappingTables, grouping_for, mapping_of, mapping_tables
from synapse_skills.units.names import compound_extensions, could_take, extension_of, stem_of
from synapse_skills.units.patterns import glob_escape

KINDS = ("", "source", "folder", "ending", "name")
"""What a marker is, the plainest first: nothing, the source, a folder inside, the end of the name, the whole name."""
_SLACK = 0.01
# No folder and no name can begin like this.
_SAID = "/="

Units = Collection[Sequence[File]]


@dataclass(frozen=True)
class Decided:
    """Specifications and sources as a layout needs them, and the extensions that nothing tells apart."""

    specs: tuple[SpecPlan, ...]
    sources: tuple[SourcePlan, ...]
    contested: dict[str, tuple[str, ...]] = field(default_factory=dict)


def decide(
    units: Units, grouping: GroupingPlan, specs: tuple[SpecPlan, ...], sources: tuple[SourcePlan, ...]
) -> Decided:
    """Find out which specification each file fills, and write it as a plan does.

    The plainest marker that does as well as any other is taken. What was said already (a source's `spec`, a
    specification's `pattern`) stands.
    """
    known = tuple(spec.model_copy(update={"takes": could_take(spec)}) for spec in specs)
    reader = _Reader(grouping, known, sources)
    tried: list[tuple[Assigned, Decided | None]] = []
    for kind in KINDS:
        if kind == "source" and len(sources) < 2:
            continue
        signatures = reader.signatures(units, kind)
        found = assign(signatures, known, _said) if signatures else None
        if found is not None:
            tried.append((found, _written(kind, found, known, sources, reader)))
    enough = max(1.0, max((found.explained for found, _ in tried), default=0) * (1 - _SLACK))
    good = [(found, written) for found, written in tried if written is not None and found.explained >= enough]
    for found, written in sorted(good, key=lambda each: len(each[0].open)):
        return replace(written, contested=dict(sorted(found.open.items())))
    return _contested([found for found, _ in tried], known, sources)


def _said(slot: Slot) -> str | None:
    return slot[1].removeprefix(_SAID) if slot[1].startswith(_SAID) else None


class _Reader:
    """Reads slots from files."""

    def __init__(self, grouping: GroupingPlan, specs: tuple[SpecPlan, ...], sources: tuple[SourcePlan, ...]) -> None:
        self._group = grouping_for(grouping, specs)
        self._grouping = grouping
        self._ignored = frozenset(name.casefold() for name in grouping.ignore)
        self._endings = sorted((ending.casefold() for ending in grouping.endings), key=lambda e: (-len(e), e))
        self._compound = compound_extensions(specs)
        self._known = frozenset(extension for spec in specs for extension in spec.takes)
        tables = mapping_tables(specs, sources)
        said = MappingTables(tables.sources, tables.source_takes, tables.patterns, {})
        self._said = mapping_of(said) if said.sources or said.patterns else None
        # With the folder's name: it may say which specification it is for.
        self._origins = [f"{index} {PurePath(source.path).name}" for index, source in enumerate(sources)]
        self._all_said = bool(said.sources) and len(said.sources) == len(sources)
        self.deep: set[str] = set()
        """Folders whose files don't all lie directly in them."""

    def signatures(self, units: Units, kind: str) -> Counter[tuple[tuple[Slot, int], ...]]:
        """What the data units hold; nothing if this kind of marker tells nothing, or no two files the same."""
        found: Counter[tuple[tuple[Slot, int], ...]] = Counter()
        markers: set[str] = set()
        for files in units:
            slots: Counter[Slot] = Counter()
            for file in files:
                slot = self._slot(file, kind)
                if slot is not None:
                    slots[slot] += 1
                    markers.add(slot[1])
            if len(markers) > MAX_SLOTS:
                return Counter()
            if slots:
                found[tuple(sorted((slot, min(count, MAX_COUNT)) for slot, count in slots.items()))] += 1
        return found if kind == "" or len(markers) > 1 else Counter()

    def _slot(self, file: File, kind: str) -> Slot | None:
        extension = extension_of(file.name, self._compound)
        found = self._group(file)
        if found is None or extension not in self._known:
            return None
        inside = found[1]
        if self._said is not None:
            spec = self._said(file, inside)
            if spec is not None:
                return extension, _SAID + spec
            if self._all_said:
                return None
        return extension, self._marker(file, inside, extension, kind)

    def _marker(self, file: File, inside: str, extension: str, kind: str) -> str:
        if kind == "source":
            return self._origins[file.source]
        if kind == "folder":
            return self._folder(inside.split("/")[:-1])
        if kind == "":
            return ""
        stem = stem_of(file.name, self._compound)
        if kind == "name":
            return "" if self._grouping.by == "stem" else stem.casefold()
        if self._grouping.by == "stem":
            folded = stem.casefold()
            return next((e for e in self._endings if folded.endswith(e) and len(folded) > len(e)), "")
        ends = [tail for _, tail in tails(stem)]
        return next((tail for tail in ends if is_kind(tail)), ends[0] if ends else "").casefold()

    def _folder(self, folders: list[str]) -> str:
        """The innermost folder that says a kind: one that is ignored, or inside the data unit's own."""
        if self._grouping.by == "stem":
            folders = [name if name.casefold() in self._ignored else "" for name in folders]
        places = [index for index, name in enumerate(folders) if name]
        if not places:
            return ""
        index = next((index for index in reversed(places) if is_kind(folders[index])), places[-1])
        if index < len(folders) - 1:
            self.deep.add(folders[index].casefold())
        return folders[index].casefold()


def _written(
    kind: str, found: Assigned, specs: tuple[SpecPlan, ...], sources: tuple[SourcePlan, ...], reader: _Reader
) -> Decided | None:
    """The way as a plan holds it; None if a plan can't say it."""
    open_ = {
        slot: spec for slot, spec in found.way.items() if not slot[1].startswith(_SAID) and slot[0] not in found.open
    }
    if kind == "source":
        return None if found.open else _by_source(open_, specs, sources)
    if kind == "":
        owned = {extension: spec for (extension, _), spec in open_.items()}
        return Decided(_with_takes(specs, owned | dict.fromkeys(found.open), {}), sources)
    owner: dict[str, str | None] = dict.fromkeys(found.open)
    marked: dict[str, set[tuple[str, str]]] = {}
    for extension in sorted({extension for extension, _ in open_}):
        to = {marker: spec for (each, marker), spec in open_.items() if each == extension}
        busy = {marker: spec for marker, spec in to.items() if (extension, marker) not in found.idle}
        names = set((busy or to).values())
        if len(names) == 1 and None not in names:
            owner[extension] = names.pop()
            continue
        # What nothing depends on follows the rest, or stays at home with it.
        rest = None if None in (busy or to).values() else _rest(busy or to, specs)
        owner[extension] = rest
        for marker, spec in busy.items():
            if spec is not None and spec != rest:
                marked.setdefault(spec, set()).add((marker, extension))
    if any(marker == "" for pairs in marked.values() for marker, _ in pairs):
        return None
    patterns = {name: _pattern(kind, pairs, reader.deep) for name, pairs in marked.items()}
    return Decided(_with_takes(specs, owner, patterns), sources)


def _rest(to: dict[str, str | None], specs: tuple[SpecPlan, ...]) -> str | None:
    """The specification that takes what the patterns of the others leave."""
    if "" in to:
        return to[""]
    rows = [spec for spec in specs if spec.name in to.values()]
    several = Counter(to.values())
    return max(rows, key=lambda s: (several[s.name] > 1, s.is_primary, s.is_required, -rows.index(s))).name


def _pattern(kind: str, pairs: set[tuple[str, str]], deep: set[str]) -> str:
    """A glob for files with these markers and extensions."""
    globs = []
    for marker, extension in sorted(pairs):
        escaped, tail = glob_escape(marker), glob_escape(extension)
        if kind == "folder":
            globs.append(f"{escaped}/{'**/' if marker in deep else ''}*{tail}")
        else:
            globs.append(f"{'*' if kind == 'ending' else ''}{escaped}{tail}")
    return " | ".join(globs)


def _by_source(way: Way, specs: tuple[SpecPlan, ...], sources: tuple[SourcePlan, ...]) -> Decided | None:
    """One specification a source; what the way leaves at home must not be there."""
    owner: dict[int, str] = {}
    for (_, marker), spec in way.items():
        if spec is None or owner.setdefault(int(marker.split()[0]), spec) != spec:
            return None
    named = tuple(
        source if source.spec else source.model_copy(update={"spec": owner.get(index)})
        for index, source in enumerate(sources)
    )
    return Decided(specs, named)


def _with_takes(
    specs: tuple[SpecPlan, ...], owner: dict[str, str | None], patterns: dict[str, str]
) -> tuple[SpecPlan, ...]:
    """Specifications with the extensions that each alone fills; one that is not in the files goes to the main one."""
    complete = dict(owner)
    for extension in (extension for spec in specs for extension in spec.takes):
        if extension not in complete:
            rows = [s for s in specs if extension in s.takes and not (s.pattern or s.name in patterns)]
            heir = max(rows, key=lambda s: (s.is_primary, s.is_required, -rows.index(s)), default=None)
            complete[extension] = heir.name if heir is not None else None
    return tuple(
        spec.model_copy(
            update={
                "takes": tuple(extension for extension in spec.takes if complete[extension] == spec.name),
                "pattern": spec.pattern or patterns.get(spec.name),
            }
        )
        for spec in specs
    )


def _contested(tried: Sequence[Assigned], specs: tuple[SpecPlan, ...], sources: tuple[SourcePlan, ...]) -> Decided:
    """Nothing tells all files apart: what is clear by extension is kept, the rest is for the user to say."""
    seen = {slot[0] for found in tried for slot in found.way if not slot[1].startswith(_SAID)}
    takers = {e: tuple(spec.name for spec in specs if e in spec.takes and not spec.pattern) for e in seen}
    contested = {extension: names for extension, names in sorted(takers.items()) if len(names) > 1}
    owner: dict[str, str | None] = {e: names[0] if len(names) == 1 else None for e, names in takers.items()}
    return Decided(_with_takes(specs, owner, {}), sources, contested)
