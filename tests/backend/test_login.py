"""Login as the SDK resolves it, and nothing of it in any text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synapse_skills.backend import login
from synapse_skills.errors import OutOfReach, redact

VARIABLES = (
    "SYNAPSE_HOST",
    "SYNAPSE_ACCESS_TOKEN",
    "SYNAPSE_PLUGIN_RUN_USER_TOKEN",
    "SYNAPSE_PLUGIN_RUN_TENANT",
    "SYNAPSE_PLUGIN_RUN_URL_HOST",
)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import synapse_sdk.utils.auth as auth

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config.json"
    monkeypatch.setattr(auth, "CONFIG_FILE", path)
    return path


def test_nothing_configured() -> None:
    with pytest.raises(OutOfReach) as caught:
        login()
    assert caught.value.code == "no-login"
    assert caught.value.exit_code == 3


def test_broken_config_counts_as_none(config: Path) -> None:
    config.write_text("{not json")
    with pytest.raises(OutOfReach, match="No Synapse login"):
        login()


def test_access_token_from_the_file(config: Path) -> None:
    config.write_text(json.dumps({"host": "https://synapse.test/", "access_token": "tok-from-file"}))
    found = login()
    assert found.host == "https://synapse.test"
    assert found.headers == {"Synapse-Access-Token": "Token tok-from-file"}
    assert found.kind == "access-token"


def test_environment_wins_field_by_field(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(json.dumps({"host": "https://file.test", "access_token": "tok-from-file"}))
    monkeypatch.setenv("SYNAPSE_HOST", "https://env.test")
    assert login().host == "https://env.test"
    assert login().headers["Synapse-Access-Token"] == "Token tok-from-file"


def test_user_token_of_a_plugin_run_comes_first(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(json.dumps({"host": "https://file.test", "access_token": "tok-from-file"}))
    monkeypatch.setenv("SYNAPSE_PLUGIN_RUN_USER_TOKEN", "user-token-1")
    monkeypatch.setenv("SYNAPSE_PLUGIN_RUN_TENANT", "acme")
    found = login()
    assert found.headers == {"Authorization": "Token user-token-1", "Synapse-Tenant": "Token acme"}
    assert found.tenant == "acme"


def test_user_token_in_the_file(config: Path) -> None:
    config.write_text(json.dumps({"host": "https://file.test", "user_token": "user-token-2", "tenant": "acme"}))
    assert login().headers == {"Authorization": "Token user-token-2", "Synapse-Tenant": "Token acme"}


def test_url_host_goes_with_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", "tok-0001")
    monkeypatch.setenv("SYNAPSE_PLUGIN_RUN_URL_HOST", "internal")
    assert login().params == {"url_host": "internal"}


@pytest.mark.parametrize("host", ["ftp://x", "synapse.test", "https://user:secret@x", "https://x/?token=1", "https://"])
def test_host_that_cannot_be(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", "tok-0001")
    monkeypatch.setenv("SYNAPSE_HOST", host)
    with pytest.raises(OutOfReach) as caught:
        login()
    assert caught.value.code == "bad-host"
    assert "secret" not in str(caught.value)


def test_tokens_are_redacted_and_not_in_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", "very-secret-token")
    found = login()
    assert "very-secret-token" not in repr(found)
    assert redact("sent very-secret-token to them") == "sent *** to them"
