"""What an .xls holds that calamine does not tell, found before calamine reads it.

An .xls is a small file system (a compound file) with a stream of records in it. As in `cells`, what matters is the
rectangle that calamine will allocate, and which cells are errors.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from synapse_skills.metadata import limits
from synapse_skills.metadata.cells import Seen
from synapse_skills.metadata.text import bad

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SAVE = "Open it in Excel or LibreOffice and save it as .xlsx, or as CSV in UTF-8."
_END = 0xFFFFFFFA  # from here on sector numbers are marks: end of chain, free and so on
_ENTRY = 128
_BOF, _EOF, _FILEPASS, _SHEET, _DIMENSIONS = 0x0809, 0x000A, 0x002F, 0x0085, 0x0200
_FORMULA, _BOOL_OR_ERROR, _SHARED_TEXT, _MULTIPLE, _SHARED_TEXTS, _CONTINUE = 0x0006, 0x0205, 0x00FD, 0x00BD, 0xFC, 0x3C
# LABEL, NUMBER, RK, RSTRING, and the three above; blank cells are no values.
_VALUES = {_FORMULA, _BOOL_OR_ERROR, _SHARED_TEXT, 0x0204, 0x0203, 0x027E, 0x00D6}


def look(path: Path, content: bytes) -> list[Seen]:
    """What each sheet of an .xls holds, in the workbook's order.

    Raises:
        FindingError: `bad-table`: damaged, encrypted, or no workbook.
    """
    try:
        streams = _streams(content)
    except (struct.error, IndexError, ValueError) as error:
        raise bad(path, f"is damaged: {error}", f"Copy it again from where it came. {_SAVE}") from None
    if "EncryptedPackage" in streams:
        raise bad(path, "is encrypted", "Save it without a password.")
    book = streams.get("Workbook", streams.get("Book"))
    if book is None:
        raise bad(path, "is an Office file, but no workbook", _SAVE)
    lengths: list[int] = []
    try:
        texts: list[memoryview] = []
        starts: list[int] = []
        for kind, record in _records(book, 0):
            if kind == _FILEPASS:
                raise bad(path, "is encrypted", "Save it without a password.")
            if kind == _SHEET:
                starts.append(struct.unpack_from("<I", record)[0])
            if kind == _SHARED_TEXTS or (kind == _CONTINUE and texts):
                texts.append(record)
            elif texts and kind not in (_SHARED_TEXTS, _CONTINUE):
                lengths, texts = lengths or _lengths(texts), []
        sheets = [_sheet(book, start, lengths or _lengths(texts)) for start in starts]
    except (struct.error, IndexError) as error:
        raise bad(path, f"is damaged: {error}", f"Copy it again from where it came. {_SAVE}") from None
    if not sheets:
        raise bad(path, "is a workbook without a sheet", _SAVE)
    return sheets


def _streams(content: bytes) -> dict[str, bytes]:
    """The streams of a compound file that this module needs, by name."""
    shift, small_shift = struct.unpack_from("<HH", content, 30)
    if shift not in (9, 12) or small_shift != 6:
        raise ValueError("its sectors have no known size")
    size = 1 << shift
    directory, cutoff, small_table, _, more, _ = struct.unpack_from("<I4xIIIII", content, 48)
    tables = list(struct.unpack_from("<109I", content, 76))
    seen = set[int]()
    while more < _END and more not in seen:
        seen.add(more)
        sector = struct.unpack(f"<{size // 4}I", _sector(content, more, size))
        tables += sector[:-1]
        more = sector[-1]
    table: list[int] = []
    for number in tables:
        if number < _END and len(table) < len(content):
            table += struct.unpack(f"<{size // 4}I", _sector(content, number, size))

    def chain(start: int) -> bytes:
        parts: list[bytes] = []
        visited = set[int]()
        while start < _END:
            if start in visited or start >= len(table):
                raise ValueError("its sectors lead in a circle or nowhere")
            visited.add(start)
            parts.append(content[(start + 1) * size : (start + 2) * size])
            start = table[start]
        return b"".join(parts)

    entries = chain(directory)
    small = b""
    found: dict[str, bytes] = {}
    for at in range(0, len(entries) - _ENTRY + 1, _ENTRY):
        length, kind, start, bytes_ = struct.unpack_from("<HB49xII", entries, at + 64)
        name = entries[at : at + max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
        if kind == 5:
            small = chain(start)
        elif kind == 2 and name == "EncryptedPackage":
            found[name] = b""
        elif kind == 2 and name in ("Workbook", "Book"):
            found[name] = (chain(start) if bytes_ >= cutoff else _small(small, chain(small_table), start))[:bytes_]
    return found


def _sector(content: bytes, number: int, size: int) -> bytes:
    return content[(number + 1) * size : (number + 2) * size]


def _small(stream: bytes, table: bytes, start: int) -> bytes:
    """A stream that lies in 64 byte sectors of another."""
    parts: list[bytes] = []
    visited = set[int]()
    while start < _END and start not in visited:
        visited.add(start)
        parts.append(stream[start * 64 : start * 64 + 64])
        start = struct.unpack_from("<I", table, start * 4)[0]
    return b"".join(parts)


def _records(book: bytes, at: int) -> Iterator[tuple[int, memoryview]]:
    """(kind, content) of each record from `at` to the end of its part, those of parts within (charts) too.

    calamine stops at the first end; whatever it may read is among these.
    """
    depth = 0
    view = memoryview(book)
    while at + 4 <= len(book):
        kind, length = struct.unpack_from("<HH", book, at)
        depth += (kind == _BOF) - (kind == _EOF)
        if kind == _EOF and depth <= 0:
            return
        yield kind, view[at + 4 : at + 4 + length]
        at += 4 + length


def _sheet(book: bytes, at: int, lengths: list[int]) -> Seen:
    seen = Seen()
    low_row, low_column, high_row, high_column = 1 << 16, 1 << 16, -1, -1
    for kind, record in _records(book, at):
        if kind in _VALUES:
            row, column = struct.unpack_from("<HH", record)
            last = column
            if kind == _SHARED_TEXT:
                number = struct.unpack_from("<I", record, 6)[0]
                # A text that is not there is calamine's to refuse.
                seen.text_bytes += lengths[number] if number < len(lengths) else 0
            if (kind == _BOOL_OR_ERROR and record[7]) or (
                kind == _FORMULA and bytes(record[12:14]) == b"\xff\xff" and record[6] == 2
            ):
                seen.errors.append((row, column))
        elif kind == _MULTIPLE:
            row, column = struct.unpack_from("<HH", record)
            last = max(column, struct.unpack_from("<H", record, len(record) - 2)[0])
        else:
            if kind == _DIMENSIONS and len(record) >= 12:
                # calamine makes room for as many cells as this record announces.
                rows, columns = struct.unpack_from("<4xI2xH", record)
                seen.announced = max(seen.announced, rows * columns)
            continue
        low_row, high_row = min(low_row, row), max(high_row, row)
        low_column, high_column = min(low_column, column), max(high_column, last)
    if high_row >= 0:
        seen.low, seen.high = [low_row, low_column], [high_row, high_column]
    del seen.errors[limits.MAX_NOTED :]
    return seen


def _lengths(texts: list[memoryview]) -> list[int]:
    """Bytes of each shared text, at most; the list of them goes on over several records."""
    found: list[int] = []
    which, at = 0, 8  # behind two counts
    while which < len(texts):
        if at + 3 > len(texts[which]):
            which, at = which + 1, 0
            continue
        count, flags = struct.unpack_from("<HB", texts[which], at)
        at += 3
        extra = 0
        if flags & 8:
            extra += 4 * struct.unpack_from("<H", texts[which], at)[0]
            at += 2
        if flags & 4:
            extra += struct.unpack_from("<I", texts[which], at)[0]
            at += 4
        found.append(count * 3)
        while count and which < len(texts):
            width = 1 + (flags & 1)
            taken = min(count, (len(texts[which]) - at) // width)
            count, at = count - taken, at + taken * width
            if count:
                # The rest stands in the next record, which says anew how wide its characters are.
                which, at = which + 1, 1
                flags = texts[which][0] if which < len(texts) else 0
        while extra and which < len(texts):
            taken = min(extra, len(texts[which]) - at)
            extra, at = extra - taken, at + taken
            if extra:
                which, at = which + 1, 0
    return found
