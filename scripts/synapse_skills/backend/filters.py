"""Filters of an export by names that people use, and the keys that each target's list really understands.

The backend answers a key that it doesn't know with status 200 and everything there is: a misspelt filter exports the
whole project and reports success, no scope at all the whole tenant (contract/EXPORT.md, §2). So the names here are an
allowlist, the scope is always sent, and every row that comes back is held against what was asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

from synapse_skills.errors import UsageError, printable

MAX_QUERY_BYTES = 10_000
TARGETS = ("assignment", "ground_truth", "task")
SCOPES = {
    "assignment": "project",
    "task": "project",
    "ground_truth": "ground_truth_dataset_versions",
}
"""The key without which a list is that of the whole tenant."""

_COMMON = {"ids", "ids_ex", "search"}
_IDS = {"id", "id__in", "id__gt", "id__gte", "id__lt", "id__lte"}
_BOUNDS = ("gt", "gte", "lt", "lte")
_TIMES = ["created", "label_submitted", "last_labeled", "last_reviewed"]
_TIMES += ["labeler_last_action_at", "reviewer_last_action_at"]
_HUMAN = {"reviewers", "groups", "stages", "tags", "status_label", "status_review", "is_discarded"}

ALLOWED: dict[str, frozenset[str]] = {
    "assignment": frozenset(
        {"project", "workshop", "tasks", "users", "task_tags", "is_discard_confirmed", "is_confirmed"}
        | {f"{name}__{bound}" for name in _TIMES for bound in _BOUNDS}
        | (_COMMON | _IDS | _HUMAN)
    ),
    "task": frozenset(
        {"project", "schema", "has_assignment", "has_reached_max_assignments", "assignments", "workshops", "labelers"}
        | {"assignments__is_discarded", "discarded_filter"}
        | {f"created__{bound}" for bound in _BOUNDS}
        | (_COMMON | _IDS | _HUMAN)
    ),
    "ground_truth": frozenset(
        {"ground_truth_dataset_versions", "ground_truth", "category", "categories", "classes", "task"} | _COMMON
    ),
}
"""What each target's list is known to apply. `created_after` and `has_data` are not there on purpose: the backend
takes them and narrows nothing."""

Kind = Literal["words", "numbers", "flag", "after", "before", "from", "to", "text"]


@dataclass(frozen=True)
class Filter:
    """One filter.

    Attributes:
        kind: what its values are.
        doc: one sentence.
        keys: target → the backend's key.
        fields: of a row, where its value can be checked; () if a row does not tell.
    """

    name: str
    kind: Kind
    doc: str
    keys: Mapping[str, str]
    fields: tuple[str, ...] = field(default=())


def _both(assignment: str, task: str | None = None) -> dict[str, str]:
    return {"assignment": assignment, "task": task or assignment}


def _all(key: str) -> dict[str, str]:
    return dict.fromkeys(TARGETS, key)


def _between(name: str, what: str, column: str, *, task: bool = False) -> Iterator[Filter]:
    """Two filters on one time."""
    for end, bound, words in (("after", "gte", "at this time or later"), ("before", "lt", "earlier than this time")):
        keys = {"assignment": f"{column}__{bound}"} | ({"task": f"{column}__{bound}"} if task else {})
        kind: Kind = "after" if end == "after" else "before"
        yield Filter(f"{name}_{end}", kind, f"{what} {words}.", keys, (column,))


_ALL = (
    Filter(
        "status", "words", "How far the labelling is, as the backend says it.", _both("status_label"), ("status_label",)
    ),
    Filter("review", "words", "As reviewed: `confirmed`, `rejected`.", _both("status_review"), ("status_review",)),
    Filter("labeler", "numbers", "Ids of who labelled.", _both("users", "labelers"), ("user", "labeler")),
    Filter("reviewer", "numbers", "Ids of who reviewed.", _both("reviewers"), ("reviewer",)),
    Filter("tags", "words", "Tags of the record.", _both("tags")),
    Filter("task_tags", "words", "Tags of the record's task.", {"assignment": "task_tags"}),
    Filter("discarded", "flag", "Whether the record was discarded.", _both("is_discarded"), ("is_discarded",)),
    Filter(
        "discard_confirmed",
        "flag",
        "Whether somebody has confirmed that it is discarded.",
        {"assignment": "is_discard_confirmed"},
        ("is_discard_confirmed",),
    ),
    Filter("confirmed", "flag", "A mark beside `review`.", {"assignment": "is_confirmed"}, ("is_confirmed",)),
    *_between("created", "Made", "created", task=True),
    *_between("submitted", "Submitted by its labeler", "label_submitted"),
    *_between("labeled", "Last labelled", "last_labeled"),
    *_between("reviewed", "Last reviewed", "last_reviewed"),
    *_between("labeler_acted", "Last touched by its labeler", "labeler_last_action_at"),
    *_between("reviewer_acted", "Last touched by its reviewer", "reviewer_last_action_at"),
    Filter("ids", "numbers", "These records only.", _all("ids"), ("id", "pgh_id")),
    Filter("without_ids", "numbers", "All records but these.", _all("ids_ex")),
    Filter("id_from", "from", "Records from this id on.", _both("id__gte"), ("id",)),
    Filter("id_to", "to", "Records up to this id, itself included.", _both("id__lte"), ("id",)),
    Filter("search", "text", "What the backend's own search finds.", _all("search")),
    Filter("group", "numbers", "Ids of groups.", _both("groups")),
    Filter("stage", "numbers", "Ids of stages.", _both("stages")),
    Filter("workshop", "numbers", "Ids of workshops.", _both("workshop", "workshops"), ("workshop",)),
    Filter("task", "numbers", "Ids of tasks.", {"assignment": "tasks", "ground_truth": "task"}, ("task",)),
    Filter("assignments", "numbers", "Ids of the task's assignments.", {"task": "assignments"}),
    Filter("has_assignment", "flag", "Whether anybody has the task.", {"task": "has_assignment"}),
    Filter(
        "full", "flag", "Whether the task has as many assignments as it may.", {"task": "has_reached_max_assignments"}
    ),
    Filter("schema", "words", "The task's schema.", {"task": "schema"}),
    Filter("category", "words", "Such as train or validation.", {"ground_truth": "categories"}, ("category",)),
    Filter("classes", "words", "Events that hold one of these classes.", {"ground_truth": "classes"}),
    Filter("ground_truth", "numbers", "Ids of ground truths.", {"ground_truth": "ground_truth"}, ("ground_truth",)),
)
FILTERS: dict[str, Filter] = {each.name: each for each in _ALL}
"""Friendly name → filter."""

# Spellings that people bring along: the older instructions', and the other kind of person's.
_ALIASES = {"user": "labeler", "users": "labeler", "labelers": "labeler", "reviewers": "reviewer", "id": "ids"}
_ALIASES |= {"id__in": "ids", "categories": "category", "ids_ex": "without_ids", "tag": "tags"}
_ORDERED = [(each.name.replace("_before", "_after"), each.name) for each in _ALL if each.kind == "before"] + [
    ("id_from", "id_to")
]


def names_for(target: str) -> list[str]:
    """The filters that a target has."""
    return [name for name, each in FILTERS.items() if target in each.keys]


def name_of(target: str, given: str) -> str:
    """The filter that a word means: its name, another spelling of it, or the target's own key.

    Raises:
        UsageError: there is none; names the nearest one.
    """
    word = given.strip()
    plain = word.casefold().replace("-", "_")
    names = names_for(target)
    own = {FILTERS[name].keys[target]: name for name in names}
    found = plain if plain in names else own.get(plain) or _ALIASES.get(plain)
    if found in names:
        return str(found)
    others = [other for other in TARGETS if found is None and other != target and plain in names_for(other)]
    near = difflib.get_close_matches(plain, names, n=1, cutoff=0.0)
    why = f"; {others[0]} has it" if others else ""
    raise UsageError(
        f"There is no filter {printable(word)!r} for {target}{why}.",
        hint=f"Did you mean {near[0]}? There are: {', '.join(names)}." if near else "",
        code="unknown-filter",
    )


def read_value(name: str, value: Any) -> Any:
    """A value as the plan keeps it: lists sorted, without doubles; times in UTC.

    Raises:
        UsageError: it is no value of this filter.
    """
    kind = FILTERS[name].kind
    if kind == "flag":
        word = str(value).strip().casefold()
        if word in ("true", "yes", "1"):
            return True
        if word in ("false", "no", "0"):
            return False
        raise _bad(name, value, "is neither true nor false")
    if kind in ("after", "before"):
        return _time(name, value)
    if kind in ("from", "to"):
        numbers = _numbers(name, value)
        if len(numbers) != 1:
            raise _bad(name, value, "is not one number")
        return numbers[0]
    if kind == "numbers":
        return _numbers(name, value)
    if kind == "words":
        return _words(name, value)
    if not isinstance(value, str) or not value.strip():
        raise _bad(name, value, "is not a text")
    return value.strip()


def _parts(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, list | tuple) else [value]


def _numbers(name: str, value: Any) -> list[int]:
    found = set()
    for part in _parts(value):
        text = str(part).strip()
        if isinstance(part, bool) or not text.isascii() or not text.isdigit() or int(text) < 1 or len(text) > 18:
            raise _bad(name, part, "is not a number from 1 up")
        found.add(int(text))
    if not found:
        raise _bad(name, value, "holds nothing")
    return sorted(found)


def _words(name: str, value: Any) -> list[str]:
    found = set()
    for part in _parts(value):
        if not isinstance(part, str | int) or isinstance(part, bool) or not str(part).strip() or "," in str(part):
            raise _bad(name, part, "is not a text without commas")
        found.add(str(part).strip())
    if not found:
        raise _bad(name, value, "holds nothing")
    return sorted(found)


def _time(name: str, value: Any) -> str:
    moment = _moment(value) if isinstance(value, str) else None
    if moment is None:
        raise _bad(name, value, "is not a time such as 2026-01-31 or 2026-01-31T12:00:00+09:00")
    return moment.isoformat().replace("+00:00", "Z")


def _moment(text: Any) -> datetime | None:
    """A time; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(str(text).strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _bad(name: str, value: Any, why: str) -> UsageError:
    shown = printable(str(value))[:60]
    return UsageError(f"Filter {name}: {shown!r} {why}.", hint=FILTERS[name].doc, code="bad-filter")


def read_filter(target: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Filters by their names, in the order of `FILTERS`, with values as the plan keeps them.

    Raises:
        UsageError: one that the target doesn't have (`unknown-filter`), a value that is none, null (which the backend
            would take for "no filter") or two that leave nothing (`bad-filter`).
    """
    read: dict[str, Any] = {}
    for word, value in given.items():
        name = name_of(target, str(word))
        if name in read:
            raise _bad(name, value, "is said twice, in two spellings")
        if value is None:
            raise _bad(name, value, "would be no filter at all")
        read[name] = read_value(name, value)
    for low, high in _ORDERED:
        if low in read and high in read and (read[low] > read[high] or (high != "id_to" and read[low] == read[high])):
            raise _bad(high, read[high], f"leaves nothing: {low} is {read[low]}")
    return {name: read[name] for name in FILTERS if name in read}


def query_of(target: str, scope: int, filter: Mapping[str, Any]) -> dict[str, str]:
    """The query of a list: always with the scope, lists as commas, nothing that the target's list would ignore.

    Args:
        target: assignment, ground_truth or task.
        scope: number of the project, or of the ground truth's version.
        filter: friendly filters.

    Raises:
        UsageError: no such target, no scope (`no-scope`), a filter that is none, more than the backend's front takes
            (`filter-too-long`).
    """
    if target not in SCOPES:
        raise UsageError(f"There is no target {printable(str(target))!r}.", hint=f"One of {', '.join(TARGETS)}.")
    if isinstance(scope, bool) or not isinstance(scope, int) or scope < 1:
        raise UsageError(
            f"An export of {target} without {SCOPES[target]} would be one of the whole tenant.",
            hint="Give the number of the project, or of the ground truth's version.",
            code="no-scope",
        )
    query = {SCOPES[target]: str(scope)}
    for name, value in read_filter(target, filter).items():
        query[FILTERS[name].keys[target]] = _sent(value)
    if unknown := sorted(set(query) - ALLOWED[target]):
        raise AssertionError(f"{unknown} are not known to be applied")
    size = len(urlencode(query))
    if size > MAX_QUERY_BYTES:
        raise UsageError(
            f"The filter is {size:,} bytes long; the backend takes {MAX_QUERY_BYTES:,}.",
            hint="Say a range with id_from and id_to, leave few out with without_ids, or make several exports.",
            code="filter-too-long",
        )
    return query


def _sent(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def belongs(row: Mapping[str, Any], target: str, scope: int, filter: Mapping[str, Any]) -> str | None:
    """Why a row is not what was asked for, as far as it tells; None if nothing speaks against it.

    Args:
        row: as the backend sent it.
        target: what was listed.
        scope: the scope's number.
        filter: as `read_filter` gives it.
    """
    for key in ("project",) if SCOPES[target] == "project" else ("ground_truth_dataset_version",):
        theirs = _ids_in(row.get(key))
        if theirs and scope not in theirs:
            return f"{key} is {_few(theirs)}, not {scope}"
    for name, wanted in filter.items():
        why = _differs(row, FILTERS[name], wanted)
        if why:
            return why
    if excluded := filter.get("without_ids"):
        own = row.get("pgh_id", row.get("id"))
        return f"id is {own}, which was to be left out" if own in excluded else None
    return None


def _differs(row: Mapping[str, Any], each: Filter, wanted: Any) -> str | None:
    """Why a row's own fields speak against one filter."""
    told = [row[column] for column in each.fields if row.get(column) is not None]
    if not told:
        return None
    column = next(column for column in each.fields if row.get(column) is not None)
    if each.kind == "flag":
        return None if not isinstance(told[0], bool) or told[0] == wanted else f"{column} is {str(told[0]).lower()}"
    if each.kind in ("after", "before"):
        moment, bound = _moment(told[0]), _moment(wanted)
        if moment is None or bound is None or (moment >= bound if each.kind == "after" else moment < bound):
            return None
        return f"{column} is {moment.isoformat()}"
    if each.kind in ("from", "to"):
        number = told[0]
        if not isinstance(number, int) or (number >= wanted if each.kind == "from" else number <= wanted):
            return None
        return f"{column} is {number}"
    if each.kind == "numbers":
        numbers = {number for value in told for number in _ids_in(value)}
        return f"{column} is {_few(numbers)}" if numbers and numbers.isdisjoint(wanted) else None
    return f"{column} is {printable(str(told[0]))[:40]}" if str(told[0]) not in wanted else None


def _ids_in(value: Any) -> set[int]:
    """Ids in what a row says: a number, an object with one, a list of either."""
    if type(value) is int:
        return {value}
    found = set()
    for each in value if isinstance(value, list) else [value]:
        number = each.get("id") if isinstance(each, Mapping) else each
        if isinstance(number, int) and not isinstance(number, bool):
            found.add(number)
    return found


def _few(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)[:3]))


_KINDS: dict[str, str] = {
    "words": "one or several texts",
    "numbers": "one or several numbers",
    "flag": "true or false",
    "after": "a time; UTC unless it says otherwise",
    "before": "a time; UTC unless it says otherwise",
    "from": "a number",
    "to": "a number",
    "text": "a text",
}


def filters_table() -> str:
    """All filters as a Markdown table: the reference is made from it."""
    rows = ["| filter | value | means | assignment | ground_truth | task |", "|---|---|---|---|---|---|"]
    for name, each in FILTERS.items():
        keys = " | ".join(f"`{each.keys[target]}`" if target in each.keys else "" for target in TARGETS)
        rows.append(f"| `{name}` | {_KINDS[each.kind]} | {each.doc} | {keys} |")
    return "\n".join(rows) + "\n"
