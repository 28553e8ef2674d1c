"""Errors become exit codes and readable texts; secrets never appear."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from synapse_skills.errors import (
    FindingError,
    OutOfReach,
    SkillsError,
    UsageError,
    keep_secret,
    printable,
    redact,
    run,
)


def raising(error: BaseException):  # type: ignore[no-untyped-def]
    def main(argv: Sequence[str] | None) -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FindingError("x"), 1),
        (UsageError("x"), 2),
        (OutOfReach("x"), 3),
        (KeyboardInterrupt(), 130),
        (OSError(28, "No space left on device", "/data/x"), 3),
        (PermissionError(13, "Permission denied", "/data/x"), 3),
    ],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(error), []) == code
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_json_error_is_the_only_thing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(UsageError("bad", hint="do this")), ["--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"error": {"code": "usage", "message": "bad", "hint": "do this"}}
    assert captured.err == ""


def test_a_bug_of_ours_is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(ZeroDivisionError("division by zero")), []) == 1
    assert "bug in synapse-skills" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("PUT https://bucket.test/key?X-Amz-Signature=abc&x=1 failed", "abc"),
        ("s3://user:pass@bucket/key", "pass"),
        ("Authorization: Token abcdef123456", "abcdef123456"),
        ("Bearer eyJhbGciOi.x.y", "eyJ"),
    ],
)
def test_redact(text: str, gone: str) -> None:
    assert gone not in redact(text)


def test_known_secrets_are_redacted_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    keep_secret("hunter2-token")
    assert run(raising(SkillsError("refused hunter2-token", hint="not hunter2-token")), []) == 1
    assert "hunter2" not in capsys.readouterr().err


def test_names_that_terminals_cannot_show() -> None:
    assert printable("a\nb\x1b[31m한글\udcff") == "a\\nb\\x1b[31m한글\\udcff"
