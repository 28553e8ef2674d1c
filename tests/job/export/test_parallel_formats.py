"""A format written in parts and joined holds the bytes that one writer writes."""

from __future__ import annotations

import itertools
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from annotations import worlds
from formats.export_make import contents, items_of, record
from synapse_skills.annotations.model import Annotation, Group, Keypoint, Media
from synapse_skills.export_plan import ClassesPlan
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Item, Settings
from synapse_skills.formats.classes import Classes
from synapse_skills.formats.parts import PartWriter

SPLITTING = [name for name, form in FORMATS.items() if form.splits]
QUICK = ("coco", "csv", "yolo_pose")
OPTIONS: list[Any] = [
    *(pytest.param(name, {}, marks=() if name in QUICK else pytest.mark.heavy) for name in SPLITTING),
    ("coco", {"shard": 3, "rotated": "envelope"}),
    pytest.param("voc", {"segmentation": "yes"}, marks=pytest.mark.heavy),
]


def world(seed: int, count: int, splits: tuple[str, ...]) -> list[Item]:
    """Pictures with whatever annotations there can be, poses among them."""
    random = Random(seed)
    payloads = [worlds.payload(random) for _ in range(count)]
    for number, payload in enumerate(payloads):
        for kept in payload.get("annotations", {}).values():
            for each in kept:
                if random.random() < 0.3 and isinstance(each.get("classification"), dict):
                    each["classification"][f"extra{number // 9}"] = random.choice(("=1+1", 'a"b', "x\r\ny", 3, None))
    records = [record(payload, number, name=f"p{number}.png") for number, payload in enumerate(payloads, 1)]
    for each in records:
        for number, label in enumerate(random.sample(("dog", None, None, "person"), 2)):
            pose(each.document.media[0], f"g{number}", label, random)
    return items_of(records, splits=splits or ("",))


def pose(media: Media, group: str, label: str | None, random: Random) -> None:
    """Keypoints of one object; of a person without a name the joints tell what it is, each in its own spelling."""
    names = ("tail", "Nose") if label == "dog" else ("left_eye", "leftEye", "LEFT eye", "nose", "right_knee")
    media.groups.append(Group(group, label))
    for name in random.sample(names, 2):
        geometry = Keypoint(5 + 40 * random.random(), 5 + 40 * random.random(), 2)
        media.annotations.append(Annotation(f"{group}-{name}", "keypoint", name, geometry=geometry, group=group))


def write(name: str, folder: Path, settings: Settings, parts: list[list[Item]]) -> Any:
    """Write parts apart, then join them; a single part is written as always."""
    form = FORMATS[name]
    folder.mkdir(parents=True)
    writer = form.write(folder, settings)
    losses = []
    if len(parts) == 1:
        losses = [loss for item in parts[0] for loss in writer.write(item)]
    for number, items in enumerate(parts if len(parts) > 1 else []):
        aside = folder.with_name(f"{folder.name}-{number}")
        aside.mkdir()
        part = cast(PartWriter, form.write(aside, replace(settings, is_part=True, files=folder)))
        losses += [loss for item in items for loss in part.write(item)]
        left = pickle.loads(pickle.dumps(part.leave()))
        for ours, theirs in ((writer.rows, part.rows), (writer.notes, part.notes)):
            for key, count in theirs.items():
                ours[key] = ours.get(key, 0) + count
        cast(PartWriter, writer).take(aside, left)
        shutil.rmtree(aside)
    writer.close()
    return writer.rows, dict(sorted(writer.notes.items())), [(loss.annotation.id, loss.reason) for loss in losses]


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda said: said if isinstance(said, str) else "")
def test_parts_joined_are_what_one_writer_writes(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    for seed, splits in ((1, ()), (2, ("train", "val"))):
        # A painted picture takes as long as a hundred rows.
        is_painted = FORMATS[name].paints or "segmentation" in options
        items = world(seed, 6 if is_painted else 20, splits)
        labels = {each.label for item in items for each in item.media.annotations if each.label}
        # Classes that only keypoints tell come behind the list, in the order in which they were met.
        settings = Settings(
            Classes(ClassesPlan(order=tuple(sorted(labels - {"person", "dog"})))),
            splits,
            options=FORMATS[name].complete(options),
            title="x",
            skeletons={"dog": (("nose", "tail"), ((0, 1),))},
        )
        whole = write(name, tmp_path / f"{seed}-one", settings, [items])
        wanted = contents(tmp_path / f"{seed}-one")
        assert sum(whole[0].values()) > 0 and wanted
        # A record is never cut: all its media are in one part.
        records = [list(group) for _, group in itertools.groupby(items, key=lambda item: item.record.key)]
        for size in (1, 4):
            joined = tmp_path / f"{seed}-{size}"
            parts = [list(itertools.chain(*part)) for part in itertools.batched(records, size)]
            assert write(name, joined, settings, parts) == whole
            assert contents(joined) == wanted
        assert not [
            each.code for each in FORMATS[name].verify(tmp_path / f"{seed}-1").problems if each.severity == "error"
        ]


def test_what_can_not_be_split_is_named() -> None:
    assert set(FORMATS) - set(SPLITTING) == {"class_json", "custom"}
