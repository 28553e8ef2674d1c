"""Uploads on a good day: nothing known, everything known, several places, a conversion, the same again, from S3."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from eval_cases.backend import sha1
from eval_cases.case import UPLOAD, Case, Files, Place
from eval_cases.checks import Sums, arrived, described, nothing_in, sums_of, untouched, with_tasks
from eval_cases.hands import Hands
from eval_cases.making import (
    IMAGE,
    LABEL,
    MASK,
    SCAN,
    collection,
    jpg,
    label,
    pixels,
    png,
    spec,
    tenant,
    tiff,
    tree,
    workbook,
)
from eval_cases.wrong import Wrong

SCANS, OLD_SCANS, FRAMES, CELLS, DEFECTS, ROADS = 57, 58, 61, 62, 63, 64


def numbered(word: str, count: int) -> list[str]:
    """patient_001, patient_002, …"""
    return [f"{word}_{number:03}" for number in range(1, count + 1)]


# ---- nothing known

PATIENTS = numbered("patient", 12)


def _scans(size: int) -> Files:
    files = tree(*(f"scans/{unit}/{name}" for unit in PATIENTS for name in ("image.png", "label.json")))
    files |= tree(*(f"scans/{unit}/scan.dcm" for unit in PATIENTS[::2]))
    return {**files, "scans/.DS_Store": b"\0\0\0\1Bud1"}


def _scan_units(place: Place) -> dict[str, Sums]:
    truth = {
        unit: {"image_1": f"scans/{unit}/image.png", "label_1": f"scans/{unit}/label.json"}
        | ({"scan_1": f"scans/{unit}/scan.dcm"} if unit in PATIENTS[::2] else {})
        for unit in PATIENTS
    }
    return sums_of(_scans(0), truth)


def _two_scan_collections(size: int) -> dict[str, Any]:
    specs = (IMAGE, LABEL, SCAN)
    return tenant(collection(SCANS, "CT scans", *specs), collection(OLD_SCANS, "CT scans 2024 (closed)", *specs))


def _nothing_known(hands: Hands) -> None:
    hands.run("plan_upload", expect=4)
    plan = hands.plan("plan_upload", "scans", "--collection", "CT scans")
    hands.job(plan)


NOTHING_KNOWN = Case(
    name="upload-nothing-known",
    skill=UPLOAD,
    prompt="Hi, I'd like to get some files into Synapse.",
    knows="""
- The files are in the folder `scans` of the working folder, one folder for each patient.
- They go into the collection for CT scans; the closed one of 2024 is not meant. You do not know ids.
- No metadata, no tasks, nothing special.
""",
    expected="12 data units in collection 57, with the DICOM file where there is one, and none in the closed one.",
    expectations={
        "every patient is a data unit of collection 57, once, with all of its files": arrived(SCANS, _scan_units),
        "the closed collection is left alone": nothing_in(OLD_SCANS),
        "the user's files are untouched": untouched(_scans),
    },
    files=_scans,
    seed=_two_scan_collections,
    ideal=_nothing_known,
)

# ---- everything known

STUDY = [(f"00{number}", 30 + number, ("F", "M")[number % 2], date(2026, 7, number)) for number in range(1, 9)]
STUDY_SCHEMA = {
    "type": "object",
    "required": ["patient_id", "age", "sex"],
    "properties": {
        "patient_id": {"type": "string"},
        "age": {"type": "integer"},
        "sex": {"enum": ["F", "M"]},
        "taken": {"type": "string", "format": "date"},
        "name": {"type": "string"},
        "dataset_key": {"type": "string"},
    },
    "additionalProperties": False,
}


def _study(size: int) -> Files:
    files = tree(*(f"스캔/{key}/{name}" for key, *_ in STUDY for name in ("image.png", "label.json")))
    return {**files, "환자.xlsx": workbook([("patient_id", "age", "sex", "taken"), *STUDY])}


def _study_units(place: Place) -> dict[str, Sums]:
    truth = {key: {"image_1": f"스캔/{key}/image.png", "label_1": f"스캔/{key}/label.json"} for key, *_ in STUDY}
    return sums_of(_study(0), truth)


def _everything_known(hands: Hands) -> None:
    words = ("plan_upload", "스캔", "--collection", str(SCANS), "--excel", "환자.xlsx", "--project", "3")
    hands.job(hands.plan(*words, "--set", "metadata.key=patient_id"))


EVERYTHING_KNOWN = Case(
    name="upload-everything-known",
    skill=UPLOAD,
    prompt=(
        "여기 '스캔' 폴더를 57번 데이터 컬렉션에 올려줘. 폴더 하나가 데이터 유닛 하나고, 메타데이터는 환자.xlsx에 있어."
        " 키는 patient_id 열이야. 3번 프로젝트에 태스크도 만들어 줘."
    ),
    knows="""
- 말한 그대로다. 계획이 맞으면 바로 진행하라고 한다.
- patient_id의 앞자리 0은 그대로 있어야 한다.
""",
    expected="8 data units with the row of the workbook as metadata, and a task for each in project 3.",
    expectations={
        "every folder is a data unit of collection 57, once, with both files": arrived(SCANS, _study_units),
        "each carries its row: ids with their zeros, ages as numbers": described(
            SCANS, _study_units, {key: {"patient_id": key, "age": age, "sex": sex} for key, age, sex, _ in STUDY}
        ),
        "each has one task in project 3": with_tasks(3, SCANS, len(STUDY)),
        "the user's files are untouched": untouched(_study),
    },
    files=_study,
    seed=lambda size: tenant(collection(SCANS, "CT scans", IMAGE, LABEL, SCAN, schema=STUDY_SCHEMA)),
    ideal=_everything_known,
)

# ---- three places

SITES = numbered("site", 10)


def _three_places(size: int) -> Files:
    return {
        **{f"nas/photos/{unit}.jpg": jpg(unit) for unit in SITES},
        **{f"from labelers/2026-07/{unit}.json": label(unit) for unit in SITES},
        **{f"masks/{unit}.png": png(f"mask {unit}") for unit in SITES[:6]},
    }


def _site_units(place: Place) -> dict[str, Sums]:
    truth: Mapping[str, Mapping[str, str]] = {
        unit: {"image_1": f"nas/photos/{unit}.jpg", "label_1": f"from labelers/2026-07/{unit}.json"}
        | ({"mask_1": f"masks/{unit}.png"} if unit in SITES[:6] else {})
        for unit in SITES
    }
    return sums_of(_three_places(0), truth)


def _places(hands: Hands) -> None:
    sources = ("image_1=nas/photos", "label_1=from labelers/2026-07", "mask_1=masks")
    words = [word for source in sources for word in ("--source", source)]
    hands.job(hands.plan("plan_upload", *words, "--collection", str(DEFECTS)))


THREE_PLACES = Case(
    name="upload-three-places",
    skill=UPLOAD,
    prompt=(
        "Put these together into the 'Site defects' collection please: the photos are in nas/photos, the labels came "
        "back from the labelers (from labelers/2026-07), and for some of them there are masks in masks/."
    ),
    knows="""
- The same name means the same site: site_001.jpg, site_001.json, site_001.png belong together.
- Only the first six have masks; that is fine, masks are optional.
""",
    expected="10 data units, six of them with a mask.",
    expectations={
        "every site is one data unit with its photo, its labels, and its mask if it has one": arrived(
            DEFECTS, _site_units
        ),
        "the user's files are untouched": untouched(_three_places),
    },
    files=_three_places,
    seed=lambda size: tenant(
        collection(DEFECTS, "Site defects", IMAGE, LABEL, MASK), collection(ROADS, "Road scenes", IMAGE, LABEL)
    ),
    ideal=_places,
)

# ---- TIFF to PNG

SLIDES = numbered("slide", 9)


def _slides(size: int) -> Files:
    return {f"microscopy/day{1 + at % 3}/{unit}.tif": tiff(unit) for at, unit in enumerate(SLIDES)}


def _same_pixels(place: Place) -> str:
    backend = place.backend
    there = sorted(pixels(backend.content(unit.files["image_1"])) for unit in backend.units(CELLS))
    if there != sorted(pixels(tiff(unit)) for unit in SLIDES):
        raise Wrong(f"{len(there)} pictures have arrived, with other pixels than the {len(SLIDES)} slides")
    return f"{len(there)} pictures, pixel for pixel"


def _all_png(place: Place) -> str:
    backend = place.backend
    units = backend.units(CELLS)
    wrong = [unit.id for unit in units if not backend.content(unit.files["image_1"]).startswith(b"\x89PNG")]
    if wrong or not units:
        raise Wrong(f"{len(units)} data units, no PNG in {wrong[:5]}")
    return f"{len(units)} PNG files"


def _convert(hands: Hands) -> None:
    words = ("plan_upload", "microscopy", "--collection", str(CELLS))
    hands.job(hands.plan(*words, "--set", "conversions.tif=.png"))


TIFFS = Case(
    name="upload-convert-tiffs",
    skill=UPLOAD,
    prompt="microscopy 폴더에 tiff 파일들이 있는데 'Cells' 컬렉션은 png만 받는대. 변환해서 올려줘.",
    knows="""
- 사진 하나가 데이터 유닛 하나다. 폴더 이름(day1 …)은 중요하지 않다.
- 원본 tiff 파일은 그대로 두어야 한다.
""",
    expected="9 data units with PNG files whose pixels are those of the slides; the originals are still there.",
    expectations={
        "every slide has arrived once, pixel for pixel": _same_pixels,
        "what arrived are PNG files": _all_png,
        "the originals are untouched": untouched(_slides),
    },
    files=_slides,
    seed=lambda size: tenant(collection(CELLS, "Cells", spec("image_1", "image", ".png", primary=True))),
    ideal=_convert,
)

# ---- the same as last week

PARTS = numbered("part", 5)


def _week(folder: str) -> Files:
    return tree(*(f"{folder}/{unit}/{name}" for unit in PARTS for name in ("a.png", "b.png", "verdict.json")))


def _weeks(size: int) -> Files:
    return {**_week("week29"), **_week("week30")}


def _week_units(folder: str) -> dict[str, Sums]:
    truth = {
        f"{folder} {unit}": {
            "image_1": f"{folder}/{unit}/a.png",
            "mask_1": f"{folder}/{unit}/b.png",
            "label_1": f"{folder}/{unit}/verdict.json",
        }
        for unit in PARTS
    }
    return sums_of(_week(folder), truth)


def _last_week(hands: Hands) -> None:
    words = ("plan_upload", "week29", "--collection", str(DEFECTS), "--project", "3", "--set", 'groups=["line 4"]')
    hands.job(hands.plan(*words, "--set", "specs.mask_1.pattern=b.png"))


def _grouped(place: Place) -> str:
    units = place.backend.units(DEFECTS)
    if len(units) != 2 * len(PARTS) or any(unit.groups != ["line 4"] for unit in units):
        raise Wrong(f"groups: {[unit.groups for unit in units]}")
    return f"{len(units)} data units in the group 'line 4'"


def _this_week(hands: Hands) -> None:
    hands.job(hands.plan("plan_upload", "week30", "--answers", "synapse-jobs/week29/answers.json"))


SAME_AGAIN = Case(
    name="upload-same-as-last-week",
    skill=UPLOAD,
    prompt="Same as last week please, the new folder is week30.",
    knows="""
- Last week's folder was week29; it was uploaded from here, with this tool. You do not remember how.
- Everything should be as it was then: collection, project, groups, which picture is the mask.
""",
    expected="The five data units of week30 beside those of week29, mapped, grouped and given tasks in the same way.",
    expectations={
        "both weeks are in the collection, each data unit once, pictures and masks told apart as last week": arrived(
            DEFECTS, lambda place: {**_week_units("week29"), **_week_units("week30")}
        ),
        "the new ones are in the same group": _grouped,
        "each has one task in project 3": with_tasks(3, DEFECTS, 2 * len(PARTS)),
        "the user's files are untouched": untouched(_weeks),
    },
    files=_weeks,
    seed=lambda size: tenant(collection(DEFECTS, "Line defects", IMAGE, LABEL, MASK)),
    ideal=_this_week,
    past=_last_week,
)

# ---- from S3


def _frames(size: int) -> Files:
    # Sizes as small as they can be: what is tried is the number.
    return {f"2026-07/cam{at % 3}/frame_{at:06}.jpg": jpg(str(at)) for at in range(size)}


def _frame_units(place: Place) -> dict[str, Sums]:
    return {name: {"image_1": sha1(content)} for name, content in _frames(place.size).items()}


def _from_s3(hands: Hands) -> None:
    hands.job(hands.plan("plan_upload", "s3://fleet/2026-07", "--collection", str(FRAMES)))


FROM_S3 = Case(
    name="upload-from-s3",
    skill=UPLOAD,
    prompt="All frames under s3://fleet/2026-07/ should go into 'Dashcam frames', each picture on its own.",
    knows="""
- The key for the bucket is in the environment of this machine; you do not know it, and would not say it.
- The subfolders are cameras; nothing depends on them.
""",
    expected="Every frame of the bucket is a data unit, once.",
    expectations={"every frame is one data unit of collection 61, once": arrived(FRAMES, _frame_units)},
    seed=lambda size: tenant(collection(FRAMES, "Dashcam frames", IMAGE)),
    ideal=_from_s3,
    bucket=_frames,
    size=300,
)

CASES = (NOTHING_KNOWN, EVERYTHING_KNOWN, THREE_PLACES, TIFFS, SAME_AGAIN, FROM_S3)
