"""HTTP for Google Cloud Storage and plain web servers: one way to ask, one way to sort what goes wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from synapse_skills.sources.faults import Fault, fault, timeout_s
from synapse_skills.sources.remote import CHUNK

CONNECT_S = 10.0


def timeouts() -> tuple[float, float]:
    """Seconds to connect, and between two bytes."""
    seconds = timeout_s()
    return min(CONNECT_S, seconds), seconds


@contextlib.contextmanager
def request_faults() -> Iterator[None]:
    """Sort what requests, urllib3 and google-auth raise."""
    import requests
    import urllib3
    from google.auth import exceptions as google

    try:
        yield
    except google.RefreshError as error:
        raise fault("refused-login", error) from None
    except google.TransportError as error:
        raise fault("unreachable", error) from None
    except google.GoogleAuthError as error:
        raise fault("login", error) from None
    except requests.exceptions.SSLError as error:
        raise fault("tls", _reason(error)) from None
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise fault("timeout", _reason(error)) from None
    except (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError) as error:
        raise fault("cut", _reason(error)) from None
    except requests.exceptions.ConnectionError as error:
        raise fault("unreachable", _reason(error)) from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise fault("other", _reason(error)) from None


def _reason(error: BaseException) -> str:
    """The innermost reason: urllib3 wraps it in a sentence about its pool."""
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    text = str(reason if isinstance(reason, BaseException) else error)
    return text.rpartition(">: ")[2]


def fault_of_status(status: int, said: str) -> Fault | None:
    """What a status means; None if it is fine."""
    if status < 400:
        return None
    if status in (404, 410):
        return Fault("missing")
    if status == 401:
        return fault("refused-login", said)
    if status == 403:
        return fault("denied", said)
    if status == 412:
        return Fault("exists")
    if status in (408, 429) or status >= 500:
        return fault("busy", f"status {status}")
    return fault("other", f"status {status} {said}".strip())


def chunks(response: Any) -> Iterator[bytes]:
    """The bytes as they are stored, in a stream: nothing is unpacked on the way."""
    with request_faults():
        yield from response.raw.stream(CHUNK, decode_content=False)
