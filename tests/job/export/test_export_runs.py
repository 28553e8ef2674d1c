"""Whole exports against the sandbox: what arrives, what is left out, what is refused, and what a second run does."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from export_fixture import ExportJob, boxes, row
from synapse_skills.errors import FindingError, UsageError
from synapse_skills.export_plan import ClassesPlan, FormatPlan, SplitPlan
from synapse_skills.job.export.output import MARKER

SYNAPSE = (FormatPlan(name="synapse_json"),)
COCO = (FormatPlan(name="coco"),)
GROUPS = {"ratios": {"train": 0.5, "val": 0.5}, "by": "meta.group", "seed": 7}


def texts(job: ExportJob) -> dict[str, str]:
    folder = job.output / "synapse_json" / "annotations"
    return {path.name: path.read_text() for path in folder.glob("*.json")}


def records(job: ExportJob) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job.output / "metadata" / "records.jsonl").read_text().splitlines()]


def test_every_record_arrives_and_every_annotation_is_accounted_for(export_job: ExportJob) -> None:
    export_job.label(*(row(number) for number in range(23)))
    export_job.do()
    report = export_job.report()
    assert report["records"] == {"read": 23, "exported": 23, "quarantined": 0, "left_out": 0}
    assert report["annotations"]["read"] == sum(number % 4 for number in range(23))
    assert report["problems"] == []
    coco = export_job.coco()
    assert len(coco["images"]) == 23
    assert len(coco["annotations"]) == report["annotations"]["read"]
    assert [each["record"] for each in records(export_job)] == sorted(each["record"] for each in records(export_job))


def test_payloads_arrive_byte_for_byte(export_job: ExportJob) -> None:
    odd = '{"n":1.0, "big": 123456789012345678901234567890, "e": 1e5, "nan": NaN, "n": [ 1,2 ],"":"\\u00e9?x=1"}'
    plain = '{"b": 1.50,"a":  2, "url": "https://example.com/?q=1", "mode": "night"}'
    export_job.plan_with(formats=SYNAPSE)
    export_job.label(row(0, None, data_text=plain, name="plain.png"), row(1, None, data_text=odd, name="odd.png"))
    export_job.do()
    assert texts(export_job) == {"plain.json": plain, "odd.json": odd}


def test_no_link_stays_signed(export_job: ExportJob) -> None:
    export_job.box.set(wrap_bytes=10)
    export_job.plan_with(originals="required")
    export_job.label(*(row(number) for number in range(3)))
    export_job.do()
    signed = re.compile(rb"[?&](sig|signature|expires|X-Amz|token)[^\"]*=", re.IGNORECASE)
    for root in (export_job.state, export_job.output):
        for path in root.rglob("*"):
            if path.is_file():
                assert not signed.search(path.read_bytes()), path
    assert b"http" in b"".join(path.read_bytes() for path in (export_job.state / "spool").iterdir())


def test_run_again_it_leaves_alone_what_has_not_changed(export_job: ExportJob) -> None:
    made = export_job.label(*(row(number) for number in range(7)))
    export_job.do()
    before, report = export_job.bytes(), export_job.report()
    stamp = (export_job.output / "COMPLETE").stat().st_mtime_ns
    export_job.do()
    assert (export_job.output / "COMPLETE").stat().st_mtime_ns == stamp
    again = export_job.report()
    assert {key: again[key] for key in ("records", "annotations", "files")} == {
        key: report[key] for key in ("records", "annotations", "files")
    }
    # One is edited, one goes, one comes: all three are noticed.
    export_job.box.post("/_sandbox/edit", {"id": made[1]["id"], "data": boxes(5)})
    export_job.box.post("/_sandbox/edit", {"id": made[2]["id"], "delete": True})
    export_job.label(row(90, boxes(1)))
    export_job.do()
    assert export_job.problem("edited-during-run")["count"] == 3
    assert export_job.report()["annotations"]["read"] == report["annotations"]["read"] - 1 - 2 + 5 + 1
    assert export_job.bytes() != before
    fresh = export_job.bytes()
    export_job.do("--fresh")
    assert export_job.bytes() == fresh


@pytest.mark.heavy
def test_another_filter_fetches_anew(export_job: ExportJob) -> None:
    export_job.label(row(0), row(1, status_label="stand_by"), row(2))
    export_job.do()
    export_job.plan_with(filter={"status": ["done"]})
    export_job.do()
    assert export_job.report()["records"]["read"] == 2


def test_nothing_to_export_is_a_finding(export_job: ExportJob) -> None:
    error = export_job.do(expect=1)
    assert error is not None and error.code == "nothing-to-export"
    assert not (export_job.output / "COMPLETE").exists()
    assert export_job.report()["records"]["read"] == 0


def test_an_output_of_something_else_is_refused(export_job: ExportJob) -> None:
    export_job.label(row(0))
    export_job.output.mkdir(parents=True)
    (export_job.output / "thesis.txt").write_text("mine")
    error = export_job.do(expect=1)
    assert error is not None and error.code == "output-not-ours"
    assert [path.name for path in export_job.output.iterdir()] == ["thesis.txt"]


def test_an_output_that_was_being_claimed_when_the_run_was_killed_is_nobodys(export_job: ExportJob) -> None:
    export_job.label(row(0))
    export_job.output.mkdir(parents=True)
    half = export_job.output / f".{MARKER}.k2j4x8"
    half.write_text('{"kind": ')
    export_job.do()
    assert not half.exists() and export_job.report()["records"]["exported"] == 1


@pytest.mark.heavy
def test_an_output_of_another_job_is_refused(export_job: ExportJob) -> None:
    export_job.label(row(0))
    export_job.do()
    before = export_job.bytes()
    export_job.plan_with(name="others")
    error = export_job.do(expect=1)
    assert error is not None and error.code == "output-not-ours"
    assert export_job.bytes() == before


@pytest.mark.heavy
def test_edits_of_the_output_are_not_written_over(export_job: ExportJob) -> None:
    export_job.label(row(1))
    export_job.do()
    path = export_job.output / "coco" / "annotations" / "instances.json"
    path.write_text("{}")
    export_job.label(row(2))
    error = export_job.do(expect=1)
    assert error is not None and error.code == "output-edited"
    assert path.read_text() == "{}"


def test_a_bad_record_is_set_aside_and_the_run_goes_on(export_job: ExportJob) -> None:
    export_job.label(row(1), row(2, [1, 2]), row(3))
    export_job.do(expect=5)
    report = export_job.report()
    assert report["records"] == {"read": 3, "exported": 2, "quarantined": 1, "left_out": 0}
    line = json.loads((export_job.state / "quarantine.jsonl").read_text())
    assert line["reason"] == "unreadable-record" and "list" in line["detail"]
    assert (export_job.output / "COMPLETE").exists()


def test_what_is_lost_without_consent_is_exit_5_and_with_it_0(export_job: ExportJob) -> None:
    export_job.plan_with(formats=COCO)
    export_job.label(row(0, boxes(2)), row(1, boxes(3, label="horse")))
    export_job.do(expect=5)
    report = export_job.report()
    assert report["annotations"]["formats"]["coco"] == {"written": 2, "lost": {"unknown-class": 3}}
    assert export_job.problem("lost-annotations")["severity"] == "error"
    export_job.plan_with(formats=COCO, losses=("coco:unknown-class",))
    export_job.do()
    export_job.plan_with(formats=COCO, classes=ClassesPlan(order=("car",), drop=("horse",)))
    export_job.do()
    assert export_job.report()["annotations"]["formats"]["coco"]["lost"] == {"dropped": 3}


def test_unknown_classes_are_added_in_their_natural_order(export_job: ExportJob) -> None:
    export_job.plan_with(formats=COCO, classes=ClassesPlan(order=("car",), unknown="add"))
    export_job.label(row(0, boxes(1, label="b10")), row(1, boxes(1, label="b2")), row(2, boxes(1)))
    export_job.do()
    assert [each["name"] for each in export_job.coco()["categories"]] == ["car", "b2", "b10"]


POLICIES = [("best", [0, 3])] + [
    pytest.param(*each, marks=pytest.mark.heavy) for each in (("newest", [2, 3]), ("all", [0, 1, 2, 3]))
]


def three_of_one_unit(job: ExportJob) -> list[int]:
    """An early confirmed one, a later reviewed one, the latest of all neither; and a record of another data unit."""
    first = job.label(row(0, boxes(1), status_review="confirmed", created="2026-01-01T00:00:00Z", name="a.png"))[0]
    more = [{"status_review": "approved", "created": "2026-01-02T00:00:00Z"}, {"created": "2026-01-03T00:00:00Z"}]
    rest = [{"data_unit": first["data_unit"], "data": boxes(2 + at), **each} for at, each in enumerate(more)]
    made = [first, *job.label(*rest), *job.label(row(9, boxes(4)))]
    return [each["id"] for each in made]


@pytest.mark.parametrize(("policy", "kept"), POLICIES)
def test_several_records_of_one_data_unit(export_job: ExportJob, policy: str, kept: list[int]) -> None:
    ids = three_of_one_unit(export_job)
    export_job.plan_with(duplicates=policy)
    export_job.do()
    assert [each["record"] for each in records(export_job)] == [ids[number] for number in kept]
    assert export_job.report()["records"]["left_out"] == 4 - len(kept)


@pytest.mark.heavy
def test_a_discarded_record_does_not_stand_for_its_data_unit(export_job: ExportJob) -> None:
    first = export_job.label(row(0, boxes(1), status_review="confirmed", is_discarded=True))[0]
    second = export_job.label({"data_unit": first["data_unit"], "data": boxes(2)})[0]
    export_job.do()
    assert [each["record"] for each in records(export_job)] == [second["id"]]


@pytest.mark.heavy
def test_empty_records_are_kept_as_negatives_or_dropped(export_job: ExportJob) -> None:
    export_job.label(row(0, boxes(0)), row(1, boxes(1)))
    export_job.do()
    assert len(export_job.coco()["images"]) == 2
    export_job.plan_with(empty="drop")
    export_job.do()
    assert len(export_job.coco()["images"]) == 1
    assert export_job.problem("left-out")["examples"] == ["empty"]


def test_a_rule_of_ones_own_leaves_records_out(export_job: ExportJob) -> None:
    export_job.label(*(row(number) for number in range(6)))
    export_job.do(keep=lambda record: len(record.document.media[0].annotations) > 1)
    assert export_job.report()["records"]["left_out"] == 4
    error = export_job.do("--fresh", expect=1, keep=lambda record: record.nothing_of_the_kind)
    assert error is not None and error.code == "keep-failed"


def test_parts_are_kept_together_and_the_same_every_time(export_job: ExportJob) -> None:
    export_job.plan_with(split=SplitPlan(**GROUPS))
    export_job.label(*(row(number) for number in range(20)))
    export_job.do()
    parts: dict[str, set[str]] = {}
    for each in records(export_job):
        parts.setdefault(each["group"], set()).add(each["split"])
    assert len(parts) == 5 and all(len(found) == 1 for found in parts.values())
    report = export_job.report()
    assert sum(report["splits"].values()) == 20 and list(report["splits"]) == ["train", "val"]
    # A record more changes nothing for the others.
    before = {each["record"]: each["split"] for each in records(export_job)}
    export_job.label(row(20))
    export_job.do()
    after = {each["record"]: each["split"] for each in records(export_job)}
    assert before.items() <= after.items()


@pytest.mark.heavy
def test_data_units_over_several_parts_are_warned_about(export_job: ExportJob) -> None:
    first = export_job.label(row(0))[0]
    export_job.label(*({"data_unit": first["data_unit"], "data": boxes(1)} for _ in range(12)))
    export_job.plan_with(duplicates="all", split=SplitPlan(ratios={"train": 0.5, "val": 0.5}))
    export_job.do()
    assert export_job.problem("split-leak")["severity"] == "warning"


@pytest.mark.heavy
def test_a_limit_takes_the_newest(export_job: ExportJob) -> None:
    made = export_job.label(*(row(number) for number in range(9)))
    export_job.do("--limit", "3")
    assert [each["record"] for each in records(export_job)] == [each["id"] for each in made[-3:]]
    export_job.do()
    assert export_job.report()["records"]["read"] == 9


def test_a_dry_run_counts_and_leaves_everything_alone(export_job: ExportJob) -> None:
    export_job.label(*(row(number) for number in range(4)), row(5, boxes(1), status_label="stand_by"))
    export_job.plan_with(filter={"status": ["done"]}, classes=ClassesPlan(order=("person",)))
    export_job.do("--dry-run", expect=1)
    report = export_job.report()
    assert report["mode"] == "dry-run" and report["records"]["exported"] == 4
    assert report["annotations"]["formats"]["coco"]["lost"] == {"unknown-class": 2}
    assert export_job.problem("records-in-scope")["examples"] == ["4 records match", "5 without any filter"]
    assert not export_job.output.exists()
    assert not (export_job.state / "spool").exists() and not (export_job.state / "dry-run").exists()


def test_a_script_of_something_else_is_refused(export_job: ExportJob) -> None:
    export_job.plan_with(project=98)
    export_job.plan = export_job.plan.model_copy(update={"project": 97})
    with pytest.raises(FindingError, match="97"):
        export_job.do()
    export_job.plan_with()
    for wrong, code in (
        ({"formats": {"cocoa": {}}}, "no-format"),
        ({"formats": {"coco": {"no_such": 1}}}, "bad-option"),
        ({"output": "http://127.0.0.1/export"}, "output-not-supported"),
    ):
        error = export_job.do(expect=2, **wrong)
        assert error is not None and error.code == code
    for wrong in ({"split": {"train": 2.0}}, {"formats": {}}, {"rename": {"a": "nowhere"}}):
        with pytest.raises(UsageError, match="makes no plan"):
            export_job.do(**wrong)
