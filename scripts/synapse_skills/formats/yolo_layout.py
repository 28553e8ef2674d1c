"""What the four kinds of YOLO share: the folders as Ultralytics reads them, and how an item becomes a label file.

    data.yaml                    where the parts lie, and the classes by their number
    classes.txt                  the same classes, one a line (a line break in a name is written as its escape)
    images/<split>/<name>        originals, if they were asked for
    labels/<split>/<stem>.txt    a row for each object; empty if the picture holds none

There are always parts: without a split everything is in `train`, and `val` names it too, because Ultralytics refuses
a dataset without one. data.yaml has no `path`: without it the parts are looked for beside data.yaml, with `.` in
whatever folder the training was started in.

A number has eight decimals. Seven keep a box of a picture of 10,000 pixels within 0.001 pixel; the eighth is for
aerial pictures of 100,000.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synapse_skills.annotations.model import Annotation, Box, Point
from synapse_skills.formats.base import Item, Loss, Settings
from synapse_skills.formats.classes import DROPPED
from synapse_skills.formats.geometry import ZERO
from synapse_skills.formats.small_files import write_file
from synapse_skills.formats.yolo_yaml import dump, dump_names

WHOLE = "train"
"""The part that everything is in if no split was asked for."""

NO_SPLIT = "# No split was asked for: val is the same pictures as train."
NO_VAL = "# The split has no val, and Ultralytics refuses a dataset without one: val is the same pictures as {}."
NO_TRAIN = "# The split has no train, and Ultralytics refuses a dataset without one: train is the same pictures as {}."

UNSEEN = 5e-9
"""What is shorter than this share of a picture has no digit left in eight decimals."""

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Rows = list[str] | str
"""Coordinates of each row of one annotation, without the class; or the reason why there are none."""


class YoloWriter:
    """The protocol is `base.Writer`. Each kind says what it makes of a geometry in `builders`, and no more."""

    holds: frozenset[str] = frozenset()
    """Tools that this kind can hold: one without its geometry has lost that, all others are not held."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.rows: dict[str, int] = dict.fromkeys(settings.splits or ("",), 0)
        self.notes: dict[str, int] = {}
        self.settings = settings
        self.folder = folder
        self.policy = settings.geometry
        self._classes = settings.classes
        self._labels: dict[str, str] = {}
        self._builders = self.builders()
        for part in settings.splits or (WHOLE,):
            (folder / "images" / part).mkdir(parents=True)
            self._label_folder(part)

    def builders(self) -> Mapping[type, Callable[[Any, float, float], Rows]]:
        """Geometry → what makes the rows of one from it and the size of its picture."""
        raise NotImplementedError

    def write(self, item: Item) -> Sequence[Loss]:
        """Write the label file of a picture; anything else is not held."""
        annotations = item.media.annotations
        if item.media.kind != "image":
            return [Loss(annotation, "not-held", f"{item.media.kind}, no image") for annotation in annotations]
        if not is_placed(item):
            return [Loss(annotation, "no-size") for annotation in annotations]
        lines, losses = self.lines(item)
        text = "".join(lines)
        self.write_file(item.split or WHOLE, item.stem, text)
        self.rows[item.split] = self.rows.get(item.split, 0) + text.count("\n")
        return losses

    def lines(self, item: Item) -> tuple[list[str], list[Loss]]:
        """The rows of a picture, each with its line break (several may be one string), and what is lost of it."""
        width, height = float(item.width or 0), float(item.height or 0)
        lines: list[str] = []
        losses: list[Loss] = []
        place_of, builders = self._classes.place, self._builders
        for annotation in item.media.annotations:
            geometry, place = annotation.geometry, place_of(annotation)
            build = builders.get(type(geometry))
            if build is None or isinstance(place, str):
                losses.append(Loss(annotation, self.refused(annotation, place)))
                continue
            rows = build(geometry, width, height)
            if isinstance(rows, str):
                losses.append(Loss(annotation, rows))
            else:
                lines += [f"{place} {row}\n" for row in rows]
        return lines, losses

    def refused(self, annotation: Annotation, place: int | str) -> str:
        """Why an annotation is lost whatever its coordinates are. What was dropped by consent is never a surprise."""
        if place != DROPPED and type(annotation.geometry) not in self._builders:
            return "no-geometry" if annotation.geometry is None and annotation.tool in self.holds else "not-held"
        return str(place)

    def write_file(self, part: str, stem: str, text: str) -> None:
        """Write one label file."""
        folder = self._labels.get(part) or self._label_folder(part)
        write_file(f"{folder}{stem}.txt", text.encode())

    def _label_folder(self, part: str) -> str:
        folder = (self.settings.files or self.folder) / "labels" / part
        folder.mkdir(parents=True, exist_ok=True)
        self._labels[part] = f"{folder}/"
        return self._labels[part]

    def place(self, item: Item) -> str | None:
        """Beside the labels. A picture whose labels are lost because nobody knows its size is left out.

        It would count as a picture that holds nothing.
        """
        return f"images/{item.split or WHOLE}/{item.name}" if is_placed(item) else None

    def close(self) -> None:
        """Write data.yaml and classes.txt."""
        classes = self.class_names()
        text = data_yaml(self.settings, classes, self.about())
        (self.folder / "data.yaml").write_text(text, encoding="utf-8", newline="\n")
        names = "".join(f"{escaped(name)}\n" for name in classes)
        (self.folder / "classes.txt").write_text(names, encoding="utf-8", newline="\n")

    def leave(self) -> Any:
        """End a part: its label files are all there is of it."""
        return None

    def take(self, folder: Path, left: Any) -> None:
        """Go on with a part: its label files are moved by the caller."""

    def class_names(self) -> tuple[str, ...]:
        """The classes by their number."""
        return self._classes.names

    def about(self) -> dict[str, Any]:
        """What data.yaml says besides."""
        return {}

    def note(self, code: str, count: int = 1) -> None:
        """Count something that was written in another shape."""
        self.notes[code] = self.notes.get(code, 0) + count


def is_placed(item: Item) -> bool:
    """Whether an item is part of the dataset: a picture of known size, or one without annotations."""
    media = item.media
    return media.kind == "image" and (bool(item.width and item.height) or not media.annotations)


def box_row(box: Box, width: float, height: float) -> Rows:
    """Centre and size of a box inside its picture."""
    w, h = box.width / width, box.height / height
    if w < UNSEEN or h < UNSEEN:
        return ZERO
    return [f"{box.x / width + w / 2:.8f} {box.y / height + h / 2:.8f} {w:.8f} {h:.8f}"]


def points_row(points: Sequence[Point], width: float, height: float) -> str:
    """Points inside their picture, one after the other. Adding 0 makes a zero of a negative zero."""
    return " ".join([f"{x / width + 0.0:.8f} {y / height + 0.0:.8f}" for x, y in points])


def escaped(name: str) -> str:
    """A class name on one line. data.yaml has it exactly."""
    plain = _BREAKS.sub(lambda found: found.group().encode("unicode_escape").decode(), name)
    return plain.encode("utf-8", "backslashreplace").decode()


def data_yaml(settings: Settings, names: Sequence[str], about: Mapping[str, Any]) -> str:
    """The dataset as Ultralytics reads it."""
    splits = settings.splits or (WHOLE,)
    parts = {part: f"images/{part}" for part in splits}
    comments = []
    if not settings.splits:
        comments.append(NO_SPLIT)
    elif "val" not in parts:
        comments.append(NO_VAL.format(splits[-1]))
    if "train" not in parts:
        comments.append(NO_TRAIN.format(splits[0]))
    parts.setdefault("train", f"images/{splits[0]}")
    parts.setdefault("val", f"images/{splits[-1]}")
    document: dict[str, Any] = {part: parts[part] for part in ("train", "val", "test") if part in parts}
    lines = [f"{line}\n" for line in comments]
    lines += [dump(document | {"nc": len(names)}), dump_names(names)]
    if about:
        lines.append(dump(about))
    return "".join(lines)
