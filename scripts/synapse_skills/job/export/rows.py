"""Rows of a list as bytes: cut out of their page without being changed, and freed of the queries of links.

Links in a row are signed: whoever has one has the file. They are issued again by the record's id, so what is kept of
them is only where they lead. The payload is the record's content and stays as it is; only one that stands for another
(`mode`, `presigned_url`) is a link.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from synapse_skills.annotations import Wrapper, is_wrapper

# Inside a JSON string: an escaped character counts as one. Begun with the colon, because that can be searched for.
_QUERY = re.compile(rb'(:(?<=[A-Za-z0-9+.-]:)(?:\\?/){2}[^"?\\\s]*(?:\\.[^"?\\\s]*)*)\?[^"\\\s]*(?:\\.[^"\\\s]*)*')
_OWN_URL = re.compile(rb'("(?:presigned_)?url"\s*:\s*"(?:[^"?\\]|\\.)*)\?(?:[^"\\]|\\.)*"')

_DATA = b'"data":'
_DECODER = json.JSONDecoder()
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""No database has more, and ours holds no more."""


class _Page(msgspec.Struct):
    results: list[msgspec.Raw]
    next: str | None = None
    count: int | None = None


class _Said(msgspec.Struct, gc=False):
    """The members that are looked at in every row; the others are passed over."""

    id: _Number
    pgh_id: _Number | UnsetType = UNSET
    data: msgspec.Raw | UnsetType = UNSET
    project: Any = UNSET
    ground_truth_dataset_version: Any = UNSET
    updated: Any = UNSET
    updated_at: Any = UNSET
    modified: Any = UNSET


_SAID = frozenset(_Said.__struct_fields__)
_READER = msgspec.json.Decoder(_Said)
_PAGES = msgspec.json.Decoder(_Page)
_CUTTER = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Row(msgspec.Struct, gc=False):
    """A row as it came.

    Attributes:
        key: what orders the records; of a ground-truth event its pgh_id.
        content: its JSON.
        data: its payload, or what stands for it; `null` if it has none.
        said: what it says of itself.
        wrapper: what its `data` stands for, if it isn't the payload itself.
    """

    key: int
    id: int
    content: bytes
    data: bytes
    said: _Said
    wrapper: Wrapper | None = None

    @property
    def head(self) -> Mapping[str, Any]:
        """The row without its payload, each member parsed when it is asked for."""
        return _Head(self)

    @property
    def members(self) -> dict[str, bytes]:
        """Raw JSON by name, in the row's order."""
        return _cut(self.content)

    @property
    def is_bare(self) -> bool:
        """Whether it came without any data."""
        return self.data.strip() == b"null"

    @property
    def version(self) -> str:
        """What tells this state of the row from a later one; '' if it says nothing of the kind."""
        for moment in (self.said.updated, self.said.updated_at, self.said.modified):
            if isinstance(moment, str):
                return moment
        return self.wrapper.digest if self.wrapper is not None and self.wrapper.digest else ""

    def as_received(self, without: frozenset[str] | set[str] = frozenset()) -> bytes:
        """The row as it came, links and all; some of its members left out."""
        members = [_named(name) + raw for name, raw in self.members.items() if name not in without]
        return b"{" + b",".join(members) + b"}"

    def as_kept(self, payload: bytes | None = None) -> bytes:
        """The row as it is kept: with this payload in place of what stood for it, without the query of any link."""
        if payload is None:
            if self.wrapper is not None or self.said.data is UNSET:
                return without_queries(self.content)
            payload = self.data
        place = self._place_of_data()
        if place is None:
            return self._joined(payload)
        start, end = place
        return b"".join((without_queries(self.content[:start]), payload, without_queries(self.content[end:])))

    def _place_of_data(self) -> tuple[int, int] | None:
        """Where the value of `data` begins and ends; None if a look at the text does not tell.

        Where something is called so only once, it is the row's own member: a text would have its quotes escaped.
        """
        named = self.content.find(_DATA)
        start = named + len(_DATA)
        if self.content[start : start + 1] == b" ":
            start += 1
        end = start + len(self.data)
        is_it = named >= 0 and self.content.startswith(self.data, start) and self.content.find(_DATA, end) < 0
        return (start, end) if is_it else None

    def _joined(self, payload: bytes) -> bytes:
        parts = []
        for name, raw in self.members.items():
            parts.append(_named(name) + (payload if name == "data" else without_queries(raw)))
        return b"{" + b",".join(parts) + b"}"


@dataclass(slots=True)
class Listed:
    """One page of a list. `following`: the query that leads to the next one, {} at the end."""

    rows: list[Row]
    count: int | None = None
    following: dict[str, str] = field(default_factory=dict)


def without_queries(raw: bytes) -> bytes:
    """JSON whose links have lost their query."""
    if b"?" not in raw:
        return raw
    cleaned = _QUERY.sub(rb"\1", raw)
    return _OWN_URL.sub(rb'\1"', cleaned) if b"?" in cleaned else cleaned


class _Head(Mapping[str, Any]):
    """Members of a row less its payload. Of a dozen only two or three are ever looked at."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._cut: dict[str, bytes] | None = None

    @property
    def _members(self) -> dict[str, bytes]:
        if self._cut is None:
            self._cut = self._row.members
        return self._cut

    def __getitem__(self, name: str) -> Any:
        if name == "data":
            raise KeyError(name)
        if name not in _SAID:
            return _told(self._members[name])
        if (value := getattr(self._row.said, name)) is UNSET:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._members if name != "data")

    def __len__(self) -> int:
        return sum(1 for _ in self)


@functools.lru_cache(maxsize=256)
def _named(name: str) -> bytes:
    """The name of a member as JSON, with its colon."""
    return json.dumps(name).encode() + b":"


def read_page(content: bytes, target: str) -> Listed:
    """A page of one of the lists that are exported from.

    Raises:
        ValueError: it is no such page.
    """
    try:
        page = _PAGES.decode(content)
        contents = [bytes(raw) for raw in page.results]
        count, following = page.count, page.next
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        contents, count, following = _freely(content)
    rows = [_row(each, target) for each in contents]
    query = dict(parse_qsl(urlsplit(following).query, keep_blank_values=True)) if following else {}
    if following and not query:
        raise ValueError("the list names a next page without saying which")
    return Listed(rows, count, query)


def _freely(content: bytes) -> tuple[list[bytes], int | None, str | None]:
    """The same for what only Python takes for JSON (NaN, Infinity): its parser finds where each value ends."""
    try:
        text = content.decode("utf-8")
        page, _ = _members(text, _past_white(text, 0))
        rows = [row.encode() for row in _elements(page["results"])]
        count, following = json.loads(page.get("count", "null")), json.loads(page.get("next", "null"))
    except (UnicodeError, KeyError, RecursionError) as error:
        raise ValueError(f"no page of a list ({type(error).__name__})") from None
    return rows, count if isinstance(count, int) else None, following if isinstance(following, str) else None


def _members(text: str, at: int) -> tuple[dict[str, str], int]:
    """The members of the object that begins here, as they stand there, and where it ends."""
    if text[at : at + 1] != "{":
        raise ValueError("no object")
    found: dict[str, str] = {}
    at = _past_white(text, at + 1)
    while text[at : at + 1] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _past_white(text, at)
        if not isinstance(name, str) or text[at : at + 1] != ":":
            raise ValueError("no object")
        start = _past_white(text, at + 1)
        end = _end(text, start)
        found[name] = text[start:end]
        at = _past_comma(text, end, "}")
    return found, at + 1


def _elements(text: str) -> list[str]:
    """The elements of an array, as they stand there."""
    if not text.startswith("["):
        raise ValueError("no array")
    found = []
    at = _past_white(text, 1)
    while text[at : at + 1] != "]":
        end = _end(text, at)
        found.append(text[at:end])
        at = _past_comma(text, end, "]")
    return found


def _end(text: str, at: int) -> int:
    """Where the value that begins here ends; one that nests too deep for any parser is measured by its brackets."""
    try:
        return _DECODER.raw_decode(text, at)[1]
    except RecursionError:
        depth = 0
        for found in _BRACKET.finditer(text, at):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found.group(), 0)
            if not depth:
                return found.end()
        raise ValueError("a value without an end") from None


def _past_comma(text: str, at: int, end: str) -> int:
    at = _past_white(text, at)
    if text[at : at + 1] == ",":
        return _past_white(text, at + 1)
    if text[at : at + 1] != end:
        raise ValueError("neither a comma nor an end")
    return at


def _past_white(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in " \t\n\r":
        at += 1
    return at


def _row(content: bytes, target: str) -> Row:
    try:
        said = _READER.decode(content)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        said = _said_freely(_cut(content))
    key = said.id if target != "ground_truth" or said.pgh_id is UNSET else said.pgh_id
    wrapper = None
    data = b"null" if said.data is UNSET else bytes(said.data)
    if len(data) < 1 << 16 and b'"mode"' in data and data.lstrip()[:1] == b"{":
        parsed = _told(data)
        wrapper = is_wrapper(parsed) if isinstance(parsed, Mapping) else None
    return Row(key, said.id, content, data, said, wrapper)


def _cut(content: bytes) -> dict[str, bytes]:
    """The members of a row, as they stand there.

    Raises:
        ValueError: it is none.
    """
    try:
        return {name: bytes(raw) for name, raw in _CUTTER.decode(content).items()}
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {name: raw.encode() for name, raw in _members(content.decode(), 0)[0].items()}


def _said_freely(members: dict[str, bytes]) -> _Said:
    """What a row says of itself that no strict parser takes."""
    numbers = {name: _number(members, name) for name in ("id", "pgh_id") if name == "id" or name in members}
    data = msgspec.Raw(members["data"]) if "data" in members else UNSET
    rest = {name: _told(members[name]) for name in _SAID - {"id", "pgh_id", "data"} if name in members}
    return _Said(**numbers, data=data, **rest)


def _number(members: dict[str, bytes], name: str) -> int:
    try:
        number = int(members[name])
    except (KeyError, ValueError):
        number = -1
    if not 0 <= number < 2**63:
        raise ValueError(f"a row without a number as its {name}")
    return number


def _parsed(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        try:
            return json.loads(raw)
        except (UnicodeError, RecursionError) as error:
            raise ValueError(f"a row that can't be read ({type(error).__name__})") from None


def _told(raw: bytes) -> Any:
    """The same for what may say nothing: None for what nests too deep to be read."""
    try:
        return _parsed(raw)
    except ValueError:
        return None


def is_json(content: bytes) -> bool:
    """Whether this is JSON, as far as Python reads it; what nests deeper than that seems to be."""
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        try:
            json.loads(content)
        except RecursionError:
            whole = content.strip()
            return whole[:1] + whole[-1:] in (b"[]", b"{}")
        except ValueError:
            return False
    return True
