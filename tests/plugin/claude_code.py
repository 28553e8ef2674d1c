"""The real Claude Code binary, and a stand-in for its model that plays a script: no login, nothing leaves the machine.

The stand-in speaks the Messages API as far as the binary asks for it. It measures no judgement; it shows what the
harness makes of a skill: what it expands, and which commands it runs without asking.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from launcher.environments import cache_folder

ROOT = Path(__file__).resolve().parents[2]
# One version, so that a new one can't turn the tests red overnight.
VERSION = "2.1.330"

Step = dict[str, Any] | Callable[[list[str]], dict[str, Any]]
"""A tool call, or a function that makes one of the results so far."""


@pytest.fixture(scope="session")
def claude() -> Path:
    """The binary, kept in the cache; skipped where it can't be had."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm on this machine, so no Claude Code to try the plugin in")
    folder = cache_folder() / f"claude-code-{VERSION}"
    binary = folder / "node_modules" / ".bin" / "claude"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund"]
        installed = subprocess.run(
            [*command, f"@anthropic-ai/claude-code@{VERSION}"], capture_output=True, text=True, check=False, timeout=600
        )
        if installed.returncode != 0:
            pytest.skip(f"Claude Code {VERSION} can't be installed: {installed.stderr.strip()[-300:]}")
    return binary


def bash(command: str) -> dict[str, Any]:
    """A call of the Bash tool."""
    return {"name": "Bash", "input": {"command": command, "description": "as the skill says"}}


@dataclass
class StandIn:
    """Answers every request of the binary: the next step of the script, then that it is done.

    Attributes:
        steps: of the script.
        requests: bodies that held a conversation with tools.
    """

    steps: Sequence[Step] = ()
    requests: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0

    def results(self) -> list[str]:
        """What the tools have answered, in order."""
        return self._results(self.requests[-1]) if self.requests else []

    def said(self) -> str:
        """All texts of the user's side in the first request: what was expanded."""
        texts = []
        for message in self.requests[0]["messages"]:
            content = message["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            texts += [part["text"] for part in parts if part["type"] == "text"]
        return "\n".join(texts)

    @staticmethod
    def _results(body: dict[str, Any]) -> list[str]:
        found = []
        for message in body["messages"]:
            for part in message["content"] if isinstance(message["content"], list) else []:
                if part.get("type") == "tool_result":
                    content = part["content"]
                    found.append(content if isinstance(content, str) else "".join(c.get("text", "") for c in content))
        return found

    def answer(self, body: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        """Content and stop reason."""
        if not body.get("tools"):
            return [{"type": "text", "text": "A title"}], "end_turn"
        self.requests.append(body)
        results = self._results(body)
        if len(results) >= len(self.steps):
            return [{"type": "text", "text": "Done."}], "end_turn"
        step = self.steps[len(results)]
        call = step(results) if callable(step) else step
        return [{"type": "tool_use", "id": f"toolu_{len(results)}", **call}], "tool_use"


def _events(content: list[dict[str, Any]], stop: str, model: str) -> Iterator[dict[str, Any]]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}
    yield {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None}}
    for index, part in enumerate(content):
        if part["type"] == "text":
            start, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": part["text"]}
        else:
            start = {**part, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(part["input"])}
        yield {"type": "content_block_start", "index": index, "content_block": start}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage}
    yield {"type": "message_stop"}


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """A model on a free port of the loopback."""
    model = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            if self.path.startswith("/v1/messages/count_tokens"):
                self._send(json.dumps({"input_tokens": 1}).encode(), "application/json")
                return
            content, stop = model.answer(body)
            events = _events(content, stop, str(body.get("model")))
            if body.get("stream"):
                lines = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
                self._send("".join(lines).encode(), "text/event-stream")
                return
            whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": body.get("model")}
            usage = {"input_tokens": 1, "output_tokens": 1}
            whole |= {"content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage}
            self._send(json.dumps(whole).encode(), "application/json")

        def do_GET(self) -> None:
            self._send(b"{}", "application/json", 404)

        do_HEAD = do_GET

        def _send(self, content: bytes, kind: str, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    model.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield model
    server.shutdown()
    server.server_close()


def environment(home: Path, model: StandIn | None = None, **more: str) -> dict[str, str]:
    """Of a machine on which nobody is logged in to anything; the cache is the one of this machine."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CACHE_HOME": str(cache_folder().parent),
        "CLAUDE_CONFIG_DIR": str(home / "config"),
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        **more,
    }
    if model is not None:
        env |= {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{model.port}", "ANTHROPIC_API_KEY": "nobody's"}
    return env


def command(
    claude: Path, *words: str, env: dict[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the binary to its end."""
    return subprocess.run(
        [str(claude), *words],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )


def talk(
    claude: Path, model: StandIn, prompt: str, steps: Sequence[Step], env: dict[str, str], cwd: Path, *more: str
) -> tuple[list[str], list[str]]:
    """One turn of a conversation with the plugin; the answers of the tools, and the commands that would need a word."""
    model.steps, model.requests = steps, []
    done = command(claude, "-p", prompt, "--output-format", "json", *more, env=env, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["result"] == "Done.", told
    denied = [row["tool_input"].get("command", row["tool_name"]) for row in told["permission_denials"]]
    return model.results(), denied
