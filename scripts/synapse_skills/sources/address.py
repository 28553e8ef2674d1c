"""A URL taken apart: which kind of place, which bucket or host, which key or folder.

By hand and not by urlsplit: `#`, `?` and `%` are ordinary characters in the key of an object and the name of a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from synapse_skills.errors import OutOfReach, UsageError, printable, redact

SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://")
STORAGE = "storage"
KINDS = {
    "s3": "s3",
    "s3a": "s3",
    "s3n": "s3",
    "gs": "gs",
    "gcs": "gs",
    "sftp": "sftp",
    "ssh": "sftp",
    "smb": "smb",
    "cifs": "smb",
    "http": "http",
    "https": "https",
    "memory": "memory",
    STORAGE: STORAGE,
}
"""Schemes that are understood, each with the one that it is written as."""
_ALTERNATIVES = {
    "az": "Mount the container (blobfuse2), copy it with azcopy, or register it as a storage in Synapse",
    "ftp": "Use sftp://, which encrypts the login, or mount or copy the files",
    "file": "Name the folder by its path, without file://",
    "synology": "Use smb:// or sftp:// of the NAS",
    "hdfs": "Mount it (NFS gateway) or copy the files",
    "webdav": "Mount it, or copy the files with rclone",
}
_SAME = {"abfs": "az", "abfss": "az", "wasb": "az", "wasbs": "az", "adl": "az", "azure": "az", "ftps": "ftp"}
_SAME |= {"dav": "webdav", "davs": "webdav"}


@dataclass(frozen=True)
class Address:
    """A URL without secrets.

    Attributes:
        kind: one of the values of `KINDS`.
        host: bucket, host name, or the number of a storage.
        path: the key prefix or folder without slashes at its ends; '' is all of it. On SMB it begins with the share.
        user: who logs in (SFTP, SMB), '' if the URL does not say.
        port: as the URL says, None otherwise.
    """

    kind: str
    host: str
    path: str = ""
    user: str = ""
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        path = f"/{self.path}" if self.path else ""
        return f"{self.kind}://{user}{self.host}{port}{path}"

    def under(self, name: str) -> str:
        """The URL of something below it."""
        return f"{self}/{name}" if name else str(self)


def is_url(text: str) -> bool:
    """Whether a text is a URL of any kind, also one that is not supported."""
    return SCHEME.match(text.strip()) is not None


def parse_address(text: str) -> Address:
    """Take a URL apart.

    Raises:
        OutOfReach: `source-not-supported` (with the alternative), `source-outside` (`..`), `source-missing` (no host).
        UsageError: `source-secret`: a password or a signed query in it, which would end up in files and logs.
    """
    text = text.strip()
    found = SCHEME.match(text)
    scheme = found["scheme"].lower() if found else ""
    shown = printable(redact(text))
    if scheme not in KINDS:
        known = _SAME.get(scheme, scheme)
        raise OutOfReach(
            f"{shown}: {scheme}:// is not supported.",
            hint=_ALTERNATIVES.get(
                known, "Mount or copy the files; s3, gs, sftp, smb, http, https and folders are read"
            )
            + ".",
            code="source-not-supported",
        )
    kind = KINDS[scheme]
    authority, _, path = text[len(scheme) + 3 :].partition("/")
    user, at, host = authority.rpartition("@")
    if at and (":" in user or kind in ("s3", "gs", "http", "https")):
        raise UsageError(
            f"{shown} holds a login: a URL ends up in plans, logs and messages.",
            hint="Take it out, and give the password or keys in the SYNAPSE_ variables (check_path --help).",
            code="source-secret",
        )
    if kind in ("http", "https") and "?" in path:
        raise UsageError(
            f"{shown} has a query, which may be a signature: a URL ends up in plans, logs and messages.",
            hint="Name the manifest by its plain address, and give a token in SYNAPSE_HTTP_TOKEN.",
            code="source-secret",
        )
    host, port = _port(host, shown) if kind in ("sftp", "smb", "http", "https") else (host, None)
    if not host and kind != "memory":
        raise OutOfReach(
            f"{shown} names no bucket or host.", hint="Write it as kind://name/folder.", code="source-missing"
        )
    if "\0" in text or ".." in path.split("/"):
        raise OutOfReach(f"{shown}: `..` would lead out of it.", hint="Name the folder itself.", code="source-outside")
    return Address(kind, host, path.strip("/"), user, port)


def _port(host: str, shown: str) -> tuple[str, int | None]:
    """Host and port; an IPv6 address is in square brackets."""
    name, colon, number = host.rpartition(":")
    if not colon or number.endswith("]"):
        return host, None
    if not number.isdecimal() or not 0 < int(number) < 65536:
        raise OutOfReach(f"{shown}: {number} is no port.", hint="Check the URL.", code="source-missing")
    return name, int(number)
