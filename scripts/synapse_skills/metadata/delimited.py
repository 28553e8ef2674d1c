"""CSV and TSV: streamed, all text. What a number is, the schema says."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from synapse_skills.metadata import limits
from synapse_skills.metadata.grid import CHUNK, Chunk
from synapse_skills.metadata.text import bad, encoding_of

_DELIMITERS = ",\t;|"
_SAMPLE_LINES = 50
_SAMPLE_CHARS = 200_000


class DelimitedGrid:
    """The rows of a CSV or TSV file, read from the disk each time.

    Raises:
        UsageError: `no-table`.
        FindingError: `bad-table`: empty, or in no known encoding.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._encoding = encoding_of(path)
        try:
            with path.open(encoding=self._encoding, newline="") as text:
                sample = text.read(_SAMPLE_CHARS)
        except UnicodeDecodeError:
            # It begins with the mark of an encoding, and what follows is something else, or cut off.
            raise bad(path, f"is not the {self._encoding} that its first bytes say", "Save it as UTF-8.") from None
        if not sample.strip():
            raise bad(path, "is empty", "It needs a line with the names of its columns.")
        self._delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(sample.splitlines()[:_SAMPLE_LINES])

    def chunks(self) -> Iterator[Chunk]:
        """(line numbers, rows); a row that takes several lines has the number of the first.

        Raises:
            FindingError: `bad-table`: a quote that never ends, a cell or a row beyond the limits, not the encoding.
        """
        csv.field_size_limit(limits.MAX_CELL_BYTES)
        with self.path.open(encoding=self._encoding, newline="") as text:
            reader = csv.reader(text, delimiter=self._delimiter, strict=True)
            numbered = self._numbered(reader)
            try:
                while chunk := list(islice(numbered, CHUNK)):
                    yield [number for number, _ in chunk], [row for _, row in chunk]
            except csv.Error as error:
                raise bad(
                    self.path,
                    f"line {reader.line_num:,} is no row: {error}",
                    "Mend the quotes there, or save it again.",
                ) from None
            except UnicodeDecodeError:
                raise bad(self.path, f"is no text behind line {reader.line_num:,}", "Save it as UTF-8.") from None

    def _numbered(self, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
        before = 0
        for row in reader:
            line, before = before + 1, reader.line_num  # type: ignore[attr-defined]
            if len(row) > limits.MAX_COLUMNS:
                raise bad(
                    self.path,
                    f"line {line:,} has {len(row):,} columns, more than {limits.MAX_COLUMNS:,}",
                    "Each row is one data unit, each column one value of it: leave the other columns out.",
                )
            yield line, row


def _delimiter(lines: Sequence[str]) -> str:
    """The mark that cuts most lines into the same number of cells."""
    best, chosen = (0, 0), ","
    for mark in _DELIMITERS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=mark) if any(cell.strip() for cell in row)]
        except csv.Error:
            continue
        width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
        if width > 1 and (count, width) > best:
            best, chosen = (count, width), mark
    return chosen
