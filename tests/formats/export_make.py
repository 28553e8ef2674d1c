"""Items out of payloads, and a format run over them as the engine runs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotations.worlds import row
from synapse_skills.annotations import read_row
from synapse_skills.annotations.model import Record
from synapse_skills.export_plan import ClassesPlan
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Item, Loss, Settings, Verified
from synapse_skills.formats.classes import Classes
from synapse_skills.formats.names import Names


@dataclass
class Ran:
    """What came of a run."""

    folder: Path
    rows: dict[str, int]
    notes: dict[str, int]
    verified: Verified
    losses: list[Loss] = field(default_factory=list)
    annotations: int = 0

    @property
    def reasons(self) -> list[str]:
        return [loss.reason for loss in self.losses]


def record(payload: Any, number: int = 7, *, name: str = "cat.jpg", **changes: Any) -> Record:
    """A record of an assignment."""
    made = row(payload, "assignment", number, **changes)
    if made["data_unit"]:
        made["data_unit"]["files"]["image_1"]["file_name_original"] = name
    return read_row(made, "assignment")


def items_of(
    records: Iterable[Record], *, splits: Sequence[str] = ("",), folders: Sequence[tuple[str, ...]] = ((),)
) -> list[Item]:
    """One item a medium, in the order of the records."""
    names = Names()
    items = []
    for number, each in enumerate(records):
        for media in each.document.media:
            file = next((file for file in each.files if file.spec == media.key), None)
            split, folder = splits[number % len(splits)], folders[number % len(folders)]
            size = (media.width, media.height)
            items.append(Item(each, media, names.of(each, file), split, *size, folders=folder))
    return items


def run(
    name: str,
    folder: Path,
    items: Sequence[Item],
    *,
    order: Sequence[str] | None = None,
    plan: dict[str, Any] | None = None,
    splits: Sequence[str] = (),
    **more: Any,
) -> Ran:
    """Write items and read them back. Without an `order` every class that is there is in the list."""
    seen = {each.label for item in items for each in item.media.annotations if each.label is not None}
    classes = Classes(ClassesPlan(order=tuple(sorted(seen) if order is None else order), **(plan or {})))
    form = FORMATS[name]
    settings = Settings(classes, tuple(splits), options=form.complete(more.pop("options", {})), **more)
    folder.mkdir(parents=True)
    writer = form.write(folder, settings)
    losses = [loss for item in items for loss in writer.write(item)]
    writer.close()
    total = sum(len(item.media.annotations) for item in items)
    return Ran(folder, writer.rows, writer.notes, form.verify(folder), losses, total)


def contents(folder: Path) -> dict[str, bytes]:
    """All files by their path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
