"""A storage of the backend, opened through a storage session: the backend hands out what its place needs.

Sessions end: one that is about to is asked for anew, so that a long run outlives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

from synapse_skills.backend import Api, login
from synapse_skills.backend.api import NotThere, Refused
from synapse_skills.errors import FindingError, OutOfReach, keep_secret, printable
from synapse_skills.sources.address import Address, parse_address
from synapse_skills.sources.faults import Fault
from synapse_skills.sources.remote import Entry, Reading, Remote

CONTRACT_VERSION = 1
MARGIN_S = 120.0
_SECRETS = ("access_key", "secret_key", "session_token", "password", "private_key_passphrase", "otp_code", "token")
_SAME = {"amazon_s3": "s3", "minio": "s3", "gcs": "gs", "gcp": "gs", "https": "http", "file_system": "local"}


class Storage(Remote):
    """A folder of a storage of the backend: whatever place it is, with the login of its session."""

    def __init__(self, address: Address, purpose: Literal["read", "write"]) -> None:
        super().__init__(address, f"storage:{address.host}")
        if not address.host.isdecimal():
            raise Fault(
                "missing", "a storage has a number", hint="Write storage://ID/folder; see list_resources storages."
            )
        self._purpose = purpose
        self._lock = threading.Lock()
        self._until = 0.0
        self._place: Remote | None = None
        self._open()

    def _open(self) -> Remote:
        """The place, with a session that lasts a while yet."""
        with self._lock:
            if self._place is None or (self._until and time.monotonic() > self._until - MARGIN_S):
                answer = _session(int(self.address.host), self._purpose)
                ends = _ends(answer.get("expires_at"))
                # By a clock that nobody sets while it lasts.
                self._until = time.monotonic() + ends - time.time() if ends else 0.0
                # The old one is left to those who are reading through it.
                self._place = place_of(str(answer.get("provider")), answer.get("configuration"), self.address)
            return self._place

    def list(self, *, recursive: bool = True, done: frozenset[str] | set[str] = frozenset()) -> Iterator[Entry]:
        """See `Remote`."""
        return self._open().list(recursive=recursive, done=done)

    def check(self) -> None:
        """See `Remote`."""
        self._open().check()

    def stat(self, key: str) -> Entry | None:
        """See `Remote`."""
        return self._open().stat(key)

    @contextlib.contextmanager
    def read(self, key: str) -> Iterator[Reading]:
        """See `Remote`."""
        with self._open().read(key) as reading:
            yield reading

    def write(self, key: str, content: BinaryIO, size: int, *, exclusive: bool = False) -> None:
        """See `Remote`."""
        self._open().write(key, content, size, exclusive=exclusive)

    def delete(self, key: str) -> None:
        """See `Remote`."""
        self._open().delete(key)

    def close(self) -> None:
        """See `Remote`."""
        if self._place is not None:
            self._place.close()


def place_of(provider: str, configuration: Any, address: Address) -> Remote:
    """The place that a session's answer describes.

    Args:
        provider: as the backend names it.
        configuration: what the place needs, secrets among it.
        address: storage://ID/folder; the folder is relative to the storage's own root.

    Raises:
        OutOfReach: `source-not-supported`, or the configuration lacks something.
    """
    kind = _SAME.get(provider.lower(), provider.lower())
    given: dict[str, Any] = configuration if isinstance(configuration, dict) else {}
    for name in _SECRETS:
        keep_secret(str(given.get(name) or ""))
    words = f"storage:{address.host}"
    make = {"s3": _s3, "gs": _gcs, "sftp": _sftp, "smb": _smb, "http": _http, "local": _local}.get(kind)
    if make is None:
        raise OutOfReach(
            f"Storage {address.host} is of kind {printable(provider)}, which is not supported.",
            hint="Mount it, or copy the files; a Synology is reached by smb:// or sftp://, Azure by a mount.",
            code="source-not-supported",
        )
    try:
        return make(given, address.path, words)
    except KeyError as missing:
        raise OutOfReach(
            f"Storage {address.host} ({printable(provider)}) comes without {missing.args[0]}.",
            hint="The backend gave no whole configuration: have the login of the storage registered in Synapse.",
            code="source-login",
        ) from None


def _joined(*parts: Any) -> str:
    return "/".join(text for part in parts if (text := str(part or "").strip("/")))


def _s3(given: dict[str, Any], path: str, words: str) -> Remote:
    from synapse_skills.sources.s3 import S3, S3Login

    entry = S3Login(
        words,
        str(given["access_key"]),
        str(given["secret_key"]),
        str(given.get("session_token") or ""),
        region=str(given.get("region_name") or ""),
        endpoint=str(given.get("endpoint_url") or ""),
    )
    return S3(Address("s3", str(given["bucket_name"]), _joined(given.get("root_path"), path)), entry)


def _gcs(given: dict[str, Any], path: str, words: str) -> Remote:
    from synapse_skills.sources import gcs

    key = given["credentials"]
    environment = gcs.endpoint_of_environment()
    entry = gcs.GcsLogin(words, None if key in ("anon", None) else gcs.key_of(key, "its key"), environment)
    return gcs.Gcs(Address("gs", str(given["bucket_name"]), path), entry)


def _sftp(given: dict[str, Any], path: str, words: str) -> Remote:
    from synapse_skills.sources.sftp import Sftp, SftpLogin, host_keys

    key = str(given.get("private_key") or "")
    is_text = "PRIVATE KEY" in key
    entry = SftpLogin(
        words,
        str(given["username"]),
        str(given.get("password") or ""),
        key if is_text else "",
        "" if is_text else key,
        str(given.get("private_key_passphrase") or ""),
        *host_keys(),
    )
    where = Address("sftp", str(given["host"]), path, port=int(given.get("port") or 22))
    return Sftp(where, entry, root=str(given.get("root_path") or "").rstrip("/"))


def _smb(given: dict[str, Any], path: str, words: str) -> Remote:
    from synapse_skills.sources.smb import Smb, SmbLogin, login_from_environment

    folder = _joined(given["share"], given.get("root_path"), path)
    where = Address("smb", str(given["host"]), folder, port=int(given["port"]) if given.get("port") else None)
    user, password = str(given.get("username") or ""), str(given.get("password") or "")
    if not password:
        # A storage whose users log in each for themselves.
        return Smb(where, replace(login_from_environment(where), encrypt=bool(given.get("encrypt", True))))
    if domain := given.get("domain"):
        user = f"{domain}\\{user}"
    return Smb(where, SmbLogin(words, user, password, bool(given.get("encrypt", True))))


def _http(given: dict[str, Any], path: str, words: str) -> Remote:
    from synapse_skills.sources.http import Http, HttpLogin

    base = parse_address(str(given["base_url"]))
    headers = given.get("headers")
    entry = HttpLogin(
        words, {str(key): str(value) for key, value in headers.items()} if isinstance(headers, dict) else {}
    )
    for value in entry.headers.values():
        keep_secret(value)
    return Http(replace(base, path=_joined(base.path, path)), entry)


def _local(given: dict[str, Any], path: str, words: str) -> Remote:
    """A folder of the backend's own machine: of use only where it is mounted here as well."""
    from synapse_skills.sources.disk import Disk

    root = Path(str(given["location"]))
    if not root.is_absolute() or not root.is_dir():
        raise OutOfReach(
            f"The storage is a folder of the backend's machine ({printable(str(root))}), which is not there from here.",
            hint="Mount it here under the same name, or name the files where they are.",
            code="source-missing",
        )
    return Disk(root, path, words)


def _ends(text: Any) -> float:
    """When a session ends, in seconds since 1970; 0 for never."""
    if not text:
        return 0.0
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return 0.0
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _session(storage: int, purpose: str) -> dict[str, Any]:
    """Ask the backend; in a thread, because the caller may be inside an event loop."""

    async def ask() -> Any:
        async with Api(login(), patience=15.0) as api:
            try:
                return await api.post_repeatable(f"storages/{storage}/session/", {"purpose": purpose})
            except NotThere:
                # Older backends have no sessions, and answer the same for a storage that is not there.
                return await api.get(f"storages/{storage}/", {"with_configuration": "true"})

    try:
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(asyncio.run, ask()).result()
    except NotThere:
        raise FindingError(
            f"There is no storage {storage}, or not for this login.",
            hint="See list_resources storages.",
            code="no-storage",
        ) from None
    except Refused as error:
        raise OutOfReach(
            f"The backend gives no {purpose} session for storage {storage}: {error}",
            hint="Have the login of the storage registered in Synapse, or name the place by its URL.",
            code="source-login",
        ) from None
    if not isinstance(answer, dict) or not answer.get("provider"):
        raise OutOfReach(
            f"The backend answered with something that is no session for storage {storage}.",
            hint="Check SYNAPSE_HOST: this does not look like Synapse.",
            code="not-synapse",
        )
    if answer.get("contract_version", CONTRACT_VERSION) != CONTRACT_VERSION:
        raise OutOfReach(
            f"Storage sessions of version {answer['contract_version']} are not understood, only {CONTRACT_VERSION}.",
            hint="Update synapse-skills.",
            code="source-not-supported",
        )
    return answer
