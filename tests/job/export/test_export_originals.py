"""Originals: fetched once, checked, placed; and the sizes of pictures that nobody told."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from export_fixture import ExportJob, boxes, row
from job_fixture import killing
from synapse_skills.export_plan import FormatPlan
from synapse_skills.job.export import signature, sizes
from synapse_skills.job.export.verify import verify_output

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

YOLO = (FormatPlan(name="yolo"),)


def picture(width: int, height: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((width, height), 90).save(stream, kind)
    return stream.getvalue()


def with_file(number: int, content: bytes | None, data: Any = None, name: str = "", **entry: Any) -> dict[str, Any]:
    """A record whose original has these bytes; None for a link to nothing."""
    given = {"missing": True} if content is None else {"content_base64": base64.b64encode(content).decode()}
    name = name or f"p{number}.png"
    file = {"file_name_original": name, "is_primary": True} | given | entry
    return row(number, data or boxes(1), data_unit={"files": {"image_1": file}, "meta": {"n": number}})


def images(job: ExportJob) -> list[str]:
    return sorted(path.name for path in (job.output / "yolo" / "images").rglob("*") if path.is_file())


def test_a_label_is_never_written_without_its_required_original(export_job: ExportJob) -> None:
    export_job.plan_with(formats=YOLO, originals="required")
    export_job.label(with_file(0, picture(64, 48)), with_file(1, None), with_file(2, b"<!doctype html><p>Sorry"))
    export_job.do(expect=5)
    report = export_job.report()
    assert report["records"] == {"read": 3, "exported": 1, "quarantined": 2, "left_out": 0}
    assert report["annotations"]["formats"]["yolo"]["lost"] == {"record-quarantined": 2}
    assert images(export_job) == ["p0.png"]
    assert len(list((export_job.output / "yolo" / "labels").rglob("*.txt"))) == 1
    reasons = (export_job.state / "quarantine.jsonl").read_text()
    assert "404" in reasons and "a page of text" in reasons


def test_coco_is_whole_without_an_optional_original(export_job: ExportJob) -> None:
    export_job.plan_with(formats=(FormatPlan(name="coco"),), originals="optional")
    export_job.label(with_file(0, picture(64, 48)), with_file(1, None))
    export_job.do()
    assert [path.name for path in (export_job.output / "coco" / "images").iterdir()] == ["p0.png"]
    inspected = verify_output(export_job.output)
    assert inspected.is_fine and [each.code for each in inspected.problems] == ["missing-picture"]


@pytest.mark.heavy
def test_an_optional_original_may_be_missing(export_job: ExportJob) -> None:
    export_job.plan_with(formats=YOLO, originals="optional")
    export_job.label(with_file(0, picture(64, 48)), with_file(1, None))
    export_job.do()
    assert export_job.report()["files"] == {"written": 7, "originals": 1, "missing": 1}
    assert export_job.problem("originals-missing")["severity"] == "warning"
    assert images(export_job) == ["p0.png"]


def test_links_are_issued_again_when_they_expire(export_job: ExportJob) -> None:
    export_job.plan_with(formats=YOLO, originals="required")
    export_job.label(*(with_file(number, picture(20, 10 + number)) for number in range(4)))
    export_job.box.set_faults({"kind": "status", "status": 403, "route": "files.media", "on": [1, 3]})
    export_job.do()
    assert len(images(export_job)) == 4


@pytest.mark.heavy
def test_what_was_cut_off_goes_on_where_it_stopped(export_job: ExportJob) -> None:
    export_job.plan_with(formats=YOLO, originals="required")
    export_job.label(with_file(0, picture(1200, 900)))
    export_job.box.set_faults({"kind": "cut-off", "route": "files.media", "on": [1]})
    export_job.do()
    assert images(export_job) == ["p0.png"]


@pytest.mark.heavy
def test_originals_are_fetched_once(export_job: ExportJob) -> None:
    export_job.plan_with(formats=(FormatPlan(name="coco"), FormatPlan(name="yolo")), originals="required")
    export_job.label(*(with_file(number, picture(20, 10)) for number in range(3)))
    killed = killing("synapse_skills.job.export.writing:Writing.into", 1, when="before")
    export_job.run(before=killed, expect=-9)
    export_job.box.reset_stats()
    export_job.do()
    assert export_job.box.requests("files.media") == 0
    assert export_job.report()["files"]["originals"] == 3


@pytest.mark.parametrize("kind", ["JPEG", pytest.param("PNG", marks=pytest.mark.heavy)])
def test_sizes_that_nobody_told_are_read_from_the_picture(export_job: ExportJob, kind: str) -> None:
    export_job.plan_with(formats=YOLO)
    name = f"big.{kind.lower()}"
    export_job.label(with_file(0, picture(640, 320, kind), boxes(1, size=None), name), row(1, boxes(1)))
    export_job.do()
    labels = (export_job.output / "yolo" / "labels" / "train" / "big.txt").read_text()
    assert float(labels.split()[3]) == pytest.approx(10 / 640)
    assert not images(export_job)


@pytest.mark.heavy
def test_without_any_size_the_annotations_are_lost_not_guessed(export_job: ExportJob) -> None:
    export_job.plan_with(formats=YOLO)
    export_job.label(with_file(0, b"no picture", boxes(2, size=None)))
    export_job.do(expect=5)
    assert sum(export_job.report()["annotations"]["formats"]["yolo"]["lost"].values()) == 2


def test_names_from_outside_stay_inside(export_job: ExportJob) -> None:
    export_job.plan_with(formats=YOLO, originals="required")
    names = ["../../../escape.png", "/etc/passwd.png", "same.png", "SAME.png", "a" * 300 + ".png", "C:\\x\\y.png"]
    export_job.label(*(with_file(number, picture(8, 8), name=name) for number, name in enumerate(names)))
    export_job.do()
    assert len(images(export_job)) == len(names)
    assert not list(export_job.folder.rglob("escape.png")) or "escape.png" in images(export_job)
    assert {path.name for path in export_job.folder.iterdir()} == {"home", "output", "user"}


@pytest.mark.parametrize(
    ("name", "head", "why"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n", ""),
        ("a.jpg", b"\x89PNG\r\n\x1a\n", ""),
        ("a.png", b"%!PS", "does not begin"),
        ("a.bin", b"\0" * 40, "zeros"),
        ("a.mp4", b"  <!DOCTYPE html>", "page of text"),
        ("a.html", b"<!DOCTYPE html>", ""),
        ("a.png", b"", "empty"),
        ("noname", b"anything", ""),
    ],
)
def test_signatures(name: str, head: bytes, why: str) -> None:
    found = signature.objection(name, head, len(head))
    assert (why in found) if why else not found


def test_a_size_needs_no_more_than_the_beginning() -> None:
    assert sizes.size_in(picture(800, 600, "JPEG")[:2000]) == (800, 600)
    assert sizes.size_in(picture(800, 600)[:200]) == (800, 600)
    assert sizes.size_in(b"\x89PNG\r\n\x1a\n") is None
    assert sizes.size_in(b"") is None
    assert json.dumps(sizes.size_in(b"<html>")) == "null"
