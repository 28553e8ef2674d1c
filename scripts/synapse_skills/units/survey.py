"""The survey: all data units of the inventory, one after the other in the order of their keys, with their findings.

The planner and the job iterate over the same survey. Memory stays flat: files are placed by pages, the index on
(unit, spec) gives the order, and the content guard runs a few hundred files ahead of whoever is iterating.
"""

from __future__ import annotations

import contextlib
import errno
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import batched, groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from synapse_skills.errors import printable
from synapse_skills.plan import Conversion, Limits, SpecPlan
from synapse_skills.report import MAX_EXAMPLES, Problems
from synapse_skills.sources import Access, File, FileChanged, FileVanished, Inventory, Source, open_inside, reach
from synapse_skills.sources.source import suffix_of
from synapse_skills.units.checks import (
    Candidates,
    Converts,
    by_spec,
    check_unit,
    converts,
    guard_finding,
    may_ask_guard,
    unreadable_finding,
)
from synapse_skills.units.findings import FIXES, SEVERITIES, Finding
from synapse_skills.units.guard import ask_guard, ask_guard_about_name, content_guard, guard_key
from synapse_skills.units.place import PlaceFunction
from synapse_skills.units.placing import place_all, placed_rows
from synapse_skills.units.sidecars import SIDECAR

# Data units in a page: some hundred files for the guard, and few enough that four pages are a few megabytes.
_PAGE = 200
_AHEAD = 3
_GUARD_WORKERS = 3
_FILES_A_TASK = 20
_MOST_SUFFIXES = 50


@dataclass
class Unit:
    """A data unit.

    Attributes:
        key: its name, in composed form.
        files: one file for each specification that has exactly one.
        findings: what is wrong with it; without any it is fit to be sent.
        sidecars: files that hold its metadata, by source and path.
    """

    key: str
    files: dict[str, File] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    sidecars: list[File] = field(default_factory=list)
    roots: Sequence[Path | Access] = field(default=(), repr=False, compare=False)

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return sum(file.size for file in self.files.values())

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of its findings, each once, in order."""
        return tuple(dict.fromkeys(finding.code for finding in self.findings))

    def open(self, file: File) -> BinaryIO:
        """Open one of its files or sidecars for reading; no link can lead out of the source.

        Raises:
            OSError: it is missing or can't be read. OutOfReach: its source is not there any more.
        """
        root = self.roots[file.source]
        if isinstance(root, Path):
            return open_inside(root, file)
        try:
            return root.open(file)
        except FileVanished as error:
            raise FileNotFoundError(errno.ENOENT, str(error), file.path) from None
        except FileChanged as error:
            raise OSError(errno.ESTALE, str(error), file.path) from None

    def told(self, *codes: str) -> str:
        """Its findings, of these codes or all, as one line: `patient_017: no image_1, no label_1`."""
        name = f"{printable(self.key)}: "
        said = [finding.message.removeprefix(name) for finding in self.findings if not codes or finding.code in codes]
        return name + ", ".join(said)


@dataclass
class Survey:
    """Iterate over `units()`; the totals below grow with the iteration and are complete at its end.

    Attributes:
        unit_count: data units so far, with findings or without.
        files: files that fill a specification of these.
        bytes: their size.
        files_by_spec: their number for each specification.
    """

    inventory: Inventory
    sources: Sequence[Source]
    place: PlaceFunction
    specs: Sequence[SpecPlan]
    limits: Limits
    guard: bool = True
    progress: Callable[[int], None] | None = None
    conversions: Sequence[Conversion] = ()
    ways: Sequence[Access] = ()
    unit_count: int = field(default=0, init=False)
    files: int = field(default=0, init=False)
    bytes: int = field(default=0, init=False)
    files_by_spec: dict[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._placed: str | None = None
        self._reset()

    def _reset(self) -> None:
        self.unit_count = self.files = self.bytes = 0
        self.files_by_spec = {spec.name: 0 for spec in self.specs}
        self._units_with: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}
        self._no_spec: dict[str, tuple[int, str]] = {}
        self._converts = by_spec(self.conversions)
        self._alone: list[str] = []
        self._alone_count = 0
        self._in_no_unit: list[tuple[str, int, list[str]]] = []
        self._is_finished = False

    def units(self) -> Iterator[Unit]:
        """All data units in the order of their keys. The first call places every file; each call counts anew.

        Raises:
            FindingError: `place-raised`: a hand-written place() failed or gave no proper answer.
            OutOfReach: a source, the disk or the content guard is out of reach.
        """
        if not self.inventory.is_of(self.sources):
            raise ValueError("the inventory has not walked these sources")
        generation = self.inventory.state("generation")
        if self._placed != generation:
            place_all(self.inventory, self.place, frozenset(spec.name for spec in self.specs))
            self._placed = generation
        self._reset()
        self._in_no_unit = list(self._files_in_no_unit())
        with contextlib.ExitStack() as stack:
            roots = self.ways or [stack.enter_context(reach(source)) for source in self.sources]
            for unit in self._guarded(roots):
                self._count(unit)
                yield unit
        self._is_finished = True

    def units_with(self, code: str) -> int:
        """How many data units have a finding of this code."""
        return self._units_with[code]

    @property
    def problems(self) -> Problems:
        """All findings by code: how many data units (or files that stay at home), three examples, what to do."""
        problems = Problems()
        for code, count in self._units_with.items():
            self._add(problems, code, count, self._examples[code])
        for reason, count, examples in self._in_no_unit:
            self._add(problems, reason, count, examples)
        for suffix, (count, example) in sorted(self._no_spec.items(), key=lambda item: (-item[1][0], item[0])):
            first = printable(example)
            shown = f"{count} × {suffix or 'no extension'}, first {first}" if count > 1 else first
            self._add(problems, "no-spec", count, [shown])
        if self._alone_count:
            self._add(problems, "sidecar-alone", self._alone_count, self._alone)
        if self._is_finished and not self.unit_count:
            self._add(problems, "no-units", 1, [f"{', '.join(source.path for source in self.sources)}: no data unit"])
        return problems

    @staticmethod
    def _add(problems: Problems, code: str, count: int, examples: Sequence[str]) -> None:
        for number, example in enumerate(examples):
            problems.add(code, example, severity=SEVERITIES[code], fix=FIXES[code], count=0 if number else count)

    def _count(self, unit: Unit) -> None:
        self.unit_count += 1
        self.files += len(unit.files)
        self.bytes += unit.bytes
        for spec in unit.files:
            self.files_by_spec[spec] += 1
        for code in unit.codes:
            self._units_with[code] += 1
            examples = self._examples.setdefault(code, [])
            if len(examples) < MAX_EXAMPLES:
                examples.append(unit.told(code))
        if self.progress is not None:
            self.progress(self.files)

    def _files_in_no_unit(self) -> Iterator[tuple[str, int, list[str]]]:
        counted = self.inventory.rows("SELECT spec, count(*) FROM file WHERE unit = '' GROUP BY spec ORDER BY spec")
        for reason, count in counted:
            rows = self.inventory.rows(
                "SELECT path FROM file WHERE unit = '' AND spec = ? ORDER BY source, path LIMIT ?",
                (reason, MAX_EXAMPLES),
            )
            yield reason, count, [printable(path) for (path,) in rows]

    def _guarded(self, roots: Sequence[Access]) -> Iterator[Unit]:
        """Data units with the content guard's answers, which are asked for some pages ahead."""
        pages: deque[_Page] = deque()
        with ThreadPoolExecutor(_GUARD_WORKERS, thread_name_prefix="guard") as pool:
            try:
                for units in _chunks(self._checked(roots), _PAGE):
                    asked = pool if self.guard else None
                    pages.append(_Page(units, self.inventory, roots, asked, self._converts))
                    if len(pages) > _AHEAD:
                        yield from pages.popleft().finished()
                while pages:
                    yield from pages.popleft().finished()
            finally:
                # Whoever iterates may stop early: what has not been started is not needed.
                pool.shutdown(wait=True, cancel_futures=True)

    def _checked(self, roots: Sequence[Access]) -> Iterator[Unit]:
        """Data units with every finding that needs no look into a file."""
        needs_specs = any(spec.is_required for spec in self.specs)
        # A folder is a data unit whatever is in it; a name needs more than a file about it.
        of_names = not getattr(getattr(self.place, "grouping", None), "is_folder", True)
        for key, rows in groupby(placed_rows(self.inventory), key=itemgetter(0)):
            candidates: dict[str, Candidates] = {}
            beside = Candidates()
            for _, spec, _, *values in rows:
                if spec == SIDECAR:
                    beside.add(File(*values))
                elif spec:
                    candidates.setdefault(spec, Candidates()).add(File(*values))
                else:
                    self._stays_at_home(values[1])
            if not candidates and (of_names or not needs_specs):
                self._alone.extend(printable(file.path) for file in beside.first()[:MAX_EXAMPLES])
                self._alone_count += beside.count
                del self._alone[MAX_EXAMPLES:]
                continue
            unit = Unit(key, sidecars=beside.first(), roots=roots)
            check_unit(unit.key, unit.files, unit.findings, candidates, self.specs, self.limits, self._converts)
            if beside.count > len(unit.sidecars):
                # Never a silent choice of which of them are read.
                said = f"{printable(key)}: {beside.count:,} sidecars, at most {len(unit.sidecars)} are read"
                unit.findings.append(Finding("too-many-sidecars", key, said))
            yield unit

    def _stays_at_home(self, path: str) -> None:
        suffix = suffix_of(path)
        if suffix not in self._no_spec and len(self._no_spec) >= _MOST_SUFFIXES:
            suffix = "other"
        count, first = self._no_spec.get(suffix, (0, path))
        self._no_spec[suffix] = (count + 1, min(first, path))


def survey(
    inventory: Inventory,
    sources: Sequence[Source],
    place: PlaceFunction,
    specs: Sequence[SpecPlan],
    limits: Limits,
    *,
    guard: bool = True,
    progress: Callable[[int], None] | None = None,
    conversions: Sequence[Conversion] = (),
    ways: Sequence[Access] = (),
) -> Survey:
    """Look at every data unit that the files of a walked inventory make.

    Args:
        inventory: after `walk(sources)`.
        sources: the same sources.
        place: a `Place`, or a function of the script's own.
        specs: the collection's file specifications.
        limits: `max_file_size_mb` counts here.
        guard: whether to ask the SDK's content guard about every file.
        progress: called with the number of files so far.
        conversions: extensions that a specification does not take and that become one that it does.
        ways: to the sources, if they are open already.
    """
    return Survey(inventory, sources, place, specs, limits, guard, progress, conversions, ways)


class _Page:
    """Some data units whose files the guard is being asked about."""

    def __init__(
        self,
        units: list[Unit],
        inventory: Inventory,
        roots: Sequence[Access],
        pool: ThreadPoolExecutor | None,
        conversions: Converts,
    ) -> None:
        self._units = units
        self._inventory = inventory
        self._asked: list[Future[dict[bytes, str | OSError]]] = []
        self._keys: list[list[tuple[bytes, str, File]]] = []
        if pool is None:
            return
        for unit in units:
            asked = [
                (guard_key(roots[file.source].name, file), spec, file)
                for spec, file in unit.files.items()
                # What is converted is judged by what becomes of it, when it is sent.
                if may_ask_guard(unit.findings, spec) and not converts(conversions, spec, file)
            ]
            self._keys.append(asked)
        self._known = inventory.guard_answers([key for keys in self._keys for key, _, _ in keys])
        open_questions = {
            key: (roots[file.source], file) for keys in self._keys for key, _, file in keys if key not in self._known
        }
        if open_questions:
            # Here and not before: what is known already needs no SDK, which takes longer to load than a small survey.
            content_guard()
        for some in batched(open_questions.items(), _FILES_A_TASK):
            self._asked.append(pool.submit(_ask_all, some))

    def finished(self) -> Iterator[Unit]:
        """The data units with the guard's findings; new answers are kept first."""
        failed: dict[bytes, OSError] = {}
        answers: dict[bytes, str] = {}
        for future in self._asked:
            for key, answer in future.result().items():
                if isinstance(answer, OSError):
                    failed[key] = answer
                else:
                    answers[key] = answer
        if answers:
            self._inventory.keep_guard_answers(answers.items())
            self._known.update(answers)
        for unit, keys in zip(self._units, self._keys, strict=False):
            for key, spec, file in keys:
                if key in failed:
                    unit.findings.append(unreadable_finding(unit.key, spec, file, failed[key]))
                elif self._known[key]:
                    unit.findings.append(guard_finding(unit.key, spec, file, self._known[key]))
        yield from self._units


def _ask_all(questions: Sequence[tuple[bytes, tuple[Access, File]]]) -> dict[bytes, str | OSError]:
    """The guard's answers about some files; one that can't be read is an answer too.

    Of a file elsewhere the name is all that can be asked about: the rest is, when it is here to be sent.
    """
    answers: dict[bytes, str | OSError] = {}
    for key, (root, file) in questions:
        try:
            if root.is_remote:
                answers[key] = ask_guard_about_name(file.name)
            else:
                answers[key] = ask_guard(Path(root.name), file)
        except OSError as error:
            answers[key] = error
    return answers


def _chunks(units: Iterator[Unit], files: int) -> Iterator[list[Unit]]:
    """Data units in lists that hold about so many files."""
    chunk: list[Unit] = []
    held = 0
    for unit in units:
        chunk.append(unit)
        held += 1 + len(unit.files)
        if held >= files:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk
