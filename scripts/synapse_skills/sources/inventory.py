"""The inventory: every file of the sources, in one SQLite file that is made by one walk and read in every round.

Memory stays flat whatever the number of files: rows go in by batches and come out by pages (never by one long-lived
cursor, which would keep the write-ahead log from being emptied while others write to the same file).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.errors import UsageError
from synapse_skills.report import Problem
from synapse_skills.sources.access import Access, reach
from synapse_skills.sources.closing import Closing
from synapse_skills.sources.database import database_errors, is_damaged, open_database, set_aside
from synapse_skills.sources.junk import Junk
from synapse_skills.sources.source import File, Source, suffix_of
from synapse_skills.sources.twins import ODD_TABLE, find_twins
from synapse_skills.sources.walk import BATCH, Batch, Gathering, OddName, Walk

_PAGE = 2_000
# Batches in a transaction: its pages fit into SQLite's cache. Those of five times as many do not: they are written,
# read again for the log's checksums and written again, half as many writes more for the same files.
_COMMIT_EVERY = 20
_MOST_SUFFIXES = 100

_UPSERT = """
INSERT INTO file (source, path, size, mtime_ns, generation) VALUES {rows} ON CONFLICT (source, path) DO UPDATE
SET size = excluded.size, mtime_ns = excluded.mtime_ns, generation = excluded.generation
"""


@dataclass
class Counts:
    """How much there is. `by_suffix`: (files, bytes), the commonest first; beyond the first 100 all is in `other`."""

    files: int = 0
    bytes: int = 0
    by_suffix: dict[str, tuple[int, int]] = field(default_factory=dict)
    other: tuple[int, int] = (0, 0)


class Inventory(Closing):
    """One SQLite file with all files of the sources; a context manager.

    Attributes:
        path: the SQLite file.
        connection: in autocommit mode; others may keep their own tables in it. One thread at a time.
        made_anew: why an existing file could not be used, '' if it could.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.connection, self.made_anew = open_database(self.path)

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self.connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is written or nothing is; SQLite's complaints become errors that a user can act on."""
        with database_errors(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already.
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The whole answer to a query that has a small one."""
        with database_errors(self.path):
            return self.connection.execute(query, values).fetchall()

    def state(self, key: str) -> str:
        """A word that was kept with `keep_state`, '' if there is none."""
        found = self.rows("SELECT value FROM state WHERE key = ?", (key,))
        return str(found[0][0]) if found else ""

    def keep_state(self, key: str, value: str) -> None:
        """Keep a word in the file; '' forgets it."""
        with database_errors(self.path):
            self.connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))

    def walk(
        self,
        sources: Sequence[Source],
        *,
        progress: Callable[[int], None] | None = None,
        limit: int | None = None,
        spread: bool = False,
        way_to: Callable[[Source], Access] = reach,
    ) -> Walk:
        """Bring the inventory up to date with the disk.

        What is unchanged (path, size, time of change) keeps its place and its content guard answer; what has
        vanished goes. Killed half way, the next walk makes up for it.

        Args:
            sources: where to look; nested ones are allowed, each sees its own files.
            progress: called with the number of files so far, every few thousand.
            limit: stop after so many files: a sample, which removes nothing and is not kept as `last_walk`.
            spread: the sample takes from every source alike, and from no folder more than half of what is left, so
                that a folder by type with a million files does not hide the others.
            way_to: opens the way to a source; closed at the end.

        Raises:
            OutOfReach: a source can't be read, the disk is full, the inventory is in use.
        """
        if not sources:
            raise UsageError("No source was named", hint="Name the folder with the files.", code="no-source")
        with contextlib.ExitStack() as stack:
            ways = [stack.enter_context(way_to(source)) for source in sources]
            try:
                return self._walk(ways, progress, limit, spread)
            except Exception as error:
                if not isinstance(error.__cause__, sqlite3.Error) or not is_damaged(error.__cause__):
                    raise
            self.close()
            set_aside(self.path)
            self.connection, _ = open_database(self.path)
            self.made_anew = "it was damaged"
            return self._walk(ways, progress, limit, spread)

    def _walk(
        self,
        ways: Sequence[Access],
        progress: Callable[[int], None] | None,
        limit: int | None,
        spread: bool,
    ) -> Walk:
        walk, junk = Walk(), Junk()
        generation = self._begin([way.source for way in ways], walk)
        with database_errors(self.path):
            self.connection.execute(f"DROP TABLE IF EXISTS {ODD_TABLE}")
            self.connection.execute(f"CREATE TEMP TABLE {ODD_TABLE} (source INTEGER, fold TEXT, path TEXT)")
        share = max(1, limit // len(ways)) if limit is not None and spread else None
        walkers = (
            (way.name, way.walker(index, walk=walk, junk=junk, limit=limit, share=share))
            for index, way in enumerate(ways)
        )
        for batches in _grouped(_batches(walkers, walk, limit), _COMMIT_EVERY):
            with self.transaction() as connection:
                for source, batch, odd in batches:
                    if batch:
                        rows = ",".join([f"({source},?,?,?,{generation})"] * (len(batch) // 3))
                        connection.execute(_UPSERT.format(rows=rows), batch)
                    if odd:
                        connection.executemany(f"INSERT INTO {ODD_TABLE} VALUES (?, ?, ?)", odd)  # noqa: S608
                    if progress is not None:
                        progress(walk.files)
        with self.transaction() as connection:
            if walk.complete:
                connection.execute("DELETE FROM file WHERE generation <> ?", (generation,))
            find_twins(connection, generation, walk.problems)
            connection.execute(f"DROP TABLE {ODD_TABLE}")
        junk.report(walk.problems)
        if walk.complete:
            self.keep_state("walk", _walk_text(walk))
        return walk

    def fill(self, sources: Sequence[Source], rows: Iterable[tuple[int, str, int, int]], walk: Walk) -> Walk:
        """Bring the inventory up to date with what somebody else's walk has found, where these files are.

        Args:
            sources: the folders.
            rows: source, path, size and time of change of every file.
            walk: what that walk came to.
        """
        generation = self._begin(sources, walk)
        for batch in itertools.batched(rows, BATCH):
            with self.transaction() as connection:
                values = ",".join([f"(?,?,?,?,{generation})"] * len(batch))
                connection.execute(_UPSERT.format(rows=values), [value for row in batch for value in row])
        with self.transaction() as connection:
            connection.execute("DELETE FROM file WHERE generation <> ?", (generation,))
        self.keep_state("walk", _walk_text(walk))
        return walk

    def _begin(self, sources: Sequence[Source], walk: Walk) -> int:
        """A new generation of files; those of other folders go."""
        if self.made_anew:
            walk.problems.add("inventory-made-anew", f"{self.path.name}: {self.made_anew}", severity="info")
        generation = int(self.state("generation") or 0) + 1
        self.keep_state("generation", str(generation))
        self.keep_state("walk", "")
        if self.state("sources") != _sources_text(sources):
            # Other folders: the guard's answers hold all the same, the rows would only be in the way.
            with self.transaction() as connection:
                connection.execute("DELETE FROM file")
            self.keep_state("sources", _sources_text(sources))
        return generation

    def last_walk(self, sources: Sequence[Source]) -> Walk | None:
        """What the last walk over exactly these sources found, if it came to its end and no other came after it."""
        text = self.state("walk")
        if not text:
            return None
        if not self.is_of(sources):
            return None
        kept = json.loads(text)
        walk = Walk(kept["files"], kept["bytes"], kept["folders"])
        for problem in kept["problems"]:
            walk.problems.merge(Problem.model_validate(problem))
        return walk

    def is_of(self, sources: Sequence[Source]) -> bool:
        """Whether the files are those of these sources, in this order."""
        return self.state("sources") == _sources_text(sources)

    def files(self) -> Iterator[File]:
        """All files, ordered by source and path, whatever the order on disk."""
        query = (
            "SELECT source, path, size, mtime_ns FROM file WHERE (source, path) > (?, ?) ORDER BY source, path LIMIT ?"
        )
        source, path = -1, ""
        while page := self.rows(query, (source, path, _PAGE)):
            for row in page:
                yield File(*row)
            source, path = page[-1][:2]

    def untaken(self) -> Iterator[tuple[int, str, str, str]]:
        """Files that fill no specification, once all are placed: source, path, data unit ('' if in none), why."""
        query = """SELECT source, path, unit, spec, id FROM file WHERE (unit = '' OR spec = '') AND unit IS NOT NULL
                   AND (source, path) > (?, ?) ORDER BY source, path LIMIT ?"""
        source, path = -1, ""
        while page := self.rows(query, (source, path, _PAGE)):
            for row in page:
                yield row[0], row[1], row[2], row[3]
            source, path = page[-1][:2]

    def counts(self) -> Counts:
        """Files and bytes, in all and for each suffix."""
        with database_errors(self.path):
            self.connection.create_function("suffix_of", 1, suffix_of, deterministic=True)
            found = self.connection.execute(
                "SELECT suffix_of(path) AS suffix, count(*), total(size) FROM file GROUP BY suffix ORDER BY 2 DESC, 1"
            )
            counts = Counts()
            for suffix, files, size in found:
                counts.files += files
                counts.bytes += int(size)
                if len(counts.by_suffix) < _MOST_SUFFIXES:
                    counts.by_suffix[suffix] = (files, int(size))
                else:
                    counts.other = (counts.other[0] + files, counts.other[1] + int(size))
        return counts

    def guard_answers(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The content guard's kept answers among these keys; '' says that a file may be uploaded."""
        answers: dict[bytes, str] = {}
        with database_errors(self.path):
            # One by one: a statement with a mark for each key would be compiled anew each time.
            for key in keys:
                found = self.connection.execute("SELECT answer FROM guard WHERE key = ?", (key,)).fetchone()
                if found is not None:
                    answers[key] = found[0]
        return answers

    def keep_guard_answers(self, answers: Iterable[tuple[bytes, str]]) -> None:
        """Keep answers of the content guard by key (absolute path, size, time of change)."""
        with self.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO guard VALUES (?, ?)", answers)

    def borrow_guard(self, other: Path) -> int:
        """Copy the content guard's answers from another inventory, as a job does from its planner's.

        An answer holds for one absolute path, size and time of change, so one that does not fit is never asked for.

        Returns:
            How many there were to borrow. None if the other file is not there, is not usable, or may not be read: it
            saves time and nothing else, so then the guard is simply asked again.
        """
        if not other.is_file() or other.samefile(self.path):
            return 0
        lender: sqlite3.Connection | None = None
        borrowed = 0
        try:
            lender = sqlite3.connect(f"{other.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
            answers = lender.execute("SELECT key, answer FROM guard")
            while page := answers.fetchmany(_PAGE):
                self.keep_guard_answers(page)
                borrowed += len(page)
        except sqlite3.Error:
            return borrowed
        finally:
            if lender is not None:
                lender.close()
        return borrowed


_Found = tuple[int, Batch, list[OddName]]


def _batches(walkers: Iterable[tuple[str, Gathering[Any]]], walk: Walk, limit: int | None) -> Iterator[_Found]:
    """All batches of all sources, until the limit."""
    for source, (name, walker) in enumerate(walkers):
        for batch in walker.batches():
            odd, walker.odd = walker.odd, []
            yield source, batch, odd
            if limit is not None and walk.files >= limit:
                walk.complete = False
                return
        if not walker.files:
            walk.problems.add(
                "empty-source",
                f"{name}: no file to upload",
                fix="Check the path; if the files lie in folders below it, the source must be recursive.",
            )


def _grouped(batches: Iterator[_Found], size: int) -> Iterator[Iterator[_Found]]:
    """Runs of `size` batches, each for one transaction, without holding more than one batch."""

    def run(first: _Found) -> Iterator[_Found]:
        yield first
        for _, batch in zip(range(size - 1), batches, strict=False):
            yield batch

    for first in batches:
        yield run(first)


def _sources_text(sources: Sequence[Source]) -> str:
    return json.dumps([[source.name(), source.recursive] for source in sources])


def _walk_text(walk: Walk) -> str:
    return json.dumps(
        {
            "files": walk.files,
            "bytes": walk.bytes,
            "folders": walk.folders,
            "problems": [problem.model_dump() for problem in walk.problems.as_list()],
        }
    )
