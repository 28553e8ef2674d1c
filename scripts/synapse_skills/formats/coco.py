"""COCO: instances and person keypoints, as pycocotools reads them.

    annotations/instances.json            or instances_<split>.json for each part
    annotations/person_keypoints.json     likewise, if there is a pose anywhere in the export
    annotations/instances-00000-of-00012.json     with `shard=N`: at most N pictures a file, and what lies on them
    images/[<split>/]<file_name>          originals, if they were asked for
    classes.json                          the categories once more, by themselves

Ids count from 1 over the whole export, and the categories are the same in every part. A picture without annotations is
a picture. Beside COCO's own keys a picture has `record_id`, `data_unit_id` and `media`, and an annotation `attributes`:
readers skip what they don't know. A box and a polygon of one object are two annotations, as they were labelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from synapse_skills.annotations.model import Annotation, Box, Keypoint, Mask, Polygon, Skeleton
from synapse_skills.formats.base import LEAVE, Format, Item, Loss, Option, Settings
from synapse_skills.formats.classes import DROPPED
from synapse_skills.formats.coco_files import PICTURE, ROW, Numbers, Part, numbered, paths_of, strip_numbers
from synapse_skills.formats.coco_rows import Joint, Row, Shapes, attributes_of, fill_keypoints, text_of
from synapse_skills.formats.coco_verify import verify
from synapse_skills.formats.geometry import NOISE
from synapse_skills.formats.poses import Joints, Pose, Poses

_encode_lines = msgspec.json.Encoder().encode_lines

NOT_HELD, NO_GEOMETRY, NO_SIZE = "not-held", "no-geometry", "no-size"


_Pose = tuple[str, dict[str, list[float]], Row]
"""A pose that waits until all joints are known: its class, its joints, its row."""


@dataclass(frozen=True)
class _Left:
    """What a part tells: the numbers of its rows by split, how many, its posed classes, and the joints it saw."""

    numbers: dict[str, Numbers]
    images: int
    annotations: int
    posed: list[str]
    seen: dict[str, dict[str, str]]


class Coco:
    """See the module; the protocol is `base.Writer`."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        options = settings.options
        self.notes: dict[str, int] = {}
        self._folder = folder
        self._settings = settings
        self._shapes = Shapes(
            settings.geometry, options.get("rotated", "lose"), options.get("rle", "compressed"), self.notes
        )
        self._write_as: dict[type, Callable[[Annotation, Any, int, int], Row | Loss]] = {
            Box: self._shapes.box,
            Polygon: self._shapes.polygon,
            Mask: self._shapes.mask,
        }
        self._poses = Poses(settings.classes, settings.skeletons)
        self._categories: dict[str, int] = {name: n for n, name in enumerate(settings.classes.names, start=1)}
        self._posed: dict[str, None] = {}
        self._places: dict[str | None, int | str] = {}
        self._image = self._annotation = 0
        (folder / "annotations").mkdir(exist_ok=True)
        # Whoever joins the parts counts the pictures of a file.
        self._shard = 0 if settings.is_part else int(options.get("shard", 0))
        self._parts = {name: Part(folder, name, self._shard) for name in settings.splits or ("",)}
        self.rows = dict.fromkeys(self._parts, 0)

    def write(self, item: Item) -> Sequence[Loss]:
        """Write a picture and what lies on it."""
        annotations, width, height = item.media.annotations, item.width, item.height
        if item.media.kind != "image":
            return [Loss(each, NOT_HELD, f"COCO holds pictures, not {item.media.kind}") for each in annotations]
        if not width or not height:
            self.notes[NO_SIZE] = self.notes.get(NO_SIZE, 0) + 1
            return [Loss(each, NO_SIZE) for each in annotations]
        part = self._part(item.split)
        self._image += 1
        part.begin_picture()
        part.put("images", part.images, self._image_row(item))
        losses: list[Loss] = []
        rows: list[Row] = []
        number, image, places, write_as = self._annotation, self._image, self._places, self._write_as
        has_points = False
        for each in annotations:
            geometry = each.geometry
            write = write_as.get(type(geometry))
            if write is None:
                if isinstance(geometry, Keypoint | Skeleton):
                    has_points = True
                else:
                    losses.append(self._not_held(each))
                continue
            label = each.label
            place = places.get(label)
            if place is None:
                place = places[label] = self._settings.classes.place(each)
            if isinstance(place, str):
                losses.append(Loss(each, place))
                continue
            if type(geometry) is Box and not geometry.rotation and not each.attributes:
                # Nearly all boxes: they lie in their picture, and there is nothing more to be said of them.
                x, y, w, h = geometry.x, geometry.y, geometry.width, geometry.height
                if x >= 0 and y >= 0 and w >= NOISE and h >= NOISE and x + w <= width and y + h <= height:
                    number += 1
                    rows.append(Row(number, image, place + 1, (x, y, w, h), w * h, (), 0))
                    continue
            row = write(each, geometry, width, height)
            if isinstance(row, Loss):
                losses.append(row)
                continue
            number += 1
            row.id, row.image_id, row.category_id = number, image, place + 1
            if each.attributes:
                row.attributes = attributes_of(each.attributes)
            rows.append(row)
        self._annotation = number
        if rows:
            part.put("instances", part.instances, _encode_lines(rows))
            self.rows[item.split] += len(rows)
        if has_points:
            losses += self._write_poses(item, part, width, height)
        return losses

    def place(self, item: Item) -> str | None:
        """In `images`, below the part."""
        if item.media.kind != "image":
            return None
        return f"images/{item.split}/{item.name}" if item.split else f"images/{item.name}"

    def close(self) -> None:
        """Put the files together; poses get their keypoints now that all joints are known."""
        joints = {label: self._poses.joints(label) for label in sorted(self._posed)}
        for label in joints:
            self._categories.setdefault(label, len(self._categories) + 1)
        instances = [self._category(name, n) for n, name in enumerate(self._settings.classes.names, start=1)]
        posed = [self._category(name, self._categories[name], joints[name]) for name in joints]
        posed.sort(key=lambda category: category["id"])
        for part in self._parts.values():
            part.close()
            self._assemble(part, "instances", instances)
            if joints:
                self._finish_poses(part, joints)
                self._assemble(part, "person_keypoints", posed)
            part.remove()
        listed = [{"id": each["id"], "name": each["name"]} for each in instances]
        (self._folder / "classes.json").write_text(f"{_rows(listed)}\n", encoding="utf-8")

    def leave(self) -> _Left:
        """End a part: its rows stay in their files, numbered from 1."""
        for part in self._parts.values():
            part.close()
        numbers = {name: strip_numbers(self._folder, name) for name in self._parts}
        return _Left(numbers, self._image, self._annotation, list(self._posed), self._poses.seen)

    def take(self, folder: Path, left: _Left) -> None:
        """Add the rows of a part: pictures and annotations are numbered on."""
        for split, numbers in left.numbers.items():
            paths = paths_of(folder, split)
            own, images = ([n + self._annotation for n in numbers.rows], [n + self._image for n in numbers.images])
            rows = numbered(paths["instances"], ROW, own, images)
            pictures = numbered(paths["images"], PICTURE, [n + self._image for n in numbers.pictures])
            poses, posed = self._numbered_on(paths["poses"])
            counts, posed_counts = Counter(numbers.images), Counter(posed)
            of = ((counts[number], posed_counts[number]) for number in numbers.pictures)
            self._part(split).put_all(pictures, rows, poses, of)
        self._image += left.images
        self._annotation += left.annotations
        self._posed |= dict.fromkeys(left.posed)
        self._poses.learn(left.seen)

    def _numbered_on(self, path: Path) -> tuple[list[bytes], list[int]]:
        """The poses of a part, numbered on, and the pictures that they are of by their old numbers."""
        decoder = msgspec.json.Decoder(_Pose)
        lines, images = [], []
        for line in path.read_bytes().splitlines():
            label, joints, row = decoder.decode(line)
            images.append(row.image_id)
            row.id, row.image_id = row.id + self._annotation, row.image_id + self._image
            lines.append(_encode_lines([(label, joints, row)]))
        path.unlink()
        return lines, images

    def _part(self, split: str) -> Part:
        part = self._parts.get(split)
        if part is None:
            part = self._parts[split] = Part(self._folder, split, self._shard)
            self.rows[split] = 0
        return part

    def _image_row(self, item: Item) -> bytes:
        record = item.record
        image = {"id": self._image, "file_name": item.name, "width": item.width, "height": item.height}
        return _encode_lines(
            [image | {"record_id": record.id, "data_unit_id": record.data_unit, "media": item.media.key}]
        )

    def _not_held(self, annotation: Annotation) -> Loss:
        if self._settings.classes.place(annotation) == DROPPED:
            return Loss(annotation, DROPPED)
        if annotation.geometry is None:
            return Loss(annotation, NO_GEOMETRY)
        return Loss(annotation, NOT_HELD, f"COCO has no {annotation.tool}")

    def _write_poses(self, item: Item, part: Part, width: int, height: int) -> list[Loss]:
        poses, losses = self._poses.of(item.media)
        for pose in poses:
            joints, row, lost = self._shapes.pose(pose, width, height)
            losses += lost
            if joints:
                self._put_pose(pose, joints, row, part)
            elif not lost:  # one annotation, none of its points in the picture
                losses.append(Loss(pose.members[0], "outside"))
        return losses

    def _put_pose(self, pose: Pose, joints: dict[str, Joint], row: Row, part: Part) -> None:
        self._annotation += 1
        self._posed[pose.label] = None
        row.id, row.image_id = self._annotation, self._image
        # Of one annotation its attributes; of a group nothing: they are said of joints, which have no row.
        if isinstance(pose.members[0].geometry, Skeleton) and pose.members[0].attributes:
            row.attributes = attributes_of(pose.members[0].attributes)
        part.poses.write(_encode_lines([(pose.label, joints, row)]))
        self.rows[part.name] += 1

    def _finish_poses(self, part: Part, joints: dict[str, Joints]) -> None:
        """Rewrite the poses of a part as rows."""
        decoder = msgspec.json.Decoder(_Pose)
        for line in part.waiting_poses():
            label, found, row = decoder.decode(line)
            row.category_id = self._categories[label]
            fill_keypoints(row, found, joints[label])
            part.put("poses", part.poses, _encode_lines([row]))

    def _category(self, name: str, number: int, joints: Joints | None = None) -> dict[str, Any]:
        category: dict[str, Any] = {"id": number, "name": name, "supercategory": ""}
        if joints is not None:
            category["keypoints"] = list(joints.names)
            category["skeleton"] = [[start + 1, end + 1] for start, end in joints.edges]
        return category

    def _assemble(self, part: Part, kind: str, categories: list[dict[str, Any]]) -> None:
        rows = "poses" if kind == "person_keypoints" else kind
        info = {"description": self._settings.title, "version": "1.0"}
        head = f'{{\n"info": {text_of(info)},\n"licenses": [],\n"categories": {_rows(categories)},\n"images": [\n'
        for name, number in part.files(kind):
            with (self._folder / "annotations" / name).open("wb") as stream:
                stream.write(head.encode())
                part.copy("images", number, stream)
                stream.write(b'\n],\n"annotations": [\n')
                part.copy(rows, number, stream)
                stream.write(b"\n]\n}\n")


def _rows(rows: Sequence[Any]) -> str:
    """A JSON list, one row a line."""
    return "[\n" + ",\n".join(map(text_of, rows)) + "\n]"


FORMAT = Format(
    name="coco",
    title="COCO (boxes, polygons, masks, poses)",
    media=("image",),
    holds={
        "bounding_box": "exact",
        "polygon": "exact",
        "segmentation": "exact",
        "keypoint": "poses of groups",
    },
    needs_size=True,
    options=(
        Option(
            "rotated",
            ("lose", "envelope"),
            "Boxes that stand askew: lost, or a polygon with the box around it.",
            labels=(LEAVE, "As polygons with boxes"),
        ),
        Option("rle", ("compressed", "list"), "Masks as COCO's string, or as a list of counts, which is longer."),
        Option("shard", (0,), "At most so many pictures a file; 0 puts a part into one.", is_count=True),
    ),
    write=Coco,
    verify=verify,
    splits=True,
)
