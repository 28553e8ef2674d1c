"""Secrets in what ships: found by value, by shape and by file name; named by file and kind, never shown.

What ships lies in Ray's store, readable for everybody who may use the cluster.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_NAMES = (
    ".env", "*.env", ".env.*", ".netrc", "_netrc", ".npmrc", ".pypirc", ".git-credentials", "credentials",
    "credentials.json", "credentials.ini", "*service-account*.json", "*service_account*.json", "id_rsa", "id_dsa",
    "id_ecdsa", "id_ed25519", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "auth_token",
)  # fmt: skip
_SHAPES = {
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    "an AWS access key id": re.compile(rb"(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
    "a GitHub token": re.compile(rb"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{50})"),
    "a Google API key": re.compile(rb"(?<![A-Za-z0-9])AIza[0-9A-Za-z_-]{35}(?![A-Za-z0-9_-])"),
    "a Slack token": re.compile(rb"(?<![A-Za-z0-9])xox[abprs]-[A-Za-z0-9-]{20}"),
    "a password in an address": re.compile(
        rb"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>{}\\]+:[^\s/:@\"'<>{}\\]{3,}@[a-zA-Z0-9]"
    ),
}
_SECRET_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?|_PASS|_PWD)(?:_|$)", re.I
)
_NO_SECRET_NAME = re.compile(r"_(?:PATH|FILE|DIR|URL|URI|HOST|NAME|TYPE|MODE|TIMEOUT|EXPIRES?|TTL|REGION)$", re.I)
_PIECE = 1 << 20
_OVERLAP = 4096


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret in a file: which kind, never what."""

    file: str
    kind: str

    def __str__(self) -> str:
        return f"{self.file}: {self.kind}"


def known_secrets(environ: Mapping[str, str], tokens: Mapping[str, str]) -> dict[str, str]:
    """Values that must not ship, and what each is: the login's tokens and what the environment calls a secret."""
    found = {value: kind for kind, value in tokens.items() if len(value) >= 4}
    for name, value in environ.items():
        if is_secret_name(name) and _is_secret_value(value):
            found.setdefault(value, f"the value of {name}")
    return found


def is_secret_name(name: str) -> bool:
    """Whether a variable is called as if it held a secret."""
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET_NAME.search(name)


def find_leaks(folder: Path, files: Sequence[Path], secrets: Mapping[str, str]) -> list[Leak]:
    """Every secret in the files, one of each kind a file.

    Args:
        folder: what the files' names are relative to.
        files: what ships.
        secrets: value → what it is.
    """
    values = {value.encode("utf-8", "surrogateescape"): kind for value, kind in secrets.items()}
    longest = max([_OVERLAP, *map(len, values)])
    leaks: list[Leak] = []
    for path in files:
        name = path.relative_to(folder).as_posix()
        kinds = ["a file that usually holds secrets"] if _is_secret_file(path.name) else []
        kinds += _kinds_in(path, values, longest)
        leaks += [Leak(name, kind) for kind in dict.fromkeys(kinds)]
    return leaks


def _is_secret_file(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in _NAMES)


def _is_secret_value(value: str) -> bool:
    # `true`, a number or a path is no secret, whatever its name.
    return len(value) >= 8 and len(set(value)) >= 4 and not value.isdigit() and not value.startswith(("/", "~", "."))


def _kinds_in(path: Path, values: Mapping[bytes, str], longest: int) -> list[str]:
    found: list[str] = []
    before = b""
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            window = before + piece
            found += [kind for value, kind in values.items() if kind not in found and value in window]
            found += [kind for kind, shape in _SHAPES.items() if kind not in found and shape.search(window)]
            before = window[-longest:]
    return found
