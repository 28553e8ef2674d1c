"""Exports a project to COCO against one sandbox, ours and as people do it today, in turn; prints the ratios.

job        an export job of this project: fetched, spooled, looked at twice, written, verified, installed
plain      `list_assignments(list_all=True)` of the SDK, then plain Python and json.dump (export_baseline.py)
sdk        the same, converted by the SDK's converter
bare       the least that fetching takes: concurrent pages, thrown away (export_bare.py)

Each run is a process of its own; whole runs are timed from the start of Python to its end, fetching by what each says
itself. The job's fetching ends when it has also asked once more what has changed meanwhile. The sandbox computes on the
same machine: `sandbox` says how many seconds of CPU it took for each side.

examples:
  python benchmarks/export.py
  python benchmarks/export.py --records 20000 --latency-ms 60 --rounds 5
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import Box, Run, Table, parser_of, run_script, sandbox, show
from export_baseline import CLASSES

from synapse_skills.export_plan import ClassesPlan, ExportLimits, ExportPlan, FormatPlan
from synapse_skills.plan import plan_bytes

HERE = Path(__file__).resolve().parent
SIDES = ("job", "bare", "plain", "sdk")
# The lists that exports are made from give up to a thousand rows a page; `list_all` and our rows ask for a hundred, our
# second look, which carries no payloads, for a thousand.
SEED = {"projects": [{"id": 1, "title": "boxes"}], "settings": {"max_page_size": 1000}}


def make_records(box: Box, records: int, boxes: int) -> int:
    """Fill the sandbox; the id of the first record."""
    body = {"project": 1, "records": records, "boxes": boxes, "classes": list(CLASSES)}
    first: int = box.call("/_sandbox/fill", body)["first"]
    return first


def make_job(home: Path, formats: tuple[str, ...], workers: int) -> None:
    """A job folder as far as an export needs one."""
    plan = ExportPlan(
        name="boxes",
        target="assignment",
        project=1,
        formats=tuple(FormatPlan(name=name) for name in formats),
        classes=ClassesPlan(order=CLASSES),
        output=str(home / "output"),
        limits=ExportLimits(workers=workers),
    )
    (home / "job").mkdir(parents=True)
    (home / "job" / "plan.json").write_bytes(plan_bytes(plan))


class Exports:
    """The sides, all against one sandbox."""

    def __init__(self, folder: Path, box: Box, first: int, records: int, workers: int) -> None:
        self.folder = folder
        self.box = box
        self.first = first
        self.records = records
        self.workers = workers
        self.env = box.env(folder / "home", PYTHONDONTWRITEBYTECODE="1")
        self.runs: dict[str, list[Run]] = {side: [] for side in SIDES}
        self.said: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}

    def run(self, side: str) -> None:
        """One side once, and whether all of it came."""
        home = self.folder / "run"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        out = home / "out.json"
        if side == "job":
            make_job(home, ("coco",), self.workers)
            done = run_script(HERE / "export_job.py", str(home), str(out), env=self.env, box=self.box)
        elif side == "bare":
            numbers = map(str, (1, self.first, self.first + self.records, self.workers))
            done = run_script(HERE / "export_bare.py", *numbers, str(out), env=self.env, box=self.box)
        else:
            done = run_script(HERE / "export_baseline.py", "1", str(out), side, env=self.env, box=self.box)
        said = json.loads(out.read_text())
        if said.get("records", self.records) != self.records:
            raise RuntimeError(f"{side}: {said['records']} of {self.records} records")
        said.setdefault("fetch", said.get("stages", {}).get("fetching", [0.0])[0])
        self.runs[side].append(done)
        self.said[side].append(said)
        print(f"  {side} {done.seconds:.2f} s, fetched in {said['fetch']:.2f} s", file=sys.stderr, flush=True)


def measure(
    records: int, boxes: int, latency_ms: float, workers: int, rounds: int, with_sdk: bool, folder: Path
) -> list[Table]:
    """All sides, in turn."""
    sides = SIDES if with_sdk else SIDES[:-1]
    with sandbox(folder / "box", SEED, latency_ms=latency_ms) as box:
        first = make_records(box, records, boxes)
        exports = Exports(folder, box, first, records, workers)
        # The sandbox puts a row together when it is first asked for: whoever came first would pay for all.
        for side in ("bare", "job"):
            exports.run(side)
            exports.runs[side].clear()
            exports.said[side].clear()
        for number in range(rounds):
            for side in sides[:: 1 if number % 2 == 0 else -1]:
                exports.run(side)
    title = f"{records:,} records of {boxes} boxes, {latency_ms:g} ms a page"
    fetched = {side: [said["fetch"] for said in exports.said[side]] for side in ("job", "bare", "plain")}
    fetch = Table(f"Fetching {title}", fetched)
    fetch.compare("faster than list_assignments(list_all=True)", "plain", "job", 6.0)
    fetch.compare("of the bare loop's time", "job", "bare", 1.3, at_least=False)
    whole = Table(
        f"Export to COCO, {title}",
        {side: [run.seconds for run in exports.runs[side]] for side in sides if side != "bare"},
    )
    whole.compare("faster than list_all and plain Python", "plain", "job", 3.0)
    if with_sdk:
        whole.compare("faster than list_all and the SDK's converter", "sdk", "job", 3.0)
    for side in sides:
        best = min(exports.runs[side], key=lambda run: run.seconds)
        whole.facts[side] = f"{best.cpu:.2f} s computed, sandbox {best.box_cpu:.2f} s, peak {best.peak_mb:.0f} MB"
    stages = min(exports.said["job"], key=lambda said: sum(clock for clock, _ in said["stages"].values()))["stages"]
    whole.facts["stages of the best job (s, s of CPU)"] = "  ".join(
        f"{name} {clock:.2f}, {cpu:.2f};" for name, (clock, cpu) in stages.items()
    )
    whole.facts["cores"] = os.cpu_count()
    return [fetch, whole]


def main() -> int:
    """Measure what was asked for."""
    parser = parser_of(__doc__)
    parser.add_argument("--records", type=int, default=5_000, metavar="N", help="in the project (5000)")
    parser.add_argument("--boxes", type=int, default=10, metavar="N", help="on each of them (10)")
    parser.add_argument("--latency-ms", type=float, default=60, metavar="MS", help="of each request (60)")
    parser.add_argument("--workers", type=int, default=16, metavar="N", help="requests at once (16, as plans have it)")
    parser.add_argument("--no-sdk", action="store_true", help="leave the SDK's converter out, the slowest side")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        sizes = (args.records, args.boxes, args.latency_ms, args.workers, args.rounds)
        tables = measure(*sizes, not args.no_sdk, Path(folder))
    return show(tables, as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
