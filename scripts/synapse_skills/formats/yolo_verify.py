"""Reads a YOLO dataset back: as strictly as the trainer does, and what the trainer would pass over in silence."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from synapse_skills.formats.base import Verified
from synapse_skills.formats.small_files import stems_in
from synapse_skills.formats.yolo_layout import NO_SPLIT, WHOLE, escaped
from synapse_skills.formats.yolo_yaml import load
from synapse_skills.on_disk import side_by_side
from synapse_skills.report import Problems

LABEL = ".txt"
AGAIN = "Export again; if it comes back, say so to whoever maintains this."

Check = Callable[[list[float]], str | None]
"""What is wrong with the numbers of a row, the class left out; None if nothing."""


@dataclass
class Dataset:
    """data.yaml, as far as it could be read."""

    names: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    is_split: bool = True
    about: dict[str, Any] = field(default_factory=dict)


def verify(folder: Path, check_of: Callable[[Dataset], Check]) -> Verified:
    """Read a whole dataset.

    Args:
        folder: with data.yaml in it.
        check_of: makes, from data.yaml, what looks at a row; of another kind of YOLO another one.
    """
    found, problems = Verified(), Problems()
    dataset = _read_dataset(folder, problems)
    check = check_of(dataset)
    for part in dataset.parts:
        key = part if dataset.is_split else ""
        found.items[key] = found.rows[key] = 0
        names = (stems_in(folder / "labels" / part, only=LABEL), stems_in(folder / "images" / part))
        for stem, (labels, pictures) in side_by_side(*names):
            if not labels:
                picture = os.fsdecode(pictures[0])
                problems.add("picture-without-labels", f"images/{part}/{picture}", fix=AGAIN)
                continue
            where = f"labels/{part}/{os.fsdecode(stem)}{LABEL}"
            if len(pictures) > 1:
                problems.add("two-pictures", f"{where}: {', '.join(map(os.fsdecode, pictures))}", fix=AGAIN)
            found.items[key] += 1
            found.rows[key] += _read_label(f"{folder}/{where}", where, dataset, check, problems)
    if len(dataset.parts) > 1:
        _check_parts(folder, dataset.parts, problems)
    found.problems = problems.as_list()
    return found


def _check_parts(folder: Path, parts: list[str], problems: Problems) -> None:
    """Whether a picture is in one part only."""
    names = [stems_in(folder / "labels" / part, only=LABEL) for part in parts]
    for stem, labels in side_by_side(*names):
        first, *others = (part for part, there in zip(parts, labels, strict=True) if there)
        for part in others:
            where = f"labels/{part}/{os.fsdecode(stem)}{LABEL} and labels/{first}"
            problems.add("in-two-parts", where, fix=AGAIN)


def _read_dataset(folder: Path, problems: Problems) -> Dataset:
    dataset = Dataset()
    try:
        text = (folder / "data.yaml").read_text(encoding="utf-8")
        document = load(text)
        names = {int(number): str(name) for number, name in document["names"].items()}
        listed = (folder / "classes.txt").read_text(encoding="utf-8").split("\n")[:-1]
        count, named = document["nc"], {part: str(document[part]) for part in ("train", "val")}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, yaml.YAMLError) as error:
        problems.add("unreadable", f"data.yaml, classes.txt: {error}", fix=AGAIN)
        return dataset
    dataset.names = [names[number] for number in sorted(names)]
    dataset.about = document
    dataset.is_split = NO_SPLIT not in text
    dataset.parts = sorted(path.name for path in (folder / "labels").glob("*") if path.is_dir()) or [WHOLE]
    if sorted(names) != list(range(count)):
        problems.add("classes-differ", f"data.yaml: nc is {count}, the numbers of names are {sorted(names)}", fix=AGAIN)
    if listed != [escaped(name) for name in dataset.names]:
        problems.add("classes-differ", "classes.txt and data.yaml name different classes", fix=AGAIN)
    for part, place in named.items():
        if not (folder / place).is_dir():
            problems.add("no-folder", f"data.yaml: {part} is {place}, and there is no such folder", fix=AGAIN)
    return dataset


def _read_label(path: str, where: str, dataset: Dataset, check: Check, problems: Problems) -> int:
    """Look at every row of a label file; how many there are."""
    rows, classes = 0, len(dataset.names)
    for fields in _fields(path, where, problems):
        rows += 1
        try:
            numbers = [float(each) for each in fields[1:]]
            chosen = int(fields[0])
        except (ValueError, IndexError):
            problems.add("bad-row", f"{where}:{rows}: not numbers", fix=AGAIN)
            continue
        if not 0 <= chosen < classes:
            problems.add("unknown-class", f"{where}:{rows}: class {chosen} of {classes}", fix=AGAIN)
        if not all(map(math.isfinite, numbers)):
            problems.add("bad-row", f"{where}:{rows}: not finite", fix=AGAIN)
        elif wrong := check(numbers):
            problems.add("bad-row", f"{where}:{rows}: {wrong}", fix=AGAIN)
    return rows


def _fields(path: str, where: str, problems: Problems) -> Iterator[list[str]]:
    try:
        # As bytes: a file of text looks for line breaks that we would only put back.
        with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - a path would take as long as reading
            text = stream.read().decode()
    except (OSError, ValueError) as error:
        problems.add("unreadable", f"{where}: {error}", fix=AGAIN)
        return
    for line in text.split("\n")[:-1] if text.endswith("\n") else text.split("\n") if text else ():
        yield line.split(" ")


def box_check(numbers: list[float]) -> str | None:
    """Four numbers: centre and size."""
    if len(numbers) != 4:
        return f"{len(numbers)} numbers, not 4"
    return _outside(numbers) or (None if numbers[2] > 0 and numbers[3] > 0 else "no area")


def ring_check(numbers: list[float]) -> str | None:
    """Three points or more."""
    if len(numbers) < 6 or len(numbers) % 2:
        return f"{len(numbers)} numbers, not the pairs of three points or more"
    points = set(zip(numbers[::2], numbers[1::2], strict=True))
    return _outside(numbers) or (None if len(points) > 2 else "less than three different points")


def corners_check(numbers: list[float]) -> str | None:
    """Four corners."""
    return ring_check(numbers) if len(numbers) == 8 else f"{len(numbers)} numbers, not 8"


def pose_check(keypoints: int) -> Check:
    """A box, then x, y and visibility of each keypoint."""

    def check(numbers: list[float]) -> str | None:
        if len(numbers) != 4 + 3 * keypoints:
            return f"{len(numbers)} numbers, not 4 and {keypoints} times 3"
        if any(each not in (0, 1, 2) for each in numbers[6::3]):
            return "a visibility that is none of 0, 1, 2"
        places = [number for at, number in enumerate(numbers[4:]) if at % 3 != 2]
        return box_check(numbers[:4]) or _outside(places)

    return check


def _outside(numbers: list[float]) -> str | None:
    is_inside = not numbers or (min(numbers) >= 0 and max(numbers) <= 1)
    return None if is_inside else "a coordinate below 0 or above 1"
