"""JSONL: one line a medium, all its annotations in it; for texts, prompts and answers, and whatever has no format.

    [<split>/]annotations.jsonl      {record_id, data_unit_id, file_name, media, kind, split, width, height,
                                      annotations: [{id, tool, class, geometry, attributes, group}], groups: […]}

A geometry is an object with its `type` (`box`, `polygon` …); null if it is missing. A text has its `parts` as they
came, and the text of them joined as `text`. Nothing is moved to the edge of its picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from synapse_skills.annotations.model import Annotation, Text, Tool
from synapse_skills.formats.base import Format, Item, Loss, Settings, Verified
from synapse_skills.formats.classes import UNLABELLED
from synapse_skills.formats.csv_table import encoded, texts
from synapse_skills.formats.parts import PartFiles
from synapse_skills.report import Problems

FILE = "annotations.jsonl"
AGAIN = "Export again; if it comes back, say so to whoever maintains this."


class Lines:
    """See the module; the protocol is `base.Writer`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.rows: dict[str, int] = dict.fromkeys(settings.splits or ("",), 0)
        self.notes: dict[str, int] = {}
        self._classes = settings.classes
        self._files = PartFiles(folder, FILE, settings.splits)

    def write(self, item: Item) -> Sequence[Loss]:
        """Write the line of a medium."""
        losses: list[Loss] = []
        annotations: list[dict[str, Any]] = []
        for annotation in item.media.annotations:
            place = self._classes.place(annotation)
            if isinstance(place, str) and place != UNLABELLED:
                losses.append(Loss(annotation, place))
            elif annotation.geometry is None:
                losses.append(Loss(annotation, "no-geometry"))
            else:
                label = None if isinstance(place, str) else self._classes.names[place]
                annotations.append(_said(annotation, label))
        line = {
            "record_id": item.record.id,
            "data_unit_id": item.record.data_unit,
            "file_name": item.name,
            "media": item.media.key,
            "kind": item.media.kind,
            "split": item.split,
            "width": item.width,
            "height": item.height,
            "annotations": annotations,
            "groups": msgspec.to_builtins(item.media.groups),
        }
        self._files.of(item.split).write(encoded(line) + b"\n")
        self.rows[item.split] = self.rows.get(item.split, 0) + len(annotations)
        return losses

    def leave(self) -> list[str]:
        """End a part; which files it has."""
        self._files.close()
        return self._files.parts()

    def take(self, folder: Path, left: list[str]) -> None:
        """Add the lines of a part."""
        self._files.take(folder, left)

    def place(self, item: Item) -> None:
        """Lines want no originals."""

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def _said(annotation: Annotation, label: str | None) -> dict[str, Any]:
    geometry = msgspec.to_builtins(annotation.geometry)
    if isinstance(annotation.geometry, Text):
        geometry["text"] = "\n".join(texts(annotation.geometry))
    return {
        "id": annotation.id,
        "tool": annotation.tool,
        "class": label,
        "geometry": geometry,
        "attributes": annotation.attributes,
        "group": annotation.group,
    }


def verify(folder: Path) -> Verified:
    """Every line is an object with a list of annotations, each with its geometry."""
    found, problems = Verified(), Problems()
    for path in sorted([*folder.glob(FILE), *folder.glob(f"*/{FILE}")]):
        part = "" if path.parent == folder else path.parent.name
        found.items[part] = found.rows[part] = 0
        with path.open("rb") as stream:
            for number, text in enumerate(stream, 1):
                where = f"{path.relative_to(folder)}:{number}"
                try:
                    line = msgspec.json.decode(text)
                    kinds = [each["geometry"]["type"] for each in line["annotations"]]
                    if line["split"] != part:
                        problems.add("bad-line", f"{where}: its split is {line['split']}", fix=AGAIN)
                except (msgspec.DecodeError, UnicodeDecodeError, TypeError, KeyError) as error:
                    problems.add("bad-line", f"{where}: {error}", fix=AGAIN)
                    continue
                found.items[part] += 1
                found.rows[part] += len(kinds)
    if not found.items:
        problems.add("missing-file", FILE, fix=AGAIN)
    found.problems = problems.as_list()
    return found


FORMAT = Format(
    name="jsonl",
    title="JSONL (one line a medium, anything)",
    media=(),
    holds=dict.fromkeys(get_args(Tool), "exact"),
    needs_size=False,
    options=(),
    write=Lines,
    verify=verify,
    splits=True,
)
