"""Looking into the SQLite files of a job without changing anything: for pages and reports, also while a run goes on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from synapse_skills.errors import FindingError, OutOfReach, printable
from synapse_skills.sources.source import File

_PAGE = 2_000


class ReadOnly:
    """One SQLite file, never written to; a context manager.

    Args:
        path: the file.
        what: what it is called in messages.

    Raises:
        FindingError: `nothing-there`: there is no such file.
        OutOfReach: it can't be opened.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what
        if not path.is_file():
            raise FindingError(
                f"There is no {what} in {printable(str(path.parent))}: nothing has been run there yet.",
                hint="Run the job first, or name the state folder that it was run with (--state).",
                code="nothing-there",
            )
        log = path.with_name(path.name + "-wal")
        # Without a log nobody is writing, and SQLite needs not leave files of its own beside it, nor may it have to.
        mode = "mode=ro" if log.is_file() and log.stat().st_size else "mode=ro&immutable=1"
        try:
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=30)
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def rows(self, query: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """The whole answer to a query that has a small one.

        Raises:
            OutOfReach: `unreadable-state`: damaged, of another version, or in use.
        """
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: sqlite3.Error) -> OutOfReach:
        return OutOfReach(
            f"The {self.what} {printable(str(self.path))} can't be read: {error}.",
            hint="Run the job again: it mends its state. If a run is under way, wait for it.",
            code="unreadable-state",
        )


class PlacedFiles(ReadOnly):
    """Which files the last run put into which data unit."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "inventory")

    def sources(self) -> list[tuple[Path, bool]]:
        """The folders that were walked, by the number that a file's `source` is, and whether those below counted."""
        text = self._state("sources")
        return [(Path(root), bool(recursive)) for root, recursive in json.loads(text)] if text else []

    def roots(self) -> list[Path]:
        """The folders that were walked, by the number that a file's `source` is."""
        return [root for root, _ in self.sources()]

    def is_whole(self) -> bool:
        """Whether the last walk came to its end: otherwise the files are a part of those on disk."""
        return bool(self._state("walk"))

    def placed_by(self) -> str:
        """What placed the files, as `units` wrote it down; '' if that is not known."""
        return self._state("placed_by")

    def is_placed(self) -> bool:
        """Whether every file was placed, by whomever."""
        return not self.rows("SELECT EXISTS (SELECT 1 FROM file WHERE unit IS NULL)")[0][0]

    def counts(self) -> tuple[int, int]:
        """Files and bytes, whether they are in a data unit or not."""
        files, size = self.rows("SELECT count(*), total(size) FROM file")[0]
        return int(files), int(size)

    def files(self, most: int) -> Iterator[File]:
        """Files by source and path, at most so many."""
        source, path = -1, ""
        while most > 0 and (
            page := self.rows(
                "SELECT source, path, size, mtime_ns FROM file WHERE (source, path) > (?, ?) "
                "ORDER BY source, path LIMIT ?",
                (source, path, min(most, _PAGE)),
            )
        ):
            for row in page:
                yield File(*row)
            most -= len(page)
            source, path = page[-1][:2]

    def _state(self, key: str) -> str:
        found = self.rows("SELECT value FROM state WHERE key = ?", (key,))
        return str(found[0][0]) if found else ""

    def files_of(self, unit: str, most: int = -1) -> list[tuple[str, File]]:
        """The files of a data unit with their specifications; those that no specification takes are not among them."""
        rows = self.rows(
            "SELECT spec, source, path, size, mtime_ns FROM file WHERE unit = ? AND spec <> '' ORDER BY spec, id "
            "LIMIT ?",
            (unit, most),
        )
        return [(spec, File(*values)) for spec, *values in rows]

    def units(self) -> Iterator[str]:
        """The keys of all data units, in order."""
        last = ""
        while page := self.rows(
            "SELECT DISTINCT unit FROM file WHERE unit > ? AND spec <> '' ORDER BY unit LIMIT ?", (last, _PAGE)
        ):
            for (unit,) in page:
                yield unit
            last = page[-1][0]
