"""Run by a Python that has Ray: exports on three machines that are processes of this one.

`on_ray.py cluster SCRIPT STATE OUTPUT` starts the machines and then drivers, one after the other: one is killed while
the machines fetch; one is killed while they write, after a machine was killed while it fetched; the last one ends,
though another machine is killed while it writes. What was seen is told on stderr, and as JSON on stdout.

`on_ray.py driver SCRIPT FLAGS…` is such a driver: it runs the script of a job, in small parts, and slowly where it
writes, so that there is time to kill somebody.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

START = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "60",
}
LOGIN = ("SYNAPSE_HOST", "SYNAPSE_ACCESS_TOKEN", "SYNAPSE_SKILLS_PATIENCE_S")
RECORDS = 50  # of a part
STEP_S = 300.0


def driver(script: str, flags: list[str]) -> None:
    """Run the script of a job."""
    from synapse_skills.job.export import parts, write

    parts.RECORDS = parts.LEAST = RECORDS
    join = write.Export.join

    def slowly(self: write.Export, written: Iterator[Any]) -> Any:
        def one_by_one() -> Iterator[Any]:
            for part in written:
                time.sleep(0.3)
                yield part

        return join(self, one_by_one())

    write.Export.join = slowly  # type: ignore[method-assign,assignment]
    sys.argv = [script, *flags]
    runpy.run_path(script, run_name="__main__")


def three_machines() -> tuple[Any, list[Any]]:
    """A cluster, and the machines of it that can be killed."""
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=options | {"include_dashboard": False})
    return cluster, [cluster.add_node(**options) for _ in range(2)]


def patiently[T](start: Callable[[], T]) -> T:
    """Start something that gives up too early where much else runs."""
    for _ in range(3):
        try:
            return start()
        except Exception as error:
            print(f"once more: {error}", file=sys.stderr, flush=True)
    return start()


class Machines:
    """Three machines, and a driver on them.

    Args:
        script: of the job.
        state: of the job; output: of the export.
    """

    def __init__(self, script: Path, state: Path, output: Path) -> None:
        self.state, self.output = state, output
        self.command = [sys.executable, __file__, "driver", str(script), "--state", str(state), "--output", str(output)]
        # The machines know no login: a job's own environment brings it, as it does where jobs are submitted.
        login = {name: os.environ.pop(name) for name in LOGIN}
        job = {"runtime_env": {"env_vars": login}, "metadata": {}}
        self.login = login | {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job)}
        self.began = time.monotonic()
        self.cluster, self.nodes = patiently(three_machines)
        self.tell("three machines of one CPU each are up")

    def tell(self, what: str) -> None:
        """Say when something happens."""
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", file=sys.stderr, flush=True)

    def start(self) -> subprocess.Popen[str]:
        """Start a driver."""
        self.tell(f"a driver starts; {self.kept()}")
        self.before = set(self._under_way())
        env = os.environ | self.login | {"RAY_ADDRESS": self.cluster.address}
        return subprocess.Popen(self.command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _under_way(self) -> list[Path]:
        """Segments of the spool that machines have written, and parts of the output."""
        return [*self.state.glob("spool/*-*/*.pages"), *self.output.glob("parts.*.partial/*")]

    def until(self, what: str, count: int, running: subprocess.Popen[str]) -> None:
        """Wait until this driver has so many segments (`pages`) or parts (`partial`)."""

        def made() -> int:
            return sum(what in str(path) for path in set(self._under_way()) - self.before)

        end = time.monotonic() + STEP_S
        while made() < count:
            if running.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"no {what}: {running.communicate()[0]}")
            time.sleep(0.02)

    def kept(self) -> str:
        """What is in the spool."""
        from synapse_skills.job.export.spool import Spool

        if not (self.state / "spool").is_dir():
            return "nothing is kept"
        found: set[int] = set()
        twice = 0
        for page in Spool(self.state / "spool").pages():
            keys = {place.key for place in page.places} if page.facts.get("t") == "range" else set()
            twice += len(keys & found)
            found |= keys
        return f"{len(found)} records are kept" + (f", {twice} of them twice" if twice else "")

    def kill_driver(self, running: subprocess.Popen[str]) -> int:
        """SIGKILL."""
        running.kill()
        code = running.wait()
        self.tell("the driver is killed")
        return code

    def kill_machine(self) -> None:
        """SIGKILL to the raylet of a machine: all that works there ends."""
        raylet = self.nodes.pop().all_processes["raylet"][0].process
        os.kill(raylet.pid, signal.SIGKILL)
        raylet.wait()
        self.tell(f"a machine is killed (raylet, pid {raylet.pid})")


def cluster(machines: Machines) -> dict[str, Any]:
    """Kill whom there is to kill; how each driver ended."""
    said: dict[str, Any] = {}
    try:
        first = machines.start()
        machines.until("pages", 4, first)
        said["killed while fetching"] = machines.kill_driver(first)

        second = machines.start()
        machines.until("pages", 3, second)
        machines.kill_machine()
        said["fetched on"] = second.poll() is None
        machines.until("partial", 3, second)
        machines.tell(f"parts are written; {machines.kept()}")
        said["killed while writing"] = machines.kill_driver(second)

        third = machines.start()
        machines.until("partial", 3, third)
        machines.kill_machine()
        said["wrote on"] = third.poll() is None
        said["log"] = third.communicate(timeout=STEP_S)[0]
        said["code"] = third.returncode
        machines.tell(f"the driver has ended with {third.returncode}; {machines.kept()}")
    finally:
        machines.cluster.shutdown()
    return said


if __name__ == "__main__":
    os.environ.update(START)
    if sys.argv[1] == "driver":
        driver(sys.argv[2], sys.argv[3:])
    else:
        print(json.dumps(cluster(Machines(*map(Path, sys.argv[2:])))))
