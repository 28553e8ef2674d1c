"""Random records under random plans: parts give the bytes and the counts of one writer."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from parallel_work import Posted

from annotations import worlds
from annotations.worlds import encoded
from export_fixture import row
from synapse_skills.export_plan import ClassesPlan, ExportPlan, FormatPlan, SplitPlan
from synapse_skills.formats import FORMATS
from synapse_skills.job.export import parts
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.originals import Store
from synapse_skills.job.export.output import Output
from synapse_skills.job.export.part_work import decider_of
from synapse_skills.job.export.reporting import Outcome
from synapse_skills.job.export.rows import read_page
from synapse_skills.job.export.spool import Kept, Spool
from synapse_skills.job.export.writing import Writing
from synapse_skills.job.progress import Progress

ROUNDS = int(os.environ.get("SYNAPSE_SKILLS_ROUNDS", "12"))
NAMES = ("a.png", "A.png", "사진.png", "CON.jpg", "x" * 300 + ".png", "..", "é.png", "e\u0301.png")
ODD: tuple[Any, ...] = (
    None,
    {},
    [],
    [1],
    "x",
    {"annotations": 5},
    {"mode": "presigned"},
    {"annotations": {"image_1": [{}]}},
)
SPLITTING = [name for name, form in FORMATS.items() if form.splits]


def rows(random: Random) -> list[Any]:
    """Records of any kind; some share a data unit, some a name, some can't be read."""
    made = []
    for number in range(1, random.choice((2, 9, 40))):
        kind = random.random()
        data = worlds.payload(random) if kind < 0.5 else worlds.damaged(random) if kind < 0.85 else random.choice(ODD)
        one = row(number, name=random.choice((f"p{number}.png", *NAMES)))
        unit = one["data_unit"] | {"id": random.randint(1, 50)}
        unit["files"]["image_1"]["checksum"] = f"{random.randrange(9):040x}"
        made.append(one | {"id": number * 3, "data_unit": unit, "data": data, "is_discarded": random.random() < 0.1})
    return made


def plan_of(random: Random) -> ExportPlan:
    ratios = random.choice(({"train": 0.8, "val": 0.2}, {"train": 0.5, "val": 0.3, "test": 0.2}))
    by, dealt = (
        random.choice(("record", "data_unit", "category", "checksum", "meta.group")),
        random.choice(("none", "class")),
    )
    names = random.sample(SPLITTING, random.randint(1, 4))
    return ExportPlan(
        name="x",
        target="assignment",
        project=1,
        formats=tuple(
            FormatPlan(name=name, options={each.name: random.choice(each.choices) for each in FORMATS[name].options})
            for name in names
        ),
        classes=random.choice((ClassesPlan(unknown="add"), ClassesPlan(order=("car",), drop=("a/b",)))),
        split=random.choice((None, SplitPlan(ratios=ratios, by=by, stratify=dealt))),
        empty=random.choice(("keep", "drop")),
        duplicates=random.choice(("best", "newest", "all")),
        naming=random.choice(("original", "id")),
        geometry=random.choice(("clamp", "drop")),
        output="x",
    )


def written(folder: Path, spool: Spool, plan: ExportPlan, crew: Posted | None) -> tuple[dict[str, bytes], Any, Any]:
    """Decide and write: all files, what was decided, what was counted."""
    folder.mkdir()
    index = Index(folder / "index.sqlite", spool)
    decider = decider_of(plan, index, crew, keep=None, limit=None, on_record=lambda count: None)
    decider.look()
    decided = decider.decide()
    output = Output(folder / "output", plan)
    output.folder.mkdir()
    outcome, store = Outcome(), Store(folder / "originals")
    writing = Writing(plan, index, store, folder, outcome, Progress(quiet=True), lambda count: None, crew=crew)
    export = writing._export(output, decided, with_originals=False)
    index.close()
    files = [path for path in (*output.folder.rglob("*"), folder / "quarantine.jsonl") if path.is_file()]
    contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return contents, dataclasses.asdict(decided), dataclasses.asdict(export.done)


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.heavy) if seed > 2 else seed for seed in range(1, ROUNDS + 1)]
)
def test_parts_give_what_one_writer_gives(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(seed)
    size = random.choice((1, 4, 13))
    monkeypatch.setattr(parts, "RECORDS", size)
    monkeypatch.setattr(parts, "LEAST", size)
    plan, spool = plan_of(random), Spool(tmp_path / "spool")
    page = read_page(b'{"results": [' + b",".join(map(encoded, rows(random))) + b"]}", "assignment")
    spool.append({"t": "some"}, [Kept(each.key, each.as_kept(), each.id) for each in page.rows])
    alone, crew = written(tmp_path / "alone", spool, plan, None), Posted()
    assert written(tmp_path / "parts", spool, plan, crew) == alone
    assert crew.done.count("write") == -(-len(page.rows) // size)
    spool.close()
