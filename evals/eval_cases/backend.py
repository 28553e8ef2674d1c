"""What the sandbox has, read from its state on disk: running or not, and not through its own answers."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval_cases.wrong import Wrong


@dataclass(frozen=True)
class Unit:
    """A data unit: the SHA-1 of each file as it arrived, by specification."""

    id: int
    files: dict[str, str]
    meta: dict[str, Any]
    groups: list[Any]


class Backend:
    """A sandbox's state.

    Raises:
        Wrong: there is none; nothing can have arrived then.
    """

    def __init__(self, state: Path) -> None:
        self.state = state
        if not (state / "sandbox.sqlite").is_file():
            raise Wrong("the backend has no state: it was never started")

    def _rows(self, query: str, **values: Any) -> Iterator[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.state / 'sandbox.sqlite'}?mode=ro", uri=True)) as db:
            yield from db.execute(query, values)

    def units(self, collection: int | None = None) -> list[Unit]:
        """All data units of a collection, or of all."""
        sums = dict(self._rows("select id, sha1 from data_file"))
        query = """
            select id, files, meta, groups from data_unit
            where :collection is null or collection = :collection order by id
        """
        return [
            Unit(
                number,
                {spec: sums[entry["data_file"]] for spec, entry in json.loads(files).items()},
                json.loads(meta or "{}") or {},
                json.loads(groups or "[]") or [],
            )
            for number, files, meta, groups in self._rows(query, collection=collection)
        ]

    def tasks(self, project: int) -> list[int]:
        """The data unit of every task of a project."""
        query = "select data_unit from task where project = :project order by id"
        return [unit for (unit,) in self._rows(query, project=project)]

    def content(self, sha1: str) -> bytes:
        """The bytes of a file that has arrived."""
        for key, source in self._rows("select key, source from data_file where sha1 = :sha1", sha1=sha1):
            name = key.rpartition("/")[2]
            path = Path(source) if source else self.state / "objects" / name[:2] / name
            if path.is_file():
                return path.read_bytes()
        raise Wrong(f"no file with SHA-1 {sha1} has arrived")


def sha1(content: bytes) -> str:
    """As the backend counts it."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
