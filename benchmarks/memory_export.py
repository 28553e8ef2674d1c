"""Exports projects of two sizes and prints the most memory that a job ever held: it must not grow with the records.

The job (export_job.py) is a process of its own; what the processes that it starts for parts of the work hold is told
beside it. COCO and YOLO are written: one large file, and one small file a picture.

examples:
  python benchmarks/memory_export.py
  python benchmarks/memory_export.py --records 10000 100000 --rounds 1
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from common import Ratio, Run, Table, parser_of, run_script, sandbox, show
from export import SEED, make_job, make_records

HERE = Path(__file__).resolve().parent
FORMATS = ("coco", "yolo")
MOST_MB = 400


def one(records: int, boxes: int, folder: Path) -> tuple[Run, dict[str, list[float]]]:
    """One job against a sandbox of its own; what it used, and its stages."""
    with sandbox(folder / "box", SEED) as box:
        make_records(box, records, boxes)
        out = folder / "out.json"
        make_job(folder / "run", FORMATS, 16)
        done = run_script(HERE / "export_job.py", str(folder / "run"), str(out), env=box.env(folder / "home"), box=box)
    said = json.loads(out.read_text())
    if said["records"] != records or any(written != records * boxes for written in said["written"].values()):
        raise RuntimeError(f"{said['records']} of {records} records, {said['written']} boxes")
    stages: dict[str, list[float]] = said["stages"]
    return done, stages


def main() -> int:
    """Measure what was asked for."""
    parser = parser_of(__doc__)
    parser.set_defaults(rounds=1)
    sizes = "the smaller and the larger project (1000 10000)"
    parser.add_argument("--records", type=int, nargs=2, default=(1_000, 10_000), metavar="N", help=sizes)
    parser.add_argument("--boxes", type=int, default=10, metavar="N", help="on each record (10)")
    args = parser.parse_args()
    names = [f"{records:,} records" for records in args.records]
    table = Table(f"Memory of an export to COCO and YOLO, {args.boxes} boxes a record", {n: [] for n in names}, "MB")
    for _ in range(args.rounds):
        for name, records in zip(names, args.records, strict=True):
            with tempfile.TemporaryDirectory(prefix="memory-export-") as folder:
                done, stages = one(records, args.boxes, Path(folder))
                shutil.rmtree(folder, ignore_errors=True)
                Path(folder).mkdir()
            table.lines[name].append(max(done.peak_mb, done.children_mb))
            table.facts[name] = (
                f"job {done.peak_mb:.0f} MB, largest child {done.children_mb:.0f} MB, {done.seconds:.1f} s, "
                f"{done.cpu:.1f} s of CPU, sandbox {done.box_cpu:.1f} s; "
                + ", ".join(f"{stage} {clock:.1f} s" for stage, (clock, _) in stages.items())
            )
            print(f"  {name}: {table.lines[name][-1]:.0f} MB, {done.seconds:.1f} s", file=sys.stderr, flush=True)
    table.compare("the larger to the smaller", names[1], names[0], 1.2, at_least=False)
    table.ratios.append(Ratio(f"the larger to {MOST_MB} MB", table.median(names[1]) / MOST_MB, 1.0, at_least=False))
    return show([table], as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
