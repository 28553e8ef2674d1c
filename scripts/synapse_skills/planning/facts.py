"""What can be found out: the backend, the files, the data units. Lazy, and each thing at most once a round.

The inventory in the job's home outlives the round: unchanged files keep what was found out about them, so a second
round reads folders but no file contents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError
from synapse_skills.plan import GroupingPlan, Limits, SourcePlan, SpecPlan
from synapse_skills.planning.aside import NOTHING, Aside
from synapse_skills.planning.asking import Asking
from synapse_skills.planning.counted import Counted, Progress, count
from synapse_skills.planning.evidence import MAX_WORDS, Clue, Kinds, clues, measure
from synapse_skills.planning.home import Home
from synapse_skills.planning.looking import Look, Seen, look_at
from synapse_skills.planning.on_agent import is_there, look_there, units_of

if TYPE_CHECKING:
    from pathlib import Path

    from synapse_skills.backend import Collection
    from synapse_skills.planning.metadata_facts import Meta
    from synapse_skills.sources import File, Inventory, Source, Walk
    from synapse_skills.units import Described, Frozen, Hypothesis, PlaceFunction, Survey

    Sources = tuple[Source, ...]


class Facts(Asking):
    """The facts of one round, as a context manager."""

    def __init__(
        self,
        home: Home | None,
        answers: dict[str, Any],
        *,
        progress: Progress | None = None,
        look: Look = "fresh",
    ) -> None:
        super().__init__(progress)
        self.home = home
        self.look: Look = look
        self.seen: Seen = ""
        self.sampled = 0
        self.walked: Walk | None = None
        self.aside = Aside()
        self.answers = answers
        self._last = Counted()

    # ---- the backend

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

        return self.once("collections", find)

    def collection(self, identity: int) -> Collection:
        """One collection."""
        return self.once(("collection", identity), lambda: self.backend().collection(identity))

    def projects(self, collection: int) -> tuple[list[dict[str, Any]], list[int]]:
        """All projects by id, and the ids of those that belong to a collection."""

        def find() -> tuple[list[dict[str, Any]], list[int]]:
            rows = sorted(self.backend().projects(), key=lambda row: int(row["id"]))
            own = [int(row["id"]) for row in self.backend().projects(collection=collection)]
            # A backend that ignores the filter says nothing about which ones belong.
            return rows, own if len(own) < len(rows) else []

        return self.once(("projects", collection), find)

    # ---- the files

    @property
    def is_sample(self) -> bool:
        """Whether only some files were looked at."""
        return self.seen == "sample"

    def walk(self, sources: Sources) -> Walk:
        """Look at the files, as thoroughly as this round needs it (`planning.looking`)."""

        def find() -> Walk:
            look = look_there if is_there(sources) else look_at
            walk, seen = look(self.inventory(), sources, self.look, lambda n: self._progress("files found", n))
            self.seen, self.walked = seen, walk
            self.sampled = walk.files if seen == "sample" else 0
            return walk

        return self.once(("walk", _places(sources)), find)

    def inventory(self) -> Inventory:
        """The inventory in the job's home."""

        def find() -> Inventory:
            from synapse_skills.sources import Inventory

            if self.home is None:
                raise FindingError("No folder to plan for.", hint="Name the folder to upload.", code="no-source")
            self.home.make()
            self._stack.enter_context(self.home.held())
            return self._stack.enter_context(Inventory(self.home.inventory))

        return self.once("inventory", find)

    def set_aside(self, *, sidecars: str | None = None, tables: tuple[tuple[int, str], ...] | None = None) -> None:
        """Say which files hold metadata: from here on nothing counts them as data."""
        if sidecars is not None:
            self.aside = replace(self.aside, sidecars=sidecars)
        if tables is not None:
            self.aside = replace(self.aside, tables=tables)

    def kinds(self, sources: Sources, specs: Sequence[SpecPlan]) -> Kinds:
        """How many files of each extension there are, and how many of them these specs take."""
        self.walk(sources)
        key = ("kinds", _places(sources), tuple(specs), self.aside)
        return self.once(key, lambda: measure(self._files("files read"), specs))

    def _files(self, what: str) -> Iterator[File]:
        """All files of the inventory that are data, with progress."""
        for number, file in enumerate(self.data_files(), 1):
            if number % 5_000 == 0:
                self._progress(what, number)
            yield file

    def data_files(self) -> Iterator[File]:
        """All files of the inventory but those that hold metadata."""
        return self.aside.without(self.inventory().files())

    def hypotheses(self, sources: Sources, specs: tuple[SpecPlan, ...]) -> list[Hypothesis]:
        """Every layout that is possible, the likeliest first."""
        from synapse_skills.units import hypotheses

        self.walk(sources)
        return self.once(
            ("hypotheses", sources, specs, self.aside),
            lambda: hypotheses(
                self.data_files, specs, sources, progress=lambda count: self._progress("layouts compared", count)
            ),
        )

    def hypothesis(self, sources: Sources, specs: tuple[SpecPlan, ...], grouping: GroupingPlan) -> Hypothesis:
        """One layout that somebody has named.

        Raises:
            FindingError: it can't be one (`bad-regex`, `bad-template`, `bad-grouping`).
        """
        from synapse_skills.units import hypotheses

        self.walk(sources)

        def find() -> Hypothesis:
            return hypotheses(self.data_files, specs, sources, groupings=[grouping])[0]

        return self.once(("hypothesis", sources, specs, grouping, self.aside), find)

    def finds(self, sources: Sources, pattern: str) -> bool:
        """Whether a pattern is one, and finds a file whatever the layout is."""

        def find() -> bool:
            from synapse_skills.units import by_pattern

            try:
                mapping = by_pattern({"it": pattern.strip().removeprefix("./")})
            except FindingError:
                return False
            self.walk(sources)
            return pattern.startswith("/") or any(mapping(file, file.key) for file in self._files("files compared"))

        return self.once(("finds", _places(sources), pattern, self.aside), find)

    def placement(self, sources: Sources, path: Path, specs: tuple[SpecPlan, ...]) -> Frozen:
        """Match a table that places files with the files, and freeze it in the job's home.

        Raises:
            UsageError, FindingError: it can't be read (`no-table`, `bad-table`).
        """
        from synapse_skills.planning.placement import frozen_name
        from synapse_skills.units import by_extension, could_take, freeze_table

        self.walk(sources)
        assert self.home is not None
        frozen = self.home.folder / frozen_name(path)

        def find() -> Frozen:
            takers: dict[str, list[str]] = {}
            for spec in specs:
                for extension in could_take(spec):
                    takers.setdefault(extension, []).append(spec.name)
            # Where the table does not say the spec, an extension that only one takes does.
            clear = by_extension({extension: names[0] for extension, names in takers.items() if len(names) == 1})
            return freeze_table(path, self.inventory(), sources, specs, frozen, mapping=clear)

        return self.once(("placement", _places(sources), path, specs), find)

    def dicom(self, sources: Sources, specs: tuple[SpecPlan, ...]) -> str | None:
        """The spec of files without a suffix, if they are DICOM; some of them are opened for it."""
        from synapse_skills.units import dicom_without_suffix

        self.walk(sources)
        if is_there(sources) or any(source.is_remote for source in sources):
            return None  # nobody here can open them, or each would have to be fetched whole
        return self.once(
            ("dicom", _places(sources), specs),
            lambda: dicom_without_suffix(self.inventory().files(), [each.root() for each in sources], specs),
        )

    def extensions(self, sources: Sources) -> dict[str, int]:
        """How many files each extension has."""
        return dict(self.kinds(sources, ()).extensions)

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

        return self.once(("by source", _places(sources)), find)

    def clues(
        self, sources: Sources, specs: tuple[SpecPlan, ...], extension: str, grouping: GroupingPlan
    ) -> list[Clue]:
        """Patterns that could tell files of one extension apart."""
        from synapse_skills.units import compound_extensions, grouping_for

        self.walk(sources)

        def find() -> list[Clue]:
            group = grouping_for(grouping, specs)
            return clues(self._files("files compared"), extension, compound_extensions(specs), group, grouping.ignore)

        return self.once(("clues", _places(sources), specs, extension, grouping, self.aside), find)

    def matches(self, sources: Sources, grouping: GroupingPlan, specs: tuple[SpecPlan, ...], pattern: str) -> int:
        """How many files of the data units a pattern finds.

        Raises:
            FindingError: it can't be a pattern.
        """

        def find() -> int:
            from synapse_skills.units import Place, Placed, by_pattern, grouping_for

            self.walk(sources)
            place = Place(grouping_for(grouping, specs), by_pattern({"it": pattern}))
            return sum(isinstance(place(file), Placed) for file in self._files("files compared"))

        return self.once(("matches", _places(sources), grouping, specs, pattern, self.aside), find)

    # ---- the data units

    def place(self, sources: Sources, grouping: GroupingPlan, specs: Sequence[SpecPlan], aside: Aside) -> PlaceFunction:
        """The place that answers for these decisions, as the job will have it."""
        from synapse_skills.rendering import place_of

        places = [
            SourcePlan(path=each.path, recursive=each.recursive, spec=each.spec, storage=each.storage)
            for each in sources
        ]
        folder = self.home.folder if self.home else None
        tables = tuple(path for _, path in aside.tables)
        return place_of(grouping, specs, places, folder=folder, sidecars=aside.sidecars, set_aside=tables)

    def place_all(self, sources: Sources, grouping: GroupingPlan, specs: Sequence[SpecPlan], aside: Aside) -> None:
        """Write every file's data unit into the inventory; places that are there already stay."""
        from synapse_skills.units.placing import place_all

        self.walk(sources)
        place_all(self.inventory(), self.place(sources, grouping, specs, aside), frozenset(spec.name for spec in specs))

    def survey(
        self,
        sources: Sources,
        grouping: GroupingPlan,
        specs: Sequence[SpecPlan],
        limits: Limits,
        *,
        guard: bool,
        sidecars: str | None = None,
        tables: tuple[tuple[int, str], ...] = (),
    ) -> Survey:
        """A fresh survey, to be iterated once."""
        from synapse_skills.planning.conversions import conversions_of
        from synapse_skills.units import survey

        self.walk(sources)
        return survey(
            self.inventory(),
            sources,
            self.place(sources, grouping, specs, Aside(sidecars, tables)),
            specs,
            limits,
            guard=guard and not is_there(sources),
            progress=lambda count: self._progress("files checked", count),
            conversions=conversions_of(specs, self.answers),
        )

    def counted(
        self,
        sources: Sources,
        grouping: GroupingPlan,
        specs: Sequence[SpecPlan],
        limits: Limits,
        *,
        guard: bool,
        aside: Aside = NOTHING,
        meta: Meta | None = None,
    ) -> Counted:
        """What the data units come to; without the content guard it opens no file, and looks at no metadata."""
        rules = meta.key if meta is not None and guard else ""
        size = limits.max_file_size_mb
        key = ("counted", sources, grouping, tuple(specs), size, aside, guard, rules)

        def find() -> Counted:  # with nothing to leave out yet, a full pass also answers the cheaper question
            full = self._kept.get((*key[:-2], True, ""))
            if isinstance(full, Counted) and not guard:
                return full
            survey = self.survey(
                sources, grouping, specs, limits, guard=guard, sidecars=aside.sidecars, tables=aside.tables
            )
            described = self.described(meta, sources) if guard else None
            units = units_of(self, survey, described) if guard else survey.units()
            return count(units, survey, self._progress, described)

        self._last = self.once(key, find)
        return self._last

    def described(self, meta: Meta | None, sources: Sources) -> Described | None:
        """What describes each data unit; None if there is nothing to describe, or only the cluster can read it."""
        if meta is None or self.home is None:
            return None
        blind = is_there(sources) and any(rule.kind == "sidecars" for rule in meta.rules)
        return None if blind else meta.described(self.home.folder)

    def last_counted(self) -> Counted:
        """What the latest decision counted."""
        return self._last


def _places(sources: Sources) -> tuple[tuple[str, int | None, bool], ...]:
    """What a walk depends on: which spec a source fills is no matter of it."""
    return tuple((source.path, source.storage, source.recursive) for source in sources)
