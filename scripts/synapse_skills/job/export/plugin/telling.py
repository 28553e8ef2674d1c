"""How far a plugin's run is, told to its job: at most once a percent, under the step that the SDK counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synapse_skills.job.progress import Progress
from synapse_skills.job.running import for_log

if TYPE_CHECKING:
    from synapse_sdk.plugins.context import RuntimeContext

# Stage of the engine → where in its step it begins, and how much of it it is.
_SHARES = {
    "fetching": (0.0, 1.0),
    "reading": (0.0, 0.15),
    "deciding": (0.15, 0.1),
    "originals": (0.25, 0.3),
    "sizes": (0.25, 0.3),
    "writing": (0.55, 0.25),
    "sending": (0.8, 0.2),
}


class Telling(Progress):
    """The engine's progress, as the SDK's logger takes it.

    Attributes:
        step: that which is told of; None for the one that the SDK is at.
    """

    def __init__(self, ctx: RuntimeContext) -> None:
        super().__init__(quiet=True, what="records")
        self.step: str | None = None
        self._ctx = ctx
        self._percent: dict[str | None, int] = {}

    def say(self, text: str) -> None:
        """See `Progress`."""
        self._ctx.logger.info(for_log(text))

    def tick(self) -> None:
        """See `Progress`."""
        if self._stage in _SHARES and self._total:
            start, share = _SHARES[self._stage]
            self.at(start + share * min(1.0, self._done / self._total))

    def at(self, part: float) -> None:
        """So much of the step is done; told when it is another percent than before."""
        percent = min(100, int(part * 100))
        if percent > self._percent.get(self.step, -1):
            self._percent[self.step] = percent
            self._ctx.set_progress(percent, 100, self.step)

    def begin(self, step: str | None) -> None:
        """The next step; its percents begin again where the SDK names it."""
        self.step = step
        if step is None:
            self._percent.pop(None, None)
