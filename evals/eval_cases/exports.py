"""Exports on a good day: nothing known, everything known, rotated boxes, video, a table for Excel, one class list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval_cases.case import EXPORT, Case, Check, Place
from eval_cases.hands import Hands
from eval_cases.reading import Rows, boxes, coco_boxes, complete, found, in_parts, same, stem, with_pictures, yolo_boxes
from eval_cases.wrong import Wrong
from planning import export_readers as readers
from planning.export_world import Labelled, box, outline, seed_of, whole

# ---- nothing known

YARD = [
    Labelled(
        1000 + at,
        f"yard_{at:02}.png",
        tuple(
            box("forklift" if k % 2 else "person", 2 + at % 30, 3 + 9 * k, 8.5, 6) for k in range(1 + at % 3)
        ),
    )
    for at in range(30)
]  # fmt: skip
OTHERS = [Labelled(1100 + at, f"dock_{at}.png", (box("truck", 5, 5, 9, 9),)) for at in range(4)]


def _yard(size: int) -> dict[str, Any]:
    return dict(seed_of({21: ("Yard cameras", YARD), 22: ("Dock cameras", OTHERS)}))


def _yolo(place: Place) -> Path:
    return found(place, "data.yaml").parent


def _yard_boxes(place: Place) -> str:
    parts = yolo_boxes(_yolo(place))
    return same("boxes", {name: rows for part in parts.values() for name, rows in part.items()}, boxes(YARD))


def _nothing_known(hands: Hands) -> None:
    hands.run("plan_export", expect=4)
    words = ("plan_export", "--project", "Yard cameras", "--format", "yolo", "--split", "80/20")
    plan = hands.plan(*words, "--originals", "required", "--output", "yolo-yard")
    hands.job(plan)
    hands.run("verify_export", "yolo-yard")


NOTHING_KNOWN = Case(
    name="export-nothing-known",
    skill=EXPORT,
    prompt="I need our labels for training.",
    knows="""
- The project is the one with the yard cameras. You do not know its id.
- Your trainer wants YOLO, with the pictures, 80 % for training and 20 % for validation.
- Put it into the folder `yolo-yard`.
- You know nothing of reviews, duplicates or seeds: take what is recommended.
""",
    expected="A YOLO dataset of the yard cameras in two parts, with every box and every picture.",
    expectations={
        "every box of the 30 pictures is there, to a hundredth of a pixel": _yard_boxes,
        "train and val have about 80 and 20 per cent, no picture in both": lambda place: in_parts(
            yolo_boxes(_yolo(place)), {"train": 0.8, "val": 0.2}, YARD
        ),
        "every picture is there, byte for byte": with_pictures(_yolo, YARD),
        "it lies in yolo-yard and is complete": lambda place: f"{found(place, 'COMPLETE', 'yolo-yard')} is there",
    },
    seed=_yard,
    ideal=_nothing_known,
)

# ---- everything known

REVIEWS = ("confirmed", "confirmed", "rejected", "pending")
STREET = [
    Labelled(
        2000 + at,
        f"거리 {at:02}.png",
        (box("자동차", 1 + at, 2.5, 10, 12), outline("도로", (0, 40), (63, 40), (63, 47.5), (0, 47))),
        {"status_review": REVIEWS[at % 4], "is_discarded": at == 4},
    )
    for at in range(40)
]
CONFIRMED = [each for at, each in enumerate(STREET) if at % 4 < 2 and at != 4]


def _coco_parts(place: Place) -> dict[str, Rows]:
    folder = found(place, "instances_train.json").parent
    return {path.stem.rpartition("_")[2]: coco_boxes(path) for path in folder.glob("instances_*.json")}


def _street_rows(place: Place) -> str:
    there = {name: rows for part in _coco_parts(place).values() for name, rows in part.items()}
    wanted = {stem(each): [("자동차", list(each.shapes[0].corners)), ("도로", [0, 40, 63, 7.5])] for each in CONFIRMED}
    return same("boxes and outlines", there, wanted)


def _everything_known(hands: Hands) -> None:
    words = ["plan_export", "--project", "12", "--format", "coco", "--split", "80/20", "--originals", "required"]
    words += ["--filter", '{"review": "confirmed"}', "--output", "dataset"]
    hands.job(hands.plan(*words, "--set", "filter.discarded=false"))
    hands.run("verify_export", "dataset")


EVERYTHING_KNOWN = Case(
    name="export-everything-known",
    skill=EXPORT,
    prompt=(
        "12번 프로젝트에서 검수 확정된 것만 COCO로 내보내 줘. 폐기된 건 빼고, "
        "학습/검증은 8:2, 이미지도 같이, dataset 폴더에."
    ),
    knows="""
- 말한 그대로다. 다른 것은 권하는 대로 한다.
""",
    expected="COCO with the 19 confirmed records, boxes and outlines, in two parts, with their pictures.",
    expectations={
        "exactly the confirmed records are there, with every box and outline": _street_rows,
        "train and val have about 80 and 20 per cent, no picture in both": lambda place: in_parts(
            _coco_parts(place), {"train": 0.8, "val": 0.2}, CONFIRMED
        ),
        "every picture is there, byte for byte": with_pictures(
            lambda place: found(place, "instances_train.json").parent.parent, CONFIRMED
        ),
        "it lies in dataset and is complete": lambda place: f"{found(place, 'COMPLETE', 'dataset')} is there",
    },
    seed=lambda size: seed_of({12: ("거리", STREET), 13: ("거리 연습", OTHERS)}),
    ideal=_everything_known,
)

# ---- rotated boxes

HARBOUR = [
    Labelled(3000 + at, f"tile_{at}.png", (box("ship", 20, 15, 20, 8, turn=0.3 * at), box("crane", 5, 30, 9, 5)))
    for at in range(8)
]


def _turned(place: Place) -> str:
    parts, _ = readers.yolo(_yolo(place))
    there = {
        name: [(label, [value for point in sorted(readers.in_pixels(values)) for value in point])
               for label, values in rows]
        for part in parts.values()
        for name, rows in part.items()
    }  # fmt: skip
    wanted = {
        stem(each): [(shape.label, [value for point in readers.turned(shape) for value in point])
                     for shape in each.shapes]
        for each in HARBOUR
    }  # fmt: skip
    return same("corners", there, wanted)


def _rotated(hands: Hands) -> None:
    words = ("plan_export", "--project", "Harbour", "--format", "yolo_obb", "--split", "none", "--originals", "none")
    hands.job(hands.plan(*words))


ROTATED = Case(
    name="export-rotated-boxes",
    skill=EXPORT,
    prompt="Can I get the harbour project for YOLO? The ships lie at all angles, and the angle matters.",
    knows="""
- The project is "Harbour". You train an oriented-box model.
- No split, the pictures are there already.
- An export in which the ships stand upright is useless to you.
""",
    expected="YOLO OBB: four corners of each box, turned as they were labelled.",
    expectations={"the four corners of every box are where they were labelled": _turned, "it is complete": complete},
    seed=lambda size: seed_of({31: ("Harbour", HARBOUR), 22: ("Dock cameras", OTHERS)}),
    ideal=_rotated,
)

# ---- video captions

CLIPS = [
    Labelled(
        4000 + at,
        f"B8_{at:04}.mp4",
        tuple(whole(f"설명 {k}", description_kr=f"문장 {at}-{k}") for k in range(1, 2 + at % 3)),
        meta={"group": f"B{at // 2}"},
        media="video_1",
    )
    for at in range(7)
]


def _captions(place: Place) -> str:
    rows = readers.table(found(place, "*.csv"))
    there = sorted((row["file_name"], row["class"], row["attr.description_kr"]) for row in rows if row["class"])
    wanted = sorted(
        (each.name, shape.label, shape.attributes["description_kr"]) for each in CLIPS for shape in each.shapes
    )
    if there != wanted:
        raise Wrong(f"{len(there)} captions, not {len(wanted)}; the first is {there[:1]}")
    return f"{len(there)} captions of {len(CLIPS)} clips"


def _clips(hands: Hands) -> None:
    hands.job(hands.plan("plan_export", "--project", "클립", "--format", "csv", "--split", "none"))


VIDEO = Case(
    name="export-video-captions",
    skill=EXPORT,
    prompt="비디오 프로젝트에 달린 설명들을 엑셀에서 보고 싶어. 한글이 깨지면 안 돼.",
    knows="""
- 프로젝트 이름은 "클립"이다.
- 표 하나면 된다: 파일 이름, 분류, 설명. 영상은 필요 없다. 나누지도 않는다.
""",
    expected="A CSV that Excel opens as Korean, with every caption of every clip.",
    expectations={"every caption is a row, with its clip; Excel reads it as Korean": _captions, "complete": complete},
    seed=lambda size: seed_of({41: ("클립", CLIPS), 22: ("Dock cameras", OTHERS)}),
    ideal=_clips,
)

# ---- CSV for Excel

TRICKY = [
    Labelled(5000, "=cmd.png", (box("=SUM(A1)", 1, 2, 3, 4, attributes={"note": "+82 10"}),)),
    Labelled(5001, "보행자.png", (box("보행자, 어린이", 5.5, 6, 7, 8, attributes={"note": 'line\n"two"'}),)),
    Labelled(5002, "plain.png", (box("car", 9, 9, 10, 10, attributes={"note": "fine"}),)),
]


def _tricky(place: Place) -> str:
    rows = readers.table(found(place, "*.csv"))
    # A spreadsheet must not take a text for a formula; a quote, tab or space before it is how that is avoided.
    there = {row["file_name"].lstrip("' \t"): row for row in rows}
    for each in TRICKY:
        row, shape = there[each.name], each.shapes[0]
        numbers = [float(row[key]) for key in ("x", "y", "width", "height")]
        if row["class"].lstrip("' \t") != shape.label or numbers != list(shape.corners):
            raise Wrong(f"{each.name}: {row}")
        if row["attr.note"].lstrip("' \t").replace("\r\n", "\n") != shape.attributes["note"]:
            raise Wrong(f"{each.name}: the note is {row['attr.note']!r}")
    return f"{len(rows)} rows, value for value"


def _no_formulas(place: Place) -> str:
    rows = readers.table(found(place, "*.csv"))
    bad = [value for row in rows for value in row.values() if (value and value[0] in "=@\t\r") or value == "+82 10"]
    if bad or not rows:
        raise Wrong(f"a spreadsheet takes these for formulas: {bad}")
    return "no cell begins a formula"


def _excel(hands: Hands) -> None:
    hands.job(hands.plan("plan_export", "--project", "QA list", "--format", "csv", "--split", "none"))


EXCEL = Case(
    name="export-csv-for-excel",
    skill=EXPORT,
    prompt="Please give me the boxes of the 'QA list' project as a table I can open in Excel.",
    knows="""
- One file. No pictures, no split.
- Some labels are Korean, and some look strange on purpose; they have to look the same in Excel.
""",
    expected="A CSV with a byte order mark, every box a row, and no cell that Excel runs as a formula.",
    expectations={
        "every box is a row, value for value": _tricky,
        "no cell begins a formula": _no_formulas,
        "it is complete": complete,
    },
    seed=lambda size: seed_of({51: ("QA list", TRICKY), 22: ("Dock cameras", OTHERS)}),
    ideal=_excel,
)

# ---- one class list over two projects

NORTH = [
    Labelled(6000 + at, f"north_{at}.png", tuple(box(each, 3 + at, 4, 8, 6) for each in ("truck", "car")[: 1 + at % 2]))
    for at in range(6)
]
SOUTH = [
    Labelled(6100 + at, f"south_{at}.png", (box(("bus", "car", "van")[at % 3], 5, 6 + at, 7, 9),)) for at in range(6)
]
CLASS_LIST = ["car", "truck", "bus"]


def _both(place: Place) -> str:
    for folder in ("north", "south"):
        _, names = readers.yolo(found(place, "data.yaml", folder).parent)
        if names != CLASS_LIST:
            raise Wrong(f"{folder} has the classes {names}, not {CLASS_LIST}")
    return f"both number {CLASS_LIST} from 0"


def _site_boxes(folder: str, records: Sequence[Labelled]) -> Check:
    def check(place: Place) -> str:
        parts = yolo_boxes(found(place, "data.yaml", folder).parent)
        there = {name: rows for part in parts.values() for name, rows in part.items()}
        return same(f"boxes in {folder}", there, boxes(records, {"van": "car"}))

    return check


def _two_projects(hands: Hands) -> None:
    (hands.place.user / "classes.json").write_text(json.dumps({"order": CLASS_LIST, "map": {"van": "car"}}))
    for project, folder in (("North gate", "north"), ("South gate", "south")):
        words = ("plan_export", "--project", project, "--format", "yolo", "--classes", "classes.json")
        hands.job(hands.plan(*words, "--split", "none", "--originals", "none", "--output", folder))


ONE_LIST = Case(
    name="export-one-class-list",
    skill=EXPORT,
    prompt=(
        "Export 'North gate' and 'South gate' for YOLO, into north/ and south/. I train on both together, so the class "
        "numbers have to be the same in both: car, truck, bus."
    ),
    knows="""
- car is 0, truck is 1, bus is 2.
- Asked about vans: a van is a car.
- No split, no pictures: you have them.
""",
    expected="Two YOLO datasets with the same three classes in the same order, vans counted as cars.",
    expectations={
        "both have the classes car, truck, bus, in that order": _both,
        "every box of North gate is there": _site_boxes("north", NORTH),
        "every box of South gate is there, vans as cars": _site_boxes("south", SOUTH),
        "both are complete": complete,
    },
    seed=lambda size: seed_of({61: ("North gate", NORTH), 62: ("South gate", SOUTH)}),
    ideal=_two_projects,
)

CASES = (NOTHING_KNOWN, EVERYTHING_KNOWN, ROTATED, VIDEO, EXCEL, ONE_LIST)
