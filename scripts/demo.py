"""The whole way on one machine: photos become data units, are labelled, and come out as COCO and YOLO, compared."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from demonstration.exporting import export
from demonstration.parts import EXAMPLES, SCRIPTS, Stage, own_folder
from demonstration.uploading import upload
from synapse_skills.cluster.local_backend import LocalBackend
from synapse_skills.errors import Interrupted, interruptible, run

EPILOG = """\
Nothing leaves this machine, no account is needed, and your own login is not looked at. Everything is written into DIR;
the next demo there replaces it.

examples:
  demo.py
  demo.py --out /tmp/look --keep

exit codes: 0 all that was planned has arrived, once, and all labels came out · 1 it has not, or a step failed ·
  2 wrong usage, or DIR is somebody else's · 3 the sandbox or the disk is out of reach · 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="demo.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument(
        "--out", type=Path, default=Path("synapse-demo"), metavar="DIR", help="where it works (default: synapse-demo)"
    )
    command.add_argument("--keep", action="store_true", help="keep the local backend running until Ctrl-C")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Show it."""
    args = parser().parse_args(argv)
    say: Callable[[str], None] = (lambda text: None) if args.json else (lambda text: print(text, flush=True))
    started = time.monotonic()
    folder = args.out.expanduser().absolute()
    seed = json.loads((EXAMPLES / "seed.json").read_bytes())
    with interruptible(), own_folder(folder):
        try:
            with LocalBackend(SCRIPTS / "sandbox.py", folder / "sandbox", seed) as backend:
                say(f"1. A local Synapse backend is up at {backend.host}; nothing leaves this machine.\n")
                stage = Stage(folder, say, backend)
                sent = upload(stage)
                made = export(stage)
                about = {
                    "units": sent.units,
                    "files": sent.report["files"]["sent"],
                    "tasks": sent.report["tasks"]["created"],
                    "again": sent.again["created"],
                    "hash": sent.hash,
                    "records": made.report["records"]["exported"],
                    "annotations": made.report["annotations"],
                    "page": str(sent.page),
                    "dataset": str(made.output),
                    "dataset_page": str(made.page),
                    "job": str(sent.home),
                    "report": str(sent.home / "state" / "report.json"),
                    "seconds": round(time.monotonic() - started, 1),
                }
                if args.json:
                    print(json.dumps(about, ensure_ascii=False), flush=True)
                say(f"\nDone in {about['seconds']} s. Look at\n")
                say(f"  the data units  {sent.page}")
                say(f"  the dataset     {made.page}")
                say(f"  its files       {made.output}   (coco/ and yolo/, as trainers load them)")
                say(f"  the jobs        {sent.home.parent}   (job/upload.py and job/export.py are what ran)")
                if args.keep:
                    say(f"\nThe local backend has a page of its own: {backend.host}   Ctrl-C stops it.")
                    backend.wait()
        except KeyboardInterrupt:
            raise Interrupted("Interrupted.", hint="Run it again: a demo begins anew.") from None
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
