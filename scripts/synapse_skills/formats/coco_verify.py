"""COCO read back, row by row: memory does not grow with the number of annotations.

The reader knows that the writer puts every row on a line of its own; a file of another shape is read at once.
"""

from __future__ import annotations

import re
import struct
import tempfile
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from synapse_skills.formats import rle
from synapse_skills.formats.base import Verified
from synapse_skills.formats.geometry import NOISE, signed_area
from synapse_skills.report import Problems

_EXPORT_AGAIN = "Export again; if it comes back, the exporter is at fault."
_LINES = 2_000
_PICTURE = struct.Struct("<qqq")
_SHARD = re.compile(r"-([0-9]{5,})-of-([0-9]{5,})$")


class _Image(msgspec.Struct, gc=False):
    id: int
    file_name: str
    width: int
    height: int


class _Row(msgspec.Struct, gc=False):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float
    iscrowd: int
    segmentation: list[list[float]] | dict[str, Any] = []
    keypoints: list[float] | None = None
    num_keypoints: int = 0


class _Category(msgspec.Struct):
    id: int
    name: str
    keypoints: list[str] = []
    skeleton: list[tuple[int, int]] = []


class _Whole(msgspec.Struct):
    categories: list[_Category]
    images: list[_Image]
    annotations: list[_Row]


_TYPES: dict[str, Any] = {"categories": list[_Category], "images": list[_Image], "annotations": list[_Row]}


def verify(folder: Path) -> Verified:
    """Ids, references, boxes, areas, masks and categories of every file, and that the pictures are there."""
    found, problems = Verified(), Problems()
    lists: dict[str, list[_Category]] = {}
    # The files of a part go on counting where the one before has stopped.
    last: dict[tuple[str, str], tuple[int, int]] = {}
    shards: dict[tuple[str, str, int], int] = {}
    files = sorted((folder / "annotations").glob("*.json"))
    for path in files:
        kind, split, number, count = _kind(path)
        if kind not in ("instances", "person_keypoints"):
            continue
        if number != shards.setdefault((kind, split, count), 0):
            problems.add("missing-file", f"{path.name}: a file before it", fix=_EXPORT_AGAIN)
        shards[kind, split, count] = number + 1
        reader = _Reader(folder, path, kind, split, problems, last.get((kind, split), (0, 0)))
        reader.read()
        last[kind, split] = reader.last
        if reader.categories != lists.setdefault(kind, reader.categories):
            problems.add("categories-differ", path.name, fix=_EXPORT_AGAIN)
        if kind == "instances":
            found.items[split] = found.items.get(split, 0) + reader.images
        found.rows[split] = found.rows.get(split, 0) + reader.rows
    for (kind, split, count), there in shards.items():
        if there != count or len([each for each in shards if each[:2] == (kind, split)]) > 1:
            problems.add("missing-file", f"{kind} {split}: {there} of {count} files", fix=_EXPORT_AGAIN)
    if "instances" not in lists:
        problems.add("missing-file", "annotations/instances.json", fix=_EXPORT_AGAIN)
    _check_names(lists.get("instances", []), problems)
    found.problems = problems.as_list()
    return found


def _kind(path: Path) -> tuple[str, str, int, int]:
    """What a file holds, of which part, which of how many files it is."""
    found = _SHARD.search(path.stem)
    stem = path.stem[: found.start()] if found else path.stem
    number, count = (int(found[1]), int(found[2])) if found else (0, 1)
    for kind in ("instances", "person_keypoints"):
        if stem == kind or stem.startswith(f"{kind}_"):
            return kind, stem[len(kind) + 1 :], number, count
    return stem, "", number, count


def _check_names(categories: list[_Category], problems: Problems) -> None:
    if [each.id for each in categories] != list(range(1, len(categories) + 1)):
        problems.add("category-ids", "not 1 to N", fix=_EXPORT_AGAIN)
    if len({each.name for each in categories}) != len(categories):
        problems.add("category-twice", fix="Two classes have one name: map one to the other.")


class _Reader:
    """Reads one file. `after`: the last ids of a picture and of an annotation in the file before it."""

    def __init__(
        self, folder: Path, path: Path, kind: str, split: str, problems: Problems, after: tuple[int, int]
    ) -> None:
        self.images = self.rows = 0
        self.categories: list[_Category] = []
        self._path = path
        self._kind = kind
        self._problems = problems
        self._sizes = _Sizes()
        self._known: dict[int, _Category] = {}
        self._last_image, self._last = after
        pictures = folder / "images" / split if split else folder / "images"
        has_pictures = kind == "instances" and pictures.is_dir() and any(pictures.iterdir())
        self._pictures = pictures if has_pictures else None

    @property
    def last(self) -> tuple[int, int]:
        """The last ids of a picture and of an annotation."""
        return self._last_image, self._last

    def read(self) -> None:
        """Read and check all rows."""
        try:
            for section, rows in _sections(self._path):
                if section == "categories":
                    self.categories += rows
                    self._known.update((each.id, each) for each in rows)
                elif section == "images":
                    for image in rows:
                        self._image(image)
                else:
                    for row in rows:
                        self._row(row)
        except (OSError, ValueError, RecursionError, struct.error) as error:
            self._add("unreadable-file", str(error))
        finally:
            self._sizes.close()

    def _image(self, image: _Image) -> None:
        self.images += 1
        if image.id <= self._last_image:
            self._add("image-ids", f"{image.id} after {self._last_image}")
        self._last_image = image.id
        self._sizes.add(image.id, image.width, image.height)
        if image.width <= 0 or image.height <= 0:
            self._add("no-size", image.file_name)
        if self._pictures is not None and not (self._pictures / image.file_name).is_file():
            # Originals may be optional; one that was removed later is missed by its line of the manifest.
            self._add("missing-picture", image.file_name, severity="warning")

    def _row(self, row: _Row) -> None:
        self.rows += 1
        if row.id <= self._last:
            self._add("annotation-ids", f"{row.id} after {self._last}")
        self._last = row.id
        category = self._known.get(row.category_id)
        if category is None:
            self._add("unknown-category", f"annotation {row.id}: {row.category_id}")
        size = self._sizes.of(row.image_id)
        if size is None:
            self._add("unknown-image", f"annotation {row.id}: {row.image_id}")
            return
        width, height = size
        x, y, w, h = row.bbox
        is_pose = row.keypoints is not None
        if not (x >= -NOISE and y >= -NOISE and x + w <= width + NOISE and y + h <= height + NOISE):
            self._add("box-outside", f"annotation {row.id}: {row.bbox} in {width}x{height}")
        if not (w > 0 and h > 0) and not (is_pose and w >= 0 and h >= 0):
            self._add("box-empty", f"annotation {row.id}: {row.bbox}")
        if is_pose:
            if category is not None:
                self._check_pose(row, category, width, height)
        elif self._kind == "person_keypoints":
            self._add("no-keypoints", f"annotation {row.id}")
        if row.segmentation:
            self._check_segmentation(row, width, height)
        elif abs(row.area - w * h) > 1e-6 * max(1.0, w * h):
            self._add("wrong-area", f"annotation {row.id}: {row.area} of {w}x{h}")

    def _check_pose(self, row: _Row, category: _Category, width: int, height: int) -> None:
        points = row.keypoints or []
        if len(points) != 3 * len(category.keypoints):
            self._add("wrong-keypoints", f"annotation {row.id}: {len(points)} numbers")
        elif sum(seen > 0 for seen in points[2::3]) != row.num_keypoints:
            self._add("wrong-keypoints", f"annotation {row.id}: num_keypoints {row.num_keypoints}")
        elif any(not (0 <= x <= width) for x in points[0::3]) or any(not (0 <= y <= height) for y in points[1::3]):
            self._add("keypoint-outside", f"annotation {row.id}")

    def _check_segmentation(self, row: _Row, width: int, height: int) -> None:
        if isinstance(row.segmentation, dict):
            try:
                counts = row.segmentation["counts"]
                counts = rle.decompress(counts) if isinstance(counts, str) else counts
                fits = row.segmentation["size"] == [height, width] and sum(counts) == width * height
                fits = fits and all(count >= 0 for count in counts)
            except (KeyError, ValueError, TypeError):
                fits = False
            if not fits:
                self._add("bad-mask", f"annotation {row.id}")
            elif sum(counts[1::2]) != row.area:
                self._add("wrong-area", f"annotation {row.id}: {row.area}, the mask has {sum(counts[1::2])}")
            return
        area = 0.0
        for flat in row.segmentation:
            if len(flat) < 6 or len(flat) % 2:
                self._add("bad-polygon", f"annotation {row.id}: {len(flat)} numbers")
                return
            area += abs(signed_area(list(zip(flat[0::2], flat[1::2], strict=True))))
        if abs(area - row.area) > 1e-6 * max(1.0, area):
            self._add("wrong-area", f"annotation {row.id}: {row.area}, its polygon has {area}")

    def _add(self, code: str, example: str, severity: str = "error") -> None:
        self._problems.add(code, f"{self._path.name}: {example}", severity=severity, fix=_EXPORT_AGAIN)


class _Sizes:
    """The sizes of pictures, on the disk: their ids grow, and annotations name them nearly always in that order."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever reads
        self._count = 0
        self._at, self._here = -1, (0, 0, 0)

    def add(self, identity: int, width: int, height: int) -> None:
        """Take note of the next picture."""
        self._file.write(_PICTURE.pack(identity, width, height))
        self._count += 1

    def of(self, identity: int) -> tuple[int, int] | None:
        """The size of a picture; None if there is none of this id."""
        if self._at < 0 or self._here[0] != identity:
            is_next = self._at + 1 < self._count and self[self._at + 1] == identity
            self._at = self._at + 1 if is_next else bisect_left(self, identity)
            if self._at >= self._count or self[self._at] != identity:
                self._at = -1
                return None
            self._here = self._read(self._at)
        return self._here[1], self._here[2]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: int) -> int:
        return self._read(at)[0]

    def _read(self, at: int) -> tuple[int, int, int]:
        self._file.seek(at * _PICTURE.size)
        identity, width, height = _PICTURE.unpack(self._file.read(_PICTURE.size))
        return identity, width, height


def _sections(path: Path) -> Iterator[tuple[str, list[Any]]]:
    """Rows of a file with the section that they are in, a few thousand at once.

    Raises:
        ValueError: it is no COCO file.
    """
    with path.open("rb") as stream:
        if stream.readline() == b"{\n" and stream.readline().startswith(b'"info": '):
            yield from _lines(stream)
            return
    whole = msgspec.json.decode(path.read_bytes(), type=_Whole)
    yield from (("categories", whole.categories), ("images", whole.images), ("annotations", whole.annotations))


def _lines(stream: Iterator[bytes]) -> Iterator[tuple[str, list[Any]]]:
    decoders = {name: msgspec.json.Decoder(kind) for name, kind in _TYPES.items()}
    section = ""
    lines: list[bytes] = []
    seen: list[str] = []
    for line in stream:
        if not section:
            name = line[1:].partition(b'"')[0].decode("ascii", "replace")
            if name in decoders and line == f'"{name}": [\n'.encode():
                section = name
                seen.append(name)
            elif line != b'"licenses": [],\n':
                break
        elif line in (b"],\n", b"]\n"):
            yield section, decoders[section].decode(b"[" + b"".join(lines) + b"]")
            section, lines = "", []
        else:
            lines.append(line)
            if len(lines) == _LINES:
                # The comma behind the last row belongs to the list that goes on.
                chunk = b"".join(lines).rstrip()
                if not chunk.endswith(b","):
                    lines = [chunk]
                    continue
                yield section, decoders[section].decode(b"[" + chunk[:-1] + b"]")
                lines = []
    else:
        line = b""
    if line != b"}\n" or section or sorted(seen) != sorted(_TYPES) or next(stream, b""):
        raise ValueError("the file is cut off, or not as it was written")
