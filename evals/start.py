"""Starts a command of the evals in the environment of development, whatever Python was called."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# The cases stand on the tests' readers of exported files and on the sandbox.
PATHS = [str(HERE), str(ROOT / "scripts"), str(ROOT / "tests")]
sys.path[:0] = [path for path in PATHS if path not in sys.path]

from launcher.environments import cache_folder, environment  # noqa: E402
from launcher.messages import LaunchError, fail  # noqa: E402
from launcher.processes import hand_over, script_environment  # noqa: E402


def start(command: str) -> None:
    """Run one of `eval_cases.commands` with the arguments of this process."""
    try:
        python = environment("dev")
    except LaunchError as error:
        sys.exit(fail(error, as_json=False))
    env = script_environment(str(cache_folder()), {"PYTHONPATH": ":".join(PATHS)})
    hand_over([python, "-m", "eval_cases.commands", command, *sys.argv[1:]], env)
