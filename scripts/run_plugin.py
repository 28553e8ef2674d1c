"""Run an export plugin that is published, with the parameters of a plan; follow its job, or stop it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synapse_skills.errors import EXIT_OK, Interrupted, UsageError, run

EPILOG = """\
Without --approve nothing is begun: the parameters are checked, and the command is shown.

examples:
  run_plugin.py synapse-jobs/cars --params '{"storage": 11}'
  run_plugin.py synapse-jobs/cars --plugin export-cars --approve 3f9a1c07b2de --wait
  run_plugin.py synapse-jobs/cars --stop

exit codes: 0 shown, begun, on its way or done · 1 not approved, or the backend refuses the plugin · 2 wrong usage or
  parameters · 3 backend or agent out of reach, or the job is not over after --timeout · 5 the job failed, or not all
  that was wanted is in the export · 130 the job was stopped, or interrupted here (the job goes on)
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="run_plugin.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("job", metavar="DIR|JOB_ID", help="the home of a planned export, or the id of a plugin's job")
    command.add_argument("--plugin", metavar="CODE", help="the plugin's code (default: the one that its plan gives it)")
    command.add_argument("--params", metavar="JSON", help="parameters other than the plan's, as one JSON object")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--approve", metavar="HASH", help="begin it: the hash of the plan that the user has agreed to")
    what.add_argument("--status", action="store_true", help="what has become of it")
    what.add_argument("--follow", action="store_true", help="print what it says until it has ended")
    what.add_argument("--stop", action="store_true", help="stop it; what is at the output's place stays there")
    command.add_argument("--wait", action="store_true", help="with --approve: follow it, and end as it ended")
    command.add_argument("--timeout", type=float, metavar="S", help="give up waiting after S seconds (default: never)")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Show, begin, follow or stop."""
    args = parser().parse_args(argv)
    from synapse_skills.cluster import plugin

    if args.status or args.follow or args.stop:
        job_id = plugin.job_of(args.job)
        if args.stop:
            job = plugin.stop(job_id)
        elif args.follow:
            job = _follow(job_id, args)
        else:
            job = plugin.see(job_id)
        _show(job.as_dict(), args.json)
        return EXIT_OK if args.stop else job.exit_code
    wanted = plugin.compose(Path(args.job), plugin=args.plugin, said=_params(args.params))
    document: dict[str, Any] = {"plugin": wanted.plugin, "params": wanted.params, "command": wanted.command}
    if args.approve is None:
        _show({"status": "shown", **document}, args.json)
        return EXIT_OK
    job = plugin.begin(wanted, approve=args.approve)
    if args.wait:
        job = _follow(job.id, args)
    _show({**document, **job.as_dict()}, args.json)
    return job.exit_code


def _params(text: str | None) -> dict[str, Any]:
    try:
        said = json.loads(text) if text is not None else {}
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise UsageError(
            "--params is no JSON object.", hint="For example: --params '{\"storage\": 11}'", code="bad-params"
        )
    return said


def _follow(job_id: str, args: argparse.Namespace) -> Any:
    from synapse_skills.cluster import plugin
    from synapse_skills.cluster.show import say

    try:
        return plugin.follow(job_id, lambda line: say(line, sys.stderr), timeout=args.timeout)
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted; {job_id} goes on.", hint=f"run_plugin {job_id} --follow, or --stop.") from None


def _show(document: dict[str, Any], as_json: bool) -> None:
    from synapse_skills.cluster.show import say

    if as_json:
        print(json.dumps(document, ensure_ascii=False))
        return
    for name, value in document.items():
        if value not in (None, "", {}):
            say(f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")


if __name__ == "__main__":
    sys.exit(run(main))
