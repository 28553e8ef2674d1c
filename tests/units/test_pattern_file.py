"""The batch pattern of the seed, as it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synapse_skills.errors import FindingError, UsageError
from synapse_skills.sources import File
from synapse_skills.units import Placed, Unplaced, parse_pattern, place_for, read_pattern_file
from units import trees
from units.trees import SEED_PATTERN, SEED_SPECS


def file(path: str) -> File:
    return File(0, path, 1, 1)


def test_the_seeds_pattern_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "pattern.json"
    path.write_text(json.dumps(SEED_PATTERN), encoding="utf-8-sig")
    pattern = read_pattern_file(path)
    assert pattern.root == "/data/patients"
    assert (pattern.grouping.regex, pattern.grouping.template) == ("(.+?)/(?:img|json)/", "{group_key}")
    specs = pattern.specs(SEED_SPECS)
    place = place_for(pattern.grouping, specs)
    found: trees.Units = {}
    for name in (path for files in trees.deep(3).values() for path in files.values()):
        answer = place(file(name))
        if isinstance(answer, Placed):
            found.setdefault(answer.unit, {})[answer.spec] = name
        else:
            assert name == "patient_001/mask/segmentation.png" and answer == Unplaced("belongs-to-nothing")
    wanted = trees.deep(3)
    del wanted["patient_001"]["mask_1"]
    assert found == wanted


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("a/img/1.png", Placed("a", "image_1")),
        ("a/b/img/1.PNG", Placed("a/b", "image_1")),
        ("a/img/deep/1.png", Unplaced("no-spec")),
        ("img/1.png", Unplaced("belongs-to-nothing")),
        ("a/img/1.jpg", Placed("a", "image_1")),
        ("a/img/1.json", Unplaced("no-spec")),
        ("a/json/1.json", Placed("a", "label_1")),
    ],
)
def test_globs_are_relative_to_the_root(path: str, answer: Any) -> None:
    rules = [*SEED_PATTERN["file_rules"], {"pattern": "./**/img/*.jpg", "spec_name": "image_1"}]
    pattern = parse_pattern({**SEED_PATTERN, "file_rules": rules})
    assert pattern.patterns["image_1"] == "/**/img/*.png | /**/img/*.jpg"
    assert place_for(pattern.grouping, pattern.specs(SEED_SPECS))(file(path)) == answer


def test_a_glob_without_stars_in_front_stays_at_the_root() -> None:
    pattern = parse_pattern(
        {"file_rules": [{"pattern": "img/*.png", "spec_name": "image_1"}], "group_key_regex": r"(\d+)"}
    )
    place = place_for(pattern.grouping, pattern.specs(SEED_SPECS))
    assert place(file("img/7.png")) == Placed("7", "image_1")
    assert place(file("a/img/7.png")) == Unplaced("no-spec")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"file_rules": []}, "file_rules"),
        ({"file_rules": "x"}, "file_rules"),
        ({"file_rules": [{"pattern": "*"}]}, "rule 1 of `file_rules` needs a text as `spec_name`"),
        ({"file_rules": [{"patern": "*", "spec_name": "x"}]}, "did you mean pattern?"),
        ({"group_key_regexp": "x"}, "did you mean group_key_regex?"),
        ({"group_key_regex": None}, "needs a text as `group_key_regex`"),
        ({"group_key_regex": "("}, "not a regular expression"),
        ({"dataset_key_template": "{nope}"}, "asks for"),
        ({"dataset_key_template": 1}, "must be texts"),
        ({"file_rules": [{"pattern": "../*.png", "spec_name": "x"}]}, "can't fit any file"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], said: str) -> None:
    with pytest.raises(FindingError, match=said.replace("?", r"\?")):
        parse_pattern({**SEED_PATTERN, **change})


def test_an_unknown_spec_is_named_with_the_nearest() -> None:
    rules = [{"pattern": "**/*.png", "spec_name": "imge_1"}]
    with pytest.raises(FindingError, match=r"did you mean image_1\?") as caught:
        parse_pattern({**SEED_PATTERN, "file_rules": rules}).specs(SEED_SPECS)
    assert caught.value.code == "no-such-spec"


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_pattern_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.json").write_bytes(content)
    with pytest.raises(FindingError) as caught:
        read_pattern_file(tmp_path / "p.json")
    assert caught.value.code == "bad-pattern-file"


def test_no_pattern_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_pattern_file(tmp_path / "p.json")
