"""The bytes of a payload: found in a row without being changed, parsed whatever a server writes, and links told apart.

Most of the platform's JSON is what the standard allows. Python servers also write `NaN` and `Infinity`, and halves of
a surrogate pair: those are read too, by the slower parser of the standard library. Numbers keep their kind: `1.0` stays
a float, and an integer of any length stays itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from synapse_skills.annotations.labels import KINDS
from synapse_skills.errors import FindingError

_WHITE = " \t\n\r"
MAX_DEPTH = 200
"""Lists and objects inside of each other: writers of JSON take little more than that."""

_OWN_KEYS = frozenset(
    {"annotations", "annotationsData", "annotation_data", "annotationGroups", "relations", "extra"}
) | {f"{kind}s" for kind in KINDS}


class Unreadable(FindingError):
    """A record that can't be read at all: its payload is no JSON object, or nests too deep. `record` is its id."""

    code = "unreadable-record"
    hint = "Open the record in Synapse and save it again, or leave it out."
    record: int | None = None


class Wrapper(msgspec.Struct, frozen=True):
    """A payload that lies elsewhere (`url`), or is wrapped in place (`data`); `size` and `digest` as the row tells."""

    mode: str
    url: str | None = None
    size: int | None = None
    digest: str | None = None
    is_truncated: bool = False
    data: Any = None

    @property
    def needs_fetching(self) -> bool:
        """Whether the payload is not here."""
        return self.mode == "presigned" or self.is_truncated


class NeedsPayload(Exception):
    """The row's payload lies at a link: fetch it and read the row again with `payload`.

    The link is a secret: it is no part of the message. None if the row names no link: then no one has the payload.
    """

    def __init__(self, wrapper: Wrapper) -> None:
        super().__init__("The payload of this record lies elsewhere.")
        self.url = wrapper.url
        self.size = wrapper.size
        self.digest = wrapper.digest


def is_wrapper(data: object) -> Wrapper | None:
    """Whether a row's `data` stands for a payload that lies elsewhere; None if it is the payload itself.

    Annotations may have a key `mode` of their own: what has any of the parts of a payload is no wrapper.
    """
    if not isinstance(data, Mapping) or data.get("mode") not in ("presigned", "inline"):
        return None
    if not _OWN_KEYS.isdisjoint(data):
        return None
    url, size, digest = data.get("presigned_url"), data.get("size"), data.get("data_digest", data.get("digest"))
    return Wrapper(
        mode=data["mode"],
        url=url if isinstance(url, str) and url else None,
        size=size if isinstance(size, int) and not isinstance(size, bool) else None,
        digest=digest if isinstance(digest, str) else None,
        is_truncated=bool(data.get("truncated")),
        data=data.get("data"),
    )


def parse(content: bytes | str) -> Any:
    """JSON as a server wrote it.

    Raises:
        Unreadable: it is none, or nests too deep.
    """
    try:
        return msgspec.json.decode(content)
    except msgspec.MsgspecError:
        return _parse_freely(content)
    except (UnicodeError, ValueError, RecursionError) as error:
        raise _unreadable(error) from None


def check_depth(value: object) -> None:
    """Refuse a value that nests deeper than what any writer takes.

    Raises:
        Unreadable: it does.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        inside = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [each for values in inside for each in values]
        if not level:
            return
    raise _unreadable(RecursionError())


def check_values(attributes: Mapping[str, Any]) -> None:
    """Refuse attributes of which one nests too deep.

    Raises:
        Unreadable: it does.
    """
    for value in attributes.values():
        if isinstance(value, dict | list):
            check_depth(value)


def _parse_freely(content: bytes | str) -> Any:
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        return _composed(json.loads(text, parse_int=_integer))
    except (UnicodeError, ValueError, RecursionError) as error:
        raise _unreadable(error) from None


def _integer(digits: str) -> int | float:
    # Python refuses to read longer ones; as a number they are out of any range anyway.
    return int(digits) if len(digits) < 4000 else float(digits)


def _unreadable(error: Exception) -> Unreadable:
    if isinstance(error, RecursionError):
        return Unreadable("The payload nests too deep to be read.")
    # The message of a parser may hold a piece of the text; where it stopped is all that helps.
    where = f" (at character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
    return Unreadable(f"The payload is not valid JSON{where}.")


def _composed(value: Any) -> Any:
    """Halves of surrogate pairs replaced: no file and no other program takes them."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_composed(each) for each in value]
    if isinstance(value, dict):
        return {_composed(key): _composed(each) for key, each in value.items()}
    return value


class _Data(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")


def payload_of(row_bytes: bytes) -> bytes | None:
    """The `data` of a row, byte for byte as it was received; None if it is null, empty or not there.

    A payload that came as a JSON string (some databases return it so) is what the string holds.

    Raises:
        Unreadable: the row is no JSON object.
    """
    try:
        raw = bytes(msgspec.json.decode(row_bytes, type=_Data).data)
    except msgspec.MsgspecError:
        raw = _data_between(row_bytes)
    except (UnicodeError, RecursionError) as error:
        raise _unreadable(error) from None
    return unquoted(raw)


def unquoted(raw: bytes) -> bytes | None:
    """A payload without the quotes that it may have come in; None if it is null or empty."""
    for _ in range(3):
        raw = raw.strip()
        if raw in (b"", b"null"):
            return None
        if not raw.startswith(b'"'):
            return raw
        text = parse(raw)
        if not isinstance(text, str):
            break
        raw = text.encode("utf-8", "replace")
    return raw


def _data_between(row_bytes: bytes) -> bytes:
    """The raw text of the member `data` of an object, found by the standard library's own scanner."""
    decoder = json.JSONDecoder(parse_int=_integer)
    try:
        text = row_bytes.decode("utf-8-sig")
        at = _after_white(text, 0)
        if text[at : at + 1] != "{":
            raise Unreadable("The row is no JSON object.")
        at, found = _after_white(text, at + 1), "null"
        while text[at : at + 1] != "}":
            key, at = decoder.raw_decode(text, at)
            at = _after_white(text, at)
            if not isinstance(key, str) or text[at : at + 1] != ":":
                raise Unreadable("The row is no JSON object.")
            start = _after_white(text, at + 1)
            _, end = decoder.raw_decode(text, start)
            if key == "data":
                found = text[start:end]
            at = _after_white(text, end)
            if text[at : at + 1] == ",":
                at = _after_white(text, at + 1)
            elif text[at : at + 1] != "}":
                raise Unreadable("The row is no JSON object.")
        return found.encode()
    except (UnicodeError, ValueError, RecursionError) as error:
        raise _unreadable(error) from None


def _after_white(text: str, at: int) -> int:
    while at < len(text) and text[at] in _WHITE:
        at += 1
    return at


def as_bytes(value: object) -> bytes:
    """A payload that was received as an object, as JSON again: order, ints, floats and NaN kept."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
    except (RecursionError, TypeError, ValueError) as error:
        raise _unreadable(error) from None
