"""Data units whose creates are not answered and turn out not to have happened, again and again.

A backend that answers 500 to one data unit answers it to the batch that it is in. A batch that was proved absent is
therefore sent again in parts of about its square root, and what was in an absent part alone: whoever is in bad company
arrives, and the one that is not taken stands alone and is named. Not by halves: each step waits until it is certain
that nothing was made (two minutes on a real backend), beside which a few requests more are nothing.

Only of this run: an outage must not mark anything for later. Who is given up is tried again by the next run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synapse_skills.job.upload.create import Ready

ALONE_AFTER = 2
GIVEN_UP_AFTER = 4


class Suspects:
    """How often each data unit was in a create that turned out absent.

    Args:
        batch_size: of those that never were.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._absent: dict[str, int] = {}

    def add(self, keys: Iterable[str]) -> None:
        """They were sent, not answered, and are not there."""
        for key in keys:
            self._absent[key] = self._absent.get(key, 0) + 1

    def size_for(self, key: str) -> int:
        """In how large a batch a data unit may be sent."""
        absent = self._absent.get(key, 0)
        if absent >= ALONE_AFTER:
            return 1
        return math.ceil(math.sqrt(self._batch_size)) if absent else self._batch_size

    def apart(self, units: Sequence[Ready]) -> Iterator[list[Ready]]:
        """A batch as it may be sent: the unsuspected together, the others in small parts, or alone."""
        by_size: dict[int, list[Ready]] = {}
        for unit in units:
            by_size.setdefault(self.size_for(unit.key), []).append(unit)
        for size in sorted(by_size, reverse=True):
            yield from map(list, batched(by_size[size], size))

    def alone(self) -> list[str]:
        """Those that have come to be sent alone."""
        return [key for key, absent in self._absent.items() if absent >= ALONE_AFTER]

    def given_up(self) -> list[str]:
        """Those that stood alone and were absent once more: enough for this run. They are forgotten here."""
        found = [key for key, absent in self._absent.items() if absent >= GIVEN_UP_AFTER]
        for key in found:
            del self._absent[key]
        return found
