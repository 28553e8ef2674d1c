"""Tools and classes that a plan leaves out, a ground truth's own parts, and formats that are not removed in silence."""

from __future__ import annotations

import pytest

from export_fixture import ExportJob, boxes, row
from synapse_skills.annotations.model import Annotation, Box, Document, Keypoint, Media, Record
from synapse_skills.export_plan import ClassesPlan, ExportPlan, FormatPlan, SplitPlan
from synapse_skills.formats.classes import Classes
from synapse_skills.formats.reasons import in_words, not_held
from synapse_skills.job.export.decide import own_part
from synapse_skills.job.export.reporting import consents
from synapse_skills.job.export.wanted import Wanted

CAR = ClassesPlan(order=("car",), map={"van": "car"}, keep=("car",))


def plan(**changes: object) -> ExportPlan:
    return ExportPlan(
        **{"name": "x", "target": "task", "project": 1, "formats": [{"name": "yolo"}], "output": "/out", **changes}
    )


def boxed(label: str | None, tool: str = "bounding_box") -> Annotation:
    shape = Box(1, 1, 5, 5) if tool == "bounding_box" else Keypoint(1, 2, 1)
    return Annotation(id="a", tool=tool, label=label, geometry=shape)


def test_only_kept_classes_have_a_place() -> None:
    places = Classes(ClassesPlan(order=("car", "bus"), map={"van": "car"}, keep=("car",), unknown="add"), ["tram"])
    assert places.names == ("car", "bus")
    assert [places.place(boxed(name)) for name in ("car", "van", "bus", "tram")] == [0, 0, "dropped", "dropped"]


@pytest.mark.parametrize(
    ("changes", "is_empty"),
    [
        ({}, [False, True, False]),
        ({"tools": ["keypoint"]}, [True, True, True]),
        ({"classes": CAR}, [False, True, True]),
        ({"classes": ClassesPlan(drop=("tram",))}, [False, True, True]),
        ({"classes": ClassesPlan(order=("van",), unknown="drop")}, [False, True, True]),
        ({"classes": ClassesPlan(order=("van",), unknown="fail")}, [False, True, False]),
        ({"formats": [{"name": "yolo"}, {"name": "synapse_json"}]}, [False, False, False]),
    ],
)
def test_a_record_is_empty_if_nothing_of_it_is_wanted(changes: dict[str, object], is_empty: list[bool]) -> None:
    made = plan(**changes)
    wanted = Wanted(made.tools, made.classes, made.formats)
    shapes = [boxed("van"), boxed("van", "keypoint"), boxed("tram")]
    assert [wanted.is_empty(Document(media=[Media("image_1", "image", [each])])) for each in shapes] == is_empty


def test_consent_is_to_a_tool() -> None:
    one, every = plan(losses=("yolo:polygon-not-held",)), plan(losses=("yolo:not-held",))
    assert (not_held("3d_bounding_box"), not_held("")) == ("3d-bounding-box-not-held", "not-held")
    assert consents(one, "yolo", "polygon-not-held") and not consents(one, "yolo", "keypoint-not-held")
    assert consents(every, "yolo", "keypoint-not-held") and not consents(every, "coco", "keypoint-not-held")
    assert in_words("keypoint-not-held") == "keypoint-not-held: keypoint has no place in this format"


@pytest.mark.parametrize(
    ("category", "part"), [("Train", "train"), ("validation", "val"), (" test ", "test"), ("night", ""), (None, "")]
)
def test_a_category_names_its_part(category: str | None, part: str) -> None:
    assert own_part(Record(key=1, id=1, target="ground_truth", document=Document(), category=category)) == part


def test_a_finished_format_is_removed_only_by_a_word_in_the_plan(export_job: ExportJob) -> None:
    export_job.label(row(1, boxes(1)))
    export_job.do()
    before = sorted(path.name for path in export_job.output.iterdir())
    export_job.plan_with(formats=(FormatPlan(name="csv"),))
    export_job.do(expect=1)
    assert [each["code"] for each in export_job.report()["problems"]] == ["would-remove"]
    assert sorted(path.name for path in export_job.output.iterdir()) == before
    gone = tuple(name for name in before if name in ("coco", "yolo", "synapse_json", "class_json"))
    assert gone
    export_job.plan_with(formats=(FormatPlan(name="csv"),), replaces=gone)
    export_job.do()
    assert (export_job.output / "csv").is_dir() and not (export_job.output / gone[0]).exists()


def test_other_tools_are_left_out_of_formats_and_stay_in_the_payload(export_job: ExportJob) -> None:
    export_job.plan_with(tools=("polygon",), formats=(FormatPlan(name="coco"), FormatPlan(name="synapse_json")))
    export_job.label(row(1, boxes(2)))
    export_job.do()
    counts = export_job.report()["annotations"]["formats"]
    assert counts["coco"] == {"written": 0, "lost": {"tool-left-out": 2}}
    assert counts["synapse_json"] == {"written": 2, "lost": {}}


def test_a_record_without_a_part_of_its_own_is_set_aside(export_job: ExportJob) -> None:
    export_job.plan_with(split=SplitPlan(ratios={"train": 1.0}, by="category", own=True))
    export_job.label(row(1, boxes(1)))
    export_job.do(expect=5)
    assert export_job.report()["records"]["quarantined"] == 1
    assert "own categories" in str(export_job.report()["problems"])
