"""`run.py test` and `run.py format`: lint, types, rooms and tests in the environment of requirements-dev.lock."""

import argparse
import os
import sys
import time
from typing import Dict, List, NamedTuple

from launcher.environments import ROOT, cache_folder, environment
from launcher.messages import INTERRUPTED, USAGE, LaunchError, say
from launcher.processes import call, script_environment

# What pytest answers where nothing was selected: `--all -k name` may well name no heavy test.
_NO_TESTS_COLLECTED = 5


class Stage(NamedTuple):
    """One thing that `run.py test` does, and in which environment."""

    name: str
    kind: str
    command: List[str]


def _stages(chosen: argparse.Namespace, rest: List[str]) -> List[Stage]:
    # Twice the cores, because tests wait for servers half of the time; `-n 0` among the further arguments turns that
    # off (for a debugger). Heavy tests want the machine alone.
    workers = str(2 * (os.cpu_count() or 1))
    light = ["-m", "pytest", "-m", "not heavy", "-n", workers, *rest]
    oldest = Stage("oldest-sdk", "oldest", light)
    heavy = Stage("heavy", "dev", ["-m", "pytest", "-m", "heavy", *rest])
    lint_imports = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    stages = [
        Stage("ruff", "dev", ["-m", "ruff", "check", "."]),
        Stage("format", "dev", ["-m", "ruff", "format", "--check", "."]),
        Stage("mypy", "dev", ["-m", "mypy"]),
        Stage("rooms", "dev", ["-c", lint_imports]),
        Stage("pytest", "dev", light),
    ]
    if chosen.oldest:
        stages = [oldest]
    elif chosen.all or chosen.only == "heavy":
        # Before the everyday tests: the last thing on the screen is then the line that counts those.
        stages[-1:-1] = [oldest, heavy]
    if chosen.only:
        stages = [stage for stage in stages if stage.name == chosen.only]
    return stages


def parser() -> argparse.ArgumentParser:
    """The arguments of `run.py test`; what it doesn't know goes to pytest."""
    made = argparse.ArgumentParser(
        prog="run.py test",
        description="Check the project: lint, types, rooms, tests. Anything else is passed on to pytest.",
        epilog="examples:  run.py test    run.py test --only pytest tests/units -k folder    "
        "exit codes: 0 all stages passed, else the first failing stage's; 3 no environment",
        allow_abbrev=False,
    )
    made.add_argument(
        "--all", action="store_true", help="also the heavy tests, and the suite on the oldest synapse-sdk"
    )
    made.add_argument("--oldest", action="store_true", help="only the suite on the oldest synapse-sdk that we accept")
    made.add_argument("--only", choices=["ruff", "format", "mypy", "rooms", "heavy", "pytest"], help="one stage")
    made.add_argument("--rounds", type=int, help="rounds of the seeded tests (SYNAPSE_SKILLS_ROUNDS)")
    return made


def test(arguments: List[str]) -> int:
    """Run every stage, also after one has failed, and say at the end which did.

    Returns:
        0, or the exit code of the first stage that failed.
    """
    chosen, rest = parser().parse_known_args(arguments)
    if not (ROOT / "tests").is_dir():
        raise LaunchError("There are no tests in {}.".format(ROOT), "Run this in a checkout.", "no-tests", USAGE)
    extra = {"PYTHONPATH": os.pathsep.join([str(ROOT / "scripts"), str(ROOT / "tests")])}
    if chosen.rounds:
        extra["SYNAPSE_SKILLS_ROUNDS"] = str(chosen.rounds)
    env = script_environment(str(cache_folder()), extra)
    failed: Dict[str, int] = {}
    told: List[str] = []
    for stage in _stages(chosen, rest):
        python = environment(stage.kind)
        say("{}: {}".format(stage.name, _shown(stage.command)))
        started = time.time()
        code = call([python, *stage.command], env, cwd=str(ROOT))
        if code == INTERRUPTED:
            return INTERRUPTED
        if code == _NO_TESTS_COLLECTED and rest and stage.name == "heavy":
            code = 0
        if code != 0:
            failed[stage.name] = code
        told.append("{} {} ({:.0f} s)".format(stage.name, "FAILED" if code else "ok", time.time() - started))
    say(", ".join(told))
    return next(iter(failed.values()), 0)


def _shown(command: List[str]) -> str:
    return " ".join(command[1:]) if command[0] == "-m" else "lint-imports"


def reformat(arguments: List[str]) -> int:
    """`run.py format`: mend what ruff can mend."""
    if arguments:
        raise LaunchError("format takes no arguments.", "", "usage", USAGE)
    python = environment("dev")
    env = script_environment(str(cache_folder()))
    codes = [
        call([python, "-m", "ruff", *words], env, cwd=str(ROOT)) for words in (["check", "--fix", "."], ["format", "."])
    ]
    sys.stdout.flush()
    return max(codes)
