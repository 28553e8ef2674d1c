"""How could these files be data units? Every layout that is possible is counted; nothing is decided here.

Two passes over the paths: the first one collects hints (which folders or endings could say the kind of a file), the
second one counts what each layout makes of all files. No file is opened. Memory is bounded: what a layout makes of a
large tree is counted on data units sampled by the hash of their keys, whole ones, the same every time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from synapse_skills.errors import printable
from synapse_skills.plan import GroupingPlan, SourcePlan, SpecPlan
from synapse_skills.sources import File, Inventory, Source
from synapse_skills.units.assign import fits, sentence
from synapse_skills.units.hints import MAX_DEPTH, SALTS, Hints, core_of, mark
from synapse_skills.units.layout import grouping_for, mapping_of, mapping_tables, place_for
from synapse_skills.units.mapping import Mapping
from synapse_skills.units.names import compound_extensions, could_take, extension_of, split_name
from synapse_skills.units.place import Grouping
from synapse_skills.units.placing import place_all
from synapse_skills.units.slots import Decided, decide

MAX_HELD = 10_000
MAX_IN_UNIT = 40
MARGIN = 0.05
FULLER = 0.2
_ALL = 1 << 32
_EXAMPLES = 3
_MOST_NAMES = 5


@dataclass(frozen=True)
class Hypothesis:
    """One layout and what it makes of the files.

    Attributes:
        grouping: how files become data units.
        specs: the collection's specifications with the `takes` and `pattern` that this layout needs.
        sources: the sources, with the specification that each fills if the layout is one specification a source.
        contested: extension → specifications that nothing tells apart in this layout: the user must say. One
            specification alone: several files of each data unit could fill it. Counted as if the user had said.
        files: all files looked at.
        known: those with an extension that a specification takes.
        units: data units.
        complete: data units with one file for each required specification and none too many.
        ambiguous: data units with several files for one specification.
        unplaced: files in no data unit or for no specification.
        explained: share of the known files that lie in complete data units.
        filled: how many specifications a complete data unit fills on average.
        is_exact: everything was counted; otherwise units, complete, ambiguous and unplaced are estimates.
        examples: up to three data units with their files.
        because: the evidence in one sentence.
    """

    grouping: GroupingPlan
    specs: tuple[SpecPlan, ...]
    sources: tuple[SourcePlan, ...]
    contested: dict[str, tuple[str, ...]] = field(default_factory=dict)
    files: int = 0
    known: int = 0
    units: int = 0
    complete: int = 0
    ambiguous: int = 0
    unplaced: int = 0
    explained: float = 0.0
    filled: float = 0.0
    is_exact: bool = True
    examples: tuple[str, ...] = ()
    because: str = ""

    @property
    def mapping(self) -> Mapping:
        """The mapping as an object; its repr() is the source that makes it."""
        return mapping_of(mapping_tables(self.specs, self.sources))

    @property
    def label(self) -> str:
        """The layout in a few words: `each top-level folder`, `same name without folders images/, labels/`."""
        return _label(self.grouping)


def hypotheses(
    files: Inventory | Callable[[], Iterable[File]],
    specs: Sequence[SpecPlan],
    sources: Sequence[Source | SourcePlan] = (),
    *,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
    groupings: Sequence[GroupingPlan] | None = None,
) -> list[Hypothesis]:
    """Count every possible layout, the best first (see `best`).

    Args:
        files: a walked inventory, or something that gives the files anew each time it is called.
        specs: the collection's specifications. `takes` and `pattern`, where they are set, are kept; `takes` may name
            extensions beyond the specification's own, and '' for files without one.
        sources: where the files come from; one with a `spec` fills only that.
        limit: look at so many files only.
        progress: called with the number of files looked at so far, in both passes.
        groupings: only these, instead of all that the files suggest.

    Raises:
        FindingError: one of `groupings` can't be (`bad-grouping`, `bad-regex`, `bad-template`).
    """
    chosen = tuple(specs)
    origins = tuple(SourcePlan(path=each.path, recursive=each.recursive, spec=each.spec) for each in sources)

    def stream() -> Iterator[File]:
        for number, file in enumerate(islice(files.files() if isinstance(files, Inventory) else files(), limit), 1):
            if progress is not None and number % 5_000 == 0:
                progress(number)
            yield file

    compound = compound_extensions(chosen)
    known = frozenset(extension for spec in chosen for extension in could_take(spec))
    hints, total, taken = Hints(), 0, 0
    for file in stream():
        total += 1
        *folders, name = file.key.split("/")
        stem, extension = split_name(name, compound)
        if extension in known:
            taken += 1
            hints.add(folders, stem)
    by_folder, by_stem = _counts(_groupings(hints) if groupings is None else (), chosen)
    named = [_Count(grouping, grouping_for(grouping, chosen)) for grouping in groupings or ()]
    for file in stream():
        key = file.key
        stem, extension = split_name(key.rpartition("/")[2], compound)
        if extension not in known:
            continue
        for count in named:
            count.add(file)
        if by_folder and hints.tops.keeps(key.partition("/")[0]):
            for count in by_folder:
                count.add(file)
        if hints.cores.keeps(core_of(stem)):
            for count in by_stem:
                count.add(file)
    shares = [(count, hints.tops.share) for count in by_folder] + [(count, hints.cores.share) for count in by_stem]
    # What was named is sampled by its own keys: no hint says which files would lie together.
    shares += [(count, 1.0) for count in named]
    return ranked(_evaluate(count, share, chosen, origins, total, taken) for count, share in shares)


def _counts(groupings: Iterable[GroupingPlan], specs: Sequence[SpecPlan]) -> tuple[list[_Count], list[_Count]]:
    """Counts for the layouts: those by folder, and the others."""
    counts = [_Count(grouping, grouping_for(grouping, specs)) for grouping in groupings]
    return [each for each in counts if each.grouping.by == "folder"], [
        each for each in counts if each.grouping.by != "folder"
    ]


def _groupings(hints: Hints) -> Iterator[GroupingPlan]:
    """The layouts that the hints allow."""
    for depth in range(1, min(hints.depth, MAX_DEPTH) + 1):
        yield GroupingPlan(depth=depth)
    endings = hints.endings()
    for ignore in ((), *hints.ignores()):
        yield GroupingPlan(by="stem", ignore=ignore)
        if endings:
            yield GroupingPlan(by="stem", ignore=ignore, endings=endings)


class _Count:
    """Data units of one layout, by key; beyond MAX_HELD files those with a small hash are kept, whole."""

    def __init__(self, grouping: GroupingPlan, group: Grouping) -> None:
        self.grouping = grouping
        self.group = group
        self.units: dict[str, list[File]] = {}
        self.limit = _ALL
        self._held = 0

    def add(self, file: File) -> None:
        """Take in one file."""
        found = self.group(file)
        if found is None or (self.limit < _ALL and mark(found[0], SALTS[2]) >= self.limit):
            return
        held = self.units.setdefault(found[0], [])
        if len(held) < MAX_IN_UNIT:
            held.append(file)
            self._held += 1
        while self._held > MAX_HELD and len(self.units) > 1:
            self.limit //= 2
            self.units = {key: held for key, held in self.units.items() if mark(key, SALTS[2]) < self.limit}
            self._held = sum(map(len, self.units.values()))


def _evaluate(
    count: _Count,
    looked_at: float,
    specs: tuple[SpecPlan, ...],
    sources: tuple[SourcePlan, ...],
    total: int,
    known: int,
) -> Hypothesis:
    """What a layout makes of the files that were counted, of which this share was looked at."""
    decided = decide(count.units.values(), count.grouping, specs, sources)
    made = Hypothesis(count.grouping, decided.specs, decided.sources, decided.contested, total, known)
    tally = _Tally(count, specs, decided)
    for key, files in count.units.items():
        tally.add(key, files)
    share = looked_at * count.limit / _ALL
    placed = tally.placed / share
    return replace(
        made,
        units=round(tally.units / share),
        complete=round(tally.complete / share),
        ambiguous=round(tally.ambiguous / share),
        unplaced=total - min(total, round(placed)),
        explained=min(1.0, tally.explained / share / known) if known else 0.0,
        filled=tally.explained / tally.complete if tally.complete else 0.0,
        is_exact=share == 1,
        examples=tuple(tally.told()),
        because=tally.because(share),
    )


class _Tally:
    """Counts with the very objects that the job will have."""

    def __init__(self, count: _Count, specs: tuple[SpecPlan, ...], decided: Decided) -> None:
        self._group, self._grouping = count.group, count.grouping
        self._specs, self._contested = specs, decided.contested
        self._mapping = mapping_of(mapping_tables(decided.specs, decided.sources))
        self._required = {spec.name for spec in specs if spec.is_required}
        self._compound = compound_extensions(specs)
        self.units = self.complete = self.ambiguous = self.placed = self.explained = 0
        self._held: Counter[tuple[tuple[str, int], ...]] = Counter()
        self._whole: list[tuple[str, list[tuple[str, File]]]] = []

    def add(self, key: str, files: list[File]) -> None:
        """Count one data unit."""
        filled: Counter[str] = Counter()
        extensions: Counter[str] = Counter()
        has_contested = False
        named: list[tuple[str, File]] = []
        for file in files:
            found = self._group(file)
            extension = extension_of(file.name, self._compound)
            spec = self._mapping(file, found[1]) if found is not None else None
            if spec is None and extension not in self._contested:
                continue
            extensions[extension] += 1
            has_contested = has_contested or extension in self._contested
            filled[spec or extension] += 1
            named.append((spec or "?", file))
        if not filled:
            return
        self.units += 1
        self.placed += sum(filled.values())
        held = tuple(sorted(extensions.items()))
        if has_contested:
            # As if the user had said which of them to take.
            most = {extension: len(names) for extension, names in self._contested.items()}
            held = tuple((extension, min(count, most.get(extension, count))) for extension, count in held)
            is_complete = fits(held, self._specs)
        else:
            self.ambiguous += max(filled.values()) > 1
            is_complete = max(filled.values()) == 1 and filled.keys() >= self._required
        if is_complete:
            self.complete += 1
            self.explained += sum(count for _, count in held)
            self._held[held] += 1
            self._whole = sorted([*self._whole, (key, named)], key=lambda item: item[0])[:_EXAMPLES]

    def told(self) -> Iterator[str]:
        """The first complete data units in words."""
        for key, named in self._whole:
            order = sorted(named, key=lambda pair: (pair[0] == "?", pair[0]))
            parts = [f"{printable(file.key.removeprefix(f'{key}/'))} → {spec}" for spec, file in order]
            yield f"{printable(key)}: {', '.join(parts)}"

    def because(self, share: float) -> str:
        """`1,240 of 1,247 top-level folders hold one .png and one .json`."""
        units, complete = round(self.units / share), round(self.complete / share)
        amount = f"{'about ' if share < 1 else ''}{units:,} {_unit_words(self._grouping)}"
        if not self._held:
            return f"none of {amount} is a complete data unit"
        held, most = max(self._held.items(), key=lambda item: (item[1], item[0]))
        text = f"{round(most / share):,} of {amount} have {sentence(held)}"
        return text if most == self.complete else f"{text}; {complete:,} are complete data units"


def _unit_words(grouping: GroupingPlan) -> str:
    if grouping.by == "folder":
        return "top-level folders" if grouping.depth == 1 else f"folders {grouping.depth} levels down"
    return "keys that the pattern finds" if grouping.by == "pattern" else "names" + _less(grouping)


def _label(grouping: GroupingPlan) -> str:
    if grouping.by == "folder":
        return "each top-level folder" if grouping.depth == 1 else f"each folder {grouping.depth} levels down"
    return "what the pattern finds" if grouping.by == "pattern" else "same name" + _less(grouping)


def _less(grouping: GroupingPlan) -> str:
    """` without folders images/, labels/ and endings _mask`."""
    parts = []
    if grouping.ignore:
        parts.append("folders " + _listed([f"{name}/" for name in grouping.ignore]))
    if grouping.endings:
        parts.append("endings " + _listed(grouping.endings))
    return f" without {' and '.join(parts)}" if parts else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(printable(name) for name in names[:_MOST_NAMES]) + more


def ranked(found: Iterable[Hypothesis]) -> list[Hypothesis]:
    """The best first: most explained, then nothing contested, then fuller data units, then the simpler layout."""

    def simple(one: Hypothesis) -> tuple[int, int, int, int]:
        grouping = one.grouping
        return (grouping.by != "folder", grouping.depth, len(grouping.ignore), len(grouping.endings))

    ordered = sorted(found, key=lambda one: (-round(one.explained, 6), len(one.contested), -one.filled, simple(one)))
    if not ordered:
        return []
    # What comes close to the best competes by other merits than the last percent.
    close = [one for one in ordered if one.explained >= ordered[0].explained - MARGIN]
    close.sort(key=lambda one: (len(one.contested), -round(one.filled, 1), -round(one.explained, 6), simple(one)))
    return close + ordered[len(close) :]


@dataclass(frozen=True)
class Choice:
    """What `best` found.

    Attributes:
        winner: the layout that explains the files clearly better than any other; None if there is none.
        rivals: layouts among which the user must choose, or, without any that explains a file, all of them.
    """

    winner: Hypothesis | None
    rivals: tuple[Hypothesis, ...] = ()


def best(found: Sequence[Hypothesis]) -> Choice:
    """The winner with a margin; without one, those that come near each other.

    Two layouts that make the same number of data units of the same files are the same in other words: the simpler one
    stands for both.
    """
    ordered = ranked(found)
    if not ordered or not ordered[0].explained:
        return Choice(None, tuple(ordered))
    first = ordered[0]
    rivals: list[Hypothesis] = []
    for one in ordered[1:]:
        if not (_outdone(one, first) or any(_same(one, each) for each in rivals)):
            rivals.append(one)
    return Choice(None, (first, *rivals)) if rivals else Choice(first)


def _outdone(one: Hypothesis, first: Hypothesis) -> bool:
    """Whether a layout leaves the first one without doubt."""
    if one.explained < first.explained - MARGIN or _same(one, first):
        return True
    if first.contested or one.explained > first.explained + MARGIN / 2:
        return False
    # Poorer data units are no reason to doubt; fuller ones are, though something is left open in them.
    return first.filled >= one.filled + FULLER or (bool(one.contested) and one.filled <= first.filled)


def _same(one: Hypothesis, other: Hypothesis) -> bool:
    return (one.units, one.complete, one.unplaced) == (other.units, other.complete, other.unplaced)


def recount(inventory: Inventory, one: Hypothesis) -> Hypothesis:
    """Count a layout exactly, on all files of a walked inventory.

    The places that it writes are those that a survey with the same decisions would write: that one need not write
    them again.
    """
    place = place_for(one.grouping, one.specs, one.sources)
    place_all(inventory, place, frozenset(spec.name for spec in one.specs))
    required = {spec.name for spec in one.specs if spec.is_required}
    units = complete = ambiguous = placed = explained = 0
    for rows in _by_unit(inventory):
        filled = {spec: count for _, spec, count in rows if spec}
        if not filled:
            continue
        units += 1
        placed += sum(filled.values())
        ambiguous += max(filled.values()) > 1
        if max(filled.values()) == 1 and filled.keys() >= required:
            complete += 1
            explained += len(filled)
    files = inventory.rows("SELECT count(*) FROM file")[0][0]
    share = explained / one.known if one.known and one.files == files else one.explained
    return replace(
        one,
        files=files,
        units=units,
        complete=complete,
        ambiguous=ambiguous,
        unplaced=files - placed,
        explained=min(1.0, share),
        filled=explained / complete if complete else 0.0,
        is_exact=True,
    )


def _by_unit(inventory: Inventory) -> Iterator[list[tuple[str, str, int]]]:
    """(unit, spec, files) of one data unit after the other, page by page from the index."""
    query = (
        "SELECT unit, spec, count(*) FROM file WHERE unit IS NOT NULL AND (unit, spec) > (?, ?) "
        "GROUP BY unit, spec ORDER BY unit, spec LIMIT 5000"
    )
    last: tuple[str, str] = ("", "\U0010ffff")
    held: list[tuple[str, str, int]] = []
    while page := inventory.rows(query, last):
        for unit, spec, count in page:
            if held and held[0][0] != unit:
                yield held
                held = []
            held.append((unit, spec, count))
        last = page[-1][0], page[-1][1]
    if held:
        yield held
