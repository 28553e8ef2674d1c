"""A format of one's own, end to end: the example that is rendered makes tasks for Label Studio."""

from __future__ import annotations

import json
from typing import Any

from export_fixture import ExportJob, boxes, row
from synapse_skills.export_plan import ClassesPlan, FormatPlan, SplitPlan
from synapse_skills.formats.custom import File
from synapse_skills.job.export.verify import verify_output

CUSTOM = (FormatPlan(name="custom"),)


def shapes() -> dict[str, Any]:
    """One annotation of each kind that the example knows, and one of two that it does not."""
    given = {
        "box": ("bounding_box", {"x": -4, "y": 12, "width": 20, "height": 12}),
        "turned": ("bounding_box", {"x": 16, "y": 12, "width": 32, "height": 24, "rotation": 0.5}),
        "ring": ("polygon", [{"x": 0, "y": 0}, {"x": 64, "y": 0}, {"x": 64, "y": 48}]),
        "point": ("keypoint", {"x": 32, "y": 12}),
        "whole": ("classification", None),
        "line": ("polyline", [{"x": 1, "y": 1}, {"x": 2, "y": 2}]),
        "gone": ("bounding_box", {"x": 90, "y": 90, "width": 5, "height": 5}),
    }
    data = boxes(0)
    data["annotations"]["image_1"] = [
        {"id": name, "tool": tool, "classification": {"class": "car", "colour": "red"}}
        for name, (tool, _) in given.items()
    ]
    data["annotationsData"]["image_1"] = [
        {"id": name, "coordinate": place} for name, (_, place) in given.items() if place is not None
    ]
    return data


def check_label_studio(tasks: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What Label Studio asks of tasks with annotations; the regions by id."""
    regions = {}
    for task in tasks:
        assert isinstance(task["data"]["image"], str)
        for annotation in task["annotations"]:
            for region in annotation["result"]:
                kind, value = region["type"], region["value"]
                assert region["from_name"] and region["to_name"] == "image"
                assert all(isinstance(label, str) for label in value[kind]) and len(value[kind]) == 1
                assert region["id"] not in regions
                regions[region["id"]] = region
                if kind == "choices":
                    continue
                assert (region["original_width"], region["original_height"]) == (64, 48)
                points = value.get("points") or [(value["x"], value["y"])]
                if kind == "rectanglelabels" and not value["rotation"]:
                    points.append((value["x"] + value["width"], value["y"] + value["height"]))
                assert all(-1e-9 <= each <= 100 + 1e-9 for point in points for each in point)
                assert kind != "rectanglelabels" or 0 <= value["rotation"] < 360
    return regions


def test_the_rendered_example_makes_tasks_for_label_studio(export_job: ExportJob) -> None:
    losses = ("custom:not-held", "custom:outside")
    split = SplitPlan(ratios={"train": 0.5, "val": 0.5})
    export_job.plan_with(formats=CUSTOM, losses=losses, split=split)
    export_job.label(row(1, shapes()), *(row(number, boxes(0)) for number in range(2, 8)))
    export_job.run()
    counts = export_job.report()["annotations"]["formats"]["custom"]
    assert counts == {"written": 5, "lost": {"not-held": 1, "outside": 1}}
    tasks = [json.loads((export_job.output / "custom" / f"{part}.json").read_bytes()) for part in ("train", "val")]
    assert sorted(map(len, tasks)) != [0, 7] and sum(map(len, tasks)) == 7
    regions = check_label_studio(tasks[0] + tasks[1])
    assert {name: region["type"] for name, region in regions.items()} == {
        "box": "rectanglelabels",
        "turned": "rectanglelabels",
        "ring": "polygonlabels",
        "point": "keypointlabels",
        "whole": "choices",
    }
    box, turned = regions["box"]["value"], regions["turned"]["value"]
    assert [box[key] for key in ("x", "y", "width", "height", "rotation")] == [0, 25, 25, 25, 0]
    assert box["rectanglelabels"] == ["car"] and regions["box"]["meta"] == {"text": ["colour: red"]}
    # The corner of a box turned by half a radian about its centre (32, 24), worked out by hand.
    assert round(turned["x"] * 0.64, 3) == 23.712 and round(turned["y"] * 0.48, 3) == 5.798
    assert regions["point"]["value"] == {"x": 50, "y": 25, "width": 0.5, "keypointlabels": ["car"]}
    assert regions["ring"]["value"]["points"] == [[0, 0], [100, 0], [100, 100]]
    inspected = verify_output(export_job.output)
    assert inspected.is_fine and inspected.formats["custom"].items == {
        part: len(each) for part, each in zip(("train", "val"), tasks, strict=True)
    }


def test_a_convert_that_raises_is_said_with_its_line_and_the_rest_goes_on(export_job: ExportJob) -> None:
    export_job.plan_with(formats=CUSTOM)
    export_job.label(row(1, boxes(2)), row(2, boxes(1)))

    def convert(record: Any) -> Any:
        if len(record.annotations) == 2:
            return File("never.json", record.meta["patient"])
        return File(f"{record.stem}.json", [each.label for each in record.annotations])

    assert export_job.do(expect=5, convert=convert) is None
    problem = export_job.problem("lost-annotations")
    assert problem["count"] == 2
    assert "custom, convert-failed: " in problem["examples"][0]
    assert "test_custom_export.py, line" in problem["examples"][0] and "KeyError: 'patient'" in problem["examples"][0]
    assert json.loads((export_job.output / "custom" / "picture_0002.json").read_bytes()) == ["car"]
    assert verify_output(export_job.output).is_fine


def test_a_script_without_convert_is_refused_before_anything_is_fetched(export_job: ExportJob) -> None:
    export_job.plan_with(formats=CUSTOM, classes=ClassesPlan(unknown="add"))
    error = export_job.do(expect=2)
    assert error is not None and error.code == "no-convert" and "convert=convert" in error.hint
    assert not export_job.output.exists()
