"""Pascal VOC annotations as JSON: the content guard takes the `<object>` in their XML for a web page's.

`folder`, `filename`, `path`, `source`, `owner` and whatever else there is keep their names. `size`, `segmented`,
`truncated`, `occluded` and `difficult` are numbers; `objects` is the list of `<object>` elements, `bndbox` an object
of numbers, `parts` a list, `polygons` a list of lists of [x, y]. An element that is not known is text, an object of its
children (attributes as `@name`, text beside children as `#text`), or a list where it occurs more than once.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from xml.parsers import expat

from synapse_skills.media.failures import ConversionFailed

MAX_BYTES = 16 << 20
MAX_DEPTH = 32
MAX_ELEMENTS = 500_000

_NO_VOC = "it is no Pascal VOC file"
_DECLARED = re.compile(rb"""^(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
# Expat knows UTF-8, UTF-16 and Latin-1; Korean tools also write these.
_TRANSLATED = {"euc-kr": "cp949", "cp949": "cp949", "ks_c_5601-1987": "cp949", "windows-949": "cp949", "uhc": "cp949"}
_FLAGS = frozenset({"truncated", "occluded", "difficult", "segmented"})
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_POINT = re.compile(r"([xy])([0-9]{1,9})")
# Names that this module gives; an element that has one of them would be lost behind it.
_OURS = {"annotation": {"objects"}, "object": {"parts", "polygons"}, "part": {"parts", "polygons"}}


@dataclass(slots=True)
class _Element:
    name: str
    attributes: dict[str, str]
    children: list[_Element] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    @property
    def content(self) -> str:
        return "".join(self.text).strip()


def voc_as_json(stream: BinaryIO) -> bytes:
    """Read the annotation of one picture.

    Raises:
        ConversionFailed: no XML, no `<annotation>`, entities or a DOCTYPE in it, too large, or a box without numbers.
    """
    content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ConversionFailed(f"the annotation is larger than {MAX_BYTES >> 20} MiB")
    root = _parsed(content)
    if root.name != "annotation":
        raise ConversionFailed(f"{_NO_VOC}: its root is <{root.name[:40]}>, not <annotation>")
    document = _annotation(root)
    return (json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2) + "\n").encode("utf-8")


def _parsed(content: bytes) -> _Element:
    """The elements of a file, without anything that could make more of it than is in it."""
    override = None
    declared = _DECLARED.match(content)
    if declared and (codec := _TRANSLATED.get(declared.group(1).decode("ascii").lower())):
        try:
            content, override = content.decode(codec).encode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            raise ConversionFailed(f"the annotation is not {declared.group(1).decode('ascii')}, as it says") from None
    reader = expat.ParserCreate(override)
    open_: list[_Element] = []
    roots: list[_Element] = []
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(open_) >= MAX_DEPTH or count > MAX_ELEMENTS:
            raise ConversionFailed(f"{_NO_VOC}: too deep or too many elements")
        element = _Element(name, attributes)
        (open_[-1].children if open_ else roots).append(element)
        open_.append(element)

    def refuse(*_: Any) -> None:
        raise ConversionFailed(f"{_NO_VOC}: it has a DOCTYPE or entities, which are not read")

    reader.StartElementHandler = start
    reader.EndElementHandler = lambda _name: open_.pop()
    reader.CharacterDataHandler = lambda text: open_[-1].text.append(text)
    reader.StartDoctypeDeclHandler = refuse
    reader.EntityDeclHandler = refuse
    try:
        reader.Parse(content, True)
    except expat.ExpatError as error:
        raise ConversionFailed(f"{_NO_VOC}: line {error.lineno}: {expat.ErrorString(error.code)}") from None
    except (ValueError, LookupError):
        raise ConversionFailed(f"{_NO_VOC}: its encoding is not known") from None
    return roots[0]


def _annotation(root: _Element) -> dict[str, Any]:
    named = [child for child in root.children if child.name == "object"]
    document = _mapping(root, without="object")
    _refuse_ours(root)
    document["objects"] = [_object(element, f"object {number}") for number, element in enumerate(named, 1)]
    return document


def _refuse_ours(element: _Element) -> None:
    for child in element.children:
        if child.name in _OURS.get(element.name, ()):
            raise ConversionFailed(f"{_NO_VOC}: it has an element <{child.name}>")


def _object(element: _Element, where: str) -> dict[str, Any]:
    """One `<object>` or `<part>`."""
    rest = _Element(element.name, element.attributes, text=element.text)
    parts: list[dict[str, Any]] = []
    polygons: list[list[list[Any]]] = []
    boxes: list[dict[str, Any]] = []
    for child in element.children:
        if child.name == "part":
            parts.append(_object(child, f"{where}, part {len(parts) + 1}"))
        elif child.name == "bndbox":
            boxes.append(_box(child, where))
        elif child.name == "polygon" and (points := _points(child)):
            polygons.append(points)
        else:
            rest.children.append(child)
    _refuse_ours(element)
    found = _mapping(rest)
    if len(boxes) > 1:
        raise ConversionFailed(f"{where} has {len(boxes)} boxes")
    if boxes:
        found["bndbox"] = boxes[0]
    if parts:
        found["parts"] = parts
    if polygons:
        found["polygons"] = polygons
    return found


def _box(element: _Element, where: str) -> dict[str, Any]:
    box: dict[str, Any] = {f"@{name}": value for name, value in element.attributes.items()}
    for child in element.children:
        value = _number(child.content)
        if value is None or child.children:
            raise ConversionFailed(f"{where}: {child.name[:40]} is no number: {child.content[:40]!r}")
        if child.name in box:
            raise ConversionFailed(f"{where}: {child.name[:40]} twice")
        box[child.name] = value
    missing = [name for name in ("xmin", "ymin", "xmax", "ymax") if name not in box]
    if missing:
        raise ConversionFailed(f"{where}: no {', '.join(missing)} in its box")
    return box


def _points(element: _Element) -> list[list[Any]] | None:
    """[x, y] of `<x1><y1><x2>…` or of `<point><x/><y/></point>`; None if it is written in another way."""
    pairs: list[list[Any]] = []
    if element.attributes or element.content:
        return None
    if all(child.name in ("point", "pt") and len(child.children) == 2 for child in element.children):
        for child in element.children:
            values = {each.name: _number(each.content) for each in child.children}
            if set(values) != {"x", "y"} or None in values.values() or child.attributes:
                return None
            pairs.append([values["x"], values["y"]])
        return pairs
    found: dict[int, dict[str, Any]] = {}
    for child in element.children:
        match, value = _POINT.fullmatch(child.name), _number(child.content)
        if match is None or value is None or child.children or child.attributes:
            return None
        axis, number = match.group(1), int(match.group(2))
        if axis in found.setdefault(number, {}):
            return None
        found[number][axis] = value
    if any(set(point) != {"x", "y"} for point in found.values()):
        return None
    return [[found[number]["x"], found[number]["y"]] for number in sorted(found)]


def _mapping(element: _Element, without: str = "") -> dict[str, Any]:
    """Children by name, repeated ones as lists, in the order of the file."""
    found: dict[str, list[Any]] = {}
    for child in element.children:
        if child.name != without:
            found.setdefault(child.name, []).append(_value(child, element.name))
    document: dict[str, Any] = {f"@{name}": value for name, value in element.attributes.items()}
    document.update({name: values[0] if len(values) == 1 else values for name, values in found.items()})
    if element.content:
        document["#text"] = element.content
    return document


def _value(element: _Element, parent: str) -> Any:
    if element.children or element.attributes:
        return _mapping(element)
    if element.name in _FLAGS or parent == "size":
        number = _number(element.content)
        return element.content if number is None else number
    return element.content


def _number(text: str) -> int | float | None:
    """A finite number; None if the text is none. Whole ones stay whole."""
    if _WHOLE.fullmatch(text):
        return int(text)
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None
