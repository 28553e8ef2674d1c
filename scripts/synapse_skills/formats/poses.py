"""Poses: keypoints of one object put together, whether they are grouped annotations or one annotation with all points.

The platform has one annotation a keypoint; a group says which belong together, and what they are (`person`). The joints
of a class and their order come from the plan's skeletons, else from COCO's seventeen where the names are those, else
from the joints that were seen, in natural order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from synapse_skills.annotations.model import Annotation, Box, Keypoint, Media, Skeleton
from synapse_skills.formats.base import Loss
from synapse_skills.formats.classes import DROPPED, UNLABELLED, Classes

PERSON = "person"
COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
COCO_EDGES = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10), (1, 2),
    (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
"""From 0, as all edges here; COCO's files count from 1."""

Plan = Mapping[str, tuple[tuple[str, ...], tuple[tuple[int, int], ...]]]
"""`Settings.skeletons`."""


@dataclass(slots=True)
class Pose:
    """The keypoints of one object.

    Attributes:
        label: its class as it is written.
        place: of the class in the class list; None if it is no class of the list, but one of the plan's skeletons or a
            `person` that only its joints tell.
        joints: by `joint_key` of their name.
        members: the annotations that it is made of.
        box: the upright box that is in the same group, if there is one.
    """

    label: str
    place: int | None
    joints: dict[str, Keypoint]
    members: list[Annotation]
    box: Box | None = None


@dataclass(slots=True)
class Joints:
    """The joints of one class: their names in order, edges (from 0), and the number of each `joint_key`."""

    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()
    places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places = {joint_key(name): number for number, name in enumerate(self.names)}


def joint_key(name: str) -> str:
    """What makes two names of joints the same: `leftEye`, `left eye` and `left_eye` are one."""
    return "".join(char for char in name.casefold() if char.isalnum()) or name


COCO = Joints(COCO_NAMES, COCO_EDGES)
_BODY = frozenset(joint_key(name) for name in COCO_NAMES[5:])


class Poses:
    """Puts poses together, medium by medium, and learns which joints each class has.

    Args:
        classes: of the export.
        skeletons: of the plan, by class.
    """

    def __init__(self, classes: Classes, skeletons: Plan) -> None:
        self._classes = classes
        self._known = {label: Joints(names, edges) for label, (names, edges) in skeletons.items()}
        self._seen: dict[str, dict[str, str]] = {}

    def of(self, media: Media) -> tuple[list[Pose], list[Loss]]:
        """The poses of one medium, and the keypoints that belong to none."""
        losses: list[Loss] = []
        poses: list[Pose] = []
        grouped: dict[str, list[Annotation]] = {}
        boxes: dict[str, Box] = {}
        for annotation in media.annotations:
            geometry = annotation.geometry
            if type(geometry) is Skeleton:
                poses += self._alone(annotation, geometry, losses)
            elif type(geometry) is Keypoint:
                if annotation.group is None:
                    losses.append(Loss(annotation, "no-group", "a keypoint that belongs to no group"))
                else:
                    grouped.setdefault(annotation.group, []).append(annotation)
            elif type(geometry) is Box and annotation.group is not None and not geometry.rotation:
                boxes.setdefault(annotation.group, geometry)
        labels = {group.id: group.label for group in media.groups}
        for group, members in grouped.items():
            poses += self._together(labels.get(group), members, boxes.get(group), losses)
        return poses, losses

    def joints(self, label: str) -> Joints:
        """The joints of a class. Without a skeleton in the plan it is whole only when all poses have been read."""
        if known := self._known.get(label):
            return known
        seen = self._seen.get(label, {})
        if seen.keys() <= COCO.places.keys() and (label.casefold() == PERSON or seen.keys() & _BODY):
            return COCO
        return Joints(tuple(sorted(seen.values(), key=_natural)))

    @property
    def seen(self) -> dict[str, dict[str, str]]:
        """The names of the joints of each class, by `joint_key`, as they were first seen."""
        return self._seen

    def learn(self, seen: Mapping[str, Mapping[str, str]]) -> None:
        """Take over what was seen in later records."""
        for label, names in seen.items():
            self._learn(label, names.values())

    def _alone(self, annotation: Annotation, skeleton: Skeleton, losses: list[Loss]) -> list[Pose]:
        place = self._classes.place(annotation)
        if isinstance(place, str):
            losses.append(Loss(annotation, place))
            return []
        label = self._classes.names[place]
        names = skeleton.names or self._names(label, len(skeleton.points))
        joints = dict(zip(map(joint_key, names), skeleton.points, strict=False))
        if len(joints) < len(skeleton.points):
            losses.append(Loss(annotation, "duplicate-keypoint", "two of its points have one name"))
            return []
        if label in self._known and not joints.keys() <= self._known[label].places.keys():
            losses.append(Loss(annotation, "unknown-keypoint", f"not all of its points are in the skeleton of {label}"))
            return []
        if not joints:
            losses.append(Loss(annotation, "too-few-points", "no point"))
            return []
        self._learn(label, names)
        return [Pose(label, place, joints, [annotation])]

    def _names(self, label: str, number: int) -> tuple[str, ...]:
        for joints in (self._known.get(label), COCO):
            if joints is not None and len(joints.names) == number:
                return joints.names
        return tuple(map(str, range(1, number + 1)))

    def _together(
        self, group: str | None, members: list[Annotation], box: Box | None, losses: list[Loss]
    ) -> list[Pose]:
        label = group or self._guess(members)
        place = self._classes.place(Annotation("", "keypoint", label))
        is_known = label is not None and (not group or group in self._known)
        if isinstance(place, str) and (place == DROPPED or not is_known):
            losses += [Loss(each, place, "" if group else "its group has no class") for each in members]
            return []
        at = None if isinstance(place, str) else place
        name = str(label) if at is None else self._classes.names[at]
        pose = Pose(name, at, {}, [], box)
        known = self._known.get(name)
        for each in members:
            assert isinstance(each.geometry, Keypoint)
            if each.label is None:
                losses.append(Loss(each, UNLABELLED, "a keypoint without a name"))
                continue
            key = joint_key(each.label)
            if self._classes.place(each) == DROPPED:
                losses.append(Loss(each, DROPPED))
            elif known is not None and key not in known.places:
                losses.append(Loss(each, "unknown-keypoint", f"{each.label} is not in the skeleton of {name}"))
            elif key in pose.joints:
                losses.append(Loss(each, "duplicate-keypoint", f"{each.label} is twice in one group"))
            else:
                pose.joints[key] = each.geometry
                pose.members.append(each)
        self._learn(name, [str(each.label) for each in pose.members])
        return [pose] if pose.joints else []

    def _guess(self, members: Iterable[Annotation]) -> str | None:
        """The class of a group that doesn't say it, if its joints tell."""
        keys = {joint_key(each.label) for each in members if each.label}
        if not keys:
            return None
        fitting = [label for label, joints in self._known.items() if keys <= joints.places.keys()]
        if fitting:
            return fitting[0]
        return PERSON if keys <= COCO.places.keys() and keys & _BODY else None

    def _learn(self, label: str, names: Iterable[str]) -> None:
        seen = self._seen.setdefault(label, {})
        for name in names:
            seen.setdefault(joint_key(name), name)


def _natural(name: str) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"([0-9]+)", name) if part]
