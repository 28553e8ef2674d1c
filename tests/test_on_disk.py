"""Sets, maps and sorted lists that go to the disk when they grow."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from synapse_skills import on_disk
from synapse_skills.on_disk import Firsts, in_order, remove_folder, side_by_side


@pytest.mark.parametrize("most", [1000, 7, 1])
def test_the_first_value_stays(most: int) -> None:
    random.seed(3)
    firsts, known = Firsts(most), dict[int | bytes, bytes]()
    for number in range(300):
        drawn = random.randrange(100)
        key = b"\xff%d" % drawn if drawn % 2 else drawn - 2**63
        value = b"%d" % number
        assert firsts.of(key) == known.get(key)
        assert firsts.claim(key, value) == known.get(key)
        known.setdefault(key, value)
    assert len(known) < 300


@pytest.mark.parametrize("most", [1000, 7, 1])
def test_rows_are_sorted_as_python_sorts_them(most: int) -> None:
    random.seed(4)
    rows = [(random.randbytes(random.randrange(3)), b"%d" % random.randrange(3)) for _ in range(200)]
    assert list(in_order(rows, most)) == sorted(rows)
    assert list(in_order([], most)) == []


def test_lists_stand_side_by_side() -> None:
    ours, theirs = [(b"a", b"1"), (b"a", b"2"), (b"c", b"3")], [(b"b", b"4"), (b"c", b"5")]
    found = [(b"a", [[b"1", b"2"], []]), (b"b", [[], [b"4"]]), (b"c", [[b"3"], [b"5"]])]
    assert list(side_by_side(ours, theirs)) == found
    assert list(side_by_side([], [])) == []


@pytest.fixture(params=["by its handle", "by its name, as on Windows"])
def by_handle_or_name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "Windows" in request.param:
        monkeypatch.setattr(os, "supports_dir_fd", set())


@pytest.mark.usefixtures("by_handle_or_name")
def test_a_folder_of_many_is_removed_and_what_its_links_lead_to_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_disk, "MOST_HELD", 3)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("")
    folder = tmp_path / "folder"
    for number in range(5):
        (folder / str(number)).mkdir(parents=True)
        for other in range(5):
            (folder / str(number) / f"{other}.txt").write_text("")
    (folder / "link").symlink_to(kept)
    (folder / "1" / "link").symlink_to(kept / "file")
    remove_folder(folder)
    assert not folder.exists() and (kept / "file").is_file()


@pytest.mark.usefixtures("by_handle_or_name")
def test_a_link_is_no_folder_to_be_removed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    with pytest.raises(OSError):
        remove_folder(tmp_path / "link")
    assert (tmp_path / "kept" / "file").is_file()
