"""What every route gets: the state, the faults, the counts; and how it reads a request and answers it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from synapse_sandbox.errors import ApiError
from synapse_sandbox.faults import Faults, Rule
from synapse_sandbox.kept_rows import KeptRows
from synapse_sandbox.objects import Objects
from synapse_sandbox.settings import Settings
from synapse_sandbox.store import Store

RULE = "synapse_sandbox.rule"


class Stats:
    """Counts since the start (or the last reset): requests and answers of each route, and the most at one time."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.statuses: dict[str, Counter[str]] = {}
        self.in_flight = 0
        self.most_in_flight = 0
        self.late = 0

    def begin(self, name: str) -> None:
        """Count a request of a route."""
        self.requests[name] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def end(self, name: str, status: str) -> None:
        """Count how it ended: the status that went out, or `dropped`."""
        self.in_flight -= 1
        self.statuses.setdefault(name, Counter())[status] += 1

    def as_dict(self) -> dict[str, Any]:
        """The counts as JSON; `late` is how many commits are still to come."""
        return {
            "requests": dict(sorted(self.requests.items())),
            "statuses": {name: dict(counts) for name, counts in sorted(self.statuses.items())},
            "most_in_flight": self.most_in_flight,
            "late": self.late,
        }


class Box:
    """One running sandbox."""

    def __init__(self, store: Store, faults: Faults, latency: float = 0.0) -> None:
        self.store = store
        self.objects = Objects(store.objects)
        self.faults = faults
        self.latency = latency
        self.stats = Stats()
        self.names: frozenset[str] = frozenset()
        self.payload_uses: Counter[str] = Counter()
        self.kept_rows = KeptRows(store)
        self.plugins: dict[str, list[str]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}

    @property
    def settings(self) -> Settings:
        """The switches in force."""
        return self.store.settings

    @staticmethod
    def rule(request: Request, kind: str) -> Rule | None:
        """The fault that this request was chosen for, if it is of this kind."""
        rule: Rule | None = request.scope.get(RULE)
        return rule if rule is not None and rule.kind == kind else None


def origin(request: Request) -> str:
    """Scheme and authority as the client wrote them: what it reached us by, it reaches us by again."""
    return str(request.base_url).rstrip("/")


def now() -> str:
    """The time as Django writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return JSONResponse(body, status, headers)


async def read_json(request: Request) -> Any:
    """The body as JSON, as strictly as the real one reads it: no NaN, nothing that UTF-8 can't hold.

    Raises:
        ApiError: 400.
    """
    try:
        body = await request.body()
        document = json.loads(body, parse_constant=_no_constant)
        if not body.isascii() or b"\\u" in body or b"\0" in body:
            # Only escapes and other letters can be what UTF-8 can't hold.
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"JSON parse error - {error}") from None
    return document


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        ApiError: 400.
    """
    document = await read_json(request)
    if not isinstance(document, dict):
        raise ApiError(400, {"non_field_errors": ["Invalid data. Expected a dictionary."]})
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


def number_in_path(request: Request) -> int:
    """The id in the path."""
    return int(request.path_params["id"])


def number_in_query(request: Request, key: str) -> int | None:
    """A whole number among the parameters.

    Raises:
        ApiError: 400 if it is there and is none.
    """
    text = request.query_params.get(key)
    if text is None or text == "":
        return None
    if not text.lstrip("-").isdecimal() or len(text) > 18:
        raise ApiError(400, {key: ["Enter a number."]})
    return int(text)


@dataclass(frozen=True)
class Page:
    """Which rows a list answers, and the links to those before and after."""

    size: int
    offset: int
    next: str | None
    previous: str | None


def page_of(request: Request, settings: Settings, count: int) -> Page:
    """The page that is asked for; its links are absolute and repeat every parameter, as the SDK follows them verbatim.

    Raises:
        ApiError: 404 beyond the last page.
    """
    size = page_size(request, settings)
    page = number_in_query(request, "page") or 1
    pages = max(1, -(-count // size))
    if not 1 <= page <= pages:
        raise ApiError(404, "Invalid page.")
    link = request.url
    return Page(
        size,
        (page - 1) * size,
        str(link.include_query_params(page=page + 1)) if page < pages else None,
        str(link.include_query_params(page=page - 1)) if page > 1 else None,
    )


def page_size(request: Request, settings: Settings) -> int:
    """How many rows a page has: as many as are asked for, but never more than the setting."""
    size = number_in_query(request, "page_size") or 0
    return min(size if size > 0 else settings.page_size, settings.max_page_size)


def paged(
    request: Request, settings: Settings, count: int, fetch: Callable[[int, int], list[dict[str, Any]]]
) -> Response:
    """One page of a list.

    Raises:
        ApiError: 404 beyond the last page.
    """
    page = page_of(request, settings, count)
    rows = fetch(page.size, page.offset)
    return answer({"count": count, "next": page.next, "previous": page.previous, "results": rows})


def paged_rows(request: Request, settings: Settings, rows: list[dict[str, Any]]) -> Response:
    """One page of rows that are all at hand."""
    return paged(request, settings, len(rows), lambda limit, offset: rows[offset : offset + limit])
