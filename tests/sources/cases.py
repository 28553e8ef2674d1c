"""What a walk must do on any file system: one set of cases, subclassed once for each (local now).

A subclass gives the fixture `tree`, an object with `write(path, content=b"x")`, `folder(path)`, `remove(path)` and
`source(below="", **kwargs)`, and the fixture `inventory`.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Protocol

import pytest

from synapse_skills.sources import Inventory, Source, Walk


class Tree(Protocol):
    def write(self, path: str, content: bytes = b"x") -> None: ...
    def folder(self, path: str) -> None: ...
    def remove(self, path: str) -> None: ...
    def source(self, below: str = "", **kwargs: Any) -> Source: ...


def found(inventory: Inventory) -> list[str]:
    return [file.path for file in inventory.files()]


def codes(walk: Walk) -> dict[str, int]:
    return {problem.code: problem.count for problem in walk.problems.as_list()}


def examples(walk: Walk, code: str) -> str:
    return " | ".join(next(p for p in walk.problems.as_list() if p.code == code).examples)


class WalkCases:
    NFC = "가.png"
    NFD = unicodedata.normalize("NFD", NFC)

    @pytest.fixture
    def tree(self) -> Tree:
        raise NotImplementedError

    # ---- what goes wrong

    def test_an_empty_folder_is_an_error_and_not_a_clean_walk(self, tree: Tree, inventory: Inventory) -> None:
        tree.folder("a/b")
        walk = inventory.walk([tree.source()])
        assert (walk.files, codes(walk)) == (0, {"empty-source": 1})

    def test_each_empty_source_is_named(self, tree: Tree, inventory: Inventory) -> None:
        tree.write("full/a.png")
        tree.folder("empty")
        walk = inventory.walk([tree.source("full"), tree.source("empty")])
        assert codes(walk) == {"empty-source": 1}
        assert "empty: no file" in examples(walk, "empty-source")

    def test_junk_is_set_aside_and_counted(self, tree: Tree, inventory: Inventory) -> None:
        junk = [
            ".DS_Store",
            "a/.DS_Store",
            "Thumbs.db",
            "desktop.ini",
            "._image.png",
            ".hidden.png",
            "Icon\r",
            "~$list.xlsx",
            ".gitkeep",
            "__MACOSX/a/image.png",
            ".git/HEAD",
            "@eaDir/x.jpg",
            "__pycache__/x.pyc",
            ".ipynb_checkpoints/n.ipynb",
        ]
        for path in [*junk, "a/image.png", "~list.xlsx", "a/~$image.png"]:
            tree.write(path)
        walk = inventory.walk([tree.source()])
        assert found(inventory) == ["a/image.png", "a/~$image.png", "~list.xlsx"]
        assert codes(walk) == {"junk-set-aside": len(junk)}
        assert ".hidden.png" in examples(walk, "junk-set-aside")

    def test_names_that_become_one_are_an_error_naming_both(self, tree: Tree, inventory: Inventory) -> None:
        tree.write(f"a/{self.NFC}")
        tree.write(f"a/{self.NFD}")
        tree.write(f"b/{self.NFD}")
        walk = inventory.walk([tree.source()])
        assert walk.files == 3
        assert codes(walk) == {"name-collision-nfc": 1}
        assert f"a/{self.NFC} (composed)" in examples(walk, "name-collision-nfc")
        assert f"a/{self.NFD} (decomposed" in examples(walk, "name-collision-nfc")

    def test_folders_that_become_one_are_found_too(self, tree: Tree, inventory: Inventory) -> None:
        tree.write("병원/a.png")
        tree.write(f"{unicodedata.normalize('NFD', '병원')}/b.png")
        walk = inventory.walk([tree.source()])
        assert codes(walk) == {"name-collision-nfc": 1}

    @pytest.mark.parametrize(
        "twins", [("IMG.png", "img.png"), ("Img.png", "IMG.png"), ("a/X.png", "A/x.png"), ("STRASSE", "straße")]
    )
    def test_names_that_differ_by_case_are_a_warning(
        self, tree: Tree, inventory: Inventory, twins: tuple[str, str]
    ) -> None:
        for name in twins:
            tree.write(name)
        walk = inventory.walk([tree.source()])
        (problem,) = walk.problems.as_list()
        assert (problem.code, problem.severity, problem.count) == ("name-collision-case", "warning", 1)
        assert all(name.split("/")[0] in problem.examples[0] for name in twins)

    def test_no_twins_across_folders_or_sources(self, tree: Tree, inventory: Inventory) -> None:
        for path in ("p/a/IMG.png", "p/b/img.png", "q/a/img.png", "q/a1/Z.png", "q/A0.png", "q/a/A/n.png"):
            tree.write(path)
        walk = inventory.walk([tree.source("p"), tree.source("q")])
        assert codes(walk) == {}

    def test_a_twin_that_has_gone_is_no_longer_one(self, tree: Tree, inventory: Inventory) -> None:
        tree.write("IMG.png")
        tree.write("img.png")
        assert "name-collision-case" in codes(inventory.walk([tree.source()]))
        tree.remove("img.png")
        assert codes(inventory.walk([tree.source()])) == {}

    def test_line_breaks_in_names_are_kept_and_flagged(self, tree: Tree, inventory: Inventory) -> None:
        tree.write("a\nb.png")
        walk = inventory.walk([tree.source()])
        assert found(inventory) == ["a\nb.png"]
        assert codes(walk) == {"control-character": 1}
        assert examples(walk, "control-character") == "a\\nb.png"

    # ---- what is found

    def test_files_come_ordered_by_source_and_path(self, tree: Tree, inventory: Inventory) -> None:
        paths = ["b/2.png", "b/10.png", "a.png", "b.png", "한/글.png", "a/z/1.png", "b-c/1.png"]
        for path in paths:
            tree.write(path, b"12345")
        tree.write("other/1.png")
        walk = inventory.walk([tree.source(recursive=True), tree.source("b")])
        of_first = [file.path for file in inventory.files() if file.source == 0]
        assert of_first == sorted([*paths, "other/1.png"])
        assert [file.path for file in inventory.files() if file.source == 1] == ["10.png", "2.png"]
        assert (walk.files, walk.bytes, walk.folders) == (10, 5 * 9 + 1, 6)

    def test_size_and_time_are_those_on_disk(self, tree: Tree, inventory: Inventory) -> None:
        tree.write("a.bin", b"1234567")
        tree.write("zero.bin", b"")
        inventory.walk([tree.source()])
        first, second = inventory.files()
        assert (first.size, second.size) == (7, 0)
        assert first.mtime_ns > 1_500_000_000_000_000_000

    def test_without_recursion_only_the_folder_itself_counts(self, tree: Tree, inventory: Inventory) -> None:
        tree.write("a.png")
        tree.write("b/c.png")
        walk = inventory.walk([tree.source(recursive=False)])
        assert found(inventory) == ["a.png"]
        assert walk.folders == 1

    def test_very_deep_trees(self, tree: Tree, inventory: Inventory) -> None:
        deep = "/".join(["d"] * 200)
        for path in (f"{deep}/x.png", "d/d/d/y.png", "z.png"):
            tree.write(path)
        walk = inventory.walk([tree.source()])
        assert found(inventory) == [f"{deep}/x.png", "d/d/d/y.png", "z.png"]
        assert (walk.folders, codes(walk)) == (200, {})

    def test_nested_sources_each_see_their_own(self, tree: Tree, inventory: Inventory) -> None:
        tree.write("a/b/c.png")
        inventory.walk([tree.source(), tree.source("a")])
        assert [(file.source, file.path) for file in inventory.files()] == [(0, "a/b/c.png"), (1, "b/c.png")]

    def test_a_second_walk_finds_what_changed_came_and_went(self, tree: Tree, inventory: Inventory) -> None:
        for name in ("same.png", "grows.png", "goes.png"):
            tree.write(name, b"12")
        inventory.walk([tree.source()])
        tree.write("grows.png", b"1234")
        tree.write("comes.png", b"1")
        tree.remove("goes.png")
        walk = inventory.walk([tree.source()])
        assert [(f.path, f.size) for f in inventory.files()] == [("comes.png", 1), ("grows.png", 4), ("same.png", 2)]
        assert walk.files == 3

    def test_other_sources_replace_the_files(self, tree: Tree, inventory: Inventory) -> None:
        tree.write("a/1.png")
        tree.write("b/2.png")
        inventory.walk([tree.source("a"), tree.source("b")])
        inventory.walk([tree.source("b")])
        assert found(inventory) == ["2.png"]

    @pytest.mark.parametrize("limit", [1, 2, 5])
    def test_a_limit_makes_a_sample_that_says_so(self, tree: Tree, inventory: Inventory, limit: int) -> None:
        for number in range(7):
            tree.write(f"{number % 2}/{number}.png")
        walk = inventory.walk([tree.source()], limit=limit)
        assert (walk.files, len(found(inventory)), walk.complete) == (limit, limit, False)
        assert inventory.last_walk([tree.source()]) is None
        assert inventory.walk([tree.source()], limit=100).complete

    def test_counts(self, tree: Tree, inventory: Inventory) -> None:
        for path in ("a/1.PNG", "a/2.png", "b/x.tar.gz", "b/README", "v1.2/README"):
            tree.write(path, b"123")
        inventory.walk([tree.source()])
        counts = inventory.counts()
        assert (counts.files, counts.bytes, counts.other) == (5, 15, (0, 0))
        assert counts.by_suffix == {"": (2, 6), ".png": (2, 6), ".gz": (1, 3)}

    def test_many_suffixes_are_summed_up(self, tree: Tree, inventory: Inventory) -> None:
        for number in range(130):
            tree.write(f"clip.{number:04d}", b"12")
        inventory.walk([tree.source()])
        counts = inventory.counts()
        assert (len(counts.by_suffix), counts.other) == (100, (30, 60))

    def test_progress_ends_at_the_number_of_files(self, tree: Tree, inventory: Inventory) -> None:
        for number in range(1_500):
            tree.write(f"{number}.png")
        seen: list[int] = []
        inventory.walk([tree.source()], progress=seen.append)
        assert seen == sorted(seen)
        assert seen[-1] == 1_500
        assert len(seen) > 1

    def test_the_last_walk_can_be_asked_again_without_walking(self, tree: Tree, inventory: Inventory) -> None:
        tree.write("a/IMG.png", b"123")
        tree.write("a/img.png")
        tree.write("a/.DS_Store")
        walk = inventory.walk([tree.source()])
        kept = inventory.last_walk([tree.source()])
        assert kept is not None
        assert (kept.files, kept.bytes, kept.folders) == (walk.files, walk.bytes, walk.folders)
        assert kept.problems.as_list() == walk.problems.as_list()
        assert inventory.last_walk([tree.source("a")]) is None
        assert inventory.last_walk([tree.source(recursive=False)]) is None
