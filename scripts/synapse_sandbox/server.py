"""Starting, announcing and stopping the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from synapse_sandbox.box import Box
from synapse_sandbox.breakage import Breakage
from synapse_sandbox.errors import SandboxError
from synapse_sandbox.faults import Faults, parse_faults
from synapse_sandbox.front import NAMES, Front
from synapse_sandbox.plain import PlainProtocol
from synapse_sandbox.seed import read_json, read_seed
from synapse_sandbox.store import Store

HOST = "127.0.0.1"
BACKLOG = 2048


@dataclass(frozen=True)
class Options:
    """How to serve.

    Attributes:
        state: the folder that holds everything; made if it isn't there.
        port: 0 takes a free one.
        ready_file: where host, token and pid are written once the port answers; in the state folder if None.
        seed: what the sandbox holds at first.
        faults: what goes wrong from the start.
        latency_ms: how long every request of a route waits before it is looked at.
    """

    state: Path
    port: int = 0
    ready_file: Path | None = None
    seed: Path | None = None
    faults: Path | None = None
    latency_ms: float = 0.0


def serve(options: Options, ready: Callable[[dict[str, Any]], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        options: how.
        ready: called once with what the ready file says, less the token, when the port answers.

    Raises:
        SandboxError: bad seed or faults; state or port can't be had.
    """
    faults = Faults() if options.faults is None else parse_faults(read_json(options.faults, "faults"), NAMES)
    seed = read_seed(options.seed)
    store = Store(options.state)
    try:
        if options.seed is not None or not store.sown():
            store.sow(seed)
        with _listen(options.port) as sock:
            box = Box(store, faults, options.latency_ms / 1000)
            asyncio.run(_serve(box, sock, options.ready_file or options.state / "ready.json", ready))
    finally:
        store.close()


def _listen(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise SandboxError(
            f"port {port} can't be had: {reason}", hint="Leave --port out to take a free one.", environment=True
        ) from None
    return sock


class _Server(uvicorn.Server):
    """A server that says when it answers, and leaves the signals to us."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # uvicorn would raise the signal again after a clean stop, and the process would look killed.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


async def _serve(box: Box, sock: socket.socket, ready_file: Path, ready: Callable[[dict[str, Any]], None]) -> None:
    breakage = Breakage(box)
    about = {"host": f"http://{HOST}:{sock.getsockname()[1]}", "pid": os.getpid()}

    def announce() -> None:
        _write_private(ready_file, {**about, "token": box.store.token})
        ready({**about, "ready_file": str(ready_file)})

    config = uvicorn.Config(
        Front(box, breakage),
        http=_tracked(breakage),
        lifespan="off",
        ws="none",
        log_level="critical",
        access_log=False,
        # The client's address names its connection; a header must not be able to change it.
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    try:
        await _Server(config, announce).serve(sockets=[sock])
    finally:
        _forget(ready_file)


def _tracked(breakage: Breakage) -> type[asyncio.Protocol]:
    class Tracked(PlainProtocol):
        """A protocol with its connection known by the client's address."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            breakage.connections[transport.get_extra_info("peername")] = transport
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            breakage.connections.pop(self.transport.get_extra_info("peername"), None)
            super().connection_lost(exc)

    return Tracked


def _write_private(path: Path, document: dict[str, Any]) -> None:
    # mkstemp makes it 0600 before anything is in it; the rename shows it whole or not at all.
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
    Path(beside).replace(path)


def _forget(path: Path) -> None:
    # Only our own: another sandbox may have been told to announce itself in the same place since.
    with contextlib.suppress(OSError, ValueError):
        if json.loads(path.read_text())["pid"] == os.getpid():
            path.unlink()
