"""SFTP through asyncssh, which synapse-sdk brings along.

Not through the SDK or sshfs: the SDK's login with a key raises a TypeError, and sshfs checks no host key. Here a host
has to be known, as for `ssh` itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import secrets
import stat
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from synapse_skills.errors import keep_secret
from synapse_skills.sources.address import Address
from synapse_skills.sources.faults import Fault, fault, timeout_s
from synapse_skills.sources.remote import CHUNK, Entry, Reading, Tree

PREFIX = "SYNAPSE_SFTP_"
_PAGE = 500
_MISSING_HINT = (
    "Looked at SYNAPSE_SFTP_PASSWORD, SYNAPSE_SFTP_KEY (the content of a key), SYNAPSE_SFTP_KEY_FILE (with "
    "SYNAPSE_SFTP_KEY_PASSPHRASE), the ssh agent (SSH_AUTH_SOCK), ~/.ssh/config and the keys in ~/.ssh. The user is "
    "that of the URL, SYNAPSE_SFTP_USERNAME, or that of ~/.ssh/config. On the cluster only SYNAPSE_ variables arrive."
)

_BCRYPT_HINT = "Install bcrypt beside synapse-sdk, or write a copy of the key as PEM: ssh-keygen -p -m PEM -f COPY."


@dataclass(frozen=True)
class SftpLogin:
    """How to log in, of which `credentials` may be shown and nothing else. Empty fields are left to asyncssh."""

    credentials: str
    user: str = ""
    password: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    key_file: str = ""
    passphrase: str = field(default="", repr=False)
    known_hosts: str = ""
    host_key: str = ""


def login_from_environment() -> SftpLogin:
    """The login of the usual places: SYNAPSE_SFTP_ variables before those of ssh.

    Raises:
        Fault: `login`: there is none.
    """

    def value(name: str) -> str:
        return os.environ.get(PREFIX + name, "")

    user, password, key, file, passphrase = (
        value(name) for name in ("USERNAME", "PASSWORD", "KEY", "KEY_FILE", "KEY_PASSPHRASE")
    )
    home = Path("~/.ssh").expanduser()
    if password or key:
        words = "environment"
    elif file:
        words = "key file"
        if not Path(file).expanduser().is_file():
            raise Fault("login", "the file that SYNAPSE_SFTP_KEY_FILE names is not there", hint=_MISSING_HINT)
    elif os.environ.get("SSH_AUTH_SOCK"):
        words = "ssh agent"
    elif (home / "config").is_file() or any(home.glob("id_*")):
        words = "key file"
    else:
        raise Fault("login", "no password and no key was found", hint=_MISSING_HINT)
    return SftpLogin(words, user, password, key, file, passphrase, *host_keys())


def host_keys() -> tuple[str, str]:
    """SYNAPSE_SFTP_KNOWN_HOSTS (a file) and SYNAPSE_SFTP_HOST_KEY (a key); '' and '' for ~/.ssh/known_hosts."""
    return os.environ.get(f"{PREFIX}KNOWN_HOSTS", ""), os.environ.get(f"{PREFIX}HOST_KEY", "")


class _Loop:
    """The thread in which all SSH connections of this process live."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def run[T](self, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Run a coroutine there and wait for it."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="ssh", daemon=True).start()
        bounded = asyncio.wait_for(work, seconds) if seconds else work
        return asyncio.run_coroutine_threadsafe(bounded, self._loop).result()


_LOOP = _Loop()


class Sftp(Tree):
    """A folder of an SSH server."""

    def __init__(self, address: Address, login: SftpLogin, *, root: str = "") -> None:
        super().__init__(address, login.credentials)
        for secret in (login.password, login.passphrase, login.key):
            keep_secret(secret)
        self._login = login
        path = address.path
        # `~` is the folder in which a login begins.
        self._asked = path.removeprefix("~").lstrip("/") or "." if path.startswith("~") else f"{root}/{path}"
        self._root = ""
        self._connection: Any = None
        self._sftp: Any = None
        self._lock = threading.Lock()
        self._seconds = timeout_s()

    # ---- the connection

    def _client(self) -> Any:
        """The open client; connected anew after the connection was lost."""
        with self._lock:
            if self._sftp is None:
                with self._faults():
                    _LOOP.run(self._connect(), self._seconds)
            return self._sftp

    async def _connect(self) -> None:
        import asyncssh

        login, options = self._login, self._options()
        if login.user or self.address.user:
            options["username"] = self.address.user or login.user
        if self.address.port:
            options["port"] = self.address.port
        connection = await asyncssh.connect(self.address.host, **options)
        try:
            client = await connection.start_sftp_client(path_encoding="utf-8", path_errors="surrogateescape")
            self._root = (await client.realpath(self._asked)).rstrip("/")
        except BaseException:
            connection.close()
            raise
        self._connection, self._sftp = connection, client

    def _options(self) -> dict[str, Any]:
        import asyncssh

        login = self._login
        options: dict[str, Any] = {"connect_timeout": min(10.0, self._seconds), "login_timeout": self._seconds}
        if login.known_hosts:
            options["known_hosts"] = str(Path(login.known_hosts).expanduser())
        if login.host_key:
            try:
                options["known_hosts"] = ([asyncssh.import_public_key(login.host_key)], [], [])
            except asyncssh.KeyImportError:
                raise Fault("host-key", "SYNAPSE_SFTP_HOST_KEY is no public key") from None
        try:
            passphrase = login.passphrase or None
            if login.key:
                options["client_keys"] = [asyncssh.import_private_key(login.key, passphrase)]
            elif login.key_file:
                options["client_keys"] = [asyncssh.read_private_key(Path(login.key_file).expanduser(), passphrase)]
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, OSError, ValueError) as error:
            if "bcrypt" in str(error):
                raise Fault(
                    "login", "its private key is encrypted in OpenSSH's own format", hint=_BCRYPT_HINT
                ) from None
            # The text of these errors may quote the key.
            raise Fault(
                "login", "the private key can't be read, or its passphrase is not right", hint=_MISSING_HINT
            ) from None
        if login.password:
            options["password"] = login.password
            options.setdefault("client_keys", None)
        return options

    def _run[T](self, work: Coroutine[Any, Any, T]) -> T:
        with self._faults():
            return _LOOP.run(work, self._seconds)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Sort what asyncssh raises; after a lost connection the next call makes a new one."""
        import asyncssh

        try:
            yield
        except asyncssh.HostKeyNotVerifiable as error:
            raise fault("host-key", error) from None
        except asyncssh.PermissionDenied:
            who = self.address.user or self._login.user or _user()
            raise Fault("refused-login", f"as {who}, with {self.credentials}", hint=_MISSING_HINT) from None
        except asyncssh.SFTPNoSuchFile:
            raise Fault("missing") from None
        except asyncssh.SFTPNoSuchPath:
            raise Fault("missing") from None
        except asyncssh.SFTPPermissionDenied:
            raise Fault("denied") from None
        except asyncssh.SFTPFileAlreadyExists:
            raise Fault("exists") from None
        except (asyncssh.SFTPConnectionLost, asyncssh.ConnectionLost, asyncssh.DisconnectError) as error:
            self._forget()
            raise fault("cut", error) from None
        except asyncssh.SFTPError as error:
            raise fault("other", error) from None
        except TimeoutError:
            self._forget()
            raise Fault("timeout") from None
        except (ConnectionError, OSError) as error:
            self._forget()
            raise fault("unreachable", error) from None
        except asyncssh.Error as error:
            self._forget()
            raise fault("other", error) from None

    def _forget(self) -> None:
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None:
            _LOOP.run(_closed(connection))

    # ---- what a place can do

    def folder(self, prefix: str) -> Iterator[Entry]:
        """A few hundred names at a time."""
        found = self._client().scandir(f"{self._root}/{prefix}")

        async def page() -> list[tuple[str, Any]]:
            rows = []
            async for name in found:
                if name.filename not in (".", ".."):
                    rows.append((_text(name.filename), name.attrs))
                if len(rows) >= _PAGE:
                    break
            return rows

        while rows := self._run(page()):
            for name, attributes in rows:
                yield self._entry(prefix + name, attributes)

    def _entry(self, key: str, attributes: Any) -> Entry:
        mode = attributes.permissions or 0
        raw = key.encode("utf-8", "surrogateescape")
        if (plain := raw.decode("utf-8", "backslashreplace")) != key:
            return Entry(plain, 0, 0, "undecodable-name")
        if stat.S_ISDIR(mode):
            return Entry(f"{key}/", 0, 0)
        if stat.S_ISLNK(mode):
            return self._link(key)
        if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
            return Entry(key, 0, 0, "special-file")
        return Entry(key, attributes.size or 0, _version(attributes))

    def _link(self, key: str) -> Entry:
        """A link to a file inside the root is a file; folders behind links are not read, they would count twice."""
        try:
            real = self._run(self._client().realpath(f"{self._root}/{key}"))
            found = self._run(self._client().stat(f"{self._root}/{key}"))
        except Fault as error:
            if error.word == "missing":
                return Entry(key, 0, 0, "link-broken")
            raise
        if not real.startswith(f"{self._root}/") or stat.S_ISDIR(found.permissions or 0):
            return Entry(key, 0, 0, "link-outside")
        return Entry(key, found.size or 0, _version(found))

    def check(self) -> None:
        """The root is a folder that can be read."""
        client = self._client()
        try:
            found = self._run(client.stat(self._root or "/"))
        except Fault as error:
            if error.word == "missing":
                raise Fault("missing", self._nearest()) from None
            raise
        if not stat.S_ISDIR(found.permissions or 0):
            raise Fault("a-file")
        for _ in self.folder(""):
            return

    def _nearest(self) -> str:
        parent = self._root
        while parent := parent.rpartition("/")[0]:
            with contextlib.suppress(Fault):
                self._run(self._client().stat(parent))
                return f"{parent} exists there"
        return ""

    def stat(self, key: str) -> Entry | None:
        """One request."""
        try:
            found = self._run(self._client().stat(f"{self._root}/{key}"))
        except Fault as error:
            if error.word == "missing":
                return None
            raise
        return None if stat.S_ISDIR(found.permissions or 0) else Entry(key, found.size or 0, _version(found))

    @contextlib.contextmanager
    def read(self, key: str) -> Iterator[Reading]:
        """Opened after it was seen that no link on the way leads out of the root."""
        client = self._client()
        path = self._run(client.realpath(f"{self._root}/{key}"))
        if not path.startswith(f"{self._root}/"):
            raise Fault("missing", "it is a link that leaves the source")
        file = self._run(client.open(path, "rb", encoding=None))
        try:
            found = self._run(file.stat())

            def chunks() -> Iterator[bytes]:
                while data := self._run(file.read(CHUNK)):
                    yield data

            yield Reading(Entry(key, found.size or 0, _version(found)), chunks())
        finally:
            with contextlib.suppress(Fault):
                self._run(file.close())

    def write(self, key: str, content: BinaryIO, size: int, *, exclusive: bool = False) -> None:
        """A neighbour, then renamed: over what is there, or only where nothing is."""
        client = self._client()
        target = f"{self._root}/{key}"
        folder = target.rpartition("/")[0]
        temporary = f"{folder}/.{secrets.token_hex(8)}.part"
        self._run(client.makedirs(folder, exist_ok=True))
        try:
            self._run(self._put(client, temporary, content))
            if not exclusive:
                self._run(client.posix_rename(temporary, target))
                return
            try:
                # The plain rename of SFTP refuses a name that is taken.
                self._run(client.rename(temporary, target))
            except Fault:
                if self.stat(key) is None:
                    raise
                raise Fault("exists") from None
        finally:
            with contextlib.suppress(Fault):
                self._run(client.remove(temporary))

    @staticmethod
    async def _put(client: Any, path: str, content: BinaryIO) -> None:
        async with client.open(path, "wb", encoding=None) as file:
            while data := content.read(CHUNK):
                await file.write(data)

    def delete(self, key: str) -> None:
        """One request; gone already is fine."""
        try:
            self._run(self._client().remove(f"{self._root}/{key}"))
        except Fault as error:
            if error.word != "missing":
                raise

    def close(self) -> None:
        """Hang up."""
        self._forget()


async def _closed(connection: Any) -> None:
    connection.abort()


def _version(attributes: Any) -> int:
    return (attributes.mtime or 0) * 1_000_000_000 + (attributes.mtime_ns or 0)


def _text(name: str | bytes) -> str:
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "nobody in particular"
