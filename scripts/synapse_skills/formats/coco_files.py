"""The files of a part of COCO: rows on their way, then one file, or several of which each holds so many pictures."""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

KINDS = ("images", "instances", "poses")
_CHUNK = 1 << 20
PICTURE, ROW = b'{"id":%d,', b'{"id":%d,"image_id":%d,'


class Part:
    """One part of the dataset: its rows in files that are put together at the end.

    Args:
        folder: of the format.
        name: '' without a split.
        shard: how many pictures a file holds; 0 for all of them.
    """

    def __init__(self, folder: Path, name: str, shard: int = 0) -> None:
        self.name = name
        self.paths = paths_of(folder, name)
        self.images, self.instances, self.poses = (path.open("wb") for path in self.paths.values())
        self._shard = shard
        self._pictures = 0
        # Where the rows of each file begin, by kind.
        self._starts: list[dict[str, int]] = [dict.fromkeys(KINDS, 0)]
        self._has_rows = dict.fromkeys(KINDS, False)

    def begin_picture(self) -> None:
        """Another picture: its rows come now. Every so many of them a new file begins."""
        if self._shard and self._pictures and self._pictures % self._shard == 0:
            streams = zip(KINDS, (self.images, self.instances, self.poses), strict=True)
            self._starts.append({kind: stream.tell() for kind, stream in streams})
            self._has_rows = dict.fromkeys(KINDS, False)
        self._pictures += 1

    def put(self, kind: str, stream: IO[bytes], lines: bytes) -> None:
        """Add rows, one a line. A line of JSON holds no other new line: before each but the first goes a comma."""
        if self._has_rows[kind]:
            stream.write(b",\n")
        self._has_rows[kind] = True
        stream.write(lines[:-1].replace(b"\n", b",\n"))

    def put_all(
        self, pictures: Sequence[bytes], rows: Sequence[bytes], poses: Sequence[bytes], of: Iterable[tuple[int, int]]
    ) -> None:
        """Add the rows of many pictures; `of` says of each one how many rows and poses are its own."""
        if not self._shard:
            self._put_rows(pictures, rows, poses)
            return
        row = pose = 0
        for number, (more, poses_more) in enumerate(of):
            self.begin_picture()
            self._put_rows(pictures[number : number + 1], rows[row : row + more], poses[pose : pose + poses_more])
            row, pose = row + more, pose + poses_more

    def _put_rows(self, pictures: Sequence[bytes], rows: Sequence[bytes], poses: Sequence[bytes]) -> None:
        for kind, stream, some in (("images", self.images, pictures), ("instances", self.instances, rows)):
            if some:
                stream.write((b",\n" if self._has_rows[kind] else b"") + b",\n".join(some))
                self._has_rows[kind] = True
        self.poses.writelines(poses)

    def waiting_poses(self) -> Iterator[bytes]:
        """Poses as they were written, while `poses` becomes a new file of rows; files begin at the same poses."""
        path = self.paths["poses"]
        waiting = path.with_suffix(".waiting")
        path.rename(waiting)
        place, file = 0, 0
        self._has_rows["poses"] = False
        with waiting.open("rb") as lines, path.open("wb") as self.poses:
            olds = [starts["poses"] for starts in self._starts]
            for line in lines:
                while file + 1 < len(olds) and place >= olds[file + 1]:
                    file += 1
                    self._starts[file]["poses"] = self.poses.tell()
                    self._has_rows["poses"] = False
                place += len(line)
                yield line
            for starts in self._starts[file + 1 :]:
                starts["poses"] = self.poses.tell()
        waiting.unlink()

    def files(self, kind: str) -> list[tuple[str, int]]:
        """Names of the files of a kind, each with its number; a single one has no number in its name."""
        stem = f"{kind}_{self.name}" if self.name else kind
        count = len(self._starts)
        if not self._shard:
            return [(f"{stem}.json", 0)]
        return [(f"{stem}-{number:05}-of-{count:05}.json", number) for number in range(count)]

    def copy(self, kind: str, number: int, stream: IO[bytes]) -> None:
        """The rows of one file."""
        start = self._starts[number][kind]
        path = self.paths[kind]
        end = self._starts[number + 1][kind] if number + 1 < len(self._starts) else path.stat().st_size
        with path.open("rb") as source:
            source.seek(start)
            left = end - start
            while left > 0 and (chunk := source.read(min(_CHUNK, left))):
                stream.write(chunk)
                left -= len(chunk)

    def close(self) -> None:
        """No more rows, but for the poses."""
        for stream in (self.images, self.instances, self.poses):
            stream.close()

    def remove(self) -> None:
        """Remove what the files were put together of."""
        for path in self.paths.values():
            path.unlink()


def paths_of(folder: Path, name: str) -> dict[str, Path]:
    """Where the rows of a part wait, by kind."""
    return {kind: folder / f".{kind}-{name or 'all'}.part" for kind in KINDS}


@dataclass(frozen=True)
class Numbers:
    """The numbers that a writer gave, of which its rows are without: of pictures, of rows and of their pictures."""

    pictures: array[int]
    rows: array[int]
    images: array[int]


def strip_numbers(folder: Path, name: str) -> Numbers:
    """Take the numbers out of the rows that a writer has left, so that whoever joins them has less to do."""
    paths = paths_of(folder, name)
    numbers = Numbers(array("q"), array("q"), array("q"))
    rests = []
    for row in _rows_in(paths["images"]):
        head, rest = row.split(b",", 1)
        numbers.pictures.append(int(head[len(b'{"id":') :]))
        rests.append(rest)
    paths["images"].write_bytes(b"\n".join(rests))
    rests = []
    for row in _rows_in(paths["instances"]):
        own, image, rest = row.split(b",", 2)
        numbers.rows.append(int(own[len(b'{"id":') :]))
        numbers.images.append(int(image[len(b'"image_id":') :]))
        rests.append(rest)
    paths["instances"].write_bytes(b"\n".join(rests))
    return numbers


def numbered(path: Path, head: bytes, *numbers: Iterable[int]) -> list[bytes]:
    """The rows of a file, each behind its head with its numbers. The file is gone afterwards."""
    rests = _lines_in(path)
    path.unlink()
    return list(map(operator.add, map(head.__mod__, zip(*numbers, strict=True)), rests))


def _rows_in(path: Path) -> list[bytes]:
    """The rows of a file, less the commas between them; no line break is in any of them."""
    return [line.removesuffix(b",") for line in _lines_in(path)]


def _lines_in(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return content.split(b"\n") if content else []
