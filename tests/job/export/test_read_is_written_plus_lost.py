"""Whatever the records hold: what was read is written or lost, in every format, and the same every time."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.worlds import any_json, damaged_payloads, encoded, nearly_payloads, payloads, row, rows
from synapse_skills.export_plan import ClassesPlan, ExportPlan, FormatPlan, SplitPlan
from synapse_skills.formats import FORMATS
from synapse_skills.job.export.decide import Decider
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.reporting import Outcome, make_report
from synapse_skills.job.export.rows import read_page
from synapse_skills.job.export.spool import Kept, Spool
from synapse_skills.job.export.verify import check_format
from synapse_skills.job.export.write import Export

PLANS = st.fixed_dictionaries(
    {
        "empty": st.sampled_from(("keep", "drop")),
        "duplicates": st.sampled_from(("best", "newest", "all")),
        "geometry": st.sampled_from(("clamp", "drop", "fail")),
        "naming": st.sampled_from(("original", "id")),
        "split": st.sampled_from((None, SplitPlan(ratios={"train": 0.5, "test": 0.5}, by="meta.group"))),
        "classes": st.sampled_from((ClassesPlan(order=("car",)), ClassesPlan(unknown="add"))),
    }
)


def spooled(folder: Path, contents: list[bytes], target: str = "assignment") -> Index:
    """Rows as if they had been fetched."""
    spool = Spool(folder / "spool")
    page = read_page(b'{"results": [' + b",".join(contents) + b"]}", target)
    spool.append({"t": "some"}, [Kept(each.key, each.as_kept(), each.id) for each in page.rows])
    return Index(folder / "index.sqlite", spool)


def written(folder: Path, index: Index, plan: ExportPlan) -> tuple[Any, dict[str, Any]]:
    """Decide and write; the report, and what the verifiers say."""
    decider = Decider(plan, index)
    decider.look()
    decided = decider.decide()
    folders = {each.name: folder / each.name for each in plan.formats}
    for each in folders.values():
        each.mkdir(parents=True)
    quarantine = folder / "quarantine.jsonl"
    export = Export(plan, index, folders, metadata=folder / "metadata", quarantine=quarantine, seen=decided.classes)
    done = export.run()
    outcome = Outcome(decided=decided, written=done)
    report = make_report(plan, outcome, None, dry_run=False, interrupted=False, started=0)
    return report, {name: check_format(name, path, done.rows[name]) for name, path in folders.items()}


def plan_of(folder: Path, names: list[str], **said: Any) -> ExportPlan:
    formats = tuple(FormatPlan(name=name) for name in names)
    return ExportPlan(name="x", target="assignment", project=1, formats=formats, output=str(folder), **said)


@settings(max_examples=60 if "SYNAPSE_SKILLS_ROUNDS" in os.environ else 8)
@given(st.lists(st.one_of(payloads, damaged_payloads, nearly_payloads(), any_json), max_size=5), PLANS)
def test_read_is_written_plus_lost(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Any], said: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    contents = [encoded(row(document, "assignment", number)) for number, document in enumerate(documents, 1)]
    index = spooled(folder, contents)
    # The model of the report refuses to be built unless it adds up, for every format.
    report, verified = written(folder / "a", index, plan_of(folder, list(FORMATS), **said))
    assert report.records.read == len(documents)
    for name, found in verified.items():
        assert [problem for problem in found.problems if problem.severity == "error"] == [], name
    assert not any("writer-failed" in counts.lost for counts in report.annotations.formats.values())


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ["coco", "yolo", "synapse_json"], classes=ClassesPlan(unknown="add"))
    sums = []
    for turn in ("one", "two"):
        contents = list(rows(12, seed=3, broken=0.2))
        # In whichever order they came.
        index = spooled(tmp_path / turn, contents if turn == "one" else contents[::-1])
        written(tmp_path / turn / "out", index, plan)
        files = sorted(path for path in (tmp_path / turn / "out").rglob("*") if path.is_file())
        sums.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert sums[0] == sums[1] and len(sums[0]) > 24


def test_a_writer_that_fails_loses_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synapse_skills.formats import coco

    def write(self: Any, item: Any) -> Any:
        raise RuntimeError("a bug")

    writer = type(FORMATS["coco"].write(_made(tmp_path / "probe"), _settings()))
    monkeypatch.setattr(writer, "write", write)
    assert coco
    index = spooled(tmp_path, list(rows(3)))
    report, _ = written(tmp_path / "out", index, plan_of(tmp_path, ["coco", "synapse_json"]))
    assert report.annotations.formats["coco"].lost == {"writer-failed": report.annotations.read}
    assert report.annotations.formats["synapse_json"].lost == {}
    assert report.exit_code == 5


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _settings() -> Any:
    from synapse_skills.formats.base import Settings
    from synapse_skills.formats.classes import Classes

    return Settings(Classes(ClassesPlan()), options=FORMATS["coco"].complete({}))


@pytest.mark.heavy
def test_memory_stays_flat(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        spool = Spool(folder / "spool")
        for number, content in enumerate(rows(count), 1):
            spool.append({"t": "some"}, [Kept(number, content, number)])
        tracemalloc.start()
        index = Index(folder / "index.sqlite", spool)
        written(folder / "out", index, plan_of(folder, ["coco", "yolo"], classes=ClassesPlan(unknown="add")))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(50)
    small, large = peak(300), peak(3000)
    assert large < small + (4 << 20), json.dumps([small, large])
