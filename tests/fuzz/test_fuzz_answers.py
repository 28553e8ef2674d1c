"""answers.json as any JSON, and as no JSON at all: the conversation goes on with a question or ends with a message."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export_fixture import row
from fuzz.calling import End, call, many
from fuzz.junk import VALUES, deep, spoiled, text_of, torn
from planning.conftest import forked_script
from planning.conversation import PNG
from sandbox_fixture import Sandbox, sandboxes
from synapse_skills.planning import EXPORT, UPLOAD, dryrun, reference
from synapse_skills.planning.home import source_paths

FOUND: dict[str, Any] = {
    "upload": {"sources": ["scans"], "data_collection": 57, "name": "x", "limits.batch_size": 5,
               "grouping.by": "folder"},
    "export": {"target": "assignment", "project": 3, "formats": ["coco"], "split.ratios": {"train": 0.5, "val": 0.5},
               "originals": "none", "classes.order": ["car", "person"], "output": "out"},
}  # fmt: skip
KEYS = {
    "upload": [key for key, _ in reference(UPLOAD)],
    "export": [key for key, _ in reference(EXPORT)],
}
ODD = (*VALUES, deep(900), 10**400, "x" * 100_000, ["x"] * 2000, {"a": 1}, "57", 57.0, "stop", "leave_out", "table")


class Talk:
    """Somebody with a folder of files and a project, and answers that somebody else wrote."""

    def __init__(self, folder: Path, box: Sandbox) -> None:
        self.root, self.box, self.tries = folder, box, itertools.count(1)

    def say(self, kind: str, answers: bytes) -> End:
        folder = self.root / f"talk-{next(self.tries)}"
        for at in ("a/x.png", "a/x.json", "b/y.png", "b/y.json"):
            path = folder / "scans" / at
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(PNG if at.endswith("png") else b'{"age": 5}')
        (folder / "scans" / "meta.csv").write_text("name,age\na,1\nb,2\n")
        (folder / "answers.json").write_bytes(answers)
        env = self.box.env(folder / "user", TMPDIR=str(folder), XDG_CACHE_HOME=str(folder / "cache"))
        about = {"env": env, "cwd": folder, "secrets": (self.box.token,), "written": (folder,)}
        with mock.patch.object(dryrun, "run_script", forked_script):
            end = call(f"plan_{kind}", "--answers", "answers.json", "--json", **about)
        if end.code != 2:
            assert json.loads(end.out)
        shutil.rmtree(folder)
        return end


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    folder = tmp_path_factory.mktemp("answers")
    with sandboxes(folder) as start:
        box = start()
        box.label(*({"project": 3, **row(number)} for number in range(3)))
        yield Talk(folder, box)


@pytest.mark.parametrize("kind", ["upload", "export"])
@settings(max_examples=many(2, 400))
@given(seed=st.integers(0, 2**32 - 1))
def test_any_value_at_any_key(talk: Talk, kind: str, seed: int) -> None:
    random = Random(seed)
    answers = spoiled(FOUND[kind], random) if random.random() < 0.2 else dict(FOUND[kind])
    answers = answers if isinstance(answers, dict) else {"name": answers}
    for _ in range(random.choice((1, 1, 2, 4))):
        answers[random.choice(KEYS[kind])] = random.choice(ODD)
    talk.say(kind, text_of(answers))


def test_a_template_for_another_layout_is_asked_about(talk: Talk) -> None:
    end = talk.say("upload", text_of(FOUND["upload"] | {"grouping.template": "x"}))
    (question,) = json.loads(end.out)["questions"]
    assert end.code == 4 and question["key"] == "grouping.template" and "folder" in question["error"]


NO_NAME = ["\ud800", "\ud800/x", "a\0b"]


@pytest.mark.parametrize("place", NO_NAME)
def test_a_folder_that_no_disk_can_have_is_still_somewhere(place: str) -> None:
    assert source_paths([place]) == [str(Path.cwd() / place)]


@pytest.mark.heavy
@pytest.mark.parametrize("text", NO_NAME)
@pytest.mark.parametrize(
    ("kind", "key"), [("upload", "sources"), ("upload", "name"), ("export", "classes.order"), ("export", "output")]
)
def test_a_text_that_no_file_can_hold(talk: Talk, kind: str, key: str, text: str) -> None:
    talk.say(kind, text_of(FOUND[kind] | {key: [text] if isinstance(FOUND[kind].get(key), list) else text}))


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["upload", "export"])
@settings(max_examples=many(4, 60))
@given(seed=st.integers(0, 2**32 - 1))
def test_a_torn_file(talk: Talk, kind: str, seed: int) -> None:
    talk.say(kind, torn(text_of(FOUND[kind]), Random(seed)))
