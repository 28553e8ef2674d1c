"""Exports a million records of ten boxes to COCO and YOLO, killed twice, and prints what it took, memory above all.

The job (export_job.py) is killed once while it fetches and once while it writes (SIGKILL), and run again each time.
At the end verify_export.py reads everything back. What the job and the processes that it starts hold is looked at
every second and kept in DIR/memory.csv; figures.json has the sums. The sandbox makes its rows up and keeps them on
the disk. A million label files are a million inodes and 4 GB; all in all there must be 20 GB of room.

examples:
  python benchmarks/million.py --records 20000
  nice python benchmarks/million.py --keep /data/million
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import SCRIPTS, Box, Ratio, Table, parser_of, sandbox, show
from export import SEED, make_job
from export_baseline import CLASSES
from memory_export import FORMATS, MOST_MB
from watch import Watch, memory_of

HERE = Path(__file__).resolve().parent
LOT = 50_000
"""Records that the sandbox is asked to make up at once."""


def fill(box: Box, records: int, boxes: int, folder: Path) -> None:
    """Have the sandbox make records up, unless it holds them already."""
    mark = folder / "filled.json"
    there = json.loads(mark.read_text()) if mark.exists() else 0
    for start in range(there, records, LOT):
        count = min(LOT, records - start)
        body = {"project": 1, "records": count, "boxes": boxes, "classes": list(CLASSES)}
        box.call("/_sandbox/fill", body)
        mark.write_text(json.dumps(start + count))


def size_of(folder: Path) -> tuple[int, int, int]:
    """Files below a folder, their bytes, and the bytes that they take on the disk."""
    files = size = taken = 0
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                about = entry.stat(follow_symlinks=False)
                files, size, taken = files + 1, size + about.st_size, taken + about.st_blocks * 512
    return files, size, taken


def measure(records: int, boxes: int, folder: Path) -> dict[str, Any]:
    """Everything, and its figures."""
    home = folder / "run"
    with sandbox(folder / "box", SEED) as box:
        started = time.monotonic()
        fill(box, records, boxes, folder)
        print(f"  {records:,} records made up in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        make_job(home, FORMATS, 16)
        env = box.env(folder / "home", PYTHONPATH=str(SCRIPTS))
        watch = Watch(folder / "memory.csv")
        told = home / "told.json"
        job = [str(HERE / "export_job.py"), str(home), str(home / "out.json"), str(told)]

        def run(name: str, stage: str = "", share: float = 1.0) -> int:
            told.write_text('["start", 0]')
            return watch.run(
                name,
                job,
                env=env,
                out=home / f"{name}.log",
                stage=lambda: tuple(json.loads(told.read_text())),
                kill=lambda sample: sample.stage == stage and sample.done >= share * records,
            ).code

        codes = [run("killed fetching", "fetching", 0.5), run("killed writing", "writing", 0.1), run("to the end")]
        if codes != [-9, -9, 0]:
            log = (home / "to the end.err").read_text()[-3000:]
            raise RuntimeError(f"the runs ended with {codes}:\n{log}")
        sandbox_mb = memory_of(box.process.pid)[1]
        verified = [str(SCRIPTS / "verify_export.py"), str(home / "output"), "--json"]
        watch.run("verified", verified, env=env, out=home / "verified.json")
    return figures(records, boxes, home, watch) | {"sandbox_mb": sandbox_mb}


def figures(records: int, boxes: int, home: Path, watch: Watch) -> dict[str, Any]:
    """The sums, after a look at whether everything is there."""
    said, found = json.loads((home / "out.json").read_text()), json.loads((home / "verified.json").read_bytes())
    whole = {name: {"items": {"": records}, "rows": {"": records * boxes}} for name in FORMATS}
    if said["records"] != records or not found["ok"] or found["formats"] != whole:
        raise RuntimeError(f"not all of it is there: {said}, {found}")
    files, size, taken = size_of(home / "output")
    _, spool, spool_taken = size_of(home / "state" / "spool")
    return {
        "records": records,
        "boxes": boxes,
        "runs": [asdict(each) for each in watch.ended],
        "peak_mb": max(each.peak_mb for each in watch.ended),
        "worker_peak_mb": max(each.worker_peak_mb for each in watch.ended),
        "together_mb": max(each.together_mb for each in watch.samples),
        "index_bytes": (home / "state" / "export.sqlite").stat().st_size,
        "spool_bytes": spool,
        "spool_on_disk": spool_taken,
        "output_files": files,
        "output_bytes": size,
        "output_on_disk": taken,
        "stages": said["stages"],
    }


def table_of(found: dict[str, Any]) -> Table:
    """As other benchmarks are shown."""
    runs = {each["run"]: [max(each["peak_mb"], each["worker_peak_mb"])] for each in found["runs"]}
    table = Table(f"Memory of an export of {found['records']:,} records of {found['boxes']} boxes, killed twice", runs)
    table.unit = "MB"
    most = max(found["peak_mb"], found["worker_peak_mb"])
    table.ratios.append(Ratio(f"the largest process to {MOST_MB} MB", most / MOST_MB, 1.0, at_least=False))
    table.ratios.append(
        Ratio("the spool to the output", found["spool_bytes"] / found["output_bytes"], 2.0, at_least=False)
    )
    table.facts = {key: value for key, value in found.items() if key != "runs"}
    for each in found["runs"]:
        table.facts[each["run"]] = f"{each['seconds']:.0f} s, {each['cpu']:.0f} s of CPU"
    return table


def main() -> int:
    """Measure what was asked for."""
    parser = parser_of(__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, metavar="N", help="in the project (1000000)")
    parser.add_argument("--boxes", type=int, default=10, metavar="N", help="on each of them (10)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make everything here, an empty folder, and leave it")
    args = parser.parse_args()
    if args.keep is not None:
        found = measure(args.records, args.boxes, args.keep)
        (args.keep / "figures.json").write_text(json.dumps(found, indent=1))
        return show([table_of(found)], as_json=args.json)
    with tempfile.TemporaryDirectory(prefix="million-") as folder:
        return show([table_of(measure(args.records, args.boxes, Path(folder)))], as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
