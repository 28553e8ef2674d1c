"""What `run.py` can be asked: a script by its name, a job, the tests; and what it says of itself."""

import difflib
import re
import sys
from typing import Dict, List

from launcher import jobs, suite
from launcher.environments import ROOT, cache_folder, environment
from launcher.messages import INTERRUPTED, USAGE, LaunchError, exit_code_lines, fail, say
from launcher.processes import hand_over, script_environment

SCRIPTS = ROOT / "scripts"
COMMANDS = {
    "job": "Run a rendered job here: an upload after --approve HASH or with --dry-run, an export. See job --help.",
    "test": "Check the project: lint, types, rooms, tests. --all for everything.",
    "format": "Let ruff mend what it can.",
}
_DOCSTRING = re.compile(r'\A(?:#[^\n]*\n|\s)*[rR]?"""\s*(?P<first>[^\n]*?)\s*(?:"""|\n)')

_USAGE = """\
Bring files into Synapse and take annotations out.

usage: run.py SCRIPT [arguments]     run.py SCRIPT --help says more

{scripts}

{commands}

exit codes, the same for all:
{codes}

It looks for CPython 3.12 or newer (SYNAPSE_SKILLS_PYTHON names one) and installs what a script needs once into
{cache} (XDG_CACHE_HOME moves it).
"""


def main(arguments: List[str]) -> int:
    """Do what the command line says; return the exit code where the process wasn't handed over."""
    as_json = "--json" in arguments
    try:
        return _dispatch(arguments)
    except LaunchError as error:
        return fail(error, as_json)
    except KeyboardInterrupt:
        return fail(LaunchError("Interrupted.", "Run it again.", "interrupted", INTERRUPTED), as_json)


def _dispatch(arguments: List[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return 0
    name, rest = arguments[0], arguments[1:]
    if name == "test":
        return suite.test(rest)
    if name == "format":
        return suite.reformat(rest)
    if name == "job":
        if any(word in ("-h", "--help") for word in rest):
            sys.stdout.write(jobs.help_text())
            return 0
        return _run("normal", jobs.prepare(rest))
    script = _script(name)
    return _run(_kind(script, rest), [str(SCRIPTS / (script + ".py")), *rest])


def _run(kind: str, command: List[str]) -> int:
    try:
        python = environment(kind)
    except LaunchError as error:
        if not command[0].endswith("check_environment.py"):
            raise
        # The one script that is for exactly this case, and needs nothing installed.
        say("{} {}".format(error, error.hint))
        python = sys.executable
    hand_over([python, *command], script_environment(str(cache_folder())))


def _kind(script: str, arguments: List[str]) -> str:
    """`submit` needs Ray, so does checking whether it will work, and looking at a path from the cluster; no more."""
    wants_ray = (
        script in ("submit", "demo_ray")
        or "--on-agent" in arguments
        or (script == "check_environment" and ("--for=submit" in arguments or _follows(arguments, "--for", "submit")))
    )
    return "ray" if wants_ray else "normal"


def _follows(arguments: List[str], flag: str, value: str) -> bool:
    return any(pair == (flag, value) for pair in zip(arguments, arguments[1:]))


def _script(name: str) -> str:
    wanted = (name[:-3] if name.endswith(".py") else name).replace("-", "_")
    known = scripts()
    if wanted in known:
        return wanted
    near = difflib.get_close_matches(wanted, [*known, *COMMANDS], n=1, cutoff=0.5)
    hint = "Did you mean {}? ".format(near[0]) if near else ""
    raise LaunchError(
        "There is no script called {}.".format(name),
        hint + "run.py without arguments lists them.",
        "unknown-script",
        USAGE,
    )


def scripts() -> Dict[str, str]:
    """Every script that exists, with the first line of its docstring: read, not imported, by an old Python."""
    found = {}
    for path in sorted(SCRIPTS.glob("*.py")):
        if path.name != "run.py":
            match = _DOCSTRING.match(path.read_text(encoding="utf-8"))
            found[path.stem] = match.group("first") if match else ""
    return found


def usage() -> str:
    """What `run.py` says without arguments."""
    known = scripts()
    width = max(len(name) for name in [*known, *COMMANDS])
    return _USAGE.format(
        scripts="\n".join("  {}  {}".format(name.ljust(width), line) for name, line in known.items()),
        commands="\n".join("  {}  {}".format(name.ljust(width), line) for name, line in COMMANDS.items()),
        codes="\n".join(exit_code_lines()),
        cache=cache_folder(),
    )
