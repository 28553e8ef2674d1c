"""Values as a schema wants them: a table's text "45" becomes 45 where the schema asks for an integer.

Only what can be meant in one way is changed, and no digit is lost; whatever is left as it was is named by the check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from synapse_skills.metadata.forms import (
    ISO_DATE,
    boolean,
    folded,
    integer,
    kind,
    moment,
    number,
    parsed,
    same,
    string,
    written,
)
from synapse_skills.metadata.plain import as_json
from synapse_skills.metadata.wants import Reader, View

MAX_TEXT = 100_000
MAX_NESTING = 8
_DECIMAL_COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+\s*")
_SIMPLE: dict[str, Callable[[Any], Any]] = {"integer": integer, "number": number, "boolean": boolean}
_SEPARATORS = ("\n", ";", "|", ",")

Change = Callable[[Any], Any]


class _Absent:
    """Says that there is no value: an empty cell where the schema has no use for an empty text."""


ABSENT = _Absent()


class Coercion:
    """Coerces metadata to what one schema asks for. It never raises, and doing it twice changes nothing more.

    Args:
        schema: the collection's meta schema; None changes nothing.
        validator: the compiled schema, to leave alone what fits already; made when needed if not given.

    Attributes:
        fields: what to do with each field of the top.
        polished: what to do with it where the metadata fits.
    """

    def __init__(self, schema: Any, validator: Any = None) -> None:
        self._schema = schema
        self._validator = validator
        reader = Reader(schema)
        view = reader.view(schema)
        self.fields = _changes(reader, view, self._fits, 0) if isinstance(schema, Mapping) else ()
        views = {name: reader.view(*parts) for name, parts in view.properties.items()}
        self.polished = tuple(
            (name, fine, right, change)
            for name, _, right, change in self.fields
            if (fine := _left_when_valid(views[name])) != _ALL
        )

    def __call__(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """The metadata with its values as the schema wants them, in a new dict; what can't be coerced stays."""
        plain, unfit = as_json(meta)
        return dict(meta) if unfit else self.apply(plain)

    def apply(self, meta: dict[str, Any]) -> dict[str, Any]:
        """The same for metadata that has been through `as_json`: itself if nothing changes."""
        return self._unless_worse(meta, applied(self.fields, meta))

    def polish(self, meta: dict[str, Any]) -> dict[str, Any]:
        """The same for metadata that fits: only what fits in several forms can change, such as dates and 45.0."""
        return self.polish_by(self.polished, meta)

    def polish_by(self, changes: Changes, meta: dict[str, Any]) -> dict[str, Any]:
        """The same for metadata of which only some fields can change."""
        changed = applied(changes, meta)
        return meta if changed is meta else self._unless_worse(meta, changed)

    def _unless_worse(self, meta: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
        if changed is meta:
            return meta
        validator = self._compiled()
        # A schema can tie fields together in ways that no field shows: what fits as it is is never made unfit.
        if validator is not None and validator.is_valid(meta) and not validator.is_valid(changed):
            return meta
        return changed

    def _compiled(self) -> Any:
        if self._validator is None:
            from synapse_skills.errors import SkillsError
            from synapse_skills.metadata.schema import compiled

            try:
                self._validator = compiled(self._schema)
            except SkillsError:
                return None
        return self._validator

    def _fits(self, path: tuple[str, ...], value: Any) -> bool:
        """Whether a field of the top could have this value, as far as the field alone can tell."""
        validator = self._compiled()
        if validator is None or len(path) != 1:
            return True
        return not any(list(error.instance_path)[:1] == [path[0]] for error in validator.iter_errors({path[0]: value}))


Fits = Callable[[tuple[str, ...], Any], bool]
# Of each field: its name, the Python types whose values stay, what tells that a text stays, what to do with the rest.
Changes = tuple[tuple[str, frozenset[type], Callable[[str], object] | None, Change], ...]
_NEVER: frozenset[type] = frozenset({_Absent})
_ALL: frozenset[type] = frozenset({str, int, float, bool, type(None), list, dict, _Absent})


def applied(fields: Changes, meta: dict[str, Any]) -> dict[str, Any]:
    """Metadata with its fields changed: itself if none is."""
    changed = meta
    for name, fine, right, change in fields:
        value = meta.get(name, ABSENT)
        kind = value.__class__
        if kind in fine or (right is not None and kind is str and right(value)):
            continue
        new = change(value)
        if new is value:
            continue
        if changed is meta:
            changed = dict(meta)
        if new is ABSENT:
            del changed[name]
        else:
            changed[name] = new
    return changed


def _changes(reader: Reader, view: View, fits: Fits, depth: int, path: tuple[str, ...] = ()) -> Changes:
    """What to do with the fields of an object."""
    if depth > MAX_NESTING:
        return ()
    made = []
    for name, parts in view.properties.items():
        inner = reader.view(*parts)
        change = _change(reader, inner, fits, depth, (*path, name), name in view.required)
        if change is not None:
            made.append((name, _untouched(inner), _right(inner), change))
    return tuple(made)


def _untouched(view: View) -> frozenset[type]:
    """Python types whose values are right as they are, so that most fields cost one look."""
    if view.enum is not None or view.intricate:
        return _NEVER
    fine: set[type] = {_Absent}
    if "string" in view.types and view.format not in ("date", "date-time"):
        fine.add(str)
    if "integer" in view.types or "number" in view.types:
        fine.add(int)
    if "number" in view.types:
        fine.add(float)
    if "boolean" in view.types:
        fine.add(bool)
    if "null" in view.types:
        fine.add(type(None))
    return frozenset(fine)


def _right(view: View) -> Callable[[str], object] | None:
    """What tells at a glance that a text is as it should be."""
    if view.enum is not None:
        return frozenset(value for value in view.enum if isinstance(value, str)).__contains__
    return ISO_DATE.fullmatch if "string" in view.types and view.format == "date" else None


def _left_when_valid(view: View) -> frozenset[type]:
    """Python types of values that are never changed where the metadata fits."""
    if view.enum is not None:
        return _ALL
    seen: set[type] = set()
    if "string" in view.types and view.format in ("date", "date-time"):
        seen.add(str)
    if "integer" in view.types and "number" not in view.types:
        seen.add(float)
    if "array" in view.types and view.items is not None:
        seen.add(list)
    if "object" in view.types and view.properties:
        seen.add(dict)
    return _ALL - seen


def _change(reader: Reader, view: View, fits: Fits, depth: int, path: tuple[str, ...], required: bool) -> Change | None:
    """What to do with the values of one field; None if nothing can be."""
    if view.enum is not None:
        return _OneOf(view.enum, required)
    if not view.types:
        return None
    item: Change | None = None
    numbers = False
    if "array" in view.types and view.items is not None and depth < MAX_NESTING:
        inner = reader.view(view.items)
        item = _change(reader, inner, lambda path, value: True, depth + 1, (*path, "*"), False)
        numbers = "number" in inner.types
    fields = _changes(reader, view, fits, depth + 1, path) if "object" in view.types else ()
    others = [name for name in view.types if name != "null"]
    simple = _SIMPLE.get(others[0]) if len(others) == 1 and not view.intricate else None
    return _Typed(view, fits, path, required, item, fields, numbers, simple)


@dataclass(frozen=True)
class _Typed:
    """Makes a value one of the types that a field may have.

    Attributes:
        view: what is wanted of the field.
        fits: asks the validator.
        path: where the field is.
        required: an empty value becomes null, if that is allowed, instead of going away.
        item: what to do with the items of an array.
        fields: what to do with the fields of an object.
        numbers: whether the items are numbers.
        simple: what makes a text the only type that there is.
    """

    view: View
    fits: Fits
    path: tuple[str, ...]
    required: bool
    item: Change | None
    fields: Changes
    numbers: bool
    simple: Change | None

    def __call__(self, value: Any) -> Any:
        if self.simple is not None and value.__class__ is str and len(value) <= MAX_TEXT:
            new = self.simple(value)
            if new is not value:
                return new
        own, types = kind(value), self.view.types
        # A text may be let in by one alternative, and this one only as the number of another.
        elsewhere = own == "string" and self.view.intricate and not self.fits(self.path, value)
        if (own in types or (own == "integer" and "number" in types)) and not elsewhere:
            return self._inside(value, own)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None if value is not None and "null" in types and self.required else ABSENT
        if own == "number" and "integer" in types:
            return integer(value)
        if isinstance(value, str) and len(value) > MAX_TEXT:
            return value
        if self.view.intricate and self.fits(self.path, value):
            return value
        found: list[Any] = []
        for name in types:
            new = self._to(name, value)
            if new is value or any(same(new, other) for other in found):
                continue
            if not self.view.intricate or self.fits(self.path, new):
                found.append(new)
        return found[0] if len(found) == 1 else value

    def _inside(self, value: Any, own: str) -> Any:
        """A value of an allowed type: dates to ISO, items and inner fields to what is wanted of them."""
        view = self.view
        if own == "string" and view.format in ("date", "date-time"):
            new = moment(value, view.format)
            if new == value:
                return value
            # A pattern may ask for the very form that would be replaced.
            return value if (view.ruled or view.intricate) and not self.fits(self.path, new) else new
        if own == "array" and self.item is not None:
            return _items(value, self.item)
        if own == "object" and self.fields:
            return applied(self.fields, value)
        return value

    def _to(self, name: str, value: Any) -> Any:
        """The value as another type; itself if it can't be."""
        if name == "integer":
            return integer(value)
        if name == "number":
            return number(value)
        if name == "boolean":
            return boolean(value)
        if name == "string":
            return string(value, self.view.format)
        if name == "array":
            return _array(value, self.item, self.numbers)
        if name == "object":
            read = parsed(value, dict)
            return applied(self.fields, read) if isinstance(read, dict) else value
        return value


def _items(value: list[Any], item: Change) -> list[Any]:
    new = [item(each) for each in value]
    if all(one is other for one, other in zip(new, value, strict=True)):
        return value
    return [old if each is ABSENT else each for each, old in zip(new, value, strict=True)]


def _array(value: Any, item: Change | None, numbers: bool) -> Any:
    if isinstance(value, list | dict):
        return value
    if isinstance(value, str):
        listed = parsed(value, list)
        if listed is not value:
            parts: list[Any] = listed
        else:
            marks = [mark for mark in _SEPARATORS if mark in value.strip()]
            # "1,5" may be one number or two.
            if len(marks) > 1 or (numbers and _DECIMAL_COMMA.fullmatch(value)):
                return value
            split = value.split(marks[0]) if marks else [value]
            parts = [part.strip() for part in split if part.strip()]
    else:
        parts = [value]
    return _items(parts, item) if item is not None else parts


@dataclass(frozen=True)
class _OneOf:
    """Finds the one allowed value that is written like the given one, but for case and spaces."""

    enum: tuple[Any, ...]
    required: bool

    def __call__(self, value: Any) -> Any:
        if isinstance(value, list | dict) or any(same(value, option) for option in self.enum):
            return value
        if value is None or (isinstance(value, str) and not value.strip()):
            return None if value is not None and None in self.enum and self.required else ABSENT
        if isinstance(value, str) and len(value) > MAX_TEXT:
            return value
        text = written(value)
        simple = [option for option in self.enum if option is not None and not isinstance(option, list | dict)]
        for fold in (str.strip, folded):
            found = [option for option in simple if fold(written(option)) == fold(text)]
            if found:
                return found[0] if len(found) == 1 else value
        return value
