"""YAML → JSON values, within limits.

Built from the parser's events, without its constructors: those would make `001` the octal number 1, `12:30` the number
750 and `no` false, all of which metadata does not mean. Numbers are what JSON calls numbers; everything else that
stands plain stays text, dates become ISO text. An alias is the value that it names, counted again each time, so that a
few lines of them can't grow without end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from synapse_skills.errors import OutOfReach
from synapse_skills.metadata.plain import finite

MAX_VALUES = 100_000
MAX_DEPTH = 100
MAX_DIGITS = 4_000
_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{1,2}-[0-9]{1,2})(?:[Tt]|[ \t]+)(?P<hour>[0-9]{1,2}):(?P<rest>[0-9]{2}:[0-9]{2})"
    r"(?P<part>\.[0-9]*)?[ \t]*(?P<zone>Z|[-+][0-9]{1,2}(?::?[0-9]{2})?)?"
)
_CONSTANTS: dict[str, Any] = {"": None, "~": None}
for _word, _value in (("null", None), ("true", True), ("false", False)):
    for _spelt in (_word, _word.title(), _word.upper()):
        _CONSTANTS[_spelt] = _value
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MERGE = "<<"


@dataclass(slots=True)
class _Built:
    """A value with what it weighs: how many values are in it, and how deeply they are nested."""

    value: Any
    count: int = 1
    depth: int = 0


@dataclass(slots=True)
class _Open:
    """A list or object that is being filled."""

    value: Any
    anchor: str | None
    count: int = 1
    depth: int = 1
    key: str | None = None
    inherited: dict[str, Any] = field(default_factory=dict)

    def put(self, built: _Built) -> None:
        self.count += built.count
        self.depth = max(self.depth, built.depth + 1)
        if isinstance(self.value, list):
            self.value.append(built.value)
            return
        assert self.key is not None
        if self.key == _MERGE:
            for each in built.value if isinstance(built.value, list) else [built.value]:
                if not isinstance(each, dict):
                    raise ValueError("`<<` takes an object")
                self.inherited = each | self.inherited
        else:
            self.value[self.key] = built.value
        self.key = None

    def name(self, key: str) -> None:
        if key in self.value:
            raise ValueError(f"it says {key!r:.60} twice")
        self.key = key


def read_yaml(text: str) -> Any:
    """The one document in a YAML text, as JSON values.

    Raises:
        ValueError: it is not YAML, or holds what JSON can't: NaN, tags of other languages, keys that are objects.
        RecursionError: nested too deeply.
        OutOfReach: pyyaml is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise OutOfReach(
            "There are YAML sidecars, and pyyaml is not installed to read them.",
            hint="Install the job's requirements.txt.",
            code="missing-library",
        ) from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Builder().build(yaml.parse(text, Loader=loader))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())[:200]) from None


class _Builder:
    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._anchors: dict[str, _Built] = {}
        self._count = 0
        self._root: _Built | None = None
        self._documents = 0

    def build(self, events: Any) -> Any:
        for event in events:
            getattr(self, f"_{type(event).__name__}", self._nothing)(event)
        return None if self._root is None else self._root.value

    def _nothing(self, event: Any) -> None:
        """The start or end of a stream, or the end of a document."""

    def _DocumentStartEvent(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise ValueError("it holds several documents")

    def _ScalarEvent(self, event: Any) -> None:
        if self._wants_key():
            # A key is text in JSON, whatever YAML would make of it.
            self._open[-1].name(event.value)
            return
        built = _Built(_scalar(event.value, event.tag, is_plain=event.implicit[0]))
        if event.anchor:
            self._anchors[event.anchor] = built
        self._put(built)

    def _AliasEvent(self, event: Any) -> None:
        built = self._anchors.get(event.anchor)
        if built is None:
            raise ValueError(f"the alias *{event.anchor:.60} names nothing, or what it is part of")
        if self._wants_key():
            if not isinstance(built.value, str):
                raise ValueError("a key must be text")
            self._open[-1].name(built.value)
            return
        self._put(built)

    def _SequenceStartEvent(self, event: Any) -> None:
        self._start([], event, "seq")

    def _MappingStartEvent(self, event: Any) -> None:
        self._start({}, event, "map")

    def _SequenceEndEvent(self, event: Any) -> None:
        self._end()

    def _MappingEndEvent(self, event: Any) -> None:
        opened = self._open[-1]
        opened.value = opened.inherited | opened.value
        self._end()

    def _start(self, value: Any, event: Any, tag: str) -> None:
        if self._wants_key():
            raise ValueError("a key must be text")
        if event.tag not in (None, "!", _TAG + tag):
            raise ValueError(f"the tag {event.tag:.60} means nothing here")
        if len(self._open) >= MAX_DEPTH:
            raise RecursionError
        self._anchors.pop(event.anchor, None)
        self._open.append(_Open(value, event.anchor))

    def _end(self) -> None:
        opened = self._open.pop()
        built = _Built(opened.value, opened.count, opened.depth)
        if opened.anchor:
            self._anchors[opened.anchor] = built
        # What is inside has been counted when it was put in.
        self._put(built, counted=opened.count - 1)

    def _put(self, built: _Built, counted: int = 0) -> None:
        self._count += built.count - counted
        if self._count > MAX_VALUES:
            raise ValueError(f"it holds more than {MAX_VALUES:,} values")
        if len(self._open) + built.depth > MAX_DEPTH:
            raise RecursionError
        if self._open:
            self._open[-1].put(built)
        else:
            self._root = built

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].key is None


def _scalar(text: str, tag: str | None, *, is_plain: bool) -> Any:
    if tag not in (None, "!"):
        return _tagged(text, tag.removeprefix(_TAG))
    if not is_plain:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is no number")
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return finite(text)
    return _date(text)


def _tagged(text: str, tag: str) -> Any:
    if tag == "str":
        return text
    if tag == "null":
        return None
    if tag == "int" and _INTEGER.fullmatch(text):
        return _integer(text)
    if tag == "float" and (_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)):
        return finite(text)
    if tag == "bool" and isinstance(_CONSTANTS.get(text), bool):
        return _CONSTANTS[text]
    if tag == "timestamp":
        return _date(text)
    raise ValueError(f"{text!r:.60} with the tag {tag:.60} means nothing here")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"{text:.20}… is too large a number")
    return int(text)


def _date(text: str) -> str:
    """A date or time as ISO writes it; what is none stays as it is."""
    if _DATE.fullmatch(text):
        return _padded(text)
    found = _TIME.fullmatch(text)
    if found is None:
        return text
    part = (found["part"] or "").rstrip(".")
    return f"{_padded(found['date'])}T{found['hour']:0>2}:{found['rest']}{part}{_zone(found['zone'] or '')}"


def _padded(date: str) -> str:
    year, month, day = date.split("-")
    return f"{year}-{month:0>2}-{day:0>2}"


def _zone(text: str) -> str:
    """`+9` and `+0900` as `+09:00`."""
    if text in ("", "Z"):
        return text
    sign, digits = text[0], text[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "00")
    return f"{sign}{hours:0>2}:{minutes}"
