"""A sandbox as a subprocess for tests: started, asked, broken, killed and started again.

`sandbox` is one with the default seed below; `sandbox_factory` starts any number. All are stopped by pid at teardown.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

# Loaded before any child is forked: most of the time that a start takes.
import synapse_sandbox.server  # noqa: F401
from forked import Forked

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "sandbox.py"

COLLECTION = 57
PROJECT = 3
AGENT = 7
STORAGE = 11

# The smallest real picture: one pixel.
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x56\xc7\x2f\x0d\x00\x00\x00\x00IEND\xaeB`\x82"
)

SEED: dict[str, Any] = {
    "tenant": "acme",
    "collections": [
        {
            "id": COLLECTION,
            "name": "CT scans",
            "meta": None,
            "file_specifications": [
                {
                    "id": 1,
                    "name": "image_1",
                    "file_type": "image",
                    "extensions": [".png", ".jpg"],
                    "is_required": True,
                    "is_primary": True,
                },
                {"id": 2, "name": "label_1", "file_type": "data", "extensions": ["json"], "is_required": True},
                {"id": 3, "name": "scan_1", "file_type": "data", "extensions": [".dcm"], "is_required": False},
            ],
        }
    ],
    "storages": [
        {
            "id": STORAGE,
            "name": "Main storage",
            "category": "internal",
            "provider": "amazon_s3",
            "is_default": True,
            "configuration": {"bucket_name": "main"},
        }
    ],
    "projects": [{"id": PROJECT, "title": "CT labelling"}],
    "agents": [{"id": AGENT, "name": "Agent seven"}],
}


def seed_with(**changes: Any) -> dict[str, Any]:
    """The default seed with top-level keys replaced."""
    return {**json.loads(json.dumps(SEED)), **changes}


class Sandbox:
    """A sandbox that runs in a process of its own.

    Attributes:
        host: where it answers; the same after `restart`.
        token: the access token of its state.
        pid: of the running process.
        state: its state folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.host = ""
        self.token = ""
        self._arguments: list[str] = []
        self._process: Forked | None = None

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        seed: Mapping[str, Any] | None = SEED,
        faults: Mapping[str, Any] | list[Any] | None = None,
        latency_ms: float = 0,
    ) -> Sandbox:
        """Start one whose state and files lie in a folder.

        Args:
            folder: made if it isn't there; one sandbox a folder.
            seed: the seed document; None for the sandbox's own.
            faults: a faults document, or just its list of rules.
            latency_ms: how long every request waits.
        """
        folder.mkdir(parents=True, exist_ok=True)
        box = cls(folder)
        if seed is not None:
            (folder / "seed.json").write_text(json.dumps(seed))
            box._arguments += ["--seed", str(folder / "seed.json")]
        if faults is not None:
            (folder / "faults.json").write_text(json.dumps(_document(faults)))
            box._arguments += ["--faults", str(folder / "faults.json")]
        if latency_ms:
            box._arguments += ["--latency-ms", str(latency_ms)]
        box._launch(port=0)
        return box

    def _launch(self, port: int) -> None:
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        flags = ["serve", "--state", str(self.state), "--port", str(port), "--ready-file", str(ready)]
        with (self.folder / "log.txt").open("ab") as log:
            self._process = Forked(SCRIPT, [*flags, *self._arguments], os.environ.copy(), Path.cwd(), log=log)
        deadline = time.monotonic() + 30
        while not ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the sandbox did not start:\n{self.log()}")
            time.sleep(0.01)
        about = json.loads(ready.read_text())
        self.host, self.token = about["host"], about["token"]

    @property
    def pid(self) -> int:
        """The process that serves."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it still does."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """All that it printed so far."""
        return (self.folder / "log.txt").read_text(errors="replace")

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL, and wait; the exit code."""
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout=15)
        except TimeoutError:
            self._process.kill()
            self._process.wait()
            raise

    def restart(self, *, kill: bool = False) -> None:
        """Stop (or kill) it and start it again on the same state and port, with its first seed and faults."""
        if self.running:
            self.kill() if kill else self.stop()
        self._launch(port=int(self.host.rpartition(":")[2]))

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 30
    ) -> tuple[int, Any]:
        """One request with the token, without any retry.

        Args:
            method: of HTTP.
            path: below the host, or an absolute URL.
            body: bytes as they are, anything else as JSON.
            headers: more of them, or others; with headers that say `Synapse-Access-Token: ""` none is sent.
            timeout: in seconds.

        Returns:
            The status and the body: parsed if it is JSON, text otherwise.

        Raises:
            OSError: the connection was refused or reset, http.client.HTTPException: or broken off.
        """
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        url = path if path.startswith("http") else self.host + path
        sent = {"Synapse-Access-Token": f"Token {self.token}"}
        if data is not None and not isinstance(body, bytes):
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        request = urllib.request.Request(url, data, {k: v for k, v in sent.items() if v}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return response.status, _parsed(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _parsed(error)

    def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        status, body = self.request("GET", path)
        assert status == 200, (status, body)
        return body

    def post(self, path: str, body: Any) -> Any:
        """The JSON of a POST that must succeed."""
        status, answer = self.request("POST", path, body)
        assert status in (200, 201), (status, answer)
        return answer

    def units(self, collection: int | None = COLLECTION) -> list[dict[str, Any]]:
        """Data units as they were sent, whatever the settings echo: id, data_collection, files, meta, groups."""
        return list(self.get("/_sandbox/units" + (f"?data_collection={collection}" if collection else "")))

    def tasks(self, project: int | None = PROJECT) -> list[dict[str, Any]]:
        """Tasks: id, project, data_unit."""
        return list(self.get("/_sandbox/tasks" + (f"?project={project}" if project else "")))

    def files(self) -> list[dict[str, Any]]:
        """Data files: id, filename, content_type, size, sha1, md5, key."""
        return list(self.get("/_sandbox/files")["data_files"])

    def label(self, *rows: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Label: rows as `synapse_sandbox.labels` describes them; the ids of each: id, task, data_unit."""
        return list(self.post("/_sandbox/label", {"records": list(rows)})["assignments"])

    def edit(self, *rows: Mapping[str, Any]) -> None:
        """Change records, or delete them: `{"target", "id" or "pgh_id", "data", "delete": True, ...}`."""
        self.post("/_sandbox/edit", {"records": list(rows)})

    def ground_truth(self, **row: Any) -> dict[str, Any]:
        """Make a dataset with a version: name, project, version, category, records or from_project."""
        return dict(self.post("/_sandbox/ground_truth", row))

    def records(self, target: str = "assignment", scope: int | None = None) -> list[dict[str, Any]]:
        """What is held: all of a target, or of one project (of one version for ground truths)."""
        word = "version" if target == "ground_truth" else "project"
        return list(self.get(f"/_sandbox/records?target={target}" + (f"&{word}={scope}" if scope else "")))

    def stats(self) -> dict[str, Any]:
        """requests and statuses by route, most_in_flight, late."""
        return dict(self.get("/_sandbox/stats"))

    def requests(self, route: str) -> int:
        """How many requests a route has had."""
        return int(self.stats()["requests"].get(route, 0))

    def reset_stats(self) -> None:
        """Count from nought."""
        self.request("DELETE", "/_sandbox/stats")

    def set_faults(self, *rules: Mapping[str, Any], seed: int = 0) -> None:
        """Put these rules in the place of all; none: everything goes well again."""
        self.post("/_sandbox/faults", {"seed": seed, "faults": list(rules)})

    def faults(self) -> list[dict[str, Any]]:
        """The rules in force with `seen` and `fired`."""
        return list(self.get("/_sandbox/faults")["faults"])

    def set(self, **settings: Any) -> None:
        """Change settings; they stay changed over a restart."""
        self.post("/_sandbox/settings", settings)

    def settings(self) -> dict[str, Any]:
        """The settings in force."""
        return dict(self.get("/_sandbox/settings"))

    def wait_late(self, timeout: float = 30) -> None:
        """Wait until no late commit is to come."""
        deadline = time.monotonic() + timeout
        while self.stats()["late"]:
            assert time.monotonic() < deadline, "late commits did not arrive"
            time.sleep(0.02)

    def put_file(self, name: str, content: bytes) -> str:
        """Bring one file in by presign, PUT and confirm; its SHA-1."""
        sha1 = hashlib.sha1(content).hexdigest()
        link = self.post("/data_files/presigned_upload/upload/", {"files": [{"filename": name, "size": len(content)}]})[
            "files"
        ][0]
        status, text = self.request("PUT", link["presigned_url"], content, {"Synapse-Access-Token": ""})
        assert status == 200, text
        entry = {"file_key": link["file_key"], "checksum": sha1, "size": len(content)}
        row = self.post("/data_files/presigned_upload/confirm_upload/", {"files": [entry]})["results"][0]
        assert row["success"], row
        return sha1

    def env(self, home: Path, **more: str) -> dict[str, str]:
        """An environment for a subprocess that is logged in here and has another home."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SYNAPSE_", "RAY_"))}
        home.mkdir(parents=True, exist_ok=True)
        return {**kept, "HOME": str(home), "SYNAPSE_HOST": self.host, "SYNAPSE_ACCESS_TOKEN": self.token, **more}

    def login(self, home: Path, *, token: str | None = None) -> Path:
        """Write `.synapse/config.json` into a home, as `synapse login` does."""
        config = home / ".synapse" / "config.json"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps({"host": self.host, "access_token": token or self.token}))
        config.chmod(0o600)
        return config


def _document(faults: Mapping[str, Any] | list[Any]) -> Any:
    return {"faults": faults} if isinstance(faults, list) else faults


def _parsed(response: Any) -> Any:
    content = response.read()
    if "json" in (response.headers.get("Content-Type") or ""):
        return json.loads(content)
    return content.decode(errors="replace")


SandboxFactory = Callable[..., Sandbox]


@contextlib.contextmanager
def sandboxes(folder: Path) -> Iterator[SandboxFactory]:
    """A function that starts sandboxes below a folder; at the end all of them are stopped by their pids."""
    started: list[Sandbox] = []

    def start(name: str | None = None, **options: Any) -> Sandbox:
        box = Sandbox.start(folder / (name or f"sandbox-{len(started)}"), **options)
        started.append(box)
        return box

    try:
        yield start
    finally:
        for box in started:
            if box.running:
                box.kill()


@pytest.fixture
def sandbox_factory(tmp_path: Path) -> Iterator[SandboxFactory]:
    """`sandbox_factory(seed=…, faults=…, latency_ms=…)` starts a sandbox; all are stopped after the test."""
    with sandboxes(tmp_path) as start:
        yield start


@pytest.fixture
def sandbox(sandbox_factory: SandboxFactory) -> Sandbox:
    """A sandbox with the default seed: collection 57, project 3, agent 7, default storage 11."""
    return sandbox_factory()
