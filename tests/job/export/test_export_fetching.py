"""What goes wrong between the backend and the spool: links, busy servers, other lists than were asked for, edits."""

from __future__ import annotations

from typing import Any

import pytest

from export_fixture import ExportJob, boxes, full_disk, row
from job_fixture import killing
from synapse_skills.export_plan import FormatPlan
from synapse_skills.job.export import fetch, scope

HEAVY = pytest.mark.heavy
SYNAPSE = (FormatPlan(name="synapse_json"),)


def plain(job: ExportJob, count: int = 12, **more: Any) -> dict[str, str]:
    """Records, and the bytes of their export when nothing goes wrong."""
    job.label(*(row(number, boxes(1 + number % 3), **more) for number in range(count)))
    job.do()
    return clean(job)


def clean(job: ExportJob) -> dict[str, str]:
    return job.bytes()


def test_payloads_behind_links_are_fetched(export_job: ExportJob) -> None:
    whole = plain(export_job)
    export_job.box.set(wrap_bytes=1)
    export_job.do("--fresh")
    assert clean(export_job) == whole


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503, "route": "assignments.list", "on": [2, 4]},
        pytest.param(
            {"kind": "status", "status": 429, "route": "assignments.list", "on": [3]}, marks=pytest.mark.heavy
        ),
        pytest.param({"kind": "truncated", "route": "assignments.list", "on": [4]}, marks=HEAVY),
        pytest.param({"kind": "login-page", "route": "assignments.list", "on": [5]}, marks=pytest.mark.heavy),
        {"kind": "expired-links", "on": [3, 4]},
    ],
    ids=str,
)
def test_what_passes_is_waited_for(export_job: ExportJob, fault: dict[str, Any]) -> None:
    whole = plain(export_job)
    export_job.box.set(wrap_bytes=1)
    export_job.box.set_faults(fault)
    export_job.do("--fresh")
    assert clean(export_job) == whole
    assert any(each["fired"] for each in export_job.box.faults())


@pytest.mark.parametrize(("status", "code", "exit_code"), [(401, "login-refused", 3), (400, "refused", 1)])
def test_what_is_final_fails_at_once(export_job: ExportJob, status: int, code: str, exit_code: int) -> None:
    export_job.label(row(0))
    export_job.box.set_faults({"kind": "status", "status": status, "route": "assignments.list"})
    export_job.box.reset_stats()
    error = export_job.do(expect=exit_code)
    assert error is not None and error.code == code
    assert export_job.box.requests("assignments.list") == 1


def test_a_list_that_is_wider_than_the_filter_exports_nothing(
    export_job: ExportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_job.label(row(0), row(1, status_label="stand_by"))
    export_job.plan_with(filter={"status": ["done"]})
    # As if the backend did not know the key: then it ignores it.
    real = scope.query_of

    def misspelt(*args: Any) -> dict[str, str]:
        return {"statuss" if key == "status_label" else key: value for key, value in real(*args).items()}

    monkeypatch.setattr(scope, "query_of", misspelt)
    error = export_job.do(expect=1)
    assert error is not None and error.code == "outside-scope"
    assert not (export_job.output / "COMPLETE").exists()


@pytest.mark.heavy
def test_a_list_that_ignores_ranges_is_read_page_by_page(
    export_job: ExportJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = plain(export_job, 17)
    real = scope.Scope.listing

    def listing(self: Any, **more: Any) -> dict[str, Any]:
        return {key: value for key, value in real(self, **more).items() if key not in ("id__gte", "id__lt")}

    monkeypatch.setattr(scope.Scope, "listing", listing)
    export_job.do("--fresh")
    assert clean(export_job) == whole


def test_a_missing_payload_is_quarantined_and_asked_for_again(export_job: ExportJob) -> None:
    export_job.box.set(wrap_bytes=1)
    export_job.label(*(row(number, boxes(2)) for number in range(4)))
    export_job.box.set_faults({"kind": "status", "status": 404, "route": "payload.get", "after": 1})
    export_job.do(expect=5)
    report = export_job.report()
    assert report["records"]["quarantined"] == 3
    assert export_job.problem("quarantined")["examples"][0].endswith("could not be fetched.")
    export_job.box.set_faults()
    export_job.do()
    assert export_job.report()["records"]["exported"] == 4


@pytest.mark.heavy
def test_a_payload_that_is_nothing_when_asked_for_again_is_not_empty(export_job: ExportJob) -> None:
    """Its link had expired, and the row that was to bring a new one came without data."""
    export_job.box.set(wrap_bytes=1)
    whole = plain(export_job, 6)
    export_job.box.set_faults({"kind": "expired-links", "times": 4}, {"kind": "null-data", "after": 4, "times": 3})
    export_job.do("--fresh", expect=None)
    export_job.box.set_faults()
    export_job.do()
    assert clean(export_job) == whole


@pytest.mark.parametrize("times", [1, pytest.param(9, marks=pytest.mark.heavy)])
def test_records_that_came_without_data_are_asked_for_once_more(export_job: ExportJob, times: int) -> None:
    """Not labelled, or a backend that had a bad moment: nothing but another look tells."""
    whole = plain(export_job, 20)
    export_job.label(row(99, data=None) | {"data": None})
    export_job.do("--fresh")
    with_bare = clean(export_job)
    assert with_bare != whole
    export_job.box.set_faults({"kind": "null-data", "after": 2, "times": times})
    export_job.do("--fresh", expect=None)
    export_job.box.set_faults()
    export_job.do()
    assert clean(export_job) == with_bare


def test_an_edit_during_the_run_is_noticed(export_job: ExportJob, monkeypatch: pytest.MonkeyPatch) -> None:
    made = export_job.label(*(row(number, boxes(1)) for number in range(6)))
    real = fetch.Fetcher._look_again

    async def look_again(self: Any, begun: dict[str, Any]) -> None:
        export_job.box.post("/_sandbox/edit", {"id": made[0]["id"], "data": boxes(7)})
        export_job.box.post("/_sandbox/edit", {"id": made[1]["id"], "delete": True})
        await real(self, begun)

    monkeypatch.setattr(fetch.Fetcher, "_look_again", look_again)
    export_job.do(expect=None)
    assert export_job.problem("edited-during-run")["count"] == 2
    assert export_job.report()["annotations"]["read"] == 4 + 7


def test_tasks_with_their_data_units(export_job: ExportJob) -> None:
    made = export_job.label(*(row(number, boxes(2)) for number in range(8)))
    export_job.plan_with(target="task", split={"ratios": {"train": 0.5, "val": 0.5}, "by": "meta.group"})
    export_job.do()
    report = export_job.report()
    assert report["records"]["exported"] == 8 and report["annotations"]["read"] == 16
    text = (export_job.output / "metadata" / "records.jsonl").read_text()
    assert f'"record": {made[0]["task"]},' in text and '"group": "meta.group:g1"' in text


def ground_truth(job: ExportJob, count: int) -> dict[str, Any]:
    job.label(*(row(number, boxes(1)) for number in range(count)))
    made = job.box.post("/_sandbox/ground_truth", {"name": "gold", "project": job.project, "from_project": job.project})
    job.plan_with(target="ground_truth", ground_truth_version=made["version"])
    return dict(made)


def test_a_ground_truth_by_its_cursor(export_job: ExportJob) -> None:
    made = ground_truth(export_job, 13)
    export_job.do()
    report = export_job.report()
    assert report["records"]["exported"] == 13
    text = (export_job.output / "metadata" / "records.jsonl").read_text()
    assert all(f'"record": {key},' in text for key in made["versions"][0]["pgh_ids"])


@pytest.mark.heavy
def test_a_cursor_that_died_begins_again(export_job: ExportJob) -> None:
    ground_truth(export_job, 13)
    export_job.do()
    whole = clean(export_job)
    export_job.run(
        "--fresh", before=killing("synapse_skills.job.export.spool:Spool.append_all", 4, when="after"), expect=-9
    )
    export_job.box.set_faults({"kind": "status", "status": 404, "route": "events.list", "query": "cursor=", "on": [1]})
    export_job.do()
    assert clean(export_job) == whole


@pytest.mark.heavy
def test_missing_meta_is_fetched_in_bulk(export_job: ExportJob) -> None:
    export_job.box.set(expands=[])
    export_job.label(*(row(number, boxes(1)) for number in range(9)))
    export_job.plan_with(split={"ratios": {"train": 0.5, "val": 0.5}, "by": "category"})
    export_job.box.reset_stats()
    export_job.do()
    assert export_job.box.requests("units.list") == 1
    assert '"group": "category:1. 자연"' in (export_job.output / "metadata" / "records.jsonl").read_text()


@pytest.mark.heavy
def test_a_full_disk_is_said_and_gone_on_from(export_job: ExportJob) -> None:
    whole = plain(export_job, 20)
    done = export_job.run("--fresh", before=full_disk(5), expect=3)
    assert "disk" in done.stderr and export_job.problem("disk-full")
    export_job.do()
    assert clean(export_job) == whole


PHASES = {
    "first page": ("spool:Spool.append_all", 2, "before"),
    "some pages": ("spool:Spool.append_all", 4, "after"),
    "edits": ("fetch:Fetcher._look_again", 1, "before"),
    "deciding": ("decide:Decider.decide", 1, "after"),
    "originals": ("originals:Originals._download", 3, "after"),
    "half a file": ("originals:Originals._receive", 2, "after"),
    "writing": ("write:Export._item", 7, "before"),
    "before verifying": ("part_work:check_format", 1, "before"),
    "installing": ("output:Output.install", 1, "before"),
    "installed": ("output:Output.install", 1, "after"),
    "manifest": ("output:Output.manifest_digest", 1, "before"),
}
EVERYDAY = ("some pages",)


@pytest.mark.parametrize("phase", [p if p in EVERYDAY else pytest.param(p, marks=pytest.mark.heavy) for p in PHASES])
def test_killed_anywhere_it_goes_on_to_the_same_bytes(export_job: ExportJob, phase: str) -> None:
    export_job.plan_with(originals="required", formats=(FormatPlan(name="coco"), FormatPlan(name="yolo")))
    export_job.box.set(wrap_bytes=1)
    whole = plain(export_job, 14)
    for path in export_job.output.rglob("*"):
        if path.is_file() and path.name != ".synapse-export":
            path.unlink()
    target, nth, when = PHASES[phase]
    export_job.run("--fresh", before=killing(f"synapse_skills.job.export.{target}", nth, when=when), expect=-9)
    export_job.box.reset_stats()
    export_job.do()
    assert clean(export_job) == whole
    if phase == "writing":
        assert export_job.box.requests("payload.get") == 0


def test_stopped_by_a_signal_it_says_so_and_goes_on(export_job: ExportJob, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = plain(export_job, 20)
    real = fetch.Fetcher._store

    async def store(self: Any, *args: Any, **more: Any) -> None:
        await real(self, *args, **more)
        self.stop()

    with monkeypatch.context() as patch:
        patch.setattr(fetch.Fetcher, "_store", store)
        export_job.do("--fresh", expect=130)
    export_job.do()
    assert clean(export_job) == whole


def test_what_was_edited_is_fetched_again_page_by_page(export_job: ExportJob) -> None:
    """A page may hold fewer rows than were asked for by their ids: the others are not gone."""
    made = export_job.label(*(row(number, boxes(1)) for number in range(9)))
    export_job.plan_with(formats=SYNAPSE)
    export_job.do()
    export_job.box.set(max_page_size=3)
    export_job.box.edit(*({"id": each["id"], "data": boxes(2)} for each in made[:7]))
    export_job.do()
    assert export_job.report()["records"]["exported"] == 9
    assert export_job.report()["annotations"]["read"] == 7 * 2 + 2
