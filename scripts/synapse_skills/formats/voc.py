"""Pascal VOC: one XML file a picture.

    Annotations/<stem>.xml           size, and an <object> for each box
    JPEGImages/<name>                originals, if they were asked for; the name is VOC's, whatever their type
    ImageSets/Main/<split>.txt       the stems of a part; without a split all are in trainval.txt
    SegmentationClass, …             with `segmentation=yes`: polygons and masks as pixels, see `voc_pixels`

Coordinates are pixels, the first and the last that the box touches: `xmin = floor(x) + 1`, `xmax = ceil(x + width)`.
VOC counts them from 1; with `base=0` each is one less. `truncated`, `difficult`, `occluded` and `pose` come from
attributes of these names; all attributes stand in `<attributes>`, which readers of VOC pass over. `depth` is what the
original says if it was fetched, else the data unit's `channels`, else 3. What XML 1.0 has no place for (control
characters) is written as its escape.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from synapse_skills.annotations.model import Annotation, Box, Mask, Polygon
from synapse_skills.formats.base import LEAVE, Format, Item, Loss, Option, Settings, Verified
from synapse_skills.formats.boxes import HOLDS, OPTIONS, Boxes
from synapse_skills.formats.classes import DROPPED
from synapse_skills.formats.geometry import NOISE
from synapse_skills.formats.parts import pour
from synapse_skills.formats.small_files import stems_in, write_file
from synapse_skills.formats.voc_pixels import Pixels, Sheet, verify_pixels
from synapse_skills.on_disk import Row, in_order, side_by_side
from synapse_skills.report import Problems

WHOLE = "trainval"
"""The list that everything is in if no split was asked for."""

AGAIN = "Export again; if it comes back, say so to whoever maintains this."
FLAGS = ("truncated", "difficult", "occluded")

_TRUE = frozenset({"1", "true", "yes", "y", "예"})
_PLAIN = re.compile(r"[\w .,:;()/+-]*", re.ASCII)
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Voc:
    """See the module; the protocol is `base.Writer`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.rows: dict[str, int] = dict.fromkeys(settings.splits or ("",), 0)
        self.notes: dict[str, int] = {}
        self._classes = settings.classes
        self._boxes = Boxes(settings.geometry, settings.options, self.notes)
        # What is held by its pixels has the box around it besides, as in VOC: that is no change of its shape.
        self._around = Boxes(settings.geometry, {"polygon": "box", "mask": "box"}, {})
        self._first = int(settings.options["base"])
        self._title = text(settings.title)
        self._folder = folder
        self._annotations = f"{(settings.files or folder) / 'Annotations'}/"
        self._named: dict[str | None, str] = {}
        self._lists: dict[str, TextIO] = {}
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (folder / name).mkdir(parents=True)
        for part in settings.splits or (WHOLE,):
            self._list(part)
        is_segmented = settings.options.get("segmentation") == "yes"
        self._pixels = Pixels(folder, settings, WHOLE, self.notes) if is_segmented else None

    def write(self, item: Item) -> Sequence[Loss]:
        """Write the file of a picture; anything else is not held."""
        annotations = item.media.annotations
        if item.media.kind != "image":
            return [Loss(annotation, "not-held", f"{item.media.kind}, no image") for annotation in annotations]
        if not (item.width and item.height):
            # VOC has no file without a size, not even for a picture that holds nothing.
            return [Loss(annotation, "no-size") for annotation in annotations]
        losses: list[Loss] = []
        objects: list[str] = []
        has_pixels, count = False, len(annotations)
        plain = self._plain(annotations, item.width, item.height) if self._pixels is None else None
        if plain is not None:
            objects.append(plain)
        else:
            sheet = self._pixels.paint(item) if self._pixels is not None else None
            for annotation in annotations:
                made = self._object(annotation, item.width, item.height, sheet, len(objects))
                if isinstance(made, Loss):
                    losses.append(made)
                else:
                    objects.append(made)
            count = len(objects)
            has_pixels = sheet is not None and self._pixels is not None and self._pixels.save(item, sheet)
        write_file(f"{self._annotations}{item.stem}.xml", self._page(item, objects, has_pixels).encode())
        self._list(item.split or WHOLE).write(f"{item.stem}\n")
        self.rows[item.split] = self.rows.get(item.split, 0) + count
        return losses

    def _plain(self, annotations: Sequence[Annotation], width: int, height: int) -> str | None:
        """All objects of a picture, if nothing is to be said of them but class and box; None if `_object` is needed.

        Nearly all pictures are such, and are written three times as fast.
        """
        cells: list[str | int] = []
        less = 1 - self._first
        named, ceil = self._named, math.ceil
        for annotation in annotations:
            box, name = annotation.geometry, named.get(annotation.label)
            if type(box) is not Box or box.rotation or annotation.attributes:
                return None
            if name is None:
                place = self._classes.place(annotation)
                if isinstance(place, str):
                    return None
                name = named[annotation.label] = text(self._classes.names[place])
            x, y, w, h = box.x, box.y, box.width, box.height
            right, bottom = x + w, y + h
            if not (x >= 0 and y >= 0 and w >= NOISE and h >= NOISE and right <= width and bottom <= height):
                return None
            # As `pixels` says for what lies inside and is no thinner than a pixel's edge.
            left, top, last, lowest = int(x + NOISE) + 1, int(y + NOISE) + 1, ceil(right - NOISE), ceil(bottom - NOISE)
            if left > last or top > lowest:
                return None
            cells += (name, left - less, top - less, last - less, lowest - less)
        return _OBJECT * (len(cells) // 5) % tuple(cells)

    def _object(self, annotation: Annotation, width: int, height: int, sheet: Sheet | None, count: int) -> str | Loss:
        place = self._classes.place(annotation)
        if place == DROPPED:
            return Loss(annotation, DROPPED)
        is_painted = sheet is not None and isinstance(annotation.geometry, Polygon | Mask)
        if not is_painted and type(annotation.geometry) not in self._boxes.shapes:
            is_missing = annotation.geometry is None and annotation.tool in HOLDS
            return Loss(annotation, "no-geometry" if is_missing else "not-held")
        if isinstance(place, str):
            return Loss(annotation, place)
        if sheet is not None and is_painted and (lost := sheet.lost(annotation, place, count)):
            return lost
        box = (self._around if is_painted else self._boxes).of(annotation.geometry, width, height)
        if isinstance(box, str):
            return Loss(annotation, box)
        if sheet is not None and is_painted:
            sheet.claim(annotation, place, count + 1)
        xmin, xmax = pixels(box.x, box.x + box.width, width)
        ymin, ymax = pixels(box.y, box.y + box.height, height)
        name, less, given = text(self._classes.names[place]), 1 - self._first, annotation.attributes
        return (
            f"  <object>\n    <name>{name}</name>\n{_said(given)}"
            f"    <bndbox><xmin>{xmin - less}</xmin><ymin>{ymin - less}</ymin>"
            f"<xmax>{xmax - less}</xmax><ymax>{ymax - less}</ymax></bndbox>\n{_attributes(given)}  </object>\n"
        )

    def _page(self, item: Item, objects: list[str], has_pixels: bool) -> str:
        channels = item.channels or item.record.meta.get("channels")
        depth = channels if channels in (1, 2, 3, 4) and not isinstance(channels, bool) else 3
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<annotation>\n  <folder>JPEGImages</folder>\n'
            f"  <filename>{text(item.name)}</filename>\n  <source><database>{self._title}</database></source>\n"
            f"  <size><width>{item.width}</width><height>{item.height}</height><depth>{depth}</depth></size>\n"
            f"  <segmented>{int(has_pixels)}</segmented>\n{''.join(objects)}</annotation>\n"
        )

    def _list(self, part: str) -> TextIO:
        if part not in self._lists:
            path = self._folder / "ImageSets" / "Main" / f"{part}.txt"
            self._lists[part] = path.open("w", encoding="utf-8", newline="\n")
        return self._lists[part]

    def place(self, item: Item) -> str | None:
        """With the other pictures, if it has an annotation file."""
        is_held = item.media.kind == "image" and item.width and item.height
        return f"JPEGImages/{item.name}" if is_held else None

    def close(self) -> None:
        """Close the lists."""
        for stream in self._lists.values():
            stream.close()
        if self._pixels is not None:
            self._pixels.close()

    def leave(self) -> list[str]:
        """End a part; which lists it has."""
        self.close()
        return list(self._lists)

    def take(self, folder: Path, left: list[str]) -> None:
        """Add the lists of a part."""
        for part in left:
            pour(folder / "ImageSets" / "Main" / f"{part}.txt", self._list(part).buffer)
        if self._pixels is not None:
            self._pixels.take(folder)


def pixels(start: float, end: float, length: int) -> tuple[int, int]:
    """The first and the last pixel, from 1, that a span inside a picture touches by more than noise."""
    first = min(math.floor(start + NOISE) + 1, length)
    return first, min(max(math.ceil(end - NOISE), first), length)


def is_true(value: Any) -> bool:
    """Whether an attribute says yes."""
    return value is True or str(value).strip().casefold() in _TRUE


def text(value: str) -> str:
    """Text as XML 1.0 holds it."""
    if _PLAIN.fullmatch(value):
        return value
    plain = _NO_XML.sub(lambda found: found.group().encode("unicode_escape").decode(), value)
    return escape(plain, {"\r": "&#13;"})


def _said(given: dict[str, Any]) -> str:
    """The pose and the flags."""
    pose = given.get("pose")
    flags = "".join(f"<{flag}>{int(is_true(given.get(flag)))}</{flag}>" for flag in FLAGS)
    return f"    <pose>{text(pose) if isinstance(pose, str) else 'Unspecified'}</pose>{flags}\n"


_OBJECT = (
    f"  <object>\n    <name>%s</name>\n{_said({})}    <bndbox><xmin>%d</xmin><ymin>%d</ymin><xmax>%d</xmax>"
    "<ymax>%d</ymax></bndbox>\n  </object>\n"
)
"""As `Voc._object` writes one of which nothing is said but class and box."""


def _attributes(given: dict[str, Any]) -> str:
    lines = [
        f"<attribute><name>{text(name)}</name><value>{text(_value(value))}</value></attribute>"
        for name, value in given.items()
    ]
    return f"    <attributes>{''.join(lines)}</attributes>\n" if lines else ""


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def verify(folder: Path) -> Verified:
    """Every file parses, holds what VOC asks for, and stands in exactly one list."""
    found, problems = Verified(), Problems()
    edges: set[str] = set()
    part_of: dict[str, str] = {}
    segmented: dict[str, tuple[int, int, int]] = {}
    names = (stems_in(folder / "Annotations", only=".xml"), stems_in(folder / "JPEGImages"))
    for key, (lists, files, pictures) in side_by_side(in_order(_listed(folder, found)), *names):
        stem = os.fsdecode(key)
        for name in lists[1:]:
            problems.add("in-two-parts", f"{stem}: {name.decode()}.txt", fix=AGAIN)
        if not files:
            for name in pictures:
                problems.add("picture-without-labels", f"JPEGImages/{os.fsdecode(name)}", fix=AGAIN)
            if lists:
                problems.add("missing-file", f"Annotations/{stem}.xml", fix=AGAIN)
        elif not lists:
            problems.add("in-no-part", f"Annotations/{stem}.xml", fix=AGAIN)
        else:
            part = _part(lists[-1].decode())
            found.rows[part] += _read(folder, stem, edges, segmented, problems)
            if stem in segmented:
                part_of[stem] = part
    verify_pixels(folder, part_of, segmented, WHOLE, problems)
    if len(edges) > 1:
        problems.add("bad-box", "some boxes are counted from 0, others from 1", fix=AGAIN)
    found.problems = problems.as_list()
    return found


def _listed(folder: Path, found: Verified) -> Iterator[Row]:
    """The stems in the lists, each with the name of its list; counted by part."""
    for path in sorted((folder / "ImageSets" / "Main").glob("*.txt")):
        part = _part(path.stem)
        found.items[part] = found.rows[part] = 0
        with path.open(encoding="utf-8", newline="\n") as stream:
            for line in stream:
                found.items[part] += 1
                yield line.removesuffix("\n").encode(), path.stem.encode()


def _part(name: str) -> str:
    """The part of the split that a list is of."""
    return "" if name == WHOLE else name


def _read(
    folder: Path, stem: str, edges: set[str], segmented: dict[str, tuple[int, int, int]], problems: Problems
) -> int:
    """Look at one file; how many objects it has. `edges`: the bases that its boxes tell."""
    where = f"Annotations/{stem}.xml"
    try:
        # A path of each would stay in memory: Python 3.12 interns their parts for ever.
        with open(f"{folder}/{where}", "rb") as stream:  # noqa: PTH123
            content = stream.read()
        root = ElementTree.fromstring(content)  # noqa: S314  expat of today refuses entities that grow
        width, height, depth = (int(root.findtext(f"size/{name}", "")) for name in ("width", "height", "depth"))
        name = root.findtext("filename", "")
    except (OSError, ValueError, ElementTree.ParseError) as error:
        problems.add("unreadable", f"{where}: {error}", fix=AGAIN)
        return 0
    if root.tag != "annotation" or min(width, height, depth) < 1 or (name.rpartition(".")[0] or name) != stem:
        problems.add("bad-file", f"{where}: root, size or filename", fix=AGAIN)
    objects = root.findall("object")
    if root.findtext("segmented") == "1":
        segmented[stem] = (width, height, len(objects))
    for number, each in enumerate(objects, 1):
        try:
            said = _texts(each)
            edges_of = _texts(each.find("bndbox"))
            left, top, right, bottom = (int(edges_of[edge]) for edge in ("xmin", "ymin", "xmax", "ymax"))
        except (ValueError, KeyError):
            problems.add("bad-box", f"{where}: object {number} has no whole numbers", fix=AGAIN)
            continue
        if not (0 <= left <= right <= width and 0 <= top <= bottom <= height):
            problems.add("bad-box", f"{where}: object {number} is outside its picture", fix=AGAIN)
        edges |= {"0" for edge in (left, top) if edge == 0}
        edges |= {"1" for edge, end in ((right, width), (bottom, height)) if edge == end}
        if not said.get("name") or any(said.get(flag) not in ("0", "1") for flag in FLAGS):
            problems.add("bad-object", f"{where}: object {number} has no name, or flags that are none", fix=AGAIN)
    return len(objects)


def _texts(element: ElementTree.Element | None) -> dict[str, str]:
    """The texts of what stands in an element, of each name the first: to look for them one by one takes eight times."""
    return {} if element is None else {child.tag: child.text or "" for child in element[::-1]}


FORMAT = Format(
    name="voc",
    title="Pascal VOC",
    media=("image",),
    holds={
        "bounding_box": "whole pixels",
        "polygon": f"segmentation=yes, or {HOLDS['polygon']}",
        "segmentation": f"segmentation=yes, or {HOLDS['segmentation']}",
    },
    needs_size=True,
    options=(
        *OPTIONS,
        Option("base", (1, 0), "The number of the first pixel: 1 as VOC has it, or 0."),
        Option(
            "segmentation",
            ("no", "yes"),
            "Polygons and masks as pictures of pixels, by class and by object.",
            labels=(LEAVE, "As pictures of pixels"),
        ),
    ),
    write=Voc,
    verify=verify,
    splits=True,
)
