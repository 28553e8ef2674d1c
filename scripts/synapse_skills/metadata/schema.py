"""A collection's `data_unit_meta_schema` against the metadata of a data unit.

jsonschema-rs decides: a hundred times faster than the pure Python validator, which the sandbox uses as a second
opinion. Formats are off (the drafts disagree on them) and references to anything outside the schema are refused:
left alone, the validator would fetch URLs and open files that a schema names (contract/EXPERIMENTS.md, e5). Where
validators are known to differ, `doubts` says so: the backend's own has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.metadata.coerce import Coercion
from synapse_skills.metadata.doubts import without_what_is_unknown
from synapse_skills.metadata.faults import Fault
from synapse_skills.metadata.plain import as_json
from synapse_skills.metadata.shapes import Shapes
from synapse_skills.metadata.wording import cut, faults_in

STANDARD_KEYS = ("name", "dataset_key")
MAX_FAULTS = 100


class BadSchema(FindingError):
    """The collection's meta schema is not a JSON Schema."""

    code = "bad-meta-schema"
    hint = "Have the collection's data_unit_meta_schema mended in Synapse: nothing can be validated against it."


def _refuse(uri: str) -> Any:
    raise ValueError(f"reference to {uri} refused: a meta schema may only refer to itself")


def compiled(schema: Any) -> Any:
    """A validator of jsonschema-rs that asks nobody and opens nothing.

    Args:
        schema: a mapping, True or False.

    Raises:
        BadSchema: the schema can't be compiled or refers to something outside itself.
        OutOfReach: jsonschema-rs is not installed.
    """
    try:
        import jsonschema_rs
    except ImportError:
        raise OutOfReach(
            "The collection has a meta schema, and jsonschema-rs is not installed to check it.",
            hint="Install the job's requirements.txt.",
            code="missing-library",
        ) from None
    try:
        known = without_what_is_unknown(schema)
        return jsonschema_rs.validator_for(known, validate_formats=False, retriever=_refuse)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        where = next((line for line in lines if line.startswith("Failed validating")), "")
        place = where.partition(" in ")[2].rstrip(":") if "[" in where else ""
        told = f"{cut(lines[0], 200)}{f' (in {cut(place, 100)})' if place else ''}"
        raise BadSchema(f"The collection's meta schema can't be used: {told}") from None


class MetaCheck:
    """The metadata rules of one collection, compiled once.

    Args:
        schema: the collection's `data_unit_meta_schema`, None if it has none (then everything fits that can be sent).

    Raises:
        BadSchema: the schema can't be compiled or refers to something outside itself.
        OutOfReach: the collection has a schema and jsonschema-rs is not installed.
    """

    def __init__(self, schema: Mapping[str, Any] | bool | None) -> None:
        self._validator = None if schema is None else compiled(dict(schema) if isinstance(schema, Mapping) else schema)
        self._coercion = Coercion(schema, self._validator)
        self._added = _let_in(self._validator)
        self._shapes = Shapes(self._coercion, self._added)

    def faults(self, meta: Mapping[str, Any] | None) -> list[Fault]:
        """All that is wrong with one unit's metadata as it is, without coercion; empty if it fits."""
        plain, unfit = as_json(meta or {})
        return unfit or self._faults(plain)

    def errors(self, meta: Mapping[str, Any] | None) -> list[str]:
        """The messages of `faults`."""
        return [str(fault) for fault in self.faults(meta)]

    def _faults(self, meta: dict[str, Any]) -> list[Fault]:
        if self._validator is None or self._validator.is_valid(meta):
            return []
        found: dict[Fault, None] = {}
        for error in self._validator.iter_errors(meta):
            found.update(dict.fromkeys(faults_in(error, meta)))
            if len(found) >= MAX_FAULTS:
                break
        return list(found)[:MAX_FAULTS]

    def complete(self, described: Mapping[str, Any], unit_key: str) -> tuple[dict[str, Any] | None, list[Fault]]:
        """The metadata as it is sent: coerced by the schema, `name` and `dataset_key` added where it lets them in.

        Values given by `described` always win. Returns the metadata (None when there is nothing to say) and what is
        wrong with it. What is returned is plain JSON: what was validated is what is sent.
        """
        validator = self._validator
        shape = self._shapes.of(described)
        if shape is not None and (full := shape.filled(described, unit_key)) is not None:
            if validator is None:
                return full or None, []
            if validator.is_valid(full):
                return self._coercion.polish_by(shape.polished, full) or None, []
            coerced = shape.coerced(full)
            if coerced is not full and not shape.key_polished and validator.is_valid(coerced):
                return coerced or None, []
            return self._nearest(validator, described, unit_key)
        full, unfit = as_json(described, dict.fromkeys(self._added, unit_key))
        if unfit:
            return None, unfit
        if validator is None:
            return full or None, []
        if validator.is_valid(full):
            return self._coercion.polish(full) or None, []
        return self._nearest(validator, described, unit_key)

    def _nearest(
        self, validator: Any, described: Mapping[str, Any], unit_key: str
    ) -> tuple[dict[str, Any] | None, list[Fault]]:
        """The same for metadata that does not fit as it is, with all that can be added."""
        said = as_json(described)[0]
        better = self._coercion.apply(said)
        # As coerced, then as it was: a schema can tie fields together in ways that no field shows.
        starts = [better] if better is said else [better, said]
        for meta in (form for start in starts for form in self._forms(start, unit_key)):
            if validator.is_valid(meta):
                return self._coercion.polish(meta) or None, []
        # What the user has to mend is what no choice of ours can: the fewest faults, the least added.
        faults = min((self._faults(meta) for meta in reversed(list(self._forms(better, unit_key)))), key=len)
        return better or None, faults

    def _forms(self, said: dict[str, Any], unit_key: str) -> Iterator[dict[str, Any]]:
        """The metadata with `name` and `dataset_key`, with one of them, with none: what was not said, and may be."""
        added = tuple(key for key in self._added if key not in said)
        for choice in dict.fromkeys((added, added[:1], added[1:], ())):
            yield dict.fromkeys(choice, unit_key) | said


def _let_in(validator: Any) -> tuple[str, ...]:
    """Which of the standard keys a schema does not refuse whatever else is there.

    The validator says so itself: its top `additionalProperties` looks at nothing but names.
    """
    if validator is None:
        return STANDARD_KEYS
    return tuple(
        key
        for key in STANDARD_KEYS
        if not any(list(error.schema_path) == ["additionalProperties"] for error in _refusals(validator, key))
    )


def _refusals(validator: Any, key: str) -> Iterator[Any]:
    for error in validator.iter_errors({key: ""}):
        # Any other schema there looks at the value: only false is sure to refuse the next one too.
        if error.kind.name == "additionalProperties" or (error.kind.name == "falseSchema" and not error.instance_path):
            yield error


def check_meta(schema: Mapping[str, Any] | bool | None, meta: Mapping[str, Any] | None) -> list[str]:
    """One-off form of `MetaCheck(schema).errors(meta)`."""
    return MetaCheck(schema).errors(meta)
