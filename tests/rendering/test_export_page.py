"""The page about an export: true to what was written, whole without a network, and safe whatever the names are."""

from __future__ import annotations

import io
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from export_pages import HandMade, box, export_plan, line, payload, picture
from pages import HOSTILE, Looked, check_harmless, plain
from PIL import Image

from synapse_skills.errors import FindingError, UsageError
from synapse_skills.export_plan import ClassesPlan
from synapse_skills.media import NoPicture
from synapse_skills.media.frame import frame_of
from synapse_skills.plan import plan_bytes
from synapse_skills.rendering import export_cards
from synapse_skills.rendering.preview import preview
from synapse_skills.report import Problem

CAR = ("bounding_box", "car", box())
ROAD = ("polygon", "사람", line((0, 0), (40, 0), (40, 30)))


@pytest.fixture
def made(tmp_path: Path) -> HandMade:
    made = HandMade(tmp_path)
    made.record(7, payload(CAR, ROAD))
    made.record(8, payload(CAR), split="val")
    made.record(9, None)
    made.original("coco/images/train/사진 7.jpg")
    return made


def look(made: HandMade, **options: Any) -> Looked:
    looked = Looked(preview(made.home, **options).page.html)
    check_harmless(looked)
    return looked


def test_the_page_says_what_was_written_and_what_was_not(made: HandMade) -> None:
    made.finish()
    looked = look(made)
    for said in (
        "All records are in it. 2 annotations are lost, as the plan allows.", "records read 3", "annotations 5",
        "2 lost : a shape, or a kind of medium, that the format does not have (not-held, the plan allows it)",
        "record 7, a1", "all 5", "3 of 5", "gone not in the list", "64 × 48", "Nobody knows the size of 1.",
        "Kept together by record; the same seed (0) gives the same parts.", "사진 7.jpg", "assignment 8, val",
        "it holds no annotations at all", "All 3, those with the most different tools first.",
    ):  # fmt: skip
        assert said.replace(" : ", ": ") in looked.words.replace(" : ", ": "), said
    bars = [attrs["style"] for attrs in looked.all("span") if attrs.get("style") and "part" in attrs.get("class", "")]
    assert bars == ["flex: 2 0 0", "flex: 1 0 0", "flex: 1 0 0", "flex: 1 0 0", "flex: 3 0 0"]


def test_shapes_lie_on_the_picture_or_on_a_mat_of_its_shape(made: HandMade) -> None:
    made.finish()
    looked = look(made)
    assert len(looked.all("img")) == 1
    assert [attrs["viewbox"] for attrs in looked.all("svg")] == ["0 0 64 48", "0 0 64 48"]
    rects = [(attrs["class"], attrs["x"], attrs["width"]) for attrs in looked.all("rect")]
    assert rects == [("box c0", "4", "20"), ("mat", "0.0", "64.0"), ("box c0", "4", "20")]
    assert [attrs["d"] for attrs in looked.all("path")] == ["M0 0 40 0 40 30z"]


def test_those_with_most_tools_come_first_and_no_tool_is_missed(tmp_path: Path) -> None:
    made = HandMade(tmp_path)
    for key in range(1, 59):
        made.record(key, payload(*[CAR] * (key % 3)))
    made.record(59, payload(ROAD, CAR))
    made.record(60, payload(("polyline", "car", line((0, 0), (1, 1)))))
    made.finish(records={"read": 60, "exported": 60})
    looked = look(made, most=20)
    keys = [int(key) for key in re.findall(r"assignment (\d+)", looked.words)]
    assert keys[0] == 59
    assert 60 in keys
    assert len(keys) == 20
    assert "A sample, evenly spread: 20 of 60" in looked.words
    assert min(keys) < 10
    assert max(b - a for a, b in itertools.pairwise(sorted(keys))) <= 10


def test_what_was_set_aside_is_named(made: HandMade) -> None:
    lines = [{"record": 5, "reason": "unreadable-record", "detail": "The payload is a list <b>.", "annotations": 2}]
    (made.state / "quarantine.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines) + "no json\n")
    counts = {"read": 5, "exported": 3, "quarantined": 2, "quarantined_because": {"unreadable-record": 2}}
    made.finish(records=counts, report={"exit_code": 5})
    words = look(made).words
    assert "2 of 5 records are set aside: see below." in words
    assert "unreadable-record × 2" in words
    assert "assignment 5, 2 annotations: The payload is a list <b>." in words
    assert "and more: quarantine.jsonl" in words


def test_no_loss_and_a_loss_without_consent_differ(made: HandMade) -> None:
    formats = {"coco": {"written": 4, "lost": {"rotated": 1}}}
    made.finish(annotations={"read": 5, "formats": formats}, report={"exit_code": 5})
    assert "1 annotation is lost without consent: see below." in look(made).words
    made.finish(annotations={"read": 5, "formats": {"coco": {"written": 5}}})
    assert "Every annotation that was read is in every format." in look(made).words


@pytest.mark.parametrize("name", HOSTILE)
def test_names_can_do_nothing(tmp_path: Path, name: str) -> None:
    made = HandMade(tmp_path, name=name, classes=ClassesPlan(order=(name,)))
    made.record(7, payload(("bounding_box", name, box()), ("classification", name, {})), name=name, split=name)
    formats = {name: {"written": 0, "lost": {name: 1}, "changed": {name: 1}}}
    contents = {"by_class": {name: {name: 1}}, "by_tool": {name: 1}, "by_size": {name: 1, "9x9": 1}}
    made.finish(
        classes=[name], annotations={"read": 1, "formats": formats}, contents=contents, items={name: 1},
        records={"read": 2, "exported": 1, "quarantined": 1, "quarantined_because": {name: 1}},
        report={"problems": [Problem(code=name, examples=[name], fix=name)]},
    )  # fmt: skip
    (made.state / "quarantine.jsonl").write_text(json.dumps({"record": 1, "reason": name, "detail": name}))
    looked = look(made)
    assert plain(name) in looked.text
    assert len(looked.all("img")) == 0


def test_no_link_and_no_secret_comes_into_the_page(made: HandMade) -> None:
    made.record(11, payload(("bounding_box", "https://x.example/a?X-Amz-Signature=5ec2e7", box())))
    made.finish()
    html = preview(made.home).page.html
    assert b"5ec2e7" not in html
    assert b"files.example" not in html


def test_pictures_come_from_the_export_and_nowhere_else(made: HandMade, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(picture())
    (made.output / "coco/images/train/사진 8.jpg").symlink_to(secret)
    made.files += ["coco/images/train/사진 8.jpg", "../secret.jpg"]
    made.record(10, payload(CAR), name="secret.jpg")
    made.finish()
    assert len(look(made).all("img")) == 1
    assert preview(made.home).page.pictures == 3  # a picture and two mats


def test_a_video_shows_its_frame(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 5, (64, 48))
    for shade in (0, 250):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    for number, dark in ((0, True), (1, False)):
        small = frame_of(path, number)
        assert (small.width, small.height) == (64, 48)
        assert (Image.open(io.BytesIO(small.jpeg)).convert("L").getpixel((9, 9)) < 128) == dark
    with pytest.raises(NoPicture, match="no frame 2"):
        frame_of(path, 2)
    made = HandMade(tmp_path / "job")
    data = payload(("bounding_box", "car", {"coordinates": {"1": box()["coordinate"]}}), media="video_1")
    made.record(7, data, name="clip.mp4", media="video_1")
    made.original("originals/train/clip.mp4", path.read_bytes())
    made.finish()
    looked = look(made)
    assert len(looked.all("img")) == 1
    assert "frame 1" in looked.words


@pytest.mark.parametrize("content", [b"", b"#EXTM3U\n#EXTINF:1,\nother.ts\n", b"\0\0\0\x18ftypmp42" + b"\0" * 64])
def test_what_is_no_video_is_not_opened_as_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(NoPicture):
        frame_of(path)
    with pytest.raises(NoPicture, match="too far on"):
        path.write_bytes(b"\0\0\0\x18ftypmp42")
        frame_of(path, 10**9)


def test_a_page_has_an_end(made: HandMade, monkeypatch: pytest.MonkeyPatch) -> None:
    made.finish()
    monkeypatch.setattr(export_cards, "MAX_SHAPE_BYTES", 200)
    monkeypatch.setattr(export_cards, "MAX_PICTURE_BYTES", 0)
    looked = look(made)
    assert looked.all("img") == []
    assert "사진 7.jpg not shown: the page is full" in looked.words


def test_without_the_state_everything_but_the_records_is_told(made: HandMade, tmp_path: Path) -> None:
    made.finish()
    (made.state / "spool/000001.pages").unlink()
    (made.state / "spool").rmdir()
    words = look(made).words
    assert "None are shown: the state that holds what was fetched is not here." in words
    assert "2 annotations are lost" in words


def test_damaged_lines_cost_only_themselves(made: HandMade) -> None:
    made.finish()
    path = made.output / "metadata/records.jsonl"
    path.write_bytes(b'{"record": "x"}\n\xff\xfe\n' + path.read_bytes())
    assert "사진 7.jpg" in look(made).words


def test_an_output_that_is_gone_is_told_from_the_report(made: HandMade) -> None:
    made.report(records={"read": 3, "exported": 3}, annotations={"read": 2, "formats": {"coco": {"written": 2}}})
    looked = look(made)
    assert "its output is not at" in looked.words
    assert "all 2" in looked.words
    made.report(exit_code=3)
    assert "The last run did not end well (exit 3)" in look(made).words


def test_a_home_shows_its_plan_until_it_has_run(made: HandMade) -> None:
    (made.home / "plan.json").write_bytes(plan_bytes(made.plan))
    before = preview(made.home)
    assert before.about["shows"] == "plan"
    made.report(mode="dry-run")
    assert preview(made.home).about["shows"] == "plan"
    with pytest.raises(FindingError, match="Nothing has been exported"):
        preview(made.home, state=made.state)
    made.finish()
    for path in (made.home, made.job):
        about = preview(path).about
        assert about == {"shows": "export", "exported": 3, "quarantined": 0, "complete": True}
    assert preview(made.job / "plan.json").about["shows"] == "plan"
    with pytest.raises(UsageError, match="--output goes with a job"):
        preview(made.job / "plan.json", output=made.output)


@pytest.mark.parametrize("content", ["", "[]", '{"records": 5}', '{"items": {"train": "x"}}'])
def test_a_summary_that_is_none_is_said(made: HandMade, content: str) -> None:
    made.finish()
    (made.output / "metadata/export_summary.json").write_text(content)
    with pytest.raises(FindingError, match="is not what an export writes"):
        preview(made.home)
    (made.state / "last_export.json").write_text("{}")
    with pytest.raises(FindingError, match="is not a report"):
        preview(made.home)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_plan_says_every_decision(tmp_path: Path, name: str) -> None:
    plan = export_plan(
        name=name, filter={"status": [name]}, output=f"/{name}", losses=(f"{name}:{name}",),
        classes=ClassesPlan(order=(name,), map={"b": name}, drop=("d",)),
    )  # fmt: skip
    (tmp_path / "plan.json").write_bytes(plan_bytes(plan))
    page = preview(tmp_path / "plan.json")
    looked = Looked(page.page.html)
    check_harmless(looked)
    assert page.about["planned"] == 3
    for said in (
        plain(name), "also b", "Dropped: d", "train 50%, val 50%, kept together by record, seed 0",
        "cut at the edge of its picture", "exported where they are there", "lost; polygon=box would hold it",
        "without a dry run",
    ):  # fmt: skip
        assert said in looked.text or said in looked.words, said
