"""The parts of an .xlsx: a zip, looked over before a parser sees it.

A few kilobytes can unpack to gigabytes, and the directory of a zip may lie about it; so each part that is going to be
read is unpacked here once, a chunk at a time, and counted.
"""

from __future__ import annotations

import copy
import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

from synapse_skills.errors import printable
from synapse_skills.metadata import limits
from synapse_skills.metadata.text import bad

_CHUNK = 4 * limits.MIB
_SAVE = "Open it in Excel or LibreOffice and save it again as .xlsx, or as CSV in UTF-8."
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


@dataclass(frozen=True, slots=True)
class Part:
    """One sheet as the workbook lists it."""

    name: str
    path: str


class Parts:
    """The zip of a workbook.

    Raises:
        FindingError: `bad-table`: no zip, no workbook in it, encrypted, or larger than `limits` allows.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except _BROKEN as error:
            raise bad(path, f"is no whole workbook: {error}", f"Copy it again from where it came. {_SAVE}") from None
        self._infos = self._directory()
        self.strings = ""
        self.sheets = self._list()

    def _directory(self) -> dict[str, zipfile.ZipInfo]:
        infos = self._zip.infolist()
        if len(infos) > limits.MAX_ENTRIES:
            raise bad(self.path, f"holds {len(infos):,} parts: no spreadsheet has as many", _SAVE)
        total = sum(info.file_size for info in infos)
        if total > limits.MAX_UNPACKED_BYTES:
            raise bad(
                self.path,
                f"unpacks to {total // limits.MIB:,} MB, more than {limits.MAX_UNPACKED_BYTES // limits.MIB:,}",
                "Save the sheet with the metadata as CSV.",
            )
        found: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            name = info.filename.replace("\\", "/").casefold()
            if name in found:
                raise bad(self.path, f"holds two parts called {printable(info.filename)}", _SAVE)
            if info.flag_bits & 1:
                raise bad(self.path, "is encrypted", "Save it without a password.")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise bad(self.path, "is packed in a way that spreadsheets are not", _SAVE)
            self._likely(info, info.file_size)
            found[name] = info
        return found

    def _likely(self, info: zipfile.ZipInfo, size: int) -> None:
        if size > limits.MAX_TRUSTED_BYTES and size > limits.MAX_RATIO * max(1, info.compress_size):
            raise bad(
                self.path,
                f"unpacks {info.compress_size:,} bytes to {size:,} or more ({printable(info.filename)}): a zip bomb",
                "Don't use it; if it is yours, save the sheet with the metadata as CSV.",
            )

    def _list(self) -> list[Part]:
        """The sheets, in the workbook's order."""
        if "xl/workbook.bin" in self._infos or "content.xml" in self._infos:
            raise bad(self.path, "is an .xlsb or .ods workbook, and these are not read", _SAVE)
        start = [target for kind, target in self._relations("", "_rels/.rels").values() if kind == "officeDocument"]
        if len(start) != 1 or start[0].casefold() not in self._infos:
            raise bad(self.path, "is a zip file, but no workbook", _SAVE)
        folder, _, file = start[0].rpartition("/")
        relations = self._relations(folder, posixpath.join(folder, "_rels", f"{file}.rels"))
        self.strings = next((target for kind, target in relations.values() if kind == "sharedStrings"), "")
        sheets: list[Part] = []

        def opened(tag: str, attributes: dict[str, str]) -> None:
            if _local(tag) == "sheet":
                # The id of the relation has a prefix of the writer's choosing.
                ids = [value for name, value in attributes.items() if name.endswith(":id")]
                kind, target = relations.get(ids[0] if ids else "", ("", ""))
                sheets.append(Part(attributes.get("name", ""), target if kind == "worksheet" else ""))

        self._parse(start[0], opened)
        if not sheets:
            raise bad(self.path, "is a workbook without a sheet", _SAVE)
        if len(sheets) > limits.MAX_SHEETS:
            raise bad(self.path, f"has {len(sheets):,} sheets", "Save the one with the metadata as CSV.")
        if len({sheet.name for sheet in sheets}) < len(sheets):
            raise bad(self.path, "has two sheets with one name", _SAVE)
        return sheets

    def _relations(self, folder: str, path: str) -> dict[str, tuple[str, str]]:
        """Id → (kind, path of the part). Links out of the workbook are left alone: nothing here ever follows one."""
        found: dict[str, tuple[str, str]] = {}

        def opened(tag: str, attributes: dict[str, str]) -> None:
            if _local(tag) != "Relationship" or attributes.get("TargetMode") == "External":
                return
            target = attributes.get("Target", "")
            whole = target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target)
            identity, kind = attributes.get("Id", ""), attributes.get("Type", "").rpartition("/")[2]
            if identity in found:
                raise bad(self.path, f"says twice what part {printable(identity)} is", _SAVE)
            found[identity] = kind, posixpath.normpath(whole)

        if path.casefold() in self._infos:
            self._parse(path, opened)
        return found

    def _parse(self, path: str, opened: Any) -> None:
        parser = xml_parser(self.path)
        parser.StartElementHandler = opened
        content = b"".join(self.chunks(path, limits.MAX_PART_BYTES))
        try:
            parser.Parse(content, True)
        except expat.ExpatError as error:
            raise bad(self.path, f"is damaged: {printable(path)}: {error}", _SAVE) from None

    def chunks(self, path: str, most: int = limits.MAX_UNPACKED_BYTES) -> Iterator[bytes]:
        """A part, unpacked, a few megabytes at a time; its real size is held against the limits and what it says.

        Raises:
            FindingError: `bad-table`: it is not there, is damaged, or is larger than it says.
        """
        info = self._infos.get(path.casefold())
        if info is None:
            raise bad(self.path, f"lacks its part {printable(path)}", _SAVE)
        # Said to be endless, so that reading goes on until the packed data ends, whatever the directory says.
        endless = copy.copy(info)
        endless.file_size = 1 << 62
        read = 0
        try:
            with self._zip.open(endless) as stream:
                while chunk := stream.read(_CHUNK):
                    read += len(chunk)
                    self._likely(info, read)
                    if read > most or read > info.file_size:
                        raise bad(self.path, f"is larger than it says ({printable(path)}): a zip bomb", _SAVE)
                    yield chunk
        except _BROKEN as error:
            raise bad(self.path, f"is damaged: {printable(path)}: {error}", _SAVE) from None

    def verify(self) -> None:
        """Unpack once, without keeping it, every part that calamine may read beside the sheets.

        Raises:
            FindingError: `bad-table`: damaged, or larger than it says.
        """
        sheets = {sheet.path.casefold() for sheet in self.sheets}
        for name in self._infos:
            if name.endswith((".xml", ".rels")) and name not in sheets:
                for _ in self.chunks(name):
                    pass


def xml_parser(path: Path) -> expat.XMLParserType:
    """An XML parser that refuses declarations: spreadsheets have none, and entities can grow without end."""
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: Any) -> None:
        raise bad(path, "declares XML entities, which no spreadsheet does", _SAVE)

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    return parser


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]
