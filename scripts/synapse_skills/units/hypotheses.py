"""How could these files be data units? Every layout that is possible is counted; nothing is decided here.

Two passes over the paths: the first one collects hints (which folders or endings could say the kind of a file), the
second one counts what each layout makes of all files. No file is opened. Memory is bounded: what a layout makes of a
large tree is counted on data units sampled by the hash of their keys, whole ones, the same every time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from synapse_skills.errors import printable
from synapse_skills.plan import GroupingPlan, SourcePlan, SpecPlan
from synapse_skills.sources import File, Inventory, Source
from synapse_skills.units.assign import fits, sentence
from synapse_skills.units.choice import Hypothesis, ranked, unit_words
from synapse_skills.units.hints import MAX_DEPTH, SALTS, Hints, core_of, mark
from synapse_skills.units.layout import grouping_for, mapping_of, mapping_tables, place_for
from synapse_skills.units.names import compound_extensions, could_take, extension_of, split_name
from synapse_skills.units.place import Grouping
from synapse_skills.units.placing import place_all
from synapse_skills.units.slots import Decided, decide

MAX_HELD = 10_000
MAX_IN_UNIT = 40
_ALL = 1 << 32
_EXAMPLES = 3


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
    by_folder, by_stem = _counts(_groupings(hints, chosen) if groupings is None else (), chosen)
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
    found = [_evaluate(count, share, chosen, origins, total, taken) for count, share in shares]
    if groupings is None:
        # Every file by itself explains any files: it counts only where no layout with better keys does as well.
        most = max((one.explained for one in found if one.grouping.by != "file"), default=0.0)
        found = [one for one in found if one.grouping.by != "file" or one.explained > most]
    return ranked(found)


def _counts(groupings: Iterable[GroupingPlan], specs: Sequence[SpecPlan]) -> tuple[list[_Count], list[_Count]]:
    """Counts for the layouts: those by folder, and the others."""
    counts = [_Count(grouping, grouping_for(grouping, specs)) for grouping in groupings]
    return [each for each in counts if each.grouping.by == "folder"], [
        each for each in counts if each.grouping.by != "folder"
    ]


def _groupings(hints: Hints, specs: Sequence[SpecPlan]) -> Iterator[GroupingPlan]:
    """The layouts that the hints allow."""
    if len(specs) == 1:
        yield GroupingPlan(by="file")
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
        amount = f"{'about ' if share < 1 else ''}{units:,} {unit_words(self._grouping)}"
        if not self._held:
            return f"none of {amount} is a complete data unit"
        held, most = max(self._held.items(), key=lambda item: (item[1], item[0]))
        text = f"{round(most / share):,} of {amount} have {sentence(held)}"
        if most == self.complete:
            return text
        if self.complete == self.units:
            every = amount if share < 1 else f"all {amount}"
            return f"{every} are complete data units; {round(most / share):,} of them have {sentence(held)}"
        return f"{text}; {complete:,} are complete data units"


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
