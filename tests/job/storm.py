"""Bad weather for seeded worlds: every fault that the sandbox knows, all at once, and which worlds to live through.

A world is its seed. `make test-all` lives through the first 20 of each direction, `make soak` through 200;
`SYNAPSE_SKILLS_SEEDS=100-199,7` names others, so that one that failed can be lived through again.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from forked import Forked
from job_fixture import killing
from synapse_sandbox.faults import AROUND, INSIDE

PROBABILITY = 0.05
EVERY_ROUTE = r"^[A-Z]+ /(?!_sandbox)"
STATUSES = (408, 425, 429, 500, 502, 503, 504, 520)
# What a fault has to be told besides its kind. One that is new and needs more is refused by the sandbox: every world
# fails until it is said here.
MORE: dict[str, Callable[[Random], dict[str, Any]]] = {
    "status": lambda random: {
        "status": random.choice(STATUSES),
        "body": random.choice(("json", "html", "xml", "empty")),
        "retry_after": random.choice((None, 0.1)),
    },
    "status-after-commit": lambda random: {"status": random.choice((500, 502, 503, 504))},
    "too-large": lambda random: {"units": random.choice((1, 2, 4))},
    "poison": lambda random: {"contains": "checksum"},
    "choke": lambda random: {"contains": "checksum"},
}
PATIENCE = {"SYNAPSE_SKILLS_PATIENCE_S": "20"}
KILLS = 3
TRIES = 6


def seeds() -> Sequence[int]:
    """The worlds to live through."""
    said = os.environ.get("SYNAPSE_SKILLS_SEEDS", "")
    found: list[int] = []
    for part in said.split(",") if said else ():
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found or range(int(os.environ.get("SYNAPSE_SKILLS_ROUNDS", "20")))


def storm(random: Random, *, late_s: float) -> list[dict[str, Any]]:
    """Rules for every fault of the sandbox's own tables, each on 5 in a hundred of the calls that it fits.

    Args:
        late_s: seconds that anything is late at most.
    """
    rules = []
    for kind in (*AROUND, *INSIDE):
        rule: dict[str, Any] = {"kind": kind, "probability": PROBABILITY, "seconds": random.uniform(0.02, late_s)}
        if kind in AROUND:
            rule["route"] = EVERY_ROUTE
        else:
            rule["entries"] = random.randint(1, 3)
        rules.append(rule | (MORE[kind](random) if kind in MORE else {}))
    # The first one whose turn it is wins a call: none should always be the last.
    random.shuffle(rules)
    return rules


def login_ends(random: Random, most: int) -> dict[str, Any]:
    """A rule: after so many calls the token is worth nothing any more."""
    return {"kind": "status", "status": 401, "route": "api", "after": random.randint(0, most)}


def hurried() -> None:
    """In the child: wait for less long than in real life, for everything but what a late commit may need."""
    from synapse_skills.backend import api, trying
    from synapse_skills.job.upload import flow

    real = api.backoff

    def backoff(attempt: int, retry_after: float = 0.0) -> float:
        return 0.2 * real(attempt, retry_after)

    api.backoff = trying.backoff = backoff  # type: ignore[attr-defined]
    flow.LINGER_S = 0.1


def killed_somewhere(
    random: Random,
    start: Callable[[Callable[[], None] | None], Forked],
    steps: Sequence[str],
    longest_s: float,
    tried: int,
) -> tuple[bool, str]:
    """Start a job and kill it: at a call of one of its steps, or at any moment.

    Args:
        start: starts it with something to do first in the child.
        steps: functions of the library, as `killing` takes them.
        longest_s: a whole run takes about so long.
        tried: how many runs have ended by themselves before: the more, the earlier this one is killed.

    Returns:
        Whether it was killed before it had ended by itself, and what it said.
    """
    before = None
    end = time.monotonic() + longest_s * random.random() / (1 + tried)
    if random.random() < 0.5 and tried < 2:
        nth = 1 + int(30 * random.random() ** 3)
        before = killing(random.choice(steps), nth, when=random.choice(("before", "after")))
        end += 60
    process = start(before)
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    said = "\n".join(process.communicate())
    return process.returncode == -signal.SIGKILL, said


def lose(*paths: Path) -> None:
    """Remove files and folders, as far as they are there."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
