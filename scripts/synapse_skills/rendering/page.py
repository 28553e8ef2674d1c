"""An upload that has run → one HTML page that needs nothing else: no script, no file beside it, no network."""

from __future__ import annotations

import base64
import functools
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from synapse_skills.errors import printable, redact
from synapse_skills.job.upload.progress import size_text
from synapse_skills.media import PICTURES, NoPicture, Thumbnail, thumbnail
from synapse_skills.rendering.boxes import MAX_LABEL_BYTES, Box, read_boxes
from synapse_skills.rendering.result import ShownUnit, UploadResult
from synapse_skills.rendering.script import templates
from synapse_skills.sources import File, open_inside

MOST_UNITS = 60
MOST_PICTURES = 4
COLOURS = 8  # of the template
MAX_PICTURE_BYTES = 3_000_000  # of small pictures in one page; a third more as base64
MAX_TEXT = 300


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
class Card:
    """A data unit in the page."""

    unit: ShownUnit
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


def upload_page(result: UploadResult) -> Page:
    """Render the page of an upload."""
    room = MAX_PICTURE_BYTES
    cards = []
    for unit in result.shown:
        card = _card(unit, result.roots, room)
        room -= sum(len(picture.data) for picture in card.pictures)
        cards.append(card)
    html = (
        _environment()
        .get_template("preview/upload.html.j2")
        .render(
            result=result,
            plan=result.plan,
            report=result.report,
            cards=cards,
            verdict=_verdict(result),
            parts=_parts(result),
            in_trouble=sum(bool(card.unit.trouble) for card in cards),
        )
    )
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
    made.filters["size"] = size_text
    made.filters["number"] = lambda value: f"{value:,}"
    made.filters["value"] = _value
    return made


def shown(text: str) -> str:
    """A text from outside as a page can show it: nothing invisible in it, no secret, not endless."""
    safe = redact(printable(text))
    return safe if len(safe) <= MAX_TEXT else safe[: MAX_TEXT - 1] + "…"


def _value(value: Any) -> str:
    return shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _card(unit: ShownUnit, roots: list[Path], room: int) -> Card:
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


def _thumbnail(file: File, roots: list[Path]) -> Thumbnail:
    try:
        with open_inside(roots[file.source], file) as stream:
            return thumbnail(stream)
    except (OSError, IndexError):
        raise NoPicture("is no longer where it was uploaded from") from None


def _boxes(labels: list[File], roots: list[Path], small: Thumbnail) -> list[Box]:
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


def _verdict(result: UploadResult) -> tuple[str, str]:
    """How it went, as a word for the colour and a sentence."""
    report = result.report
    if report is None:
        return "bad", "The last run was cut off before it could write its report: run it again, it goes on."
    if report.mode == "dry-run":
        return "fair", "The last run was a dry run: it sent nothing. What earlier runs have uploaded is below."
    there = report.created + report.already
    if report.planned and there == report.planned and report.exit_code == 0:
        return "good", "Everything that was planned has arrived, exactly once."
    return "bad", f"{there:,} of {report.planned:,} planned data units have arrived."


def _parts(result: UploadResult) -> list[tuple[str, str, int]]:
    """The parts of what was planned: a name, a word for the colour, how many."""
    report = result.report
    if report is None:
        return []
    parts = [
        ("created", "good", report.created),
        ("already there", "good", report.already),
        ("failed", "bad", report.failed),
        ("quarantined", "bad", report.quarantined),
        ("pending", "fair", report.pending),
        ("left out by consent", "quiet", report.left_out),
    ]
    return [part for part in parts if part[2]]
