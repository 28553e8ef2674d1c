"""What a report says beside its counts: what was refused and why, what was found again, what was compared."""

from __future__ import annotations

import json
import signal

from job_fixture import Job, killing
from synapse_skills.job.upload.alike import alike
from synapse_skills.sources import File
from synapse_skills.units import Unit

POST = "synapse_skills.backend.api:Api.post_once"


def codes(job: Job) -> set[str]:
    return {each["code"] for each in job.report()["problems"]}


def test_refused_units_are_all_named_with_the_list_and_what_they_share(job: Job) -> None:
    job.units(12)
    refused = {f"patient_{number:03d}" for number in (1, 3, 5, 7, 9)}
    for key in refused:
        (job.source / key / "odd.dcm").write_bytes(b"\0" * 128 + b"DICM" + key.encode())
    job.box.set_faults({"kind": "poison", "contains": "odd.dcm"})
    job.run(expect=5)
    told = job.problem("refused-by-backend")
    assert {each.split(":")[0] for each in told["examples"]} == refused and told["count"] == 5
    assert str(job.state / "not_sent.jsonl") in told["fix"] and "--retry-failed" in told["fix"]
    assert "a .dcm as scan_1" in told["fix"]
    job.run("--dry-run")
    told = job.problem("refused-before")
    assert (told["severity"], told["count"]) == ("warning", 5) and "--retry-failed" in told["fix"]
    assert "refused-by-backend" not in codes(job)


def test_units_without_an_answer_are_counted_and_their_files_add_up(job: Job) -> None:
    job.units(12)
    job.run(before=killing(POST, 2, when="after"), expect=-signal.SIGKILL)
    job.run("--dry-run")
    doubted = job.problem("in-doubt")
    report = job.report()
    assert doubted["count"] >= 5 and doubted["severity"] == "info"
    assert (report["already"], report["pending"]) == (1, 11)
    job.run()
    assert job.there() == job.wanted()
    report = job.report()
    found = job.problem("found-there")
    assert found["count"] >= 5 and f"of {doubted['count']} that an earlier run sent" in found["examples"][0]
    assert report["files"]["planned"] == report["files"]["sent"] + report["files"]["reused"] == 24
    assert "the collection holds 12" in job.problem("backend-count")["examples"][0]


def test_a_first_run_has_nothing_to_tell(job: Job) -> None:
    job.units(2)
    job.run()
    assert job.report()["problems"] == []


def test_who_stays_home_is_named_with_the_list(job: Job) -> None:
    job.units(14)
    rows = [
        {"unit": f"patient_{n:03d}", "codes": ["meta-invalid"], "why": f"patient_{n:03d}: no site"} for n in range(12)
    ]
    (job.job / "left_out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job.run()
    told = job.problem("left-out")
    assert (told["count"], len(told["examples"]), told["examples"][0]) == (12, 10, "patient_000: no site")
    assert str(job.job / "left_out.jsonl") in told["fix"]


def units(**metas: dict[str, object]) -> tuple[list[Unit], dict[str, dict[str, object]]]:
    return [Unit(key, {"image_1": File(0, f"{key}.png", 1, 1)}) for key in metas], metas


def test_a_value_that_only_refused_units_have() -> None:
    every, metas = units(a={"site": 7, "grade": 1}, b={"site": 1, "grade": 1}, c={"site": 7}, d={"site": 2, "grade": 3})
    said = alike(every, {"a", "c"}, lambda key: True, lambda unit: metas[unit.key])
    assert said == "Each of them, and none of 2 that arrived, has site 7."


def test_a_value_that_only_refused_units_lack() -> None:
    every, metas = units(a={}, b={"site": 1}, c={}, d={"site": 2})
    assert "has no site." in alike(every, {"a", "c"}, lambda key: True, lambda unit: metas[unit.key])


def test_nothing_is_said_where_nothing_tells_them_apart_or_they_are_few() -> None:
    every, metas = units(a={"site": 1}, b={"site": 1}, c={"site": 1}, d={"site": 2})
    assert alike(every, {"a", "c"}, lambda key: True, lambda unit: metas[unit.key]) == ""
    assert alike(every, {"a"}, lambda key: True, lambda unit: metas[unit.key]) == ""
    assert alike(every, {"a", "c"}, lambda key: False, lambda unit: metas[unit.key]) == ""
