"""Uploads few files and many, and prints the most memory that each job has held (VmHWM of its own process).

The sandbox answers at once and the files are small: what grows with their number is what is looked for. A large job
that was stopped half way is gone on with where it was if --keep names its folder; the largest of its figures counts.

examples:
  python benchmarks/memory_upload.py
  python benchmarks/memory_upload.py --files 3000 300000 --keep /data/memory
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from common import SCRIPTS, Box, Ratio, Run, Table, parser_of, run_script, sandbox, show
from upload_data import FILES_A_UNIT, make_tree, seed

MOST_MB = 250
SIZE = 300
ANSWERS = {"specs.image_1.pattern": "image.png", "specs.mask_1.pattern": "mask.png", "grouping.by": "folder"}


def planned(folder: Path, box: Box, units: int, collection: int) -> Path:
    """A job over so many data units, planned, rendered and dry-run; as it is if it is there already."""
    home = folder / f"job-{units}"
    if not (home / "job" / "upload.py").exists():
        make_tree(folder / f"data-{units}", units, SIZE)
        answers = [flag for key, value in ANSWERS.items() for flag in ("--set", f"{key}={json.dumps(value)}")]
        flags = ["--collection", str(collection), "--out", str(home), "--json", *answers]
        run_script(SCRIPTS / "plan_upload.py", str(folder / f"data-{units}"), *flags, env=box.env(folder / "home"))
    return home


def run(folder: Path, box: Box, units: int, collection: int) -> tuple[Run, float]:
    """One upload to its end, and the largest peak of all its runs."""
    home = planned(folder, box, units, collection)
    done = run_script(home / "job" / "upload.py", env=box.env(folder / "home"), box=box)
    report = json.loads((home / "state" / "last_upload.json").read_text())
    if report["created"] + report["already"] != units:
        raise RuntimeError(f"{units} data units were planned:\n{done.out}")
    peaks = home / "peaks.json"
    known = [*(json.loads(peaks.read_text()) if peaks.exists() else []), done.peak_mb]
    peaks.write_text(json.dumps(known))
    return done, max(known)


def measure(counts: list[int], folder: Path) -> Table:
    """All sizes, one after the other."""
    table = Table("Memory of an upload job", {}, unit="MB")
    collections = seed(len(counts), schema=None)
    with sandbox(folder / "box", collections) as box:
        for number, count in enumerate(counts):
            units = count // FILES_A_UNIT
            done, peak = run(folder, box, units, number + 1)
            table.lines[f"{units * FILES_A_UNIT:,} files"] = [peak]
            told = f"{done.seconds:.0f} s, {done.cpu:.0f} s computed, sandbox {done.box_cpu:.0f} s"
            table.facts[f"{units * FILES_A_UNIT:,} files"] = told
            print(f"  {units * FILES_A_UNIT:,} files: {peak:.0f} MB, {told}", file=sys.stderr, flush=True)
    first, *others = table.lines
    table.ratios.append(Ratio(f"{first}, of {MOST_MB} MB", table.best(first) / MOST_MB, 1, at_least=False))
    for other in others:
        table.compare(f"{other}, of that", other, first, 1.2, at_least=False)
    return table


def main() -> int:
    """Measure what was asked for."""
    parser = parser_of(__doc__)
    counts = [3_000, 30_000]
    parser.add_argument("--files", type=int, nargs="+", default=counts, metavar="N", help="of each job (3000 30000)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep everything here, and go on with what is here")
    args = parser.parse_args()
    if args.keep is not None:
        return show([measure(args.files, args.keep)], as_json=args.json)
    with tempfile.TemporaryDirectory(prefix="memory-") as folder:
        return show([measure(args.files, Path(folder))], as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
