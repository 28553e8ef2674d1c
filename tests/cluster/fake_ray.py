"""A Ray dashboard for tests: the Jobs REST API as Ray 2.60 answers it, and every odd answer that a network gives."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

VERSION = {"version": "4", "ray_version": "2.60.0", "ray_commit": "abc", "session_name": "session_1"}
PAGE = b"<!DOCTYPE html><html><body><form action='/login'>Sign in [/red]</form></body></html>"


class FakeRay:
    """A dashboard on a free port of 127.0.0.1.

    Attributes:
        jobs: job records as Ray gives them, by submission id.
        logs: what each job has printed.
        odd: how every request is answered instead: `html`, `500`, `404`, `nonsense`, `list`, `hang`, `drip`,
            `redirect`, or None.
        token: Ray's own, if it asks for one.
        asked: method and path of every request.
        slow_stop: how many looks a stopped job still runs.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.odd: str | None = None
        self.token = ""
        self.asked: list[tuple[str, str]] = []
        self.stopping: dict[str, int] = {}
        self.slow_stop = 0
        self.closing = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def job(self, job_id: str = "raysubmit_aaaa1111bbbb2222", status: str = "RUNNING", **more: Any) -> str:
        """Put a job there."""
        now = int(time.time() * 1000)
        record = {
            "type": "SUBMISSION",
            "job_id": None,
            "submission_id": job_id,
            "driver_info": None,
            "status": status,
            "entrypoint": "python3 upload.py",
            "message": "",
            "error_type": None,
            "start_time": now - 65_000,
            "end_time": now if status in ("SUCCEEDED", "FAILED", "STOPPED") else None,
            "metadata": {},
            "runtime_env": {"env_vars": {"SYNAPSE_ACCESS_TOKEN": "tok-in-the-record-1234"}},
            "driver_exit_code": None,
        }
        env = more.pop("env", {})
        record["runtime_env"]["env_vars"] |= env  # type: ignore[index]
        self.jobs[job_id] = {**record, **more}
        return job_id

    def end(self, job_id: str, status: str, log: str | None = None, **more: Any) -> None:
        """Let a job end."""
        self.jobs[job_id] |= {"status": status, "end_time": int(time.time() * 1000), **more}
        if log is not None:
            self.logs[job_id] = log

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer("GET")

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                self._answer("POST", body)

            def _answer(self, method: str, body: bytes = b"") -> None:
                fake.asked.append((method, self.path))
                if fake.odd:
                    return self._odd(fake.odd)
                if fake.token and self.headers.get("Authorization") != f"Bearer {fake.token}":
                    return self._text(401, "Unauthorized: Missing authentication token")
                parts = self.path.strip("/").split("/")
                if parts == ["api", "version"]:
                    return self._json(VERSION)
                if parts == ["api", "jobs"] and method == "POST":
                    asked = json.loads(body)
                    job_id = f"raysubmit_{len(fake.jobs):016d}"
                    fake.job(job_id, "PENDING", runtime_env=asked["runtime_env"], entrypoint=asked["entrypoint"])
                    return self._json({"job_id": job_id, "submission_id": job_id})
                if parts == ["api", "jobs"]:
                    return self._json(
                        [*fake.jobs.values(), {"type": "DRIVER", "job_id": "01000000", "status": "RUNNING"}]
                    )
                job_id = parts[2]
                if job_id not in fake.jobs:
                    return self._text(404, f"Job {job_id} does not exist")
                if parts[3:] == ["logs"]:
                    return self._json({"logs": fake.logs.get(job_id, "")})
                if parts[3:] == ["stop"]:
                    running = fake.jobs[job_id]["status"] in ("PENDING", "RUNNING")
                    if running:
                        fake.stopping[job_id] = fake.slow_stop
                    return self._json({"stopped": running})
                if job_id in fake.stopping:
                    fake.stopping[job_id] -= 1
                    if fake.stopping[job_id] < 0:
                        fake.end(job_id, "STOPPED")
                return self._json(fake.jobs[job_id])

            def _odd(self, how: str) -> None:
                if how == "hang":
                    fake.closing.wait(30)
                elif how == "drip":
                    self.send_response(200)
                    self.send_header("Content-Length", "1000000")
                    self.end_headers()
                    while not fake.closing.wait(0.05):
                        self.wfile.write(b" ")
                        self.wfile.flush()
                elif how == "redirect":
                    self.send_response(302)
                    self.send_header("Location", "http://127.0.0.1:1/login")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif how == "cut":
                    self.send_response(200)
                    self.send_header("Content-Length", "1000")
                    self.end_headers()
                    self.wfile.write(b"{")
                    self.close_connection = True
                elif how == "html":
                    self._send(200, PAGE, "text/html")
                elif how in ("nonsense", "list"):
                    self._text(200, {"nonsense": "no json", "list": "[1, 2]"}[how])
                else:
                    self._send(int(how), PAGE, "text/html")

            def _json(self, document: Any) -> None:
                self._send(200, json.dumps(document).encode(), "application/json")

            def _text(self, status: int, text: str) -> None:
                self._send(status, text.encode(), "text/plain")

            def _send(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError, ValueError):
                    super().handle()

        return Handler
