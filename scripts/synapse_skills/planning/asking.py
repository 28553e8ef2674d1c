"""What the facts of uploads and exports have in common: each thing is found out once, and the backend is asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from synapse_skills.errors import SkillsError
from synapse_skills.planning.counted import Progress

if TYPE_CHECKING:
    from synapse_skills.backend import Backend


class Asking:
    """Facts of one round that come from the backend, as a context manager."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress or Progress()
        self._stack = ExitStack()
        self._kept: dict[Any, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.close()
        self._stack.close()

    def once[T](self, key: Any, find: Callable[[], T]) -> T:
        """Find a thing out at most once; an error is remembered too, so that a dead backend is asked once."""
        if key not in self._kept:
            try:
                self._kept[key] = find()
            except SkillsError as error:
                self._kept[key] = error
        found = self._kept[key]
        if isinstance(found, SkillsError):
            raise found
        return found  # type: ignore[no-any-return]

    def backend(self) -> Backend:
        """The backend, proved to be there and to let us in."""

        def connect() -> Backend:
            from synapse_skills.backend import Backend

            return self._stack.enter_context(Backend())

        return self.once("backend", connect)

    def default_storage(self) -> dict[str, Any]:
        """Where uploads land."""
        return self.once("storage", lambda: self.backend().default_storage())

    def project(self, identity: int) -> dict[str, Any]:
        """One project."""
        return self.once(("project", identity), lambda: self.backend().project(identity))
