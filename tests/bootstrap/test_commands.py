"""What `run.py` says of itself, and what it makes of names."""

from __future__ import annotations

import argparse
import json
import os

import pytest

from bootstrap.mini import ROOT, Mini
from launcher import commands, messages, suite
from synapse_skills import errors


def test_without_arguments_it_says_what_there_is(bare: Mini) -> None:
    shown = bare.run()
    assert shown.returncode == 0
    assert "  hello   Say where this runs; exits with its first argument." in shown.stdout
    for word in ("job", "test", "exit codes", "130"):
        assert word in shown.stdout
    assert bare.run("--help").stdout == shown.stdout
    assert not bare.environments(), "saying what there is needs no environment"


def test_every_script_has_a_line() -> None:
    found = commands.scripts()
    assert "check_environment" in found
    for name, line in found.items():
        assert line, f"{name}.py begins with a docstring of one line"
        assert name != "run"


def test_old_python_lists_scripts_that_it_cannot_parse(bare: Mini) -> None:
    new = "# a comment first\n'''not this'''\n"
    (bare.plugin / "scripts" / "odd.py").write_text(new)
    (bare.plugin / "scripts" / "modern.py").write_text('r"""Uses what is new.\n\nMore."""\ntype X[T] = list[T]\n')
    shown = bare.run().stdout
    assert "  modern  Uses what is new.\n" in shown
    assert "  odd     \n" in shown


@pytest.mark.parametrize("name", ["hello", "hello.py"])
def test_names(mini: Mini, name: str) -> None:
    assert mini.run(name, "3").returncode == 3


@pytest.mark.parametrize(
    ("name", "near"), [("helo", "hello"), ("jobs", "job"), ("../hello", None), ("run", None), ("launcher", None)]
)
def test_unknown_script(bare: Mini, name: str, near: str | None) -> None:
    result = bare.run(name)
    assert result.returncode == 2
    assert f"There is no script called {name}." in result.stderr
    if near:
        assert f"Did you mean {near}?" in result.stderr
    as_json = bare.run(name, "--json")
    assert json.loads(as_json.stdout)["error"]["code"] == "unknown-script"


def test_exit_codes_are_the_librarys() -> None:
    """An old Python can't import the library, so the launcher has the table again."""
    assert messages.EXIT_CODES == errors.EXIT_CODES


def test_passwords_of_package_indexes_are_not_shown() -> None:
    assert (
        messages.without_passwords("at https://me:secret@index.example/simple") == "at https://***@index.example/simple"
    )


def test_submit_alone_gets_ray() -> None:
    assert commands._kind("submit", []) == "ray"
    assert commands._kind("demo_ray", []) == "ray"
    assert commands._kind("check_environment", ["--for", "submit"]) == "ray"
    assert commands._kind("check_environment", ["--for=submit"]) == "ray"
    assert commands._kind("check_path", ["/data", "--on-agent"]) == "ray"
    assert commands._kind("job_status", ["--follow"]) == "normal"
    assert commands._kind("check_environment", ["--for", "upload"]) == "normal"
    assert commands._kind("plan_upload", ["--for", "submit"]) == "normal"


def chosen(*arguments: str) -> tuple[argparse.Namespace, list[str]]:
    return suite.parser().parse_known_args(list(arguments))


def names(*arguments: str) -> list[str]:
    return [stage.name for stage in suite._stages(*chosen(*arguments))]


def test_stages() -> None:
    every = ["ruff", "format", "mypy", "rooms", "pytest"]
    assert names() == every
    assert names("--all") == [*every[:-1], "oldest-sdk", "heavy", "pytest"]
    assert names("--oldest") == ["oldest-sdk"]
    assert names("--only", "pytest") == ["pytest"]
    assert names("--only", "heavy") == ["heavy"]
    (only,) = suite._stages(*chosen("--only", "pytest", "tests/units", "-k", "folder"))
    assert only.command == [
        "-m",
        "pytest",
        "-m",
        "not heavy",
        "-n",
        str(2 * (os.cpu_count() or 1)),
        "tests/units",
        "-k",
        "folder",
    ]
    selected = [stage.command[3] for stage in suite._stages(*chosen("--all")) if stage.command[1] == "pytest"]
    assert sorted(selected) == ["heavy", "not heavy", "not heavy"]


@pytest.mark.parametrize(("rest", "code"), [([], 5), (["-k", "folder"], 0)])
def test_no_heavy_test_is_fine_only_where_some_were_chosen(
    monkeypatch: pytest.MonkeyPatch, rest: list[str], code: int
) -> None:
    monkeypatch.setattr(suite, "call", lambda command, *_, **__: 5 if "heavy" in command else 0)
    monkeypatch.setattr(suite, "environment", lambda kind: "/python")
    assert suite.test(["--all", *rest]) == code


def test_every_stage_runs_and_a_failure_is_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def call(command: list[str], *_: object, **__: object) -> int:
        ran.append(command[2] if command[1] == "-m" else "rooms")
        return {"mypy": 2, "pytest": 1}.get(ran[-1], 0)

    monkeypatch.setattr(suite, "call", call)
    monkeypatch.setattr(suite, "environment", lambda kind: "/python")
    assert suite.test([]) == 2
    assert ran == ["ruff", "ruff", "mypy", "rooms", "pytest"]
    last = capfd.readouterr().err.splitlines()[-1]
    assert "mypy FAILED" in last
    assert "pytest FAILED" in last
    assert "rooms ok" in last


def test_the_oldest_lock_pins_the_minimum() -> None:
    from synapse_skills.environment import minimum_sdk

    minimum = minimum_sdk(str(ROOT / "pyproject.toml"))
    assert f"\nsynapse-sdk=={minimum} \\\n" in (ROOT / "requirements-oldest.lock").read_text()
