"""What of an export was put at a place: remembered in the state, a few lines at a time.

It holds for one transfer only, whose number is also in the marker at the place: if another run, with another state, has
written there since, nothing of it is believed.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from typing import Protocol

from synapse_skills.job.state import State
from synapse_skills.texts import parse_json

FOLDER = "delivered"
FLUSH_S = 2.0
FLUSH_LINES = 500


class _File(Protocol):
    path: str
    sha256: str


class Delivered:
    """The list of one place.

    Args:
        state: which keeps it, in `delivered/`.
        place: the URL.
    """

    def __init__(self, state: State, place: str) -> None:
        self._state = state
        self._folder = f"{FOLDER}/{hashlib.sha256(place.encode()).hexdigest()[:16]}"
        self._lines: list[str] = []
        self._segment = 0
        self._flushed = time.monotonic()
        self.transfer = (state.store.read(f"{self._folder}/transfer") or b"").decode("ascii", "replace")

    def belongs_to(self, transfer: object) -> bool:
        """Whether the place has seen no other transfer since."""
        return bool(self.transfer) and transfer == self.transfer

    def start(self, known: dict[str, str]) -> None:
        """Begin a transfer to a place of which this much is known."""
        for stored in list(self._state.store.list(self._folder)):
            self._state.store.delete(stored.name)
        self._lines = [_line(path, digest) for path, digest in known.items()]
        self._segment = 0
        self.transfer = secrets.token_hex(8)
        self.flush()
        self._write("transfer", self.transfer)

    def known(self) -> dict[str, str]:
        """What was put there, by path, with its SHA-256."""
        found: dict[str, str] = {}
        for stored in self._state.store.list(self._folder):
            if not stored.name.endswith(".jsonl"):
                continue
            self._segment = max(self._segment, int(stored.name[-12:-6]))
            for line in (self._state.store.read(stored.name) or b"").splitlines():
                try:
                    path, digest = parse_json(line, 0)
                    found[str(path)] = str(digest)
                except (ValueError, TypeError):
                    continue  # a damaged line: its file is put again
        return {path: digest for path, digest in found.items() if digest}

    def put(self, file: _File) -> None:
        """A file is there now."""
        self._add(_line(file.path, file.sha256))

    def gone(self, path: str) -> None:
        """A file is not there any more."""
        self._add(_line(path, ""))

    def flush(self) -> None:
        """Write down what was noted."""
        if self._lines:
            self._segment += 1
            self._write(f"{self._segment:06}.jsonl", "\n".join(self._lines) + "\n")
            self._lines = []
        self._flushed = time.monotonic()

    def _add(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) >= FLUSH_LINES or time.monotonic() - self._flushed > FLUSH_S:
            self.flush()

    def _write(self, name: str, text: str) -> None:
        self._state.lease.fence()
        self._state.store.write(f"{self._folder}/{name}", text.encode("utf-8", "backslashreplace"))


def _line(path: str, digest: str) -> str:
    return json.dumps([path, digest], ensure_ascii=True)
