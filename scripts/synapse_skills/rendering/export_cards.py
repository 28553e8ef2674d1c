"""Records as the page of an export shows them: pictures made small, and what was labelled drawn over them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from synapse_skills.annotations import size_of
from synapse_skills.annotations.model import Annotation, Media, Record
from synapse_skills.export_plan import ClassesPlan
from synapse_skills.formats.classes import Classes
from synapse_skills.formats.poses import Poses
from synapse_skills.media import NoPicture, Thumbnail
from synapse_skills.rendering.export_pictures import ExportPictures
from synapse_skills.rendering.export_sample import Sampled
from synapse_skills.rendering.gallery import MAX_PICTURE_BYTES, MOST_PICTURES
from synapse_skills.rendering.shapes import Drawing, Edges, draw

COLOURS = 12  # of the templates
MAX_SHAPE_BYTES = 1_200_000  # in one page
NO_CLASS = "no class"
VISUAL = ("image", "video")
AT_MOST_FRAME = 1e6  # a shape farther out than that is no reason to make the frame larger


@dataclass(frozen=True)
class Figure:
    """A medium with its annotations.

    Attributes:
        data: of the small picture; '' for an empty mat.
        frame: left, top, width and height of what is shown, in pixels of the picture.
        note: what is special about it.
    """

    name: str
    data: str
    frame: tuple[float, float, float, float]
    drawing: Drawing
    note: str = ""

    @property
    def view(self) -> str:
        """The `viewBox` of the drawing."""
        return " ".join(f"{number:g}" for number in self.frame)


@dataclass
class RecordCard:
    """A record in the page.

    Attributes:
        pictures: media that can be looked at; the others are in `without`, with why.
        classes: how many annotations each class has, the most frequent first.
        facts: what else is known of it.
    """

    record: Record
    name: str
    split: str
    pictures: list[Figure] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    classes: list[tuple[str, int]] = field(default_factory=list)
    words: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    colours: Mapping[str, int] = field(default_factory=dict)


class Cards:
    """Makes cards, with pictures and shapes until the page is full.

    Args:
        plan: of the classes.
        names: the class list as it was written.
    """

    def __init__(self, plan: ClassesPlan, names: Sequence[str], pictures: ExportPictures) -> None:
        self._classes = Classes(plan, names)
        self._poses = Poses(self._classes, {})
        self._pictures = pictures
        self._picture_room = MAX_PICTURE_BYTES
        self._shape_room = MAX_SHAPE_BYTES
        self.shared = colours_of(names)

    def card(self, sampled: Sampled) -> RecordCard:
        """One record."""
        record, lines = sampled.record, {line.media: line for line in sampled.lines}
        card = RecordCard(record, sampled.lines[0].name, sampled.lines[0].split)
        counts: dict[str, int] = {}
        for media in record.document.media or [Media("", "")]:
            line = lines.get(media.key)
            size = size_of(record, media) or sampled.sizes.get(media.key)
            drawing = draw(media, size[0] if size else None, self._poses, self._name)
            for name, count in drawing.classes.items():
                counts[name] = counts.get(name, 0) + count
            card.words += drawing.words
            card.notes += [f"{count} not drawn: {why}" for why, count in drawing.undrawn.items()]
            if line is not None and len(card.pictures) < MOST_PICTURES:
                self._look(card, media, line.name, size, drawing)
        card.classes = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        card.colours = self.shared or {name: number % COLOURS for number, (name, _) in enumerate(card.classes)}
        if not record.document.is_labelled:
            card.notes.append("it holds no annotations at all")
        return card

    def _name(self, annotation: Annotation) -> str:
        place = self._classes.place(annotation)
        return self._classes.names[place] if isinstance(place, int) else annotation.label or NO_CLASS

    def _look(self, card: RecordCard, media: Media, name: str, size: tuple[int, int] | None, drawing: Drawing) -> None:
        if media.kind and media.kind not in VISUAL:
            card.without.append(f"{media.kind}: no picture")
            return
        small: Thumbnail | None = None
        note = why = ""
        if self._picture_room <= 0:
            why = "not shown: the page is full"
        else:
            try:
                small = self._pictures.picture(card.record, media, name, drawing.frame)
            except NoPicture as error:
                why = str(error)
        if (self._shape_room - sum(shape.length for shape in drawing.shapes)) < 0:
            drawing.shapes, note = [], "its shapes are not drawn: the page is full"
        if small is None and not drawing.shapes:
            card.without.append(f"{name} {why}")
            return
        self._shape_room -= sum(shape.length for shape in drawing.shapes)
        data = ""
        if small is not None:
            data = "data:image/jpeg;base64," + base64.b64encode(small.jpeg).decode()
            self._picture_room -= len(data)
            if size and drawing.shapes and not _alike(size, (small.width, small.height)):
                note = f"labelled as {size[0]} × {size[1]}, but it is {small.width} × {small.height}"
        if media.kind == "video":
            note = "; ".join(filter(None, (f"frame {drawing.frame}", note)))
        elif not size and small is None:
            note = "nobody knows its size: as far as its shapes reach"
        around = size or ((small.width, small.height) if small is not None else None)
        frame = (0.0, 0.0, float(around[0]), float(around[1])) if around else _around(drawing.edges)
        card.pictures.append(Figure(name, data, frame, drawing, note))


def colours_of(names: Sequence[str]) -> dict[str, int]:
    """A colour for each class of the list, if there are enough of them; else each picture counts its own."""
    return {name: number for number, name in enumerate(names)} if 0 < len(names) <= COLOURS else {}


def _alike(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes have one shape, within a pixel."""
    return abs(size[0] * other[1] - size[1] * other[0]) <= max(*size, *other)


def _around(edges: Edges | None) -> tuple[float, float, float, float]:
    """The frame around shapes of which nobody knows the picture's size, from its corner on."""
    _, _, right, bottom = edges or (0.0, 0.0, 1.0, 1.0)
    return 0.0, 0.0, min(max(right * 1.05, 1.0), AT_MOST_FRAME), min(max(bottom * 1.05, 1.0), AT_MOST_FRAME)
