"""Every case is whole, no grader passes a world in which nothing happened, and each can be passed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from eval_cases import CASES, commands, emitting, staging
from eval_cases.backend import Backend
from eval_cases.case import EXPORT, PLUGIN, UPLOAD, Place
from eval_cases.uploads import SCANS
from eval_cases.wrong import Wrong
from sandbox_fixture import PNG, SandboxFactory

EVALS = Path(emitting.__file__).resolve().parents[1]


def world(tmp_path: Path, name: str) -> Place:
    place = Place(tmp_path / name)
    CASES[name].make(place)
    return place


def test_there_are_enough_of_every_kind() -> None:
    assert len(CASES) >= 12
    assert {case.skill for case in CASES.values()} == {UPLOAD, EXPORT, PLUGIN}
    korean = [name for name, case in CASES.items() if case.language == "korean"]
    assert 4 <= len(korean) <= len(CASES) - 4
    for name, case in CASES.items():
        assert name == case.name and case.knows.strip() and case.expected and case.expectations


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_good_before_anything_has_happened(tmp_path: Path, name: str) -> None:
    place = world(tmp_path, name)
    grading = CASES[name].grade(place)
    assert [row["text"] for row in grading["expectations"] if row["passed"]] == []
    assert all(row["evidence"] for row in grading["expectations"])
    assert grading["summary"] == {"passed": 0, "failed": len(CASES[name].expectations), "total": len(
        CASES[name].expectations), "pass_rate": 0.0}  # fmt: skip


def test_the_same_case_is_the_same_world(tmp_path: Path) -> None:
    for name in ("upload-everything-known", "upload-everything-goes-wrong"):
        one, other = world(tmp_path / "one", name), world(tmp_path / "other", name)
        assert one.files() == other.files() != {}
        assert (one.behind / "seed.json").read_bytes() == (other.behind / "seed.json").read_bytes()


def test_the_seeds_and_faults_are_fit(tmp_path: Path) -> None:
    from synapse_sandbox.faults import parse_faults
    from synapse_sandbox.front import NAMES
    from synapse_sandbox.seed import parse_seed

    for case in CASES.values():
        assert parse_seed(case.seed(case.size)).collections or case.skill != UPLOAD
        assert len(parse_faults({"faults": list(case.faults)}, NAMES).rules) == len(case.faults)


def test_the_backend_is_read_from_its_state(tmp_path: Path, sandbox_factory: SandboxFactory) -> None:
    seed = CASES["upload-nothing-known"].seed(0)
    box = sandbox_factory(seed=seed)
    names = {"image_1": "a.png", "label_1": "a.json"}
    sums = {"image_1": box.put_file("a.png", PNG), "label_1": box.put_file("a.json", b"{}")}
    files = {spec: {"checksum": sha1, "path": f"a/{names[spec]}"} for spec, sha1 in sums.items()}
    box.post("/data_units/", [{"data_collection": SCANS, "files": files, "meta": {"a": 1}}])
    backend = Backend(box.state)
    (unit,) = backend.units(SCANS)
    assert (unit.files, unit.meta["a"]) == (sums, 1)
    assert (backend.content(sums["label_1"]), backend.content(sums["image_1"])) == (b"{}", PNG)
    assert backend.units(SCANS + 1) == []
    with pytest.raises(Wrong, match="never started"):
        Backend(tmp_path / "nowhere")


def test_what_is_made_from_the_cases_is_up_to_date() -> None:
    assert emitting.stale() == [], "python3 evals/emit.py"
    for skill in (UPLOAD, EXPORT, PLUGIN):
        rows = json.loads((EVALS / f"{skill}.json").read_bytes())["evals"]
        assert [row["name"] for row in rows] == [name for name, case in CASES.items() if case.skill == skill]
        for row in rows:
            assert row["expectations"] == row["assertions"] == list(CASES[row["name"]].expectations)
            assert {"id", "prompt", "expected_output", "files"} <= set(row)


def test_what_no_case_makes_any_more_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"suite/here/case.yaml": "a\n", "x.json": "{}\n"}
    monkeypatch.setattr(emitting, "documents", lambda: made)
    monkeypatch.setattr(emitting, "HERE", tmp_path)
    assert [path.name for path in emitting.write()] == ["case.yaml", "x.json"]
    assert (tmp_path / "x.json").read_text() == "{}\n" and emitting.stale() == []
    made["x.json"] = "{1}\n"
    assert emitting.stale() == [tmp_path / "x.json"] == emitting.write()
    left = tmp_path / "suite" / "gone" / "case.yaml"
    left.parent.mkdir()
    left.write_text("")
    assert emitting.stale() == [left] == emitting.write()
    assert not left.exists() and emitting.stale() == []


def test_every_case_and_command_is_in_the_readme() -> None:
    text = (EVALS / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z0-9-]+)` \|", text.partition("## Count")[0], re.MULTILINE)
    assert named == list(CASES)
    for called in re.findall(r"python3 evals/(\w+)\.py", text):
        assert called in {"world", "stage", "grade", "emit"}


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["world"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CASES)
    folder = str(tmp_path / "world")
    assert commands.main(["world", "export-rotated-boxes", folder]) == 0
    assert CASES["export-rotated-boxes"].prompt in capsys.readouterr().out
    assert commands.main(["grade", "export-rotated-boxes", folder]) == 1
    assert json.loads(capsys.readouterr().out)["summary"]["passed"] == 0
    for words in (
        ["world", "export-rotated-boxes", folder],
        ["world", "export-rotated-boxes"],
        ["world", "no-such-case", folder],
        ["grade", "export-nothing-known", folder],
        ["stage", str(tmp_path)],
    ):
        assert commands.main(words) == 2, words
        assert "error: " in capsys.readouterr().err


@pytest.mark.heavy
@pytest.mark.parametrize("name", CASES)
def test_it_can_be_passed(tmp_path: Path, name: str) -> None:
    """The shortest way there, as real commands; what happened before is not enough."""
    case, place = CASES[name], world(tmp_path, name)
    with staging.staged(case, place) as hands:
        assert case.grade(place)["summary"]["failed"]
        case.ideal(hands)
    grading = case.grade(place)
    assert [row for row in grading["expectations"] if not row["passed"]] == []
    assert hands.commands <= 8
