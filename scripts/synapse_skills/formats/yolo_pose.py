"""YOLO pose: `class x y width height`, then `x y visibility` of each keypoint. The layout is told in `yolo_layout`.

All rows of a dataset have the same keypoints in the same order, `0 0 0` where an object has none. Which they are is
certain only when the last record has been read: until then the rows wait in a temporary file without a name. A class
that only the keypoints tell (`poses`) follows behind the class list.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from synapse_skills.annotations.model import Annotation, Box, Keypoint, Skeleton
from synapse_skills.formats.base import Format, Item, Loss, Settings, Verified
from synapse_skills.formats.boxes import Boxes
from synapse_skills.formats.classes import DROPPED
from synapse_skills.formats.geometry import NOISE, ZERO, bounds, box_of, clamp_point
from synapse_skills.formats.parts import pour
from synapse_skills.formats.poses import Pose, Poses, joint_key
from synapse_skills.formats.yolo_layout import WHOLE, Rows, YoloWriter, box_row, is_placed, points_row
from synapse_skills.formats.yolo_verify import Check, Dataset, pose_check
from synapse_skills.formats.yolo_verify import verify as verify_with

NOT_THERE = "0 0 0"
ROWS = ".rows.part"


class _Row(msgspec.Struct, array_like=True):
    """One object; its coordinates are text already."""

    place: int
    box: str
    points: dict[str, str]


class _Waiting(msgspec.Struct, array_like=True):
    """The rows of one label file."""

    part: str
    stem: str
    rows: list[_Row]


@dataclass(frozen=True)
class _Left:
    """What a part tells: its classes with their places, those behind the class list, and the joints that it saw."""

    posed: dict[str, int]
    behind: list[str]
    seen: dict[str, dict[str, str]]


class PoseWriter(YoloWriter):
    """One row for each object that has keypoints."""

    holds = frozenset({"bounding_box", "keypoint"})

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__(folder, settings)
        self._poses = Poses(settings.classes, settings.skeletons)
        self._boxes = Boxes(settings.geometry, {}, self.notes)
        self._posed: dict[str, int] = {}
        self._behind: list[str] = []
        # Nothing of it is left if the run is killed: it has no name.
        self._waiting = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115

    def builders(self) -> Mapping[type, Callable[[Any, float, float], Rows]]:
        """Nothing is written by itself: rows are made of whole objects."""
        return {}

    def write(self, item: Item) -> list[Loss]:
        """Find the objects of a picture and keep their rows until all keypoints are known."""
        if not is_placed(item):
            return list(super().write(item))
        width, height = float(item.width or 0), float(item.height or 0)
        poses, losses = self._poses.of(item.media)
        rows: list[_Row] = []
        boxes: dict[int, str | None] = {}
        for pose in poses:
            row, lost, box_reason = self._row(pose, width, height)
            losses += lost
            boxes[id(pose.box)] = box_reason
            if row is not None:
                rows.append(row)
        for annotation in item.media.annotations:
            if not isinstance(annotation.geometry, Keypoint | Skeleton):
                reason = self._refused_alone(annotation, boxes)
                if reason is not None:
                    losses.append(Loss(annotation, reason))
        self._waiting.write(msgspec.json.encode(_Waiting(item.split or WHOLE, item.stem, rows)) + b"\n")
        self.rows[item.split] = self.rows.get(item.split, 0) + len(rows)
        return losses

    def _refused_alone(self, annotation: Annotation, boxes: Mapping[int, str | None]) -> str | None:
        """Why an annotation that is no keypoint is lost; None if it is written as the box of its keypoints."""
        geometry = annotation.geometry
        if self.settings.classes.place(annotation) == DROPPED and boxes.get(id(geometry), "") is not None:
            return DROPPED
        if isinstance(geometry, Box):
            return boxes.get(id(geometry), "rotated" if geometry.rotation else "no-keypoints")
        return "no-geometry" if geometry is None and annotation.tool in self.holds else "not-held"

    def _row(self, pose: Pose, width: float, height: float) -> tuple[_Row | None, list[Loss], str | None]:
        """One object; what of its keypoints is lost; and why its row has not the box that was labelled."""
        points, seen, losses = self._points(pose, width, height)
        if not points:
            return None, losses, "no-keypoints"
        box = self._boxes.of(pose.box, width, height) if pose.box is not None else "no-keypoints"
        around = box if isinstance(box, Box) else box_of(bounds(seen)) if seen else None
        row: Rows = ZERO
        if around is not None and min(around.width, around.height) >= NOISE:
            row = box_row(around, width, height)
        if isinstance(row, str):
            # No box was labelled, and the points that are seen span none.
            known = {id(loss.annotation) for loss in losses}
            losses += [Loss(each, row) for each in pose.members if id(each) not in known]
            return None, losses, box if isinstance(box, str) else row
        return _Row(self._place(pose), row[0], points), losses, box if isinstance(box, str) else None

    def _place(self, pose: Pose) -> int:
        place = pose.place
        if place is None:
            if pose.label not in self._behind:
                self._behind.append(pose.label)
            place = len(self.settings.classes.names) + self._behind.index(pose.label)
        self._posed[pose.label] = place
        return place

    def _points(
        self, pose: Pose, width: float, height: float
    ) -> tuple[dict[str, str], list[tuple[float, float]], list[Loss]]:
        """The points of an object as they are written, where those are that are seen, and what is lost of them.

        A skeleton is one annotation: it is lost if none of its points can be written; else those are counted.
        """
        points: dict[str, str] = {}
        seen: list[tuple[float, float]] = []
        reasons: dict[str, str] = {}
        for key, point in pose.joints.items():
            kept = clamp_point((point.x, point.y), width, height)
            if point.visibility == 0:
                points[key] = NOT_THERE
            elif isinstance(kept, str):
                reasons[key] = kept
            else:
                seen.append(kept)
                points[key] = f"{points_row([kept], width, height)} {point.visibility or 2}"
                if point.visibility is None:
                    self.note("visibility-assumed")
        losses: list[Loss] = []
        for member in pose.members:
            if isinstance(member.geometry, Skeleton):
                if not points:
                    losses.append(Loss(member, next(iter(reasons.values()), "too-few-points")))
                elif reasons:
                    self.note("skeleton-points-outside", len(reasons))
            elif (reason := reasons.get(joint_key(str(member.label)))) is not None:
                losses.append(Loss(member, reason))
        return points, seen, losses

    def class_names(self) -> tuple[str, ...]:
        """The class list, and classes that only keypoints told."""
        return (*self.settings.classes.names, *self._behind)

    def about(self) -> dict[str, Any]:
        """How many keypoints; which change places when a picture is mirrored, if their names tell; their names."""
        names = self._joints()
        about: dict[str, Any] = {"kpt_shape": [len(names), 3]}
        if flips := find_flips(list(names)):
            about["flip_idx"] = flips
        about["kpt_names"] = {place: list(names.values()) for place in sorted(self._posed.values())}
        return about

    def _joints(self) -> dict[str, str]:
        """The keypoints of all classes in order, by what makes two names the same."""
        names: dict[str, str] = {}
        for label in sorted(self._posed, key=self._posed.__getitem__):
            for name in self._poses.joints(label).names:
                names.setdefault(joint_key(name), name)
        return names

    def leave(self) -> _Left:
        """End a part: its rows lie in a file until all keypoints are known."""
        with self._waiting as waiting, (self.folder / ROWS).open("wb") as stream:
            waiting.seek(0)
            shutil.copyfileobj(waiting, stream)
        return _Left(dict(self._posed), list(self._behind), self._poses.seen)

    def take(self, folder: Path, left: _Left) -> None:
        """Add the rows of a part; classes behind the list may have another place here."""
        self._poses.learn(left.seen)
        first = len(self.settings.classes.names)
        self._behind += [label for label in left.behind if label not in self._behind]
        places = {first + there: first + self._behind.index(label) for there, label in enumerate(left.behind)}
        self._posed |= {label: places.get(place, place) for label, place in left.posed.items()}
        if all(there == here for there, here in places.items()):
            pour(folder / ROWS, self._waiting)
            return
        decoder = msgspec.json.Decoder(_Waiting)
        with (folder / ROWS).open("rb") as lines:
            for line in lines:
                file = decoder.decode(line)
                for row in file.rows:
                    row.place = places.get(row.place, row.place)
                self._waiting.write(msgspec.json.encode(file) + b"\n")
        (folder / ROWS).unlink()

    def close(self) -> None:
        """Write the label files, and data.yaml."""
        names = self._joints()
        decoder = msgspec.json.Decoder(_Waiting)
        with self._waiting as waiting:
            waiting.seek(0)
            for line in waiting:
                file = decoder.decode(line)
                lines = [
                    f"{row.place} {row.box} {' '.join([row.points.get(name, NOT_THERE) for name in names])}\n"
                    for row in file.rows
                ]
                self.write_file(file.part, file.stem, "".join(lines))
        super().close()


_SIDES = (("left", "right"), ("왼", "오른"))
_SHORT = (("l", "r"), ("좌", "우"))


def find_flips(keys: list[str]) -> list[int] | None:
    """For each keypoint the place of its mirror image; None if no name tells a side, or one has no counterpart.

    Without it Ultralytics mirrors no pictures, which is right whatever the names mean.
    """
    places = {key: place for place, key in enumerate(keys)}
    flips = [places.get(_mirrored(key, places), -1) for key in keys]
    is_paired = all(there >= 0 and flips[there] == here for here, there in enumerate(flips))
    return flips if is_paired and flips != list(range(len(keys))) else None


def _mirrored(key: str, known: Mapping[str, int]) -> str:
    """The same joint on the other side; the joint itself if its name tells no side."""
    for one, other in _SIDES:
        if one in key:
            return key.replace(one, other, 1)
        if other in key:
            return key.replace(other, one, 1)
    for one, other in (*_SHORT, *(pair[::-1] for pair in _SHORT)):
        # A single letter is a side only if its counterpart is there: `lip` is none.
        if key.startswith(one) and other + key[len(one) :] in known:
            return other + key[len(one) :]
        if key.endswith(one) and key[: -len(one)] + other in known:
            return key[: -len(one)] + other
    return key


def _check(dataset: Dataset) -> Check:
    shape = dataset.about.get("kpt_shape")
    match shape:
        case [int(count), 3]:
            return pose_check(count)
        case _:
            return lambda _: f"kpt_shape of data.yaml is {shape!r}"


def verify(folder: Path) -> Verified:
    """Every row is a class, a box and as many keypoints as data.yaml says, all inside their picture."""
    return verify_with(folder, _check)


FORMAT = Format(
    name="yolo_pose",
    title="YOLO (Ultralytics), keypoints",
    media=("image",),
    holds={"keypoint": "exact", "bounding_box": "box of its keypoints"},
    needs_size=True,
    options=(),
    write=PoseWriter,
    verify=verify,
    splits=True,
)
