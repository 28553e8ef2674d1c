"""The inventory's file: killed, damaged, of another version, on a full disk, in use, huge."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from synapse_skills.errors import OutOfReach
from synapse_skills.sources import Inventory, Source
from synapse_skills.sources import inventory as inventory_module

SCRIPTS = Path(__file__).parents[2] / "scripts"


def make_tree(root: Path, files: int) -> Source:
    for number in range(files):
        folder = root / f"unit_{number // 4:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number % 4}.png").write_bytes(b"x")
    return Source(str(root))


@pytest.fixture(scope="session")
def big_tree(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return make_tree(tmp_path_factory.mktemp("big") / "tree", 8_000)


@pytest.mark.parametrize(
    ("what", "code"),
    [("missing/folder/i.sqlite", "inventory-denied"), ("folder", "inventory-denied")],
)
def test_a_place_where_no_file_can_be(tmp_path: Path, what: str, code: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutOfReach) as caught:
        Inventory(tmp_path / what)
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"this is not a database " * 100, b"SQLite format 3\0" + b"\xff" * 5_000, b"{}"])
def test_a_damaged_file_is_made_anew_and_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "i.sqlite"
    path.write_bytes(content)
    source = make_tree(tmp_path / "tree", 3)
    with Inventory(path) as inventory:
        walk = inventory.walk([source])
        assert len(list(inventory.files())) == 3
    assert [(p.code, p.severity) for p in walk.problems.as_list()] == [("inventory-made-anew", "info")]
    assert (tmp_path / "i.sqlite.unusable").read_bytes() == content


def test_another_version_and_another_kind_of_file_are_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "i.sqlite"
    with Inventory(path) as inventory:
        inventory.connection.execute("PRAGMA user_version=999")
    with Inventory(path) as inventory:
        assert inventory.made_anew == "it was of another version"
    foreign = tmp_path / "photos.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with Inventory(foreign) as inventory:
        assert inventory.made_anew == "it was no inventory"
    with sqlite3.connect(tmp_path / "photos.sqlite.unusable") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    connection.close()


def test_damage_deep_inside_is_found_by_the_walk(tmp_path: Path) -> None:
    path = tmp_path / "i.sqlite"
    source = make_tree(tmp_path / "tree", 2_000)
    with Inventory(path) as inventory:
        inventory.walk([source])
    content = bytearray(path.read_bytes())
    for page in range(3, len(content) // 4096):
        content[page * 4096 : page * 4096 + 100] = b"\xee" * 100
    path.write_bytes(content)
    with Inventory(path) as inventory:
        walk = inventory.walk([source])
        assert walk.files == len(list(inventory.files())) == 2_000
    assert "inventory-made-anew" in {problem.code for problem in walk.problems.as_list()}


def test_a_full_disk_is_out_of_reach_and_the_next_walk_goes_on(tmp_path: Path, big_tree: Source) -> None:
    with Inventory(tmp_path / "i.sqlite") as inventory:
        inventory.connection.execute("PRAGMA max_page_count=40")
        with pytest.raises(OutOfReach) as caught:
            inventory.walk([big_tree])
        assert caught.value.code == "disk-full"
        assert inventory.last_walk([big_tree]) is None
        inventory.connection.execute("PRAGMA max_page_count=1000000")
        assert inventory.walk([big_tree]).files == 8_000
        assert len(list(inventory.files())) == 8_000


def test_a_file_that_another_run_writes(tmp_path: Path, big_tree: Source) -> None:
    path = tmp_path / "i.sqlite"
    with Inventory(path) as first, Inventory(path) as second:
        second.connection.execute("PRAGMA busy_timeout=50")
        with first.transaction(), pytest.raises(OutOfReach) as caught:
            second.walk([big_tree])
        assert caught.value.code == "inventory-in-use"


def test_an_interrupted_walk_leaves_a_usable_inventory(tmp_path: Path, big_tree: Source) -> None:
    def stop(files: int) -> None:
        if files >= 3_000:
            raise KeyboardInterrupt

    with Inventory(tmp_path / "i.sqlite") as inventory:
        with pytest.raises(KeyboardInterrupt):
            inventory.walk([big_tree], progress=stop)
        assert not inventory.connection.in_transaction
        assert inventory.last_walk([big_tree]) is None
        assert inventory.walk([big_tree]).files == len(list(inventory.files())) == 8_000


@pytest.mark.parametrize(
    "wait_ms",
    [
        pytest.param(0, marks=pytest.mark.heavy),
        pytest.param(15, marks=pytest.mark.heavy),
        40,
        pytest.param(80, marks=pytest.mark.heavy),
    ],
)
def test_killed_at_any_moment(tmp_path: Path, big_tree: Source, wait_ms: int) -> None:
    path = tmp_path / "i.sqlite"
    program = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "from pathlib import Path\n"
        "from synapse_skills.sources import Inventory, Source\n"
        "from synapse_skills.sources import inventory\n"
        "inventory._COMMIT_EVERY = 1\n"
        f"with Inventory(Path({str(path)!r})) as found:\n"
        "    print('go', flush=True)\n"
        f"    while True: found.walk([Source({big_tree.path!r})])\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"go\n"
    time.sleep(wait_ms / 1000)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with Inventory(path) as inventory:
        assert inventory.made_anew == ""
        assert inventory.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert inventory.walk([big_tree]).files == len(list(inventory.files())) == 8_000


def test_memory_stays_flat(tmp_path: Path, big_tree: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """8,000 files and 2,000 folders take a megabyte: what a thousand take, as nothing is kept."""
    monkeypatch.setattr(inventory_module, "_COMMIT_EVERY", 2)
    with Inventory(tmp_path / "i.sqlite") as inventory:
        inventory.walk([big_tree], limit=1)
        tracemalloc.start()
        try:
            inventory.walk([big_tree])
            assert sum(1 for _ in inventory.files()) == 8_000
            inventory.counts()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 1_500_000


@pytest.mark.heavy
def test_a_flat_folder_with_odd_names_stays_flat(tmp_path: Path) -> None:
    """Upper-case names all go into the comparison for twins: it must not gather them in memory."""
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(6_000):
        (root / f"IMG_{number:05d}_A_LONG_CAMERA_NAME.JPG").touch()
    with Inventory(tmp_path / "i.sqlite") as inventory:
        inventory.walk([Source(str(root))], limit=1)
        tracemalloc.start()
        try:
            walk = inventory.walk([Source(str(root))])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (walk.files, bool(walk.problems)) == (6_000, False)
    assert peak < 1_500_000


def test_guard_answers_survive_walks_and_can_be_borrowed(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "tree", 2)
    with Inventory(tmp_path / "a.sqlite") as first, Inventory(tmp_path / "b.sqlite") as second:
        first.keep_guard_answers([(b"k1", ""), (b"k2", "script injection")])
        first.walk([source])
        assert first.guard_answers([b"k1", b"k2", b"k3"]) == {b"k1": "", b"k2": "script injection"}
        assert first.guard_answers([]) == {}
        assert second.borrow_guard(first.path) == 2
        assert second.guard_answers([b"k1", b"k2"]) == {b"k1": "", b"k2": "script injection"}
        assert second.borrow_guard(second.path) == 0


def test_a_lender_that_is_no_inventory_lends_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("not a database at all, but long enough to be looked at" * 100)
    with sqlite3.connect(tmp_path / "empty.sqlite") as connection:
        connection.execute("CREATE TABLE x (y)")
    connection.close()
    with Inventory(tmp_path / "i.sqlite") as inventory:
        for name in ("text.sqlite", "empty.sqlite", "missing.sqlite"):
            assert inventory.borrow_guard(tmp_path / name) == 0


def test_others_may_keep_tables_and_write_while_files_are_read(tmp_path: Path, big_tree: Source) -> None:
    with Inventory(tmp_path / "i.sqlite") as inventory:
        inventory.walk([big_tree])
        inventory.connection.execute("CREATE TABLE mine (path TEXT)")
        for number, file in enumerate(inventory.files()):
            if number % 1_000 == 0:
                with inventory.transaction() as connection:
                    connection.execute("INSERT INTO mine VALUES (?)", (file.path,))
        inventory.walk([big_tree])
        assert inventory.rows("SELECT count(*) FROM mine") == [(8,)]


def test_an_unchanged_file_keeps_its_row_and_place(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "tree", 2)
    with Inventory(tmp_path / "i.sqlite") as inventory:
        inventory.walk([source])
        inventory.connection.execute("UPDATE file SET unit = 'u', spec = 's'")
        before = inventory.rows("SELECT id, path, unit, spec FROM file ORDER BY id")
        os.utime(Path(source.path) / "unit_00000/0.png", ns=(0, 12_345))
        inventory.walk([source])
        assert inventory.rows("SELECT id, path, unit, spec FROM file ORDER BY id") == before
        assert inventory.rows("SELECT mtime_ns FROM file WHERE path LIKE '%/0.png'") == [(12_345,)]


def test_a_spread_sample_sees_every_source_and_every_folder(inventory: Inventory, tmp_path: Path) -> None:
    for folder, count in (("one/images", 3_000), ("one/labels", 1_500), ("two", 2_500)):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(count):
            (tmp_path / folder / f"{number}.x").touch()
    sources = [Source(str(tmp_path / "one")), Source(str(tmp_path / "two"))]
    walk = inventory.walk(sources, limit=4_000, spread=True)
    seen = {(file.source, file.folders) for file in inventory.files()}
    assert seen == {(0, ("images",)), (0, ("labels",)), (1, ())}
    assert walk.files == 4_000 == sum(1 for _ in inventory.files()) and not walk.complete
    assert inventory.last_walk(sources) is None
    whole = inventory.walk(sources, limit=50_000, spread=True)
    assert whole.complete and whole.files == 7_000
