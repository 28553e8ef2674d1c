"""An upload job with its stages by the clock: HOME DATA OUT.json. For `scale.py`.

It does what a rendered upload.py does, with plan.json in HOME/job and its state beside it, and writes down how long
each stage took (seconds by the clock and of CPU of this process) and what the report counts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from export_job import Stages

from synapse_skills.job.progress import Progress
from synapse_skills.job.state import State
from synapse_skills.job.upload.engine import Engine, Options
from synapse_skills.plan import read_plan
from synapse_skills.sources import Source
from synapse_skills.units import Place, by_extension, by_folder


def main(home: Path, data: Path, out: Path) -> None:
    """Run it to the end."""
    plan = read_plan(home / "job" / "plan.json")
    stages: Progress = Stages()
    place = Place(by_folder(1), by_extension({".png": "image_1", ".json": "label_1"}))
    with State(home / "state") as state:
        left_out = home / "job" / "left_out.jsonl"
        report, error = Engine(plan, [Source(str(data))], place, None, state, left_out, Options(), stages).run()
    stages.stage("end")
    assert error is None and not report.exit_code, (error, report.problems)
    assert isinstance(stages, Stages)
    document = {"stages": stages.seconds(), "created": report.created, "files": report.files.sent}
    out.write_text(json.dumps(document))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
