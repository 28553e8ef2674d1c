"""How the launcher speaks: on stderr, in the same form as every script, and as one JSON document under --json."""

import json
import re
import sys
from typing import List

FINE = 0
FINDINGS = 1
USAGE = 2
ENVIRONMENT = 3
INTERRUPTED = 130

# The same table as synapse_skills.errors.EXIT_CODES, which an old Python can't import; a test compares them.
EXIT_CODES = {
    0: "fine",
    1: "findings: what was checked is not fit",
    2: "wrong usage",
    3: "environment: SDK, login, backend or source out of reach",
    4: "more answers needed",
    5: "ended with failed, quarantined or lost beyond consent",
    130: "interrupted (Ctrl-C, SIGTERM)",
}

_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@\"'<>]+@")


class LaunchError(Exception):
    """Anything that keeps `run.py` from handing over; says what is wrong and what to do next."""

    def __init__(self, message: str, hint: str = "", code: str = "environment", exit_code: int = ENVIRONMENT) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code
        self.exit_code = exit_code


def say(text: str) -> None:
    """One line for whoever watches; never on stdout, which belongs to the script."""
    sys.stderr.write("synapse-skills: {}\n".format(_safe(text)))
    sys.stderr.flush()


def fail(error: LaunchError, as_json: bool = False) -> int:
    """Print an error as the scripts do and return its exit code."""
    if as_json:
        document = {"error": {"code": error.code, "message": without_passwords(str(error)), "hint": error.hint}}
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
    else:
        sys.stderr.write("error: {}\n".format(_safe(str(error))))
        if error.hint:
            sys.stderr.write("  next: {}\n".format(_safe(error.hint)))
    return error.exit_code


def exit_code_lines() -> List[str]:
    """The table of exit codes, for help texts."""
    return ["  {:>3}  {}".format(code, meaning) for code, meaning in sorted(EXIT_CODES.items())]


def without_passwords(text: str) -> str:
    """Take user:password@ out of every URL: package indexes of companies often carry one."""
    return _USERINFO.sub(r"\g<scheme>***@", text)


def _safe(text: str) -> str:
    encoding = sys.stderr.encoding or "ascii"
    return without_passwords(text).encode(encoding, "backslashreplace").decode(encoding)
