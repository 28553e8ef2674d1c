"""Texts of records that were asked for already, for as long as nothing at all has changed.

What is measured against the sandbox shares its machine; a row that was put together once costs the next one who asks
nothing but its bytes. Any write to the state forgets all of them, so none can be out of date.
"""

from __future__ import annotations

import time
from collections.abc import Hashable

from synapse_sandbox.settings import Settings
from synapse_sandbox.store import Store

MOST_LETTERS = 128 * 1024 * 1024
# The links in a row have been issued with it: they may have this part of their lives behind them.
_AGE = 0.05


class KeptRows:
    """Texts by what they were asked for with, and by the record's key."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[Hashable, dict[int, str]] = {}
        self._letters = 0
        self._changes = -1
        self._ends = 0.0

    def those(self, asked: Hashable) -> dict[int, str]:
        """The texts that may still be given to somebody who asks so."""
        # All that changes the state goes over this one connection.
        changes, now = self._store.db.total_changes, time.monotonic()
        if changes != self._changes or now > self._ends:
            self._rows, self._letters, self._changes = {}, 0, changes
            self._ends = now + _life(self._store.settings)
        return self._rows.setdefault(asked, {})

    def keep(self, rows: dict[int, str], key: int, text: str) -> None:
        """Keep a text among those that `those` gave, while there is room."""
        if self._letters + len(text) <= MOST_LETTERS:
            self._letters += len(text)
            rows[key] = text


def _life(settings: Settings) -> float:
    return float("inf") if settings.media_seconds is None else settings.media_seconds * _AGE
