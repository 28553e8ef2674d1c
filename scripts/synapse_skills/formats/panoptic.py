"""COCO panoptic: for each picture a PNG whose pixels tell the segment, and a list of the segments.

    annotations/panoptic[_<split>].json           images, segments by picture, categories
    annotations/panoptic[_<split>]/<stem>.png     a segment's id is red + 256 green + 65536 blue; 0 is nothing
    images/[<split>/]<file_name>                  originals, if they were asked for

Every polygon or mask is a segment (`isthing` 1). Later annotations lie on top of earlier ones: one that can't be seen
at all is lost as `occluded`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from synapse_skills.formats.base import Format, Item, Settings, Verified
from synapse_skills.formats.coco_rows import is_crowd, text_of
from synapse_skills.formats.painting import Painted, PaintingWriter, colour
from synapse_skills.formats.parts import numbered_on
from synapse_skills.formats.synapse_json import read_document
from synapse_skills.report import Problems

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_encode_lines = msgspec.json.Encoder().encode_lines
_EXPORT_AGAIN = "Export again."


class Panoptic(PaintingWriter):
    """See the module."""

    what = "panoptic pictures"

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__(folder, settings)
        self._image = 0
        self._parts: dict[str, tuple[Path, Path]] = {}
        for split in settings.splits or ("",):
            self._part(split)

    def keep(self, item: Item, painted: Painted) -> None:
        """Write a picture's segments."""
        images, annotations = self._part(item.split)
        self._image += 1
        record, name = item.record, f"{item.stem}.png"
        image = {"id": self._image, "file_name": item.name, "width": item.width, "height": item.height}
        _append(images, image | {"record_id": record.id, "data_unit_id": record.data_unit, "media": item.media.key})
        _append(annotations, {"image_id": self._image, "file_name": name, "segments_info": _segments(painted)})
        _save(painted.numbers, (self.settings.files or self.folder) / "annotations" / _stem(item.split) / name)

    def close(self) -> None:
        """Put the files together."""
        names = self.settings.classes.names
        categories = ",\n".join(
            text_of({"id": n + 1, "name": name, "supercategory": "", "isthing": 1, "color": colour(n)})
            for n, name in enumerate(names)
        )
        info = text_of({"description": self.settings.title, "version": "1.0"})
        for split, (images, segments) in self._parts.items():
            with (self.folder / "annotations" / f"{_stem(split)}.json").open("wb") as stream:
                stream.write(f'{{\n"info": {info},\n"licenses": [],\n"categories": [\n{categories}\n],\n'.encode())
                for title, path, end in (("images", images, ",\n"), ("annotations", segments, "\n}\n")):
                    stream.write(f'"{title}": [\n'.encode())
                    with path.open("rb") as rows:
                        rows.read(2)  # the comma before the first row
                        shutil.copyfileobj(rows, stream)
                    stream.write(f"\n]{end}".encode())
                    path.unlink()

    def leave(self) -> tuple[list[str], int]:
        """End a part; which parts of the split it has, and how many pictures."""
        return list(self._parts), self._image

    def take(self, folder: Path, left: tuple[list[str], int]) -> None:
        """Add the rows of a part: its pictures are numbered on."""
        splits, pictures = left
        for split in splits:
            for path, name in zip(self._part(split), ("id", "image_id"), strict=True):
                with (folder / path.name).open("rb") as rows, path.open("ab") as stream:
                    stream.writelines(numbered_on(line, name, self._image) for line in rows)
                (folder / path.name).unlink()
        self._image += pictures

    def _part(self, split: str) -> tuple[Path, Path]:
        found = self._parts.get(split)
        if found is None:
            (self.folder / "annotations" / _stem(split)).mkdir(parents=True)
            images, annotations = (self.folder / f".{kind}-{split or 'all'}.part" for kind in ("images", "segments"))
            images.touch()
            annotations.touch()
            found = self._parts[split] = (images, annotations)
        return found


def _stem(split: str) -> str:
    return f"panoptic_{split}" if split else "panoptic"


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open("ab") as stream:
        stream.write(b",\n" + _encode_lines([row])[:-1])


def _segments(painted: Painted) -> list[dict[str, Any]]:
    """What can be seen, with the box around its visible pixels."""
    boxes = dict(_boxes(painted.numbers))
    return [
        {
            "id": number,
            "category_id": place + 1,
            "area": area,
            "bbox": boxes[number],
            "iscrowd": is_crowd(each.attributes),
        }
        for number, each, place, area in painted.shown
    ]


def _boxes(numbers: NDArray[np.int32]) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """The box around each number: x, y, width, height."""
    import numpy as np

    rows, columns = np.nonzero(numbers)
    of = numbers[rows, columns]
    size = int(of.max(initial=0)) + 1
    far = max(numbers.shape) + 1
    left, top = np.full(size, far), np.full(size, far)
    right, bottom = np.full(size, -1), np.full(size, -1)
    for least, most, values in ((left, right, columns), (top, bottom, rows)):
        np.minimum.at(least, of, values)
        np.maximum.at(most, of, values)
    for number in np.unique(of).tolist():
        x, y = int(left[number]), int(top[number])
        yield number, (x, y, int(right[number]) + 1 - x, int(bottom[number]) + 1 - y)


def _save(numbers: NDArray[np.int32], path: Path) -> None:
    import numpy as np
    from PIL import Image

    channels = np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16 & 255], axis=-1).astype(np.uint8)
    Image.fromarray(channels).save(path, format="PNG")


def verify(folder: Path) -> Verified:
    """Every picture's PNG has its size and exactly the segments of the list, each with its area and box."""
    found, problems = Verified(), Problems()
    known: list[Any] | None = None
    for path in sorted((folder / "annotations").glob("panoptic*.json")):
        split = path.stem[len("panoptic_") :]
        document = read_document(folder, f"annotations/{path.name}", problems)
        try:
            categories = document["categories"]
            ids = {each["id"] for each in categories}
            images = {each["id"]: each for each in document["images"]}
            found.items[split], found.rows[split] = len(document["images"]), 0
            if len(images) != len(document["images"]):
                problems.add("image-ids", path.name, fix=_EXPORT_AGAIN)
            for row in document["annotations"]:
                found.rows[split] += len(row["segments_info"])
                _check(path.with_suffix("") / row["file_name"], images[row["image_id"]], row, ids, problems)
        except (KeyError, TypeError) as error:
            problems.add("unreadable-file", f"{path.name}: {error!r}", fix=_EXPORT_AGAIN)
            continue
        if known is not None and known != categories:
            problems.add("categories-differ", path.name, fix=_EXPORT_AGAIN)
        known = categories
    if not found.items and not problems:
        problems.add("missing-file", "annotations/panoptic.json", fix=_EXPORT_AGAIN)
    found.problems = problems.as_list()
    return found


def _check(path: Path, image: dict[str, Any], row: dict[str, Any], ids: set[int], problems: Problems) -> None:
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as picture:
            size, array = picture.size, np.asarray(picture.convert("RGB"), dtype=np.int32)
    except (OSError, ValueError, SyntaxError) as error:
        problems.add("unreadable-file", f"{path.name}: {error}", fix=_EXPORT_AGAIN)
        return
    if size != (image["width"], image["height"]):
        problems.add("wrong-size", f"{path.name}: {size}", fix=_EXPORT_AGAIN)
    numbers = array[..., 0] + 256 * array[..., 1] + 65536 * array[..., 2]
    areas = dict(zip(*(part.tolist() for part in np.unique(numbers, return_counts=True)), strict=True))
    areas.pop(0, None)
    boxes = dict(_boxes(numbers))
    listed = {each["id"]: each for each in row["segments_info"]}
    if areas != {number: each["area"] for number, each in listed.items()}:
        problems.add("wrong-segments", path.name, fix=_EXPORT_AGAIN)
    elif any(list(boxes[number]) != each["bbox"] for number, each in listed.items()):
        problems.add("wrong-box", path.name, fix=_EXPORT_AGAIN)
    if any(each["category_id"] not in ids for each in listed.values()):
        problems.add("unknown-category", path.name, fix=_EXPORT_AGAIN)


FORMAT = Format(
    name="panoptic",
    title="COCO panoptic (a segment a pixel)",
    media=("image",),
    holds={"polygon": "pixels", "segmentation": "pixels"},
    needs_size=True,
    options=(),
    write=Panoptic,
    verify=verify,
    paints=True,
    splits=True,
)
