"""How many pixels are decoded at once: several large pictures side by side would take more memory than a worker has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from synapse_skills.media.failures import ConversionFailed


class Budget:
    """Lets in what fits beside what is in already; what is larger than all of it comes in alone.

    Args:
        most: pixels at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._stops = 0
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, pixels: int) -> Iterator[None]:
        """Wait for room, and keep it.

        Raises:
            ConversionFailed: `stop` was called meanwhile.
        """
        with self._changed:
            stops = self._stops
            self._changed.wait_for(
                lambda: stops != self._stops or not self._taken or self._taken + pixels <= self._most
            )
            if stops != self._stops:
                raise ConversionFailed("it was ended before it had begun")
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()

    def stop(self) -> None:
        """Whoever is waiting gives up."""
        with self._changed:
            self._stops += 1
            self._changed.notify_all()


MOST_AT_ONCE = 150_000_000
# As many as one of the largest pictures has: 2.5 GB at the most, however many threads convert.
decoded = Budget(MOST_AT_ONCE)
