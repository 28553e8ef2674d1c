"""Runs processes one after the other and looks every second at what they hold: the curves of memory over time."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

EVERY_S = 1.0


@dataclass
class Sample:
    """What a run held at a moment, in MB: the job, the largest process that it started, and all of them together."""

    seconds: float
    run: str
    stage: str
    done: int
    job_mb: float
    workers: int
    largest_worker_mb: float
    together_mb: float


@dataclass
class Ended:
    """A run that has ended: how, after how long, and the most that one of its processes ever held (VmHWM)."""

    run: str
    code: int
    seconds: float
    cpu: float
    peak_mb: float
    worker_peak_mb: float


class Watch:
    """Runs processes; each sample is written as it is taken.

    Args:
        path: of the CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.samples: list[Sample] = []
        self.ended: list[Ended] = []
        self._began = time.monotonic()
        self._stream = path.open("w", newline="")
        self._writer = csv.writer(self._stream)
        self._writer.writerow(Sample.__dataclass_fields__)

    def run(
        self,
        name: str,
        command: list[str],
        *,
        env: Mapping[str, str],
        out: Path,
        stage: Callable[[], tuple[str, int]] = lambda: ("", 0),
        kill: Callable[[Sample], bool] = lambda sample: False,
    ) -> Ended:
        """Run a script to its end, or until `kill` says so.

        Args:
            name: of the run.
            command: the script and its arguments.
            env: its environment.
            out: takes what it prints.
            stage: tells which stage it is in, and how much of it is done.
            kill: is shown every sample.
        """
        started, peak, worker_peak = time.monotonic(), 0.0, 0.0
        with out.open("wb") as stream, out.with_suffix(".err").open("wb") as errors:
            child = subprocess.Popen([sys.executable, *command], stdout=stream, stderr=errors, env=env)
        while not _has_ended(child.pid):
            sizes = [memory_of(pid) for pid in (child.pid, *_below(child.pid))]
            now, peaks = [size for size, _ in sizes], [size for _, size in sizes]
            peak, worker_peak = max(peak, peaks[0]), max(worker_peak, *peaks[1:], 0.0)
            seconds = time.monotonic() - self._began
            sample = Sample(seconds, name, *stage(), now[0], len(now) - 1, max(now[1:], default=0.0), sum(now))
            self._keep(sample)
            if kill(sample):
                child.kill()
            time.sleep(EVERY_S)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        cpu, seconds = usage.ru_utime + usage.ru_stime, time.monotonic() - started
        self.ended.append(Ended(name, child.returncode, seconds, cpu, peak, worker_peak))
        print(f"  {self.ended[-1]}", file=sys.stderr, flush=True)
        return self.ended[-1]

    def _keep(self, sample: Sample) -> None:
        self.samples.append(sample)
        cells = asdict(sample).values()
        self._writer.writerow(f"{cell:.1f}" if isinstance(cell, float) else cell for cell in cells)
        self._stream.flush()


def memory_of(pid: int) -> tuple[float, float]:
    """What a process holds, and the most that it ever held, in MB; zeros if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    found = {line.partition(":")[0]: line.split() for line in lines}
    held, most = (int(found[key][1]) / 1024 if key in found else 0.0 for key in ("VmRSS", "VmHWM"))
    return held, most


def _below(pid: int) -> Iterator[int]:
    """All processes that a process has started, and those that they have."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(each) for each in path.read_text().split()]
        except OSError:
            continue
        for child in children:
            yield child
            yield from _below(child)


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; it is still to be waited for, which tells what it computed."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
