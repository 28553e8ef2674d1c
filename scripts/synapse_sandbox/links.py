"""Presigned links, to PUT an object or to GET a file: an HMAC over everything that a link allows, and an end.

The parameters carry S3's names, so that whatever redacts or parses real links sees the same here.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from xml.sax.saxutils import escape

from starlette.responses import Response


class S3Error(Exception):
    """A refusal in the words of an object store: XML with a code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def response(self) -> Response:
        """The refusal as it goes over the wire."""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(self.code)}</Code><Message>{escape(str(self))}</Message></Error>"
        )
        return Response(text, self.status, media_type="application/xml")


def sign(secret: bytes, base: str, key: str, seconds: int, *, upload_id: str = "", part: int = 0) -> str:
    """A link that allows one PUT of one object, or of one part of it, for some seconds."""
    issued = int(time.time())
    query = {"X-Amz-Date": str(issued), "X-Amz-Expires": str(seconds)}
    if part:
        query |= {"uploadId": upload_id, "partNumber": str(part)}
    query["X-Amz-Signature"] = _signature(secret, key, query)
    # Our keys, digits and hex need no escaping.
    return f"{base}/bucket/{key}?{_joined(query)}"


def check(secret: bytes, key: str, query: Mapping[str, str]) -> int:
    """Check a link as it came back.

    Returns:
        The number of the part, 0 for a whole object.

    Raises:
        S3Error: unsigned, changed, or too late.
    """
    return int(_checked(secret, key, query, "PUT").get("partNumber", "0"))


def tag(secret: bytes, text: str) -> str:
    """A part of an address that belongs to this text and this secret only."""
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:16]


def sign_get(secret: bytes, key: str, seconds: int, **more: str) -> str:
    """The parameters of a link that allows to GET something for some seconds; `more`, hex, makes it another link."""
    query = {"X-Amz-Date": str(int(time.time())), "X-Amz-Expires": str(seconds), **more}
    query["X-Amz-Signature"] = _signature(secret, key, query, "GET")
    return _joined(query)


def check_get(secret: bytes, key: str, query: Mapping[str, str]) -> None:
    """Check a link to GET something as it came back.

    Raises:
        S3Error: unsigned, changed, or too late.
    """
    _checked(secret, key, query, "GET")


def _joined(query: Mapping[str, str]) -> str:
    return "&".join([f"{name}={value}" for name, value in query.items()])


def _checked(secret: bytes, key: str, query: Mapping[str, str], method: str) -> dict[str, str]:
    given = dict(query)
    signature = given.pop("X-Amz-Signature", "")
    if not signature or "X-Amz-Date" not in given or "X-Amz-Expires" not in given:
        raise S3Error(403, "AccessDenied", "Access Denied")
    if not hmac.compare_digest(signature.encode(), _signature(secret, key, given, method).encode()):
        message = "The request signature we calculated does not match the signature you provided."
        raise S3Error(403, "SignatureDoesNotMatch", message)
    if time.time() > int(given["X-Amz-Date"]) + int(given["X-Amz-Expires"]):
        raise S3Error(403, "AccessDenied", "Request has expired")
    return given


def _signature(secret: bytes, key: str, query: Mapping[str, str], method: str = "PUT") -> str:
    signed = "\n".join([method, key, *[f"{name}={query[name]}" for name in sorted(query)]])
    return hmac.digest(secret, signed.encode("utf-8", "surrogatepass"), "sha256").hex()
