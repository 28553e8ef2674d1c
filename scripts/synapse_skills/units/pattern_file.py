"""The batch pattern: `{root, file_rules, group_key_regex, dataset_key_template}` as other tools write it.

A rule's glob is compared with the whole path relative to `root`; `**` stands for any number of folders. The regular
expression is searched in the same path (`units.grouping.by_regex`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synapse_skills.errors import FindingError, UsageError, printable
from synapse_skills.plan import GroupingPlan, SpecPlan
from synapse_skills.units.grouping import by_regex
from synapse_skills.units.mapping import by_pattern

MAX_BYTES = 1 << 20
_FIELDS = ("root", "file_rules", "group_key_regex", "dataset_key_template")
_RULE_FIELDS = ("pattern", "spec_name")


@dataclass(frozen=True)
class BatchPattern:
    """What the file says, in our words.

    Attributes:
        root: the folder that its patterns start from, as written; '' if it names none.
        grouping: by regular expression.
        patterns: specification → glob; several rules for one are joined.
    """

    root: str
    grouping: GroupingPlan
    patterns: dict[str, str]

    def specs(self, specs: Sequence[SpecPlan]) -> tuple[SpecPlan, ...]:
        """The collection's specifications with these patterns; one without a rule gets no files.

        Raises:
            FindingError: `no-such-spec`, with the nearest name.
        """
        known = [spec.name for spec in specs]
        for name in self.patterns:
            if name not in known:
                raise FindingError(
                    f"The pattern file gives files to {name!r}, and the collection has no such specification"
                    f"{nearest(name, known)}",
                    hint=f"It has {', '.join(known)}.",
                    code="no-such-spec",
                )
        return tuple(spec.model_copy(update={"takes": (), "pattern": self.patterns.get(spec.name)}) for spec in specs)


def read_pattern_file(path: Path) -> BatchPattern:
    """Read a pattern file.

    Raises:
        UsageError: `no-pattern-file`.
        FindingError: `bad-pattern-file`, `bad-regex`, `bad-template`, `bad-pattern`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"The pattern file {printable(str(path))} can't be read: {error.strerror or error}",
            hint="Check the path given with --pattern.",
            code="no-pattern-file",
        ) from None
    if len(content) > MAX_BYTES:
        raise _bad(f"{printable(path.name)} has {len(content):,} bytes: a pattern file is small")
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _bad(f"{printable(path.name)} is not JSON: {error}") from None
    return parse_pattern(document)


def parse_pattern(document: Any) -> BatchPattern:
    """Understand a pattern document.

    Raises:
        FindingError: `bad-pattern-file`, `bad-regex`, `bad-template`, `bad-pattern`.
    """
    _check_fields(document, _FIELDS, "the pattern file")
    rules = document.get("file_rules")
    if not isinstance(rules, list) or not rules:
        raise _bad("`file_rules` must be a list of {pattern, spec_name}, with one at least")
    patterns: dict[str, str] = {}
    for number, rule in enumerate(rules, 1):
        where = f"rule {number} of `file_rules`"
        _check_fields(rule, _RULE_FIELDS, where)
        pattern, name = _text(rule, "pattern", where), _text(rule, "spec_name", where)
        # Two rules for one specification: either of them.
        patterns[name] = " | ".join([*([patterns[name]] if name in patterns else []), anchored(pattern)])
    regex = _text(document, "group_key_regex", "the pattern file")
    template = document.get("dataset_key_template", GroupingPlan().template)
    root = document.get("root", "")
    if not isinstance(template, str) or not isinstance(root, str):
        raise _bad("`root` and `dataset_key_template` must be texts")
    by_regex(regex, template)
    by_pattern(patterns)
    return BatchPattern(root, GroupingPlan(by="pattern", regex=regex, template=template), patterns)


def anchored(pattern: str) -> str:
    """A glob on the whole path relative to the root, as `units.patterns` writes it: with a leading `/`."""
    return " | ".join("/" + each.strip().removeprefix("./").removeprefix("/") for each in pattern.split(" | "))


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean image_1?`, or nothing."""
    folded = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return f"; did you mean {folded[near[0]]}?" if near else ""


def _check_fields(document: Any, fields: Sequence[str], where: str) -> None:
    if not isinstance(document, Mapping):
        raise _bad(f"{where} must be an object with {', '.join(fields)}, not {type(document).__name__}")
    for key in document:
        if key not in fields:
            raise _bad(f"{where} has {key!r}, which means nothing here{nearest(str(key), fields)}")


def _text(document: Mapping[str, Any], key: str, where: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value.strip():
        raise _bad(f"{where} needs a text as `{key}`")
    return value


def _bad(message: str) -> FindingError:
    example = '{"root": …, "file_rules": [{"pattern": "**/img/*.png", "spec_name": "image_1"}], "group_key_regex": …}'
    return FindingError(message, hint=f"It should read like {example}", code="bad-pattern-file")
