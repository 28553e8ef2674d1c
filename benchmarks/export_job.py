"""An export job with its stages by the clock: HOME OUT.json [TOLD.json]. For `export.py` and those of memory.

It does what a rendered export.py does, with plan.json in HOME/job, state and output beside it, and writes down how
long each stage took (seconds by the clock and of CPU) and what the report counts. TOLD.json says how far it is.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from synapse_skills.export_plan import read_export_plan
from synapse_skills.job.export.engine import Engine, Options
from synapse_skills.job.progress import Progress
from synapse_skills.job.state import State


class Stages(Progress):
    """Says nothing, and notes when each stage begins; how far it is, in a file that is asked for."""

    def __init__(self, told: Path | None = None) -> None:
        super().__init__(quiet=True, what="records")
        self.began: list[tuple[str, float, float]] = []
        self.told = told
        self.stage("start")

    def stage(self, name: str, total: int = 0, *, what: str | None = None) -> None:
        self.began.append((name, time.perf_counter(), time.process_time()))
        super().stage(name, total, what=what)
        self._tell()

    def created(self, units: int) -> None:
        super().created(units)
        self._tell()

    def _tell(self) -> None:
        if self.told is not None:
            fresh = self.told.with_suffix(".new")
            fresh.write_text(json.dumps([self._stage, self._done]))
            fresh.replace(self.told)

    def seconds(self) -> dict[str, list[float]]:
        """By stage: seconds by the clock, and of CPU of this process."""
        found: dict[str, list[float]] = {}
        for (name, clock, cpu), (_, clock_end, cpu_end) in zip(self.began, self.began[1:], strict=False):
            spent = found.setdefault(name, [0.0, 0.0])
            spent[0] += clock_end - clock
            spent[1] += cpu_end - cpu
        return found


def main(home: Path, out: Path, told: Path | None = None) -> None:
    """Run it to the end."""
    plan = read_export_plan(home / "job" / "plan.json")
    stages = Stages(told)
    with State(home / "state") as state:
        report, error = Engine(plan, state, Options(), stages).run()
    stages.stage("end")
    assert error is None and not report.exit_code, (error, report.problems)
    document: dict[str, Any] = {
        "stages": stages.seconds(),
        "records": report.records.exported,
        "annotations": report.annotations.read,
        "written": {name: each.written for name, each in report.annotations.formats.items()},
    }
    out.write_text(json.dumps(document))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
