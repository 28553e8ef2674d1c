"""Whole conversations about pictures, each to the end: planned, exported, and the files read by readers of others.

The user knows what is wanted and a few facts, and answers every question from its own options. What was labelled is in
`export_scenes`; every count and every shape is held against it. `pytest -s` prints the summary at the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from planning.conversation import codes
from planning.export_persona import export_box, to_the_end
from planning.export_readers import coco, colours, in_pixels, names_in, near, of_json, turned, voc, yolo
from planning.export_scenes import AERIAL, DETECT, OUTLINES, ROBOTS, ROOMS, SEGMENTS, STREET, content_of
from planning.export_talk import Exporter
from planning.export_world import HEIGHT, WIDTH, Labelled
from sandbox_fixture import Sandbox

__all__ = ["export_box"]


def stem(each: Labelled) -> str:
    return Path(each.name).stem


def of_tool(each: Labelled, tool: str) -> list[Any]:
    return [shape for shape in each.shapes if shape.tool == tool]


def test_boxes_in_two_parts_with_their_pictures(exporter: Exporter, export_box: Sandbox) -> None:
    """YOLO, 80/20."""
    facts = {"split.ratios": "80/20", "originals": "Yes, all"}
    talk, done = to_the_end(exporter, export_box, {"project": "Detect", "formats": "yolo"}, facts, by="PIL, YAML")
    assert len(talk.rounds) <= 3
    parts, names = yolo(done.of("yolo"))
    assert (set(parts), sorted(names)) == ({"train", "val"}, ["bus", "car"])
    assert not set(parts["train"]) & set(parts["val"]) and parts["val"]
    found = parts["train"] | parts["val"]
    assert set(found) == {stem(each) for each in DETECT}
    for each in DETECT:
        expected = []
        for shape in each.shapes:
            x, y, width, height = shape.corners
            values = ((x + width / 2) / WIDTH, (y + height / 2) / HEIGHT, width / WIDTH, height / HEIGHT)
            expected.append((shape.label, [near(value) for value in values]))
        assert found[stem(each)] == expected
        part = "train" if stem(each) in parts["train"] else "val"
        assert (done.of("yolo") / "images" / part / each.name).read_bytes() == content_of(each)
    assert "export_summary.json" in names_in(done.output / "metadata")
    assert done.written("yolo") == sum(len(each.shapes) for each in DETECT) and not done.lost("yolo")


@pytest.mark.heavy
def test_masks_and_poses_as_coco(exporter: Exporter, export_box: Sandbox) -> None:
    facts = {"split.ratios": "70/20/10", "originals": "Yes, all", "tools": ["Also in other", "What fits"]}
    first = {"project": "Street", "formats": "coco"}
    _, done = to_the_end(exporter, export_box, first, facts, by="pycocotools")
    folder = done.of("coco")
    instances: dict[str, Any] = {}
    people: dict[str, Any] = {}
    for part in ("train", "val", "test"):
        there = coco(folder / "annotations" / f"instances_{part}.json")
        people |= coco(folder / "annotations" / f"person_keypoints_{part}.json")
        assert set(names_in(folder / "images" / part)) == set(there)
        assert not set(there) & set(instances)
        instances |= there
    listed = of_json(folder / "classes.json")
    assert {"car", "road", "sky", "person"} <= {each["name"] for each in listed}
    assert set(instances) == {each.name for each in STREET}
    for each in STREET:
        rows = {row["class"]: row for row in instances[each.name]}
        car, road, sky = (next(s for s in each.shapes if s.label == name) for name in ("car", "road", "sky"))
        assert rows["car"]["bbox"] == [near(value) for value in car.corners]
        assert rows["road"]["segmentation"] == [[near(value) for point in road.points for value in point]]
        assert rows["sky"]["pixels"] == sky.pixels
        (pose,) = people[each.name]
        points = [(*shape.points[0], 2) for shape in of_tool(each, "keypoint")]
        assert pose["num_keypoints"] == 3
        assert [near(value) for point in points for value in point] == pose["keypoints"][:9]
        person = next(s for s in each.shapes if s.label == "person")
        assert pose["bbox"] == [near(value) for value in person.corners]
    assert done.report["annotations"]["read"] == done.written("coco") == 7 * len(STREET)


@pytest.mark.heavy
def test_outlines_with_classes_merged_and_left_out(exporter: Exporter, export_box: Sandbox) -> None:
    first = {
        "project": "Outlines",
        "formats": "yolo_seg",
        "classes.map": {"van": "car"},
        "classes.drop": ["ignore"],
    }
    _, done = to_the_end(exporter, export_box, first, by="YAML, text")
    parts, names = yolo(done.of("yolo_seg"))
    assert names == ["car", "tree"] and set(parts) == {"train"}
    for each in OUTLINES:
        rows = parts["train"][stem(each)]
        kept = [shape for shape in each.shapes if shape.label != "ignore"]
        assert [row[0] for row in rows] == ["car" if shape.label == "van" else shape.label for shape in kept]
        for (_, values), shape in zip(rows, kept, strict=True):
            assert in_pixels(values) == [(near(x), near(y)) for x, y in shape.points]
    ignored = sum(shape.label == "ignore" for each in OUTLINES for shape in each.shapes)
    assert done.lost("yolo_seg") == {"dropped": ignored}


@pytest.mark.heavy
def test_boxes_that_stand_askew(exporter: Exporter, export_box: Sandbox) -> None:
    import supervision

    facts = {"originals": "Yes, all"}
    _, done = to_the_end(exporter, export_box, {"project": "Aerial", "formats": "yolo_obb"}, facts, by="supervision")
    folder = done.of("yolo_obb")
    dataset = supervision.DetectionDataset.from_yolo(
        images_directory_path=str(folder / "images" / "train"),
        annotations_directory_path=str(folder / "labels" / "train"),
        data_yaml_path=str(folder / "data.yaml"),
        is_obb=True,
    )
    found = {Path(path).name: detections for path, _, detections in dataset}
    assert set(found) == {each.name for each in AERIAL}
    for each in AERIAL:
        detections = found[each.name]
        assert [dataset.classes[number] for number in detections.class_id] == [shape.label for shape in each.shapes]
        for corners, shape in zip(detections.data["xyxyxyxy"], each.shapes, strict=True):
            # supervision may hold whole pixels; the text below holds the shares.
            assert sorted(map(tuple, corners.tolist())) == [pytest.approx(point, abs=1.01) for point in turned(shape)]
    parts, _ = yolo(folder)
    for each in AERIAL:
        for (_, values), shape in zip(parts["train"][stem(each)], each.shapes, strict=True):
            assert sorted(in_pixels(values)) == [(near(x), near(y)) for x, y in turned(shape)]


@pytest.mark.heavy
def test_poses_of_another_skeleton(exporter: Exporter, export_box: Sandbox) -> None:
    _, done = to_the_end(exporter, export_box, {"project": "Robots", "formats": "yolo_pose"}, by="YAML, text")
    import yaml

    about = yaml.safe_load((done.of("yolo_pose") / "data.yaml").read_text())
    assert about["kpt_shape"] == [3, 3]
    parts, names = yolo(done.of("yolo_pose"))
    joints = sorted(("head", "hand", "foot"))
    person = names.index("person")
    assert about.get("kpt_names", {person: joints})[person] == joints
    for each in ROBOTS:
        ((label, values),) = parts["train"][stem(each)]
        x, y, width, height = of_tool(each, "bounding_box")[0].corners
        assert label == "person"
        assert [a * b for a, b in zip(values[:4], (WIDTH, HEIGHT) * 2, strict=True)] == [
            near(x + width / 2), near(y + height / 2), near(width), near(height)
        ]  # fmt: skip
        there = {shape.label: shape.points[0] for shape in of_tool(each, "keypoint")}
        for name, at in zip(joints, (4, 7, 10), strict=True):
            across, down, seen = values[at : at + 3]
            expected = (*there[name], 2) if name in there else (0, 0, 0)
            assert (across * WIDTH, down * HEIGHT, seen) == tuple(map(near, expected))


@pytest.mark.heavy
def test_pascal_voc_with_pixels(exporter: Exporter, export_box: Sandbox) -> None:
    first = {"project": "Rooms", "formats": "voc", "formats.voc.segmentation": "yes"}
    facts = {"originals": "Yes, all"}
    talk, done = to_the_end(exporter, export_box, first, facts, by="xml.etree, PIL")
    assert "tools" not in talk.asked, "who says segmentation=yes has said what becomes of polygons"
    folder = done.of("voc")
    assert (folder / "ImageSets" / "Main" / "trainval.txt").read_text().split() == sorted(map(stem, ROOMS))
    for each in ROOMS:
        name, objects = voc(folder / "Annotations" / f"{stem(each)}.xml")
        assert name == each.name and (folder / "JPEGImages" / name).read_bytes() == content_of(each)
        x, y, width, height = of_tool(each, "bounding_box")[0].corners
        first_pixel, last = (int(x) + 1, int(y) + 1), (-int(-(x + width) // 1), -int(-(y + height) // 1))
        assert ("chair", [*first_pixel, *last]) in objects
        floor = {y * WIDTH + x for y in range(30, 47) for x in range(40)}
        for kind in ("SegmentationClass", "SegmentationObject"):
            assert list(colours(folder / kind / f"{stem(each)}.png").values()) == [floor]


@pytest.mark.heavy
def test_mask_pictures_and_panoptic_at_once(exporter: Exporter, export_box: Sandbox) -> None:
    first = {"project": "Segments", "formats": ["masks", "panoptic"]}
    _, done = to_the_end(exporter, export_box, first, by="PIL, json")
    ids = {each["name"]: each["id"] for each in of_json(done.of("masks") / "classes.json")}
    document = of_json(done.of("panoptic") / "annotations" / "panoptic.json")
    categories = {each["id"]: each["name"] for each in document["categories"]}
    by_file = {each["file_name"]: each["segments_info"] for each in document["annotations"]}
    for each in SEGMENTS:
        road = {y * WIDTH + x for y in range(30, 40) for x in range(60)}
        sky = set().union(*(shape.pixels for shape in of_tool(each, "segmentation")))
        assert colours(done.of("masks") / "masks" / f"{stem(each)}.png") == {ids["sky"]: sky, ids["road"]: road}
        segments = colours(done.of("panoptic") / "annotations" / "panoptic" / f"{stem(each)}.png")
        told = {segment["id"]: segment for segment in by_file[f"{stem(each)}.png"]}
        found = [(categories[told[r + 256 * g + 65536 * b]["category_id"]], at) for (r, g, b), at in segments.items()]
        expected = [("road", road), *(("sky", shape.pixels) for shape in of_tool(each, "segmentation"))]
        assert sorted(found, key=str) == sorted(expected, key=str)
        assert {segment["area"] for segment in told.values()} == {len(at) for _, at in expected}


@pytest.mark.heavy
def test_several_formats_and_everything_else_as_it_comes(exporter: Exporter, export_box: Sandbox) -> None:
    """Who takes what stands first is never left with less than was said."""
    first = {"project": "Street", "formats": ["coco", "yolo", "synapse_json"]}
    talk, done = to_the_end(exporter, export_box, first, {"originals": "Yes, all"}, by="json")
    standard = {"annotations/street_0.json", "images/street_0.png"}
    assert standard <= set(names_in(done.of("synapse_json")))
    assert {"classes.json", "annotations/instances.json", "images/street_0.png"} <= set(names_in(done.of("coco")))
    assert {"data.yaml", "classes.txt", "labels/train/street_0.txt"} <= set(names_in(done.of("yolo")))
    assert codes(talk.rounds[-1]).count("would-be-lost") == 0
    for form, counts in done.report["annotations"]["formats"].items():
        assert done.report["annotations"]["read"] == counts["written"] + sum(counts["lost"].values()), form
    assert done.written("synapse_json") == 7 * len(STREET)
