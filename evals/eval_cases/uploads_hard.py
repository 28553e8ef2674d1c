"""Uploads on a bad day: died half-way, refused, a dirty workbook, everything at once."""

from __future__ import annotations

import json
from typing import Any

from eval_cases.case import UPLOAD, Case, Files, Place
from eval_cases.checks import Sums, arrived, described, names_written, nothing_in, sums_of, untouched
from eval_cases.hands import Hands
from eval_cases.making import IMAGE, LABEL, SCAN, collection, png, tenant, tree, workbook
from eval_cases.uploads import ROADS, SCANS, numbered
from eval_cases.wrong import Wrong

PILOT = 65


def pairs(folder: str, units: list[str]) -> dict[str, dict[str, str]]:
    """Each folder is a data unit with a picture and a label."""
    return {unit: {"image_1": f"{folder}/{unit}/image.png", "label_1": f"{folder}/{unit}/label.json"} for unit in units}


def pair_files(folder: str, units: list[str]) -> dict[str, bytes]:
    """The same as files."""
    return tree(*(path for parts in pairs(folder, units).values() for path in parts.values()))


# ---- died half-way

SHIFT = numbered("board", 40)


def _boards(size: int) -> Files:
    return pair_files("boards", SHIFT)


def _board_units(place: Place) -> dict[str, Sums]:
    return sums_of(_boards(0), pairs("boards", SHIFT))


def _killed(hands: Hands) -> None:
    words = ("plan_upload", "boards", "--collection", str(SCANS), "--set", "limits.batch_size=8")
    plan = hands.plan(*words, "--set", "limits.settle_after_s=3")
    # The third list of data units is made, but nobody hears of it any more: that is when the machine goes down.
    hands.faults({"kind": "slow-after-commit", "route": "units.create", "after": 2, "seconds": 60})
    hands.die(plan, lambda: len(hands.place.backend.units(SCANS)) > 10)


def _go_on(hands: Hands) -> None:
    home = hands.place.user / "synapse-jobs" / "boards"
    status = json.loads((home / "dry_run.json").read_bytes())
    hands.job(hands.plan("plan_upload", "boards") if status["planned"] else {})


def _in_one_state(place: Place) -> str:
    jobs = sorted(path.name for path in (place.user / "synapse-jobs").iterdir())
    if jobs != ["boards"]:
        raise Wrong(f"jobs: {jobs}; the one that died should have been finished")
    report = json.loads((place.user / "synapse-jobs" / "boards" / "state" / "report.json").read_bytes())
    if (report["planned"], report["created"] + report["already"]) != (len(SHIFT), len(SHIFT)):
        raise Wrong(f"planned {report['planned']}, created {report['created']}, already {report['already']}")
    return f"the same job was finished: {report['created']} created, {report['already']} already there"


DIED = Case(
    name="upload-died-halfway",
    skill=UPLOAD,
    prompt=(
        "어제 boards 폴더를 올리다가 컴퓨터가 꺼졌어. "
        "어디까지 올라갔는지 모르겠는데, 이어서 마무리해 줘. 중복되면 안 돼!"
    ),
    knows="""
- 같은 폴더에서, 이 도구로 올리고 있었다. 어제 계획은 봤고 승인했다. 지금도 같은 계획이면 진행해도 된다.
- 파일은 그 뒤로 바뀌지 않았다.
""",
    expected="All 40 data units are there, each once, although some were made without an answer.",
    expectations={
        "every board is a data unit, exactly once": arrived(SCANS, _board_units),
        "the job that died was finished, not begun anew": _in_one_state,
        "the user's files are untouched": untouched(_boards),
    },
    files=_boards,
    seed=lambda size: tenant(collection(SCANS, "Boards", IMAGE, LABEL)),
    ideal=_go_on,
    past=_killed,
)

# ---- why did it fail?

LENSES = numbered("lens", 24)
REFUSED = ("lens_005", "lens_009", "lens_013", "lens_020", "lens_022")


def _lenses(size: int) -> Files:
    rows = [("name", "operator"), *((unit, "temp-worker" if unit in REFUSED else "Kim") for unit in LENSES)]
    return {**pair_files("lenses", LENSES), "lenses.xlsx": workbook(rows)}


def _lens_units(place: Place) -> dict[str, Sums]:
    return sums_of(_lenses(0), pairs("lenses", LENSES))


def _refused(hands: Hands) -> None:
    words = ("plan_upload", "lenses", "--collection", str(SCANS), "--excel", "lenses.xlsx")
    plan = hands.plan(*words, "--set", "metadata.key=name", "--set", "limits.settle_after_s=3")
    hands.faults({"kind": "poison", "contains": "temp-worker"})
    hands.job(plan, expect=5)


def _send_again(hands: Hands) -> None:
    report = json.loads((hands.place.user / "synapse-jobs" / "lenses" / "state" / "report.json").read_bytes())
    assert report["failed"] == len(REFUSED)
    (hands.place.user / "failed.txt").write_text("\n".join(REFUSED) + "\n")
    hands.job(hands.plan("plan_upload", "lenses"), "--retry-failed")


WHY_FAILED = Case(
    name="upload-why-did-it-fail",
    skill=UPLOAD,
    prompt=(
        "Yesterday's upload of the lenses failed, why? Write me the names of the ones that did not make it into "
        "failed.txt, one a line, so that I can ask the people at the line."
    ),
    knows=f"""
- You ran the upload from this folder with this tool, from the folder `lenses`.
- Once you have been told that the backend refused {len(REFUSED)} data units, and the file is written, you say: "Ah,
  that was a rule of our admin about temp workers. It is gone now. Then send those again, please."
- Agree to that going on with the same plan as yesterday.
""",
    expected="failed.txt names the five; afterwards all 24 are there, each once.",
    expectations={
        "failed.txt names exactly those that the backend refused": names_written("failed.txt", set(REFUSED)),
        "all lenses are data units, exactly once": arrived(SCANS, _lens_units),
        "with their metadata": described(
            SCANS,
            _lens_units,
            {unit: {"operator": "temp-worker" if unit in REFUSED else "Kim"} for unit in LENSES},
        ),
    },
    files=_lenses,
    seed=lambda size: tenant(collection(SCANS, "Lenses", IMAGE, LABEL)),
    ideal=_send_again,
    past=_refused,
)

# ---- a dirty workbook

BATCH = numbered("sample", 12)
BATCH_SCHEMA = {
    "type": "object",
    "required": ["site", "taken", "grade"],
    "properties": {
        "site": {"type": "string", "pattern": "^[0-9]{3}$"},
        "taken": {"type": "string", "format": "date"},
        "grade": {"type": "integer", "minimum": 1, "maximum": 5},
        "name": {"type": "string"},
        "dataset_key": {"type": "string"},
        "sample": {"type": "string"},
    },
    "additionalProperties": False,
}
# What is wrong with which row: a grade that does not exist, no site, said twice and differently, not in the sheet.
BAD_ROWS = {"sample_003": ("007", "2026-07-03", 9), "sample_006": (None, "2026-07-06", 2)}
TWICE, NO_ROW = "sample_009", "sample_012"
GOOD = [unit for unit in BATCH if unit not in {*BAD_ROWS, TWICE, NO_ROW}]


def _row(unit: str) -> tuple[str, str, int]:
    number = int(unit[-3:])
    return f"{number:03}", f"2026-07-{number:02}", 1 + number % 5


def _batch(size: int) -> Files:
    rows: list[tuple[Any, ...]] = [("sample", "site", "taken", "grade")]
    for unit in BATCH:
        if unit != NO_ROW:
            rows.append((unit, *BAD_ROWS.get(unit, _row(unit))))
        if unit == TWICE:
            rows.append((unit, "777", "2026-07-09", 1))
    rows.append(("sample_099", "099", "2026-07-31", 3))
    return {**pair_files("batch", BATCH), "lab sheet.xlsx": workbook(rows)}


def _batch_units(place: Place) -> dict[str, Sums]:
    return sums_of(_batch(0), pairs("batch", GOOD))


def _dirty(hands: Hands) -> None:
    words = ["plan_upload", "batch", "--collection", str(SCANS), "--excel", "lab sheet.xlsx"]
    words += ["--set", "metadata.key=sample"]
    answers: dict[str, str] = {}
    for _ in range(4):
        sets = [word for key, value in answers.items() for word in ("--set", f"{key}={value}")]
        document = _said(hands, [*words, *sets])
        if document["status"] == "ready":
            hands.job(document)
            return
        for question in document["questions"]:
            answers[question["key"]] = _leaving_out(question)
    raise Wrong("no plan after four rounds")


def _said(hands: Hands, words: list[str]) -> dict[str, Any]:
    try:
        return hands.run(*words, expect=4)
    except Wrong:
        hands.commands -= 1
        return hands.run(*words)


def _leaving_out(question: dict[str, Any]) -> str:
    if question["key"] == "metadata.rows":
        return "none"
    values = [option["value"] for option in question["options"] if option["value"] != "stop"]
    if question["multiSelect"]:
        return json.dumps(values)
    return str(values[0])


def _others_named(place: Place) -> str:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (place.user / "synapse-jobs").rglob("left_out.jsonl"))
    unnamed = [unit for unit in BATCH if unit not in GOOD and unit not in text]
    if unnamed or any(unit in text for unit in GOOD):
        raise Wrong(f"not named as left out: {unnamed}")
    return f"{len(BATCH) - len(GOOD)} are named with the reason"


DIRTY = Case(
    name="upload-dirty-workbook",
    skill=UPLOAD,
    prompt=(
        "Please upload batch/ to collection 57. The metadata is in 'lab sheet.xlsx', but I'm afraid it's a bit messy."
    ),
    knows="""
- The column `sample` is the name of the folder.
- One sample is in the sheet twice, with different values; you do not know which row is right.
- You cannot mend the sheet today. Whatever has no good row stays at home for now; the good ones should go.
- Site numbers have three digits and keep their zeros.
- sample_099 is in the sheet but was never delivered; you know that.
""",
    expected="The 8 data units with a good row have arrived with it; the other four are named.",
    expectations={
        "the eight with a good row are there, once, and no other": arrived(SCANS, _batch_units),
        "each carries its row, zeros kept, grades as numbers": described(
            SCANS, _batch_units, {unit: dict(zip(("site", "taken", "grade"), _row(unit), strict=True)) for unit in GOOD}
        ),
        "the four that stayed at home are named in a file": _others_named,
        "the user's files are untouched": untouched(_batch),
    },
    files=_batch,
    seed=lambda size: tenant(collection(SCANS, "Lab samples", IMAGE, LABEL, schema=BATCH_SCHEMA)),
    ideal=_dirty,
)

# ---- everything goes wrong

DELIVERY = [*numbered("scene", 14), "도로 사진"]
BROKEN = {"scene_002", "scene_005", "scene_008", "scene_011"}
WHOLE = [unit for unit in DELIVERY if unit not in BROKEN]


def _delivery(size: int) -> Files:
    files = pair_files("delivery", DELIVERY)
    files["delivery/scene_002/image.png"] = b""
    files["delivery/scene_005/image.png"] = b"<html><body>403 Forbidden</body></html>"
    del files["delivery/scene_008/label.json"]
    del files["delivery/scene_011/image.png"]
    files["delivery/scene_003/Thumbs.db"] = b"\xd0\xcf\x11\xe0"
    files["delivery/scene_004/contact sheet.bmp"] = b"BM" + png("sheet")
    return {**files, "delivery/README.pdf": b"%PDF-1.4\n"}


def _delivered(place: Place) -> dict[str, Sums]:
    return sums_of(_delivery(0), pairs("delivery", WHOLE))


def _broken_named(place: Place) -> str:
    jobs = place.user / "synapse-jobs"
    text = "\n".join(path.read_text(encoding="utf-8") for path in jobs.rglob("left_out.jsonl"))
    if unnamed := sorted(unit for unit in BROKEN if unit not in text):
        raise Wrong(f"not named as left out: {unnamed}")
    return f"{len(BROKEN)} are named with the reason"


def _wrong_all_the_way(hands: Hands) -> None:
    words = ["plan_upload", "delivery", "--collection", "Road sceens"]
    hands.run(*words, expect=4)
    words[-1] = str(ROADS)
    document = hands.run(*words, expect=4)
    answers: list[str] = []
    for _ in range(3):
        for question in document["questions"]:
            answers += ["--set", f"{question['key']}={_leaving_out(question)}"]
        document = _said(hands, [*words, *answers])
        if document["status"] == "ready":
            break
    hands.job(document)


GOES_WRONG = Case(
    name="upload-everything-goes-wrong",
    skill=UPLOAD,
    prompt="Upload everything in delivery/ to 'Road sceens'. It has to be there before the meeting!",
    knows="""
- You mean the collection "Road scenes". You did not notice the mistake.
- Some of the delivery is broken; you did not know. Told what is broken: leave exactly those out, the rest must go.
- The PDF, the contact sheet (bmp) and such things are not needed.
""",
    expected="The 11 scenes that are whole have arrived once, over a bad line; the four broken ones are named.",
    expectations={
        "every whole scene is a data unit, exactly once, and no other": arrived(ROADS, _delivered),
        "the four broken ones are named in a file": _broken_named,
        "no other collection was touched": nothing_in(PILOT),
        "the user's files are untouched": untouched(_delivery),
    },
    files=_delivery,
    seed=lambda size: tenant(
        collection(ROADS, "Road scenes", IMAGE, LABEL), collection(PILOT, "Road scenes pilot", IMAGE, LABEL, SCAN)
    ),
    faults=(
        {"kind": "status", "route": "files.presign", "on": [1], "status": 503},
        {"kind": "drop", "route": "PUT /", "on": [3, 7]},
        {"kind": "status", "route": "files.confirm", "on": [2], "status": 429, "retry_after": 1},
        {"kind": "login-page", "route": "files.confirm", "on": [4]},
        {"kind": "status", "route": "units.list", "on": [1], "status": 502, "body": "html"},
    ),
    ideal=_wrong_all_the_way,
)

CASES = (DIED, WHY_FAILED, DIRTY, GOES_WRONG)
