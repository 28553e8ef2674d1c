"""The reads that planning and scripts need, as plain calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from synapse_skills.backend.api import Api, NotThere, Refused
from synapse_skills.backend.login import Login, login
from synapse_skills.backend.stopping import stoppable
from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.plan import SpecPlan

PAGE_SIZE = 100
_STALE_PAGES = 3


@dataclass(frozen=True)
class Collection:
    """A data collection as planning needs it."""

    id: int
    name: str
    specs: tuple[SpecPlan, ...]
    meta_schema: dict[str, Any] | None


def parse_collection(row: Mapping[str, Any]) -> Collection:
    """Read a collection row, whatever the backend leaves out: no extensions means any, `meta` may be null.

    Raises:
        FindingError: its file specifications came as bare ids (`no-specs`), or it has none.
        OutOfReach: this is no collection (`not-synapse`).
    """
    if not isinstance(row, Mapping) or not isinstance(row.get("id"), int):
        raise OutOfReach(
            "The backend answered with something that is not a data collection.",
            hint="Check SYNAPSE_HOST: this does not look like Synapse.",
            code="not-synapse",
        )
    identity, name = int(row["id"]), str(row.get("name") or f"collection {row['id']}")
    rows = row.get("file_specifications") or []
    if not rows or not all(isinstance(spec, Mapping) and spec.get("name") for spec in rows):
        raise FindingError(
            f"Data collection {identity} ({name}) has no file specifications that can be read.",
            hint="Add file specifications to it in Synapse: without them no file can be placed.",
            code="no-specs",
        )
    specs = tuple(
        SpecPlan(
            name=str(spec["name"]),
            file_type=str(spec.get("file_type") or ""),
            extensions=_extensions(spec.get("extensions")),
            is_required=bool(spec.get("is_required")),
            is_primary=bool(spec.get("is_primary")),
        )
        for spec in rows
    )
    meta = row.get("meta") if isinstance(row.get("meta"), Mapping) else {}
    schema = (meta or {}).get("data_unit_meta_schema")
    if isinstance(schema, bool):
        schema = None if schema else {"not": {}}
    return Collection(identity, name, specs, dict(schema) if isinstance(schema, Mapping) else None)


def _extensions(given: Any) -> tuple[str, ...]:
    names = [str(item).strip().lower() for item in (given or []) if str(item).strip()]
    return tuple(dict.fromkeys(name if name.startswith(".") else f".{name}" for name in names))


def _is_row(row: Any) -> bool:
    """Whether this is something with a number, as all is that a backend lists."""
    return isinstance(row, Mapping) and isinstance(row.get("id"), int) and 0 <= row["id"] < 2**63


def _cursor(following: Any) -> str | None:
    """The cursor of the next page, out of a URL or as it is; None at the end."""
    if not isinstance(following, str) or not following:
        return None
    given = parse_qs(urlsplit(following).query).get("cursor")
    return given[0] if given else following


def _ground_truth(row: Mapping[str, Any], names: Mapping[int, str]) -> dict[str, Any] | None:
    """A version of a ground-truth dataset; its dataset is a number, or an object."""
    if not isinstance(row.get("id"), int):
        return None
    dataset = row.get("ground_truth_dataset")
    inner = dataset if isinstance(dataset, Mapping) else {"id": dataset}
    number = inner.get("id") if isinstance(inner.get("id"), int) else None
    name = str(inner.get("name") or (names.get(number, "") if number is not None else ""))
    version = "" if row.get("version") is None else str(row["version"])
    return {"id": int(row["id"]), "name": name, "version": version, "dataset": number}


class _Seen:
    """What of a list was seen: it has an end even if the backend names another page for ever."""

    def __init__(self) -> None:
        self._pages: set[str] = set()
        self._rows: set[int] = set()
        self._stale = 0

    def all(self, following: str, rows: Any) -> bool:
        """Whether the next page was seen already, or the last pages had nothing new."""
        was_seen, before = following in self._pages, len(self._rows)
        self._pages.add(following)
        self._rows |= {row["id"] for row in rows}
        self._stale = 0 if len(self._rows) > before else self._stale + 1
        return was_seen or self._stale >= _STALE_PAGES


class Backend:
    """A backend to ask, as a context manager. Waits `patience` seconds for one that is away.

    Raises from every method:
        OutOfReach: no login, refused, unreachable, not Synapse. NotThere, Refused: the request itself is wrong.
    """

    def __init__(self, who: Login | None = None, *, patience: float = 5.0) -> None:
        self.login = who or login()
        self._api = Api(self.login, patience=patience)
        self._second = Api(self.login.for_v2(), patience=patience)
        self._runner = asyncio.Runner()
        self._open = False

    def __enter__(self) -> Backend:
        self._do(self._api.__aenter__())
        self._do(self._second.__aenter__())
        self._open = True
        return self

    def __exit__(self, *exc: object) -> None:
        if self._open:
            self._do(self._api.__aexit__())
            self._do(self._second.__aexit__())
            self._open = False
        self._runner.close()

    def run[T](self, work: Callable[[Api], Coroutine[Any, Any, T]]) -> T:
        """Do something that takes the asynchronous face of this backend."""
        return self._do(work(self._api))

    def _do[T](self, work: Awaitable[T]) -> T:
        return self._runner.run(stoppable(work))

    def get(self, path: str, params: dict[str, Any] | None = None) -> Any:
        """GET one path."""
        return self._do(self._api.get(path, params))

    def pages(self, path: str, params: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """All rows of a list, page after page; a bare list counts as one page."""
        page = self.get(path, params)
        seen = _Seen()
        while True:
            rows = page.get("results", []) if isinstance(page, Mapping) else page
            yield from self._rows(rows, path, "Check SYNAPSE_HOST: this does not look like Synapse.")
            following = page.get("next") if isinstance(page, Mapping) else None
            if not isinstance(following, str) or not following or seen.all(following, rows):
                return
            page = self.get(following)

    def _rows(self, rows: Any, path: str, hint: str) -> list[dict[str, Any]]:
        if not isinstance(rows, list) or not all(map(_is_row, rows)):
            raise OutOfReach(
                f"{self.login.host} answered {path} with something that is not a list.", hint=hint, code="not-synapse"
            )
        return [dict(row) for row in rows]

    def check(self) -> list[dict[str, Any]]:
        """Prove that the login works; returns the agents, which is what `synapse doctor` asks for."""
        return list(self.pages("agents/"))

    agents = check

    def collections(self, search: str = "") -> Iterator[dict[str, Any]]:
        """All data collections, expanded; `search` is applied here too, for backends that ignore it."""
        params = {"expand": "file_specifications", "page_size": PAGE_SIZE, "search": search or None}
        for row in self.pages("data_collections/", params):
            if search.casefold() in str(row.get("name", "")).casefold():
                yield row

    def collection(self, identity: int) -> Collection:
        """One data collection with its specs and meta schema."""
        try:
            row = self.get(f"data_collections/{int(identity)}/", {"expand": "file_specifications"})
        except NotThere:
            raise FindingError(
                f"There is no data collection {identity} on {self.login.host}.",
                hint="List them: list_resources collections.",
                code="no-collection",
            ) from None
        return parse_collection(row)

    def storages(self) -> list[dict[str, Any]]:
        """All storages of the tenant, without their configuration (it may hold keys)."""
        rows: dict[int, dict[str, Any]] = {}
        for category in ("internal", "external"):
            try:
                for row in self.pages("storages/", {"category": category}):
                    row.pop("configuration", None)
                    rows[int(row["id"])] = row
            except (NotThere, Refused):
                if category == "internal":
                    raise
        return [rows[key] for key in sorted(rows)]

    def default_storage(self) -> dict[str, Any]:
        """Where uploads land: the default among the internal storages, else the first (contract/UPLOAD.md, §2.1)."""
        rows = []
        for row in self.pages("storages/", {"category": "internal"}):
            row.pop("configuration", None)
            rows.append(row)
        for row in rows:
            if row.get("is_default"):
                return row
        if not rows:
            raise FindingError(
                f"{self.login.host} has no internal storage: uploads have nowhere to land.",
                hint="Have a default storage set up in Synapse.",
                code="no-default-storage",
            )
        return rows[0]

    def projects(self, search: str = "", *, collection: int | None = None) -> Iterator[dict[str, Any]]:
        """All projects (of one data collection) that are not archived; only the second API has a list of them."""
        for row in self._second_pages("v2/projects/", {"data_collection": collection}):
            name = str(row.get("title") or row.get("name") or "")
            if not row.get("is_archived") and search.casefold() in name.casefold():
                yield {**row, "name": name}

    def _second_pages(self, path: str, params: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """All rows of a list of the second API.

        Pages are asked for by `cursor`: what comes back as `next_cursor` is a URL or only the cursor, depending on the
        backend.
        """
        cursor: str | None = None
        seen = _Seen()
        while True:
            query = {"per_page": PAGE_SIZE, **(params or {}), "cursor": cursor}
            page = self._do(self._second.get(path, query))
            rows = page.get("data", page.get("results")) if isinstance(page, Mapping) else None
            yield from self._rows(rows, path, "Look the number up in Synapse.")
            meta = page.get("meta") if isinstance(page.get("meta"), Mapping) else {}
            pagination = (meta or {}).get("pagination")
            following = pagination.get("next_cursor") if isinstance(pagination, Mapping) else page.get("next")
            cursor = _cursor(following)
            if cursor is None or seen.all(cursor, rows):
                return

    def ground_truths(self, search: str = "") -> list[dict[str, Any]]:
        """All versions of all ground truths: `id` of the version, `name` of the dataset, `version`, `dataset`."""
        names: dict[int, str] = {}
        for row in self._second_pages("v2/ground-truth-datasets/"):
            names[int(row["id"])] = str(row.get("name") or "")
        found = []
        for row in self.pages("ground_truth_dataset_versions/", {"page_size": PAGE_SIZE}):
            version = _ground_truth(row, names)
            if version is not None and search.casefold() in version["name"].casefold():
                found.append(version)
        return sorted(found, key=lambda row: int(row["id"]))

    def ground_truth_version(self, identity: int) -> dict[str, Any]:
        """One version of a ground truth as in `ground_truths`, with the number of its `project` if that is told."""
        try:
            row = self.get(f"ground_truth_dataset_versions/{int(identity)}/")
        except NotThere:
            row = None
        version = _ground_truth(row, {}) if isinstance(row, Mapping) else None
        if version is None:
            raise FindingError(
                f"There is no version {identity} of a ground truth on {self.login.host}.",
                hint="List them: list_resources ground-truths.",
                code="no-ground-truth",
            )
        if version["dataset"] is not None:
            try:
                found = self._do(self._second.get(f"v2/ground-truth-datasets/{version['dataset']}/"))
            except NotThere:
                found = None
            inner = found.get("data", found) if isinstance(found, Mapping) else None
            if isinstance(inner, Mapping):
                version["name"] = str(inner.get("name") or version["name"])
                version["project"] = inner.get("project_id") or inner.get("project")
        return version

    def count(self, path: str, params: dict[str, Any]) -> int:
        """How many rows a list has, without fetching them."""
        page = self.get(path, {**params, "page_size": 1})
        number = page.get("count") if isinstance(page, Mapping) else None
        if isinstance(number, bool) or not isinstance(number, int):
            raise OutOfReach(
                f"{self.login.host} does not say how many {path.strip('/')} there are.",
                hint="Check SYNAPSE_HOST: this does not look like Synapse.",
                code="not-synapse",
            )
        return number

    def project(self, identity: int) -> dict[str, Any]:
        """One project."""
        try:
            row = self.get(f"projects/{int(identity)}/")
        except NotThere:
            raise FindingError(
                f"There is no project {identity} on {self.login.host}.",
                hint="List them: list_resources projects.",
                code="no-project",
            ) from None
        return self._rows([row], f"projects/{int(identity)}/", "Look the number up in Synapse.")[0]
