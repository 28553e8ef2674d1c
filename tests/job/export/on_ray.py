"""Run by a Python that has Ray: an export on three machines that are processes of this one.

`on_ray.py cluster FOLDER` starts them and drivers one after the other: one that is killed, one again, one during which
a machine is killed. `on_ray.py driver FOLDER HOW` writes the records that lie in FOLDER and prints what came of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

START = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "120",
}
RECORDS = 1200


def spooled(folder: Path) -> None:
    """Records as if they had been fetched."""
    from synapse_skills.job.export.spool import Kept, Spool

    ids = [f"a{number}" for number in range(5)]
    said = [{"id": one, "tool": "bounding_box", "classification": {"class": "car"}} for one in ids]
    place = {"x": 1.5, "y": 2, "width": 10, "height": 8.25}
    data = {
        "extra": {"image_1": {"width": 64, "height": 48}},
        "annotations": {"image_1": said},
        "annotationsData": {"image_1": [{"id": one, "coordinate": place} for one in ids]},
    }
    rows = []
    for key in range(1, RECORDS + 1):
        file = {"file_name_original": f"p{key % 100}.png", "is_primary": True}
        row = {"id": key, "project": 1, "data": data, "data_unit": {"id": key, "meta": {}, "files": {"image_1": file}}}
        rows.append(Kept(key, json.dumps(row).encode(), key))
    Spool(folder / "spool").append({"t": "some"}, rows)


def driver(folder: Path, how: str) -> str:
    """Write the records: `alone`, `ray`, or `die` as soon as the first part is there; a digest of all files."""
    from synapse_skills.export_plan import ClassesPlan, ExportPlan, FormatPlan, SplitPlan
    from synapse_skills.job.export import parts, write
    from synapse_skills.job.export.index import Index
    from synapse_skills.job.export.originals import Store
    from synapse_skills.job.export.output import Output
    from synapse_skills.job.export.part_work import decider_of
    from synapse_skills.job.export.reporting import Outcome
    from synapse_skills.job.export.spool import Spool
    from synapse_skills.job.export.writing import Writing
    from synapse_skills.job.parallel import crew_for
    from synapse_skills.job.progress import Progress

    parts.RECORDS = 60
    plan = ExportPlan(
        name="x",
        target="assignment",
        project=1,
        formats=tuple(FormatPlan(name=name) for name in ("coco", "yolo", "csv")),
        classes=ClassesPlan(order=("car",)),
        split=SplitPlan(ratios={"train": 0.8, "val": 0.2}),
        output=str(folder / "output"),
        engine=None if how == "alone" else "ray",
    )
    join = write.Export.join

    def watched(self: write.Export, written: Iterator[Any]) -> Any:
        def told() -> Iterator[Any]:
            for number, part in enumerate(written):
                if how == "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                if number == 2:
                    (folder / "under-way").touch()
                time.sleep(0.1)
                yield part

        return join(self, told())

    write.Export.join = watched  # type: ignore[method-assign,assignment]
    (folder / "cache").mkdir(exist_ok=True)
    index = Index(folder / "cache" / "index.sqlite", Spool(folder / "spool"))
    output = Output(Path(plan.output), plan, is_shared=how != "alone")
    output.folder.mkdir(exist_ok=True)
    output.drop_partials()
    with crew_for(plan, 1 if how == "alone" else None, RECORDS, folder, output.folder) as crew:
        decider = decider_of(plan, index, crew, keep=None, limit=None, on_record=lambda count: None)
        decider.look()
        decided = decider.decide()
        store, progress = Store(folder / "originals"), Progress(quiet=True)
        writing = Writing(plan, index, store, folder, Outcome(), progress, lambda count: None, crew=crew)
        writing._export(output, decided, with_originals=False)
    digest = hashlib.sha256()
    for name in ("coco", "yolo", "csv", "metadata"):
        whole = output.beside(name)
        for path in sorted(path for path in whole.rglob("*") if path.is_file()):
            digest.update(path.relative_to(whole).as_posix().encode() + path.read_bytes())
    output.drop_partials()
    return digest.hexdigest()


def cluster(folder: Path) -> dict[str, Any]:
    """Start three machines and drivers on them; what each driver said."""
    from ray.cluster_utils import Cluster

    spooled(folder)
    said: dict[str, Any] = {"alone": driver(folder, "alone")}
    options = {"num_cpus": 1, "object_store_memory": 100 << 20}
    machines = Cluster(initialize_head=True, head_node_args=options | {"include_dashboard": False})
    nodes = [machines.add_node(**options) for _ in range(2)]
    try:

        def start(how: str) -> subprocess.Popen[str]:
            command = [sys.executable, __file__, "driver", str(folder), how]
            env = os.environ | {"RAY_ADDRESS": machines.address}
            return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)

        said["died"] = start("die").wait(timeout=300)
        said["again"] = start("ray").communicate(timeout=300)[0].split()[-1]
        (folder / "under-way").unlink()
        one = start("ray")
        while not (folder / "under-way").exists() and one.poll() is None:
            time.sleep(0.02)
        machines.remove_node(nodes.pop(), allow_graceful=False)
        said["was_at_work"] = one.poll() is None
        said["node_killed"] = one.communicate(timeout=300)[0].split()[-1]
    finally:
        machines.shutdown()
    return said


if __name__ == "__main__":
    os.environ.update(START)
    role, where = sys.argv[1], Path(sys.argv[2])
    if role == "cluster":
        print(json.dumps(cluster(where)))
    else:
        print(driver(where, sys.argv[3]))
