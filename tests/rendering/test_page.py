"""The page about an upload: true to what happened, whole without a network, and safe whatever the names are."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import HOSTILE, Looked, check_harmless, plain
from PIL import Image
from plans import plan

from job_fixture import PNG, Job
from synapse_skills.errors import FindingError, OutOfReach, UsageError
from synapse_skills.plan import MetadataRule
from synapse_skills.rendering import gallery as gallery_module
from synapse_skills.rendering.page import upload_page
from synapse_skills.rendering.result import ShownUnit, UploadResult, read_result
from synapse_skills.report import FileCounts, Problem, UploadReport
from synapse_skills.sources import File

PREVIEW = Path(__file__).resolve().parents[2] / "scripts" / "preview.py"


def picture(width: int = 40, height: int = 30, kind: str = "JPEG") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), (200, 80, 40)).save(written, kind)
    return written.getvalue()


def put(root: Path, path: str, content: bytes) -> File:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return File(0, path, len(content), target.stat().st_mtime_ns)


def report(**changes: Any) -> UploadReport:
    fields: dict[str, Any] = {"name": "scans", "started": "2026-01-02T03:04:05+00:00", "seconds": 1.5, "exit_code": 0}
    return UploadReport(**fields | {"planned": 1, "created": 1} | changes)


def unit(key: str = "patient", files: list[tuple[str, File]] | None = None, **changes: Any) -> ShownUnit:
    fields: dict[str, Any] = {"trouble": "", "reason": "", "server_id": 7, "task_id": None, "meta": {"name": key}}
    return ShownUnit(key=key, files=files or [], **fields | changes)


def result(*units: ShownUnit, root: Path | None = None, **changes: Any) -> UploadResult:
    fields: dict[str, Any] = {
        "plan": plan(), "report": report(), "host": "https://api.example", "arrived": len(units), "edited": False,
    }  # fmt: skip
    return UploadResult(**fields | changes, roots=[root] if root else [], shown=list(units))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_text(text, tmp_path):
    name = text.replace("/", "∕").replace("\n", "")
    files = [("image_1", put(tmp_path, f"u/{name}.jpg", picture()))]
    problem = Problem(code=text, examples=[text], fix=text)
    shown = result(
        unit(text, files, meta={text: text, "list": [text, 1, None]}),
        unit(text, trouble="refused", reason=text),
        root=tmp_path,
        plan=plan(name=text, groups=(text,), project=3),
        report=report(problems=[problem], files=FileCounts(planned=1, by_spec={text: 1})),
        host=text,
    )
    html = upload_page(shown).html
    looked = Looked(html)
    check_harmless(looked)
    assert len(looked.all("img")) == 1
    assert "\u2028" not in html.decode()
    assert "\u202e" not in html.decode()
    assert plain(text) in looked.text


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_text_at_all(text, meta):
    looked = Looked(upload_page(result(unit(text, meta=meta))).html)
    check_harmless(looked)


def test_no_signed_link_and_no_token_gets_in():
    meta = {"link": "https://bucket.example/a.png?X-Amz-Signature=0123", "auth": "Token abcdef123456"}
    html = upload_page(result(unit(meta=meta))).html.decode()
    assert "0123" not in html
    assert "abcdef123456" not in html
    assert "https://bucket.example/a.png?***" in html


def test_boxes_are_drawn_where_the_label_is_of_this_picture(tmp_path):
    image = put(tmp_path, "u/a.jpg", picture(40, 30))
    good = {"image": {"width": 40, "height": 30}, "objects": [{"class": "cup", "box": [1, 2, 10, 12.5]}] * 2}
    other = {**good, "image": {"width": 41, "height": 30}}
    for document, boxes in ((good, 2), (other, 0), ({"objects": 1}, 0), ([], 0)):
        label = put(tmp_path, "u/a.json", json.dumps(document).encode())
        looked = Looked(upload_page(result(unit(files=[("image_1", image), ("label_1", label)]), root=tmp_path)).html)
        assert len(looked.all("rect")) == boxes
        assert ("cup × 2" in looked.text) == bool(boxes)
    assert Looked(upload_page(result(root=tmp_path)).html).all("rect") == []


def test_boxes_of_odd_numbers_are_none(tmp_path):
    image = put(tmp_path, "u/a.jpg", picture(40, 30))
    for box in ([1, 2, 3], [1, 2, float("nan"), 4], [1, 2, -3, 4], ["1); evil", 2, 3, 4], [1, 2, 1e999, 4], "abcd"):
        document = {"image": {"width": 40, "height": 30}, "objects": [{"class": "cup", "box": box}]}
        label = put(tmp_path, "u/a.json", json.dumps(document).encode())
        page = upload_page(result(unit(files=[("image_1", image), ("label_1", label)]), root=tmp_path))
        assert (page.pictures, Looked(page.html).all("rect")) == (1, [])


def test_pictures_elsewhere_are_not_said_to_be_gone():
    page = upload_page(result(unit("a", [("image_1", File(0, "a.jpg", 5, 0))]), root=Path("s3://bucket/scans")))
    assert "a.jpg lies elsewhere, not here" in Looked(page.html).text


def test_what_can_not_be_shown_is_said(tmp_path):
    gone = File(0, "gone.jpg", 5, 0)
    broken = put(tmp_path, "broken.png", b"\x89PNG\r\n\x1a\n and then nothing")
    (tmp_path / "out.jpg").symlink_to(__file__)
    outside = File(0, "out.jpg", 5, 0)
    page = upload_page(
        result(
            unit("a", [("image_1", gone)]),
            unit("b", [("image_1", broken)]),
            unit("c", [("label_1", put(tmp_path, "c.json", b"{}"))]),
            unit("d", [("image_1", outside)]),
            root=tmp_path,
        )
    )
    text = Looked(page.html).text
    assert page.pictures == 0
    assert text.count("is no longer where it was") == 2
    assert "broken.png can't be shown" in text
    assert "no picture" in text


def test_a_page_stays_small(tmp_path, monkeypatch):
    noise = io.BytesIO()
    Image.effect_noise((480, 480), 90).save(noise, "PNG")
    image = put(tmp_path, "noise.png", noise.getvalue())
    one = len(upload_page(result(unit("1", [("image_1", image)]), root=tmp_path)).html)
    monkeypatch.setattr(gallery_module, "MAX_PICTURE_BYTES", 3 * one)
    units = [unit(str(number), [("image_1", image)]) for number in range(30)]
    page = upload_page(result(*units, root=tmp_path))
    assert page.units == 30
    assert 3 <= page.pictures <= 5
    assert len(page.html) < 6 * one
    assert Looked(page.html).text.count("not shown: the page is full") == 30 - page.pictures


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Everything that was planned has arrived, exactly once."),
        ({"planned": 3, "created": 1, "failed": 1, "pending": 1, "exit_code": 5}, "1 of 3 planned data units"),
        ({"mode": "dry-run", "created": 0, "pending": 1}, "The last run was a dry run"),
    ],
)
def test_the_verdict_is_the_reports(changes, said):
    assert said in Looked(upload_page(result(report=report(**changes))).html).text


def test_what_a_limit_has_left_is_not_called_bad():
    limited = {"planned": 3, "created": 1, "pending": 2}
    for exit_code, colour in ((0, "fair"), (3, "bad")):
        looked = Looked(upload_page(result(report=report(**limited, exit_code=exit_code))).html)
        assert f"verdict {colour}" in [attrs.get("class") for attrs in looked.all("p")]


def test_a_run_without_a_report_is_not_called_fine():
    text = Looked(upload_page(result(unit(), report=None)).html).text
    assert "cut off before it could write its report" in text
    assert "Everything" not in text


# -- read back from a job that really ran ------------------------------------------------------------------------------


def mark_as_rendered(job: Job) -> None:
    script = hashlib.sha256((job.job / "upload.py").read_bytes()).hexdigest()
    (job.job / ".synapse-job").write_text(json.dumps({"kind": "upload", "name": "ct-scans", "script": [script]}))


def test_a_finished_upload_needs_no_backend(job: Job) -> None:
    job.plan_with(metadata=(MetadataRule(values={"site": "서울"}),))
    mark_as_rendered(job)
    for number in range(5):
        job.unit(f"환자 {number}", {"사진.jpg": picture(60 + number), "label.json": b"{}"})
    job.run()
    job.box.kill()
    before = {path.name: path.read_bytes() for path in job.state.iterdir() if path.is_file()}
    found = read_result(job.home)
    assert found == read_result(job.job)
    assert found.arrived == 5
    assert [each.key for each in found.shown] == [f"환자 {number}" for number in range(5)]
    assert sorted(each.server_id or 0 for each in found.shown) == [1, 2, 3, 4, 5]
    assert [(spec, file.name) for spec, file in found.shown[0].files] == [
        ("image_1", "사진.jpg"),
        ("label_1", "label.json"),
    ]
    assert found.shown[0].meta == {"name": "환자 0", "dataset_key": "환자 0", "site": "서울"}
    page = upload_page(found)
    assert page.pictures == 5
    assert "All 5 that have arrived." in Looked(page.html).text
    assert upload_page(read_result(job.home)).html == page.html
    assert {path.name: path.read_bytes() for path in job.state.iterdir() if path.is_file()} == before


def test_a_sample_is_even_and_said(job: Job) -> None:
    job.units(23)
    job.run()
    for most in (1, 2, 7, 22, 23, 50):
        found = read_result(job.home, most=most)
        keys = [each.key for each in found.shown]
        assert len(keys) == len(set(keys)) == min(most, 23)
        assert keys[0] == "patient_000"
        steps = [int(b[-3:]) - int(a[-3:]) for a, b in itertools.pairwise(keys)]
        assert not steps or max(steps) - min(steps) <= 1
    text = Looked(upload_page(read_result(job.home, most=7)).html).text
    assert "A sample, evenly spread: 7 of the 23 that have arrived." in text


def test_units_in_trouble_come_first_with_the_reason(job: Job) -> None:
    job.units(4)
    job.unit("bad", {"image.png": b""})
    job.box.set_faults({"kind": "poison", "route": "units.create", "contains": "patient_002"})
    job.run(expect=5)
    found = read_result(job.home)
    assert [(each.key, each.trouble) for each in found.shown[:2]] == [("patient_002", "refused"), ("bad", "not sent")]
    assert "can't be created" in found.shown[0].reason
    assert found.arrived == len(found.shown) - 2 == 3
    text = Looked(upload_page(found).html).text
    assert "3 of 5 planned data units have arrived." in text
    assert "First 2 of those that have not." in text
    assert "What to do:" in text


def test_the_metadata_of_an_edited_script_is_not_made_up(job: Job) -> None:
    job.script(describe="lambda unit: {'site': 'edited'}")
    job.units(1)
    job.run()
    found = read_result(job.home)
    assert found.edited
    assert found.shown[0].meta is None
    assert "The script was edited" in Looked(upload_page(found).html).text


def test_another_state_folder(job: Job, tmp_path: Path) -> None:
    job.units(2)
    job.run("--state", str(tmp_path / "elsewhere"))
    with pytest.raises(FindingError, match="nothing has been run there yet"):
        read_result(job.home)
    assert read_result(job.home, state=tmp_path / "elsewhere").arrived == 2


def test_a_dry_run_is_no_upload(job: Job) -> None:
    job.units(2)
    job.run("--dry-run")
    with pytest.raises(FindingError, match="Nothing has been uploaded"):
        read_result(job.home)


def test_a_report_or_a_ledger_that_is_none(job: Job) -> None:
    job.units(1)
    job.run()
    (job.state / "last_upload.json").write_text("{}")
    with pytest.raises(FindingError, match="not a report"):
        read_result(job.home)
    (job.state / "ledger.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(OutOfReach, match="can't be read"):
        read_result(job.home)


def test_no_job(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no upload"):
        read_result(tmp_path)


# -- the script --------------------------------------------------------------------------------------------------------


def preview(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PREVIEW), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_preview_says_what_it_made(job: Job, tmp_path: Path) -> None:
    job.unit("one", {"a.jpg": picture(), "a.json": b"{}"})
    job.run()
    out = tmp_path / "deep" / "page.html"
    done = preview(job.home, "--out", out, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "page": str(out), "bytes": out.stat().st_size, "units": 1, "pictures": 1, "shows": "upload", "arrived": 1,
    }  # fmt: skip
    assert "1 data unit with 1 picture; 1 have arrived in all." in preview(job.home, "--out", out).stdout


def test_preview_exit_codes(job: Job, tmp_path: Path) -> None:
    job.units(1)
    state = ["--state", tmp_path / "never"]
    assert preview(job.home, "--out", tmp_path / "page.html", *state).returncode == 1
    for wrong in ([tmp_path, "--out", tmp_path / "x"], [job.home], [job.home, "--out", "x", "--most", "0"]):
        done = preview(*wrong)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    job.run()
    done = preview(job.home, "--out", "/proc/page.html")
    assert done.returncode == 3
    assert "error:" in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_data_units_that_stayed_at_home_are_named_with_why(job: Job) -> None:
    job.units(1)
    job.unit("no_label", {"image.png": PNG})
    why = '"codes": ["missing-required-spec"], "why": "no_label: no label_1"'
    (job.job / "left_out.jsonl").write_text(f'{{"unit": "no_label", {why}}}\n')
    job.run()
    assert "no_label: no label_1" in Looked(upload_page(read_result(job.home)).html).text
