"""Parts of a dataset: each class in each part, groups in one, and the same original in one."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export_fixture import ExportJob, boxes, row
from synapse_skills.export_plan import ClassesPlan, FormatPlan, SplitPlan
from synapse_skills.job.export.checksums import Checksums, shares_of
from synapse_skills.job.export.reporting import report_lines
from synapse_skills.job.export.strata import Strata
from synapse_skills.job.export.verify import verify_output
from synapse_skills.report import ExportReport

THREE = {"train": 0.7, "val": 0.2, "test": 0.1}


def dealt(records: list[tuple[str, set[str]]], classes: ClassesPlan | None = None, **split: Any) -> dict[str, str]:
    """The part of each group; `records` are (group, labels)."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE record (key INTEGER PRIMARY KEY, part TEXT, split TEXT)")
    database.execute("INSERT INTO record VALUES (0, '', '')")
    plan = SplitPlan(**{"ratios": THREE, "stratify": "class"} | split)
    strata = Strata(database, plan, classes or ClassesPlan())
    for key, (part, labels) in enumerate(records, 1):
        strata.add(part, labels)
        database.execute("INSERT INTO record VALUES (?, ?, 'as it was')", (key, part))
    strata.deal()
    assert database.execute("SELECT split FROM record WHERE key = 0").fetchone() == ("",)
    found = database.execute("SELECT DISTINCT part, split FROM record WHERE key > 0").fetchall()
    assert len(found) == len({part for part, _ in found})
    return dict(found)


def test_a_rare_class_is_in_every_part_at_its_ratio() -> None:
    records = [(f"record:{n}", {"car", "crane"} if n % 50 == 0 else {"car"}) for n in range(1000)]
    parts = dealt(records)
    rare = Counter(parts[f"record:{n}"] for n in range(0, 1000, 50))
    assert rare == {"train": 14, "val": 4, "test": 2}
    assert Counter(parts.values()) == {"train": 700, "val": 200, "test": 100}


def test_a_class_of_few_is_not_always_in_train() -> None:
    found = Counter(dealt([("record:1", {"crane"})], seed=seed)["record:1"] for seed in range(200))
    assert 120 < found["train"] < 160 and found["val"] > 20 and found["test"] > 5


labels = st.sets(st.sampled_from(["a", "b", "c", "\ud800", "van"]), max_size=3)
groups = st.lists(st.tuples(st.sampled_from([f"g{n}" for n in range(12)]), labels), min_size=1, max_size=60)


@given(groups, st.randoms())
def test_groups_stay_whole_and_the_order_does_not_matter(records: list[tuple[str, set[str]]], random: Any) -> None:
    plan = ClassesPlan(order=("a",), map={"van": "a"}, drop=("c",))
    parts = dealt(records, plan)
    random.shuffle(records)
    assert dealt(records, plan) == parts
    assert set(parts.values()) <= set(THREE)


def test_what_is_merged_is_one_class_and_what_is_dropped_is_none() -> None:
    records = [(f"record:{n}", {"van"} if n % 2 else {"car", "sky"}) for n in range(100)]
    merged = ClassesPlan(order=("car",), map={"van": "car"}, drop=("sky",))
    assert dealt(records, merged) == dealt([(part, {"car"}) for part, _ in records])


def test_an_export_is_stratified_and_says_what_it_reached(export_job: ExportJob) -> None:
    split = SplitPlan(ratios={"train": 0.5, "val": 0.5}, by="meta.group", stratify="class")
    export_job.plan_with(split=split)
    rare = {3, 11}
    rows = (row(n, boxes(1, label="person" if n in rare else "car"), meta={"group": f"g{n // 2}"}) for n in range(20))
    export_job.label(*rows)
    export_job.do()
    parts = {part: export_job.coco(f"instances_{part}.json") for part in ("train", "val")}
    assert [sum(each["category_id"] == 2 for each in part["annotations"]) for part in parts.values()] == [1, 1]
    assert {part: len(each["images"]) for part, each in parts.items()} == {"train": 10, "val": 10}
    problem = export_job.problem("split-reached")
    assert (problem["severity"], problem["examples"]) == ("info", ["train 50.0% of 50%, val 50.0% of 50%"])


def test_the_same_original_in_two_parts_is_told_with_its_names(export_job: ExportJob) -> None:
    same = {"checksum": hashlib.sha1(b"same").hexdigest()}
    files = [{"file_name_original": f"copy_{n}.png", "is_primary": True, **(same if n < 8 else {})} for n in range(9)]
    units = [{"files": {"image_1": file}, "meta": {}} for file in files]
    export_job.label(*({"data_unit": unit, "data": boxes(1)} for unit in units))
    export_job.plan_with(split=SplitPlan(ratios={"train": 0.5, "val": 0.5}))
    export_job.do()
    problem = export_job.problem("shared-originals")
    assert problem["severity"] == "warning" and problem["examples"][0].startswith("train: copy_")
    found = verify_output(export_job.output)
    [told] = [each for each in found.problems if each.code == "shared-originals"]
    assert found.is_fine and told.count >= 1
    export_job.plan_with(split=SplitPlan(ratios={"train": 0.5, "val": 0.5}, by="checksum"))
    export_job.do()
    assert "shared-originals" not in {each["code"] for each in export_job.report()["problems"]}
    assert "shared-originals" not in {each.code for each in verify_output(export_job.output).problems}


def test_shares_and_checksums() -> None:
    assert shares_of({"train": 2, "val": 1, "test": 0}) == {"train": 0.6667, "val": 0.3333, "test": 0.0}
    assert shares_of({"train": 0}) == {"train": 0.0}
    sums = Checksums(sqlite3.connect(":memory:"))
    for checksum, split in (("AB", "train"), ("ab", "train"), ("cd", "val"), ("ab", "val"), ("\ud800", "val")):
        sums.add(checksum, split, f"{checksum.encode('ascii', 'replace').decode()}.png")
    assert sums.shared() == (1, ["train: AB.png, val: ab.png"])


def test_a_share_that_is_not_what_is_listed_is_found(export_job: ExportJob, tmp_path: Path) -> None:
    export_job.plan_with(split=SplitPlan(ratios={"train": 0.9, "val": 0.1}))
    export_job.label(row(1, boxes(1)))
    export_job.do()
    assert export_job.problem("split-reached")["severity"] == "warning"
    path = export_job.output / "metadata" / "export_summary.json"
    path.write_text(path.read_text().replace('"train": 1.0', '"train": 0.9'))
    assert any("is not the share" in str(each.examples) for each in verify_output(export_job.output).problems)


def test_labels_alone_say_where_pictures_belong_and_where_they_lie(export_job: ExportJob) -> None:
    export_job.plan_with(formats=(FormatPlan(name="yolo"),), split=SplitPlan(ratios={"train": 0.5, "val": 0.5}))
    export_job.label(row(1, boxes(1)))
    export_job.do("--dry-run")
    told = export_job.report()
    assert (told["output"], told["next"]) == (None, "")
    export_job.do()
    told = export_job.report()
    assert told["output"] == str(export_job.output) and told["next"].startswith("verify_export ")
    assert export_job.problem("pictures-elsewhere")["examples"] == ["yolo/images/train, yolo/images/val"]
    lines = report_lines(ExportReport.model_validate(told))
    assert lines[-1] == f"next: {told['next']}" and any(str(export_job.output) in line for line in lines[:-1])


@pytest.mark.parametrize("said", ["size", 3])
def test_what_it_can_not_stratify_by(said: Any) -> None:
    with pytest.raises(ValueError, match="stratify"):
        SplitPlan(ratios=THREE, stratify=said)
