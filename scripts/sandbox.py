"""A local Synapse backend for the demo, the tests and rehearsals: nothing leaves this machine."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synapse_sandbox import Options, SandboxError, serve
from synapse_sandbox.faults import AROUND, INSIDE
from synapse_sandbox.front import NAMES
from synapse_skills.errors import FindingError, OutOfReach, SkillsError, run

EPILOG = f"""\
examples:
  sandbox.py serve --state ./sandbox
  sandbox.py serve --state /tmp/box --ready-file /tmp/box.json --seed seed.json --faults faults.json --latency-ms 20

The ready file (mode 0600) holds host, token and pid; log in with them: SYNAPSE_HOST, SYNAPSE_ACCESS_TOKEN.
The same --state goes on where it was. A seed is applied once, and again only when it has changed.

seed: {{"tenant", "collections": [{{"id", "name", "meta": {{"data_unit_meta_schema"}}, "file_specifications": [...]}}],
  "storages", "projects", "agents", "settings", "files_root", "data_units", "tasks", "assignments", "ground_truths"}};
  without one: a default storage, an agent, and collection 1. Rows of labelled work: synapse_sandbox/labels.py.
faults: {{"seed": 0, "faults": [{{"kind", "route", "query", "on": [1, 3] | "after", "times", "probability", ...}}]}}
  kinds: {", ".join([*AROUND, *INSIDE])}
  routes: {", ".join(sorted(NAMES))},
    api (all that want a token), or a pattern searched in "METHOD /path"

exit codes: 0 stopped (SIGTERM, Ctrl-C) · 1 the seed or the faults file is not fit · 2 wrong usage ·
  3 the state folder or the port can't be had
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="sandbox.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="serve")
    command = commands.add_parser(
        "serve",
        help="serve until stopped",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--state", type=Path, required=True, metavar="DIR", help="folder that holds everything")
    command.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one (default)")
    command.add_argument(
        "--ready-file", type=Path, metavar="FILE", help="written once the port answers (default: DIR/ready.json)"
    )
    command.add_argument("--seed", type=Path, metavar="FILE", help="JSON: what the sandbox holds at first")
    command.add_argument("--faults", type=Path, metavar="FILE", help="JSON: what goes wrong, where and how often")
    command.add_argument("--latency-ms", type=float, default=0.0, metavar="N", help="every request waits this long")
    command.add_argument("--json", action="store_true", help="say host, pid and ready file as one JSON document")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped."""
    args = parser().parse_args(argv)
    options = Options(
        state=args.state,
        port=args.port,
        ready_file=args.ready_file,
        seed=args.seed,
        faults=args.faults,
        latency_ms=args.latency_ms,
    )

    def ready(about: dict[str, Any]) -> None:
        if args.json:
            print(json.dumps(about), flush=True)
        else:
            print(f"Sandbox: {about['host']}   what has been uploaded can be seen there", flush=True)
            print(f"Login (host, token): {about['ready_file']}", flush=True)
            print("Stop it with Ctrl-C.", flush=True)

    try:
        serve(options, ready)
    except SandboxError as error:
        raise _for_people(error) from None
    return 0


def _for_people(error: SandboxError) -> SkillsError:
    if error.environment:
        return OutOfReach(str(error), hint=error.hint, code="sandbox-out-of-reach")
    return FindingError(str(error), hint=error.hint, code="sandbox-input")


if __name__ == "__main__":
    sys.exit(run(main))
