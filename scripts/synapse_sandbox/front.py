"""The way in: finds the route, checks the token, counts, and lets things go wrong that should.

Routing is done here and not by Starlette's router, because counts, faults and 401 all need the route's name before
anything is read, and because thousands of small PUTs should pay for one dictionary look-up.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from synapse_sandbox import (
    catalogue,
    chunked,
    control,
    files,
    labels,
    page,
    payloads,
    plugins,
    records,
    tasks,
    truths,
    units,
    v2,
)
from synapse_sandbox.box import RULE, Box, answer
from synapse_sandbox.breakage import Breakage
from synapse_sandbox.errors import ApiError
from synapse_sandbox.links import S3Error

Handler = Callable[[Box, Request], Awaitable[Response]]
_PARTS = {
    "id": r"(?P<id>[0-9]{1,18})",
    "other": r"(?P<other>[0-9]{1,18})",
    "tag": r"[0-9a-f]{16}",
    "code": r"(?P<code>[A-Za-z0-9_.-]{1,100})",
    "job": r"(?P<job>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})",
    "uuid": r"(?P<uuid>[0-9a-f]{32})",
    "key": r"(?P<key>tenants/1/files/[0-9a-f]{32})",
}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Route:
    """A way to a handler. `access`: token, none (presigned, media), or own (the page: a browser on this machine)."""

    name: str
    methods: tuple[str, ...]
    path: str
    handler: Handler
    access: str = "token"


def _list(target: str, shape: str = "full") -> Handler:
    return partial(records.listed, target=target, shape=shape)


ROUTES = (
    Route("files.put", ("PUT",), "/bucket/{key}", files.put, "none"),
    Route("files.presign", ("POST",), "/data_files/presigned_upload/upload/", files.presign),
    Route("files.confirm", ("POST",), "/data_files/presigned_upload/confirm_upload/", files.confirm),
    Route("files.verify", ("POST",), "/data_files/verify_checksums/", files.verify_checksums),
    Route("files.create", ("POST",), "/data_files/", files.create),
    Route("files.media", ("GET",), "/media/{key}/.*", files.media, "none"),
    Route("chunked.put", ("PUT",), "/chunked_upload/", chunked.put),
    Route("chunked.finish", ("POST",), "/chunked_upload/", chunked.finish),
    Route("chunked.put", ("PUT",), "/chunked_upload/{uuid}/", chunked.put),
    Route("chunked.finish", ("POST",), "/chunked_upload/{uuid}/", chunked.finish),
    Route("chunked.show", ("GET",), "/chunked_upload/{uuid}/", chunked.show),
    Route("units.create", ("POST",), "/data_units/", units.create),
    Route("units.list", ("GET",), "/data_units/", units.listed),
    Route("units.get", ("GET",), "/data_units/{id}/", units.one),
    Route("tasks.create", ("POST",), "/tasks/", tasks.create),
    Route("tasks.list", ("GET",), "/sdk/tasks/", _list("task")),
    Route("tasks.data", ("GET",), "/sdk/tasks/data/", _list("task", "data")),
    Route("tasks.files", ("GET",), "/sdk/tasks/files/", _list("task", "files")),
    Route("tasks.get", ("GET",), "/tasks/{id}/", partial(records.one, target="task")),
    Route("assignments.list", ("GET",), "/sdk/assignments/", _list("assignment")),
    Route("assignments.data", ("GET",), "/sdk/assignments/data/", _list("assignment", "data")),
    Route("assignments.files", ("GET",), "/sdk/assignments/files/", _list("assignment", "files")),
    Route("assignments.get", ("GET",), "/assignments/{id}/", partial(records.one, target="assignment")),
    Route("events.list", ("GET",), "/sdk/ground_truth_events/", _list("ground_truth")),
    Route("events.data", ("GET",), "/sdk/ground_truth_events/data/", _list("ground_truth", "data")),
    Route("events.files", ("GET",), "/sdk/ground_truth_events/files/", _list("ground_truth", "files")),
    Route("truths.list", ("GET",), "/ground_truths/", truths.listed),
    Route("versions.list", ("GET",), "/ground_truth_dataset_versions/", truths.versions),
    Route("versions.get", ("GET",), "/ground_truth_dataset_versions/{id}/", truths.version),
    Route("payload.get", ("GET",), r"/payload/{id}-{tag}\.json", payloads.fetch, "none"),
    Route("agents.list", ("GET",), "/agents/", catalogue.agents),
    Route("collections.list", ("GET",), "/data_collections/", catalogue.collections),
    Route("collections.get", ("GET",), "/data_collections/{id}/", catalogue.collection),
    Route("storages.list", ("GET",), "/storages/", catalogue.storages),
    Route("storages.get", ("GET",), "/storages/{id}/", catalogue.storage),
    Route("storages.session", ("POST",), "/storages/{id}/session/", catalogue.storage_session),
    Route("projects.get", ("GET",), "/projects/{id}/", catalogue.project),
    Route("v2.projects.list", ("GET",), "/v2/projects/", v2.projects),
    Route("v2.projects.get", ("GET",), "/v2/projects/{id}/", v2.project),
    Route("v2.assignments.bulk", ("POST",), "/v2/assignments/bulk-fetch/", partial(v2.bulk_fetch, target="assignment")),
    Route("v2.tasks.bulk", ("POST",), "/v2/tasks/bulk-fetch/", partial(v2.bulk_fetch, target="task")),
    Route("v2.datasets.list", ("GET",), "/v2/ground-truth-datasets/", truths.v2_datasets),
    Route("v2.datasets.get", ("GET",), "/v2/ground-truth-datasets/{id}/", truths.v2_dataset),
    Route("v2.versions.list", ("GET",), "/v2/ground-truth-datasets/{id}/versions/", truths.v2_versions),
    Route("v2.versions.get", ("GET",), "/v2/ground-truth-datasets/{id}/versions/{other}/", truths.v2_version),
    Route("plugins.release", ("POST",), "/plugin_releases/", plugins.release),
    Route("plugins.run", ("POST",), "/plugins/{code}/run/", plugins.run),
    Route("jobs.list", ("GET",), "/jobs/", plugins.jobs),
    Route("jobs.get", ("GET",), "/jobs/{job}/", plugins.job),
    Route("jobs.logs", ("GET",), "/jobs/{job}/console_logs/", plugins.logs),
    Route("jobs.tail", ("GET",), "/jobs/{job}/tail_console_logs/", plugins.tail),
    Route("v2.jobs.stop", ("POST",), "/v2/jobs/{job}/stop/", plugins.stop),
    Route("health", ("GET",), "/health/", catalogue.health, "none"),
    Route("page", ("GET",), "/", page.show, "own"),
    Route("_sandbox.stats", ("GET", "DELETE"), "/_sandbox/stats", control.stats),
    Route("_sandbox.faults", ("GET", "POST"), "/_sandbox/faults", control.faults),
    Route("_sandbox.settings", ("GET", "POST"), "/_sandbox/settings", control.settings),
    Route("_sandbox.units", ("GET",), "/_sandbox/units", control.units),
    Route("_sandbox.tasks", ("GET",), "/_sandbox/tasks", control.tasks),
    Route("_sandbox.label", ("POST",), "/_sandbox/label", labels.label),
    Route("_sandbox.edit", ("POST",), "/_sandbox/edit", labels.edit),
    Route("_sandbox.ground_truth", ("POST",), "/_sandbox/ground_truth", labels.ground_truth),
    Route("_sandbox.fill", ("POST",), "/_sandbox/fill", labels.fill),
    Route("_sandbox.records", ("GET",), "/_sandbox/records", labels.records),
    Route("_sandbox.plugins", ("POST",), "/_sandbox/plugins", plugins.install),
    Route("_sandbox.jobs", ("POST",), "/_sandbox/jobs", plugins.play),
    Route("_sandbox.files", ("GET",), "/_sandbox/files", control.files),
)
NAMES = frozenset(route.name for route in ROUTES if not route.name.startswith("_") and route.access != "own")


class Front:
    """The ASGI application."""

    def __init__(self, box: Box, breakage: Breakage) -> None:
        self.box = box
        self.breakage = breakage
        box.names = NAMES
        self._fixed = {(method, route.path): route for route in ROUTES for method in route.methods}
        self._open = [
            (re.compile(re.sub(r"\{(\w+)\}", lambda part: _PARTS[part[1]], route.path), re.DOTALL), route)
            for route in ROUTES
            if "{" in route.path
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        route = self._find(scope)
        request = Request(scope, receive)
        if isinstance(route, Response):
            await route(scope, receive, send)
            return
        stats = self.box.stats
        stats.begin(route.name)
        ended = "dropped"

        async def counted(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                ended = str(message["status"])
            await send(message)

        try:
            await self._serve(route, request, counted)
        finally:
            stats.end(route.name, ended)

    def _find(self, scope: Scope) -> Route | Response:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        path: str = scope["path"]
        if found := self._fixed.get((method, path)):
            return found
        known = False
        for pattern, route in self._open:
            if match := pattern.fullmatch(path):
                if method in route.methods:
                    scope["path_params"] = match.groupdict()
                    return route
                known = True
        if known or any(route.path == path for route in ROUTES):
            return answer({"detail": f'Method "{method}" not allowed.'}, 405)
        return answer({"detail": "Not found."}, 404)

    async def _serve(self, route: Route, request: Request, send: Send) -> None:
        own = route.name not in NAMES
        if self.box.latency and not own:
            await asyncio.sleep(self.box.latency)
        if refusal := self._refused(route, request):
            await refusal(request.scope, request.receive, send)
            return
        if own:
            await self._answer(route, request, send)
            return
        rule = None
        if self.box.faults.rules:
            target = f"{request.method} {request.scope['path']}"
            rule = self.box.faults.pick(route.name, target, route.access == "token", request.url.query)
        if rule is None:
            await self._answer(route, request, send)
            return

        async def run(receive: Receive, onward: Send) -> None:
            request.scope[RULE] = rule
            await self._answer(route, Request(request.scope, receive), onward)

        await self.breakage.happen(rule, request, send, run)

    def _refused(self, route: Route, request: Request) -> Response | None:
        headers = request.headers
        if route.access == "own":
            # No token guards the page, so only a browser that typed this machine's address may see it: a site that
            # makes its own name resolve to 127.0.0.1 sends that name.
            host = urlsplit(f"//{headers.get('host', '')}").hostname
            return None if host in _LOOPBACK else answer({"detail": "Not found."}, 404)
        if route.access == "none":
            return None
        tenant = headers.get("synapse-tenant")
        access, user = headers.get("synapse-access-token"), headers.get("authorization")
        if not access and not user:
            return answer({"detail": "Authentication credentials were not provided."}, 401)
        own = route.name not in NAMES
        # The second API takes the access token as it is; which prefixes it takes besides is not known.
        bare = route.name.startswith("v2.") and access is not None and not access.startswith("Token ")
        if bare:
            access = f"Token {access}"
        if (access and self._ours(access)) or (user and self._ours(user) and (tenant or own)):
            if tenant and tenant.removeprefix("Token ") != self.box.store.tenant:
                return answer({"detail": "You do not have permission to perform this action."}, 403)
            return None
        return answer({"detail": "Invalid token."}, 401)

    def _ours(self, header: str) -> bool:
        token = header.removeprefix("Token ").encode("utf-8", "replace")
        return header.startswith("Token ") and hmac.compare_digest(token, self.box.store.token.encode())

    async def _answer(self, route: Route, request: Request, send: Send) -> None:
        try:
            response = await route.handler(self.box, request)
        except ApiError as error:
            response = answer(error.body, error.status, error.headers)
        except S3Error as error:
            response = error.response()
        except ClientDisconnect:
            return
        except Exception:
            traceback.print_exc(file=sys.stderr)
            response = answer({"detail": "A server error occurred."}, 500)
        await response(request.scope, request.receive, send)
