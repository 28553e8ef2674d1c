"""Answers: where they come from, which one counts, and how one is read.

answers.json is flat, key to value; it is the whole memory of a conversation. Precedence: flags, `--set`, answers,
`--params` and `--pattern`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synapse_skills.errors import UsageError, printable
from synapse_skills.planning.interview import BadAnswer, Settled

MAX_ANSWERS_BYTES = 1_000_000


def parse_set(pairs: Sequence[str]) -> dict[str, Any]:
    """`--set KEY=VALUE`, several times: VALUE is JSON, or text if it isn't.

    Raises:
        UsageError: one has no `=` or no key.
    """
    answers: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set wants KEY=VALUE, not {printable(pair)!r}.", hint="For example: --set name=scans")
        answers[key.strip()] = _json_or_text(text)
    return answers


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read_answers(path: Path) -> dict[str, Any]:
    """Read an answers file, or that of a job whose folder is named.

    Raises:
        UsageError: not there, not JSON, or not one flat object.
    """
    return read_object(path / "answers.json" if path.is_dir() else path, "--answers", '{"data_collection": 57}')


def read_object(path: Path, flag: str, example: str) -> dict[str, Any]:
    """Read one JSON object that a user names with a flag.

    Raises:
        UsageError: not there, not JSON, or something else than an object.
    """
    where = printable(str(path))
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_ANSWERS_BYTES else b""
    except OSError as error:
        raise UsageError(
            f"The file {where} can't be read: {error.strerror}.",
            hint=f"Check the path given to {flag}.",
            code="no-answers",
        ) from None
    try:
        document = json.loads(content, parse_constant=_no_constant)
        why = "" if isinstance(document, dict) else "it is no object"
    except (ValueError, RecursionError) as error:
        why = f"it is larger than {MAX_ANSWERS_BYTES:,} bytes" if size > MAX_ANSWERS_BYTES else str(error)
    if why:
        raise UsageError(
            f"{where} can't be used with {flag}: {why}.",
            hint=f"It is one JSON object, such as {example}.",
            code="bad-answers",
        )
    return dict(document)


def merge(*origins: Mapping[str, Any]) -> dict[str, Any]:
    """One set of answers; the first origin that has a key wins, and null there takes the answer back."""
    merged: dict[str, Any] = {}
    for origin in reversed(origins):
        merged.update(origin)
    return {key: value for key, value in merged.items() if value is not None}


def whole(low: int, high: int | None = None) -> Callable[[Any, Any, Settled], int]:
    """A parser for a whole number between two bounds."""

    def parse(answer: Any, facts: Any, settled: Settled) -> int:
        number = number_of(answer)
        if number is None or number != int(number) or number < low or (high is not None and number > high):
            bound = f"between {low} and {high}" if high is not None else f"of at least {low}"
            raise BadAnswer(f"{shown(answer)} is not a whole number {bound}.")
        return int(number)

    return parse


def number_of(answer: Any) -> float | None:
    """A number given as one or as text; None for anything else."""
    if isinstance(answer, bool):
        return None
    try:
        number = float(answer)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 1e15 else None


def one_of(*values: str) -> Callable[[Any, Any, Settled], str]:
    """A parser for one of a few words."""

    def parse(answer: Any, facts: Any, settled: Settled) -> str:
        word = str(answer).strip().lower().replace("-", "_")
        for value in values:
            if word == value.replace("-", "_"):
                return value
        raise BadAnswer(f"{shown(answer)} is none of {', '.join(values)}.")

    return parse


def text_list(answer: Any, facts: Any, settled: Settled) -> list[str]:
    """A parser for a list of texts: a JSON list, or one text with commas."""
    parts = answer.split(",") if isinstance(answer, str) else answer if isinstance(answer, list) else [answer]
    if not all(isinstance(part, str | int) and not isinstance(part, bool) and str(part).strip() for part in parts):
        raise BadAnswer(f"{shown(answer)} is not a list of texts.")
    return [str(part).strip() for part in parts]


def text(answer: Any, facts: Any, settled: Settled) -> str:
    """A parser for one line of text; a number given as JSON counts as its digits."""
    if isinstance(answer, bool | dict | list) or not str(answer).strip():
        raise BadAnswer(f"{shown(answer)} is not a text.")
    line = str(answer).strip()
    try:
        line.encode()
    except UnicodeEncodeError:
        raise BadAnswer(f"{shown(answer)} is not valid Unicode.") from None
    if any(ord(char) < 32 for char in line):
        raise BadAnswer(f"{shown(answer)} holds control characters.")
    return line


def shown(answer: Any) -> str:
    """An answer as it can stand in a message: short and printable."""
    written = printable(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, default=str))
    return f'"{written[:60]}{"…" if len(written) > 60 else ""}"'
