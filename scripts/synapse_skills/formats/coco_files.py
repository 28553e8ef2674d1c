"""The files of a part of COCO: rows on their way, then one file, or several of which each holds so many pictures."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

KINDS = ("images", "instances", "poses")
_CHUNK = 1 << 20
_IMAGE = re.compile(rb'\{"id":(\d+),')
_ROW = re.compile(rb'\{"id":(\d+),"image_id":(\d+),')


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


def pictures_of(folder: Path, name: str) -> Iterator[tuple[bytes, list[bytes], list[bytes]]]:
    """What a writer has left, picture by picture: its row, rows of its annotations, its poses. Removes the files."""
    paths = paths_of(folder, name)
    with contextlib.ExitStack() as stack:
        images, instances, poses = (stack.enter_context(path.open("rb")) for path in paths.values())
        rows, waiting = _Groups(instances), _Groups(poses)
        for line in images:
            found = _IMAGE.match(line)
            assert found is not None
            image = int(found[1])
            yield line.rstrip(b",\n"), rows.of(image), waiting.of(image)
    for path in paths.values():
        path.unlink()


def row_numbered_on(line: bytes, annotations: int, images: int) -> bytes:
    """A row of an annotation whose numbers become larger by so many."""
    found = _ROW.match(line)
    assert found is not None
    return b'{"id":%d,"image_id":%d,%b' % (int(found[1]) + annotations, int(found[2]) + images, line[found.end() :])


class _Groups:
    """Lines in the order of their pictures, handed out picture by picture."""

    def __init__(self, lines: IO[bytes]) -> None:
        self._lines = lines
        self._line, self._image = b"", 0
        self._step()

    def of(self, image: int) -> list[bytes]:
        """The lines of a picture, each with a line break alone at its end."""
        found = []
        while self._line and self._image == image:
            found.append(self._line)
            self._step()
        return found

    def _step(self) -> None:
        # A comma stands between two rows; the label of a pose, which comes first, can't hold what looks like a row.
        self._line = self._lines.readline()
        if self._line:
            self._line = self._line.rstrip(b",\n") + b"\n"
            found = _ROW.search(self._line)
            assert found is not None
            self._image = int(found[2])
