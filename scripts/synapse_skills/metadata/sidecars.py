"""Metadata from sidecars: a JSON or YAML file beside the files of a data unit."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from synapse_skills.errors import FindingError, printable
from synapse_skills.metadata.plain import finite
from synapse_skills.metadata.yaml_text import read_yaml

MAX_SIDECAR_BYTES = 1 << 20
MAX_DEPTH = 100
_KIBIBYTE = 1024


class BadSidecar(FindingError):
    """A sidecar can't be used: its data unit is unfit, the others are not.

    Attributes:
        kind: what is wrong, without the file and the value: the same for all sidecars with this fault.
    """

    code = "bad-sidecar"
    hint = "Mend the file; it holds one JSON or YAML object, with text, numbers, true, false, lists and objects."

    def __init__(self, path: str, kind: str, detail: str = "") -> None:
        super().__init__(f"{printable(path)} {kind}{f': {detail}' if detail else ''}")
        self.kind = kind


class FromSidecars:
    """See `from_sidecars`."""

    def __init__(self, fields: Mapping[str, str] | None = None) -> None:
        self.fields = dict(fields or {})

    def __call__(self, unit: Any) -> dict[str, Any]:
        """What all sidecars of one data unit say."""
        merged: dict[str, Any] = {}
        for _, values in self.each(unit):
            merged |= values
        return merged

    def each(self, unit: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """(path, values) of each sidecar, in the order of their sources and paths.

        Raises:
            BadSidecar: the first one that can't be used.
        """
        for file in sorted(unit.sidecars, key=lambda file: (file.source, file.path)):
            try:
                with unit.open(file) as stream:
                    values = read_sidecar(stream, file.key)
            except OSError as error:
                raise BadSidecar(file.key, "can't be read", error.strerror or str(error)) from None
            yield file.key, self._renamed(values, file.key)

    def _renamed(self, values: dict[str, Any], path: str) -> dict[str, Any]:
        if not self.fields:
            return values
        renamed: dict[str, Any] = {}
        for name, value in values.items():
            field = self.fields.get(name, name)
            if not field and name in self.fields:
                continue  # the schema has no such field, and the plan says so
            if field in renamed:
                raise BadSidecar(path, "gives one field under two names", field)
            renamed[field] = value
        return renamed

    def __repr__(self) -> str:
        return f"from_sidecars({self.fields!r})" if self.fields else "from_sidecars()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FromSidecars) and other.fields == self.fields

    def __hash__(self) -> int:
        return hash(repr(self))


def from_sidecars(fields: Mapping[str, str] | None = None) -> FromSidecars:
    """Metadata from the sidecars of a data unit: JSON or YAML files, at most 1 MB each, with an object at the top.

    Which files are sidecars is the place's matter: `Place(…, sidecars="*.meta.json")`. Several of one data unit are
    merged in the order of their paths; the later one wins.

    Args:
        fields: name in the sidecar → name of the field; a name that is not in it stays as it is.
    """
    return FromSidecars(fields)


def read_sidecar(stream: BinaryIO, path: str) -> dict[str, Any]:
    """The object in a sidecar.

    JSON by its suffix or first character, else YAML. Dates become ISO text, integers of any size stay as they are.

    Raises:
        BadSidecar: too large, of unknown encoding, no JSON or YAML, or no object.
    """
    content = stream.read(MAX_SIDECAR_BYTES + 1)
    if len(content) > MAX_SIDECAR_BYTES:
        raise BadSidecar(path, f"has more than {MAX_SIDECAR_BYTES // _KIBIBYTE:,} KB")
    text = _decoded(content, path)
    first = text.lstrip()[:1]
    if not first:
        raise BadSidecar(path, "is empty")
    is_json = path.lower().endswith(".json") or (first in "{[" and not path.lower().endswith((".yaml", ".yml")))
    try:
        value = _json(text) if is_json else read_yaml(text)
    except RecursionError:
        raise BadSidecar(path, "is nested too deeply") from None
    except ValueError as error:
        raise BadSidecar(path, f"is not {'JSON' if is_json else 'YAML'}", str(error)) from None
    if not isinstance(value, dict):
        raise BadSidecar(path, "holds no object at the top", f"it holds {_named(value)}")
    return value


def _decoded(content: bytes, path: str) -> str:
    """UTF-8 or UTF-16 by its mark, UTF-8 if it is that all through, else CP949, as tables are read."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif content.startswith(codecs.BOM_UTF8):
        encodings = ["utf-8-sig"]
    else:
        encodings = ["utf-8", "cp949"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text
    raise BadSidecar(path, "is no text in UTF-8, UTF-16 or CP949")


def _json(text: str) -> Any:
    value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=finite)
    if _depth_of(value) > MAX_DEPTH:
        raise RecursionError
    return value


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"it says {name!r:.60} twice")
        found[name] = value
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def _depth_of(value: Any) -> int:
    """How deeply lists and objects are nested, counted without recursion."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, list | dict)]:
        depth += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth


def _named(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else f"the value {value!r:.60}"
