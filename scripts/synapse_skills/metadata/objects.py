"""JSON tables: a list of objects, an object of objects keyed by name, or one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from synapse_skills.errors import printable
from synapse_skills.metadata import limits
from synapse_skills.metadata.grid import CHUNK, Chunk
from synapse_skills.metadata.plain import finite
from synapse_skills.metadata.text import bad, encoding_of

_HINT = 'Write one JSON object a line: {"name": …, "age": …}.'
_LINES = (".jsonl", ".ndjson")


class ObjectsGrid:
    """The objects of a JSON file as rows.

    Attributes:
        names: all keys, in the order in which they first occur.
        twice: rows that have a key twice, and the key.

    Raises:
        UsageError: `no-table`.
        FindingError: `bad-table`: no JSON, or not objects.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.twice: list[tuple[int, str]] = []
        self._encoding = encoding_of(path)
        self._whole: list[tuple[int, dict[str, Any]]] | None = None
        if path.suffix.lower() not in _LINES:
            self._whole = self._document()
        names: dict[str, None] = {}
        for number, row in self._objects():
            if not names.keys() >= row.keys():
                names |= dict.fromkeys(row)
                if len(names) > limits.MAX_COLUMNS:
                    raise bad(
                        path,
                        f"has more than {limits.MAX_COLUMNS:,} different keys (row {number:,})",
                        "Each object is one data unit, with a value for each field of its metadata.",
                    )
            if isinstance(row, _Twice):
                self.twice += [(number, key) for key in row.twice]
        self.names = list(names)

    def chunks(self) -> Iterator[Chunk]:
        """(line numbers, rows); an object of a list has its place in the list, from 1."""
        numbers: list[int] = []
        rows: list[list[Any]] = []
        for number, row in self._objects():
            numbers.append(number)
            rows.append(["" if (value := row.get(name)) is None else value for name in self.names])
            if len(rows) == CHUNK:
                yield numbers, rows
                numbers, rows = [], []
        if rows:
            yield numbers, rows

    def _objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        if self._whole is not None:
            yield from self._whole
            return
        with self.path.open(encoding=self._encoding) as text:
            number = 0
            while line := text.readline(limits.MAX_LIST_BYTES):
                number += 1
                if line.strip():
                    yield number, self._object(number, self._parse(line, f"line {number:,} is not JSON"))

    def _document(self) -> list[tuple[int, dict[str, Any]]] | None:
        """All of a .json file; None if it is one object a line after all."""
        size = self.path.stat().st_size
        with self.path.open(encoding=self._encoding) as text:
            first = text.readline(limits.MAX_LIST_BYTES)
            if size > limits.MAX_LIST_BYTES or text.readline(limits.MAX_LIST_BYTES).startswith("{"):
                if not first.lstrip().startswith("{"):
                    raise bad(self.path, f"has {size // limits.MIB:,} MB and must be read whole", _HINT)
                return None
            text.seek(0)
            content = text.read()
        if not content.strip():
            raise bad(self.path, "is empty", _HINT)
        document = self._parse(content, "is not JSON")
        if isinstance(document, list):
            return [(number, self._object(number, row)) for number, row in enumerate(document, 1)]
        if not isinstance(document, dict):
            raise bad(self.path, "is JSON, but neither a list of objects nor an object of objects", _HINT)
        if document and not any(isinstance(row, dict) for row in document.values()):
            # One object is one data unit.
            return [(1, document)]
        return self._keyed(document)

    def _keyed(self, document: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
        key = "name"
        while any(key in row for row in document.values() if isinstance(row, dict)):
            key = "key" if key == "name" else f"{key}_"
        if isinstance(document, _Twice):
            raise bad(
                self.path,
                f"has {printable(document.twice[0])} twice, so one of its objects would be lost",
                "Rename or remove one of them.",
            )
        return [
            (number, {key: name} | self._object(number, row)) for number, (name, row) in enumerate(document.items(), 1)
        ]

    def _object(self, number: int, row: Any) -> dict[str, Any]:
        if not isinstance(row, dict):
            raise bad(self.path, f"row {number:,} is not a JSON object", _HINT)
        return row

    def _parse(self, content: str, said: str) -> Any:
        try:
            return json.loads(content, parse_constant=_no_constant, parse_float=finite, object_pairs_hook=_pairs)
        except (ValueError, RecursionError) as error:
            why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise bad(self.path, f"{said}: {printable(why[:200])}", _HINT) from None


class _Twice(dict[str, Any]):
    """An object of which a key occurs twice; the last value stays, as everywhere."""

    twice: list[str]


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    marked = _Twice(found)
    seen = set[str]()
    marked.twice = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
    return marked


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")
