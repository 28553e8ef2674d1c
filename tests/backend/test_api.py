"""Reads that know "wait" from "never", and sends that go out once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sandbox_fixture import COLLECTION, Sandbox
from synapse_skills.backend import Answer, Api, Backend, Login, parse_collection
from synapse_skills.backend.api import NotThere, Refused, backoff, detail_of, tls_context
from synapse_skills.errors import FindingError, OutOfReach


def who(box: Sandbox) -> Login:
    return Login(box.host, None, "access-token", {"Synapse-Access-Token": f"Token {box.token}"})


def ask(box: Sandbox, work: Callable[[Api], Awaitable[Any]], patience: float = 10) -> Any:
    async def go() -> Any:
        async with Api(who(box), patience=patience) as api:
            return await work(api)

    return asyncio.run(go())


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503, "on": [1, 2]},
        {"kind": "status", "status": 500, "on": [1]},
        {"kind": "status", "status": 429, "retry_after": 0.1, "on": [1]},
        {"kind": "status", "status": 425, "on": [1]},
        {"kind": "drop", "on": [1]},
        {"kind": "login-page", "on": [1]},
        {"kind": "status", "status": 502, "body": "html", "on": [1]},
    ],
    ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}",
)
def test_reads_wait_for_what_passes(sandbox: Sandbox, fault: dict[str, Any]) -> None:
    sandbox.set_faults({"route": "agents.list", **fault})
    answer = ask(sandbox, lambda api: api.get("agents/"))
    assert answer["results"]
    assert sandbox.requests("agents.list") > 1


@pytest.mark.parametrize(("status", "error"), [(401, OutOfReach), (403, OutOfReach), (404, NotThere), (400, Refused)])
def test_reads_do_not_wait_for_what_never_passes(sandbox: Sandbox, status: int, error: type[Exception]) -> None:
    sandbox.set_faults({"kind": "status", "status": status, "route": "agents.list"})
    with pytest.raises(error):
        ask(sandbox, lambda api: api.get("agents/"))
    assert sandbox.requests("agents.list") == 1


def test_reads_give_up_when_patience_ends(sandbox: Sandbox) -> None:
    sandbox.set_faults({"kind": "status", "status": 503, "route": "agents.list"})
    began = time.monotonic()
    with pytest.raises(OutOfReach) as caught:
        ask(sandbox, lambda api: api.get("agents/"), patience=0.5)
    assert caught.value.code == "backend-error"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"kind": "status", "status": 503}, "unknown"),
        ({"kind": "status", "status": 504}, "unknown"),
        ({"kind": "status-after-commit"}, "unknown"),
        ({"kind": "drop"}, "unknown"),
        ({"kind": "login-page"}, "unknown"),
        ({"kind": "status", "status": 429}, "refused"),
        ({"kind": "status", "status": 400}, "refused"),
        ({"kind": "status", "status": 401}, "refused"),
    ],
    ids=lambda value: str(value),
)
def test_a_create_is_sent_once_whatever_happens(sandbox: Sandbox, fault: dict[str, Any], outcome: str) -> None:
    sandbox.set_faults({"route": "units.create", **fault})
    answer: Answer = ask(sandbox, lambda api: api.post_once("data_units/", []))
    assert answer.outcome == outcome
    assert sandbox.requests("units.create") == 1


def test_a_create_that_never_left_is_unsent(sandbox: Sandbox) -> None:
    sandbox.stop()
    answer: Answer = ask(sandbox, lambda api: api.post_once("data_units/", []))
    assert answer.outcome == "unsent"


def test_next_links_stay_with_the_login(sandbox: Sandbox) -> None:
    """A `next` that names another host must not take the token there."""
    api = Api(who(sandbox))
    assert api.url("http://elsewhere.test/data_units/?page=2") == f"{sandbox.host}/data_units/?page=2"
    assert api.url(f"{sandbox.host}/data_units/?page=2") == f"{sandbox.host}/data_units/?page=2"


def test_nan_is_not_sent(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="JSON"):
        ask(sandbox, lambda api: api.post_once("data_units/", [{"meta": {"x": float("nan")}}]))


def test_retry_after_is_honoured_and_bounded() -> None:
    assert backoff(0, 7) == 7
    assert backoff(0, 9999) == 60
    assert all(0 < backoff(attempt) <= 15 for attempt in range(20))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"detail": "no"}, "no"),
        (["a", "b"], '["a", "b"]'),
        ([{"files": ["wrong"]}], '[{"files": ["wrong"]}]'),
        ("x" * 1000, "x" * 297 + "..."),
    ],
)
def test_error_bodies_of_every_shape(body: Any, text: str) -> None:
    assert detail_of(body) == text


def test_ca_bundle_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(OutOfReach) as caught:
        tls_context()
    assert caught.value.code == "bad-ca-bundle"


def test_proxy_is_respected(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy that is not there, nothing reaches the backend."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(OutOfReach):
        ask(sandbox, lambda api: api.get("agents/"), patience=0.1)
    monkeypatch.undo()
    assert sandbox.requests("agents.list") == 0


def test_backend_reads(sandbox: Sandbox) -> None:
    with Backend(who(sandbox)) as backend:
        assert [agent["id"] for agent in backend.check()] == [7]
        assert backend.default_storage()["id"] == 11
        assert "configuration" not in backend.default_storage()
        assert [row["name"] for row in backend.collections()] == ["CT scans"]
        assert list(backend.collections("nothing like it")) == []
        collection = backend.collection(COLLECTION)
        assert {spec.name: spec.extensions for spec in collection.specs} == {
            "image_1": (".png", ".jpg"),
            "label_1": (".json",),
            "scan_1": (".dcm",),
        }
        with pytest.raises(FindingError) as caught:
            backend.collection(999)
        assert caught.value.code == "no-collection"
        with pytest.raises(FindingError):
            backend.project(999)


@pytest.mark.parametrize("specs", [None, [], [1, 2], [{"file_type": "image"}]])
def test_specs_that_cannot_be_read(specs: Any) -> None:
    with pytest.raises(FindingError) as caught:
        parse_collection({"id": 1, "name": "x", "file_specifications": specs})
    assert caught.value.code == "no-specs"


@pytest.mark.parametrize("meta", [None, {}, {"data_unit_meta_schema": None}, "text"])
def test_meta_may_be_anything(meta: Any) -> None:
    row = {"id": 1, "name": "x", "meta": meta, "file_specifications": [{"name": "a", "extensions": [" PNG", ".jpg"]}]}
    collection = parse_collection(row)
    assert collection.meta_schema is None
    assert collection.specs[0].extensions == (".png", ".jpg")
