"""Headless Chromium for tests, spoken to through the DevTools protocol: no page has a script to measure it with."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
START_S = 60.0
HEIGHT = 900

# What sticks out of a window of this width.
_TOO_WIDE = """
((wide) => {
  const found = [];
  for (const each of document.querySelectorAll('body *')) {
    const box = each.getBoundingClientRect();
    if (box.width && (box.right > wide + 1 || box.left < -1)) {
      found.push(`${each.tagName}.${each.getAttribute('class')}: ${box.left} to ${box.right}`);
    }
  }
  return [document.documentElement.scrollWidth, found.slice(0, 5)];
})
"""


def find_chromium() -> str | None:
    """The first browser of its kind on PATH."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Tab:
    """One page in the browser.

    Attributes:
        complaints: what the browser had to say about it.
        asked: every address that it asked for, its own among them.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.width = 0
        self.complaints: list[str] = []
        self.asked: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; what the page complains about meanwhile is kept."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            self._note(message)
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return dict(message["result"])

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        if message.get("method") == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            self.asked += [url] if not url.startswith("data:") else []

    def show(self, page: Path, *, width: int, dark: bool) -> None:
        """Open a page as a window of this width shows it."""
        for domain in ("Page", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.width = width
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=HEIGHT, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.absolute().as_uri())
        deadline = time.monotonic() + 30
        while self.value("document.readyState") != "complete":
            assert time.monotonic() < deadline, "the page does not become complete"
            time.sleep(0.05)
        # A picture of the whole page is taken in one go: all of them must have been decoded.
        self.value("Promise.all([...document.images].map(each => each.decode().catch(() => null))).then(() => 1)")

    def value(self, expression: str) -> Any:
        """What an expression comes to in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def too_wide(self) -> list[str]:
        """What sticks out of the window; none if nothing has to be scrolled sideways."""
        # Not `innerWidth`: a phone's window grows with what is in it, and shows all of it smaller.
        wide, found = self.value(f"{_TOO_WIDE.strip()}({self.width})")
        return found or ([f"the page: {wide} of {self.width}"] if wide > self.width else [])

    def picture(self, most: int = 12_000) -> bytes:
        """A PNG of the page from its top on, at most so many pixels high."""
        high = min(int(self.value("document.documentElement.scrollHeight")), most)
        clip = {"x": 0, "y": 0, "width": self.width, "height": high, "scale": 1}
        return base64.b64decode(
            self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        )


class Browser:
    """A browser of our own, listening on the loopback only."""

    def __init__(self, program: str, folder: Path) -> None:
        self._folder = folder
        self._log = (folder / "chromium.log").open("wb")
        command = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-extensions", "--disable-background-networking", "--hide-scrollbars", "--mute-audio",
            "--remote-debugging-address=127.0.0.1", "--remote-debugging-port=0",
            f"--user-data-dir={folder / 'profile'}", "about:blank",
        ]  # fmt: skip
        environment = {**os.environ, "HOME": str(folder)}
        self.process = subprocess.Popen(
            command, stdout=self._log, stderr=self._log, env=environment, start_new_session=True
        )
        self.port = self._port()

    def _port(self) -> int:
        told = self._folder / "profile" / "DevToolsActivePort"
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            lines = told.read_text().splitlines() if told.is_file() else []
            if len(lines) == 2:
                self._path = lines[1]
                return int(lines[0])
            time.sleep(0.05)
        self.kill()
        raise AssertionError((self._folder / "chromium.log").read_text(errors="replace")[-2000:])

    @contextlib.contextmanager
    def tab(self) -> Iterator[Tab]:
        """A new page."""
        with self._connect(self._path) as socket:
            target = Tab(socket).call("Target.createTarget", url="about:blank")["targetId"]
        with self._connect(f"/devtools/page/{target}") as socket:
            yield Tab(socket)

    def _connect(self, path: str) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{self.port}{path}", max_size=None, proxy=None)

    def close(self) -> int:
        """End it as a user would.

        Returns:
            Its exit code.
        """
        with self._connect(self._path) as socket:
            Tab(socket).call("Browser.close")
        code = self.process.wait(timeout=30)
        self._log.close()
        return code

    def kill(self) -> None:
        """End it and its children, if it is still there."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._log.close()
