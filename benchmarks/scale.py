"""An upload and an export with `engine: ray` on clusters of one, two and three machines, all of them on this one.

Each machine of the cluster is a raylet with one CPU; the sandbox makes every request wait, so long that waiting is the
limit and not the cores that all share. A machine may have so many requests under way at once (--each): that is what
more machines add here, and what one machine with as many requests does alone is measured beside it (`1 machine, as
many`). Cores and lines of their own, which are what a real cluster adds, can't be shown on one machine.

The clock runs for the stage that is spread: sending, data units being made meanwhile; and fetching, with the second
look at the end. Starting Python and Ray is not in it. Needs the environment of `run.py submit`, which has Ray.

examples:
  python benchmarks/scale.py
  python benchmarks/scale.py --nodes 1 3 --units 200 --records 1000 --rounds 1
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import ROOT, SCRIPTS, Box, Table, parser_of, sandbox, show
from export import make_records
from export_baseline import CLASSES
from upload_data import make_tree, seed

from launcher.environments import environment
from synapse_skills.export_plan import ClassesPlan, ExportLimits, ExportPlan, FormatPlan
from synapse_skills.plan import Limits, SourcePlan, SpecPlan, UploadPlan, plan_bytes

HERE = Path(__file__).resolve().parent
MACHINES = ROOT / "tests" / "job" / "machines.py"
BYTES = 1_000
PAGE = 10
STAGES = {"upload": "uploading", "export": "fetching"}
SPECS = (
    SpecPlan(name="image_1", file_type="image", extensions=(".png",), is_required=True, is_primary=True),
    SpecPlan(name="label_1", file_type="data", extensions=(".json",), is_required=True),
)


def sandbox_seed(collections: int) -> dict[str, Any]:
    """A backend with collections of these two files, and a project."""
    document = seed(collections, None)
    for collection in document["collections"]:
        collection["file_specifications"] = [
            spec for spec in collection["file_specifications"] if spec["name"] != "mask_1"
        ]
    return document | {"projects": [{"id": 1, "title": "boxes"}], "settings": {"max_page_size": 1000}}


@contextlib.contextmanager
def cluster(python: str, count: int, env: dict[str, str]) -> Iterator[str]:
    """So many machines; their address."""
    command = [python, str(MACHINES), str(count)]
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.communicate()


class Jobs:
    """Jobs against one sandbox, each anew."""

    def __init__(self, folder: Path, box: Box, python: str, units: int, records: int) -> None:
        self.folder, self.box, self.python = folder, box, python
        self.units, self.records = units, records
        self.env = box.env(folder / "home", PYTHONPATH=f"{SCRIPTS}{os.pathsep}{HERE}")
        self.stages: dict[str, dict[str, list[float]]] = {}
        self._collection = 0

    def run(self, kind: str, at_once: int, address: str) -> float:
        """Seconds of the stage that is spread; whether all of it has arrived.

        Args:
            kind: `upload` or `export`.
            at_once: requests under way, all machines together.
            address: of the cluster; without one this process's machine does it alone.
        """
        home = self.folder / "run"
        shutil.rmtree(home, ignore_errors=True)
        (home / "job").mkdir(parents=True)
        engine = "ray" if address else None
        plan = self._upload(at_once, engine) if kind == "upload" else self._export(home, at_once, engine)
        (home / "job" / "plan.json").write_bytes(plan_bytes(plan))
        out = home / "out.json"
        arguments = [HERE / "export_job.py", home, out]
        if kind == "upload":
            arguments = [HERE / "scale_job.py", home, self.folder / "data", out]
        env = self.env | ({"RAY_ADDRESS": address, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"} if address else {})
        done = subprocess.run([self.python, *arguments], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{kind} on {address or 'no cluster'}:\n{done.stderr[-3000:]}")
        said = json.loads(out.read_text())
        count, wanted = said.get("created", said.get("records")), self.units if kind == "upload" else self.records
        if count != wanted:
            raise RuntimeError(f"{kind}: {count} of {wanted}")
        self.stages[kind] = said["stages"]
        return float(said["stages"][STAGES[kind]][0])

    def _upload(self, at_once: int, engine: Any) -> UploadPlan:
        self._collection += 1
        return UploadPlan(
            name="scale",
            data_collection=self._collection,
            storage=11,
            sources=(SourcePlan(path=str(self.folder / "data")),),
            specs=SPECS,
            limits=Limits(workers=at_once),
            engine=engine,
        )

    def _export(self, home: Path, at_once: int, engine: Any) -> ExportPlan:
        return ExportPlan(
            name="scale",
            target="assignment",
            project=1,
            formats=(FormatPlan(name="coco"),),
            classes=ClassesPlan(order=CLASSES),
            output=str(home / "output"),
            limits=ExportLimits(workers=at_once, page_size=PAGE),
            engine=engine,
        )


def measure(
    kinds: list[str],
    nodes: list[int],
    units: int,
    records: int,
    latency_ms: float,
    each: int,
    rounds: int,
    folder: Path,
) -> list[Table]:
    """Each number of machines in turn, and both kinds of job on each cluster."""
    python = environment("ray")
    # Small ones: it is the number of requests that counts.
    make_tree(folder / "data", units, BYTES, pictures=("image.png",))
    most = max(nodes)
    alone = f"1 machine, {each * most} at once, no Ray"
    sides = [alone, *(f"{count} machine{'s' * (count > 1)}, {each * count} at once" for count in nodes)]
    what = {
        "upload": f"Upload of {2 * units:,} files of 1 KB in {units:,} data units",
        "export": f"Fetching of {records:,} records in pages of {PAGE}",
    }
    tables = {kind: Table(f"{what[kind]}, {latency_ms:g} ms a request", {side: [] for side in sides}) for kind in kinds}
    with sandbox(folder / "box", sandbox_seed((len(nodes) + 1) * rounds), latency_ms=latency_ms) as box:
        if "export" in kinds:
            make_records(box, records, 2)
        jobs = Jobs(folder, box, python, units, records)
        for number in range(rounds):
            for side, count in zip(sides, [0, *nodes], strict=True):
                with cluster(python, count, jobs.env) if count else contextlib.nullcontext("") as address:
                    for kind in kinds:
                        seconds = jobs.run(kind, each * (count or most), address)
                        tables[kind].lines[side].append(seconds)
                        computed = jobs.stages[kind][STAGES[kind]][1]
                        tables[kind].facts[f"CPU of the one writer, {side}"] = f"{computed:.1f} s"
                        print(f"  round {number + 1}: {kind}, {side} {seconds:.2f} s", file=sys.stderr, flush=True)
    for table in tables.values():
        for side, count in zip(sides[2:], nodes[1:], strict=True):
            table.compare(f"{count} machines, as fast as {nodes[0]}", sides[1], side, 0.75 * count / nodes[0])
        table.facts["cores"] = os.cpu_count()
    return list(tables.values())


def main() -> int:
    """Measure what was asked for."""
    parser = parser_of(__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 3], metavar="N", help="machines (1 2 3)")
    parser.add_argument(
        "--kinds", nargs="+", default=list(STAGES), choices=list(STAGES), help="what is measured (both)"
    )
    parser.add_argument("--units", type=int, default=600, metavar="N", help="data units of two files (600)")
    parser.add_argument("--records", type=int, default=3_000, metavar="N", help="to be fetched (3000)")
    parser.add_argument("--latency-ms", type=float, default=300, metavar="MS", help="of each request (300)")
    parser.add_argument("--each", type=int, default=6, metavar="N", help="requests at once a machine (6)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        sizes = (args.units, args.records, args.latency_ms, args.each, args.rounds)
        tables = measure(args.kinds, args.nodes, *sizes, Path(folder))
    return show(tables, as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
