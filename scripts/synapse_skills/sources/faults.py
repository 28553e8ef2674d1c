"""What goes wrong at a remote place: one table from what a client raises to what a user is told.

Every kind of place sorts its exceptions into the words of this table (`Fault`); the words decide whether waiting helps
and what the message says. Nothing of the exception's text that could hold a signature or a key gets through `redact`.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from synapse_skills.errors import FindingError, OutOfReach, SkillsError, printable, redact

TRIES = 6
"""How often a request is made before its place counts as away."""
TIMEOUT_VARIABLE = "SYNAPSE_SOURCE_TIMEOUT_S"
_DEFAULT_TIMEOUT_S = 60.0
_MOST_CHARS = 200
_sleep = time.sleep


@dataclass(frozen=True)
class _Row:
    code: str
    message: str
    hint: str
    waits: bool = False


_AGAIN = "Wait, then run it again: it goes on where it was."
TABLE = {
    "missing": _Row("source-missing", "is not there", "Check the spelling."),
    "a-file": _Row("source-not-a-folder", "is a file, not a folder", "Name the folder that holds it."),
    "no-bucket": _Row("source-missing", "is not there: no such bucket or share", "Check the name."),
    "denied": _Row(
        "source-denied",
        "may not be read with this login",
        "Ask for permission to list and read it, or log in as another.",
    ),
    "login": _Row("source-login", "needs a login", ""),
    "refused-login": _Row(
        "source-login", "refused the login", "Check that the login is right and has not expired, then try again."
    ),
    "host-key": _Row(
        "source-host-key",
        "is no host that is known here, or shows another key than the known one",
        "Compare its key with what its owner says, then add it: ssh-keyscan HOST >> ~/.ssh/known_hosts, or "
        "name a file in SYNAPSE_SFTP_KNOWN_HOSTS, or give the key itself in SYNAPSE_SFTP_HOST_KEY.",
    ),
    "region": _Row(
        "source-region", "lies in another region or at another endpoint", "Set SYNAPSE_S3_REGION or AWS_REGION."
    ),
    "timeout": _Row("source-timeout", "does not answer in time", "Check the network and the address.", waits=True),
    "unreachable": _Row("source-unreachable", "can't be reached", "Check the address and the network.", waits=True),
    "tls": _Row(
        "source-tls",
        "shows a certificate that can't be trusted",
        "Check the address; for a CA of your own set REQUESTS_CA_BUNDLE to its file.",
    ),
    "busy": _Row("source-busy", "is busy or broken, and stayed so", _AGAIN, waits=True),
    "cut": _Row("source-cut", "broke off in the middle", _AGAIN, waits=True),
    "exists": _Row("store-exists", "is there already", "Another run has written it."),
    "other": _Row("source-failed", "can't be read", "Check the address and the login."),
}


class FileChanged(FindingError):
    """A file is not what was listed: other size or version than before, or it broke its own checksum."""

    code = "source-changed"
    hint = "Wait until nobody writes to the source any more, then run it again: the file is listed anew."


class FileVanished(FindingError):
    """A file was listed and is gone."""

    code = "source-vanished"
    hint = "Put it back, or run it again: it is left out then."


class Fault(Exception):
    """What a client's exception comes to, in a word of the table; never seen outside this room.

    Attributes:
        word: a key of `TABLE`.
        detail: more about it, without secrets.
        hint: in place of the table's.
    """

    def __init__(self, word: str, detail: str = "", *, hint: str = "") -> None:
        super().__init__(word)
        self.word = word
        self.detail = detail
        self.hint = hint


def fault(word: str, error: BaseException | str = "", *, hint: str = "") -> Fault:
    """A fault with the first line of what a client said, shortened and without secrets."""
    text = str(error) or (type(error).__name__ if isinstance(error, BaseException) else "")
    text = printable(redact(text.strip().partition("\n")[0]))
    return Fault(word, text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 1]}…", hint=hint)


def error_of(found: Fault, shown: str) -> SkillsError:
    """The error that a user sees.

    Args:
        found: the fault.
        shown: the URL that it is about.
    """
    row = TABLE[found.word]
    detail = f": {found.detail}" if found.detail else ""
    return OutOfReach(f"{printable(redact(shown))} {row.message}{detail}", hint=found.hint or row.hint, code=row.code)


def again[T](call: Callable[[], T], *, tries: int = TRIES) -> T:
    """Call until it answers, with growing pauses where waiting helps.

    Raises:
        Fault: it did not, or waiting would not help.
    """
    attempt = 0
    while True:
        try:
            return call()
        except Fault as found:
            attempt += 1
            if not TABLE[found.word].waits or attempt >= tries:
                raise
        # Full jitter, so that many workers do not come back at the same moment.
        _sleep(random.uniform(0.2, 1.0) * min(0.25 * 2.0**attempt, 15.0))


def patiently[T](call: Callable[[], T], shown: str) -> T:
    """`again`, for people.

    Args:
        call: what to do.
        shown: the URL that it is about.

    Raises:
        OutOfReach: it does not answer, or waiting would not help.
    """
    try:
        return again(call)
    except Fault as found:
        raise error_of(found, shown) from None


def timeout_s() -> float:
    """Seconds that a place may take for one answer: 60, or as SYNAPSE_SOURCE_TIMEOUT_S says."""
    try:
        return max(0.1, float(os.environ.get(TIMEOUT_VARIABLE) or _DEFAULT_TIMEOUT_S))
    except ValueError:
        return _DEFAULT_TIMEOUT_S
