"""Runs a script as `__main__` and writes down what it used: python benchmarks/child.py USAGE.json SCRIPT [ARGUMENT...]

Asked from outside, a process that has ended no longer says how much memory it held; and what the system tells of a
child (`ru_maxrss`) begins with the size of the process that started it.
"""

from __future__ import annotations

import json
import resource
import runpy
import sys
from pathlib import Path


def used() -> dict[str, float]:
    """Peak memory in MB and seconds computed, of this process and of those that it started."""
    status = Path("/proc/self/status")
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    # Where there is no /proc, what the system tells of this process has to do.
    peak = own.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
    if status.exists():
        peak = next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return {"peak_mb": peak, "children_mb": children.ru_maxrss / 1024, "cpu": cpu}


if __name__ == "__main__":
    usage = Path(sys.argv[1])
    sys.argv = sys.argv[2:]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        usage.write_text(json.dumps(used()))
