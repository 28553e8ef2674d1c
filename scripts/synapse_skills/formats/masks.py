"""Mask pictures: for each picture a PNG whose pixels tell the class.

    masks/[<split>/]<stem>.png        the class's id (0 is nothing), or with `style=color` its colour
    images/[<split>/]<name>           originals, if they were asked for
    classes.json                      id, name and colour of each class
    records.jsonl                     which mask is whose, its size and the ids that are in it

An index mask has 8 bits a pixel and a palette; with more than 255 classes, 16 bits and none. Later annotations lie on
top of earlier ones: one that can't be seen at all is lost as `occluded`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from synapse_skills.formats.base import Format, Item, Option, Settings, Verified
from synapse_skills.formats.painting import Painted, PaintingWriter, colour
from synapse_skills.formats.parts import pour
from synapse_skills.formats.synapse_json import INDEX, index, read_document
from synapse_skills.report import Problems, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EXPORT_AGAIN = "Export again."


class Line(msgspec.Struct):
    """One line of the index; `segments` are the annotations that can be seen."""

    file: str
    record_id: int
    data_unit_id: int | None
    split: str
    width: int
    height: int
    classes: list[int]
    segments: int


class Masks(PaintingWriter):
    """See the module."""

    what = "mask pictures"

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__(folder, settings)
        self._is_index = settings.options.get("style", "index") == "index"
        names = settings.classes.names
        self._is_wide = len(names) > 255
        self._colours = [(0, 0, 0), *(colour(place) for place in range(len(names)))]
        rows = [{"id": n, "name": name, "color": self._colours[n]} for n, name in enumerate(names, start=1)]
        write_json(folder / "classes.json", rows)
        self._index = (folder / INDEX).open("wb")

    def keep(self, item: Item, painted: Painted) -> None:
        """Write a picture's mask, and its line of the index."""
        relative = "/".join(part for part in ("masks", item.split, f"{item.stem}.png") if part)
        path = (self.settings.files or self.folder) / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        self._save(painted, path)
        classes = sorted({place + 1 for _, _, place, _ in painted.shown})
        record, size = item.record, (int(item.width or 0), int(item.height or 0))
        line = Line(relative, record.id, record.data_unit, item.split, *size, classes, len(painted.shown))
        self._index.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def leave(self) -> None:
        """End a part."""
        self._index.close()

    def take(self, folder: Path, left: None) -> None:
        """Add the index of a part."""
        pour(folder / INDEX, self._index)

    def _save(self, painted: Painted, path: Path) -> None:
        import numpy as np
        from PIL import Image

        # From the number of an annotation to the id of its class.
        ids = np.zeros(int(painted.numbers.max(initial=0)) + 1, dtype=np.uint16)
        for number, _, place, _ in painted.shown:
            ids[number] = place + 1
        array: NDArray[np.uint16] = ids[painted.numbers]
        if not self._is_index:
            picture = Image.fromarray(np.asarray(self._colours, dtype=np.uint8)[array])
        elif self._is_wide:
            picture = Image.fromarray(array)
        else:
            picture = Image.fromarray(array.astype(np.uint8))
            picture.putpalette([part for each in self._colours for part in each])
        picture.save(path, format="PNG")


def verify(folder: Path) -> Verified:
    """Every mask is there, has its size, and holds exactly the classes that it should."""
    found, problems = Verified(), Problems()
    classes = read_document(folder, "classes.json", problems)
    ids = {tuple(each["color"]): each["id"] for each in classes} if isinstance(classes, list) else {}
    ids[0, 0, 0] = 0
    listed = 0
    for line in index(folder / INDEX, Line, problems):
        listed += 1
        found.items[line.split] = found.items.get(line.split, 0) + 1
        found.rows[line.split] = found.rows.get(line.split, 0) + line.segments
        _check(folder, line, ids, problems)
    there = sum(1 for path in (folder / "masks").rglob("*.png"))
    if there > listed:
        problems.add("unknown-file", f"{there} masks, {listed} in {INDEX}", count=there - listed)
    found.problems = problems.as_list()
    return found


def _check(folder: Path, line: Line, ids: dict[Any, int], problems: Problems) -> None:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(folder / line.file) as picture:
            size, array = picture.size, np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as error:
        problems.add("unreadable-file", f"{line.file}: {error}", fix=_EXPORT_AGAIN)
        return
    if size != (line.width, line.height):
        problems.add("wrong-size", f"{line.file}: {size}", fix=_EXPORT_AGAIN)
    if array.ndim == 3:
        seen = {ids.get(tuple(each), -1) for each in np.unique(array.reshape(-1, 3), axis=0).tolist()}
    else:
        seen = set(np.unique(array).tolist())
    if sorted(seen - {0}) != line.classes:
        problems.add("wrong-classes", f"{line.file}: {sorted(seen - {0})}, not {line.classes}", fix=_EXPORT_AGAIN)


FORMAT = Format(
    name="masks",
    title="Mask pictures (PNG, a class a pixel)",
    media=("image",),
    holds={"polygon": "pixels", "segmentation": "pixels"},
    needs_size=True,
    options=(Option("style", ("index", "color"), "Pixels are ids with a palette, or the colours themselves."),),
    write=Masks,
    verify=verify,
    paints=True,
    splits=True,
)
