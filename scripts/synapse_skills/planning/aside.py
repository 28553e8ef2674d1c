"""Files that hold metadata and are no data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synapse_skills.sources import File


@dataclass(frozen=True)
class Aside:
    """Files that hold metadata and are no data: what says how the data lies must not count them.

    Attributes:
        sidecars: a glob.
        tables: tables that lie in a source, by its number and their path.
    """

    sidecars: str | None = None
    tables: tuple[tuple[int, str], ...] = ()

    def without(self, files: Iterable[File]) -> Iterator[File]:
        """The files that are data."""
        from synapse_skills.units.sidecars import Sidecars

        reads = Sidecars(self.sidecars) if self.sidecars is not None else None
        tables = frozenset(self.tables)
        for file in files:
            if (reads is None or not reads.is_one(file)) and (not tables or (file.source, file.key) not in tables):
                yield file


NOTHING = Aside()
