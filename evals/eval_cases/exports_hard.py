"""Exports on a bad day: died half-way, everything wrong at once; and a ground truth with its own parts."""

from __future__ import annotations

import json
from typing import Any

from eval_cases.case import EXPORT, Case, Place
from eval_cases.exports import OTHERS
from eval_cases.hands import Hands
from eval_cases.reading import boxes, coco_boxes, complete, found, same, stem
from eval_cases.wrong import Wrong
from planning import export_readers as readers
from planning.export_world import Labelled, box, outline, seed_of

# ---- died half-way

LINE = [Labelled(7000 + at, f"line_{at:03}.png", (box("crack", 1 + at % 40, 2, 6, 5.5),)) for at in range(90)]


def _line(size: int) -> dict[str, Any]:
    # Small pages, so that there is a half-way.
    return dict(seed_of({71: ("Line 4", LINE)}, settings={"page_size": 20, "max_page_size": 20}))


def _line_boxes(place: Place) -> str:
    return same("boxes", coco_boxes(found(place, "instances.json")), boxes(LINE))


def _killed(hands: Hands) -> None:
    words = ("plan_export", "--project", "Line 4", "--format", "coco", "--split", "none", "--originals", "none")
    plan = hands.plan(*words, "--output", "cracks", "--set", "classes.unknown=add")
    hands.faults({"kind": "slow", "route": "assignments.list", "after": 2, "seconds": 60})
    spool = hands.place.user / hands.home(plan) / "state"
    before = _size(spool)
    hands.die(plan, lambda: _size(spool) > before + 4000)


def _size(folder: Any) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _go_on(hands: Hands) -> None:
    hands.job(hands.plan("plan_export", "--project", "Line 4"))


DIED = Case(
    name="export-died-halfway",
    skill=EXPORT,
    prompt="My export of Line 4 was cut off when the laptop went to sleep. Please finish it.",
    knows="""
- It was begun from this folder, with this tool: COCO, no pictures, into `cracks`. You agreed to that plan.
- Nothing should be different now.
""",
    expected="The export in `cracks` is complete, with all 90 records.",
    expectations={
        "every box of the 90 pictures is there": _line_boxes,
        "it lies in cracks and is complete": lambda place: f"{found(place, 'COMPLETE', 'cracks')} is there",
    },
    seed=_line,
    ideal=_go_on,
    past=_killed,
)

# ---- everything goes wrong

AISLE = outline("aisle", (0, 40), (60, 40), (60, 47))
WAREHOUSE = [
    *(
        Labelled(
            8000 + at,
            f"rack_{at:02}.png",
            (box("pallet", 2 + at, 3, 9, 7.5), *([AISLE] if at % 4 == 0 else [])),
        )
        for at in range(20)
    ),
    Labelled(8100, "rack_discarded.png", (box("pallet", 1, 1, 5, 5),), {"is_discarded": True}),
    Labelled(8101, "rack_empty.png", (), {"status_label": "done"}),
]
KEPT = WAREHOUSE[:20]


def _pallets(place: Place) -> str:
    objects = {}
    for path in found(place, "Annotations").glob("*.xml"):
        name, rows = readers.voc(path)
        objects[path.stem] = [label for label, _ in rows]
        if not name.endswith(".png"):
            raise Wrong(f"{path.name} is about {name!r}")
    wanted = {stem(each): ["pallet"] for each in KEPT}
    # Whether a picture without a label is exported is the user's choice, and both are right here.
    objects.pop("rack_empty", None)
    if objects != wanted:
        raise Wrong(f"{len(objects)} pictures: {sorted(set(objects) ^ set(wanted))[:5]} differ")
    return f"{len(objects)} pictures, one pallet in each"


def _counted(place: Place) -> str:
    reports = [json.loads(path.read_bytes()) for path in (place.user / "synapse-jobs").rglob("state/report.json")]
    done = [report for report in reports if report.get("annotations", {}).get("formats", {}).get("voc")]
    if not done:
        raise Wrong("no report of an export to Pascal VOC")
    counts = max(done, key=lambda report: str(report["started"]))["annotations"]
    lost = sum(counts["formats"]["voc"]["lost"].values())
    if lost < 5 or counts["read"] != counts["formats"]["voc"]["written"] + lost:
        raise Wrong(f"the report counts {counts}")
    return f"read {counts['read']}, written {counts['formats']['voc']['written']}, lost {lost}"


def _answered(document: dict[str, Any]) -> list[str]:
    sets: list[str] = []
    wishes = {"filter.discarded": False, "originals": "none", "split.ratios": "none"}
    for question in document["questions"]:
        key, options = question["key"], question["options"]
        value = wishes.get(key, options[0]["value"] if options else "")
        if key.startswith("losses."):
            value = "accept"
        sets += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return sets


def _wrong_all_the_way(hands: Hands) -> None:
    hands.run("plan_export", "--project", "Warehose", "--format", "voc", expect=4)
    words = ["plan_export", "--project", "Warehouse", "--format", "voc", "--output", "voc"]
    document = hands.run(*words, expect=4)
    sets: list[str] = []
    for _ in range(4):
        sets += _answered(document)
        try:
            document = hands.run(*words, *sets)
            break
        except Wrong:
            hands.commands -= 1
            document = hands.run(*words, *sets, expect=4)
    hands.job(document)


GOES_WRONG = Case(
    name="export-everything-goes-wrong",
    skill=EXPORT,
    prompt="Export the Warehose project as Pascal VOC into voc/, and hurry.",
    knows="""
- You mean "Warehouse".
- You want the pallets. Told that Pascal VOC cannot hold the outlines of the aisles: leave them out, that is fine.
- Discarded records: leave them out. Pictures without labels: you do not care.
- No pictures, no split.
""",
    expected="Pascal VOC with one pallet in each of the 20 pictures, over a bad line; the outlines count as lost.",
    expectations={
        "every pallet is there, the discarded record is not": _pallets,
        "the report counts the outlines as lost, and nothing is unaccounted for": _counted,
        "it is complete": complete,
    },
    seed=lambda size: seed_of({81: ("Warehouse", WAREHOUSE), 82: ("Warehouse pilot", OTHERS)}),
    faults=(
        {"kind": "status", "route": "assignments.list", "on": [2], "status": 503},
        {"kind": "drop", "route": "assignments.list", "on": [4]},
        {"kind": "status", "route": "assignments.list", "on": [6], "status": 429, "retry_after": 1},
        {"kind": "login-page", "route": "assignments.list", "on": [8]},
    ),
    ideal=_wrong_all_the_way,
)

# ---- a ground truth with its own parts

CATS = [Labelled(9000 + at, f"cat_{at:02}.png", (box("cat", 1 + at, 2, 10, 12),)) for at in range(15)]
PARTS = ("train", "train", "validation", "train", "test")
VERSIONS = [
    {"id": 31, "version": "1.0", "records": [{"assignment": each.id, "category": "train"} for each in CATS[:5]]},
    {
        "id": 32,
        "version": "1.1",
        "records": [{"assignment": each.id, "category": PARTS[at % 5]} for at, each in enumerate(CATS)],
    },
]


def _cats(size: int) -> dict[str, Any]:
    truth = {"id": 30, "name": "Gold cats", "project": 91, "versions": VERSIONS}
    return dict(seed_of({91: ("Cats", CATS)}, ground_truths=[truth]))


def _own_parts(place: Place) -> str:
    folder = found(place, "instances_train.json").parent
    words = {"train": "train", "validation": "val", "test": "test"}
    told = []
    for part in ("train", "val", "test"):
        mine = [each for at, each in enumerate(CATS) if words[PARTS[at % 5]] == part]
        told.append(same(part, coco_boxes(folder / f"instances_{part}.json"), boxes(mine)))
    return "; ".join(told)


def _truth(hands: Hands) -> None:
    hands.run("list_resources", "ground-truths")
    words = ("plan_export", "--target", "ground_truth", "--ground-truth-version", "32", "--format", "coco")
    hands.job(hands.plan(*words, "--split", "own", "--originals", "none"))


TRUTH = Case(
    name="export-ground-truth-parts",
    skill=EXPORT,
    prompt="고양이 정답셋(Gold cats) 최신 버전을 COCO로 받아줘. 학습/검증/테스트는 이미 나눠져 있으니 그대로 써 줘.",
    knows="""
- 최신 버전은 1.1이다. id는 모른다.
- 이미지는 필요 없다.
""",
    expected="COCO of version 1.1 in the three parts that its records name.",
    expectations={"every record is in the part that it names, box for box": _own_parts, "it is complete": complete},
    seed=_cats,
    ideal=_truth,
)

CASES = (DIED, GOES_WRONG, TRUTH)
