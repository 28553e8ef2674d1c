"""What a collection's meta schema asks for, field by field: for tables, questions and templates.

It only describes. Whether metadata fits is decided by the validator alone (schema.py), so whatever is too intricate
to be told in one line (conditions, exclusions) may be left out here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

MAX_DEPTH = 40
_TYPE_OF: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
# Keywords that ask something of a text beyond its type.
_TEXT_RULES = ("pattern", "minLength", "maxLength", "const", "not", "if")
_LEGACY = ("draft-03", "draft-04", "draft-06", "draft-07")


@dataclass(frozen=True)
class Field:
    """One field of the metadata.

    Attributes:
        name: its name.
        types: JSON types that it may have; empty if any.
        required: whether every data unit must have it.
        enum: the allowed values; empty if the schema lists none.
        format: `date`, `date-time` and the like; said by the schema, checked by nobody here.
        title: what people call it.
        description: what the schema says about it.
        item_types: JSON types of the items, for an array.
        default: what the schema calls its default, which nobody fills in.
    """

    name: str
    types: tuple[str, ...] = ()
    required: bool = False
    enum: tuple[Any, ...] = ()
    format: str = ""
    title: str = ""
    description: str = ""
    item_types: tuple[str, ...] = ()
    default: Any = None


@dataclass(frozen=True)
class View:
    """A part of a schema with its references and `allOf` merged, as far as it can be told simply.

    Attributes:
        types: allowed JSON types; empty if any.
        enum: allowed values; None if not listed.
        format: what the texts are said to be.
        items: the schema of an array's items.
        properties: the parts of an object's fields, several for one that is described several times.
        required: names of required fields.
        closed: whether unknown fields are refused.
        ruled: whether more is asked of a text than its type.
        intricate: alternatives or conditions: only the validator can tell what fits.
    """

    types: tuple[str, ...] = ()
    enum: tuple[Any, ...] | None = None
    format: str = ""
    items: Any = None
    properties: dict[str, list[Any]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    closed: bool = False
    ruled: bool = False
    intricate: bool = False
    title: str = ""
    description: str = ""
    default: Any = None


class Reader:
    """Reads parts of one schema.

    Args:
        schema: the whole of it, to which references are resolved.
    """

    def __init__(self, schema: Any) -> None:
        self.root = schema
        named = schema.get("$schema") if isinstance(schema, Mapping) else None
        self._legacy = isinstance(named, str) and any(name in named for name in _LEGACY)

    def view(self, *parts: Any) -> View:
        """What holds for a value to which all these parts apply."""
        view = View()
        for part in parts:
            for each in self._flat(part, 0, ()):
                view = self._merge(view, each)
        return view

    def _flat(self, part: Any, depth: int, seen: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
        """A part and all that applies beside it: the targets of its references and the members of its allOf."""
        if part is False:
            yield {"enum": []}
        if not isinstance(part, Mapping) or depth > MAX_DEPTH:
            return
        reference = part.get("$ref")
        # Up to draft 7 what stands beside a reference is ignored.
        if not (isinstance(reference, str) and self._legacy):
            yield part
        for word in ("$ref", "$dynamicRef", "$recursiveRef"):
            target = part.get(word)
            if isinstance(target, str) and target not in seen and (word == "$ref" or not self._legacy):
                yield from self._flat(self._resolve(target), depth + 1, (*seen, target))
        if not (isinstance(reference, str) and self._legacy):
            members = part.get("allOf")
            for member in members if isinstance(members, list) else []:
                yield from self._flat(member, depth + 1, seen)

    def _resolve(self, reference: str) -> Any:
        """The part that a local reference points at; None for any other."""
        base, _, pointer = reference.partition("#")
        own = self.root.get("$id") or self.root.get("id") if isinstance(self.root, Mapping) else None
        if base and base != str(own or "").rstrip("#"):
            return None
        pointer = unquote(pointer)
        if pointer and not pointer.startswith("/"):
            return self._anchor(self.root, pointer, 0)
        part = self.root
        for step in pointer.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(part, Mapping) and step in part:
                part = part[step]
            elif isinstance(part, list) and step.isdecimal() and int(step) < len(part):
                part = part[int(step)]
            else:
                return None
        return part

    def _anchor(self, part: Any, name: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            return None
        if isinstance(part, Mapping):
            if name in (part.get("$anchor"), part.get("$dynamicAnchor")) or f"#{name}" in (
                part.get("$id"),
                part.get("id"),
            ):
                return part
            inner = list(part.values())
        else:
            inner = part if isinstance(part, list) else []
        return next((found for item in inner if (found := self._anchor(item, name, depth + 1)) is not None), None)

    def _merge(self, view: View, part: Mapping[str, Any]) -> View:
        types, enum = _types_of(part), part.get("enum")
        values = tuple(enum) if isinstance(enum, list) else ((part["const"],) if "const" in part else None)
        alternatives, intricate = self._alternatives(part)
        if alternatives is not None:
            types = types or alternatives.types
            values = values if values is not None else alternatives.enum
        properties = {name: list(parts) for name, parts in view.properties.items()}
        for name, inner in _mapping(part.get("properties")).items():
            properties.setdefault(name, []).append(inner)
        required = part.get("required")
        items = part.get("items")
        closed = part.get("additionalProperties") is False or part.get("unevaluatedProperties") is False
        return replace(
            view,
            types=_both(view.types, types),
            enum=values if view.enum is None else _common(view.enum, values),
            format=view.format or _text(part, "format") or (alternatives.format if alternatives else ""),
            items=items if view.items is None and isinstance(items, Mapping | bool) else view.items,
            properties=properties,
            required=(*view.required, *(name for name in required if isinstance(name, str)))
            if isinstance(required, list)
            else view.required,
            closed=view.closed or closed,
            ruled=view.ruled or any(word in part for word in _TEXT_RULES),
            intricate=view.intricate or intricate,
            title=view.title or _text(part, "title"),
            description=view.description or _text(part, "description"),
            default=part.get("default") if view.default is None else view.default,
        )

    def _alternatives(self, part: Mapping[str, Any]) -> tuple[View | None, bool]:
        """The union of anyOf and oneOf, where each alternative is told by types or values."""
        found = [branch for word in ("anyOf", "oneOf") if isinstance(part.get(word), list) for branch in part[word]]
        if not found:
            return None, any(word in part for word in ("not", "if"))
        views = [self._shallow(branch) for branch in found]
        types: tuple[str, ...] = ()
        if all(view.types or view.enum is not None for view in views):
            every = [name for view in views for name in (view.types or _types_in(view.enum or ()))]
            types = tuple(dict.fromkeys(every))
        listed = all(view.enum is not None for view in views)
        values = tuple(value for view in views for value in view.enum or ()) if listed else None
        formats = {view.format for view in views if view.format}
        return View(types=types, enum=values, format=formats.pop() if len(formats) == 1 else ""), True

    def _shallow(self, branch: Any) -> View:
        """A branch without its own alternatives: enough for types and values, and it can't go round in circles."""
        view = View()
        for part in self._flat(branch, MAX_DEPTH - 8, ()):
            plain = {key: value for key, value in part.items() if key not in ("anyOf", "oneOf", "allOf")}
            view = self._merge(view, plain)
        return view


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(part: Mapping[str, Any], word: str) -> str:
    value = part.get(word)
    return value if isinstance(value, str) else ""


def _types_of(part: Mapping[str, Any]) -> tuple[str, ...]:
    named = part.get("type")
    if isinstance(named, str):
        return (named,)
    return tuple(name for name in named if isinstance(name, str)) if isinstance(named, list) else ()


def _types_in(values: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_TYPE_OF.get(type(value), "object") for value in values))


def _both(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """The types that both allow; an integer is a number."""
    if not first or not second:
        return first or second
    kept = [name for name in first if name in second or (name == "integer" and "number" in second)]
    kept += [name for name in second if name == "integer" and "number" in first and name not in kept]
    return tuple(kept) or first


def _common(first: tuple[Any, ...], second: tuple[Any, ...] | None) -> tuple[Any, ...]:
    return first if second is None else tuple(value for value in first if value in second)


def wants(schema: Any) -> tuple[Field, ...]:
    """The fields that a schema names, the required ones first, each group in the schema's order.

    Args:
        schema: a meta schema, or None; any that `MetaCheck` accepts.

    Returns:
        Fields with local references and `allOf` resolved; those that are only described in alternatives and
        conditions (`anyOf`, `then`…) are among the optional ones.
    """
    if not isinstance(schema, Mapping):
        return ()
    reader = Reader(schema)
    top = reader.view(schema)
    parts = {name: list(inner) for name, inner in top.properties.items()}
    for name, inner in _elsewhere(reader, schema):
        if name not in top.properties:
            parts.setdefault(name, []).append(inner)
    for name in top.required:
        parts.setdefault(name, [])
    fields = [
        _field(reader, name, inner, required=name in top.required)
        for name, inner in parts.items()
        if not any(part is False for part in inner)
    ]
    return tuple(sorted(fields, key=lambda each: not each.required))


def _elsewhere(reader: Reader, schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Properties that are described in a branch of the schema's top."""
    for part in reader._flat(schema, 0, ()):
        branches = [branch for word in ("anyOf", "oneOf") for branch in _list(part.get(word))]
        branches += [part.get(word) for word in ("then", "else")]
        branches += list(_mapping(part.get("dependentSchemas")).values())
        for branch in branches:
            for name, inner in reader.view(branch).properties.items():
                yield from ((name, each) for each in inner)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _field(reader: Reader, name: str, parts: list[Any], *, required: bool) -> Field:
    view = reader.view(*parts)
    items = reader.view(view.items) if view.items is not None else View()
    return Field(
        name=name,
        types=view.types or _types_in(view.enum or ()),
        required=required,
        enum=view.enum or (),
        format=view.format,
        title=view.title,
        description=view.description,
        item_types=items.types or _types_in(items.enum or ()),
        default=view.default,
    )


def is_closed(schema: Any) -> bool:
    """Whether the schema refuses fields that it does not name."""
    return isinstance(schema, Mapping) and Reader(schema).view(schema).closed
