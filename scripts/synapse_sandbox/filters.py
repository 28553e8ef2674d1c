"""What the lists of tasks, assignments and ground truths can be narrowed by (contract/EXPORT.md, section 2).

The keys are those that the SDK lets through for each target. Any other is ignored, so that the list widens silently,
or is refused: the setting `unknown_filters`. `discarded_filter` is read as `is_discarded`; what the real one means by
it, nobody outside knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from synapse_sandbox.errors import ApiError, BadInput
from synapse_sandbox.facts import DATES, moment
from synapse_sandbox.settings import Settings

Clause = tuple[str, list[Any]]
Filter = Callable[[str, list[str]], Clause]
# Only fixed texts are put together; every value travels as a parameter.
_GIVEN = "(select value from json_each(?))"
_COMPARE = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_COMMON = frozenset(
    {"page", "page_size", "cursor", "pagination", "ordering", "expand", "fields", "response_mode", "url_host"}
)


def _numbers(key: str, values: list[str]) -> str:
    if not all(value.strip().lstrip("-").isdecimal() and len(value) < 19 for value in values):
        raise ApiError(400, {key: ["Enter a number."]})
    return json.dumps([int(value) for value in values])


def _column(name: str, compare: str = "=") -> Filter:
    def clause(key: str, values: list[str]) -> Clause:
        return f"r.{name} {compare} ?", [json.loads(_numbers(key, values[-1:]))[0]]

    return clause


def _among(name: str, word: str = "in") -> Filter:
    def clause(key: str, values: list[str]) -> Clause:
        return f"r.{name} {word} {_GIVEN}", [_numbers(key, values)]

    return clause


def _flag(sql: str) -> Filter:
    def clause(key: str, values: list[str]) -> Clause:
        word = values[-1].lower()
        if word not in _TRUE + _FALSE:
            raise ApiError(400, {key: ["Enter true or false."]})
        return f"({sql}) = ?", [int(word in _TRUE)]

    return clause


def _any_of(sql: str) -> Filter:
    """Texts among which something must be; `sql` has one place for them as a JSON list."""

    def clause(key: str, values: list[str]) -> Clause:
        return sql, [json.dumps(values)]

    return clause


def _fact(name: str) -> Filter:
    return _any_of(f"cast(json_extract(r.facts, '$.{name}') as text) in {_GIVEN}")


def _person(name: str, table: str = "r") -> str:
    # A person is an id, a name, or an object with an id.
    found = f"coalesce(json_extract({table}.facts, '$.{name}.id'), json_extract({table}.facts, '$.{name}'))"
    return f"cast({found} as text) in {_GIVEN}"


def _members(name: str) -> Filter:
    """A fact that is one value or a list of values or objects: any of them by value, id or name."""
    return _any_of(
        "exists (select 1 from (select cast(value as text) value, case type when 'object' then value else '{}' end json"  # noqa: S608
        f" from json_each(r.facts, '$.{name}')) m, json_each(?) w where w.value in"
        " (m.value, cast(json_extract(m.json, '$.id') as text), json_extract(m.json, '$.name')))"
    )


def _dates(*names: str) -> dict[str, Filter]:
    def one(name: str, compare: str) -> Filter:
        def clause(key: str, values: list[str]) -> Clause:
            try:
                when = moment(values[-1])
            except BadInput:
                raise ApiError(400, {key: ["Enter a valid date/time."]}) from None
            return f"json_extract(r.facts, '$.{name}') {compare} ?", [when]

        return clause

    return {f"{name}__{word}": one(name, compare) for name in names for word, compare in _COMPARE.items()}


_SEARCH = _any_of(
    "r.data_unit in (select u.id from data_unit u, json_each(?) w where instr(lower(coalesce(u.meta, '')),"
    " lower(w.value)) or instr(lower(u.files), lower(w.value)))"
)
_IDS: dict[str, Filter] = {
    "search": _SEARCH,
    "ids": _among("id"),
    "ids_ex": _among("id", "not in"),
    "id__in": _among("id"),
    "id": _column("id"),
    **{f"id__{word}": _column("id", compare) for word, compare in _COMPARE.items()},
}
_WORK: dict[str, Filter] = {
    **_IDS,
    "project": _column("project"),
    "data_unit": _column("data_unit"),
    "status_label": _fact("status_label"),
    "status_review": _fact("status_review"),
    "tags": _members("tags"),
    "groups": _members("groups"),
    "stages": _members("stages"),
    "is_discarded": _flag("coalesce(json_extract(r.facts, '$.is_discarded'), 0)"),
}
_OF_TASK = "select {} from assignment a where a.task = r.id"
_OF_PROJECT = "select coalesce(json_extract(c.body, '$.count_max_assignments_per_task'), 1) from catalogue c"


@dataclass(frozen=True)
class Target:
    """A kind of record: its table, its unique key, what its list can be narrowed by, and what it is called in a 404."""

    name: str
    table: str
    key: str
    filters: dict[str, Filter]
    label: str


ASSIGNMENT = Target(
    "assignment",
    "assignment",
    "id",
    {
        **_WORK,
        "workshop": _members("workshop"),
        "tasks": _among("task"),
        "users": _any_of(_person("labeler")),
        "reviewers": _any_of(_person("reviewer")),
        "task_tags": _any_of(
            "exists (select 1 from task k, json_each(k.facts, '$.tags') t, json_each(?) w where k.id = r.task"
            " and w.value in (cast(json_extract(t.value, '$.id') as text), json_extract(t.value, '$.name')))"
        ),
        "is_discard_confirmed": _flag("coalesce(json_extract(r.facts, '$.is_discard_confirmed'), 0)"),
        "is_confirmed": _flag("coalesce(json_extract(r.facts, '$.is_confirmed'), 0)"),
        **_dates(*(name for name in DATES if name != "updated")),
    },
    "Assignment",
)
TASK = Target(
    "task",
    "task",
    "id",
    {
        **_WORK,
        "schema": _fact("schema"),
        "has_assignment": _flag(f"exists ({_OF_TASK.format(1)})"),
        "has_reached_max_assignments": _flag(
            f"({_OF_TASK.format('count(*)')}) >= ({_OF_PROJECT} where c.kind = 'project' and c.id = r.project)"
        ),
        "assignments": _any_of(f"exists ({_OF_TASK.format(1)} and cast(a.id as text) in {_GIVEN})"),
        "assignments__is_discarded": _flag(
            f"exists ({_OF_TASK.format(1)} and coalesce(json_extract(a.facts, '$.is_discarded'), 0))"
        ),
        "labelers": _any_of(f"exists ({_OF_TASK.format(1)} and {_person('labeler', 'a')})"),
        "reviewers": _any_of(f"exists ({_OF_TASK.format(1)} and {_person('reviewer', 'a')})"),
        "workshops": _members("workshops"),
        "discarded_filter": _flag("coalesce(json_extract(r.facts, '$.is_discarded'), 0)"),
        **_dates("created"),
    },
    "Task",
)
GROUND_TRUTH = Target(
    "ground_truth",
    "ground_truth",
    "pgh_id",
    {
        **_IDS,
        "ground_truth_dataset_version": _column("version"),
        "ground_truth_dataset_versions": _among("version"),
        "ground_truth_dataset": _any_of(
            "r.version in (select c.id from catalogue c where c.kind = 'version' and"
            " cast(json_extract(c.body, '$.ground_truth_dataset') as text) in (select value from json_each(?)))"
        ),
        "ground_truth": _among("id"),
        "category": _fact("category"),
        "categories": _fact("category"),
        "classes": _members("classes"),
        "task": _among("task"),
    },
    "GroundTruth",
)
TARGETS = {target.name: target for target in (ASSIGNMENT, TASK, GROUND_TRUTH)}


def where(request: Request, target: Target, settings: Settings) -> Clause:
    """The parameters of a list as SQL over the table `r`, with its values.

    Raises:
        ApiError: 400: a value that can't be one, or an unknown key if those are refused.
    """
    clauses, bound = ["1"], list[Any]()
    for key in dict.fromkeys(request.query_params.keys()):
        narrow = target.filters.get(key)
        if narrow is None:
            if key not in _COMMON and settings.unknown_filters == "refused":
                raise ApiError(400, {key: ["Unknown parameter."]})
            continue
        given = request.query_params.getlist(key)
        if settings.id_lists == "comma":
            given = given[-1:]
        # A search is one text; everywhere else a comma separates.
        values = given if key == "search" else [part.strip() for text in given for part in text.split(",")]
        values = [value for value in values if value]
        if values:
            clause, more = narrow(key, values)
            clauses.append(clause)
            bound += more
    return " and ".join(clauses), bound
