"""Text tables: their encoding, and the error that says that a file is no table."""

from __future__ import annotations

import codecs
from pathlib import Path

from synapse_skills.errors import FindingError, UsageError, printable

_CHUNK = 1 << 20


def bad(path: Path, what: str, hint: str) -> FindingError:
    """`bad-table`: what is wrong with which file, and what to do."""
    return FindingError(f"The table {printable(path.name)} {what}", hint=hint, code="bad-table")


def first_bytes(path: Path, count: int) -> bytes:
    """How a table begins.

    Raises:
        UsageError: `no-table`: there is no such file, it is a folder, or it can't be opened.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(count)
    except OSError as error:
        raise UsageError(
            f"The table {printable(str(path))} can't be read: {error.strerror or error}",
            hint="Check the path.",
            code="no-table",
        ) from None


def encoding_of(path: Path) -> str:
    """UTF-8 or UTF-16 by its mark, UTF-8 if it is that all through, else CP949, as Korean Excel writes CSV.

    Raises:
        UsageError: `no-table`: it can't be opened.
        FindingError: `bad-table`: none of these.
    """
    head = first_bytes(path, 4)
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for encoding in ("utf-8", "cp949"):
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    if "\0" in decoder.decode(chunk):
                        raise bad(path, "holds zero bytes: it is no text", "Save it as UTF-8.")
                decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    raise bad(path, "is neither UTF-8, UTF-16 nor CP949", "Save it as UTF-8.")
