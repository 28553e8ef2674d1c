"""What the collection held before the job: prints of its rows, in a table of the ledger, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from synapse_skills.job.upload.ledger import NOTHING, Ledger

PARTS = ("path", "meta", "checksum", "groups")

# Where the rows show checksums: the same content, and the same path or metadata that only one row has. The backend may
# show a path or metadata in a form of its own; both at once, and the content with them, is nothing that happens.
_BY_CONTENT = """
SELECT id, path_print IS :path, meta_print IS :meta FROM server_unit
WHERE taken = 0 AND checksum_print = :checksum AND (
  path_print = :path
  OR (meta_print = :meta AND (path_print IS NULL
    OR (SELECT count(*) FROM (SELECT 1 FROM server_unit WHERE meta_print = :meta LIMIT 2)) < 2))
  OR (path_print IS NULL AND meta_print IS NULL))
ORDER BY (path_print IS :path) + (meta_print IS :meta) DESC, groups_print IS :groups DESC, id LIMIT 1
"""
# Where they show none, everything that they do show has to agree.
_BY_NAME = """
SELECT id, 1, 1 FROM server_unit WHERE taken = 0
  AND (path_print = :path OR (path_print IS NULL AND meta_print = :meta)) AND (meta_print IS NULL OR meta_print = :meta)
ORDER BY groups_print IS :groups DESC, id LIMIT 1
"""
# What has to hold beside the content: worth asking before a file is hashed, or converted to be hashed.
_MAY_BE = """
SELECT 1 FROM server_unit WHERE taken = 0 AND (
  path_print = :path
  OR (meta_print = :meta AND (path_print IS NULL
    OR (SELECT count(*) FROM (SELECT 1 FROM server_unit WHERE meta_print = :meta LIMIT 2)) < 2)))
LIMIT 1
"""
# Where the content can't be compared: the same path, and nothing that speaks against it; or the same metadata, that
# only one row has, where no paths are shown.
_BY_NAME_ALONE = """
SELECT id FROM server_unit WHERE taken = 0 AND (
  (path_print = :path AND (meta_print IS NULL OR meta_print = :meta))
  OR (path_print IS NULL AND meta_print = :meta
    AND (SELECT count(*) FROM (SELECT 1 FROM server_unit WHERE meta_print = :meta LIMIT 2)) < 2))
ORDER BY groups_print IS :groups DESC, id LIMIT 1
"""


class Before:
    """The data units that were there before this job, but those that are known to be ours."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._shown: set[str] = set()

    def keep(self, rows: Iterable[tuple[int, Mapping[str, str]]]) -> None:
        """Remember rows: id and prints."""
        self._ledger.write_many(
            "INSERT OR IGNORE INTO server_unit(id, path_print, meta_print, checksum_print, groups_print) "
            "VALUES (?, ?, ?, ?, ?)",
            ((i, *(prints[part] for part in PARTS)) for i, prints in rows if not self._ledger.owns(i)),
        )

    def blank_silent_parts(self) -> None:
        """What no row has, this backend does not send back: it says nothing about any unit."""
        for part in PARTS:
            if not self._has(f"{part}_print <> '{NOTHING}'"):
                self._ledger.write(f"UPDATE server_unit SET {part}_print=NULL")  # noqa: S608 - names from above

    def look(self) -> tuple[bool, bool]:
        """Whether there is any row that a unit could match, and whether the rows show anything to know them by."""
        self._shown = {part for part in PARTS if self._has(f"{part}_print IS NOT NULL")}
        return self._has("taken = 0"), bool(self._shown - {"groups"})

    @property
    def shows_content(self) -> bool:
        """Whether contents can be compared."""
        return "checksum" in self._shown

    @property
    def shows_content_only(self) -> bool:
        """Whether contents are all there is to compare."""
        return self._shown - {"groups"} == {"checksum"}

    def may_have(self, prints: Mapping[str, str]) -> bool:
        """Whether it is worth hashing a unit's files: a row agrees in name, or the rows show no names."""
        if not self._shown & {"path", "meta"}:
            return True
        return bool(self._ledger.db.execute(_MAY_BE, dict(prints)).fetchone())

    def find(self, prints: Mapping[str, str]) -> tuple[int, bool] | None:
        """The row of a unit: id, and whether path and metadata are the same as well."""
        query = _BY_CONTENT if self.shows_content else _BY_NAME
        row = self._ledger.db.execute(query, dict(prints)).fetchone()
        if row is None:
            return None
        same = all(row[1 + at] for at, part in enumerate(("path", "meta")) if part in self._shown)
        return int(row[0]), same

    def find_by_name(self, prints: Mapping[str, str]) -> int | None:
        """The row of a unit whose content can't be compared, by all else that the rows show."""
        row = self._ledger.db.execute(_BY_NAME_ALONE, dict(prints)).fetchone()
        return int(row[0]) if row else None

    def _has(self, condition: str) -> bool:
        query = f"SELECT 1 FROM server_unit WHERE {condition} LIMIT 1"  # noqa: S608 - conditions from this class
        return bool(self._ledger.db.execute(query).fetchone())
