"""Workbooks: .xlsx, .xlsm and .xls, read by calamine after `parts`, `cells` and `biff` have looked them over.

calamine reads both formats, and twenty times faster than openpyxl, which can't read .xls.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from itertools import batched
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError, OutOfReach, UsageError, printable
from synapse_skills.metadata import biff, cells, limits
from synapse_skills.metadata.cells import Ref, Seen
from synapse_skills.metadata.grid import CHUNK, Chunk
from synapse_skills.metadata.parts import Parts
from synapse_skills.metadata.text import bad, first_bytes

_SAVE = "Open it in Excel or LibreOffice and save it again as .xlsx, or as CSV in UTF-8."


def is_workbook(head: bytes) -> bool:
    """Whether a file begins as a workbook does, or any other zip or Office file."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06", biff.MAGIC))


class Workbook:
    """A workbook that is safe to read.

    Raises:
        UsageError: `no-table`: it can't be opened.
        FindingError: `bad-table`: see `parts` and `biff`.
        OutOfReach: `missing-library`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        calamine = _calamine()
        content = self._content()
        self._parts: Parts | None = None
        self._seen: list[Seen] = []
        if content.startswith(biff.MAGIC):
            # calamine tries one format after the other, and only one of them has been looked over.
            if zipfile.is_zipfile(io.BytesIO(content)):
                raise bad(path, "is two files in one", _SAVE)
            self._seen = biff.look(path, content)
            for seen in self._seen:
                # calamine reads all sheets of an .xls when it opens it.
                cells.check_size(path, seen)
            if sum(seen.cells for seen in self._seen) > limits.MAX_CELLS:
                raise bad(path, f"spans more than {limits.MAX_CELLS:,} cells in all its sheets", _SAVE)
        else:
            self._parts = Parts(path, content)
            self._parts.verify()
            self._lengths = cells.text_lengths(self._parts)
        with _guarded(path):
            self._book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
            listed = list(self._book.sheets_metadata)
        names = [sheet.name for sheet in self._parts.sheets] if self._parts else [sheet.name for sheet in listed]
        if [sheet.name for sheet in listed] != names or (self._seen and len(self._seen) != len(names)):
            raise bad(path, "lists its sheets in a way that can't be followed", _SAVE)
        self.names: list[str] = names
        self.hidden = [str(sheet.visible) != "SheetVisibleEnum.Visible" for sheet in listed]
        self._is_table = [str(sheet.typ) == "SheetTypeEnum.WorkSheet" for sheet in listed]
        self._grids: dict[int, SheetGrid] = {}

    def _content(self) -> bytes:
        first_bytes(self.path, 1)
        size = self.path.stat().st_size
        if size > limits.MAX_WORKBOOK_BYTES:
            raise bad(
                self.path,
                f"has {size // limits.MIB:,} MB, more than {limits.MAX_WORKBOOK_BYTES // limits.MIB}",
                "Save the sheet with the metadata as CSV, which may be of any size.",
            )
        with self.path.open("rb") as stream:
            return stream.read(limits.MAX_WORKBOOK_BYTES + 1)

    def index(self, name: str) -> int:
        """The place of a sheet.

        Raises:
            UsageError: `no-such-sheet`.
        """
        if name not in self.names:
            listed = ", ".join(printable(each) for each in self.names[:20])
            raise UsageError(
                f"The workbook {printable(self.path.name)} has no sheet {printable(name)}",
                hint=f"Its sheets: {listed}.",
                code="no-such-sheet",
            )
        return self.names.index(name)

    def seen(self, index: int) -> Seen:
        """What is in a sheet, found without reading it into memory."""
        if self._parts is None:
            return self._seen[index]
        while len(self._seen) <= index:
            sheet = self._parts.sheets[len(self._seen)]
            self._seen.append(cells.look(self._parts, sheet.path, self._lengths) if sheet.path else Seen())
        return self._seen[index]

    def grid(self, index: int) -> SheetGrid:
        """A sheet, read.

        Raises:
            FindingError: `bad-table`: damaged or too large.
        """
        if index not in self._grids:
            seen = self.seen(index)
            cells.check_size(self.path, seen)
            if not self._is_table[index]:
                seen = Seen()
            sheet = None
            if seen.cells:
                with _guarded(self.path):
                    sheet = self._book.get_sheet_by_index(index)
            self._grids[index] = SheetGrid(self, index, sheet, seen)
        return self._grids[index]

    def forget(self, index: int) -> None:
        """Free the memory of a sheet."""
        self._grids.pop(index, None)

    def long_numbers(self, index: int) -> dict[Ref, int]:
        """Numbers of 16 and more digits exactly as written; an .xls can't hold any."""
        return cells.long_numbers(self._parts, self._parts.sheets[index].path) if self._parts else {}


class SheetGrid:
    """The rows of one sheet, as calamine gives them: '' for empty."""

    def __init__(self, book: Workbook, index: int, sheet: Any, seen: Seen) -> None:
        self.path = book.path
        self.seen = seen
        self._book = book
        self._index = index
        self._sheet = sheet
        self.first_column = 0
        self.merged: list[tuple[Ref, Ref]] = []
        if sheet is not None:
            with _guarded(book.path):
                start = sheet.start
                self.first_column = start[1] if start else 0
                self.merged = list(sheet.merged_cell_ranges or [])

    def chunks(self) -> Iterator[Chunk]:
        """(row numbers, rows), some thousand rows at a time."""
        if self._sheet is None:
            return
        with _guarded(self.path):
            # Begins in row 1, whatever the first row with a value is.
            rows = iter(self._sheet.iter_rows())
        number = 1
        for chunk in batched(rows, CHUNK):
            yield range(number, number + len(chunk)), chunk
            number += len(chunk)

    def exact(self) -> dict[Ref, int]:
        """Numbers that calamine rounds."""
        return self._book.long_numbers(self._index)


class _guarded:
    """Whatever calamine raises is the workbook's fault; a panic of Rust is no Exception, and must not pass either."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None or isinstance(error, FindingError | KeyboardInterrupt | SystemExit | GeneratorExit):
            return
        if "assword" in f"{type(error).__name__} {error}":
            raise bad(self._path, "is encrypted", "Save it without a password.") from None
        said = printable((str(error).splitlines() or [type(error).__name__])[0][:200])
        raise bad(self._path, f"can't be read: {said}", _SAVE) from None


def _calamine() -> Any:
    try:
        import python_calamine
    except ImportError:
        raise OutOfReach(
            "python-calamine is not installed, and the table is a workbook.",
            hint="Install it (pip install python-calamine), or save the table as CSV.",
            code="missing-library",
        ) from None
    return python_calamine
