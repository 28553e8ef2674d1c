"""SMB shares through smbprotocol, which synapse-sdk brings along. The URL is smb://user@host/share/folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from synapse_skills.errors import keep_secret
from synapse_skills.sources.address import Address
from synapse_skills.sources.faults import Fault, fault, timeout_s
from synapse_skills.sources.remote import CHUNK, Entry, Reading, Tree

PREFIX = "SYNAPSE_SMB_"
_MISSING_HINT = (
    "Looked at SYNAPSE_SMB_USERNAME and SYNAPSE_SMB_PASSWORD (SYNAPSE_SMB_DOMAIN if there is one); the user may be in "
    "the URL instead: smb://user@host/share. Without a password a Kerberos ticket is used (KRB5CCNAME)."
)
_SILENCE = "SMB_EXPERIMENTAL_TRANSPORT_RECEIVE_TIMEOUT"
_FOLDER = 0o040000
_MISSING = {0xC0000034, 0xC000003A, 0xC000000F}  # no such name, path, file
_DENIED = {0xC0000022, 0xC0000061}
_EXISTS = {0xC0000035}
_NO_SHARE = {0xC00000CC, 0xC0000225}  # bad network name; no such referral, where the server knows DFS
_LOGIN = {0xC000006D, 0xC000006E, 0xC0000071, 0xC0000072, 0xC0000234, 0xC000015B}
_BAD_NAME = 0xC0000033
_BUSY = {0xC0000043, 0xC000009A, 0xC00000D0, 0xC0000205}  # open elsewhere, out of resources


@dataclass(frozen=True)
class SmbLogin:
    """How to log in, of which `credentials` may be shown and nothing else."""

    credentials: str
    user: str = ""
    password: str = field(default="", repr=False)
    encrypt: bool | None = None


def login_from_environment(address: Address) -> SmbLogin:
    """The login of the SYNAPSE_SMB_ variables, or a Kerberos ticket.

    Raises:
        Fault: `login`: there is none.
    """
    user, password, domain = (os.environ.get(PREFIX + name, "") for name in ("USERNAME", "PASSWORD", "DOMAIN"))
    user = address.user.replace(";", "\\") or user
    if domain and user and "\\" not in user:
        user = f"{domain}\\{user}"
    if user and password:
        return SmbLogin("environment", user, password)
    if os.environ.get("KRB5CCNAME"):
        return SmbLogin("Kerberos ticket", user)
    missing = "no password" if user else "no user and no password" if not password else "no user"
    raise Fault("login", f"{missing} was found", hint=_MISSING_HINT)


class Smb(Tree):
    """A folder of a share."""

    def __init__(self, address: Address, login: SmbLogin) -> None:
        super().__init__(address, login.credentials)
        keep_secret(login.password)
        share, _, folder = address.path.partition("/")
        if not share:
            raise Fault("missing", "the URL names no share", hint="Write it as smb://host/share/folder.")
        folder = folder.replace("/", "\\")
        self._share = f"\\\\{address.host}\\{share}"
        self._root = f"{self._share}\\{folder}".rstrip("\\")
        # The login is in every call, because each of them connects anew where the connection is gone.
        self._login: dict[str, Any] = {
            "port": address.port or 445,
            "username": login.user or None,
            "password": login.password or None,
            "encrypt": login.encrypt,
            "connection_timeout": min(10.0, timeout_s()),
        }
        self._mine = threading.local()
        self._caches: list[dict[str, Any]] = []

    @property
    def _options(self) -> dict[str, Any]:
        """The login, and this thread's own connection: several on one run out of the credits that its server gives."""
        if not hasattr(self._mine, "options"):
            cache: dict[str, Any] = {}
            self._caches.append(cache)
            self._mine.options = {**self._login, "connection_cache": cache}
        options: dict[str, Any] = self._mine.options
        return options

    def _smb(self) -> Any:
        """The client, connected."""
        import smbclient as imported

        smbclient: Any = imported
        # Its own is ten minutes. After half of ours it asks whether the server is there, after all it gives up.
        os.environ.setdefault(_SILENCE, str(max(1, int(timeout_s() / 2))))
        with self._faults():
            smbclient.register_session(self.address.host, **self._options)
        return smbclient

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Sort what smbprotocol raises."""
        from smbprotocol import exceptions as smb

        try:
            yield
        except (smb.LogonFailure, smb.SMBAuthenticationError):
            raise Fault("refused-login", f"with {self.credentials}", hint=_MISSING_HINT) from None
        except smb.SMBOSError as error:
            raise _of_status(error.ntstatus, error.strerror or "") from None
        except smb.SMBResponseException as error:
            raise _of_status(error.status, type(error).__name__) from None
        except (smb.SMBConnectionClosed, EOFError, ConnectionError) as error:
            self._options["connection_cache"].clear()
            raise fault("cut" if not isinstance(error, ConnectionRefusedError) else "unreachable", error) from None
        except TimeoutError:
            raise Fault("timeout") from None
        except smb.SMBException as error:
            said = str(error).lower()
            raise fault("timeout" if "timeout" in said else "busy" if "credits" in said else "other", error) from None
        except ValueError as error:
            # Connection refused and an unknown host come as ValueErrors.
            raise fault("unreachable", error) from None
        except OSError as error:
            raise fault("unreachable", error) from None

    def _path(self, key: str) -> str:
        path = key.replace("/", "\\")
        return f"{self._root}\\{path}" if path else self._root

    def folder(self, prefix: str) -> Iterator[Entry]:
        """All of it in one answer after the other."""
        client = self._smb()
        with self._faults():
            for found in client.scandir(self._path(prefix.rstrip("/")), **self._options):
                key = prefix + found.name
                if found.is_symlink():
                    yield Entry(key, 0, 0, "link-outside")
                elif found.is_dir():
                    yield Entry(f"{key}/", 0, 0)
                else:
                    info = found.smb_info
                    yield Entry(key, int(info.end_of_file), round(info.last_write_time.timestamp() * 1_000_000) * 1_000)

    def check(self) -> None:
        """The root is a folder that can be read."""
        client = self._smb()
        try:
            with self._faults():
                found = client.stat(self._root, **self._options)
        except Fault as error:
            if error.word == "missing":
                raise Fault("missing", f"the share {self._share} exists") from None
            raise
        if not found.st_mode & _FOLDER:
            raise Fault("a-file")
        for _ in self.folder(""):
            return

    def stat(self, key: str) -> Entry | None:
        """One look."""
        client = self._smb()
        try:
            with self._faults():
                found = client.stat(self._path(key), **self._options)
        except Fault as error:
            if error.word == "missing":
                return None
            raise
        if found.st_mode & _FOLDER:
            return None
        # A listing knows the time to the microsecond, a look to 100 nanoseconds: cut, so that both say the same.
        return Entry(key, int(found.st_size), int(found.st_mtime_ns) // 1_000 * 1_000)

    @contextlib.contextmanager
    def read(self, key: str) -> Iterator[Reading]:
        """Others may go on reading it."""
        client = self._smb()
        found = self.stat(key)
        if found is None:
            raise Fault("missing")
        with self._faults():
            file = client.open_file(self._path(key), "rb", share_access="r", buffering=0, **self._options)

        def chunks() -> Iterator[bytes]:
            with self._faults():
                while data := file.read(CHUNK):
                    yield data

        try:
            yield Reading(found, chunks())
        finally:
            with contextlib.suppress(Fault), self._faults():
                file.close()

    def write(self, key: str, content: BinaryIO, size: int, *, exclusive: bool = False) -> None:
        """A neighbour, then renamed: over what is there, or only where nothing is."""
        client = self._smb()
        folder = key.rpartition("/")[0]
        temporary = self._path(f"{folder}/.{secrets.token_hex(8)}.part".lstrip("/"))
        with self._faults():
            client.makedirs(self._path(folder), exist_ok=True, **self._options)
            try:
                with client.open_file(temporary, "wb", **self._options) as file:
                    while data := content.read(CHUNK):
                        file.write(data)
                (client.rename if exclusive else client.replace)(temporary, self._path(key), **self._options)
            except BaseException:
                with contextlib.suppress(OSError):
                    client.remove(temporary, **self._options)
                raise

    def delete(self, key: str) -> None:
        """Gone already is fine."""
        client = self._smb()
        try:
            with self._faults():
                client.remove(self._path(key), **self._options)
        except Fault as error:
            if error.word != "missing":
                raise

    def close(self) -> None:
        """Log off."""
        caches, self._caches = self._caches, []
        self._mine = threading.local()
        if any(caches):
            import smbclient as imported

            smbclient: Any = imported
            for cache in caches:
                smbclient.reset_connection_cache(fail_on_error=False, connection_cache=cache)


def _of_status(status: int, said: str) -> Fault:
    for word, group in (
        ("missing", _MISSING),
        ("denied", _DENIED),
        ("exists", _EXISTS),
        ("no-bucket", _NO_SHARE),
        ("busy", _BUSY),
    ):
        if status in group:
            return Fault(word)
    if status in _LOGIN:
        return Fault("refused-login", hint=_MISSING_HINT)
    if status == _BAD_NAME:
        return Fault("other", 'a share has no names with any of \\ : * ? " < > |', hint="Rename it.")
    return fault("other", said)
