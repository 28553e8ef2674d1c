"""A tree of files on each kind of place, for the common cases, and the servers behind them: all in this process."""

from __future__ import annotations

import asyncio
import http.client
import logging
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from synapse_skills.sources import Source

Fault = Callable[[BaseHTTPRequestHandler], None]


class UrlTree:
    """Writes through `put` and `drop`; a folder is a marker, as consoles of object stores make them."""

    url = ""

    def put(self, path: str, content: bytes) -> None:
        raise NotImplementedError

    def drop(self, path: str) -> None:
        raise NotImplementedError

    def write(self, path: str, content: bytes = b"x") -> None:
        self.put(path, content)

    def remove(self, path: str) -> None:
        self.drop(path)

    def folder(self, path: str) -> None:
        parts = path.split("/")
        for count in range(len(parts)):
            self.put("/".join(parts[: count + 1]) + "/", b"")

    def source(self, below: str = "", **kwargs: Any) -> Source:
        return Source(f"{self.url}/{below}".rstrip("/"), **kwargs)


class LocalTree(UrlTree):
    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)
        root.mkdir(parents=True)

    def put(self, path: str, content: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def drop(self, path: str) -> None:
        (self.root / path).unlink()

    def folder(self, path: str) -> None:
        (self.root / path).mkdir(parents=True)


class MemoryTree(UrlTree):
    def __init__(self) -> None:
        self.name = f"t{uuid.uuid4().hex}"
        self.url = f"memory://{self.name}"

    def put(self, path: str, content: bytes) -> None:
        from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

        key = f"/{self.name}/{path}"
        MemoryFileSystem.store[key] = MemoryFile(MemoryFileSystem(), key, content)

    def drop(self, path: str) -> None:
        from fsspec.implementations.memory import MemoryFileSystem

        del MemoryFileSystem.store[f"/{self.name}/{path}"]


class S3Tree(UrlTree):
    """Straight into moto's memory: a PUT over HTTP takes 6 ms."""

    def __init__(self) -> None:
        from moto.s3.models import s3_backends

        self._backend = s3_backends["123456789012"]["aws"]
        self.bucket = f"t{uuid.uuid4().hex}"
        self._backend.create_bucket(self.bucket, "us-east-1")
        self.url = f"s3://{self.bucket}/data"

    def put(self, path: str, content: bytes) -> None:
        self._backend.put_object(self.bucket, f"data/{path}", content)

    def drop(self, path: str) -> None:
        self._backend.delete_object(self.bucket, f"data/{path}")

    @property
    def keys(self) -> list[str]:
        return list(self._backend.buckets[self.bucket].keys)


class GcsTree(UrlTree):
    def __init__(self, storage: Any) -> None:
        from gcp_storage_emulator.handlers.buckets import create_bucket

        self._storage = storage
        self.bucket = f"t{uuid.uuid4().hex}"
        create_bucket(self.bucket, storage)
        self.url = f"gs://{self.bucket}/data"

    def put(self, path: str, content: bytes) -> None:
        from gcp_storage_emulator.handlers.objects import _checksums, _make_object_resource

        name = f"data/{path}"
        row = _make_object_resource("", self.bucket, name, "application/octet-stream", str(len(content)))
        self._storage.create_file(self.bucket, name, content, _checksums(content, row))

    def drop(self, path: str) -> None:
        self._storage.delete_file(self.bucket, f"data/{path}")


class SftpTree(LocalTree):
    """Files in a folder that an SSH server shows as its root."""

    def __init__(self, root: Path, below: str, port: int) -> None:
        super().__init__(root / below)
        self.url = f"sftp://someone@127.0.0.1:{port}/{below}"


# ---- servers


class Front:
    """An HTTP server before another one: passes on, unless a fault is waiting in `faults`."""

    def __init__(self, behind: int) -> None:
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.refuse: Callable[[str], Fault | None] = lambda asked: None
        """Looks at every request, such as `GET /bucket/key`, and may say what is answered to it."""
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = f"{self.command} {self.path}"
                front.asked.append(asked)
                if front.faults:
                    front.faults.pop(0)(self)
                    return
                if refusal := front.refuse(asked):
                    refusal(self)
                    return
                onward = http.client.HTTPConnection("127.0.0.1", behind, timeout=30)
                onward.request(self.command, self.path, body, dict(self.headers.items()))
                answer = onward.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                self.wfile.write(content)
                onward.close()

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def status(code: int, body: str = "", *, kind: str = "application/xml") -> Fault:
    """An answer with a status and a body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        content = body.encode()
        handler.send_response(code)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(content)

    return answer


def s3_error(code: int, word: str) -> Fault:
    return status(code, f"<Error><Code>{word}</Code><Message>no</Message></Error>")


def cut_off(headers: dict[str, str]) -> Fault:
    """An answer that ends before its length."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for name, value in {"Content-Length": "1000", **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    return answer


def silence(seconds: float) -> Fault:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        threading.Event().wait(seconds)
        handler.close_connection = True

    return answer


@contextmanager
def s3_server() -> Iterator[Front]:
    """Moto behind a front, the environment pointing at it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    front = Front(server.get_host_and_port()[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNAPSE_S3_ENDPOINT_URL", f"http://127.0.0.1:{front.port}")
        patch.setenv("SYNAPSE_S3_ACCESS_KEY_ID", "an-access-key")
        patch.setenv("SYNAPSE_S3_SECRET_ACCESS_KEY", "a-very-secret-key")
        yield front
    front.stop()
    server.stop()


@contextmanager
def gcs_server() -> Iterator[tuple[Front, Any]]:
    """The emulator behind a front, the environment pointing at it."""
    import socket

    from gcp_storage_emulator.server import create_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    front = Front(port)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{front.port}")
        yield front, server._storage
    front.stop()
    server.stop()


class SshServer:
    """One user, a password and a key; files below `root`."""

    def __init__(self, root: Path) -> None:
        import asyncssh

        self.root = root
        self.denied: set[str] = set()
        self.lost = 0
        self.names_left: int | None = None
        """After so many names of listings the connection breaks, once."""
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(20)
        self.port = self._server.get_port()

    async def _start(self) -> Any:
        import asyncssh

        box = self
        public = asyncssh.import_authorized_keys(self.user_key.export_public_key().decode())

        class Login(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return True

            def connection_made(self, connection: Any) -> None:
                self._connection = connection

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: Any) -> bool:
                return public.validate(key, "", "") is not None

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return username == "someone" and password == "a-long-password"

        class Files(asyncssh.SFTPServer):
            def __init__(self, channel: Any) -> None:
                self._connection = channel.get_connection()
                super().__init__(channel, chroot=str(box.root).encode())

            def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
                if box.lost:
                    box.lost -= 1
                    self._connection.abort()
                return super().open(path, pflags, attrs)

            async def scandir(self, path: bytes) -> Any:
                if path.decode("utf-8", "replace").strip("/") in box.denied:
                    raise asyncssh.SFTPPermissionDenied("no")
                async for name in super().scandir(path):
                    if box.names_left is not None:
                        box.names_left -= 1
                        if box.names_left < 0:
                            box.names_left = None
                            self._connection.abort()
                    yield name

        return await asyncssh.create_server(
            Login, "127.0.0.1", 0, server_host_keys=[self.host_key], sftp_factory=Files, allow_scp=False
        )

    def known_hosts(self) -> str:
        return f"[127.0.0.1]:{self.port} {self.host_key.export_public_key().decode()}"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """The server, and an environment in which its key is known and the password is there."""
    server = SshServer(folder / "files")
    server.root.mkdir()
    known = folder / "known_hosts"
    known.write_text(server.known_hosts())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNAPSE_SFTP_KNOWN_HOSTS", str(known))
        patch.setenv("SYNAPSE_SFTP_PASSWORD", "a-long-password")
        yield server
    server.stop()
    shutil.rmtree(server.root)
