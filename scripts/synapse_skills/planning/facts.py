"""What can be found out: the backend, the files, the data units. Lazy, and each thing at most once a round.

The inventory in the job's home outlives the round: unchanged files keep what was found out about them, so a second
round reads folders but no file contents.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Collection as Collection_
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from synapse_skills.errors import FindingError, SkillsError
from synapse_skills.plan import GroupingPlan, Limits, SpecPlan
from synapse_skills.planning.evidence import MAX_WORDS, Clue, Layout, clues, measure, takes
from synapse_skills.planning.home import Home
from synapse_skills.planning.looking import Look, Seen, look_at
from synapse_skills.report import MAX_EXAMPLES, Problem

if TYPE_CHECKING:
    from synapse_skills.backend import Backend, Collection
    from synapse_skills.sources import Inventory, Source, Walk
    from synapse_skills.units import Survey, Unit

    Sources = tuple[Source, ...]

MISSING = "missing-required-spec"
OVERSIZED = "oversized-file"


@dataclass
class Found:
    """Data units with one kind of finding."""

    units: int = 0
    examples: list[str] = field(default_factory=list)
    specs: dict[str, int] = field(default_factory=dict)

    def add(self, other: Found) -> None:
        """Take in others of the same kind."""
        self.units += other.units
        self.examples = [*self.examples, *other.examples][:MAX_EXAMPLES]
        for spec, count in other.specs.items():
            self.specs[spec] = self.specs.get(spec, 0) + count


@dataclass
class Counted:
    """What one pass over the data units came to. `clean*` are those without any finding.

    Units with findings are counted by the set of their codes: one that stays at home for one finding needs no
    consent for another.
    """

    units: int = 0
    clean: int = 0
    clean_files: int = 0
    clean_bytes: int = 0
    clean_by_spec: dict[str, int] = field(default_factory=dict)
    by_codes: dict[frozenset[str], dict[str, Found]] = field(default_factory=dict)
    largest: int = 0
    problems: list[Problem] = field(default_factory=list)

    def found(self, consented: Collection_[str] = ()) -> dict[str, Found]:
        """Findings by code, of the units that no consent covers yet."""
        merged: dict[str, Found] = {}
        for codes in sorted(self.by_codes, key=sorted):
            if codes.isdisjoint(consented):
                for code, found in self.by_codes[codes].items():
                    merged.setdefault(code, Found()).add(found)
        return dict(sorted(merged.items()))

    def left_out(self, consented: Collection_[str]) -> int:
        """Units that stay at home by these consents."""
        return sum(
            next(iter(found.values())).units
            for codes, found in self.by_codes.items()
            if not codes.isdisjoint(consented)
        )


def amount(units: int) -> str:
    """`1 data unit`, `1,203 data units`."""
    return f"{units:,} data unit{'' if units == 1 else 's'}"


class Progress:
    """Says on stderr how far a pass is: a line that rewrites itself on a terminal, else a line every ten seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._tty = self._stream.isatty()
        self._next = time.monotonic() + (0.5 if self._tty else 10)
        self._shown = False

    def __call__(self, what: str, count: int) -> None:
        """Say it, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.2 if self._tty else 10)
        self._shown = True
        self._stream.write(f"\r\x1b[K{what}: {count:,}" if self._tty else f"{what}: {count:,}\n")
        self._stream.flush()

    def close(self) -> None:
        """Take the line away."""
        if self._shown and self._tty:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


class Facts:
    """The facts of one round, as a context manager."""

    def __init__(
        self,
        home: Home | None,
        answers: dict[str, Any],
        *,
        progress: Progress | None = None,
        look: Look = "fresh",
    ) -> None:
        self.home = home
        self.look: Look = look
        self.seen: Seen = ""
        self.sampled = 0
        self.walked: Walk | None = None
        self.answers = answers
        self._progress = progress or Progress()
        self._stack = ExitStack()
        self._kept: dict[Any, Any] = {}
        self._last = Counted()

    def __enter__(self) -> Facts:
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.close()
        self._stack.close()

    def _once[T](self, key: Any, find: Callable[[], T]) -> T:
        """Find a thing out at most once; an error is remembered too, so that a dead backend is asked once."""
        if key not in self._kept:
            try:
                self._kept[key] = find()
            except SkillsError as error:
                self._kept[key] = error
        found = self._kept[key]
        if isinstance(found, SkillsError):
            raise found
        return found  # type: ignore[no-any-return]

    # ---- the backend

    def backend(self) -> Backend:
        """The backend, proved to be there and to let us in."""

        def connect() -> Backend:
            from synapse_skills.backend import Backend

            return self._stack.enter_context(Backend())

        return self._once("backend", connect)

    def collections(self) -> list[Collection]:
        """All collections that files can be uploaded to, by id."""

        def find() -> list[Collection]:
            from synapse_skills.backend import parse_collection

            rows = []
            for row in self.backend().collections():
                try:
                    rows.append(parse_collection(row))
                except FindingError:
                    continue  # no specs: nothing can be uploaded to it
            return sorted(rows, key=lambda row: row.id)

        return self._once("collections", find)

    def collection(self, identity: int) -> Collection:
        """One collection."""
        return self._once(("collection", identity), lambda: self.backend().collection(identity))

    def default_storage(self) -> dict[str, Any]:
        """Where uploads land."""
        return self._once("storage", lambda: self.backend().default_storage())

    def projects(self, collection: int) -> tuple[list[dict[str, Any]], list[int]]:
        """All projects by id, and the ids of those that belong to a collection."""

        def find() -> tuple[list[dict[str, Any]], list[int]]:
            rows = sorted(self.backend().projects(), key=lambda row: int(row["id"]))
            own = [int(row["id"]) for row in self.backend().projects(collection=collection)]
            # A backend that ignores the filter says nothing about which ones belong.
            return rows, own if len(own) < len(rows) else []

        return self._once(("projects", collection), find)

    def project(self, identity: int) -> dict[str, Any]:
        """One project."""
        return self._once(("project", identity), lambda: self.backend().project(identity))

    # ---- the files

    @property
    def is_sample(self) -> bool:
        """Whether the files that were looked at are only some of them."""
        return self.seen == "sample"

    def walk(self, sources: Sources) -> Walk:
        """Look at the files, as thoroughly as this round needs it (`planning.looking`)."""

        def find() -> Walk:
            walk, seen = look_at(
                self.inventory(), sources, self.look, lambda count: self._progress("files found", count)
            )
            self.seen, self.walked = seen, walk
            self.sampled = walk.files if seen == "sample" else 0
            return walk

        return self._once(("walk", _places(sources)), find)

    def inventory(self) -> Inventory:
        """The inventory in the job's home."""

        def find() -> Inventory:
            from synapse_skills.sources import Inventory

            if self.home is None:
                raise FindingError("No folder to plan for.", hint="Name the folder to upload.", code="no-source")
            self.home.make()
            self._stack.enter_context(self.home.held())
            return self._stack.enter_context(Inventory(self.home.inventory))

        return self._once("inventory", find)

    def layout(self, sources: Sources, specs: Sequence[SpecPlan]) -> Layout:
        """Extensions and folder signatures, for the extensions that these specs take."""
        self.walk(sources)
        known = tuple(sorted({extension for spec in specs for extension in takes(spec)}))
        return self._once(("layout", _places(sources), known), lambda: measure(self.inventory().files(), specs))

    def extensions(self, sources: Sources) -> dict[str, int]:
        """How many files each extension has."""
        return dict(self.layout(sources, ()).extensions)

    def extensions_by_source(self, sources: Sources) -> list[dict[str, int]]:
        """The same for each source; the last suffix of a name counts."""

        def find() -> list[dict[str, int]]:
            self.walk(sources)
            counts: list[dict[str, int]] = [{} for _ in sources]
            for file in self.inventory().files():
                suffix = file.suffix
                held = counts[file.source]
                if suffix in held or len(held) < MAX_WORDS:
                    held[suffix] = held.get(suffix, 0) + 1
            return counts

        return self._once(("by source", _places(sources)), find)

    def clues(self, sources: Sources, specs: Sequence[SpecPlan], extension: str, depth: int) -> list[Clue]:
        """Patterns that could tell files of one extension apart."""
        self.walk(sources)
        known = tuple(sorted({each for spec in specs for each in takes(spec)}))
        key = ("clues", _places(sources), known, extension, depth)
        return self._once(key, lambda: clues(self.inventory().files(), extension, known, depth))

    def matches(self, sources: Sources, depth: int, pattern: str) -> int:
        """How many files of the data units a pattern finds.

        Raises:
            FindingError: it can't be a pattern.
        """

        def find() -> int:
            from synapse_skills.units import Place, Placed, by_folder, by_pattern

            self.walk(sources)
            place = Place(by_folder(depth), by_pattern({"it": pattern}))
            return sum(isinstance(place(file), Placed) for file in self.inventory().files())

        return self._once(("matches", _places(sources), depth, pattern), find)

    # ---- the data units

    def survey(
        self, sources: Sources, grouping: GroupingPlan, specs: Sequence[SpecPlan], limits: Limits, *, guard: bool
    ) -> Survey:
        """A fresh survey, to be iterated once."""
        from synapse_skills.rendering import place_of
        from synapse_skills.units import survey

        self.walk(sources)
        return survey(
            self.inventory(),
            sources,
            place_of(grouping, specs),
            specs,
            limits,
            guard=guard,
            progress=lambda count: self._progress("files checked", count),
        )

    def counted(
        self, sources: Sources, grouping: GroupingPlan, specs: Sequence[SpecPlan], limits: Limits, *, guard: bool
    ) -> Counted:
        """What the data units come to; without the content guard it opens no file."""
        key = ("counted", sources, grouping, tuple(specs), limits.max_file_size_mb, guard)

        def find() -> Counted:
            # With nothing to leave out yet, a full pass also answers the cheaper question.
            full = self._kept.get((*key[:-1], True))
            if isinstance(full, Counted) and not guard:
                return full
            survey = self.survey(sources, grouping, specs, limits, guard=guard)
            return count(survey.units(), survey, self._progress)

        self._last = self._once(key, find)
        return self._last

    def last_counted(self) -> Counted:
        """What the latest decision counted: the one that everything is settled with, once it is."""
        return self._last


def _places(sources: Sources) -> tuple[tuple[str, bool], ...]:
    """What a walk depends on: which spec a source fills is no matter of it."""
    return tuple((source.path, source.recursive) for source in sources)


def count(units: Iterator[Unit], survey: Survey, progress: Progress) -> Counted:
    """One pass over the data units, flat in memory."""
    total = Counted()
    for unit in units:
        total.units += 1
        progress("data units counted", total.units)
        total.largest = max(total.largest, *(file.size for file in unit.files.values()), 0)
        if not unit.findings:
            total.clean += 1
            total.clean_files += len(unit.files)
            total.clean_bytes += unit.bytes
            for spec in unit.files:
                total.clean_by_spec[spec] = total.clean_by_spec.get(spec, 0) + 1
            continue
        kind = total.by_codes.setdefault(frozenset(unit.codes), {})
        for code in unit.codes:
            kind.setdefault(code, Found()).units += 1
        for finding in unit.findings:
            found = kind[finding.code]
            if finding.spec:
                found.specs[finding.spec] = found.specs.get(finding.spec, 0) + 1
            if len(found.examples) < MAX_EXAMPLES:
                found.examples.append(finding.message)
    total.problems = survey.problems.as_list()
    return total
