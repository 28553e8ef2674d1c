"""What the benchmarks share: a sandbox beside them, runs in processes of their own, sides in turn, a table.

A figure here is a ratio of two sides that ran in turn on the same machine, in the same minutes and on the same data:
seconds alone say more about the machine than about the code.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
CHILD = Path(__file__).resolve().with_name("child.py")
MEBIBYTE = 1 << 20

sys.path.insert(0, str(SCRIPTS))


# -- a sandbox -----------------------------------------------------------------------------------------------------


@dataclass
class Box:
    """A sandbox in a process of its own. Made by `sandbox`."""

    host: str
    token: str
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """What it has computed so far: its share of a run is the difference of two."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def env(self, home: Path, **more: str) -> dict[str, str]:
        """The environment of a process that is logged in here, and finds nothing of the user's."""
        home.mkdir(parents=True, exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SYNAPSE_", "PYTHON"))}
        # Where run.py keeps bytecode too: nobody's second run should compile what the first one has.
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "synapse-skills", "pycache")
        kept["PYTHONPYCACHEPREFIX"] = str(cache)
        return {**kept, "SYNAPSE_HOST": self.host, "SYNAPSE_ACCESS_TOKEN": self.token, "HOME": str(home), **more}

    def call(self, path: str, body: Any = None, *, method: str | None = None) -> Any:
        """GET, or POST with a body: JSON back."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Synapse-Access-Token": f"Token {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.host}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.loads(answer.read() or b"null")


@contextlib.contextmanager
def sandbox(folder: Path, seed: Mapping[str, Any], *, latency_ms: float = 0) -> Iterator[Box]:
    """Start a sandbox whose state lies in `folder`; stopped and waited for at the end.

    Args:
        folder: made if it is missing; one sandbox a folder.
        seed: what it holds at first; its `settings` are those of the sandbox.
        latency_ms: how long every request of a route waits before it is looked at.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seed.json").write_text(json.dumps(seed))
    ready = folder / "ready.json"
    # Of a sandbox that was killed here.
    ready.unlink(missing_ok=True)
    command = [sys.executable, str(SCRIPTS / "sandbox.py"), "serve", "--state", str(folder / "state"), "--port", "0"]
    command += ["--seed", str(folder / "seed.json"), "--ready-file", str(ready), "--latency-ms", str(latency_ms)]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise RuntimeError(f"the sandbox did not start:\n{(folder / 'log.txt').read_text()}")
            time.sleep(0.02)
        about = json.loads(ready.read_text())
        yield Box(about["host"], about["token"], process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


# -- runs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A script that has run in a process of its own.

    Attributes:
        seconds: from its start to its end, the start of Python and all imports among them.
        cpu: seconds computed, by it and by the processes that it started.
        peak_mb: the most memory that it held itself (VmHWM).
        children_mb: the most that any process started by it held.
        box_cpu: seconds that the sandbox has computed meanwhile.
    """

    seconds: float
    cpu: float
    peak_mb: float
    children_mb: float
    box_cpu: float
    out: str


def run_script(
    script: Path, *arguments: str, env: Mapping[str, str] | None = None, box: Box | None = None, expect: int = 0
) -> Run:
    """Run a Python script to its end.

    Raises:
        RuntimeError: another exit code than `expect`.
    """
    with tempfile.TemporaryDirectory(prefix="run-") as folder:
        usage, out = Path(folder, "usage.json"), Path(folder, "out.txt")
        before = box.cpu_seconds() if box else 0.0
        with out.open("wb") as stream:
            started = time.perf_counter()
            code = subprocess.run(
                [sys.executable, str(CHILD), str(usage), str(script), *arguments],
                stdout=stream,
                stderr=stream,
                env={**(env or os.environ), "PYTHONPATH": str(SCRIPTS)},
                check=False,
            ).returncode
            seconds = time.perf_counter() - started
        text = out.read_text(errors="replace")
        if code != expect:
            raise RuntimeError(f"{script.name} ended with {code}:\n{text[-3000:]}")
        used = json.loads(usage.read_text())
        box_cpu = box.cpu_seconds() - before if box else 0.0
        return Run(seconds, used["cpu"], used["peak_mb"], used["children_mb"], box_cpu, text)


Side = Callable[[int], float]
"""Does its work once, in the given round, and returns the seconds (or MB) that count."""


def in_turn(sides: Mapping[str, Side], rounds: int) -> dict[str, list[float]]:
    """All sides in each round, one after the other, every second round in the reverse order."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(sides[name](number))
            print(f"  round {number + 1}: {name} {found[name][-1]:.2f}", file=sys.stderr, flush=True)
    return found


def clocked(work: Callable[[], Any]) -> float:
    """Seconds that a piece of work takes by the clock."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


# -- what comes out ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratio:
    """How one figure stands to another, and what is aimed at."""

    what: str
    value: float
    target: float
    at_least: bool = True

    @property
    def is_met(self) -> bool:
        """Whether it is as aimed at."""
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def aim(self) -> str:
        """The target in words."""
        return f"{'≥' if self.at_least else '≤'} {self.target:g} ×"


@dataclass
class Table:
    """One comparison.

    Attributes:
        lines: side → its figure in each round.
        unit: of these figures.
        ratios: what matters.
        facts: whatever else is worth knowing.
    """

    title: str
    lines: dict[str, list[float]]
    unit: str = "s"
    ratios: list[Ratio] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def median(self, side: str) -> float:
        """A side's median."""
        return statistics.median(self.lines[side])

    def best(self, side: str) -> float:
        """A side's smallest figure."""
        return min(self.lines[side])

    def compare(self, what: str, side: str, other: str, target: float, *, at_least: bool = True) -> None:
        """Add the ratio of two medians: `side` over `other`."""
        self.ratios.append(Ratio(what, self.median(side) / self.median(other), target, at_least))


def markdown_row(ratio: Ratio, title: str) -> str:
    """A line for the table of README.md."""
    return f"| {title}: {ratio.what} | {ratio.value:.1f} × | {ratio.aim} |"


def show(tables: Sequence[Table], *, as_json: bool) -> int:
    """Print tables for people, or one JSON document; exit code 0 whatever they say: a figure is not a finding."""
    if as_json:
        document = [
            {
                "title": table.title,
                "unit": table.unit,
                "lines": table.lines,
                "ratios": [vars(ratio) | {"is_met": ratio.is_met} for ratio in table.ratios],
                "facts": table.facts,
            }
            for table in tables
        ]
        print(json.dumps(document, ensure_ascii=False, indent=2))
        return 0
    for table in tables:
        print(f"\n{table.title}")
        width = max(len(side) for side in table.lines)
        for side, values in table.lines.items():
            every = "  ".join(f"{value:.2f}" for value in values)
            print(
                f"  {side:{width}}  median {table.median(side):8.2f} {table.unit}  best {min(values):8.2f}  ({every})"
            )
        for ratio in table.ratios:
            print(f"  {ratio.what}: {ratio.value:.2f} ×  (aim {ratio.aim}{'' if ratio.is_met else ', NOT MET'})")
        for key, value in table.facts.items():
            print(f"  {key}: {value}")
    return 0


def parser_of(about: str | None) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes: --rounds and --json."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each side runs (default: 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return parser
