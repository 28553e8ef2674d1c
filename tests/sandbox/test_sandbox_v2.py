"""The second API, driven by the SDK's own client, unmodified; and our own reading of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from synapse_sdk.clients.backend_v2 import BackendClientV2
from synapse_sdk.exceptions import AuthenticationError, NotFoundError, ValidationError

from sandbox_fixture import Sandbox, sandboxes, seed_with
from synapse_skills.backend import Backend, Login

TITLES = [f"Project {number}" for number in range(1, 8)]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    rows = [{"id": number, "title": title, "data_collection": 57} for number, title in enumerate(TITLES, 1)]
    rows[1] |= {"category": "video", "data_collection": 58}
    rows[6] |= {"is_archived": True}
    with sandboxes(tmp_path_factory.mktemp("many")) as start:
        yield start(seed=seed_with(projects=rows, settings={"page_size": 3, "max_page_size": 3}))


@pytest.fixture
def client(many: Sandbox) -> BackendClientV2:
    return BackendClientV2(many.host, access_token=many.token, allow_insecure=True)


def test_the_list_goes_over_all_pages(client: BackendClientV2, many: Sandbox) -> None:
    many.reset_stats()
    found = list(client.projects.list(list_all=True))
    assert [(row.id, row.title) for row in found] == list(enumerate(TITLES, 1))
    assert many.stats()["requests"]["v2.projects.list"] == 3
    assert found[0].category == "image" and found[1].category_display == "비디오" and found[0].task_count == 0


def test_pages_and_filters(client: BackendClientV2) -> None:
    page = client.projects.list(per_page=2)
    assert [row.id for row in page.results] == [1, 2] and page.next and page.next.startswith("http://127.0.0.1")
    assert [row.id for row in client.projects.list(category="video", list_all=True)] == [2]
    assert [row.id for row in client.projects.list(data_collection=58, list_all=True)] == [2]
    with pytest.raises(ValidationError):
        client.projects.list(cursor="nonsense")


def test_one_project(client: BackendClientV2, many: Sandbox) -> None:
    assert client.projects.retrieve(3).title == "Project 3"
    with pytest.raises(NotFoundError):
        client.projects.retrieve(99)
    with pytest.raises(AuthenticationError):
        BackendClientV2(many.host, access_token="0" * 40, allow_insecure=True).projects.list()


def test_our_own_list_leaves_archived_ones_out(many: Sandbox) -> None:
    for tenant in ({}, {"Synapse-Tenant": "Token acme"}):
        headers = {"Synapse-Access-Token": f"Token {many.token}", **tenant}
        with Backend(Login(many.host, None, "access-token", headers)) as backend:
            assert [row["name"] for row in backend.projects()] == TITLES[:6]
            assert [row["id"] for row in backend.projects("ECT 4")] == [4]


def test_a_cursor_that_is_no_url_is_followed_too(many: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Synapse-Access-Token": f"Token {many.token}"}
    with Backend(Login(many.host, None, "access-token", headers)) as backend:
        real = backend._second.get

        async def bare(path: str, params: dict[str, object] | None = None) -> object:
            page = await real(path, params)
            link = page["meta"]["pagination"]["next_cursor"]
            page["meta"]["pagination"]["next_cursor"] = link and link.partition("cursor=")[2].replace("%3D", "=")
            return page

        monkeypatch.setattr(backend._second, "get", bare)
        assert [row["id"] for row in backend.projects()] == [1, 2, 3, 4, 5, 6]
