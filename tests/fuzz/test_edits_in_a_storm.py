"""Records that people change, add and delete while an export runs on a bad backend, killed and started again."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from export_fixture import ExportJob, boxes, row
from fuzz.calling import ROUNDS
from synapse_skills.export_plan import ClassesPlan, ExportLimits, FormatPlan

pytestmark = pytest.mark.heavy

PATIENCE = {"SYNAPSE_SKILLS_PATIENCE_S": "20"}
FORMATS = tuple(FormatPlan(name=name) for name in ("coco", "synapse_json", "csv"))


def job_of(folder: Path, first: ExportJob) -> ExportJob:
    return ExportJob(
        folder, first.box, first.project, formats=FORMATS, classes=ClassesPlan(unknown="add"),
        limits=ExportLimits(page_size=4, workers=4),
    )  # fmt: skip


def edit_somewhere(box: Any, ids: list[int], random: Random, job: ExportJob, numbers: itertools.count[int]) -> None:
    """Someone labels anew, throws away, or begins another."""
    turn = random.random()
    if turn < 0.2 and len(ids) > 5:
        box.edit({"target": "assignment", "id": ids.pop(random.randrange(len(ids))), "delete": True})
    elif turn < 0.4:
        ids += [made["id"] for made in job.label(row(next(numbers), boxes(random.randrange(4))))]
    else:
        label = random.choice(("car", "person", "새 차"))
        data = boxes(random.randrange(5), label=label)
        box.edit({"target": "assignment", "id": random.choice(ids), "data": data})


@pytest.mark.parametrize("seed", range(20 if ROUNDS else 3))
def test_what_was_edited_last_is_what_is_exported(seed: int, export_job: ExportJob) -> None:
    random, box, numbers = Random(seed), export_job.box, itertools.count(100)
    ids = [made["id"] for made in export_job.label(*(row(number) for number in range(40)))]
    box.set(wrap_bytes=random.choice((None, 1)))
    stormy = job_of(export_job.folder / "stormy", export_job)
    kinds = ("status", "drop", "slow", "truncated", "cut-off")
    for _ in range(3):
        rules = [{"kind": kind, "route": "api", "probability": 0.05} for kind in kinds]
        box.set_faults(*(rule | ({"status": 503} if rule["kind"] == "status" else {}) for rule in rules), seed=seed)
        run = stormy.start(**PATIENCE)
        end = time.monotonic() + random.uniform(0.2, 2.0)
        while run.poll() is None and time.monotonic() < end:
            edit_somewhere(box, ids, random, export_job, numbers)
            time.sleep(0.02)
        run.kill()
        said = "\n".join(run.communicate(timeout=60))
        assert "Traceback" not in said and "Unexpected" not in said, said
    box.set_faults()
    # Nobody edits any more: the next whole run has all of it, as one that began only now.
    stormy.run(**PATIENCE)
    calm = job_of(export_job.folder / "calm", export_job)
    calm.run(**PATIENCE)
    assert stormy.report()["records"]["read"] == len(ids)
    assert stormy.bytes() == calm.bytes()
