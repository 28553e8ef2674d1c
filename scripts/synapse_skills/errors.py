"""The one error tree, its exit codes, and what keeps secrets out of every message.

An error says what is wrong (the message), where (in the message) and what to do next (`hint`). Scripts call `run`,
which prints the error and turns it into the exit code of its class; nothing else in the library exits or prints.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

EXIT_OK = 0
EXIT_FINDINGS = 1
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3
EXIT_QUESTIONS = 4
EXIT_INCOMPLETE = 5
EXIT_INTERRUPTED = 130

EXIT_CODES = {
    EXIT_OK: "fine",
    EXIT_FINDINGS: "findings: what was checked is not fit",
    EXIT_USAGE: "wrong usage",
    EXIT_ENVIRONMENT: "environment: SDK, login, backend or source out of reach",
    EXIT_QUESTIONS: "more answers needed",
    EXIT_INCOMPLETE: "ended with failed, quarantined or lost beyond consent",
    EXIT_INTERRUPTED: "interrupted (Ctrl-C, SIGTERM)",
}


class SkillsError(Exception):
    """Anything that stops a command and that a user can act on.

    Attributes:
        exit_code: what the process ends with.
        code: a stable kebab-case name for the troubleshooting reference.
        hint: what to do next, one sentence.
    """

    exit_code = EXIT_FINDINGS
    code = "error"
    hint = ""

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint
        if code is not None:
            self.code = code

    def as_dict(self) -> dict[str, Any]:
        """The error as the JSON document that `--json` prints, redacted."""
        return {"error": {"code": self.code, "message": redact(str(self)), "hint": redact(self.hint)}}


class FindingError(SkillsError):
    """Something is wrong with what the user gave: exit 1."""

    code = "finding"


class UsageError(SkillsError):
    """The command was called wrongly: exit 2."""

    exit_code = EXIT_USAGE
    code = "usage"


class OutOfReach(SkillsError):
    """The environment is not there: SDK, login, backend, source, disk. Exit 3."""

    exit_code = EXIT_ENVIRONMENT
    code = "out-of-reach"


class Interrupted(SkillsError):
    """Ctrl-C or SIGTERM: exit 130. Running the same command again goes on where it was."""

    exit_code = EXIT_INTERRUPTED
    code = "interrupted"
    hint = "Run the same command again: it goes on where it was."


STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

_ends_with: int | None = None
"""The exit code of this process, as soon as nothing can change it any more."""


def interrupt(number: int, frame: object) -> None:
    """A signal handler that does what Ctrl-C does; where there is nothing left but to end, the process ends at once."""
    if _ends_with is not None:
        os._exit(_ends_with)
    raise KeyboardInterrupt


@contextlib.contextmanager
def handling(handler: Callable[[int, object], None], *, for_good: bool = False) -> Iterator[dict[int, Any]]:
    """Ctrl-C, SIGTERM and a closed terminal call `handler` inside; `for_good`: also afterwards.

    Yields:
        What handled each of them before.
    """
    before: dict[int, Any] = {}
    try:
        for number in STOPS:
            # Whoever ignores a closed terminal (nohup) goes on ignoring it.
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    except ValueError:
        # Not the main thread: whoever runs us there has the signals.
        yield before
        return
    if for_good:
        atexit.register(_ignore, tuple(before))
    try:
        yield before
    finally:
        for number, previous in before.items() if not for_good else ():
            signal.signal(number, previous)


def _ignore(numbers: Sequence[int]) -> None:
    # The last that Python does before it gives our handlers back to the system, which would end the process as killed.
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def interruptible() -> contextlib.AbstractContextManager[Any]:
    """SIGTERM and a closed terminal end what runs inside as Ctrl-C does: tidied up, and with its report."""
    return handling(interrupt)


_secrets: set[str] = set()
_QUERY = re.compile(r"(?P<url>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s?#\"'<>]*)\?[^\s\"'<>]*")
_USERINFO = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@\"'<>]+@")
_AUTH_HEADER = re.compile(r"\b(?P<kind>Token|Bearer)\s+[A-Za-z0-9._~+/=-]{6,}")


def keep_secret(value: str | None) -> None:
    """Remember a token or key, so that `redact` takes it out of everything that is printed or written."""
    if value and len(value) >= 4:
        _secrets.add(value)


def redact(text: str) -> str:
    """Take tokens, passwords in URLs and the query of every URL (signed links) out of a text."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _QUERY.sub(r"\g<url>?***", text)
    text = _USERINFO.sub(r"\g<scheme>***@", text)
    return _AUTH_HEADER.sub(r"\g<kind> ***", text)


def printable(text: str) -> str:
    """A name as it can be printed anywhere: lone surrogates and control characters escaped, the rest kept."""
    return "".join(
        char
        if char.isprintable() and not 0xD800 <= ord(char) <= 0xDFFF
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Call a script's main and turn every way it can end into an exit code and a readable message.

    With `--json` among the arguments the error is the one JSON document on stdout; otherwise it goes to stderr.
    An unexpected exception is a bug of ours: one line, and the traceback only with SYNAPSE_SKILLS_DEBUG=1.

    Args:
        main: of the script.
        argv: None: those of the process, which then ends with what is returned. A signal can hasten that end from
            here on, and neither change its exit code nor print anything.
    """
    global _ends_with
    as_json = "--json" in (sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # Also before a job begins and after it has ended, while it waits for another run or writes its report.
    with handling(interrupt, for_good=argv is None):
        try:
            code = _outcome(main, argv, as_json)
            if argv is None:
                _ends_with = code
        except KeyboardInterrupt:
            # The first thing here, and no call: Python looks for signals only where something is called.
            if argv is None:
                _ends_with = EXIT_INTERRUPTED
            code = _say(Interrupted("Interrupted."), as_json)
    return code


def _outcome(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None, as_json: bool) -> int:
    try:
        code = main(argv)
        sys.stdout.flush()
        return code
    except SystemExit as end:
        # argparse, which has said what it had to.
        if argv is None and isinstance(end.code, int):
            return end.code
        raise
    except SkillsError as error:
        return _say(error, as_json)
    except BrokenPipeError:
        # The reader (head, less) went away: what it wanted has been printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        where = f" ({printable(str(error.filename))})" if error.filename else ""
        hint = "Free some disk space and run it again." if error.errno == 28 else "Check the path and its permissions."
        return _say(OutOfReach(f"{error.strerror or error}{where}", hint=hint, code="os-error"), as_json)
    except Exception as error:
        return _say(unexpected(error), as_json)


def unexpected(error: Exception) -> SkillsError:
    """A bug of ours as an error; the traceback goes to stderr only with SYNAPSE_SKILLS_DEBUG=1."""
    if os.environ.get("SYNAPSE_SKILLS_DEBUG") == "1":
        sys.stderr.write(redact("".join(traceback.format_exception(error))))
    return SkillsError(
        f"Unexpected {type(error).__name__}: {error}",
        hint="This is a bug in synapse-skills: run it with SYNAPSE_SKILLS_DEBUG=1 and report what it prints.",
        code="bug",
    )


def _say(error: SkillsError, as_json: bool) -> int:
    if as_json:
        print(json.dumps(error.as_dict(), ensure_ascii=False))
        with contextlib.suppress(OSError):
            sys.stdout.flush()
    else:
        print(f"error: {redact(printable_lines(str(error)))}", file=sys.stderr)
        if error.hint:
            print(f"  next: {redact(printable_lines(error.hint))}", file=sys.stderr)
    return error.exit_code


def printable_lines(text: str) -> str:
    """`printable` for a text of several lines."""
    return "\n".join(printable(line) for line in text.split("\n"))
