"""Reads exported files with readers of others, and holds them against what was labelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eval_cases.case import Check, Place
from eval_cases.wrong import Wrong
from planning import export_readers as readers
from planning.export_world import HEIGHT, WIDTH, Labelled, picture

Row = tuple[str, list[float]]
Rows = dict[str, list[Row]]
"""Picture, without its extension → its boxes: class and numbers."""


def found(place: Place, pattern: str, below: str = "") -> Path:
    """The one file or folder of the user's that a glob finds, wherever an export was put.

    Raises:
        Wrong: there is none, or there are several.
    """
    root = place.user / below
    paths = [path for path in sorted(root.rglob(pattern)) if "synapse-jobs" not in path.relative_to(place.user).parts]
    # An export may have been put into its job's folder: that is as good, if it is nowhere else.
    paths = paths or [path for path in sorted(root.rglob(pattern)) if not {"job", "state"} & set(path.parts)]
    if len(paths) != 1:
        raise Wrong(f"{len(paths)} of {pattern} {f'below {below}' if below else ''}".strip())
    return paths[0]


def same(what: str, there: Mapping[str, Sequence[Row]], wanted: Mapping[str, Sequence[Row]]) -> str:
    """Hold rows against rows, to a thousandth of a pixel.

    Raises:
        Wrong: with the first pictures that differ.
    """
    rounded = {name: sorted(_rounded(rows)) for name, rows in there.items()}
    expected = {name: sorted(_rounded(rows)) for name, rows in wanted.items()}
    differs = sorted(name for name in {*rounded, *expected} if not _near(rounded.get(name), expected.get(name)))
    if differs or not expected:
        first = differs[0] if differs else ""
        raise Wrong(
            f"{what}: {len(differs)} of {len(expected)} pictures differ, such as {first}: "
            f"{rounded.get(first)}, not {expected.get(first)}"
        )
    return f"{what}: {len(expected)} pictures, {sum(map(len, expected.values()))} annotations as they were labelled"


def _rounded(rows: Sequence[Row]) -> list[Row]:
    return [(label, [round(value, 2) for value in values]) for label, values in rows]


def _near(one: list[Row] | None, other: list[Row] | None) -> bool:
    if one is None or other is None or len(one) != len(other):
        return False
    pairs = zip(one, other, strict=True)
    return all(
        a[0] == b[0] and len(a[1]) == len(b[1]) and all(abs(x - y) < 0.03 for x, y in zip(a[1], b[1], strict=True))
        for a, b in pairs
    )


def stem(each: Labelled) -> str:
    """The picture's name without its extension."""
    return Path(each.name).stem


def boxes(records: Sequence[Labelled], rename: Mapping[str, str] | None = None) -> Rows:
    """The boxes of records, as corners in pixels: x, y, width, height."""
    rename = rename or {}
    return {
        stem(each): [
            (rename.get(shape.label, shape.label), list(shape.corners))
            for shape in each.shapes
            if shape.tool == "bounding_box"
        ]
        for each in records
    }


def yolo_boxes(folder: Path) -> dict[str, Rows]:
    """Part → boxes of a YOLO dataset in pixels."""
    parts, _ = readers.yolo(folder)
    return {
        part: {
            name: [(label, _corners(values)) for label, values in rows] for name, rows in pictures.items()
        }
        for part, pictures in parts.items()
    }  # fmt: skip


def _corners(values: list[float]) -> list[float]:
    x, y, width, height = values
    return [(x - width / 2) * WIDTH, (y - height / 2) * HEIGHT, width * WIDTH, height * HEIGHT]


def coco_boxes(path: Path) -> Rows:
    """Boxes of a COCO file in pixels, as pycocotools reads them."""
    return {
        Path(name).stem: [(row["class"], [float(value) for value in row["bbox"]]) for row in rows]
        for name, rows in readers.coco(path).items()
    }


def in_parts(parts: Mapping[str, Rows], shares: Mapping[str, float], records: Sequence[Labelled]) -> str:
    """Every picture is in exactly one part, and the parts are as large as was said.

    Raises:
        Wrong: they are not.
    """
    total = sum(len(pictures) for pictures in parts.values())
    names = {name for pictures in parts.values() for name in pictures}
    if set(parts) != set(shares) or total != len(records) or names != {stem(each) for each in records}:
        raise Wrong(f"parts {sorted(parts)} with {total} pictures, not {sorted(shares)} with {len(records)}")
    for part, share in shares.items():
        if abs(len(parts[part]) - share * total) > max(2.5, 0.1 * total):
            raise Wrong(f"{part} has {len(parts[part])} of {total}, which is not about {share:.0%}")
    return ", ".join(f"{part}: {len(parts[part])}" for part in shares)


def with_pictures(folder: Callable[[Place], Path], records: Sequence[Labelled]) -> Check:
    """The very bytes of every picture lie somewhere below a folder, once."""

    def check(place: Place) -> str:
        root = folder(place)
        kept = [path.read_bytes() for path in root.rglob("*") if path.suffix == ".png"]
        missing = [each.name for each in records if kept.count(picture(each.unit or 100_000 + each.id)) != 1]
        if missing:
            raise Wrong(f"not there once: {missing[:5]} ({len(missing)} of {len(records)})")
        return f"{len(records)} pictures, byte for byte"

    return check


def complete(place: Place) -> str:
    """Every output that was begun is complete."""
    done = [path for path in place.user.rglob("COMPLETE") if "job" not in path.parts]
    begun = [path for path in place.user.rglob("manifest.json") if "job" not in path.parts]
    if not done or len(begun) != len(done):
        raise Wrong(f"{len(begun)} exports were begun, {len(done)} are complete")
    return f"{len(done)} complete"
