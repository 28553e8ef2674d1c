"""How the files are looked at: a sample first, the whole before anything is decided for good, and not every round anew.

A walk over a million files takes minutes on a slow disk, so the first questions come from a sample; a walk that took
long is used again for the next rounds. What is final (a plan, a refusal) always comes from a walk of all files that
is no older than `RECENT_S`, and the dry run walks once more: nothing stale is uploaded.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from synapse_skills.sources import Inventory, Source, Walk

FIRST_LOOK = 2_000
SAMPLE_FILES = 50_000
SAMPLE_S = 2.0
# A walk that took less is simply made again: what was mended since the last round is seen at once.
SLOW_S = 2.0
RECENT_S = 600.0

Look = Literal["quick", "fresh"]
"""quick: a sample, or what an earlier walk found, will do · fresh: all files, now."""
Seen = Literal["", "sample", "earlier", "recent", "now"]
"""What was looked at: nothing yet, a sample, all files as an earlier (or recent) round found them, all files now."""


def look_at(
    inventory: Inventory, sources: tuple[Source, ...], how: Look, progress: Callable[[int], None]
) -> tuple[Walk, Seen]:
    """Bring the inventory so far up to date as this round needs it.

    Raises:
        OutOfReach: a source can't be read, the disk is full, the inventory is in use.
    """
    last = inventory.last_walk(sources) if how != "fresh" else None
    age, took = _kept(inventory)
    if last is not None and took >= SLOW_S:
        if 0 <= age <= RECENT_S:
            return last, "recent"
        return last, "earlier"
    if how == "quick" and last is None:
        return _sample(inventory, sources, progress)
    return _whole(inventory, sources, progress), "now"


def _sample(inventory: Inventory, sources: tuple[Source, ...], progress: Callable[[int], None]) -> tuple[Walk, Seen]:
    """A first look says how fast the disk is; the sample is what it gives in about two seconds."""
    begun = time.monotonic()
    walk = inventory.walk(sources, progress=progress, limit=FIRST_LOOK, spread=True)
    if not walk.complete:
        pace = walk.files / max(time.monotonic() - begun, 0.001)
        size = int(min(SAMPLE_FILES, max(FIRST_LOOK, pace * SAMPLE_S)))
        begun = time.monotonic()
        walk = inventory.walk(sources, progress=progress, limit=size, spread=True)
    if walk.complete:
        _keep(inventory, time.monotonic() - begun)
        return walk, "now"
    return walk, "sample"


def _whole(inventory: Inventory, sources: tuple[Source, ...], progress: Callable[[int], None]) -> Walk:
    begun = time.monotonic()
    walk = inventory.walk(sources, progress=progress)
    _keep(inventory, time.monotonic() - begun)
    return walk


def _keep(inventory: Inventory, seconds: float) -> None:
    inventory.keep_state("walked", json.dumps({"at": time.time(), "seconds": seconds}))


def _kept(inventory: Inventory) -> tuple[float, float]:
    """Age and duration of the last whole walk; infinitely old if that is not known."""
    text = inventory.state("walked")
    kept: dict[str, Any] = json.loads(text) if text else {}
    age = time.time() - float(kept.get("at", 0))
    # From the future it is if the clock was set back: then nobody knows how old it is.
    return age if age >= 0 else math.inf, float(kept.get("seconds", 0))
