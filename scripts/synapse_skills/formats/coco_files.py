"""The files of a part of COCO: rows on their way, then one file, or several of which each holds so many pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

KINDS = ("images", "instances", "poses")
_CHUNK = 1 << 20
# The label of a pose, which comes first, can't hold what looks like this: quotes in it are escaped.
_ROW_OF_POSE = re.compile(rb'\{"id":\d+,("image_id":\d+),')


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


def pictures_of(folder: Path, name: str, images: int, annotations: int) -> Iterator[tuple[bytes, bytes, list[bytes]]]:
    """What a writer has left, picture by picture, numbered on. The files are gone afterwards.

    Args:
        folder: where it was written.
        name: of the part.
        images, annotations: how many there are before.

    Yields:
        The row of a picture, the rows of its annotations with line breaks, and its poses, not numbered on.
    """
    pictures, rows, poses = (_rows_in(path) for path in paths_of(folder, name).values())
    at = pose = 0
    for picture in pictures:
        # {"id":12,"file_name": …    {"id":99,"image_id":12,"category_id": …
        head, rest = picture.split(b",", 1)
        begins, found = b'"image_id":%b' % head[len(b'{"id":') :], []
        while at < len(rows):
            own, image, row = rows[at].split(b",", 2)
            if image != begins:
                break
            number = int(own[len(b'{"id":') :]) + annotations
            found.append(b'{"id":%d,"image_id":%d,%b\n' % (number, int(image[len(b'"image_id":') :]) + images, row))
            at += 1
        first = pose
        while pose < len(poses) and _ROW_OF_POSE.search(poses[pose])[1] == begins:  # type: ignore[index]
            pose += 1
        number = int(head[len(b'{"id":') :]) + images
        yield b'{"id":%d,%b\n' % (number, rest), b"".join(found), poses[first:pose]


def _rows_in(path: Path) -> list[bytes]:
    """The rows of a file, which is removed; no line break is in any of them."""
    content = path.read_bytes()
    path.unlink()
    return [line.removesuffix(b",") for line in content.split(b"\n") if line]
