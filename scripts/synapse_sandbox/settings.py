"""What nobody outside knows about the real backend, as switches.

Each default is the kinder guess; a test that must not depend on the guess flips the switch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from synapse_sandbox.errors import BadInput

MIB = 1024 * 1024
ECHOES = ("path", "checksum", "meta", "groups")
HONOURS = ("data_collection", "search", "id", "ids", "ordering")
TARGETS = ("assignment", "task", "ground_truth")
ENFORCES = ("specs", "required", "checksum", "extension", "meta")


@dataclass(frozen=True)
class Settings:
    """The switches. Immutable: a change is another `Settings`.

    Attributes:
        echo: what of a created data unit comes back in its row.
        honours: which parameters of GET data_units/ have an effect; the others are ignored, as unknown ones are.
        enforces: which rules a data unit is held to.
        create_answer: POST data_units/ answers a list, or a page object with `results`.
        tasks_answer: the same for POST tasks/.
        error_shape: a 400 for a list of data units is one dict a unit, or one string a problem.
        storage_session: POST storages/{id}/session/ answers a payload, or 404 or 405 as older backends do.
        session_seconds: how long what a session answers is said to last; null: it does not end.
        session_contract: the version of that answer; the SDK refuses any but 1.
        confirm_twice: a second confirm of one object answers the same data file, or a failed row.
        verify_checksums: which digest POST data_files/verify_checksums/ compares.
        multipart_threshold: from this many bytes on a presigned upload comes in parts.
        part_size: bytes of one part.
        presign_seconds: how long a link lives at most; null: as long as the client asks for.
        media_seconds: how long the link to a file lives; null: for ever, and nothing is signed.
        payload_seconds: the same for the link to a record's `data`; null: for ever.
        payload_uses: how often such a link can be followed; null: as often as one likes.
        wrap_bytes: a `data` longer than this is answered as a wrapper with a link if `response_mode=presigned` is
            asked for; null: never.
        inline_data: what becomes of one so long otherwise: whole; wrapped (`mode: inline` around it); truncated
            (`mode: inline` without it), or truncated_link (the same with a link).
        files_shape: v1 (`file` and `data_unit.files`), or manifest (`files_manifest` in their place).
        expands: the targets whose lists honour `expand=data_unit`; the others show its id.
        narrows: the targets whose lists honour `fields`.
        unknown_filters: an unknown parameter of such a list is ignored, as the real backend does, or refused.
        id_lists: a parameter that is there twice counts as its last value (comma), or as all (repeated).
        configuration: the classes of a project: as_seeded, schema ({tool: {classification_schema: [{code}]}}), or
            names ({tool: [name]}).
        v2_cursor: `next_cursor` is a whole url, or a bare token.
        page_size: rows of a page when the client does not say.
        max_page_size: rows of a page at most.
    """

    echo: tuple[str, ...] = ECHOES
    honours: tuple[str, ...] = HONOURS
    enforces: tuple[str, ...] = ENFORCES
    create_answer: str = "list"
    tasks_answer: str = "list"
    error_shape: str = "dicts"
    storage_session: str = "payload"
    session_seconds: int | None = None
    session_contract: int = 1
    confirm_twice: str = "same"
    verify_checksums: str = "md5"
    multipart_threshold: int = 100 * MIB
    part_size: int = 50 * MIB
    presign_seconds: int | None = None
    media_seconds: int | None = 3600
    payload_seconds: int | None = 3600
    payload_uses: int | None = None
    wrap_bytes: int | None = 64 * 1024
    inline_data: str = "whole"
    files_shape: str = "v1"
    expands: tuple[str, ...] = TARGETS
    narrows: tuple[str, ...] = TARGETS
    unknown_filters: str = "ignored"
    id_lists: str = "comma"
    configuration: str = "as_seeded"
    v2_cursor: str = "url"
    page_size: int = 100
    max_page_size: int = 100

    def changed(self, document: Any, where: str = "settings") -> Settings:
        """These settings with those of a JSON object put over them.

        Raises:
            BadInput: not an object, a setting that doesn't exist, or a value that it can't take.
        """
        if not isinstance(document, dict):
            raise BadInput(f"{where} must be an object")
        values: dict[str, Any] = {}
        for key, value in document.items():
            check = _CHECKS.get(key)
            if check is None:
                raise BadInput(f"{where}.{key}: no such setting", hint=f"Settings: {', '.join(sorted(_CHECKS))}.")
            values[key] = check(value, f"{where}.{key}")
        return replace(self, **values)

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def _some_of(allowed: tuple[str, ...]) -> Callable[[Any, str], tuple[str, ...]]:
    def check(value: Any, where: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(item in allowed for item in value):
            raise BadInput(f"{where}: a list of any of {', '.join(allowed)}; got {value!r}")
        return tuple(item for item in allowed if item in value)

    return check


def _one_of(*allowed: str) -> Callable[[Any, str], str]:
    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise BadInput(f"{where}: one of {', '.join(allowed)}; got {value!r}")
        return value

    return check


def _count(least: int, *, or_null: bool = False) -> Callable[[Any, str], int | None]:
    def check(value: Any, where: str) -> int | None:
        if value is None and or_null:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise BadInput(f"{where}: a whole number from {least}; got {value!r}")
        return value

    return check


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "echo": _some_of(ECHOES),
    "honours": _some_of(HONOURS),
    "enforces": _some_of(ENFORCES),
    "create_answer": _one_of("list", "results"),
    "tasks_answer": _one_of("list", "results"),
    "error_shape": _one_of("dicts", "strings"),
    "storage_session": _one_of("payload", "missing", "not_allowed"),
    "session_seconds": _count(0, or_null=True),
    "session_contract": _count(0),
    "confirm_twice": _one_of("same", "refuse"),
    "verify_checksums": _one_of("md5", "sha1"),
    "multipart_threshold": _count(1),
    "part_size": _count(1),
    "presign_seconds": _count(0, or_null=True),
    "media_seconds": _count(0, or_null=True),
    "payload_seconds": _count(0, or_null=True),
    "payload_uses": _count(0, or_null=True),
    "wrap_bytes": _count(0, or_null=True),
    "inline_data": _one_of("whole", "wrapped", "truncated", "truncated_link"),
    "files_shape": _one_of("v1", "manifest"),
    "expands": _some_of(TARGETS),
    "narrows": _some_of(TARGETS),
    "unknown_filters": _one_of("ignored", "refused"),
    "id_lists": _one_of("comma", "repeated"),
    "configuration": _one_of("as_seeded", "schema", "names"),
    "v2_cursor": _one_of("url", "token"),
    "page_size": _count(1),
    "max_page_size": _count(1),
}

if set(_CHECKS) != {field.name for field in fields(Settings)}:
    raise TypeError("every setting needs exactly one check")
