"""The pixels of Pascal VOC: what class, and which object, each one belongs to.

    SegmentationClass/<stem>.png          the class's number, from 1 in the order of the list
    SegmentationObject/<stem>.png         the number of the <object> in the picture's XML file, from 1
    ImageSets/Segmentation/<split>.txt    the stems of the pictures that have them
    segmentation_classes.json             number, name and colour of each class

Both are index PNGs with VOC's palette; 0 is nothing, and 255, VOC's `void` around each object, is not used. Later
annotations lie on top of earlier ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from synapse_skills.annotations.model import Annotation
from synapse_skills.formats.base import Item, Loss, Settings
from synapse_skills.formats.painting import OCCLUDED, Painted, paint
from synapse_skills.formats.parts import pour
from synapse_skills.report import Problems, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LISTS, CLASSES = "ImageSets/Segmentation", "segmentation_classes.json"
FOLDERS = ("SegmentationClass", "SegmentationObject")
MOST = 254
"""An index has 8 bits, and the last number is taken."""
TOO_MANY = "too-many"


class Sheet:
    """One picture on its way: what is painted, and which of it became an object."""

    def __init__(self, painted: Painted) -> None:
        self.painted = painted
        self.losses = {id(loss.annotation): loss for loss in painted.losses}
        self._numbers = {id(annotation): number for number, annotation, _, _ in painted.shown}
        self.objects: dict[int, tuple[int, int]] = {}

    def lost(self, annotation: Annotation, place: int, count: int) -> Loss | None:
        """Why a shape can't be one more object after so many; None if it can."""
        if max(place + 1, count + 1) > MOST:
            return Loss(annotation, TOO_MANY, f"an index picture numbers {MOST} classes and objects")
        return self.losses.get(id(annotation))

    def claim(self, annotation: Annotation, place: int, number: int) -> None:
        """A painted annotation is the object of this number."""
        self.objects[self._numbers[id(annotation)]] = (number, place + 1)


class Pixels:
    """Writes the pictures of pixels."""

    def __init__(self, folder: Path, settings: Settings, whole: str, notes: dict[str, int]) -> None:
        self._folder = folder
        self._settings = settings
        self._whole = whole
        self._notes = notes
        self._lists: dict[str, TextIO] = {}
        for name in (*FOLDERS, LISTS):
            (folder / name).mkdir(parents=True)
        colours = palette()
        names = enumerate(settings.classes.names[:MOST], 1)
        rows = [{"id": n, "name": name, "color": colours[3 * n : 3 * n + 3]} for n, name in names]
        write_json(folder / CLASSES, rows)
        for part in settings.splits or (whole,):
            self._list(part)

    def paint(self, item: Item) -> Sheet:
        """Paint a picture's polygons and masks."""
        painted = paint(item, self._settings.classes, self._settings.geometry)
        if painted.covered:
            self._notes[OCCLUDED] = self._notes.get(OCCLUDED, 0) + painted.covered
        return Sheet(painted)

    def save(self, item: Item, sheet: Sheet) -> bool:
        """Write both pictures if anything is on them; whether it is."""
        import numpy as np
        from PIL import Image

        if not sheet.objects:
            return False
        numbers = sheet.painted.numbers
        for folder, which in zip(FOLDERS, (1, 0), strict=True):
            table: NDArray[np.uint8] = np.zeros(int(numbers.max(initial=0)) + 1, dtype=np.uint8)
            for number, values in sheet.objects.items():
                table[number] = values[which]
            picture = Image.fromarray(table[numbers])
            picture.putpalette(palette())
            picture.save((self._settings.files or self._folder) / folder / f"{item.stem}.png", format="PNG")
        self._list(item.split or self._whole).write(f"{item.stem}\n")
        return True

    def _list(self, part: str) -> TextIO:
        if part not in self._lists:
            path = self._folder / LISTS / f"{part}.txt"
            self._lists[part] = path.open("w", encoding="utf-8", newline="\n")
        return self._lists[part]

    def close(self) -> None:
        """Close the lists."""
        for stream in self._lists.values():
            stream.close()

    def take(self, folder: Path) -> None:
        """Add the lists of a part of the export."""
        for path in sorted((folder / LISTS).glob("*.txt")):
            pour(path, self._list(path.stem).buffer)


def palette() -> list[int]:
    """VOC's colours, 256 times red, green and blue: the bits of a number, from the lowest, give their highest bits."""
    colours = []
    for number in range(256):
        colour = [0, 0, 0]
        for turn in range(8):
            for channel in range(3):
                colour[channel] |= (number >> (3 * turn + channel) & 1) << (7 - turn)
        colours += colour
    return colours


def verify_pixels(
    folder: Path, parts: dict[str, str], objects: dict[str, tuple[int, int, int]], whole: str, problems: Problems
) -> None:
    """Every listed picture has both files, of its size, with objects that its XML file has.

    Args:
        folder: of the format.
        parts: by stem, the part that the picture is in.
        objects: by stem of each picture whose XML file says that it is segmented: width, height, number of objects.
        whole: name of the list that everything is in without a split.
        problems: where to tell them.
    """
    again = "Export again; if it comes back, say so to whoever maintains this."
    listed: set[str] = set()
    for path in sorted((folder / LISTS).glob("*.txt")):
        for stem in path.read_text(encoding="utf-8").split("\n")[:-1]:
            if stem in listed or parts.get(stem) != ("" if path.stem == whole else path.stem):
                problems.add("in-two-parts", f"{LISTS}/{path.name}: {stem}", fix=again)
            listed.add(stem)
    for stem in sorted(listed ^ set(objects)):
        problems.add("bad-file", f"{stem}: segmented in its XML file or in a list, but not in both", fix=again)
    for name in FOLDERS:
        for path in sorted((folder / name).glob("*")):
            if path.name.removesuffix(".png") not in listed:
                problems.add("picture-without-labels", f"{name}/{path.name}", fix=again)
    for stem in sorted(listed & set(objects)):
        _check(folder, stem, objects[stem], problems, again)


def _check(folder: Path, stem: str, said: tuple[int, int, int], problems: Problems, again: str) -> None:
    import numpy as np
    from PIL import Image

    arrays = []
    for name in FOLDERS:
        try:
            with Image.open(folder / name / f"{stem}.png") as picture:
                if picture.mode != "P" or picture.size != said[:2]:
                    problems.add("bad-file", f"{name}/{stem}.png: {picture.mode}, {picture.size}", fix=again)
                    return
                arrays.append(np.asarray(picture))
        except (OSError, ValueError, SyntaxError) as error:
            problems.add("unreadable", f"{name}/{stem}.png: {error}", fix=again)
            return
    classes, numbers = arrays
    pairs = set(np.unique(classes.astype(np.uint16) << 8 | numbers).tolist()) - {0}
    seen = [pair & 255 for pair in pairs]
    if any(not pair >> 8 or not 0 < pair & 255 <= said[2] for pair in pairs) or len(set(seen)) != len(seen):
        problems.add("bad-file", f"{stem}.png: classes and objects are not of the same pixels", fix=again)
