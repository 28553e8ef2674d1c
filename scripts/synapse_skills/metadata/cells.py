"""What a sheet of an .xlsx holds that calamine does not tell, found before calamine reads it.

calamine allocates the whole rectangle between the first and the last value, so one cell at XFD1048576 would take 500
GB; it shows an error and a formula without a value as an empty cell, and a long number rounded. Sheets as every common
program writes them are searched with regular expressions, a few megabytes at a time: much faster than a parser.
Whatever is written in another way goes through a parser (`_parsed`), which decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any
from xml.parsers import expat

from synapse_skills.metadata import limits
from synapse_skills.metadata.grid import column_of
from synapse_skills.metadata.parts import Parts, xml_parser
from synapse_skills.metadata.text import bad

_SAVE = "Open it in Excel or LibreOffice and save it again as .xlsx, or as CSV in UTF-8."
# Cells with a prefix, which the search does not understand.
_PREFIXED = re.compile(rb":c[\s/>]")
_ERROR = re.compile(rb'<c r="([A-Z]{1,3})([0-9]{1,7})"[^>]*? t="e"')
_NO_VALUE = re.compile(
    rb'<c r="([A-Z]{1,3})([0-9]{1,7})"([^>]*)>\s*<f(?:\s[^>]*)?(?:/>|>[^<]*</f>)\s*(</c>|<v\s*/>|<v>\s*</v>)'
)
_LONG = re.compile(rb'<c r="([A-Z]{1,3})([0-9]{1,7})"([^>]*)>\s*(?:<f[^<]*</f>)?<v>(-?[0-9]{16,400})</v>')
_SHARED = re.compile(rb't="s"[^>]*>\s*<v>([0-9]{1,9})</v>')

Ref = tuple[int, int]
"""Row and column, both from 0."""


@dataclass(slots=True)
class Seen:
    """What one sheet holds.

    Attributes:
        low: the first row and column with a value, from 0.
        high: the last ones; -1 if there is no value.
        errors: cells that show #N/A and the like.
        unvalued: formulas that were never calculated.
        text_bytes: all text, at most; a shared one counts for each cell that shows it.
        announced: cells that an .xls says it has.
    """

    low: list[int] = field(default_factory=lambda: [1 << 40, 1 << 40])
    high: list[int] = field(default_factory=lambda: [-1, -1])
    errors: list[Ref] = field(default_factory=list)
    unvalued: list[Ref] = field(default_factory=list)
    text_bytes: int = 0
    announced: int = 0

    def hold(self, row: int, column: int) -> None:
        """Make the rectangle hold a cell."""
        self.low = [min(self.low[0], row), min(self.low[1], column)]
        self.high = [max(self.high[0], row), max(self.high[1], column)]

    @property
    def cells(self) -> int:
        """Cells of the rectangle: what calamine will allocate."""
        return max(0, self.high[0] - self.low[0] + 1) * max(0, self.high[1] - self.low[1] + 1)


def look(parts: Parts, sheet: str, lengths: list[int]) -> Seen:
    """What a sheet holds, and that it can be read in bounded memory.

    Args:
        parts: the workbook.
        sheet: the path of the sheet in it.
        lengths: bytes of each shared text.

    Raises:
        FindingError: `bad-table`: damaged, or too large in one way or another.
    """
    seen = _searched(parts.path, parts.chunks(sheet), lengths)
    if seen is None or _too_large(seen):
        seen = _parsed(parts.path, parts.chunks(sheet), lengths)
    check_size(parts.path, seen)
    return seen


def check_size(path: Path, seen: Seen) -> None:
    """Refuse a sheet that would take the machine's memory.

    Raises:
        FindingError: `bad-table`.
    """
    if said := _too_large(seen):
        raise bad(path, said, "Delete what lies far from the table (Ctrl+End shows it), or save it as CSV.")


def _too_large(seen: Seen) -> str:
    if seen.high[0] >= limits.MAX_ROWS:
        return f"has a value in row {seen.high[0] + 1:,}, and a sheet ends at {limits.MAX_ROWS:,}"
    if seen.high[1] >= limits.MAX_COLUMNS:
        return f"has a value in column {seen.high[1] + 1:,}, and a sheet ends at {limits.MAX_COLUMNS:,}"
    if seen.cells > limits.MAX_CELLS:
        return f"spans {seen.cells:,} cells, more than {limits.MAX_CELLS:,}: up to {name_of(*seen.high)}"
    if seen.announced > limits.MAX_ANNOUNCED:
        return f"announces {seen.announced:,} cells, more than an .xls can have"
    if seen.text_bytes > limits.MAX_TEXT_BYTES:
        return f"holds {seen.text_bytes // limits.MIB:,} MB of text, more than {limits.MAX_TEXT_BYTES // limits.MIB:,}"
    return ""


def text_lengths(parts: Parts) -> list[int]:
    """Bytes of each shared text of a workbook.

    A text of a megabyte that a million cells show is a bomb of its own.
    """
    if not parts.strings:
        return []
    found: list[int] = []
    rest = 0
    for chunk in parts.chunks(parts.strings):
        pieces = [len(piece) for piece in chunk.split(b"/si>")]
        pieces[0] += rest
        rest = pieces.pop()
        found += pieces
        if rest > limits.MAX_CELL_BYTES:
            raise bad(parts.path, "holds a text of more than a megabyte", "Shorten it, or save it as CSV.")
    return found


def _pieces(path: Path, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut where a cell begins."""
    rest = b""
    for chunk in chunks:
        buffer = rest + chunk
        cut = max(buffer.rfind(b"<c "), buffer.rfind(b"<row"))
        if cut < 0 or b"</sheetData>" in buffer[cut:]:
            # Before the cells or behind them; a tag that is cut in two stays whole.
            cut = max(0, buffer.rfind(b"<"))
        rest = buffer[cut:]
        if len(rest) > limits.MAX_CELL_BYTES:
            raise bad(path, "holds a cell of more than a megabyte", "Shorten it, or save it as CSV.")
        if cut:
            yield buffer[:cut]
    yield rest


def _searched(path: Path, chunks: Iterable[bytes], lengths: list[int]) -> Seen | None:
    """By regular expressions; None if the sheet is written in a way that they may not understand."""
    # Here: it brings numpy, and a job that reads frozen rows never sees a workbook.
    from synapse_skills.metadata.extents import tags_of

    seen = Seen()
    longest = max(lengths, default=0)
    for piece in _pieces(path, chunks):
        # Comments, CDATA, declarations, UTF-16: left to the parser.
        if b"\0" in piece or (b":" in piece and b":c" in piece and _PREFIXED.search(piece)):
            return None
        extent, declares, formulas = tags_of(piece)
        if extent is None or declares:
            return None
        if not extent:
            continue
        seen.hold(*extent[:2])
        seen.hold(*extent[2:])
        seen.text_bytes += len(piece) if b'inlineStr"' in piece or b't="str"' in piece else 0
        if shared := piece.count(b't="s"'):
            if shared * longest < len(piece):
                seen.text_bytes += shared * longest
            else:
                # A text that is not there is calamine's to refuse.
                numbers = map(int, _SHARED.findall(piece))
                seen.text_bytes += sum(lengths[number] for number in numbers if number < len(lengths))
        _note(path, seen, piece, formulas)
    return seen


def _note(path: Path, seen: Seen, piece: bytes, formulas: bool) -> None:
    if b't="e"' in piece:
        seen.errors += [(int(row) - 1, column_of(column)) for column, row in _ERROR.findall(piece)]
    if formulas:
        for column, row, attributes, end in _NO_VALUE.findall(piece):
            # A formula whose result is the empty text is calculated.
            if end == b"</c>" or b't="str"' not in attributes:
                seen.unvalued.append((int(row) - 1, column_of(column)))
    _few(path, seen)


def _few(path: Path, seen: Seen) -> None:
    if len(seen.errors) + len(seen.unvalued) > limits.MAX_NOTED:
        raise bad(
            path,
            f"has more than {limits.MAX_NOTED:,} cells that are errors or formulas without a value",
            "Open it in Excel, let it calculate, and save it; or save it as CSV.",
        )


def long_numbers(parts: Parts, sheet: str) -> dict[Ref, int]:
    """Whole numbers of 16 and more digits exactly as written, where calamine gives the nearest float."""
    found: dict[Ref, int] = {}
    for piece in _pieces(parts.path, parts.chunks(sheet)):
        for column, row, attributes, digits in _LONG.findall(piece):
            if len(found) < limits.MAX_NOTED and (b' t="' not in attributes or b't="n"' in attributes):
                found[int(row) - 1, column_of(column)] = int(digits)
    return found


class _Reader:
    """The same by a parser, in the way in which calamine counts cells that don't say where they are."""

    def __init__(self, path: Path, lengths: list[int]) -> None:
        self.seen = Seen()
        self._path = path
        self._longest = max(lengths, default=0)
        self._row = self._column = -1
        self._type = ""
        self._inside = ""
        self._has: set[str] = set()
        self._value: list[str] = []
        self._size = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if tag == "row":
            said = attributes.get("r", "")
            self._row, self._column = (int(said[:9]) - 1 if said.isdecimal() else self._row + 1), -1
        elif tag == "c":
            row, column = _place(attributes.get("r", ""))
            self._row = self._row if row is None else row
            self._column = self._column + 1 if column is None else column
            self._type, self._has, self._value = attributes.get("t", ""), set(), []
            self._size = 0
        elif tag in ("v", "f", "is"):
            self._has.add(tag)
            self._inside = tag

    def text(self, text: str) -> None:
        """Characters of a value."""
        if self._inside:
            self._size += len(text)
            if self._inside == "v":
                self._value.append(text)
            if self._size > limits.MAX_CELL_BYTES:
                raise bad(self._path, "holds a cell of more than a megabyte", "Shorten it, or save it as CSV.")

    def end(self, tag: str) -> None:
        """A cell is known when it ends."""
        tag = tag.rpartition(":")[2]
        if tag in ("v", "f", "is"):
            self._inside = ""
        if tag != "c":
            return
        place, value, seen = (max(0, self._row), max(0, self._column)), "".join(self._value), self.seen
        seen.text_bytes += self._longest if self._type == "s" else self._size
        if {"v", "is"} & self._has:
            seen.hold(*place)
        if self._type == "e":
            seen.errors.append(place)
        elif "f" in self._has and not value and not ("v" in self._has and self._type == "str"):
            seen.unvalued.append(place)
        _few(self._path, seen)


def _parsed(path: Path, chunks: Iterable[bytes], lengths: list[int]) -> Seen:
    parser: Any = xml_parser(path)
    reader = _Reader(path, lengths)
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    try:
        for chunk in chain(chunks, [b""]):
            parser.Parse(chunk, not chunk)
    except expat.ExpatError as error:
        raise bad(path, f"is damaged: {error}", _SAVE) from None
    return reader.seen


def _place(ref: str) -> tuple[int | None, int | None]:
    """Row and column of `C5`, None for what it does not say; letters and digits without end are cut, not read."""
    letters = re.match("[A-Za-z]*", ref)
    text = letters[0] if letters else ""
    digits = ref[len(text) :]
    row = int(digits[:12]) - 1 if digits.isdecimal() else None
    return row, column_of(text[:8].upper().encode()) if text else None


def letter_of(column: int) -> str:
    """2 → `C`."""
    letters = ""
    number = column + 1
    while number > 0:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def name_of(row: int, column: int) -> str:
    """(4, 2) → `C5`."""
    return f"{letter_of(column)}{row + 1}"
