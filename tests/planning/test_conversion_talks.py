"""Files that no spec takes and that can become what one takes: asked about once for each extension, never silent."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from planning.conversation import PNG, SCANS, VIDEOS, User, asked, codes
from synapse_skills.plan import Conversion, SpecPlan
from synapse_skills.planning.conversions import conversions_of, with_converted

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

VOC = b"""<annotation><filename>a.png</filename><size><width>8</width><height>6</height><depth>3</depth></size>
<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>5</ymax></bndbox></object></annotation>
"""


def tiff(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), (number, 0, 0)).save(out, "TIFF")
    return out.getvalue()


def data(user: User, files: dict[str, bytes]) -> Path:
    folder = user.folder / "scans"
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def tiffs(user: User, count: int = 4) -> Path:
    files = {f"p{n}/image.tiff": tiff(n) for n in range(count)}
    return data(user, files | {f"p{n}/label.json": json.dumps({"n": n}).encode() for n in range(count)})


def test_an_extension_that_nothing_takes_is_asked_about_with_counts(user: User) -> None:
    tiffs(user)
    question = asked(user.say(path="scans", collection=SCANS), "conversions.tiff")
    assert question["question"].startswith("4 .tiff files: image_1 takes .png and .jpg. Convert them?")
    assert "no data unit has its required image_1" in question["question"]
    assert [option["value"] for option in question["options"]] == [".png", ".jpg", "none"]
    assert question["options"][0]["label"] == "Convert to .png (recommended)"
    assert question["header"] == "TIFF files" and not question["multiSelect"]


@pytest.mark.parametrize("answer", [".png", "png", "Convert to .png (recommended)", "Convert to .png"])
def test_what_is_converted_counts_for_the_layout_and_goes_into_plan_and_script(user: User, answer: str) -> None:
    tiffs(user)
    document = user.say(f"conversions.tiff={answer}", path="scans", collection=SCANS)
    assert (document.status, codes(document)) == ("ready", [])
    plan = user.plan()
    assert plan["conversions"] == [{"spec": "image_1", "source": ".tiff", "target": ".png"}]
    assert plan["expected"]["units"] == 4 and plan["expected"]["files_by_spec"]["image_1"] == 4
    assert ".tiff" in plan["specs"][0]["takes"] and plan["specs"][0]["extensions"] == [".png", ".jpg"]
    assert "'.tiff': 'image_1'" in (user.home() / "job/upload.py").read_text()
    assert "converted   4 .tiff → .png (image_1)" in document.summary and "MB in all" in document.summary
    assert document.dry_run is not None and document.dry_run["pending"] == 4
    again = user.say(path="scans")
    assert (again.status, again.hash) == ("ready", document.hash)


def test_left_at_home_the_collection_does_not_fit(user: User) -> None:
    tiffs(user)
    document = user.say("conversions.tiff=none", path="scans", collection=SCANS)
    assert (document.status, codes(document)) == ("blocked", ["collection-does-not-fit"])
    assert user.say("conversions.tiff=.jpg", path="scans").status == "ready"
    assert user.plan()["conversions"][0]["target"] == ".jpg"


def test_left_at_home_beside_what_is_taken_they_are_named(user: User) -> None:
    tiffs(user, 3)
    data(user, {f"p{n}/image.png": PNG for n in range(3)})
    question = asked(user.say(path="scans", collection=SCANS), "conversions.tiff")
    assert "Otherwise" not in question["question"]
    document = user.say("conversions.tiff=Leave them at home", path="scans")
    assert document.status == "ready" and codes(document) == ["no-spec"] and user.plan()["conversions"] == []
    assert "conversions.*" in document.problems[0]["fix"]


def test_a_picture_that_is_there_in_both_forms_is_named(user: User) -> None:
    tiffs(user, 3)
    data(user, {"p0/image.png": PNG})
    document = user.say("conversions.tiff=.png", path="scans", collection=SCANS)
    assert document.status == "ready" and document.problems[0]["examples"] == ["p0/image.png"]
    assert user.plan()["expected"]["files_by_spec"] == {"image_1": 3, "label_1": 3}


@pytest.mark.parametrize("answer", [".mp4", "7", "yes please"])
def test_another_target_is_asked_again(user: User, answer: str) -> None:
    tiffs(user)
    document = user.say(f"conversions.tiff={answer}", path="scans", collection=SCANS)
    assert ".png or .jpg" in str(asked(document, "conversions.tiff")["error"])


def test_what_nothing_can_convert_is_not_asked_about(user: User) -> None:
    data(user, {f"p{n}/{name}": content for n in range(3) for name, content in {"a.png": PNG, "a.json": b"{}"}.items()})
    data(user, {"p0/drawing.psd": b"8BPS", "p0/notes.xml": b"<notes/>"})
    document = user.say(path="scans", collection=SCANS)
    assert document.status == "ready" and codes(document) == ["no-spec"]


def test_voc_labels_are_offered_as_json(user: User) -> None:
    data(user, {f"p{n}/a.png": PNG for n in range(3)} | {f"p{n}/a.xml": VOC for n in range(3)})
    question = asked(user.say(path="scans", collection=SCANS), "conversions.xml")
    assert [option["value"] for option in question["options"]] == [".json", "none"]
    assert "content guard refuses XML" in question["question"]
    document = user.say("conversions.xml=.json", path="scans")
    assert (document.status, codes(document)) == ("ready", [])
    assert user.plan()["expected"]["files_by_spec"] == {"image_1": 3, "label_1": 3}


def test_a_film_without_ffmpeg_is_planned_and_says_so(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_SKILLS_FFMPEG", "/nowhere/ffmpeg")
    data(user, {f"p{n}/film.mov": b"moov" for n in range(2)})
    question = asked(user.say(path="scans", collection=VIDEOS), "conversions.mov")
    assert "not on this machine" in question["options"][0]["description"]
    document = user.say("conversions.mov=.mp4", path="scans")
    assert document.status == "ready" and "NOT on this machine" in document.summary
    assert [problem["severity"] for problem in document.problems if problem["code"] == "no-ffmpeg"] == ["warning"]


def test_what_a_spec_takes_by_itself_stays_with_it() -> None:
    specs = (
        SpecPlan(name="image_1", extensions=(".png",)),
        SpecPlan(name="scan_1", extensions=(".tiff",)),
        SpecPlan(name="mask_1", extensions=(".png",)),
    )
    assert with_converted(specs, {"conversions.tiff": ".png"}) == specs
    taken = with_converted(specs[::2], {"conversions.tiff": ".png"})
    assert [spec.takes for spec in taken] == [(".png", ".tiff"), (".png", ".tiff")]
    assert conversions_of(specs[:1], {"conversions.tiff": "Leave them at home", "conversions.bmp": ".png"}) == (
        Conversion(spec="image_1", source=".bmp", target=".png"),
    )
