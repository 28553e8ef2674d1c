"""Pictures with annotations, and a YOLO dataset of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from synapse_skills.annotations.model import Annotation, Box, Document, Geometry, Group, Media, Polygon, Record
from synapse_skills.export_plan import ClassesPlan
from synapse_skills.formats.base import Format, Item, Loss, Settings, Verified, Writer
from synapse_skills.formats.classes import Classes

TOOLS = {"Box": "bounding_box", "Mask": "segmentation", "Skeleton": "keypoint"}
_ids = count(1)


def annotation(geometry: Geometry | None, label: str | None = "cat", **more: Any) -> Annotation:
    name = type(geometry).__name__
    return Annotation(f"a{next(_ids)}", more.pop("tool", TOOLS.get(name, name.lower())), label, label, geometry, **more)


def picture(
    name: str,
    *annotations: Annotation,
    size: tuple[int | None, int | None] = (100, 50),
    split: str = "",
    kind: str = "image",
    groups: Sequence[Group] = (),
) -> Item:
    media = Media(f"{kind}_1", kind, list(annotations), list(groups))
    record = Record(1, 1, "assignment", Document([media]))
    return Item(record, media, name, split, *size)


def settings(form: Format, names: Iterable[str] = ("cat", "개"), **more: Any) -> Settings:
    classes = Classes(ClassesPlan(order=tuple(names), drop=more.pop("drop", ())))
    return Settings(classes, options=form.complete(more.pop("options", {})), **more)


def dataset(form: Format, folder: Path, items: Iterable[Item], told: Settings) -> tuple[Writer, list[list[Loss]]]:
    """Write items; all that is lost, by item."""
    writer = form.write(folder, told)
    losses = [list(writer.write(item)) for item in items]
    writer.close()
    return writer, losses


def read(folder: Path) -> dict[str, str]:
    """All files of a dataset."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(folder: Path, stem: str, part: str = "train") -> list[list[float]]:
    """The numbers of a label file."""
    text = (folder / "labels" / part / f"{stem}.txt").read_text()
    return [[float(each) for each in line.split()] for line in text.splitlines()]


def codes(found: Verified) -> list[str]:
    return [problem.code for problem in found.problems]


def square(x: float, y: float, side: float) -> tuple[tuple[float, float], ...]:
    return ((x, y), (x + side, y), (x + side, y + side), (x, y + side))


def ringed() -> Polygon:
    """A square of 20 with a hole of 4."""
    return Polygon(square(10, 10, 20), (square(14, 14, 4),))


def crossing() -> Box:
    """A box of which one half lies outside."""
    return Box(-10, 10, 20, 20)
