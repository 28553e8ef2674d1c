"""Backends that show what they were sent in another form, and lists that are not what they should be."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from typing import Any

import pytest

from job_fixture import Job, answering, killing
from sandbox_fixture import PROJECT, SandboxFactory, seed_with

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

UNITS = 12
CREATE = "units.create"
POST = "synapse_skills.backend.api:Api.post_once"
LOST = {"kind": "status-after-commit", "route": CREATE, "on": [2, 3]}


def rows_of(path: str, body: Any) -> list[dict[str, Any]]:
    """The rows of an answer that lists data units, none for any other answer."""
    if "data_units/" not in path:
        return []
    return list(body["results"]) if isinstance(body, dict) and "results" in body else []


def closed_seed() -> dict[str, Any]:
    """A collection whose schema takes a site and nothing else: no unit's metadata names the unit."""
    seed = seed_with()
    properties = {"site": {"type": "string"}}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    seed["collections"][0]["meta"] = {"data_unit_meta_schema": schema}
    return seed


def use_closed_schema(job: Job, sandbox_factory: SandboxFactory) -> None:
    job.box = sandbox_factory("closed", seed=closed_seed())
    job.plan_with(meta_schema=closed_seed()["collections"][0]["meta"]["data_unit_meta_schema"])
    job.script(describe='Constants({"site": "A"})')


def somebody_else(job: Job, meta: dict[str, Any]) -> None:
    """Another writer's data unit."""
    sums = {"image_1": job.box.put_file("x.png", b"other"), "label_1": job.box.put_file("x.json", b'{"other": 1}')}
    suffix = {"image_1": "png", "label_1": "json"}
    files = {spec: {"checksum": value, "path": f"theirs/x.{suffix[spec]}"} for spec, value in sums.items()}
    job.box.post("/data_units/", [{"data_collection": 57, "files": files, "meta": meta}])


def test_lost_canary_does_not_take_the_row_of_another_writer(job: Job, sandbox_factory: SandboxFactory) -> None:
    """The same constant metadata is no proof: a unit would be called created that never arrived."""
    use_closed_schema(job, sandbox_factory)
    job.units(UNITS)
    job.run(before=killing(POST, 1, when="before"), expect=-signal.SIGKILL)
    somebody_else(job, {"site": "A"})
    job.run(expect=5)
    assert job.problem("outcome-unknown")["count"] == 1  # whichever was complete first
    job.run("--retry-unknown")
    assert not job.wanted() - job.there()
    assert len(job.box.units()) == UNITS + 1


def test_unknown_canary_does_not_blind_the_job(job: Job, sandbox_factory: SandboxFactory) -> None:
    use_closed_schema(job, sandbox_factory)
    job.units(UNITS)
    job.run(before=killing(POST, 1, when="before"), expect=-signal.SIGKILL)
    somebody_else(job, {"site": "A"})
    job.box.set_faults({"kind": "status-after-commit", "route": CREATE, "on": [2, 3]})
    job.run(expect=5)
    assert job.report()["failed"] == 1


@pytest.mark.parametrize("changed", [["path"], ["checksum"], ["meta"]])
def test_one_unit_comes_back_in_another_form(job: Job, changed: list[str]) -> None:
    """The canary came back as it was sent; another unit does not: it is no reason to send it again."""
    job.units(UNITS)

    def change(method: str, path: str, body: Any) -> Any:
        for row in rows_of(path, body):
            if row["meta"]["name"] == "patient_003":
                for file in row["files"].values():
                    file.update({part: "other" + file[part] for part in changed if part != "meta"})
                if "meta" in changed:
                    row["meta"]["more"] = 1
        return body

    job.box.set_faults(LOST)
    job.run(before=answering(change))
    assert job.there() == job.wanted()


@pytest.mark.parametrize("kept", ["path", "checksum", "meta"])
def test_what_can_not_be_told_is_not_sent_again(job: Job, kept: str) -> None:
    """Only one part of the row agrees: it may be ours, so the unit is named in place of being sent twice."""
    job.units(UNITS)

    def change(method: str, path: str, body: Any) -> Any:
        for row in rows_of(path, body):
            if "patient_003" in str(row):
                for file in row["files"].values():
                    file.update({part: "other" + file[part] for part in ("path", "checksum") if part != kept})
                if kept != "meta":
                    row["meta"] = {"name": "changed"}
        return body

    job.box.set_faults(LOST)
    # One transfer at a time: patient_003 is neither the canary nor behind the batch whose answer is lost.
    job.run("--workers", "1", before=answering(change), expect=5)
    assert job.problem("outcome-unknown")["examples"] == ["patient_003"]
    assert job.there() == job.wanted()


def test_other_writers_with_the_same_constants_are_told_apart(job: Job, sandbox_factory: SandboxFactory) -> None:
    use_closed_schema(job, sandbox_factory)
    job.units(UNITS)
    job.run(before=killing(POST, 2, when="before"), expect=-signal.SIGKILL)
    somebody_else(job, {"site": "A"})
    job.run()
    assert not job.wanted() - job.there()
    assert len(job.box.units()) == UNITS + 1


OWNERS = {"nothing": None, "text": "57", "object": {"id": 57}, "link": "http://host/data_collections/57/"}


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("on", [[1], [2]], ids=["canary", "batch"])
def test_collection_of_a_row_in_any_form(job: Job, owner: str, on: list[int]) -> None:
    job.units(UNITS)

    def change(method: str, path: str, body: Any) -> Any:
        for row in rows_of(path, body):
            row["data_collection"] = OWNERS[owner]
        return body

    job.box.set_faults({"kind": "status-after-commit", "route": CREATE, "on": on})
    job.run(before=answering(change))
    assert job.there() == job.wanted()


def test_list_without_pages(job: Job) -> None:
    job.units(UNITS)

    def change(method: str, path: str, body: Any) -> Any:
        return body["results"] if rows_of(path, body) else body

    job.box.set_faults(LOST)
    job.run(before=answering(change))
    assert job.there() == job.wanted()


@pytest.mark.parametrize("how", ["same page for ever", "empty pages for ever", "rows without ids", "no text as next"])
def test_list_that_is_not_to_be_believed_sends_nothing_again(job: Job, how: str) -> None:
    job.units(UNITS)
    job.run(before=killing(POST, 2, when="after"), expect=-signal.SIGKILL)
    there = len(job.box.units())
    asked = [0]

    def change(method: str, path: str, body: Any) -> Any:
        if "data_units/" not in path or method != "GET":
            return body
        asked[0] += 1
        if how == "rows without ids":
            return body | {"results": [{**row, "id": f"u-{row['id']}"} for row in body["results"]]}
        if how == "no text as next":
            return body | {"next": 5}
        following = f"{job.box.host}/data_units/?page=1&n={asked[0]}"
        return {"next": following, "results": [] if how.startswith("empty") else [{"id": 10**9, "files": {}}]}

    done = job.run(before=answering(change), expect=None, timeout=20)
    assert done.returncode in (1, 3)
    assert len(job.box.units()) == there
    job.run()
    assert job.there() == job.wanted()


def test_ids_that_do_not_rise(job: Job) -> None:
    """A floor says nothing then: what is not answered stays unknown in place of being sent twice."""
    job.units(UNITS)

    def change(method: str, path: str, body: Any) -> Any:
        rows = body if method == "POST" and "data_units/" in path else rows_of(path, body)
        for row in rows:
            row["id"] = 10**6 - row["id"]
        return body

    job.box.set_faults({"kind": "status-after-commit", "route": CREATE, "on": [3]})
    job.run(before=answering(change), expect=5)
    assert job.problem("outcome-unknown")
    assert job.there() == job.wanted()


def test_backend_that_lists_nothing(job: Job) -> None:
    """Without a list there is no looking up; what is answered properly arrives all the same."""
    job.units(UNITS)
    job.box.set_faults({"kind": "status", "route": "units.list", "status": 405})
    job.run()
    assert job.there() == job.wanted()
    assert job.problem("cannot-list-units")["severity"] == "warning"


def test_outage_while_the_canary_is_read_back(job: Job) -> None:
    """It must not cost the job its way of looking up for good."""
    job.units(UNITS)
    learn = "synapse_skills.job.upload.create:Creator.learn"
    job.run(before=killing(learn, 1, when="before"), expect=-signal.SIGKILL)
    job.box.set_faults({"kind": "status", "route": "units.list", "after": 1})
    job.run(expect=3, SYNAPSE_SKILLS_PATIENCE_S="0.5")
    job.box.set_faults(LOST)
    job.run()
    assert job.there() == job.wanted()


def test_one_task_that_is_refused_does_not_hold_up_the_others(job: Job) -> None:
    job.plan_with(project=PROJECT)
    job.units(UNITS)

    def change(method: str, path: str, body: Any) -> Any:
        if method == "POST" and "data_units/" in path:
            # As if somebody had deleted it at once.
            return [
                row if row["files"]["label_1"]["path"] != "patient_001/label.json" else {"id": 10**7} for row in body
            ]
        return body

    job.run(before=answering(change), expect=5)
    assert job.report()["tasks"] == {"planned": UNITS, "created": UNITS - 1}
    assert "patient_001" in job.problem("task-refused")["examples"][0]


def test_tasks_that_can_not_be_looked_up_are_sent_again_by_consent(job: Job) -> None:
    job.plan_with(project=PROJECT)
    job.units(UNITS)
    job.box.set_faults(
        {"kind": "status", "route": "tasks.list", "status": 405},
        {"kind": "drop", "route": "tasks.create", "on": [2]},
    )
    job.run(expect=5)
    unknown = job.problem("task-unknown")["count"]
    assert job.report()["tasks"]["created"] == UNITS - unknown
    assert "--retry-unknown" in job.problem("task-unknown")["fix"]
    job.box.set_faults()
    job.run(expect=5)
    job.run("--retry-unknown")
    assert job.report()["tasks"]["created"] == UNITS
    assert len(job.box.tasks()) == UNITS


FORMS = ["path", "meta", "groups", "empty specs"]


def in_other_forms(form: str) -> Callable[[str, str, Any], Any]:
    """Every row shows one part in a form of the backend's own."""

    def change(method: str, path: str, body: Any) -> Any:
        for row in rows_of(path, body):
            if form == "meta":
                row["meta"]["created_by"] = "kim"
            elif form == "groups":
                row["groups"] = [{"id": 5, "name": name} for name in row["groups"]]
            elif form == "empty specs":
                row["files"]["scan_1"] = {"path": None, "checksum": None}
            else:
                for file in row["files"].values():
                    file["path"] = "bucket/" + file["path"]
        return body

    return change


@pytest.mark.parametrize("form", FORMS)
def test_lost_state_is_recognised_in_other_forms(job: Job, form: str) -> None:
    """Without a state all would be there twice, and nobody would say so."""
    job.plan_with(groups=("hospital", "ward"))
    job.units(UNITS)
    job.run()
    shutil.rmtree(job.state)
    job.run(before=answering(in_other_forms(form)))
    assert job.report()["already"] == UNITS
    assert job.there() == job.wanted()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("on", [[1], [2, 3]], ids=["canary", "batches"])
def test_lost_answer_is_recognised_in_other_forms(job: Job, form: str, on: list[int]) -> None:
    job.plan_with(groups=("hospital", "ward"))
    job.units(UNITS)
    job.box.set_faults({"kind": "status-after-commit", "route": CREATE, "on": on})
    job.run(before=answering(in_other_forms(form)))
    assert job.there() == job.wanted()


def test_other_content_under_the_same_name_is_not_taken_for_ours(job: Job) -> None:
    job.units(3)
    job.run()
    shutil.rmtree(job.state)
    (job.source / "patient_001" / "label.json").write_text('{"another": "label"}')
    job.run()
    assert (job.report()["created"], job.report()["already"]) == (1, 2)


def test_lost_state_in_a_large_collection_of_others(job: Job, sandbox_factory: SandboxFactory) -> None:
    """Only checksums are shown, and a thousand rows of others come first."""
    job.box = sandbox_factory("large", seed=seed_with(settings={"echo": ["checksum"]}))
    sums = [job.box.put_file("x.png", b"other"), job.box.put_file("x.json", b"{}")]
    files = {
        "image_1": {"checksum": sums[0], "path": "x/x.png"},
        "label_1": {"checksum": sums[1], "path": "x/x.json"},
    }
    for _ in range(11):
        job.box.post("/data_units/", [{"data_collection": 57, "files": files}] * 100)
    job.units(UNITS)
    job.run()
    shutil.rmtree(job.state)
    job.run()
    assert job.report()["already"] == UNITS
