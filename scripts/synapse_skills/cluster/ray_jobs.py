"""Ray's Jobs REST API: the only place that tells what has become of a job.

The SDK's command line ends with 0 for a failed job, drops parts of its log and has no time limit; here every request
ends, and every answer that isn't Ray's is recognised as such.
"""

from __future__ import annotations

import os
import ssl
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import quote

from synapse_skills.errors import OutOfReach, keep_secret, printable, redact
from synapse_skills.texts import parse_json

TAG = "SYNAPSE_SKILLS_SUBMISSION"
"""Travels with every submission, so that a job is found again by whoever lost its id."""
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_SECONDS = 15.0
_LOG_SECONDS = 120.0
_MOST_BYTES = 64 << 20
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class JobInfo:
    """What Ray knows of a job. Nothing of its environment is kept but our own tag: the rest holds the login."""

    id: str
    status: str
    message: str = ""
    error_type: str = ""
    exit_code: int | None = None
    started: float | None = None
    ended: float | None = None
    entrypoint: str = ""
    tag: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status in ENDED

    @property
    def never_began(self) -> bool:
        """Failed before the script's first line: the packages, the folder or the machine."""
        return self.status == "FAILED" and self.exit_code is None

    @property
    def said(self) -> str:
        """The message without the log's end, which Ray repeats in it for a script that failed."""
        return self.message.partition(", last available logs")[0] if self.exit_code is not None else self.message

    def elapsed(self) -> float | None:
        """Seconds that it has run."""
        if self.started is None:
            return None
        return max(0.0, (self.ended or time.time()) - self.started)


class RayJobs:
    """The jobs of one Ray dashboard.

    Args:
        dashboard: `http://host:8265`.
        environ: where Ray's own token may be named.
        seconds: after which a request is given up.

    Attributes:
        used_token: the dashboard asked for Ray's token and got it.
    """

    def __init__(
        self, dashboard: str, *, environ: Mapping[str, str] = os.environ, seconds: float | None = None
    ) -> None:
        self.dashboard = dashboard.rstrip("/")
        self.used_token = False
        self._seconds = seconds or _SECONDS
        self._mode = environ.get("RAY_AUTH_MODE", "").lower()
        self._token = "" if self._mode == "disabled" else _ray_token(environ)
        keep_secret(self._token)

    @property
    def token(self) -> str:
        """Ray's own token, if the dashboard asked for it; a secret."""
        return self._token if self.used_token else ""

    def version(self) -> str:
        """The cluster's Ray version.

        Raises:
            OutOfReach: as for every method here: `dashboard-unreachable`, `ray-token`, `not-ray`, `job-unknown`.
        """
        found = self._json("GET", "/api/version")
        if not isinstance(found, dict) or not isinstance(found.get("ray_version"), str):
            raise self._not_ray("another kind of JSON")
        return str(found["ray_version"])

    def info(self, job_id: str) -> JobInfo:
        """What Ray knows of a job."""
        found = self._json("GET", f"/api/jobs/{quote(job_id, safe='')}")
        info = _info(found)
        if info is None:
            raise self._not_ray("another kind of JSON")
        return info

    def logs(self, job_id: str) -> str:
        """All that a job has printed so far; of more than 64 MB the end."""
        found = self._json("GET", f"/api/jobs/{quote(job_id, safe='')}/logs", seconds=_LOG_SECONDS)
        if not isinstance(found, dict) or not isinstance(found.get("logs"), str | None):
            raise self._not_ray("another kind of JSON")
        return found.get("logs") or ""

    def stop(self, job_id: str) -> bool:
        """Ask Ray to stop a job; False if it had ended."""
        found = self._json("POST", f"/api/jobs/{quote(job_id, safe='')}/stop")
        return bool(found.get("stopped")) if isinstance(found, dict) else False

    def jobs(self) -> list[JobInfo]:
        """Every submitted job that Ray remembers, the newest first."""
        found = self._json("GET", "/api/jobs/")
        if not isinstance(found, list):
            raise self._not_ray("another kind of JSON")
        rows = [info for info in map(_info, found) if info is not None]
        return sorted(rows, key=lambda info: info.started or 0.0, reverse=True)

    def by_tag(self, tag: str) -> JobInfo | None:
        """The job that was submitted with a tag."""
        return next((info for info in self.jobs() if info.tag == tag), None)

    def _json(self, method: str, path: str, *, seconds: float | None = None) -> Any:
        status, body = self._ask(method, path, seconds or self._seconds)
        text = body.decode("utf-8", "replace")
        if status in (401, 403):
            raise OutOfReach(
                f"The Ray dashboard {self.dashboard} asks for its own token"
                + (", and refuses the one that is set." if self._token else "."),
                hint="Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH as the cluster's owner tells you.",
                code="ray-token",
            )
        if status == 404 and "does not exist" in text and "/api/jobs/" in path:
            raise OutOfReach(
                "Ray does not know this job: it was deleted, or the cluster was started anew since.",
                hint="What it did is on the backend and in its state folder; submitting again goes on from there.",
                code="job-unknown",
            )
        if status >= 500 or status == 429:
            lines = [line for line in text.strip().splitlines() if line.strip()]
            said = "" if "<" in text[:200] else ": " + redact(printable(lines[-1][:200])) if lines else ""
            raise OutOfReach(
                f"The Ray dashboard {self.dashboard} answers {status}{said}",
                hint="It is overloaded or failing: wait a little and ask again, or ask the cluster's owner.",
                code="dashboard-unreachable",
            )
        if status != 200:
            raise self._not_ray(f"{status}")
        try:
            return parse_json(text)
        except ValueError:
            raise self._not_ray("a page" if "<" in text[:500] else "something else") from None

    def _ask(self, method: str, path: str, seconds: float) -> tuple[int, bytes]:
        status, body = self._send(method, path, seconds, with_token=self._mode == "token" or self.used_token)
        if status == 401 and self._token and not self.used_token:
            # Without RAY_AUTH_MODE the token is only shown where it is asked for.
            self.used_token = True
            status, body = self._send(method, path, seconds, with_token=True)
        return status, body

    def _send(self, method: str, path: str, seconds: float, *, with_token: bool) -> tuple[int, bytes]:
        request = urllib.request.Request(self.dashboard + path, method=method)  # noqa: S310 - always http
        request.add_header("User-Agent", "synapse-skills")
        request.add_header("Accept", "application/json")
        if method == "POST":
            request.data = b""
        if with_token and self._token:
            self.used_token = True
            request.add_header("Authorization", f"Bearer {self._token}")
        deadline = time.monotonic() + seconds
        try:
            opener = urllib.request.build_opener(_NoRedirects())
            with opener.open(request, timeout=min(seconds, self._seconds)) as response:
                return int(response.status), _read(response, deadline)
        except urllib.error.HTTPError as error:
            with error:
                try:
                    return error.code, _read(error, deadline)
                except (OSError, HTTPException):
                    return error.code, b""
        except urllib.error.URLError as error:
            raise self._unreachable(error.reason) from None
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from None
        except ValueError:
            # Its message would quote the header, that is the token.
            raise self._unreachable("its address or the Ray token holds characters that can't be sent") from None

    def _unreachable(self, reason: Any) -> OutOfReach:
        if isinstance(reason, TimeoutError):
            why = "no answer in time"
        elif isinstance(reason, IncompleteRead):
            why = "its answer broke off"
        elif isinstance(reason, ssl.SSLError):
            why = "it does not speak plain http"
        else:
            why = str(getattr(reason, "strerror", None) or reason) or type(reason).__name__
        return OutOfReach(
            f"The Ray dashboard {self.dashboard} can't be reached: {redact(printable(why))}.",
            hint="It must be reachable from here (VPN, firewall, is the cluster up?), or do this from where it is.",
            code="dashboard-unreachable",
        )

    def _not_ray(self, what: str) -> OutOfReach:
        return OutOfReach(
            f"{self.dashboard} answers with {what}: this is not Ray's dashboard.",
            hint="Check the agent's address (`synapse agent show`); a login page in between must be passed first.",
            code="not-ray",
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: following it would carry the token to another host."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Refuse."""


def _read(response: Any, deadline: float) -> bytes:
    """The body, its end if it is very long; TimeoutError where bytes only drip."""
    pieces: deque[bytes] = deque()
    size = 0
    while piece := response.read1(_PIECE) if hasattr(response, "read1") else response.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        while size - len(pieces[0]) > _MOST_BYTES:
            size -= len(pieces.popleft())
        if time.monotonic() > deadline:
            raise TimeoutError
    if getattr(response, "length", None):
        raise IncompleteRead(b"")
    return b"".join(pieces)


def _ray_token(environ: Mapping[str, str]) -> str:
    """Ray's own token, where Ray itself looks for it."""
    if environ.get("RAY_AUTH_TOKEN"):
        return environ["RAY_AUTH_TOKEN"].strip()
    named = environ.get("RAY_AUTH_TOKEN_PATH")
    try:
        return (Path(named) if named else Path.home() / ".ray" / "auth_token").read_text(encoding="utf-8").strip()
    except (OSError, ValueError, RuntimeError):
        return ""


def _info(row: Any) -> JobInfo | None:
    """A job record without its secrets; None for what isn't one (a driver without a submission)."""
    if not isinstance(row, dict) or not isinstance(row.get("status"), str):
        return None
    job_id = row.get("submission_id") or row.get("job_id")
    if not isinstance(job_id, str) or row.get("type") == "DRIVER":
        return None
    environment = (row.get("runtime_env") or {}).get("env_vars") if isinstance(row.get("runtime_env"), dict) else None
    tag = environment.get(TAG) if isinstance(environment, dict) else None
    if isinstance(environment, dict):
        for name in ("SYNAPSE_ACCESS_TOKEN", "SYNAPSE_PLUGIN_RUN_USER_TOKEN"):
            if isinstance(environment.get(name), str):
                keep_secret(environment[name])  # Ray may quote it in a message
    code = row.get("driver_exit_code")
    return JobInfo(
        id=job_id,
        status=row["status"],
        message=redact(str(row.get("message") or "")),
        error_type=str(row.get("error_type") or ""),
        exit_code=code if isinstance(code, int) else None,
        started=_seconds(row.get("start_time")),
        ended=_seconds(row.get("end_time")),
        entrypoint=str(row.get("entrypoint") or ""),
        tag=tag if isinstance(tag, str) else "",
    )


def _seconds(value: Any) -> float | None:
    return value / 1000 if isinstance(value, int | float) and value > 0 else None
