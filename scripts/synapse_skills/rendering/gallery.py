"""Data units as a page shows them: pictures made small, boxes over them, and the pages' common ground."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import jinja2

from synapse_skills.errors import printable, redact
from synapse_skills.media import PICTURES, NoPicture, Thumbnail, thumbnail
from synapse_skills.rendering.boxes import MAX_LABEL_BYTES, Box, read_boxes
from synapse_skills.rendering.script import templates
from synapse_skills.sources import File, open_inside
from synapse_skills.texts import human_bytes

MOST_PICTURES = 4
COLOURS = 8  # of the templates
MAX_PICTURE_BYTES = 3_000_000  # of small pictures in one page; a third more as base64
MAX_TEXT = 300
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]+:/")


class PageUnit(Protocol):
    """A data unit that a page can show."""

    @property
    def key(self) -> str:
        """Its name."""

    @property
    def files(self) -> list[tuple[str, File]]:
        """Its files with their specifications."""

    @property
    def meta(self) -> dict[str, Any] | None:
        """Metadata to show with it."""


class Pictured(Protocol):
    """Anything on a page that has small pictures."""

    @property
    def pictures(self) -> Sequence[Any]:
        """Those that are on the page."""


@dataclass(frozen=True)
class Shown:
    """A small picture in the page."""

    spec: str
    name: str
    data: str
    width: int
    height: int
    boxes: list[Box]
    classes: list[tuple[str, int]]

    @property
    def colours(self) -> dict[str, int]:
        """A number of a colour for each class."""
        return {label: number % COLOURS for number, (label, _) in enumerate(self.classes)}


@dataclass
class Card[U: PageUnit]:
    """A data unit in the page."""

    unit: U
    pictures: list[Shown] = field(default_factory=list)
    without: str = ""


@dataclass
class Page:
    """A rendered page.

    Attributes:
        html: UTF-8.
        units: data units that are on it.
        pictures: small pictures that are on it.
    """

    html: bytes
    units: int
    pictures: int


def gallery[U: PageUnit](units: Sequence[U], roots: Sequence[Path]) -> list[Card[U]]:
    """Cards for data units, with pictures until the page is full.

    Args:
        units: what to show.
        roots: the folders of the files, by the number that a file's `source` is.
    """
    room = MAX_PICTURE_BYTES
    cards = []
    for unit in units:
        card = _card(unit, roots, room)
        room -= sum(len(picture.data) for picture in card.pictures)
        cards.append(card)
    return cards


def render_page(template: str, cards: Sequence[Pictured], **values: Any) -> Page:
    """Render a page with these cards."""
    html = _environment().get_template(f"preview/{template}").render(cards=cards, **values)
    return Page(html.encode(), len(cards), sum(len(card.pictures) for card in cards))


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates(), encoding="utf-8"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["shown"] = shown
    made.filters["size"] = human_bytes  # as limits count
    made.filters["number"] = lambda value: f"{value:,}"
    made.filters["value"] = _value
    made.filters["units"] = lambda count: f"{count:,} data unit{'' if count == 1 else 's'}"
    return made


def shown(text: str) -> str:
    """A text from outside as a page can show it: nothing invisible in it, no secret, not endless."""
    safe = redact(printable(text))
    return safe if len(safe) <= MAX_TEXT else safe[: MAX_TEXT - 1] + "…"


def _value(value: Any) -> str:
    return shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _card[U: PageUnit](unit: U, roots: Sequence[Path], room: int) -> Card[U]:
    card = Card(unit)
    pictures = [(spec, file) for spec, file in unit.files if file.suffix in PICTURES]
    labels = [file for _, file in unit.files if file.suffix == ".json"]
    for spec, file in pictures[:MOST_PICTURES]:
        if room <= 0:
            card.without = "not shown: the page is full"
            break
        try:
            small = _thumbnail(file, roots)
        except NoPicture as error:
            card.without = f"{file.name} {error}"
            continue
        picture = _shown_picture(spec, file, small, _boxes(labels, roots, small) if len(pictures) == 1 else [])
        room -= len(picture.data)
        card.pictures.append(picture)
    if not pictures:
        card.without = "no picture"
    return card


def _thumbnail(file: File, roots: Sequence[Path]) -> Thumbnail:
    try:
        root = roots[file.source]
        with open_inside(root, file) as stream:
            return thumbnail(stream)
    except IndexError:
        raise NoPicture("is no longer where it was") from None
    except OSError:
        # As a path, s3://bucket/scans has lost a slash. A page opens only what is here.
        is_elsewhere = _ELSEWHERE.match(str(root)) is not None
        raise NoPicture("lies elsewhere, not here" if is_elsewhere else "is no longer where it was") from None


def _boxes(labels: list[File], roots: Sequence[Path], small: Thumbnail) -> list[Box]:
    for file in labels:
        try:
            with open_inside(roots[file.source], file) as stream:
                content = stream.read(MAX_LABEL_BYTES + 1)
        except (OSError, IndexError):
            continue
        if boxes := read_boxes(content, small.width, small.height):
            return boxes
    return []


def _shown_picture(spec: str, file: File, small: Thumbnail, boxes: list[Box]) -> Shown:
    data = "data:image/jpeg;base64," + base64.b64encode(small.jpeg).decode()
    classes = Counter(box.label for box in boxes).most_common()
    # The large ones first, so that the small ones on top of them can be pointed at.
    drawn = sorted(boxes, key=lambda box: -box.width * box.height)
    return Shown(spec, file.name, data, small.width, small.height, drawn, classes)
