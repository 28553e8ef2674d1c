"""Uploads files three ways against one sandbox, in turn, each in a process of its own, and prints the ratios.

job        an upload job of this project as it is planned, rendered and dry-run by plan_upload, run for the first time
baseline   what people write today with the SDK (upload_baseline.py)
bare       presign, PUT, confirm and create with nothing checked or remembered (upload_bare.py)

The clock runs from the start of Python to the exit. Planning and dry run come before it, as they do in life, so the
job finds the content guard's answers; the baseline asks the guard and reads its workbook within its time, for it has
no other. The sandbox is on the same machine: `sandbox` says how many of the seconds it has computed itself.

examples:
  python benchmarks/upload.py
  python benchmarks/upload.py --units 1000 --latency-ms 20 --rounds 5
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from common import SCRIPTS, Box, Run, Table, parser_of, run_script, sandbox, show
from upload_data import FILES_A_UNIT, make_tree, make_workbook, seed

HERE = Path(__file__).resolve().parent
SIDES = ("job", "bare", "baseline")
ANSWERS = {
    "specs.image_1.pattern": "image.png",
    "specs.mask_1.pattern": "mask.png",
    "metadata.key": "folder",
    "grouping.by": "folder",
}


class Uploads:
    """The sides, with one collection for each run: what one of them makes, no other one sees."""

    def __init__(self, folder: Path, box: Box, units: int) -> None:
        self.folder = folder
        self.box = box
        self.units = units
        self.env = box.env(folder / "home", SYNAPSE_SKILLS_PATIENCE_S="30")
        self.runs: dict[str, list[Run]] = {side: [] for side in SIDES}
        self._collection = 0

    def run(self, side: str) -> float:
        """One side once, and whether all of it has arrived."""
        self._collection += 1
        number = str(self._collection)
        data, book = str(self.folder / "data"), str(self.folder / "scans.xlsx")
        home = self.folder / "job"
        if side == "job":
            self.plan(home, number)
            shutil.copy(home / "job" / "metadata.jsonl", self.folder / "metadata.jsonl")
            run_script(home / "job" / "upload.py", "--dry-run", env=self.env)
            done = run_script(home / "job" / "upload.py", env=self.env, box=self.box)
            shutil.rmtree(home)
        elif side == "bare":
            frozen = str(self.folder / "metadata.jsonl")
            done = run_script(HERE / "upload_bare.py", data, frozen, number, env=self.env, box=self.box)
        else:
            done = run_script(HERE / "upload_baseline.py", data, book, number, env=self.env, box=self.box)
        there = self.box.call(f"/data_units/?data_collection={number}&page_size=1")["count"]
        if there != self.units:
            raise RuntimeError(f"{side}: {there} of {self.units} data units have arrived\n{done.out}")
        self.runs[side].append(done)
        return done.seconds

    def plan(self, home: Path, collection: str) -> None:
        """Plan, render and dry-run, as a user does."""
        answers = [flag for key, value in ANSWERS.items() for flag in ("--set", f"{key}={json.dumps(value)}")]
        flags = ["--collection", collection, "--excel", str(self.folder / "scans.xlsx"), "--out", str(home), "--json"]
        run_script(SCRIPTS / "plan_upload.py", str(self.folder / "data"), *flags, *answers, env=self.env)


def measure(units: int, size: int, latency_ms: float, rounds: int, folder: Path) -> Table:
    """All sides, in turn."""
    make_tree(folder / "data", units, size)
    make_workbook(folder / "scans.xlsx", units)
    title = f"Upload of {units * FILES_A_UNIT:,} files of {size / 1000:g} KB in {units:,} data units, {latency_ms:g} ms"
    table = Table(f"{title} a request", {side: [] for side in SIDES})
    with sandbox(folder / "box", seed(len(SIDES) * rounds), latency_ms=latency_ms) as box:
        uploads = Uploads(folder, box, units)
        for number in range(rounds):
            # The job is always first: the bare loop takes its metadata as the plan has frozen it.
            for side in SIDES:
                table.lines[side].append(uploads.run(side))
                print(f"  round {number + 1}: {side} {table.lines[side][-1]:.2f} s", file=sys.stderr, flush=True)
            for stored in (folder / "box" / "state" / "objects").glob("*/*"):
                # Its folders stay: the sandbox has made them once.
                stored.unlink()
    table.compare("faster than the baseline", "baseline", "job", 3.5)
    table.compare("of the bare loop's time", "job", "bare", 1.5, at_least=False)
    for side in SIDES:
        best = min(uploads.runs[side], key=lambda run: run.seconds)
        table.facts[side] = f"{best.cpu:.2f} s computed, sandbox {best.box_cpu:.2f} s, peak {best.peak_mb:.0f} MB"
    table.facts["cores"] = os.cpu_count()
    return table


def main() -> int:
    """Measure what was asked for."""
    parser = parser_of(__doc__)
    parser.add_argument("--units", type=int, default=1_000, metavar="N", help="data units of three files (1000)")
    parser.add_argument("--size", type=int, default=20_000, metavar="BYTES", help="of each file (20000)")
    parser.add_argument("--latency-ms", type=float, default=20, metavar="MS", help="of each request (20)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="upload-") as folder:
        table = measure(args.units, args.size, args.latency_ms, args.rounds, Path(folder))
    return show([table], as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
