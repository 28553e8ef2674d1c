"""Jobs whose metadata comes from everywhere: rendered, run against the sandbox, and what can be wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from job_fixture import SPECS, Job
from sandbox_fixture import COLLECTION, STORAGE, SandboxFactory, seed_with
from synapse_skills.metadata import read_table
from synapse_skills.plan import Limits, MetadataRule, SourcePlan, UploadPlan
from synapse_skills.rendering import place_of, render_job
from synapse_skills.sources import Inventory, Source
from synapse_skills.units import freeze_rows, key_columns, sidecars_of, survey

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "site": {"type": "string"},
        "age": {"type": "integer"},
        "patient": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "checked": {"type": "boolean"},
        "note": {"type": "string"},
    },
    "required": ["age"],
    "additionalProperties": False,
}
TAKES = {"image_1": (".png",), "label_1": (".json",), "scan_1": (".dcm",)}
EVERYTHING = (
    MetadataRule(values={"site": "서울", "note": "none"}),
    MetadataRule(kind="folders", folders={"patient": 1}),
    MetadataRule(kind="name", regex=r"_(?P<patient>\d+)$"),
    MetadataRule(kind="table", table="metadata.jsonl", file="meta.csv", key="ID"),
    MetadataRule(kind="sidecars", pattern="*.meta.yaml"),
    MetadataRule(kind="said", values={"checked": True}),
)


def rendered(job: Job, table: str, *rules: MetadataRule, schema: dict[str, Any] | None = SCHEMA, **plan: Any) -> None:
    """Freeze the table's rows with the job's files, and render the job folder."""
    specs = tuple(spec.model_copy(update={"takes": TAKES[spec.name]}) for spec in SPECS)
    rules = rules or EVERYTHING
    (job.folder / "meta.csv").write_text(table, encoding="cp949")
    with Inventory(job.folder / "inventory.sqlite") as inventory:
        sources = [Source(str(job.source))]
        inventory.walk(sources)
        place = place_of(UploadPlan.model_fields["grouping"].default, specs, sidecars=sidecars_of(rules))
        list(survey(inventory, sources, place, specs, Limits(), guard=False).units())
        read = read_table(job.folder / "meta.csv")
        assert key_columns(read, inventory)[0].column == "ID"
        frozen = freeze_rows(read, inventory, "ID", job.folder / "metadata.jsonl")
    rules = tuple(rule.model_copy(update={"sha256": frozen.sha256}) if rule.kind == "table" else rule for rule in rules)
    fields: dict[str, Any] = {
        "name": "ct-scans",
        "data_collection": COLLECTION,
        "storage": STORAGE,
        "sources": (SourcePlan(path=str(job.source)),),
        "specs": specs,
        "metadata": rules,
        "meta_schema": schema,
        "limits": Limits(batch_size=5, settle_after_s=0.4),
    }
    for path in job.job.iterdir():
        path.unlink()  # the fixture's script
    render_job(UploadPlan(**fields | plan), job.job, metadata=job.folder / "metadata.jsonl")


@pytest.fixture
def job(tmp_path: Path, sandbox_factory: SandboxFactory) -> Job:
    """A job against a collection with a meta schema."""
    seed = seed_with()
    seed["collections"][0]["meta"] = {"data_unit_meta_schema": SCHEMA}
    return Job(tmp_path / "upload", sandbox_factory("schema", seed=seed))


def sent(job: Job) -> dict[str, Any]:
    return {unit["meta"]["name"]: unit["meta"] for unit in job.box.units()}


def test_every_kind_arrives_with_its_type(job: Job) -> None:
    job.units(4)
    (job.source / "patient_001" / "x.meta.yaml").write_text("age: 50\ntags: [a, b]\n")
    (job.source / "patient_002" / "x.meta.yaml").write_text("tags: 'c; d'\n")
    rendered(job, "ID,age,site\npatient_000,40,부산\npatient_001,41,\npatient_002,42,\npatient_003,43,\n")
    job.run()
    base = {"note": "none", "checked": True}
    assert sent(job) == {
        "patient_000": base | {"name": "patient_000", "site": "부산", "patient": "000", "age": 40},
        "patient_001": base | {"name": "patient_001", "site": "서울", "patient": "001", "age": 50, "tags": ["a", "b"]},
        "patient_002": base | {"name": "patient_002", "site": "서울", "patient": "002", "age": 42, "tags": ["c", "d"]},
        "patient_003": base | {"name": "patient_003", "site": "서울", "patient": "003", "age": 43},
    }
    report = job.report()
    assert report["metadata_sources"] == ["constants", "folders", "name", "table", "sidecars", "said"]
    conflicts = {problem["fix"].split(":")[0]: problem for problem in report["problems"]}
    assert conflicts["age"]["code"] == conflicts["patient"]["code"] == "metadata-conflict"
    assert conflicts["age"]["examples"] == [
        'patient_001: age is "41" (row 3) and 50 (patient_001/x.meta.yaml); 50 is taken'
    ]
    assert conflicts["patient"]["count"] == 4
    job.run()
    assert (job.report()["created"], job.report()["already"]) == (0, 4)
    assert not [each for each in job.report()["problems"] if each["code"] == "changed-since-upload"]


def test_each_kind_of_fault_is_one_problem_with_rows_and_only_those_units_stay(job: Job) -> None:
    job.units(8)
    (job.source / "patient_006" / "x.meta.yaml").write_text("age: [\n")
    (job.source / "patient_007" / "x.meta.yaml").write_text("colour: red\n")
    rows = "".join(f"patient_{number:03d},{'old' if number < 5 else number},\n" for number in range(8))
    rendered(job, f"ID,age,site\n{rows}")
    job.run("--dry-run", expect=1)
    job.run(expect=5)
    assert list(sent(job)) == ["patient_005"]
    report = job.report()
    assert (report["created"], report["quarantined"]) == (1, 7)
    faults = [problem for problem in report["problems"] if problem["code"] == "meta-invalid"]
    assert [problem["count"] for problem in faults] == [5, 1, 1]
    assert [example.split(":")[0] for example in faults[0]["examples"]] == [
        "patient_000 (row 2)", "patient_001 (row 3)", "patient_002 (row 4)",
    ]  # fmt: skip
    words = " ".join(example for problem in faults[1:] for example in problem["examples"])
    assert "patient_006/x.meta.yaml is not YAML" in words
    assert "colour" in words


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"unit": "patient_000", "row": 2, "meta": {"age": 1}}\n', "metadata-changed"),
        (None, "no-metadata-table"),
    ],
)
def test_rows_that_are_not_the_plans_send_nothing(job: Job, content: bytes | None, code: str) -> None:
    job.units(2)
    rendered(job, "ID,age\npatient_000,40\npatient_001,41\n")
    if content is None:
        (job.job / "metadata.jsonl").unlink()
    else:
        (job.job / "metadata.jsonl").write_bytes(content)
    done = job.run(expect=1)
    assert job.box.units() == []
    assert job.problem(code)["count"] == 1
    assert "plan" in done.stderr or "render" in done.stderr


def test_a_hand_written_description_is_coerced_and_validated_too(job: Job) -> None:
    job.units(3)
    rendered(job, "ID,age\npatient_000,40\npatient_001,41\n", EVERYTHING[3])
    script = job.job / "upload.py"
    text = script.read_text()
    head, tail = text.split("describe = ")
    own = "def describe(unit):\n    return {'age': unit.key[-1] if unit.key[-1] != '2' else 'two'}\n"
    script.write_text(f"{head}{own}{tail.partition(chr(10))[2]}")
    job.run(expect=5)
    assert {key: meta["age"] for key, meta in sent(job).items()} == {"patient_000": 0, "patient_001": 1}
    assert job.report()["metadata_sources"] == ["describe"]
    assert "patient_002" in job.problem("meta-invalid")["examples"][0]


def test_what_is_left_out_stays_out_whatever_its_metadata(job: Job) -> None:
    job.units(3)
    rendered(job, "ID,age\npatient_000,40\npatient_001,old\npatient_002,42\n", EVERYTHING[3])
    (job.job / "left_out.jsonl").write_text(json.dumps({"unit": "patient_001"}) + "\n")
    job.run()
    assert sorted(sent(job)) == ["patient_000", "patient_002"]
    (told,) = job.report()["problems"]
    assert (job.report()["left_out"], told["code"], told["severity"]) == (1, "left-out", "warning")
    assert (told["count"], told["examples"]) == (1, ["patient_001"])


@pytest.mark.parametrize("rule", EVERYTHING, ids=lambda rule: rule.kind)
def test_each_kind_by_itself_needs_nothing_but_its_script(job: Job, rule: MetadataRule) -> None:
    job.units(2)
    for number in range(2):
        (job.source / f"patient_{number:03d}" / "x.meta.yaml").write_text(f"number: {number}\n")
    rendered(job, "ID,age\npatient_000,040\npatient_001,41\n", rule, schema=None)
    if rule.kind != "sidecars":
        for path in job.source.rglob("*.yaml"):
            path.unlink()
    job.run("--dry-run")
    assert job.report()["metadata_sources"] == [rule.kind]
    assert (job.report()["planned"], job.report()["quarantined"]) == (2, 0)
