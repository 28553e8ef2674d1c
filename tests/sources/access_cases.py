"""What fetching from a source and writing to a store must do on any file system: subclassed once for each."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from sources.trees import UrlTree
from synapse_skills.errors import FindingError, OutOfReach
from synapse_skills.sources import File, FileChanged, FileVanished, Inventory, Source, open_store, reach

ODD = ["한글 이름.png", "한글.png", "a#b.png", "50%.png", "what?.png", "sp ace+&=.png", "x'\"`$;.png", "%2e%2e.png"]


def listed(tree: UrlTree, inventory: Inventory) -> dict[str, File]:
    inventory.walk([tree.source()])
    return {file.path: file for file in inventory.files()}


class AccessCases:
    odd = ODD

    @pytest.fixture
    def tree(self) -> UrlTree:
        raise NotImplementedError

    # ---- what goes wrong

    def test_a_file_that_changed_is_refused_and_leaves_nothing(
        self, tree: UrlTree, inventory: Inventory, tmp_path: Path
    ) -> None:
        tree.write("a.png", b"12345")
        file = listed(tree, inventory)["a.png"]
        tree.write("a.png", b"123456")
        with reach(tree.source()) as way, pytest.raises(FileChanged, match=r"a\.png has changed"):
            way.fetch(file, tmp_path / "out.png")
        assert not [path for path in tmp_path.iterdir() if "out" in path.name]

    def test_a_file_that_vanished_is_named(self, tree: UrlTree, inventory: Inventory, tmp_path: Path) -> None:
        tree.write("a.png")
        tree.write("b.png")
        file = listed(tree, inventory)["a.png"]
        tree.remove("a.png")
        with reach(tree.source()) as way:
            assert not way.is_unchanged(file)
            with pytest.raises(FileVanished, match=r"a\.png is gone"):
                way.fetch(file, tmp_path / "out.png")

    @pytest.mark.parametrize("path", ["../secret.txt", "a/../../secret.txt", "/etc/passwd"])
    def test_no_path_leads_out(self, tree: UrlTree, path: str) -> None:
        tree.write("a/b.png")
        with reach(tree.source("a")) as way, pytest.raises((OutOfReach, FindingError, OSError)):
            way.open(path).close()

    def test_what_is_not_there_says_so(self, tree: UrlTree) -> None:
        tree.write("here/a.png")
        with pytest.raises(OutOfReach, match="here") as caught:
            reach(tree.source("here/nope"))
        assert caught.value.code == "source-missing"
        with pytest.raises(OutOfReach) as caught:
            reach(tree.source("here/a.png"))
        assert caught.value.code in ("source-not-a-folder", "source-missing")

    # ---- what comes

    def test_odd_names_come_whole(self, tree: UrlTree, inventory: Inventory, tmp_path: Path) -> None:
        for number, name in enumerate(self.odd):
            tree.write(f"of/{name}", b"1" * number)
        files = listed(tree, inventory)
        assert sorted(files) == sorted(f"of/{name}" for name in self.odd)
        with reach(tree.source()) as way:
            for number, name in enumerate(self.odd):
                way.fetch(files[f"of/{name}"], tmp_path / "out")
                assert (tmp_path / "out").read_bytes() == b"1" * number
                assert way.is_unchanged(files[f"of/{name}"])

    def test_an_open_file_can_be_sought(self, tree: UrlTree, inventory: Inventory) -> None:
        tree.write("a.bin", bytes(range(200)))
        file = listed(tree, inventory)["a.bin"]
        with reach(tree.source()) as way, way.open(file) as stream:
            assert stream.read(3) == b"\0\1\2"
            stream.seek(100)
            assert stream.read(2) == b"de"

    def test_a_new_listing_is_never_an_old_one(self, tree: UrlTree, inventory: Inventory) -> None:
        tree.write("a.png")
        assert list(listed(tree, inventory)) == ["a.png"]
        tree.write("b.png")
        assert list(listed(tree, inventory)) == ["a.png", "b.png"]
        with reach(tree.source()) as way:
            assert way.stat("c.png") is None
            tree.write("c.png")
            assert sorted(name for name, _ in way.entries()) == ["a.png", "b.png", "c.png"]
            assert way.stat("c.png") is not None

    def test_many_at_once(self, tree: UrlTree, inventory: Inventory, tmp_path: Path) -> None:
        for number in range(12):
            tree.write(f"{number}.bin", bytes([number]) * 50_000)
        files = listed(tree, inventory)
        with reach(tree.source()) as way:
            work = [
                threading.Thread(target=way.fetch, args=(file, tmp_path / f"out-{path}"))
                for path, file in files.items()
            ]
            for thread in work:
                thread.start()
            for thread in work:
                thread.join()
        for number in range(12):
            assert (tmp_path / f"out-{number}.bin").read_bytes() == bytes([number]) * 50_000


class StoreCases:
    exclusive_is_atomic = True
    takes_empty_files = True
    odd_name = "한글#?.json"

    @pytest.fixture
    def tree(self) -> UrlTree:
        raise NotImplementedError

    @pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "", "a//b", "a/./b", "a\0b"])
    def test_no_name_leads_out(self, tree: UrlTree, name: str) -> None:
        with open_store(tree.url) as store:
            for call in (store.read, store.delete, lambda name: store.write(name, b"x")):
                with pytest.raises(FindingError) as caught:
                    call(name)
                assert caught.value.code == "outside-store"

    def test_written_is_read_over_and_over(self, tree: UrlTree, tmp_path: Path) -> None:
        big = tmp_path / "big"
        big.write_bytes(b"0123456789" * 30_000)
        with open_store(f"{tree.url}/state/job") as store:
            assert list(store.list()) == []
            assert store.read("a") is None
            store.write("journal/1.jsonl", b"one")
            store.write("journal/1.jsonl", b"another")
            store.write("empty", b"" if self.takes_empty_files else b"e")
            store.write("big", big)
            store.write(self.odd_name, b"{}")
            assert [(each.name, each.size) for each in store.list()] == [
                ("big", 300_000),
                ("empty", 0 if self.takes_empty_files else 1),
                ("journal/1.jsonl", 7),
                (self.odd_name, 2),
            ]
            assert [each.name for each in store.list("journal")] == ["journal/1.jsonl"]
            assert store.read("journal/1.jsonl") == b"another"
            assert store.read("empty") == (b"" if self.takes_empty_files else b"e")
            assert store.read("big") == big.read_bytes()
            assert (store.exists("empty"), store.exists("nope"), store.exists("journal")) == (True, False, False)
        with open_store(f"{tree.url}/state/job") as store:
            store.delete("big")
            store.delete("big")
            assert store.read("big") is None

    def test_of_several_who_create_one_wins(self, tree: UrlTree) -> None:
        with open_store(tree.url) as store:
            tree.write("there")
            won: list[Any] = []
            work = [
                threading.Thread(target=lambda n=n: won.append(store.create("locks/lock", b"%d" % n)))  # type: ignore[misc]
                for n in range(4 if self.exclusive_is_atomic else 1)
            ]
            for thread in work:
                thread.start()
            for thread in work:
                thread.join()
            assert sum(won) == 1
            assert not store.create("locks/lock", b"late")
            assert [each.name for each in store.list("locks")] == ["locks/lock"]


def codes_of(source: Source) -> str:
    """The code with which a source can't be reached."""
    with pytest.raises(OutOfReach) as caught:
        reach(source)
    assert caught.value.hint
    return caught.value.code
