"""The routes that play the people who label: label, edit, ground_truth, fill, records; and what a restart keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from export_seed import document

from sandbox_fixture import COLLECTION, PNG, PROJECT, SEED, Sandbox, sandboxes


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes(tmp_path_factory.mktemp("labels")) as start:
        yield start(seed=SEED)


@pytest.fixture
def unit(box: Sandbox) -> int:
    """A data unit that was uploaded, with a task."""
    files = {
        "image_1": {"checksum": box.put_file("a.png", PNG), "path": "one/a.png"},
        "label_1": {"checksum": box.put_file("a.json", b"{}"), "path": "one/a.json"},
    }
    number = box.post("/data_units/", {"data_collection": COLLECTION, "files": files, "meta": {"n": 1}})["id"]
    box.post("/tasks/", {"project": PROJECT, "data": [{"data_unit": number}]})
    return int(number)


def label(box: Sandbox, **row: Any) -> dict[str, Any]:
    (made,) = box.label(row)
    return made


def held(box: Sandbox, target: str, number: int, key: str = "id") -> dict[str, Any]:
    (row,) = [row for row in box.records(target) if row[key] == number]
    return row


def test_what_was_uploaded_is_labelled(box, unit):
    (task,) = [row for row in box.get("/sdk/tasks/")["results"] if row["data_unit"] == unit]
    assert task["data"] is None and task["status_label"] == "stand_by"
    made = label(box, data_unit=unit, data=document(1), tags=["night"], labeler=5, status_review="confirmed")
    assert made == {"id": made["id"], "task": task["id"], "data_unit": unit}
    row = box.get(f"/assignments/{made['id']}/?expand=data_unit")
    assert (row["status_label"], row["is_confirmed"], row["tags"][0]["name"]) == ("done", True, "night")
    assert row["data"] == document(1) and row["file"]["file_name_original"] == "a.png"
    assert row["data_unit"]["files"]["image_1"]["path"] == "one/a.png"
    task = box.get(f"/tasks/{task['id']}/")
    assert task["data"] == document(1) and task["status_label"] == "done"


def test_a_second_assignment_of_a_task_and_a_unit_without_a_task(box, unit):
    first, second = label(box, data_unit=unit, data=document(1)), label(box, data_unit=unit, data=document(2))
    assert first["task"] == second["task"] and first["id"] < second["id"]
    other = label(box, data_unit={"meta": {"n": 2}, "files": {}}, project=PROJECT, data=None, task_data=document(3))
    assert held(box, "task", other["task"])["data"] == document(3)
    assert held(box, "assignment", other["id"])["data"] is None
    assert label(box, task=other["task"], data=document(4))["data_unit"] == other["data_unit"]


def test_all_or_nothing(box, unit):
    before = len(box.records())
    rows = [{"data_unit": unit, "data": {}}, {"data_unit": 10**6, "data": {}}]
    status, said = box.request("POST", "/_sandbox/label", {"records": rows})
    assert status == 400 and "records[1]: data_unit: there is no data unit 1000000" in str(said)
    assert box.request("POST", "/_sandbox/label", {"task": 10**6})[0] == 400
    assert box.request("POST", "/_sandbox/label", ["x"])[0] == 400
    assert box.request("POST", "/_sandbox/edit", {"id": 10**6})[0] == 400
    assert box.request("POST", "/_sandbox/edit", {"id": 1, "target": "tsk"})[0] == 400
    assert box.request("POST", "/_sandbox/label", rows[:1], {"Synapse-Access-Token": ""})[0] == 401
    assert len(box.records()) == before


def test_an_edit_during_the_run(box, unit):
    box.set(wrap_bytes=0)
    made = label(box, data_unit=unit, data=document(1), created="2026-01-01T00:00:00Z", custom={"kept": 1})
    url = f"/sdk/assignments/?ids={made['id']}&response_mode=presigned"
    before = box.get(url)["results"][0]
    box.edit({"id": made["id"], "data_text": '{"x": NaN}', "status_review": "rejected"})
    after = box.get(url)["results"][0]
    assert after["updated"] > before["updated"] and after["last_labeled"] > before["last_labeled"]
    assert after["data"]["data_digest"] != before["data"]["data_digest"] and after["status_review"] == "rejected"
    assert after["custom"] == {"kept": 1} and after["created"] == before["created"]
    assert box.get(before["data"]["presigned_url"]) == document(1), "an older link leads to the older text"
    assert held(box, "assignment", made["id"])["data"] == '{"x": NaN}', "shown as text: JSON has no NaN"
    box.edit({"id": made["id"], "omit": ["file", "data_unit"]})
    assert not {"file", "data_unit"} & set(box.get(f"/assignments/{made['id']}/"))
    box.edit({"id": made["id"], "delete": True})
    assert box.get(url)["count"] == 0
    box.set(wrap_bytes=65536)


def test_a_ground_truth_of_assignments_of_units_and_of_a_project(box, unit):
    made = label(box, data_unit=unit, data=document(7, class_="bus"))
    records = [{"assignment": made["id"], "category": "validation"}, {"data_unit": unit, "data": document(8)}]
    truth = box.ground_truth(name="GT", project=PROJECT, records=records)
    first, second = truth["versions"][0]["pgh_ids"]
    assert held(box, "ground_truth", first, "pgh_id")["classes"] == ["bus"]
    assert held(box, "ground_truth", second, "pgh_id")["category"] == "train"
    other = box.ground_truth(dataset=truth["dataset"], version="2", from_project=PROJECT)
    assert other["dataset"] == truth["dataset"] and other["version"] != truth["version"]
    known = [row["id"] for row in box.records(scope=PROJECT)]
    assert other["versions"][0]["events"] == len(known)
    version = box.get(f"/ground_truth_dataset_versions/{other['version']}/")
    assert (version["version"], version["ground_truth_dataset"]) == ("2", truth["dataset"])
    box.edit({"target": "assignment", "id": made["id"], "data": {}})
    row = box.get(f"/sdk/ground_truth_events/?ground_truth_dataset_versions={truth['version']}")["results"][1]
    assert row["data"] == document(7, class_="bus"), "a ground truth is what it was"
    box.edit({"target": "ground_truth", "pgh_id": first, "data": {}, "category": "test"})
    assert held(box, "ground_truth", first, "pgh_id")["category"] == "test"


def test_many_are_made_up(box):
    made = box.post("/_sandbox/fill", {"project": 77, "records": 250, "boxes": 2, "ground_truth": True})
    rows = box.records(scope=77)
    assert made["count"] == len(rows) == 250 and rows[0]["id"] == made["first"]
    assert box.get(f"/sdk/ground_truth_events/?ground_truth_dataset_versions={made['version']}")["count"] == 250
    data = rows[9]["data"]
    assert len(data["annotations"]["image_1"]) == len(data["annotationsData"]["image_1"]) == 2
    last = box.get("/sdk/assignments/?project=77&page_size=1&expand=data_unit")["results"][0]
    assert last["data_unit"]["meta"]["filename"] == last["file"]["file_name_original"]
    status, _ = box.request("GET", last["file"]["url"], headers={"Synapse-Access-Token": ""})
    assert status == 200
    assert box.request("POST", "/_sandbox/fill", {"records": 5})[0] == 400
    again = box.post("/_sandbox/fill", {"project": 78, "records": 1})
    assert again["first"] > made["first"] + 249


def test_the_page_counts_them_and_a_restart_keeps_them(box, unit):
    label(box, data_unit=unit, data=document(1))
    before = box.records()
    status, html = box.request("GET", "/")
    truths = len(box.records("ground_truth"))
    assert status == 200 and f"{len(before)} assignments, {truths} ground truths" in html
    box.restart(kill=True)
    assert box.records() == before
