"""Whole conversations with a scripted user, each to the end: planned, approved, uploaded, and looked up by content.

A row of the table below is one dataset and one user. The user answers what is asked and nothing else, so the table
also says what was asked, and in how many rounds. `pytest -s` prints the summary at the end.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from forked import Forked
from planning.conversation import PNG, User, codes, collection, spec
from sandbox_fixture import Sandbox, sandboxes, seed_with
from synapse_skills.planning import Document, Request, plan_upload, source_flags

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

Tree = dict[str, bytes]
Units = dict[str, dict[str, str]]

IMAGE = spec("image_1", [".png", ".jpg", ".jpeg"], required=True, primary=True, kind="image")
LABEL = spec("label_1", [".json"], required=True, kind="document")
DICOM = spec("dicom_1", [".dcm", ".dicom"], kind="medical")
MASK = spec("mask_1", [".png"], kind="image")


def content(path: str) -> bytes:
    """Bytes that are fit for the name's extension, and no two alike."""
    mark = hashlib.sha256(path.encode()).digest()[:8]
    if path.lower().endswith((".dcm", ".dicom")):
        return b"\0" * 128 + b"DICM" + mark
    return PNG + mark if path.lower().endswith(".png") else json.dumps({"file": mark.hex()}).encode()


def tree(*paths: str) -> Tree:
    return {path: content(path) for path in paths}


def numbers(count: int) -> list[str]:
    return [f"{number:03}" for number in range(1, count + 1)]


@dataclass
class Talk:
    """A conversation.

    Attributes:
        specs: of the collection.
        files: by path below the user's folder; the first folder is what the user names, unless `say` does.
        units: what must be on the backend: data unit → spec → path of the file.
        first: how the user begins: flags and keys.
        answers: key of a question → answer, or a list of answers for a key that is asked again.
        rounds, questions: how many, exactly.
        asked: keys that were asked, in order.
        before: done first, for what the table can't say.
        also: checked at the end.
    """

    specs: tuple[dict[str, Any], ...]
    files: Tree
    units: Units
    first: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    rounds: int = 1
    asked: tuple[str, ...] = ()
    before: Callable[[User, int], None] | None = None
    also: Callable[[User, int, list[Document], Sandbox], None] | None = None
    params: dict[str, Any] | None = None
    pattern: dict[str, Any] | None = None
    names_collection: bool = True


# ---- the seed's five trees

FIRST = [f"patient_{number}" for number in numbers(3)]
NESTED = tree(*(f"data/{unit}/{name}" for unit in FIRST for name in ("image.png", "label.json", "scan.dcm")))
NESTED_UNITS = {
    unit: {
        "image_1": f"data/{unit}/image.png",
        "label_1": f"data/{unit}/label.json",
        "dicom_1": f"data/{unit}/scan.dcm",
    }
    for unit in FIRST
}
BY_TYPE = tree(
    *(f"data/images/{n}.png" for n in numbers(4)),
    *(f"data/labels/{n}.json" for n in numbers(4)),
    *(f"data/dicoms/{n}.dcm" for n in numbers(2)),
)
BY_TYPE_UNITS = {
    n: {"image_1": f"data/images/{n}.png", "label_1": f"data/labels/{n}.json"}
    | ({"dicom_1": f"data/dicoms/{n}.dcm"} if n in numbers(2) else {})
    for n in numbers(4)
}
FLAT = tree(*(f"data/sample_{n}.{end}" for n in numbers(4) for end in ("png", "json")))
FLAT_UNITS = {
    f"sample_{n}": {"image_1": f"data/sample_{n}.png", "label_1": f"data/sample_{n}.json"} for n in numbers(4)
}
DEEP = tree(
    *(f"data/patient_{n}/{name}" for n in numbers(4) for name in ("img/scan.png", "json/label.json")),
    *(f"data/patient_{n}/mask/segmentation.png" for n in numbers(3)),
)
DEEP_UNITS = {
    f"patient_{n}": {"image_1": f"data/patient_{n}/img/scan.png", "label_1": f"data/patient_{n}/json/label.json"}
    | ({"mask_1": f"data/patient_{n}/mask/segmentation.png"} if n in numbers(3) else {})
    for n in numbers(4)
}
MIXED = tree(
    *(f"nas/images/{n}.png" for n in numbers(3)),
    *(f"bucket/labels/{n}.json" for n in numbers(3)),
    *(f"converted/masks/{n}.png" for n in numbers(3)),
)
MIXED_UNITS = {
    n: {"image_1": f"nas/images/{n}.png", "label_1": f"bucket/labels/{n}.json", "mask_1": f"converted/masks/{n}.png"}
    for n in numbers(3)
}

PHOTOS = tree("photos/a.png", "photos/trip/a.png", "photos/b.png", "photos/note.txt", "photos/scan.bmp") | {
    "photos/a.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"a" * 20,
    "photos/b.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"b" * 20,
}
PHOTOS_UNITS = {path.removeprefix("photos/"): {"image_1": path} for path in PHOTOS if path.endswith((".png", ".jpg"))}

# ---- odd ones

SEED_PATTERN = {
    "root": "data",
    "file_rules": [
        {"pattern": "**/img/*.png", "spec_name": "image_1"},
        {"pattern": "**/json/*.json", "spec_name": "label_1"},
    ],
    "group_key_regex": "(.+?)/(?:img|json)/",
    "dataset_key_template": "{group_key}",
}
HALF = {unit: {s: p for s, p in files.items() if s != "mask_1"} for unit, files in DEEP_UNITS.items()}
SINGLE = {
    "name": "Patient scans",
    "use_single_path": True,
    "path": "data",
    "is_recursive": True,
    "storage": 11,
    "max_file_size_mb": 20,
    "creating_data_unit_batch_size": 2,
    "use_async_upload": True,
    "excel_metadata_path": None,
    "extra_params": None,
}
MULTI = {
    "name": "Three places",
    "use_single_path": False,
    "assets": {
        "image_1": {"path": "nas/images", "is_recursive": False},
        "label_1": {"path": "bucket/labels", "is_recursive": True},
        "mask_1": {"path": "converted/masks"},
    },
    "storage": 11,
    "use_async_upload": False,
}
LOST = {path: data for path, data in NESTED.items() if path != "data/patient_002/label.json"}
ODD = tree("data/x/1.png", "data/y/deep/two.png", "data/labels of x.json", "data/z/two (new).json")
ODD_TABLE = (
    "file,unit,spec\nx/1.png,one,image_1\nlabels of x.json,one,label_1\n"
    "y/deep/two.png,둘,image_1\nz/two (new).json,둘,label_1\n"
)
ODD_UNITS = {
    "one": {"image_1": "data/x/1.png", "label_1": "data/labels of x.json"},
    "둘": {"image_1": "data/y/deep/two.png", "label_1": "data/z/two (new).json"},
}
UNSAFE = NESTED | {"data/patient_003/label.json": b'{"x": "<script>alert(1)</script>"}'}
SHARED = tree(*(f"data/case{n}/{name}" for n in numbers(4) for name in ("a.png", "b.png", "l.json")))
SHARED_UNITS = {
    f"case{n}": {"image_1": f"data/case{n}/a.png", "mask_1": f"data/case{n}/b.png", "label_1": f"data/case{n}/l.json"}
    for n in numbers(4)
}
KOREAN = tree(
    *(f"한글 데이터/이미지/사진 {n}.png" for n in numbers(3)), *(f"한글 데이터/라벨/사진 {n}.json" for n in numbers(3))
)
KOREAN_UNITS = {
    f"사진 {n}": {"image_1": f"한글 데이터/이미지/사진 {n}.png", "label_1": f"한글 데이터/라벨/사진 {n}.json"}
    for n in numbers(3)
}


def write_answers(user: User, number: int) -> None:
    everything = {
        "sources": str(user.folder / "data"),
        "sources.recursive": True,
        "data_collection": number,
        "name": "all said",
        "storage": 11,
        "project": 3,
        "grouping.by": "folder",
        "grouping.depth": 1,
        "specs.image_1.takes": [".png"],
        "limits.max_file_size_mb": 10,
        "limits.batch_size": 2,
        "limits.workers": 4,
        "limits.settle_after_s": 2,
        "incomplete": "stop",
        "leave_out": [],
        "groups": ["acme", "2026"],
    }
    (user.folder / "all.json").write_text(json.dumps(everything))


def write_table(user: User, number: int) -> None:
    (user.folder / "where.csv").write_text(ODD_TABLE)


def hold_first_batch(user: User, number: int) -> None:
    """An earlier conversation over other files; its answers are copied."""
    user.files(
        {path.partition("/")[2]: content(f"old/{path}") for path in SHARED if "003" not in path and "004" not in path},
        "batch1",
    )
    asked = plan_upload(Request({"sources": "batch1", "data_collection": str(number)}))
    sets = [f"{question['key']}=b.png" for question in asked.questions]
    assert plan_upload(Request({"sources": "batch1"}, sets)).status == "ready"
    shutil.copy(user.home("batch1") / "answers.json", user.folder / "answers.json")


def tasks_are_made(user: User, number: int, rounds: list[Document], box: Sandbox) -> None:
    ours = {row["id"] for row in box.units(number)}
    assert {task["data_unit"] for task in box.tasks(3)} >= ours


def shows_the_difference(user: User, number: int, rounds: list[Document], box: Sandbox) -> None:
    changed = plan_upload(Request({"sources": "data"}, ["limits.batch_size=7", 'groups=["later"]']))
    assert changed.status == "ready" and changed.hash != rounds[-1].hash
    assert "changed     limits.batch_size: 100 → 7" in changed.summary
    assert 'changed     groups: none → ["later"]' in changed.summary
    back = plan_upload(Request({"sources": "data"}, ["limits.batch_size=null", "groups=null"]))
    assert back.hash == rounds[-1].hash


def one_is_left_out(user: User, number: int, rounds: list[Document], box: Sandbox) -> None:
    assert [row["unit"] for row in user.left_out("data")] in (["patient_002"], ["patient_003"])


def names_what_stays_at_home(user: User, number: int, rounds: list[Document], box: Sandbox) -> None:
    home = (user.folder / str(rounds[-1].plan)).parent
    rows = [json.loads(line) for line in (home / "stays_home.jsonl").read_text().splitlines()]
    assert [(row["file"], row["code"]) for row in rows] == [("note.txt", "no-spec"), ("scan.bmp", "no-spec")]
    assert "2 files that no data unit takes (1 .bmp, 1 .txt)" in rounds[-1].summary.replace(
        "1 .txt, 1 .bmp", "1 .bmp, 1 .txt"
    )


def is_multi(user: User, number: int, rounds: list[Document], box: Sandbox) -> None:
    name = next(path.name for path in (user.folder / "synapse-jobs").iterdir())
    assert {source["spec"] for source in user.plan(name)["sources"]} == {"image_1", "label_1", "mask_1"}


def goes_one_by_one(user: User, number: int, rounds: list[Document], box: Sandbox) -> None:
    is_multi(user, number, rounds, box)
    plan = user.plan("Three-places")
    assert plan["limits"]["workers"] == 1 and [source["recursive"] for source in plan["sources"]] == [False, True, True]


def less(units: Units, *missing: str) -> Units:
    return {unit: files for unit, files in units.items() if unit not in missing}


TALKS = {
    "tree 1: nested folders": Talk((IMAGE, LABEL, DICOM), NESTED, NESTED_UNITS),
    "tree 2: folders by type": Talk((IMAGE, LABEL, DICOM), BY_TYPE, BY_TYPE_UNITS),
    "tree 3: flat, same stems": Talk((IMAGE, LABEL, DICOM), FLAT, FLAT_UNITS),
    "tree 4: types in each folder": Talk((IMAGE, LABEL, MASK), DEEP, DEEP_UNITS),
    "tree 5: a source for each spec": Talk(
        (IMAGE, LABEL, MASK),
        MIXED,
        MIXED_UNITS,
        first={"source": ["image_1=nas/images", "label_1=bucket/labels", "mask_1=converted/masks"]},
        also=is_multi,
    ),
    "several folders, proposed": Talk(
        (IMAGE, LABEL, MASK),
        MIXED,
        MIXED_UNITS,
        first={"paths": ["nas/images", "bucket/labels", "converted/masks"]},
        also=is_multi,
    ),
    "batch pattern": Talk((IMAGE, LABEL, MASK), DEEP, HALF, pattern=SEED_PATTERN, first={"paths": []}),
    "params, single path": Talk((IMAGE, LABEL, DICOM), NESTED, NESTED_UNITS, params=SINGLE, first={"paths": []}),
    "params, multi path": Talk(
        (IMAGE, LABEL, MASK), MIXED, MIXED_UNITS, params=MULTI, first={"paths": []}, also=goes_one_by_one
    ),
    "nothing known at all": Talk(
        (IMAGE, LABEL, DICOM),
        NESTED,
        NESTED_UNITS,
        first={"paths": []},
        names_collection=False,
        answers={"sources": "data", "data_collection": "{collection}"},
        asked=("sources", "data_collection"),
        rounds=2,
    ),
    "everything known at once": Talk(
        (IMAGE, LABEL, DICOM),
        NESTED,
        NESTED_UNITS,
        first={"paths": [], "answers": "all.json"},
        names_collection=False,
        before=write_answers,
        also=tasks_are_made,
    ),
    "bad answers": Talk(
        (IMAGE, LABEL, MASK),
        SHARED,
        SHARED_UNITS,
        first={"paths": ["dta"], "set": ["limits.batch_size=many"]},
        answers={
            "sources": "data",
            "limits.batch_size": "100",
            "specs.mask_1.pattern": ["nothing/*.png", "b.png"],
        },
        asked=("sources", "limits.batch_size", "specs.mask_1.pattern", "specs.mask_1.pattern"),
        rounds=4,
    ),
    "change of mind": Talk((IMAGE, LABEL, DICOM), NESTED, NESTED_UNITS, also=shows_the_difference),
    "next batch, same answers": Talk(
        (IMAGE, LABEL, MASK), SHARED, SHARED_UNITS, first={"answers": "answers.json"}, before=hold_first_batch
    ),
    "each file is one": Talk(
        (IMAGE,),
        PHOTOS,
        PHOTOS_UNITS,
        answers={"conversions.bmp": "none"},
        asked=("conversions.bmp",),
        rounds=2,
        also=names_what_stays_at_home,
    ),
    "incomplete left out": Talk(
        (IMAGE, LABEL, DICOM),
        LOST,
        less(NESTED_UNITS, "patient_002"),
        answers={"incomplete": "leave_out"},
        asked=("incomplete",),
        rounds=2,
        also=one_is_left_out,
    ),
    "specs that overlap": Talk(
        (IMAGE, LABEL, MASK),
        SHARED,
        SHARED_UNITS,
        answers={"specs.mask_1.pattern": "b.png"},
        asked=("specs.mask_1.pattern",),
        rounds=2,
    ),
    "a table places the files": Talk(
        (IMAGE, LABEL), ODD, ODD_UNITS, first={"set": ["grouping.table=where.csv"]}, before=write_table
    ),
    "unsafe file": Talk(
        (IMAGE, LABEL, DICOM),
        UNSAFE,
        less(NESTED_UNITS, "patient_003"),
        answers={"leave_out": "refused-by-guard"},
        asked=("leave_out",),
        rounds=2,
        also=one_is_left_out,
    ),
    "wrong collection, then right": Talk(
        (IMAGE, LABEL, DICOM),
        NESTED,
        NESTED_UNITS,
        first={"collection": "Colection 119"},
        names_collection=False,
        answers={"data_collection": "{collection}"},
        asked=("data_collection",),
        rounds=2,
    ),
    "Korean names": Talk((IMAGE, LABEL, DICOM), KOREAN, KOREAN_UNITS),
    "mistyped spec": Talk(
        (IMAGE, LABEL, MASK),
        MIXED,
        MIXED_UNITS,
        first={"source": ["imge_1=nas/images", "label_1=bucket/labels", "mask_1=converted/masks"]},
        answers={"sources.1.spec": "image_1"},
        asked=("sources.1.spec",),
        rounds=2,
        also=is_multi,
    ),
    "project not known": Talk(
        (IMAGE, LABEL, DICOM),
        NESTED,
        NESTED_UNITS,
        first={"project": "I don't know the id"},
        answers={"project": 3},
        asked=("project",),
        rounds=2,
        also=tasks_are_made,
    ),
}
NUMBERS = {name: number for number, name in enumerate(TALKS, 101)}
SUMMARY: dict[str, tuple[int, int, int]] = {}


@pytest.fixture(scope="module")
def talk_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    rows = [collection(NUMBERS[name], f"Collection {NUMBERS[name]}", *talk.specs) for name, talk in TALKS.items()]
    projects = [{"id": 3, "title": "CT labelling"}, {"id": 4, "title": "Other"}]
    with sandboxes(tmp_path_factory.mktemp("talks")) as start:
        yield start(seed=seed_with(collections=rows, projects=projects))


@pytest.fixture(scope="module", autouse=True)
def summary() -> Iterator[None]:
    yield
    print(f"\n{'conversation':34} rounds questions units")
    for name, (rounds, questions, units) in SUMMARY.items():
        print(f"{name:34} {rounds:6} {questions:9} {units:5}")


def flags_of(talk: Talk, number: int, first: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The user's first words, as plan_upload.py would pass them on."""
    paths = first.get("paths", [] if "source" in first else [next(iter(talk.files)).partition("/")[0]])
    flags = source_flags(list(paths), list(first.get("source", [])), recursive=None)
    if talk.names_collection:
        flags["data_collection"] = str(number)
    if "collection" in first:
        flags["data_collection"] = first["collection"]
    if "project" in first:
        flags["project"] = first["project"]
    return flags, list(first.get("set", []))


def hold(user: User, talk: Talk, number: int) -> tuple[list[Document], list[str]]:
    """Go on until it is ready: each round repeats the flags and adds the answers to what was asked."""
    flags, sets = flags_of(talk, number, talk.first)
    files: dict[str, Path] = {}
    for name in ("params", "pattern"):
        if (document := getattr(talk, name)) is not None:
            files[name] = user.folder / f"{name}.json"
            files[name].write_text(json.dumps(document))
    answers = user.folder / talk.first["answers"] if "answers" in talk.first else None
    left = {key: list(value) if isinstance(value, list) else [value] for key, value in talk.answers.items()}
    rounds: list[Document] = []
    asked: list[str] = []
    while True:
        document = user.say_request(Request(flags, sets, answers, None, files.get("params"), files.get("pattern")))
        rounds.append(document)
        assert document.status != "blocked", (document.problems, document.understood)
        if document.status == "ready":
            return rounds, asked
        assert len(rounds) < 8, document.questions
        for question in document.questions:
            key = question["key"]
            assert left.get(key), f"not in the script: {question}"
            asked.append(key)
            value = str(left[key].pop(0)).replace("{collection}", str(number))
            # An answer replaces what the flag or the file said.
            name = {"sources": "sources", "data_collection": "data_collection", "project": "project"}.get(key)
            if name in flags:
                flags[name] = value
            elif key in flags:
                flags.pop(key)
                sets = [*(each for each in sets if not each.startswith(f"{key}=")), f"{key}={value}"]
            else:
                sets = [*(each for each in sets if not each.startswith(f"{key}=")), f"{key}={value}"]


def arrived(box: Sandbox, number: int) -> dict[str, dict[str, str]]:
    """Data unit → spec → SHA-1 of the content, from the backend's own rows."""
    rows = box.units(number)
    found = {row["meta"]["dataset_key"]: {s: f["checksum"] for s, f in row["files"].items()} for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("name", TALKS)
def test_conversation(name: str, user: User, talk_box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    talk, number = TALKS[name], NUMBERS[name]
    monkeypatch.setenv("SYNAPSE_HOST", talk_box.host)
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", talk_box.token)
    user.files(talk.files, ".")
    if talk.before is not None:
        talk.before(user, number)
    rounds, asked = hold(user, talk, number)
    final = rounds[-1]
    assert final.dry_run is not None and final.dry_run["planned"] == len(talk.units), codes(final)
    assert len(final.summary.splitlines()) <= 40
    assert final.plan is not None
    home = (user.folder / final.plan).parent
    child = Forked(home / "job/upload.py", [], talk_box.env(user.folder / "me"), user.folder)
    out, error = child.communicate()
    assert child.returncode == 0, out + error
    expected = {
        unit: {spec: hashlib.sha1(talk.files[path]).hexdigest() for spec, path in files.items()}
        for unit, files in talk.units.items()
    }
    assert arrived(talk_box, number) == expected
    SUMMARY[name] = (len(rounds), len(asked), len(expected))
    assert (tuple(asked), len(rounds)) == (talk.asked, talk.rounds)
    if talk.also is not None:
        talk.also(user, number, rounds, talk_box)


def test_an_ordinary_dataset_takes_three_rounds_at_most() -> None:
    assert len(TALKS) >= 15
    assert max(talk.rounds for name, talk in TALKS.items() if name != "bad answers") <= 3
