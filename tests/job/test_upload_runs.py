"""An upload on a good day, and everything that can be wrong before and after."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import Any

import pytest

from job_fixture import PNG, Job
from sandbox_fixture import PROJECT, SandboxFactory, seed_with
from synapse_skills.plan import Expected, Limits, SourcePlan


def test_every_unit_arrives_once(job: Job) -> None:
    job.units(12)
    job.run()
    report = job.report()
    assert job.there() == job.wanted()
    assert (report["planned"], report["created"], report["exit_code"]) == (12, 12, 0)
    assert report["files"]["planned"] == report["files"]["sent"] == 24
    assert report["files"]["by_spec"] == {"image_1": 12, "label_1": 12, "scan_1": 0}


def test_running_again_creates_nothing(job: Job) -> None:
    job.units(7)
    job.run()
    job.run()
    report = job.report()
    assert job.there() == job.wanted()
    assert (report["created"], report["already"]) == (0, 7)
    assert report["files"]["sent"] == 0
    assert report["files"]["reused"] == 14


def test_running_again_says_nothing_on_stderr(job: Job) -> None:
    job.units(2)
    job.run("--json")
    assert job.run("--json").stderr == ""


def test_units_deleted_on_the_backend_are_noticed_and_made_again(job: Job) -> None:
    job.units(6)
    job.run()
    job.box.stop()
    # Closed before the sandbox starts again as a child of this process: SQLite refuses what a parent holds open.
    with contextlib.closing(sqlite3.connect(job.box.state / "sandbox.sqlite")) as database, database:
        database.execute("DELETE FROM data_unit WHERE id IN (SELECT id FROM data_unit ORDER BY id LIMIT 2)")
    job.box.restart()
    job.run()
    assert job.problem("fewer-on-backend")["count"] == 2
    job.run("--fresh")
    assert job.there() == job.wanted()


def test_the_last_upload_stays_readable_after_a_dry_run(job: Job) -> None:
    job.units(2)
    job.run()
    job.run("--dry-run")
    assert json.loads((job.state / "last_upload.json").read_text())["created"] == 2


def test_new_folder_is_added_to_what_is_there(job: Job) -> None:
    job.units(3)
    job.run()
    job.unit("patient_900")
    job.run()
    assert job.there() == job.wanted()
    assert (job.report()["created"], job.report()["already"]) == (1, 3)


def test_dry_run_sends_nothing(job: Job) -> None:
    job.units(4)
    job.run("--dry-run")
    report = job.report()
    assert job.box.units() == []
    assert all(route.startswith("_sandbox") for route in job.box.stats()["requests"])
    assert (report["mode"], report["planned"], report["pending"], report["exit_code"]) == ("dry-run", 4, 4, 0)


def test_dry_run_after_an_upload_counts_what_is_there_as_already(job: Job) -> None:
    job.units(4)
    job.run()
    job.run("--dry-run")
    assert (job.report()["created"], job.report()["already"], job.report()["pending"]) == (0, 4, 0)


def test_dry_run_by_environment(job: Job) -> None:
    job.units(1)
    job.run(SYNAPSE_SKILLS_DRY_RUN="1")
    assert job.report()["mode"] == "dry-run"
    assert job.box.units() == []


def test_limit_leaves_the_rest_pending(job: Job) -> None:
    job.units(9)
    job.run("--limit", "4")
    assert (job.report()["created"], job.report()["pending"]) == (4, 5)
    job.run("--limit", "4")
    assert (job.report()["created"], job.report()["already"], job.report()["pending"]) == (4, 4, 1)
    job.run()
    assert job.there() == job.wanted()


def test_json_is_one_document(job: Job) -> None:
    job.units(2)
    done = job.run("--json")
    assert json.loads(done.stdout)["created"] == 2
    assert done.stderr == ""


def test_report_goes_where_it_is_told(job: Job) -> None:
    job.units(1)
    job.run("--report", str(job.folder / "else" / "r.json"))
    assert json.loads((job.folder / "else" / "r.json").read_text())["created"] == 1


def test_metadata_and_groups_arrive(job: Job) -> None:
    job.units(2)
    job.plan_with(groups=("hospital", "ward"))
    job.script(describe='Constants({"site": "서울", "age": 40})')
    job.run()
    for unit in job.box.units():
        key = unit["meta"]["name"]
        assert unit["meta"] == {"name": key, "dataset_key": key, "site": "서울", "age": 40}
        assert unit["groups"] == ["hospital", "ward"]
    assert job.report()["metadata_sources"] == ["constants"]


def test_handwritten_place_and_describe(job: Job) -> None:
    job.unit("a", {"x.png": PNG, "x.json": b"{}", "y.png": PNG + b"y", "y.json": b"[]"})
    job.script(
        describe="describe",
        more="def place(file):\n    return (file.stem, 'image_1' if file.suffix == '.png' else 'label_1')\n"
        "def describe(unit):\n    return {'stem': unit.key}\n",
    )
    job.run()
    assert sorted(unit["meta"]["stem"] for unit in job.box.units()) == ["x", "y"]


def test_describe_that_fails_quarantines_the_unit(job: Job) -> None:
    job.units(2)
    job.script(
        describe="describe", more="def describe(unit):\n    return {'n': 1 / (0 if unit.key.endswith('0') else 1)}\n"
    )
    job.run(expect=5)
    assert (job.report()["created"], job.report()["quarantined"]) == (1, 1)
    assert "ZeroDivisionError" in job.problem("meta-invalid")["examples"][0]


def test_unfit_unit_is_quarantined_and_the_others_go(job: Job) -> None:
    job.units(3)
    job.unit("no_label", {"image.png": PNG})
    job.unit("empty", {"image.png": PNG, "label.json": b""})
    job.unit("script", {"image.png": PNG, "label.json": b'{"x": "<script>alert(1)</script>"}'})
    job.unit("two", {"a.png": PNG, "b.png": PNG, "label.json": b"{}"})
    job.run(expect=5)
    report = job.report()
    assert (report["created"], report["quarantined"]) == (3, 4)
    codes = {problem["code"] for problem in report["problems"]}
    assert {"missing-required-spec", "empty-file", "refused-by-guard", "several-candidates"} <= codes
    assert len(job.box.units()) == 3


def test_left_out_by_name_is_not_planned(job: Job) -> None:
    job.units(2)
    job.unit("no_label", {"image.png": PNG})
    (job.job / "left_out.jsonl").write_text('{"unit": "no_label", "codes": ["missing-required-spec"]}\n')
    job.run()
    report = job.report()
    assert (report["planned"], report["created"], report["left_out"], report["quarantined"]) == (2, 2, 1, 0)


def test_damaged_left_out_is_named(job: Job) -> None:
    job.units(1)
    (job.job / "left_out.jsonl").write_text('{"unit": "a"}\nnonsense\n')
    done = job.run(expect=1)
    assert "line 2" in done.stderr


def test_other_counts_than_planned_are_refused(job: Job) -> None:
    job.units(3)
    job.plan_with(expected=Expected(units=2, files=4, bytes=10))
    job.run(expect=1)
    assert "2 planned, 3 found" in " ".join(job.problem("differs-from-plan")["examples"])
    assert job.box.units() == []


def test_other_collection_than_planned_is_refused(job: Job) -> None:
    job.units(1)
    job.script(collection=58)
    done = job.run(expect=1)
    assert "58" in done.stderr
    assert job.box.units() == []


def test_collection_that_changed_is_refused(job: Job) -> None:
    job.units(1)
    plan = job.plan_with()
    job.plan_with(specs=plan.specs[:2])
    done = job.run(expect=1)
    assert "scan_1" in done.stderr


def test_every_unit_gets_one_task(job: Job) -> None:
    job.units(8)
    job.plan_with(project=PROJECT)
    job.run()
    assert job.report()["tasks"] == {"planned": 8, "created": 8}
    job.run()
    units = sorted(unit["id"] for unit in job.box.units())
    assert sorted(task["data_unit"] for task in job.box.tasks()) == units


def test_files_with_the_same_name_in_one_unit_keep_two_paths(job: Job) -> None:
    folder = job.source / "p1"
    for kind, content in (("img", PNG), ("scan", b"DICM")):
        (folder / kind).mkdir(parents=True)
        (folder / kind / f"a.{'png' if kind == 'img' else 'dcm'}").write_bytes(content)
    (folder / "label.json").write_bytes(b"{}")
    job.script(
        more="place = Place(by_folder(1), by_extension({'.png': 'image_1', '.dcm': 'scan_1', '.json': 'label_1'}))"
    )
    job.run()
    paths = [row["path"] for row in job.box.units()[0]["files"].values()]
    assert len(set(paths)) == len(paths) == 3


def test_korean_and_odd_names_arrive_composed(job: Job) -> None:
    job.unit("환자 01 (최종) #1 100% & 'a'", {"사진.png": PNG, "label 📷.json": b"{}"})
    job.run()
    files = job.box.units()[0]["files"]
    assert files["image_1"]["path"] == "환자 01 (최종) #1 100% & 'a'/사진.png"
    assert files["label_1"]["path"].endswith("label 📷.json")


def test_multipart_upload(job: Job) -> None:
    job.box.set(multipart_threshold=1000, part_size=400)
    job.unit("big", {"image.png": PNG + b"x" * 1500, "label.json": b"{}"})
    job.run()
    assert job.there() == job.wanted()


def test_storage_that_cannot_presign(job: Job, sandbox_factory: SandboxFactory) -> None:
    seed = seed_with()
    seed["storages"][0]["provider"] = "file_system"
    job.box = sandbox_factory("filesystem", seed=seed)
    job.units(3)
    job.run()
    assert job.there() == job.wanted()
    assert job.box.requests("files.create") == 6


def test_changed_source_after_upload_is_said(job: Job) -> None:
    job.units(2)
    job.run()
    (job.source / "patient_000" / "label.json").write_text('{"other": "content", "longer": true}')
    job.run()
    assert job.problem("changed-since-upload")["examples"] == ["patient_000"]
    assert len(job.box.units()) == 2


def test_source_of_another_kind(job: Job) -> None:
    job.plan_with(sources=(SourcePlan(path=str(job.source)),), limits=Limits(batch_size=1000))
    done = job.run(expect=1)
    assert job.problem("no-units")["fix"]
    assert "no-units" in done.stdout


def test_large_file_through_a_backend_that_cannot_presign(job: Job, sandbox_factory: SandboxFactory) -> None:
    seed = seed_with()
    seed["storages"][0]["provider"] = "file_system"
    job.box = sandbox_factory("filesystem", seed=seed)
    job.unit("big", {"image.png": PNG + b"x" * 5000, "label.json": b"{}"})

    def small_chunks() -> None:
        from synapse_skills.backend import through

        through.BACKEND_CHUNK = 2000

    job.run(before=small_chunks)
    assert job.there() == job.wanted()
    assert job.box.requests("chunked.put") == 3


def test_state_at_a_storage_that_cannot_be_used_is_refused(job: Job) -> None:
    job.units(1)
    nothing = {"AWS_EC2_METADATA_DISABLED": "true"}
    assert "needs a login" in job.run("--state", "s3://bucket/state", expect=3, **nothing).stderr
    job.plan_with(state="az://container/state")
    assert "az:// is not supported" in job.run(expect=3).stderr
    job.plan_with(state="s3://key:secret@bucket/state")
    told = job.run(expect=2).stderr
    assert "holds a login" in told
    assert "secret@" not in told
    assert not job.box.units()


def test_a_bug_of_ours_still_leaves_a_report(job: Job) -> None:
    job.units(3)

    def broken() -> None:
        from synapse_skills.job.upload.send import Sender

        async def send(self: Sender, work: object) -> None:
            raise ZeroDivisionError("division by zero")

        Sender.send = send  # type: ignore[method-assign]

    done = job.run(before=broken, expect=1)
    assert "bug in synapse-skills" in done.stderr
    assert job.problem("bug")
    assert job.report()["pending"] == 3


def test_describe_that_fails_later_sends_no_unit_without_its_metadata(job: Job) -> None:
    """The sidecar was there when everything was checked, and is gone when the unit's turn comes."""
    job.units(3)
    note = job.folder / "note.txt"
    note.write_text("said")
    more = f"def describe(unit):\n    return dict(note=Path({str(note)!r}).read_text() if '1' in unit.key else 'x')\n"
    job.script(describe="describe", more=more)

    def patch() -> None:
        from synapse_skills.job.upload.flow import Flow

        original = Flow.run

        async def run(self: Flow, *args: Any, **kwargs: Any) -> None:
            note.unlink()
            await original(self, *args, **kwargs)

        Flow.run = run  # type: ignore[method-assign]

    job.run(before=patch, expect=5)
    assert (job.report()["created"], job.report()["quarantined"]) == (2, 1)
    assert "patient_001" in job.problem("meta-invalid")["examples"][0]
    note.write_text("said")
    job.run()
    assert job.there() == job.wanted()


def test_metadata_that_is_no_text_quarantines_the_unit(job: Job) -> None:
    job.units(2)
    more = "def describe(unit):\n    return {'n': 'caf\\udce9' if unit.key.endswith('1') else 'x'}\n"
    job.script(describe="describe", more=more)
    job.run(expect=5)
    assert (job.report()["created"], job.report()["quarantined"]) == (1, 1)
    assert "UTF-8" in job.problem("meta-invalid")["examples"][0]


def test_left_out_in_another_encoding_is_named(job: Job) -> None:
    job.units(1)
    (job.job / "left_out.jsonl").write_bytes('{"unit": "환자"}\n'.encode("cp949"))
    done = job.run(expect=1)
    assert "line 1" in done.stderr
    assert "bug" not in done.stderr


def test_file_system_without_locks_is_named(job: Job) -> None:
    """It is not another run that is under way."""
    job.units(1)

    def patch() -> None:
        import errno
        import fcntl

        def flock(stream: object, flags: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        fcntl.flock = flock

    done = job.run(before=patch, expect=3)
    assert "can't lock" in done.stderr
    assert "--state" in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"SYNAPSE_HOST": "http://127.0.0.1:99999"},
        {"SYNAPSE_HOST": "http://exa mple"},
        {"SYNAPSE_HOST": "http://[::1"},
        {"SYNAPSE_ACCESS_TOKEN": "geheim-0123456789\nabc"},
        {"SYNAPSE_ACCESS_TOKEN": "geheim-토큰-0123456789"},
    ],
    ids=["port", "space", "bracket", "newline", "letters"],
)
def test_login_that_can_not_be_one(job: Job, wrong: dict[str, str]) -> None:
    job.units(1)
    done = job.run(expect=3, **wrong)
    assert "bug" not in done.stderr
    assert "geheim" not in done.stderr + (job.state / "report.json").read_text()
