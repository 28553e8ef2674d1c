"""`check_environment`: every way in which a machine isn't fit is told apart, and no token is ever shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import check_environment
from bootstrap.mini import ROOT, executable
from synapse_skills import environment as env
from synapse_skills.errors import OutOfReach

TOKEN = "secret-token-0001"
AGENTS = json.dumps({"count": 1, "next": None, "previous": None, "results": [{"id": 7, "name": "local"}]})
LOGIN_VARIABLES = (
    "SYNAPSE_HOST", "SYNAPSE_ACCESS_TOKEN", "SYNAPSE_PLUGIN_RUN_USER_TOKEN", "SYNAPSE_PLUGIN_RUN_TENANT",
    "SYNAPSE_PLUGIN_RUN_URL_HOST",
)  # fmt: skip


class Server:
    """A host that gives one answer to everything and remembers the headers that it was sent."""

    def __init__(self) -> None:
        self.status, self.body, self.location = 200, AGENTS, ""
        self.seen: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append((self.path, dict(self.headers)))
                self.send_response(outer.status)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.end_headers()
                self.wfile.write(outer.body.encode())

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.host = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, without anybody's login or SDK."""
    for name in (*LOGIN_VARIABLES, "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "*")
    (tmp_path / "home" / ".synapse").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configure(config: object, mode: int = 0o600) -> Path:
    path = Path(env.config_path())
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    path.chmod(mode)
    return path


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, env.Check], bool]:
    code = check_environment.main([*arguments, "--json"])
    out = capsys.readouterr().out
    assert TOKEN not in out
    document = json.loads(out)
    assert set(document) == {"checks", "ok"}
    return code, {row["name"]: env.Check(**row) for row in document["checks"]}, document["ok"]


def fake_sdk(prefix: Path, version: str) -> Path:
    """An environment as far as looking at it goes."""
    (prefix / "lib" / "python3.12" / "site-packages" / f"synapse_sdk-{version}.dist-info").mkdir(parents=True)
    return executable(prefix / "bin" / "synapse", "exit 1")


# --- login and backend -----------------------------------------------------------------------------------------------


def test_a_good_login(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    configure({"host": server.host + "/", "access_token": TOKEN})
    _, checks, _ = checked(capsys)
    for name in ("config file", "login", "backend"):
        assert checks[name].status == env.OK, checks[name]
    ((path, headers),) = server.seen
    assert path == "/agents/"
    assert headers["Synapse-Access-Token"] == f"Token {TOKEN}"


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, '{"detail": "Invalid token."}', "refuses the login (401)"),
        (403, "{}", "refuses the login (403)"),
        (429, "slow down", "overloaded or down"),
        (500, "<html>", "answers 500: it is overloaded or down"),
        (503, "", "answers 503"),
        (404, "<html>not found</html>", "answers 404 with a page: this is not a Synapse backend"),
        (200, "<!doctype html><html>Sign in to the hotel's network</html>", "200 with a page"),
        (200, '{"status": "fine"}', "200 with another kind of JSON"),
        (200, '"text"', "200 with another kind of JSON"),
    ],
)
def test_answers_are_told_apart(
    server: Server, capsys: pytest.CaptureFixture[str], status: int, body: str, told: str
) -> None:
    configure({"host": server.host, "access_token": TOKEN})
    server.status, server.body = status, body
    code, checks, fine = checked(capsys)
    assert (code, fine) == (3, False)
    assert checks["backend"].status == env.ERROR
    assert told in checks["backend"].detail
    assert checks["backend"].fix


def test_a_redirect_is_told_and_never_carries_the_token(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    other = Server()
    try:
        server.status, server.location = 302, f"{other.host}/login?next=secret"
        configure({"host": server.host, "access_token": TOKEN})
        _, checks, _ = checked(capsys)
        assert f"redirects to {other.host}/login" in checks["backend"].detail
        assert "secret" not in checks["backend"].detail
        assert other.seen == []
    finally:
        other.close()


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    configure({"host": "http://127.0.0.1:9", "access_token": TOKEN})
    code, checks, _ = checked(capsys)
    assert code == 3
    assert "can't be reached: Connection refused" in checks["backend"].detail


def test_a_token_that_cannot_be_sent_is_not_quoted(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    configure({"host": server.host, "access_token": TOKEN + "\nX-Other: 1"})
    _, checks, _ = checked(capsys)
    assert "can't be sent" in checks["backend"].detail


def test_no_login(capsys: pytest.CaptureFixture[str]) -> None:
    code, checks, _ = checked(capsys)
    assert code == 3
    assert (checks["login"].status, checks["backend"].status) == (env.ERROR, env.ERROR)
    assert "synapse login" in checks["login"].fix
    assert "not asked" in checks["backend"].detail


@pytest.mark.parametrize(("config", "told"), [("{'host': 1}", "not valid JSON"), ("[]", "no JSON object")])
def test_bad_config(capsys: pytest.CaptureFixture[str], config: str, told: str) -> None:
    configure(config)
    code, checks, _ = checked(capsys)
    assert code == 3
    assert checks["config file"].status == env.ERROR
    assert told in checks["config file"].detail


def test_bad_config_is_a_warning_where_the_environment_is_enough(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("{")
    monkeypatch.setenv("SYNAPSE_HOST", server.host)
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", TOKEN)
    _, checks, _ = checked(capsys)
    assert checks["config file"].status == env.WARNING
    assert checks["backend"].status == env.OK


def test_config_that_others_can_read(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    path = configure({"host": server.host, "access_token": TOKEN}, mode=0o644)
    _, checks, _ = checked(capsys)
    assert checks["config file"].status == env.WARNING
    assert "mode 0644" in checks["config file"].detail
    assert checks["config file"].fix == f"chmod 600 {path}"


@pytest.mark.parametrize("host", ["api.synapse.sh", "ftp://host", "https://me:pw@host", "http://[bad"])
def test_bad_host(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str) -> None:
    monkeypatch.setenv("SYNAPSE_HOST", host)
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", TOKEN)
    _, checks, _ = checked(capsys)
    assert checks["login"].status == env.ERROR
    assert "pw" not in checks["login"].detail


LOGINS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {}),
    ({}, {"access_token": "file-token"}),
    ({}, {"host": "http://file.example/", "access_token": "file-token", "tenant": "acme"}),
    ({}, {"user_token": "file-user", "tenant": "acme"}),
    ({}, {"access_token": "file-token", "user_token": "file-user", "tenant": "acme"}),
    ({"SYNAPSE_ACCESS_TOKEN": "env-token"}, {"host": "https://file.example", "access_token": "file-token"}),
    ({"SYNAPSE_HOST": "http://env.example"}, {"host": "https://file.example", "access_token": "file-token"}),
    ({"SYNAPSE_PLUGIN_RUN_USER_TOKEN": "env-user", "SYNAPSE_PLUGIN_RUN_TENANT": "t"}, {"access_token": "file-token"}),
    ({"SYNAPSE_PLUGIN_RUN_USER_TOKEN": "env-user"}, {"access_token": "file-token", "tenant": "acme"}),
    ({"SYNAPSE_ACCESS_TOKEN": "env-token", "SYNAPSE_PLUGIN_RUN_TENANT": "t"}, {}),
    ({"SYNAPSE_PLUGIN_RUN_TENANT": "t"}, {"user_token": "file-user", "tenant": "acme"}),
    ({"SYNAPSE_ACCESS_TOKEN": "env-token", "SYNAPSE_PLUGIN_RUN_URL_HOST": "inside"}, {}),
    ({"SYNAPSE_HOST": "not an address", "SYNAPSE_ACCESS_TOKEN": "env-token"}, {}),
]


@pytest.mark.parametrize(("variables", "config"), LOGINS)
def test_the_login_is_the_one_that_the_library_uses(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], config: dict[str, str]
) -> None:
    """The rules exist twice, because a bare Python can't import the SDK: this holds them together."""
    import synapse_sdk.utils.auth as auth

    from synapse_skills.backend.login import login

    path = configure(config)
    monkeypatch.setattr(auth, "CONFIG_FILE", path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found, check = env.resolve_login(os.environ, env.read_config(str(path))[0])
    try:
        expected = login()
    except OutOfReach as error:
        assert found is None, error
        assert check.status == env.ERROR
        return
    assert found is not None
    assert (found.host, found.kind, found.tenant, found.headers, found.params) == (
        expected.host, expected.kind, expected.tenant, expected.headers, expected.params,
    )  # fmt: skip


# --- the SDK ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packaging", [True, False])
def test_versions_compare(monkeypatch: pytest.MonkeyPatch, packaging: bool) -> None:
    if not packaging:
        monkeypatch.setitem(sys.modules, "packaging.version", None)
    ordered = ["2025.12.9", "2026.1.1b5", "2026.1.39", "2026.1.182", "2026.2.0", "2026.2.16rc1", "2026.2.16", "2026.10"]
    keys = [env.version_key(version) for version in ordered]
    assert all(key is not None for key in keys)
    assert sorted(keys) == keys
    assert env.version_key("1.0") == env.version_key("1.0.0")
    assert env.version_key("unknown") is None


def test_order_of_looking(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_sdk(machine / "shell", "2026.2.1")
    fake_sdk(machine / "active", "2026.2.2")
    fake_sdk(machine / ".venv", "2026.2.3")
    fake_sdk(machine / "my-venv-2", "2026.2.4")
    ours = machine / "ours"
    fake_sdk(ours, "2026.2.5")
    monkeypatch.setenv("PATH", f"{machine}/nowhere:{machine}/shell/bin:/usr/bin")
    monkeypatch.setenv("VIRTUAL_ENV", str(machine / "active"))
    found = env.find_sdks([str(ours)])
    assert [version for _, version in found] == ["2026.2.1", "2026.2.2", "2026.2.3", "2026.2.4", "2026.2.5"]
    assert [where.split(":")[0] for where, _ in found] == ["shell", "VIRTUAL_ENV", ".venv", "my-venv-2", "ours"]


def test_one_place_is_named_once(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_sdk(machine / ".venv", "2026.2.17")
    monkeypatch.setenv("PATH", f"{machine}/.venv/bin")
    monkeypatch.setenv("VIRTUAL_ENV", str(machine / ".venv"))
    assert len(env.find_sdks([])) == 1


def test_sdk_verdicts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.check_sdk("2026.2.16", []).status == env.ERROR
    fake_sdk(machine / "old", "2026.1.182")
    monkeypatch.setenv("PATH", f"{machine}/old/bin")
    old = env.check_sdk("2026.2.16", [])
    assert (old.status, "2026.1.182" in old.detail, "2026.2.16" in old.detail) == (env.ERROR, True, True)
    fake_sdk(machine / "ours", "2026.2.16")
    both = env.check_sdk("2026.2.16", [str(machine / "ours")])
    assert both.status == env.WARNING
    assert "2026.1.182 (shell: " in both.detail
    monkeypatch.setenv("PATH", "/usr/bin")
    assert env.check_sdk("2026.2.16", [str(machine / "ours")]).status == env.OK


def test_another_program_called_synapse(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(machine / "desktop" / "synapse", "echo synapse 0.2.99")
    monkeypatch.setenv("PATH", f"{machine}/desktop:/usr/bin:/bin")
    assert env.find_sdks([])[0][1] is None
    assert "no synapse-sdk (shell" in env.check_sdk("2026.2.16", []).detail


def test_a_shim_is_asked_but_a_folders_program_is_never_run(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(machine / "shims" / "synapse", "echo synapse-sdk 2026.2.17")
    executable(machine / "venv" / "bin" / "synapse", f"touch {machine}/ran; echo synapse-sdk 2026.2.17")
    monkeypatch.setenv("PATH", f"{machine}/shims:/usr/bin:/bin")
    assert [version for _, version in env.find_sdks([])] == ["2026.2.17", None]
    assert not (machine / "ran").exists()


# --- submit ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "status", "told"),
    [
        (None, env.ERROR, "no agent"),
        ({"name": "x"}, env.ERROR, "no agent"),
        ({"id": 7, "name": "x"}, env.ERROR, "no address"),
        ({"id": 7, "url": "http://[::1"}, env.ERROR, "no address"),
        ({"id": 8, "url": "http://10.0.0.1:8000"}, env.WARNING, "not among the backend's 1 agents"),
        ({"id": "7", "name": "x", "url": "http://10.0.0.1:8000"}, env.OK, "x (7) at 10.0.0.1"),
    ],
)
def test_agent(agent: object, status: str, told: str) -> None:
    _, check = env.check_agent({"agent": agent} if agent else {}, [{"id": 7}])
    assert check.status == status
    assert told in check.detail


def test_dashboard(server: Server) -> None:
    server.body = json.dumps({"version": "4", "ray_version": "2.60.0"})
    assert env.check_dashboard("127.0.0.1", server.port) == env.Check(
        "dashboard", env.OK, f"{server.host} runs Ray 2.60.0"
    )
    assert server.seen[0][0] == "/api/version"
    server.status = 401
    assert env.check_dashboard("127.0.0.1", server.port).status == env.WARNING
    server.status, server.body = 200, "<html>"
    assert "not Ray's dashboard" in env.check_dashboard("127.0.0.1", server.port).detail
    assert "Connection refused" in env.check_dashboard("127.0.0.1", 9).detail


def test_ray(machine: Path) -> None:
    assert env.check_ray([]).status == env.WARNING or env.installed_version(sys.prefix, "ray")
    (machine / "e" / "lib" / "python3.12" / "site-packages" / "ray-2.60.0.dist-info").mkdir(parents=True)
    assert env.check_ray([str(machine / "e")]) == env.Check("ray", env.OK, "2.60.0")


def test_submit_asks_for_more(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    agent = {"id": 7, "name": "local", "url": "http://127.0.0.2:8000"}
    configure({"host": server.host, "access_token": TOKEN, "agent": agent})
    _, checks, _ = checked(capsys, "--for", "submit")
    assert checks["agent"].status == env.OK
    assert "http://127.0.0.2:8265" in checks["dashboard"].detail
    assert "ray" in checks
    assert not {"agent", "dashboard", "ray"} & set(checked(capsys, "--for", "upload")[1])


# --- as a program ----------------------------------------------------------------------------------------------------


def test_on_a_bare_old_python(server: Server, machine: Path, pythons: dict[str, Path]) -> None:
    old = {version: path for version, path in pythons.items() if version.startswith("3.")}
    if not old:
        pytest.skip("no other Python 3 on this machine")
    version, python = next(iter(old.items()))
    configure({"host": server.host, "access_token": TOKEN})
    result = subprocess.run(
        [str(python), "-S", str(ROOT / "scripts" / "check_environment.py")],
        env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert result.returncode == 3, f"{version}: {result.stderr}"
    assert "error    synapse-sdk  at least 20" in result.stdout
    assert f"ok       backend      {server.host} accepts the login" in result.stdout
    assert TOKEN not in result.stdout + result.stderr


def test_people_get_a_table(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    configure({"host": server.host, "access_token": TOKEN}, mode=0o644)
    check_environment.main([])
    shown = capsys.readouterr().out
    assert "config file" in shown
    assert "-> chmod 600" in shown
    assert TOKEN not in shown


def test_exit_codes(server: Server, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure({"host": server.host, "access_token": TOKEN})
    assert check_environment.main([]) == 3, "there is no SDK"
    fake_sdk(machine / ".venv", "2099.1.0")
    assert check_environment.main([]) == 0
    with pytest.raises(SystemExit) as usage:
        check_environment.main(["--for", "dinner"])
    assert usage.value.code == 2


def test_run_falls_back_to_the_bare_check_where_nothing_can_be_installed(bare: Any) -> None:
    script = (ROOT / "scripts" / "check_environment.py").read_text()
    (bare.plugin / "scripts" / "check_environment.py").write_text(script)
    (bare.plugin / "scripts" / "synapse_skills").mkdir()
    for name in ("__init__.py", "environment.py"):
        text = (ROOT / "scripts" / "synapse_skills" / name).read_text()
        (bare.plugin / "scripts" / "synapse_skills" / name).write_text(text)
    (bare.plugin / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (bare.plugin / "requirements-ray.lock").write_text("")
    result = bare.without_pythons("check_environment", "--json")
    assert result.returncode == 3
    names = [row["name"] for row in json.loads(result.stdout)["checks"]]
    assert names == ["python", "packages", "synapse-sdk", "config file", "login", "backend"]
    assert "3.12" in result.stderr
