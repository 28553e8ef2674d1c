"""Which rows of the backend are ours, when creates were not properly answered.

Two mistakes are possible and both are bad: another writer's row taken for ours is a data unit that never arrives; a
row of ours that is not recognised is a data unit sent twice. So what agrees in full is ours, what agrees in nothing is
somebody else's, and what agrees in part is ours only with two of content, path and metadata: with one of them it stays
unknown, and is named.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from synapse_skills.job.upload.ledger import NOTHING
from synapse_skills.job.upload.lookup import Lookup

TELLING = ("checksum", "path", "meta")
Prints = Mapping[str, str]


@dataclass
class Found:
    """What became of open data units: key and server id of those that are there, keys of those that nobody can tell
    about, and ids of identical rows that were too many. All others are absent."""

    created: list[tuple[str, int]] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    too_many: list[int] = field(default_factory=list)


class Recogniser:
    """Takes rows one by one, then says whose they are.

    Args:
        wanted: key and prints of the open data units, oldest first.
        lookup: what the canary has shown; None while it is the canary itself that is looked for.
        individual: whether a print of metadata belongs to one data unit alone; constants prove nothing.
    """

    def __init__(
        self, wanted: Iterable[tuple[str, Prints]], lookup: Lookup | None, individual: Callable[[str], bool]
    ) -> None:
        self._lookup = lookup
        self._individual = individual
        self._parts = [part for part in TELLING if lookup is None or part in lookup.echo]
        self._open = dict(wanted)
        self._waiting: dict[str, deque[str]] = defaultdict(deque)
        self._having: dict[tuple[str, str], list[str]] = defaultdict(list)
        for key, prints in self._open.items():
            if lookup is not None:
                self._waiting[lookup.fingerprint(prints)].append(key)
            for part in self._parts:
                self._having[part, prints[part]].append(key)
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._alike: list[tuple[int, Prints]] = []
        self._blind = False

    def row(self, identity: int, prints: Prints) -> None:
        """One more row that the ledger does not own."""
        if self._lookup is not None and (mark := self._lookup.fingerprint(prints)) in self._waiting:
            self._exact[mark].append(identity)
            return
        shown = [part for part in self._parts if prints[part] != NOTHING]
        if not shown:
            # It shows nothing of itself: nobody can say that it is not ours.
            self._blind = True
        elif any((part, prints[part]) in self._having for part in self._evidence(prints)):
            self._alike.append((identity, prints))

    def found(self) -> Found:
        """Hand the rows out: identical ones oldest first, then those that agree in part."""
        found = Found()
        doubtful: set[str] = set(self._open) if self._blind else set()
        for mark, rows in self._exact.items():
            ids, waiting = sorted(set(rows)), self._waiting[mark]
            if len(ids) < len(waiting):
                # Twins, of which only what they share comes back: that some are there is sure, and which is not.
                doubtful.update(waiting)
                continue
            for identity in ids:
                if waiting:
                    self._take(found, waiting.popleft(), identity)
                else:
                    found.too_many.append(identity)
        for identity, prints in sorted(self._alike, key=lambda row: row[0]):
            evidence = self._evidence(prints)
            agreeing: dict[str, int] = defaultdict(int)
            for part in evidence:
                for key in self._having.get((part, prints[part]), ()):
                    if key in self._open:
                        agreeing[key] += 1
            best = max(agreeing, key=lambda key: agreeing[key], default=None)
            if best is not None and agreeing[best] >= min(2, len(evidence)):
                self._take(found, best, identity)
            else:
                doubtful.update(agreeing)
        found.doubtful = [key for key in self._open if key in doubtful]
        return found

    def _take(self, found: Found, key: str, identity: int) -> None:
        found.created.append((key, identity))
        del self._open[key]

    def _evidence(self, prints: Prints) -> list[str]:
        shown = [part for part in self._parts if prints[part] != NOTHING]
        if len(shown) > 1 and "meta" in shown and not self._individual(prints["meta"]):
            shown.remove("meta")
        return shown
