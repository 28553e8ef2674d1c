"""The walk over local folders: the common cases, and what only a local file system can do."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sources.cases import WalkCases, codes, examples, found
from synapse_skills.errors import OutOfReach
from synapse_skills.sources import Inventory, Source
from synapse_skills.sources import walk as walk_module
from synapse_skills.sources.junk import Junk


class LocalTree:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()

    def write(self, path: str, content: bytes = b"x") -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def folder(self, path: str) -> None:
        (self.root / path).mkdir(parents=True)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()

    def link(self, path: str, target: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def source(self, below: str = "", **kwargs: Any) -> Source:
        return Source(str(self.root / below), **kwargs)


@pytest.fixture
def tree(tmp_path: Path) -> LocalTree:
    return LocalTree(tmp_path / "tree")


class TestLocalWalk(WalkCases):
    @pytest.fixture
    def tree(self, tmp_path: Path) -> LocalTree:
        return LocalTree(tmp_path / "tree")


# ---- the root


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("{tmp}/nope/below", "source-missing", "{tmp} exists"),
        ("{tmp}/file.txt", "source-not-a-folder", "is a file, not a folder"),
        ("{tmp}/file.txt/below", "source-not-a-folder", "is a file"),
        ("{tmp}/loop", "source-missing", "can't be read"),
        ("{tmp}/broken", "source-missing", "There is no folder"),
        ("{tmp}/" + "n" * 300, "source-missing", "can't be read"),
        ("", "source-missing", "not a path"),
        ("a\0b", "source-missing", "not a path"),
        ("~nobody-of-this-name/x", "source-missing", "There is no folder"),
        ("s3://bucket/prefix", "source-not-local", "is not a local folder"),
        ("az://container/prefix", "source-not-supported", "az:// is not supported"),
    ],
)
def test_a_root_that_is_none_says_why(tmp_path: Path, path: str, code: str, says: str) -> None:
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "broken").symlink_to("nothing")
    with pytest.raises(OutOfReach) as caught:
        Source(path.format(tmp=tmp_path)).root()
    assert caught.value.code == code
    assert says.format(tmp=tmp_path) in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code == 3


def test_a_root_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(OutOfReach) as caught:
        Source(str(tmp_path)).root()
    assert caught.value.code == "source-denied"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_root_really_without_permission(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(OutOfReach) as caught:
        Source(str(tmp_path / "closed")).root()
    assert caught.value.code == "source-denied"


def test_a_root_that_is_not_utf8(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/" + "병원".encode("cp949")
    os.mkdir(raw)  # noqa: PTH102
    with pytest.raises(OutOfReach) as caught:
        Source(os.fsdecode(raw)).root()
    assert caught.value.code == "source-undecodable"
    str(caught.value).encode()


def test_ways_to_write_a_root(tree: LocalTree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.write("data/a.png")
    (tree.root / "link").symlink_to("data")
    monkeypatch.chdir(tree.root)
    monkeypatch.setenv("HOME", str(tree.root))
    expected = tree.root.resolve() / "data"
    for path in ("data", "data/", "./data", "~/data", f"{tree.root}/data//", f"{tree.root}/x/../data/", "link"):
        if "/x/" in path:
            (tree.root / "x").mkdir()
        assert Source(path).root() == expected


def test_no_source_at_all(inventory: Inventory) -> None:
    with pytest.raises(Exception, match="No source was named") as caught:
        inventory.walk([])
    assert getattr(caught.value, "exit_code", None) == 2


# ---- names that can't be stored


def test_names_from_korean_zips_are_reported_and_never_stored(tree: LocalTree, inventory: Inventory) -> None:
    tree.write("good.png")
    root = os.fsencode(tree.root)
    (tree.root / "sub").mkdir()
    for raw in (b"sub/" + "환자.png".encode("cp949"), "폴더".encode("cp949") + b"/in it.png", b"\xff\xfe.png"):
        path = os.path.join(root, raw)  # noqa: PTH118
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        with open(path, "wb") as stream:  # noqa: PTH123
            stream.write(b"x")
    walk = inventory.walk([tree.source()])
    assert found(inventory) == ["good.png"]
    assert codes(walk) == {"undecodable-name": 3}
    assert "sub/ȯ\\xc0\\xda.png (in CP949: 환자.png)" in examples(walk, "undecodable-name")
    assert "\\xff\\xfe.png" in examples(walk, "undecodable-name")
    examples(walk, "undecodable-name").encode()


# ---- what is no file


def test_special_files_are_refused_by_name(tree: LocalTree, inventory: Inventory) -> None:
    tree.write("a.png")
    os.mkfifo(tree.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(tree.root)  # a socket's path may have 107 bytes only
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        tree.link("to-pipe", "pipe")
        walk = inventory.walk([tree.source()])
    assert found(inventory) == ["a.png"]
    assert codes(walk) == {"special-file": 3}
    assert "pipe: fifo" in examples(walk, "special-file")
    assert "socket: socket" in examples(walk, "special-file")


# ---- links


def test_links_out_of_the_root_are_refused(tree: LocalTree, inventory: Inventory, tmp_path: Path) -> None:
    (tmp_path / "tree2").mkdir()
    (tmp_path / "tree2" / "secret.png").write_bytes(b"x")
    tree.write("a.png")
    for name, target in (
        ("passwd", "/etc/passwd"),
        ("up", ".."),
        ("neighbour.png", "../tree2/secret.png"),
        ("etc", "/etc"),
        ("twice", "passwd"),
    ):
        tree.link(f"links/{name}", target if name != "neighbour.png" else "../../tree2/secret.png")
    tree.link("links/up2", "../..")
    walk = inventory.walk([tree.source()])
    assert found(inventory) == ["a.png"]
    assert codes(walk) == {"link-outside": 6}


def test_a_link_to_a_file_inside_is_a_file(tree: LocalTree, inventory: Inventory) -> None:
    tree.write("pool/0001.png", b"12345")
    tree.link("unit/image.png", "../pool/0001.png")
    tree.link("unit/again.png", "image.png")
    walk = inventory.walk([tree.source()])
    assert codes(walk) == {}
    assert [(file.path, file.size) for file in inventory.files()] == [
        ("pool/0001.png", 5),
        ("unit/again.png", 5),
        ("unit/image.png", 5),
    ]


def test_links_into_a_hidden_store_are_followed(tree: LocalTree, inventory: Inventory) -> None:
    """As git-annex and DVC lay them: the data is only there."""
    tree.write(".store/k1/data", b"123")
    tree.link(".store/k2/other", "../k1")
    tree.write(".store/k2/in/deep.png")
    tree.link(".store/k2/loop", "../k2")
    tree.link("unit/image.png", "../.store/k1/data")
    tree.link("unit2", ".store/k2")
    walk = inventory.walk([tree.source()])
    assert found(inventory) == ["unit/image.png", "unit2/in/deep.png"]
    assert codes(walk) == {"junk-set-aside": 1, "link-outside": 2}
    assert "unit2/other: is a folder link below another one" in examples(walk, "link-outside")
    assert "unit2/loop: leads to a folder above itself" in examples(walk, "link-outside")


def test_folder_links_that_loop_or_double_are_refused(tree: LocalTree, inventory: Inventory) -> None:
    tree.write("a/1.png")
    tree.write("b/2.png")
    tree.link("a/self", ".")
    tree.link("a/up", "..")
    tree.link("a/to-b", "../b")
    tree.link("b/to-a", "../a")
    tree.link("latest", "a")
    tree.link("ouroboros", "ouroboros")
    walk = inventory.walk([tree.source()])
    assert found(inventory) == ["a/1.png", "b/2.png"]
    assert codes(walk) == {"link-outside": 6}
    assert "leads to" in examples(walk, "link-outside")


def test_broken_links_are_counted(tree: LocalTree, inventory: Inventory) -> None:
    tree.write("a.png")
    tree.link("b.png", "nothing.png")
    tree.link("c.png", "a.png/below")
    assert codes(inventory.walk([tree.source()])) == {"link-broken": 2}


def test_without_recursion_folder_links_are_left_alone(tree: LocalTree, inventory: Inventory) -> None:
    tree.write(".store/1.png")
    tree.write("a.png")
    tree.link("unit", ".store")
    inventory.walk([tree.source(recursive=False)])
    assert found(inventory) == ["a.png"]


def test_links_among_hidden_folders_do_not_multiply(tree: LocalTree, inventory: Inventory) -> None:
    """Eight folders that all link to each other: 8! ways through them, and one file each."""
    for here in range(8):
        tree.write(f".store/{here}/x.png")
        for there in range(8):
            tree.link(f".store/{here}/to{there}", f"../{there}")
    tree.link("unit", ".store/0")
    inventory.walk([tree.source()])
    assert found(inventory) == ["unit/x.png"]


def test_odd_names_of_empty_folders_are_not_gathered(tree: LocalTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_module, "BATCH", 5)
    for number in range(40):
        tree.folder(f"P{number}")
    walker = walk_module.Walker(0, tree.root, recursive=True, walk=walk_module.Walk(), junk=Junk())
    held = []
    for _ in walker.batches():
        held.append(len(walker.odd))
        walker.odd.clear()
    assert sum(held) == 40
    assert max(held) <= 6


# ---- permission, and a disk that gives up


class Broken:
    """scandir that fails for some folders, or half way through them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: dict[str, OSError], after: int = -1) -> None:
        real = os.scandir

        class Half:
            def __init__(self, entries: Any, error: OSError) -> None:
                self.entries, self.error, self.left = entries, error, after

            def __iter__(self) -> Iterator[Any]:
                return self

            def __next__(self) -> Any:
                if not self.left:
                    raise self.error
                self.left -= 1
                return next(self.entries)

            def close(self) -> None:
                self.entries.close()

        def scandir(path: Any) -> Any:
            error = fails.get(Path(path).name)
            if error is None:
                return real(path)
            if after < 0:
                raise error
            return Half(real(path), error)

        monkeypatch.setattr(walk_module.os, "scandir", scandir)


def test_unreadable_folders_are_errors_and_do_not_stop_the_walk(
    tree: LocalTree, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("a/1.png", "closed/2.png", "z/3.png"):
        tree.write(path)
    Broken(monkeypatch, {"closed": PermissionError(errno.EACCES, "Permission denied")})
    walk = inventory.walk([tree.source()])
    assert found(inventory) == ["a/1.png", "z/3.png"]
    (problem,) = walk.problems.as_list()
    assert (problem.code, problem.severity) == ("unreadable-folder", "error")
    assert problem.examples == ["closed/: Permission denied"]


def test_a_folder_that_breaks_off_half_way(
    tree: LocalTree, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        tree.write(f"bad/{number}.png")
    tree.write("good/1.png")
    Broken(monkeypatch, {"bad": OSError(errno.EIO, "Input/output error")}, after=2)
    walk = inventory.walk([tree.source()])
    assert walk.files == 3
    assert codes(walk) == {"unreadable-folder": 1}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_really_unreadable_folders(tree: LocalTree, inventory: Inventory) -> None:
    tree.write("a/1.png")
    tree.write("closed/2.png")
    (tree.root / "closed").chmod(0)
    try:
        walk = inventory.walk([tree.source()])
    finally:
        (tree.root / "closed").chmod(0o700)
    assert found(inventory) == ["a/1.png"]
    assert codes(walk) == {"unreadable-folder": 1}


def test_a_folder_that_goes_away_meanwhile_is_not_missed(
    tree: LocalTree, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.write("a/1.png")
    tree.write("gone/2.png")
    Broken(monkeypatch, {"gone": FileNotFoundError(errno.ENOENT, "No such file or directory")})
    assert codes(inventory.walk([tree.source()])) == {}
    assert found(inventory) == ["a/1.png"]


def test_no_folder_stays_open_after_an_early_end(tree: LocalTree, inventory: Inventory) -> None:
    for number in range(30):
        tree.write(f"a/b/c/{number}.png")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208
    inventory.walk([tree.source()], limit=3)
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208
    assert after <= before + 1  # SQLite's temporary file
