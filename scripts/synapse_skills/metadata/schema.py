"""A collection's `data_unit_meta_schema` against the metadata of a data unit.

jsonschema-rs decides: a hundred times faster than the pure Python validator, which the sandbox uses as a second
opinion. Formats are off (the drafts disagree on them) and references to anything outside the schema are refused:
left alone, the validator would fetch URLs and open files that a schema names (contract/EXPERIMENTS.md, e5).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from synapse_skills.errors import FindingError, OutOfReach

STANDARD_KEYS = ("name", "dataset_key")


class BadSchema(FindingError):
    """The collection's meta schema is not a JSON Schema."""

    code = "bad-meta-schema"
    hint = "Have the collection's data_unit_meta_schema mended in Synapse: nothing can be validated against it."


def _refuse(uri: str) -> Any:
    raise ValueError(f"reference to {uri} refused: a meta schema may only refer to itself")


class MetaCheck:
    """The metadata rules of one collection, compiled once.

    Args:
        schema: the collection's `data_unit_meta_schema`, None if it has none (then everything fits).

    Raises:
        BadSchema: the schema can't be compiled or refers to something outside itself.
        OutOfReach: the collection has a schema and jsonschema-rs is not installed.
    """

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self._validator = None
        if schema is None:
            return
        try:
            import jsonschema_rs
        except ImportError:
            raise OutOfReach(
                "The collection has a meta schema, and jsonschema-rs is not installed to check it.",
                hint="Install the job's requirements.txt.",
                code="missing-library",
            ) from None
        try:
            self._validator = jsonschema_rs.validator_for(dict(schema), validate_formats=False, retriever=_refuse)
        except Exception as error:
            raise BadSchema(f"The collection's meta schema can't be used: {str(error).splitlines()[0]}") from None

    def errors(self, meta: Mapping[str, Any] | None) -> list[str]:
        """All that is wrong with one unit's metadata, `field: reason` each; empty if it fits."""
        try:
            return self._errors(_as_json(meta or {}))
        except NotJson as error:
            return [str(error)]

    def _errors(self, meta: dict[str, Any]) -> list[str]:
        if self._validator is None:
            return []
        return [
            f"{'.'.join(str(part) for part in item.instance_path) or 'meta'}: {item.message}"
            for item in self._validator.iter_errors(meta)
        ]

    def complete(self, described: Mapping[str, Any], unit_key: str) -> tuple[dict[str, Any] | None, list[str]]:
        """The metadata as it is sent: `name` and `dataset_key` added where the schema lets them in.

        Values given by `described` always win. Returns the metadata (None when there is nothing to say) and what is
        wrong with it. What is returned has been through JSON: what was validated is what is sent.
        """
        try:
            said = _as_json(described)
        except NotJson as error:
            return None, [str(error)]
        full = dict[str, Any](dict.fromkeys(STANDARD_KEYS, unit_key)) | said
        if not self._errors(full):
            return full, []
        for dropped in (("dataset_key",), ("name",), STANDARD_KEYS):
            less = {key: value for key, value in full.items() if key not in dropped or key in said}
            if less != full and not self._errors(less):
                return less or None, []
        return said or None, self._errors(said)


class NotJson(ValueError):
    """A value that can't be sent."""


def _as_json(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata as the backend will read it: tuples are lists, keys are text, enums are their values."""
    try:
        text = json.dumps(dict(meta), allow_nan=False, ensure_ascii=False)
        # Half a surrogate pair (a name that was not UTF-8, say) is text for Python and for nobody else.
        text.encode()
        read: dict[str, Any] = json.loads(text)
    except UnicodeEncodeError as error:
        raise NotJson(f"not UTF-8: {error.object[max(0, error.start - 20) : error.end]!r}") from None
    except (TypeError, ValueError) as error:
        raise NotJson(f"not JSON: {error}") from None
    except RecursionError:
        raise NotJson("not JSON: nested too deeply") from None
    return read


def check_meta(schema: Mapping[str, Any] | None, meta: Mapping[str, Any] | None) -> list[str]:
    """One-off form of `MetaCheck(schema).errors(meta)`."""
    return MetaCheck(schema).errors(meta)
