"""What stops the sandbox from starting, and what a route answers instead of its result."""

from __future__ import annotations

from typing import Any


class SandboxError(Exception):
    """The sandbox can't start or can't be told this: a bad seed, a bad faults file, a state that is taken.

    Attributes:
        hint: what to do next, one sentence.
        environment: the file was fine, the machine was not (port taken, state folder in use).
    """

    def __init__(self, message: str, *, hint: str = "", environment: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.environment = environment


class BadInput(SandboxError):
    """A seed, settings or faults document that can't be used; the message names the place in it."""


class ApiError(Exception):
    """A route's refusal, answered as JSON in the shape that Django REST framework gives it."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = {"detail": body} if isinstance(body, str) else body
        self.headers = headers or {}


def not_found(what: str) -> ApiError:
    """404 as the real backend words it."""
    return ApiError(404, f"No {what} matches the given query.")
