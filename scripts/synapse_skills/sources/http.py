"""Files of a web server, which can't be listed: a manifest says which there are.

The URL is that of the manifest, or of the folder that holds a `manifest.json`. Its paths are relative to its folder.

- JSON: `{"files": [{"path": "a/b.png", "bytes": 123, "sha256": "…"}]}`, as an export writes it, or only the list;
  `size` is understood for `bytes`, and `sha256` may be missing.
- Text (`.csv`, `.tsv`, `.txt`): `path,bytes` or `path,bytes,sha256` in each line, with commas or tabs; a first line
  that names the columns is fine, and so are empty lines and those that begin with `#` and hold no comma or tab.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import IO, Any, BinaryIO
from urllib.parse import quote

from synapse_skills.errors import keep_secret
from synapse_skills.sources.address import Address
from synapse_skills.sources.faults import Fault, fault
from synapse_skills.sources.remote import Entry, Reading, Remote, version_of_digest
from synapse_skills.sources.requesting import chunks, fault_of_status, request_faults, timeouts

PREFIX = "SYNAPSE_HTTP_"
MANIFEST = "manifest.json"
MAX_JSON_BYTES = 256 << 20
_TEXT = (".csv", ".tsv", ".txt")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HINT = 'A manifest is {"files": [{"path", "bytes", "sha256"}]}, or lines of path,bytes,sha256.'


@dataclass(frozen=True)
class HttpLogin:
    """How to log in, of which `credentials` may be shown and nothing else."""

    credentials: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)


def login_from_environment() -> HttpLogin:
    """SYNAPSE_HTTP_TOKEN (sent as a bearer token), or SYNAPSE_HTTP_USERNAME with SYNAPSE_HTTP_PASSWORD, or none."""
    token, user, password = (os.environ.get(PREFIX + name, "").strip() for name in ("TOKEN", "USERNAME", "PASSWORD"))
    if token:
        return HttpLogin("environment", {"Authorization": f"Bearer {token}"})
    if user:
        return HttpLogin("environment", auth=(user, password))
    return HttpLogin("anonymous")


class Http(Remote):
    """The folder of a manifest."""

    def __init__(self, address: Address, login: HttpLogin) -> None:
        import requests

        super().__init__(address, login.credentials)
        name = address.path.rpartition("/")[2]
        is_manifest = name.lower().endswith((".json", *_TEXT))
        folder = address.path.rpartition("/")[0] if is_manifest else address.path
        self._manifest = name if is_manifest else MANIFEST
        port = f":{address.port}" if address.port else ""
        # What the user wrote may be percent-encoded already: a % stays one.
        self._base = f"{address.kind}://{address.host}{port}/{quote(folder, safe='/%')}".rstrip("/")
        self._session = requests.Session()
        self._session.headers.update(login.headers)
        self._session.auth = login.auth
        keep_secret(login.auth[1] if login.auth else login.headers.get("Authorization", "").removeprefix("Bearer "))

    def list(self, *, recursive: bool = True, done: frozenset[str] | set[str] = frozenset()) -> Iterator[Entry]:
        """The manifest's rows, sorted, so that those of a folder come together."""
        with tempfile.TemporaryFile() as stream:
            with self._get(self._manifest) as response:
                for data in chunks(response):
                    stream.write(data)
                    if stream.tell() > MAX_JSON_BYTES and not self._manifest.lower().endswith(_TEXT):
                        raise Fault("other", "its manifest has more than 256 MB", hint="Write it as text, .csv.")
            stream.seek(0)
            rows = _text_rows(stream) if self._manifest.lower().endswith(_TEXT) else _json_rows(stream)
            folder, last = "", ""
            for entry in sorted(rows, key=lambda entry: entry.key):
                top, slash, _ = entry.key.partition("/")
                if slash and not recursive:
                    if top != folder:
                        folder = top
                        yield Entry(f"{top}/", 0, 0)
                elif entry.key == last:
                    yield replace(entry, problem="listed-twice")
                elif not (slash and top in done) and entry.key != self._manifest:
                    last = entry.key
                    yield entry

    def check(self) -> None:
        """The manifest is there and is one."""
        try:
            with self._get(self._manifest):
                return
        except Fault as error:
            if error.word == "missing":
                hint = "A web server can't be listed: put a manifest there. " + _HINT
                raise Fault("missing", f"no {self._manifest} in it", hint=hint) from None
            raise

    def stat(self, key: str) -> Entry | None:
        """One HEAD, which tells the size; only the content tells the version."""
        try:
            with self._get(key, head=True) as response:
                return Entry(key, _length(response), 0)
        except Fault as error:
            if error.word == "missing":
                return None
            raise

    @contextlib.contextmanager
    def read(self, key: str) -> Iterator[Reading]:
        """One GET; when all was read, the version is that of the content."""
        with self._get(key) as response:
            size = _length(response)
            reading = Reading(Entry(key, size, 0), iter(()))

            def hashed() -> Iterator[bytes]:
                digest, length = hashlib.sha256(), 0
                for data in chunks(response):
                    digest.update(data)
                    length += len(data)
                    yield data
                whole = size if size >= 0 else length
                reading.entry = Entry(key, whole, version_of_digest(digest.hexdigest()))

            reading.chunks = hashed()
            yield reading

    def write(self, key: str, content: BinaryIO, size: int, *, exclusive: bool = False) -> None:
        """A web server takes no files."""
        raise Fault("other", "a web server can't be written to", hint="Name a folder, s3://, gs://, sftp:// or smb://.")

    def delete(self, key: str) -> None:
        """A web server takes no orders."""
        self.write(key, tempfile.TemporaryFile(), 0)  # noqa: SIM115

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    @contextlib.contextmanager
    def _get(self, key: str, *, head: bool = False) -> Iterator[Any]:
        """Ask for a file; the login goes to no other host."""
        with request_faults():
            response = self._session.request(
                "HEAD" if head else "GET",
                f"{self._base}/{quote(key)}",
                stream=True,
                timeout=timeouts(),
                headers={"Accept-Encoding": "identity"},
            )
        try:
            if found := fault_of_status(response.status_code, ""):
                raise found
            yield response
        finally:
            response.close()


def _length(response: Any) -> int:
    """The length that the server says; -1 if it does not."""
    try:
        return int(response.headers.get("Content-Length", -1))
    except ValueError:
        return -1


def _json_rows(stream: IO[bytes]) -> Iterator[Entry]:
    try:
        document = json.load(stream)
    except (ValueError, RecursionError) as error:
        raise fault("other", f"its manifest is no JSON ({error})", hint=_HINT) from None
    rows = document.get("files") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise Fault("other", "its manifest has no list of files", hint=_HINT)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            row = {}
        yield _entry(row.get("path"), row.get("bytes", row.get("size")), row.get("sha256"), number)


def _text_rows(stream: IO[bytes]) -> Iterator[Entry]:
    with io.TextIOWrapper(stream, encoding="utf-8-sig", errors="strict", newline="") as text:
        try:
            for number, line in enumerate(text, 1):
                mark = "\t" if "\t" in line else ","
                plain = line.strip("\r\n")
                if not plain.strip() or (plain.startswith("#") and mark not in plain):
                    continue
                row = next(csv.reader([plain], delimiter=mark), [])
                if number == 1 and len(row) > 1 and row[1].strip().lower() in ("bytes", "size"):
                    continue
                yield _entry(row[0], row[1] if len(row) > 1 else None, row[2] if len(row) > 2 else None, number)
        except (UnicodeDecodeError, csv.Error) as error:
            raise fault("other", f"its manifest is no UTF-8 text ({error})", hint=_HINT) from None


def _entry(path: Any, size: Any, sha256: Any, number: int) -> Entry:
    """One row; what is wrong with it is a problem of the walk, so that no row goes missing."""
    digest = str(sha256 or "").strip().lower()
    length = str(size).strip()
    key = path if isinstance(path, str) else ""
    if not key or not length.isascii() or not length.isdecimal() or (digest and not _SHA256.fullmatch(digest)):
        return Entry(key or f"row {number}", 0, 0, "bad-row")
    return Entry(key, int(length), version_of_digest(digest) if digest else 0)
