"""The workbook itself: header, rows, choices and help, written row by row so that memory stays flat.

openpyxl's write-only mode keeps no row; comments, validations, filter and frozen header work in it (all written when
the sheet is closed). Every text goes in as text, never through openpyxl's guess, which makes a formula of `=1+1`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

from synapse_skills.planning.template_columns import FIRST_DAY, Column, escaped, option_text, serial, tidy
from synapse_skills.planning.template_words import HELP, HELP_SHEET, TABLE

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.cell import Cell
    from openpyxl.styles import PatternFill

SHEET, LISTS = "metadata", "lists"
MAX_INLINE = 255
MAX_TITLE, MAX_ERROR = 32, 255
NARROW, WIDE = 12, 48
KEY, REQUIRED, OPTIONAL = "1F3A5F", "B3421B", "5B6B7A"
KEY_CELL, MISSING_CELL = "EEF2F7", "FCE9DF"
FONT = "Calibri"
HELP_WIDTHS = (30, 34, 50, 60)
LINE = 15.5


class Sheet:
    """A template that is being written.

    Args:
        key: the key column's header.
        columns: the other columns.
        keys: some of the keys, to know how wide the column must be.
    """

    def __init__(self, key: str, columns: Sequence[Column], keys: Iterable[str]) -> None:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.utils import get_column_letter

        self.book: Workbook = Workbook(write_only=True)
        self.columns = columns
        self.key = key
        self.rows = 0
        self._letters = [get_column_letter(number) for number in range(1, len(columns) + 2)]
        self._sheet = self.book.create_sheet(SHEET)
        self._cell: Callable[..., Cell] = WriteOnlyCell
        # One cell serves all keys: it has been written before it is filled again.
        self._key_cell = self._text("")
        self._key_cell.fill = _solid(KEY_CELL)
        self._layout(keys)
        self._header()

    def _layout(self, keys: Iterable[str]) -> None:
        sheet = self._sheet
        sheet.freeze_panes = "B2"
        widths = [max([_width(self.key) + 4, *(_width(key) + 2 for key in keys)])]
        for column in self.columns:
            options = (_width(option_text(option)) + 4 for option in column.options)
            widths.append(max([_width(column.name) + 5, 21 if column.kind == "date-time" else 0, *options]))
        formats = ["@", *(column.number_format for column in self.columns)]
        for letter, width, number_format in zip(self._letters, widths, formats, strict=True):
            sheet.column_dimensions[letter].width = min(max(width, NARROW), WIDE)
            # Cells that are still empty take the column's format.
            sheet.column_dimensions[letter].number_format = number_format
        sheet.row_dimensions[1].height = 24
        sheet.print_title_rows = "1:1"
        _print_wide(sheet)

    def _header(self) -> None:
        from synapse_skills.planning.template_words import KEY_COMMENT

        cells = [self._head(self.key, KEY_COMMENT, KEY)]
        cells += [
            self._head(column.name, column.comment, REQUIRED if column.required else OPTIONAL)
            for column in self.columns
        ]
        self._sheet.append(cells)

    def _head(self, name: str, comment: str, colour: str) -> Cell:
        from openpyxl.comments import Comment
        from openpyxl.styles import Alignment, Font

        cell = self._text(name)
        cell.font = Font(name=FONT, size=11, bold=True, color="FFFFFF")
        cell.fill = _solid(colour)
        cell.alignment = Alignment(vertical="center")
        lines = sum(1 + _width(line) // 46 for line in comment.split("\n"))
        cell.comment = Comment(comment, "synapse-skills", width=330, height=min(30 + 18 * lines, 600))
        return cell

    def _text(self, text: str, number_format: str = "@") -> Cell:
        """A text as it is: no formula, no number, no error, whatever it looks like, now or when it is edited."""
        cell = self._cell(self._sheet)
        cell.number_format = number_format
        cell.quotePrefix = True
        return self._fill(cell, text)

    @staticmethod
    def _fill(cell: Cell, text: str) -> Cell:
        # Not by `value`, which would guess what the text means.
        cell._value = escaped(text)  # type: ignore[attr-defined]
        cell.data_type = "s"
        return cell

    def append(self, key: str, values: dict[str, Any]) -> None:
        """Write one data unit: its key and what is known about it, as cells (`template_columns.as_cell`)."""
        row: list[Any] = [self._fill(self._key_cell, key)]
        if values:
            for column in self.columns:
                value = values.get(column.name)
                if isinstance(value, str):
                    row.append(self._text(value, column.number_format))
                elif value is None:
                    row.append(None)
                else:
                    cell = self._cell(self._sheet, value)
                    if column.number_format != "General":
                        cell.number_format = column.number_format
                    row.append(cell)
        self._sheet.append(row)
        self.rows += 1

    def finish(self) -> Workbook:
        """Choices, checks, filter and the page of help; the workbook can be saved after it."""
        self._sheet.auto_filter.ref = f"A1:{self._letters[-1]}{self.rows + 1}"
        self._help()
        listed: list[tuple[Any, ...]] = []
        for letter, column in zip(self._letters[1:], self.columns, strict=True):
            check = self._check(column, listed)
            if check is not None:
                check.add(f"{letter}2:{letter}{self.rows + 1}")
                self._sheet.data_validations.append(check)
            if column.required:
                self._mark_missing(letter)
        if listed:
            sheet = self.book.create_sheet(LISTS)
            sheet.sheet_state = "hidden"
            for row in zip_longest(*listed):
                sheet.append([self._text(value) if isinstance(value, str) else value for value in row])
        return self.book

    def _mark_missing(self, letter: str) -> None:
        """Required cells are tinted until something is in them."""
        from openpyxl.formatting.rule import Rule
        from openpyxl.styles.differential import DifferentialStyle

        tint = DifferentialStyle(fill=_solid(MISSING_CELL))
        rule = Rule(type="expression", formula=[f"ISBLANK({letter}2)"], dxf=tint)
        self._sheet.conditional_formatting.add(f"{letter}2:{letter}{self.rows + 1}", rule)

    def _check(self, column: Column, listed: list[tuple[Any, ...]]) -> Any:
        """What Excel checks in a column; None for nothing. Choices that don't fit inline are added to `listed`."""
        from openpyxl.utils import get_column_letter
        from openpyxl.worksheet.datavalidation import DataValidation

        rule: dict[str, Any]
        style: Literal["stop", "warning"] = "stop"
        if column.kind == "choice":
            inline = _inline(column.options)
            if inline is None:
                listed.append(column.options)
                letter = get_column_letter(len(listed))
                inline = f"{LISTS}!${letter}$1:${letter}${len(column.options)}"
            rule = {"type": "list", "formula1": inline}
        elif column.kind == "boolean":
            rule = {"type": "list", "formula1": '"TRUE,FALSE"'}
        elif column.kind == "integer":
            rule = {"type": "whole", "operator": "between", "formula1": str(-(10**15)), "formula2": str(10**15)}
        elif column.kind == "number":
            rule = {"type": "decimal", "operator": "between", "formula1": "-1E+300", "formula2": "1E+300"}
        elif column.kind in ("date", "date-time"):
            rule = {"type": "date", "operator": "greaterThanOrEqual", "formula1": f"{serial(FIRST_DAY):.0f}"}
            # Days before 1900 are no dates for Excel, and may be typed as text.
            style = "warning"
        else:
            return None
        check = DataValidation(allow_blank=True, errorStyle=style, showErrorMessage=True, **rule)
        check.errorTitle = _cut(escaped(column.name), MAX_TITLE)
        check.error = _cut(escaped(column.what), MAX_ERROR)
        return check

    def _help(self) -> None:
        from openpyxl.styles import Alignment, Font

        sheet = self.book.create_sheet(HELP_SHEET)
        _print_wide(sheet)
        for letter, width in zip("ABCD", HELP_WIDTHS, strict=True):
            sheet.column_dimensions[letter].width = width
        for style, line in HELP:
            cell = self._text(line.format(key=self.key), "General")
            cell.font = Font(name=FONT, bold=style == "title", size=14 if style == "title" else 11)
            sheet.append([cell])
        sheet.append([])
        head = [self._text(text, "General") for text in TABLE]
        for cell in head:
            cell.font = Font(name=FONT, size=11, bold=True, color="FFFFFF")
            cell.fill = _solid(KEY)
        sheet.append(head)
        for number, column in enumerate(self.columns, len(HELP) + 3):
            about = "\n".join(part for part in (column.title, column.description) if part)
            texts = (column.name, column.need, column.what, tidy(about))
            row = [self._text(text, "General") for text in texts]
            # Nobody measures rows in a file that is only written: without a height wrapped lines would lie on others.
            lines = max(_lines(text, width) for text, width in zip(texts, HELP_WIDTHS, strict=True))
            sheet.row_dimensions[number].height = min(LINE * lines, 400)
            for cell in row:
                cell.alignment = Alignment(wrap_text=True, vertical="top")
            row[0].font = Font(
                name=FONT, size=11, bold=column.required, color=REQUIRED if column.required else "000000"
            )
            sheet.append(row)


def _print_wide(sheet: Any) -> None:
    """On paper all columns are side by side."""
    from openpyxl.worksheet.properties import PageSetupProperties

    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)


def _inline(options: Sequence[Any]) -> str | None:
    """Choices as a list inside the rule itself; None if they need a sheet."""
    texts = [option_text(option) for option in options]
    plain = not any(
        isinstance(option, float) or set(text) & set(',"\n\r') or text != text.strip() or escaped(text) != text
        for option, text in zip(options, texts, strict=True)
    )
    listed = f'"{",".join(texts)}"'
    return listed if plain and len(listed.encode("utf-16-le")) // 2 <= MAX_INLINE else None


def _solid(colour: str) -> PatternFill:
    from openpyxl.styles import PatternFill

    return PatternFill("solid", start_color=colour, end_color=colour)


def _lines(text: str, width: int) -> int:
    """How many lines a wrapped text takes."""
    return sum(1 + _width(line) // width for line in text.split("\n"))


def _width(text: str) -> int:
    """How many columns of a fixed-width font a text takes: a Korean letter takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text[:200])


def _cut(text: str, length: int) -> str:
    """A text in at most so many UTF-16 units, which is what Excel counts."""
    while len(text.encode("utf-16-le", "replace")) // 2 > length:
        text = text[: length - 1] if len(text) > length else text[:-1]
    return text
