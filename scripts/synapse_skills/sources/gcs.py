"""Google Cloud Storage through its JSON API: `google-auth` logs in, `requests` asks.

Not through gcsfs: it tidies names, holds a whole listing in memory, and with an emulator opens gRPC to it and hangs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, ClassVar
from urllib.parse import quote

from synapse_skills.errors import keep_secret
from synapse_skills.sources.address import Address
from synapse_skills.sources.faults import Fault, fault
from synapse_skills.sources.remote import Entry, Page, Reading, Remote, paged, version_of
from synapse_skills.sources.requesting import chunks, fault_of_status, request_faults, timeouts
from synapse_skills.texts import parse_json

PREFIX = "SYNAPSE_GCS_"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_ENDPOINT = "https://storage.googleapis.com"
_EMULATOR = "STORAGE_EMULATOR_HOST"
_FIELDS = "nextPageToken,prefixes,items(name,size,timeCreated,generation)"
_MISSING_HINT = (
    "Looked at SYNAPSE_GCS_KEY (the content of a key file), SYNAPSE_GCS_KEY_FILE, GOOGLE_APPLICATION_CREDENTIALS, the "
    "login of gcloud (gcloud auth application-default login) and the service account of this machine. On the cluster "
    "only SYNAPSE_ variables arrive. For a public bucket set SYNAPSE_GCS_ANONYMOUS=1."
)


@dataclass(frozen=True)
class GcsLogin:
    """How to log in, of which `credentials` may be shown and nothing else; no key is anonymous."""

    credentials: str
    key: Any = field(default=None, repr=False)
    endpoint: str = _ENDPOINT


def login_from_environment() -> GcsLogin:
    """The login of the usual places: SYNAPSE_GCS_ variables before those of Google.

    Raises:
        Fault: `login`: there is none, or its file is none.
    """

    def value(name: str) -> str:
        return os.environ.get(PREFIX + name, "").strip()

    endpoint = endpoint_of_environment()
    if value("KEY"):
        return GcsLogin("environment", key_of(value("KEY"), "SYNAPSE_GCS_KEY"), endpoint)
    if value("KEY_FILE"):
        path = Path(value("KEY_FILE")).expanduser()
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "no text"
            raise fault("login", f"SYNAPSE_GCS_KEY_FILE can't be read: {why}", hint=_MISSING_HINT) from None
        return GcsLogin("key file", key_of(text, "SYNAPSE_GCS_KEY_FILE"), endpoint)
    if value("ANONYMOUS").lower() in ("1", "true", "yes") or os.environ.get(_EMULATOR):
        return GcsLogin("anonymous", None, endpoint)
    return GcsLogin(*_default(), endpoint)


def endpoint_of_environment() -> str:
    """Google's own, or that of SYNAPSE_GCS_ENDPOINT_URL or STORAGE_EMULATOR_HOST."""
    named = os.environ.get(f"{PREFIX}ENDPOINT_URL", "").strip() or os.environ.get(_EMULATOR, "").strip() or _ENDPOINT
    return (named if "://" in named else f"http://{named}").rstrip("/")


def key_of(given: str | dict[str, Any], where: str) -> Any:
    """The login of a service account's key, as text or as an object.

    Raises:
        Fault: `login`: it is none.
    """
    from google.oauth2 import service_account

    try:
        if isinstance(given, str) and not given.lstrip().startswith("{"):
            given = Path(given).expanduser().read_text()
        info = parse_json(given) if isinstance(given, str) else given
        keep_secret(str(info.get("private_key", "")))
        make: Any = service_account.Credentials.from_service_account_info
        return make(info, scopes=[_SCOPE])
    except (OSError, ValueError, AttributeError, TypeError):
        # The text of these errors may quote the key.
        raise Fault("login", f"{where} is no key of a service account", hint=_MISSING_HINT) from None


def _default() -> tuple[str, Any]:
    import google.auth
    from google.auth import compute_engine
    from google.auth.exceptions import GoogleAuthError

    try:
        key, _ = google.auth.default(scopes=[_SCOPE])
    except GoogleAuthError:
        raise Fault("login", "no login was found", hint=_MISSING_HINT) from None
    if isinstance(key, compute_engine.Credentials):
        return "node", key
    return "key file" if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") else "profile gcloud", key


class Gcs(Remote):
    """A prefix of a bucket."""

    rows_are_sorted: ClassVar[bool] = True

    def __init__(self, address: Address, login: GcsLogin) -> None:
        import requests
        from google.auth.transport.requests import AuthorizedSession

        super().__init__(address, login.credentials)
        self._prefix = f"{address.path}/" if address.path else ""
        self._api = f"{login.endpoint}/storage/v1/b/{quote(address.host, safe='')}/o"
        self._upload = f"{login.endpoint}/upload/storage/v1/b/{quote(address.host, safe='')}/o"
        authorized: Any = AuthorizedSession
        self._session: requests.Session = requests.Session() if login.key is None else authorized(login.key)

    def list(self, *, recursive: bool = True, done: frozenset[str] | set[str] = frozenset()) -> Iterator[Entry]:
        """Page by page, 1,000 names each."""
        asked = {"prefix": self._prefix, "maxResults": "1000", "fields": _FIELDS}
        if not recursive:
            asked["delimiter"] = "/"
        return paged(lambda token, behind: self._page(asked, token, behind), done)

    def _page(self, asked: dict[str, str], token: str | None, behind: str | None) -> Page:
        where = {"pageToken": token} if token else {}
        # '0' comes right after '/': on from behind the folder.
        where |= {"startOffset": f"{self._prefix}{behind}0"} if behind else {}
        page = self._json(self._api, asked | where)
        start = len(self._prefix)
        files = [Entry(row["name"][start:], int(row.get("size", 0)), _version(row)) for row in page.get("items", ())]
        folders = [Entry(prefix[start:], 0, 0) for prefix in page.get("prefixes", ())]
        more = page.get("nextPageToken") or None
        return Page([each for each in files if each.key] + folders, files[-1].key if files else "", more)

    def check(self) -> None:
        """The prefix has something below it, if only its own marker."""
        if self._holds(self._prefix) or not self._prefix:
            return
        # A name of the bucket itself, not below the root.
        if self._row(self.address.path) is not None:
            raise Fault("a-file")
        parts = self.address.path.split("/")
        for count in range(len(parts) - 1, 0, -1):
            above = "/".join(parts[:count])
            if self._holds(f"{above}/"):
                raise Fault("missing", f"gs://{self.address.host}/{above} exists")
        raise Fault("missing", f"the bucket gs://{self.address.host} exists")

    def _holds(self, prefix: str) -> bool:
        return bool(self._json(self._api, {"prefix": prefix, "maxResults": "1"}).get("items"))

    def stat(self, key: str) -> Entry | None:
        """One GET of its description."""
        row = self._row(self._prefix + key)
        return None if row is None else Entry(key, int(row["size"]), _version(row))

    def _row(self, name: str) -> dict[str, Any] | None:
        try:
            return self._json(self._url(name), {})
        except Fault as error:
            if error.word == "missing":
                return None
            raise

    @contextlib.contextmanager
    def read(self, key: str) -> Iterator[Reading]:
        """What it is, then exactly that generation of it."""
        found = self._json(self._url(self._prefix + key), {})
        asked = {"alt": "media", "generation": str(found["generation"])}
        with request_faults():
            response = self._session.get(
                self._url(self._prefix + key),
                params=asked,
                stream=True,
                timeout=timeouts(),
                headers={"Accept-Encoding": "gzip"},
            )
        try:
            _check(response)
            yield Reading(Entry(key, int(found["size"]), _version(found)), chunks(response))
        finally:
            response.close()

    def write(self, key: str, content: BinaryIO, size: int, *, exclusive: bool = False) -> None:
        """One POST: the object is there whole or not at all."""
        asked = {"uploadType": "media", "name": self._prefix + key}
        if exclusive:
            if self.stat(key) is not None:
                raise Fault("exists")
            asked["ifGenerationMatch"] = "0"
        with request_faults():
            response = self._session.post(
                self._upload,
                params=asked,
                data=content if size else b"",
                timeout=timeouts(),
                headers={"Content-Type": "application/octet-stream"},
            )
        _check(response)

    def delete(self, key: str) -> None:
        """One DELETE."""
        with request_faults():
            response = self._session.delete(self._url(self._prefix + key), timeout=timeouts())
        if response.status_code != 404:
            _check(response)

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def _url(self, name: str) -> str:
        return f"{self._api}/{quote(name, safe='')}"

    def _json(self, url: str, asked: dict[str, str]) -> dict[str, Any]:
        with request_faults():
            response = self._session.get(url, params=asked, timeout=timeouts())
        _check(response)
        try:
            answer = response.json()
        except ValueError:
            raise Fault("other", "it answers with something that is not Google Cloud Storage") from None
        return answer if isinstance(answer, dict) else {}


def _check(response: Any) -> None:
    found = fault_of_status(response.status_code, "")
    if found is None:
        return
    try:
        error = response.json()["error"]
        said = str(error.get("message", ""))
        reasons = {str(each.get("reason")) for each in error.get("errors", ())}
    except (ValueError, KeyError, TypeError, AttributeError):
        said, reasons = "", set()
    if found.word == "missing" and "bucket" in said.lower():
        raise Fault("no-bucket")
    if reasons & {"rateLimitExceeded", "userRateLimitExceeded"}:
        raise fault("busy", said)
    raise fault_of_status(response.status_code, said) or found


def _version(row: dict[str, Any]) -> int:
    made = str(row.get("timeCreated") or "")
    try:
        seconds = datetime.fromisoformat(made).timestamp() if made else 0.0
    except ValueError:
        seconds = 0.0
    return version_of(seconds, str(row.get("generation", "")))
