"""plan_upload.py, list_resources.py and render.py as they are called."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from forked import Forked
from planning.conversation import SCANS, SEED, User, units
from sandbox_fixture import Sandbox

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
NAMES = ("plan_upload", "list_resources", "render")


class Call:
    """A script's end: exit code, stdout, stderr."""

    def __init__(self, code: int, out: str, error: str) -> None:
        self.code, self.out, self.error = code, out, error

    @property
    def json(self) -> Any:
        """Stdout as the one JSON document that it must be."""
        return json.loads(self.out)


@pytest.fixture
def call(real_user: User, planning_box: Sandbox):  # type: ignore[no-untyped-def]
    """`call("plan_upload", "--json")`, logged in; `login=False`: not."""

    def run(name: str, *flags: str, login: bool = True, **env: str) -> Call:
        environment = planning_box.env(real_user.folder / "me", **env)
        if not login:
            for key in ("SYNAPSE_HOST", "SYNAPSE_ACCESS_TOKEN"):
                environment.pop(key, None)
        child = Forked(SCRIPTS / f"{name}.py", list(flags), environment, real_user.folder)
        out, error = child.communicate()
        assert child.returncode is not None
        return Call(child.returncode, out, error)

    return run


@pytest.mark.parametrize("name", NAMES)
def test_help_comes_at_once_and_says_purpose_examples_and_exit_codes(name: str) -> None:
    started = time.monotonic()
    command = [sys.executable, "-X", "importtime", str(SCRIPTS / f"{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 2
    assert done.stdout.count(f"  {name}.py ") == 2 and "exit codes: 0 " in done.stdout
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "argparse" in loaded and not loaded & {"pydantic", "synapse_sdk", "aiohttp", "rich", "jinja2"}


def test_a_conversation_by_script(call: Any, real_user: User) -> None:
    real_user.files(units(2, "a.png", "a.json"))
    first = call("plan_upload", "scans", "--json")
    assert first.code == 4 and first.json["questions"][0]["key"] == "data_collection"
    done = call("plan_upload", "scans", "--collection", str(SCANS), "--json")
    assert done.code == 0 and done.json["status"] == "ready"
    people = call("plan_upload", "scans")
    assert people.code == 0 and "Ready." in people.out and done.json["hash"] in people.out


def test_questions_for_people_say_how_to_answer(call: Any, real_user: User) -> None:
    real_user.files(units(2, "a.png", "a.json"))
    shown = call("plan_upload", "scans")
    assert shown.code == 4 and f"--set data_collection={SCANS}" in shown.out and "Masks [x]" in shown.out


@pytest.mark.parametrize(
    ("flags", "code", "error"),
    [
        (("--set", "limits.batchsize=1"), 2, "unknown-key"),
        (("--set", "nonsense"), 2, "usage"),
        (("--answers", "nowhere.json"), 2, "no-answers"),
        (("--answers", "."), 2, "no-answers"),
        (("--out", "."), 2, "out-not-ours"),
    ],
)
def test_wrong_usage_is_one_json_document(
    call: Any, real_user: User, flags: tuple[str, ...], code: int, error: str
) -> None:
    real_user.files(units(1, "a.png", "a.json"))
    done = call("plan_upload", "scans", *flags, "--json")
    assert (done.code, done.json["error"]["code"]) == (code, error) and done.json["error"]["hint"]


@pytest.mark.parametrize("content", ["[]", "{", '{"name": NaN}', "\xff"])
def test_an_answers_file_that_is_none_is_wrong_usage(call: Any, real_user: User, content: str) -> None:
    (real_user.folder / "answers.json").write_bytes(content.encode("latin-1"))
    done = call("plan_upload", "--answers", "answers.json", "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "bad-answers")


def test_a_refused_login_and_a_backend_that_is_away_exit_3(call: Any, real_user: User) -> None:
    real_user.files(units(1, "a.png", "a.json"))
    refused = call("plan_upload", "scans", "--collection", "57", "--json", SYNAPSE_ACCESS_TOKEN="wrong-token-here")
    assert refused.code == 3 and refused.json["problems"][0]["code"] == "login-refused"
    assert "wrong-token-here" not in refused.out + refused.error
    away = call("list_resources", "agents", "--json", SYNAPSE_HOST="http://127.0.0.1:9")
    assert (away.code, away.json["error"]["code"]) == (3, "backend-unreachable")


def test_resources_are_listed(call: Any) -> None:
    collections = call("list_resources", "collections", "--json").json
    assert [row["id"] for row in collections["rows"]] == [each["id"] for each in SEED["collections"]]
    assert collections["rows"][0]["spec_count"] == 2 and collections["count"] == len(SEED["collections"])
    found = call("list_resources", "collections", "--search", "SCAN", "--json").json["rows"]
    assert [row["name"] for row in found] == ["CT scans"]
    specs = call("list_resources", "collection", str(SCANS), "--json").json["rows"]
    assert [(row["name"], row["extensions"], row["required"]) for row in specs] == [
        ("image_1", ".png .jpg", True),
        ("label_1", ".json", True),
    ]
    storages = call("list_resources", "storages", "--json").json["rows"]
    assert [(row["id"], row["default"]) for row in storages] == [(11, True), (12, False)]
    assert all("configuration" not in row for row in storages)
    assert call("list_resources", "agents", "--json").json["rows"][0]["name"] == "Agent seven"
    assert "CT scans" in call("list_resources", "collections").out


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("collection", "999"), 1),
        (("collection",), 2),
        (("collection", "x"), 2),
        (("collections", "5"), 2),
        (("collections", "--search", "no such name"), 1),
        (("projects", "--search", "no such title"), 1),
        (("projects", "5"), 2),
        (("labels",), 2),
    ],
)
def test_what_is_not_there_is_a_finding_or_wrong_usage(call: Any, flags: tuple[str, ...], code: int) -> None:
    assert call("list_resources", *flags).code == code


def test_a_plan_edited_by_hand_is_rendered_again(call: Any, real_user: User) -> None:
    real_user.files(units(2, "a.png", "a.json"))
    call("plan_upload", "scans", "--collection", str(SCANS))
    path = real_user.home() / "plan.json"
    path.write_text(path.read_text().replace('"batch_size": 100', '"batch_size": 9'))
    done = call("render", "synapse-jobs/scans", "--json")
    assert done.code == 0 and (real_user.home() / "job/plan.json").read_bytes() == path.read_bytes()
    path.write_text("{}")
    assert call("render", "synapse-jobs/scans").code == 1
    assert call("render", "nowhere").code == 2
