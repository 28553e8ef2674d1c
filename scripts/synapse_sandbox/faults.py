"""Bad days on order: rules that say which calls of which routes go wrong, and how.

A rule counts every call that it matches. The first rule whose turn it is wins the call. The same rules, the same seed
and the same calls give the same faults.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from synapse_sandbox.errors import BadInput

# What a fault does around any route; the route itself runs untouched, or not at all.
AROUND = {
    "status": "answers `status` (default 503) and does nothing; `retry_after`, `body`: json, html, xml or empty",
    "status-after-commit": "does everything, then answers `status` (default 504)",
    "commit-late": "closes the connection at once and does everything `seconds` later",
    "drop": "reads the first bytes and resets the connection; nothing is done",
    "drop-after-commit": "does everything, then resets the connection",
    "slow": "waits `seconds`, then does everything, even if the client has gone",
    "slow-after-commit": "does everything at once, waits `seconds` with the answer",
    "truncated": "does everything, then answers the first half of the body as if it were all",
    "cut-off": "does everything, then resets the connection in the middle of the answer",
    "login-page": "answers 200 with a page of HTML; nothing is done",
}
# What a fault changes inside the route that it fits.
INSIDE = {
    "short-presign": "the answer misses the last `entries` files",
    "expired-presign": "the links have expired when they are issued",
    "short-confirm": "the answer misses the last `entries` files; they are confirmed all the same",
    "bad-confirm": "the last `entries` files come back as `success: false`",
    "too-large": "413 for a list of more than `units` data units",
    "expired-links": "a list of records (or tasks, ground truths) issues links that have expired",
    "null-data": "the records of a list have no `data`",
    "poison": "400 for every list with a data unit whose JSON contains `contains`",
    "choke": "500 for every such list, and none of its data units is made",
}
ALIASES = {"5xx-after-commit": "status-after-commit", "accept-then-drop": "drop-after-commit"}
FITS = {
    "short-presign": "files.presign",
    "expired-presign": "files.presign",
    "short-confirm": "files.confirm",
    "bad-confirm": "files.confirm",
    "too-large": "units.create",
    "poison": "units.create",
    "choke": "units.create",
}
# Faults inside any of several routes: one of them is named, or all of them are meant.
LISTS = ("assignments.list", "tasks.list", "events.list")
FITS_LISTS = ("expired-links", "null-data")
EVERY_API_ROUTE = "api"
_NAME = re.compile(r"[a-z_]+(\.[a-z_]+)?")
_BODIES = ("json", "html", "xml", "empty")


@dataclass
class Rule:
    """One fault: what, where, and on which of the calls that it matches.

    Attributes:
        kind: a key of `AROUND` or `INSIDE`.
        query: a pattern; only calls whose parameters it is found in are this rule's (`page=3`, `cursor=`).
        route: a route's name, `api` for every route that wants a token, or a pattern searched in "METHOD /path".
        on: the calls it fires on, counted from 1; empty: see the next three.
        after: the calls that pass before it starts.
        times: how often it fires at most.
        probability: of firing on a call, by its own seeded generator.
    """

    kind: str
    route: str = ""
    on: tuple[int, ...] = ()
    after: int = 0
    times: int | None = None
    probability: float = 1.0
    seconds: float = 1.0
    status: int = 503
    retry_after: float | None = None
    body: str = "json"
    entries: int = 1
    units: int = 50
    contains: str = ""
    query: str = ""
    seen: int = 0
    fired: int = 0
    rng: random.Random = field(default_factory=random.Random, repr=False)
    pattern: re.Pattern[str] | None = field(default=None, repr=False)

    def matches(self, name: str, target: str, needs_token: bool, query: str = "") -> bool:
        """Whether a call is one of this rule's."""
        if self.query and re.search(self.query, query) is None:
            return False
        if self.kind in FITS_LISTS and not self.route:
            return name in LISTS
        if self.route == EVERY_API_ROUTE:
            return needs_token
        return self.pattern.search(target) is not None if self.pattern else self.route == name

    def turn(self) -> bool:
        """Count a call; whether it is one to fire on."""
        self.seen += 1
        chance = self.rng.random()
        if self.on:
            return self.seen in self.on
        return self.seen > self.after and (self.times is None or self.fired < self.times) and chance < self.probability

    def as_dict(self) -> dict[str, Any]:
        """The rule and its counts as JSON."""
        hidden = ("rng", "pattern")
        return {key: value for key, value in self.__dict__.items() if key not in hidden}


class Faults:
    """The rules in force."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = list(rules)

    def pick(self, name: str, target: str, needs_token: bool, query: str = "") -> Rule | None:
        """Count a call with every rule that it matches; the first whose turn it is."""
        chosen: Rule | None = None
        for rule in self.rules:
            if rule.matches(name, target, needs_token, query) and rule.turn() and chosen is None:
                rule.fired += 1
                chosen = rule
        return chosen

    def as_dict(self) -> dict[str, Any]:
        """The rules and their counts as JSON."""
        return {"faults": [rule.as_dict() for rule in self.rules]}


def parse_faults(document: Any, names: Iterable[str]) -> Faults:
    """Check a faults document: `{"seed": 0, "faults": [{...}, ...]}`.

    Args:
        document: the parsed JSON.
        names: of the routes, so that a mistyped one is refused instead of never matching.

    Raises:
        BadInput: the message names the place.
    """
    if not isinstance(document, dict) or not set(document) <= {"seed", "faults"}:
        raise BadInput('faults must be an object with "faults", a list, and perhaps "seed", a number')
    rows, seed = document.get("faults", []), document.get("seed", 0)
    if not isinstance(rows, list) or not isinstance(seed, int):
        raise BadInput('faults: "faults" must be a list and "seed" a whole number')
    known = frozenset(names)
    return Faults(_rule(row, f"faults[{at}]", known, f"{seed}:{at}") for at, row in enumerate(rows))


def _rule(row: Any, where: str, names: frozenset[str], seed: str) -> Rule:
    if not isinstance(row, dict):
        raise BadInput(f"{where} must be an object")
    for key, value in row.items():
        check = _FIELDS.get(key)
        if check is None:
            raise BadInput(f"{where}.{key}: no such key", hint=f"Keys: {', '.join(_FIELDS)}.")
        if not check(value):
            raise BadInput(f"{where}.{key}: {value!r} is not possible here")
    kind = ALIASES.get(row.get("kind", ""), row.get("kind", ""))
    if kind not in AROUND and kind not in INSIDE:
        raise BadInput(f"{where}.kind: {kind!r} is none", hint=f"Kinds: {', '.join([*AROUND, *INSIDE, *ALIASES])}.")
    rule = Rule(**{**row, "kind": kind, "on": tuple(row.get("on", ())), "rng": random.Random(seed)})
    if kind in FITS:
        if rule.route not in ("", FITS[kind]):
            raise BadInput(f"{where}.route: {kind} happens at {FITS[kind]} only")
        rule.route = FITS[kind]
    if kind in FITS_LISTS and rule.route not in ("", *LISTS):
        raise BadInput(f"{where}.route: {kind} happens at {', '.join(LISTS)} only")
    if not rule.route and kind not in FITS_LISTS:
        raise BadInput(f"{where}.route is missing", hint=f"Routes: {', '.join(sorted(names))}, {EVERY_API_ROUTE}.")
    if rule.route and rule.route not in names and rule.route != EVERY_API_ROUTE:
        if _NAME.fullmatch(rule.route):
            raise BadInput(f"{where}.route: no route {rule.route!r}", hint=f"Routes: {', '.join(sorted(names))}.")
        try:
            rule.pattern = re.compile(rule.route)
        except re.error as error:
            raise BadInput(f"{where}.route: {rule.route!r} is neither a route nor a pattern: {error}") from None
    if kind == "status-after-commit" and "status" not in row:
        rule.status = 504
    if kind in ("poison", "choke") and not rule.contains:
        raise BadInput(f"{where}.contains is missing: which data units are meant?")
    return rule


def _whole(least: int) -> Any:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except re.error:
        return False


_FIELDS: dict[str, Any] = {
    "kind": lambda value: isinstance(value, str),
    "route": lambda value: isinstance(value, str),
    "on": lambda value: isinstance(value, list) and all(_whole(1)(call) for call in value),
    "after": _whole(0),
    "times": lambda value: value is None or _whole(0)(value),
    "probability": lambda value: _number(value) and value <= 1,
    "seconds": _number,
    "status": lambda value: _whole(200)(value) and value < 600,
    "retry_after": lambda value: value is None or _number(value),
    "body": lambda value: value in _BODIES,
    "entries": _whole(0),
    "units": _whole(0),
    "contains": lambda value: isinstance(value, str),
    "query": _is_pattern,
}
