"""Converts the same rows into COCO, Pascal VOC and YOLO, ours beside what is there today; ratios in seconds of CPU.

ours    a row's bytes read into records, and the format's writer: what an export job does with each record
job     the same inside of a job's pass: spool, names, list of records, counts (what `ours` leaves out)
sdk     the SDK's converter an item, with what it takes around it (v1 to v2, merging)
plain   a script as people write it by hand: json.loads, dictionaries, json.dump or one file a picture
floor   orjson.loads of every row, and nothing else

Nobody can convert what was not parsed, so `ours / floor` says how much is left to be had. Each side runs alone on one
core, the clock is the CPU's, and the files are written into memory (/dev/shm) where there is such a place: what else
the machine does, and how its disk is, counts for no side.

examples:
  python benchmarks/conversion.py
  python benchmarks/conversion.py --records 10000 --only coco --rounds 5
"""

from __future__ import annotations

import gc
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import conversion_baselines as baselines
import orjson
from common import Table, in_turn, parser_of, show

from synapse_skills.annotations import file_of, read_row, size_of
from synapse_skills.export_plan import ClassesPlan, ExportPlan, FormatPlan
from synapse_skills.formats import FORMATS
from synapse_skills.formats.base import Item, Settings
from synapse_skills.formats.classes import Classes
from synapse_skills.formats.names import Names
from synapse_skills.job.export.decide import Decider
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.spool import Kept, Spool
from synapse_skills.job.export.write import Export

CLASSES = ("car", "person", "traffic light", "자전거")
WIDTH, HEIGHT = 640, 480
AIMS = {"coco": (6.0, 2.0), "voc": (6.0, 1.0), "yolo": (4.0, None)}
"""Format → how many times as fast as the SDK, and as plain Python."""


def make_row(number: int, boxes: int) -> bytes:
    """An assignment as the backend lists it, with so many boxes."""
    said, places = [], []
    for box in range(boxes):
        seed, label = number * 31 + box * 977, CLASSES[(number + box) % len(CLASSES)]
        flags = {"isLocked": False, "isVisible": True, "isValid": True, "isDrawCompleted": True}
        one = {"id": f"a{number}_{box}", "tool": "bounding_box", **flags, "label": [label]}
        said.append(one | {"classification": {"class": label}})
        side = {"width": 10 + seed % 120, "height": 10 + seed % 90 + 0.25}
        places.append({"id": f"a{number}_{box}", "coordinate": {"x": seed % 500 + 0.5, "y": seed * 7 % 380, **side}})
    data = {
        "assignmentId": number,
        "extra": {"image_1": {"width": WIDTH, "height": HEIGHT}},
        "relations": {"image_1": []},
        "annotationGroups": {"image_1": []},
        "annotations": {"image_1": said},
        "annotationsData": {"image_1": places},
    }
    file = {"file_name_original": f"picture_{number:07}.png", "is_primary": True, "file_type": "image"}
    facts = {"status_label": "done", "is_discarded": False, "updated": "2026-01-15T09:00:00.000000Z"}
    row = {"id": number, "project": 1, "data_unit": number, "file": file, **facts, "data": data}
    return json.dumps(row, ensure_ascii=False).encode()


def ours(name: str, rows: Sequence[bytes], folder: Path) -> None:
    """Our reader and our writer."""
    form, names = FORMATS[name], Names()
    writer = form.write(folder, Settings(Classes(ClassesPlan(order=CLASSES)), options=form.complete({}), title="cars"))
    for content in rows:
        record = read_row(content, "assignment")
        for media in record.document.media:
            width, height = size_of(record, media) or (None, None)
            name_of = names.of(record, file_of(record, media))
            assert not writer.write(Item(record, media, name_of, "", width, height))
    writer.close()


def prepared(rows: Sequence[bytes], name: str, folder: Path) -> tuple[ExportPlan, Index]:
    """A spool with these rows, looked at and decided upon."""
    folder.mkdir()
    plan = ExportPlan(
        name="cars",
        target="assignment",
        project=1,
        formats=(FormatPlan(name=name),),
        classes=ClassesPlan(order=CLASSES),
        output=str(folder / "output"),
    )
    spool = Spool(folder / "spool")
    index = Index(folder / "index.sqlite", spool)
    for start in range(0, len(rows), 100):
        some = enumerate(rows[start : start + 100], start + 1)
        index.add(spool.append({"t": "some"}, [Kept(key, content, key) for key, content in some]))
    decider = Decider(plan, index)
    decider.look()
    decider.decide()
    return plan, index


def job(name: str, rows: Sequence[bytes], folder: Path) -> float:
    """The pass of a job over its spool; seconds of that pass alone."""
    plan, index = prepared(rows, name, folder / "job")
    (folder / name).mkdir()
    export = Export(
        plan, index, {name: folder / name}, metadata=folder / "metadata", quarantine=folder / "quarantine.jsonl"
    )
    started = time.process_time()
    done = export.run()
    seconds = time.process_time() - started
    assert done.records == len(rows) and done.formats[name].written == done.annotations > 0
    index.close()
    return seconds


def timed(work: Callable[[Path], float | None], where: Path) -> float:
    """CPU seconds of a piece of work in an empty folder; of a part of it, if it says so itself."""
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    gc.collect()
    started = time.process_time()
    own = work(where)
    seconds = time.process_time() - started
    return seconds if own is None else own


def floor(rows: Sequence[bytes], folder: Path) -> None:
    """Parse, and forget."""
    for content in rows:
        orjson.loads(content)


def compared(name: str, rows: Sequence[bytes], rounds: int, folder: Path) -> Table:
    """The table of one format."""
    sides: dict[str, Callable[[Path], float | None]] = {
        "ours": partial(ours, name, rows),
        "job": partial(job, name, rows),
        "sdk": partial(getattr(baselines, f"sdk_{name}"), rows, CLASSES),
        "plain": partial(getattr(baselines, f"plain_{name}"), rows, CLASSES),
        "floor": partial(floor, rows),
    }
    warm = rows[:20]
    ours(name, warm, _empty(folder / "warm"))
    getattr(baselines, f"sdk_{name}")(warm, CLASSES, _empty(folder / "warm"))

    def side(work: Callable[[Path], float | None]) -> Callable[[int], float]:
        return lambda number: timed(work, folder / "run")

    found = in_turn({what: side(work) for what, work in sides.items()}, rounds)
    title = f"{name}, {len(rows):,} records of {len(json.loads(rows[0])['data']['annotations']['image_1'])} boxes"
    table = Table(title, found, unit="s of CPU")
    over_sdk, over_plain = AIMS[name]
    table.compare("the SDK's converter / ours", "sdk", "ours", over_sdk)
    if over_plain is not None:
        table.compare("plain Python / ours", "plain", "ours", over_plain)
    table.facts["plain Python / ours" if over_plain is None else "plain Python / job"] = round(
        table.median("plain") / table.median("ours" if over_plain is None else "job"), 2
    )
    table.facts["the SDK's converter / job"] = round(table.median("sdk") / table.median("job"), 2)
    table.facts["ours / orjson (the floor)"] = round(table.median("ours") / table.median("floor"), 2)
    table.facts["records a second and core"] = round(len(rows) / table.median("ours"))
    return table


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def main() -> int:
    """Measure what was asked for."""
    parser = parser_of(__doc__)
    parser.add_argument("--records", type=int, default=3_000, metavar="N", help="rows (default: 3000)")
    parser.add_argument("--boxes", type=int, default=10, metavar="N", help="on each of them (default: 10)")
    parser.add_argument("--only", choices=tuple(AIMS), help="one format")
    args = parser.parse_args()
    rows = [make_row(number, args.boxes) for number in range(1, args.records + 1)]
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="conversion-", dir=memory if memory.is_dir() else None) as folder:
        names = (args.only,) if args.only else tuple(AIMS)
        tables = [compared(name, rows, args.rounds, Path(folder)) for name in names]
    return show(tables, as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
