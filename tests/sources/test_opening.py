"""open_inside: nothing outside the source is ever read, whatever happens between the walk and the open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synapse_skills.sources import File, open_inside
from synapse_skills.sources import opening as opening_module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/c.png").write_bytes(b"inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/c.png").write_bytes(b"secret")
    return root


def test_a_file_is_opened(root: Path) -> None:
    with open_inside(root, File(0, "a/b/c.png", 6, 0)) as stream:
        assert stream.read() == b"inside"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside/c.png", "../../../../../../etc/hosts"])
def test_a_file_swapped_for_a_link_out_is_refused(root: Path, target: str) -> None:
    (root / "a/b/c.png").unlink()
    (root / "a/b/c.png").symlink_to(target)
    with pytest.raises(OSError, match=r"leaves the source|No such file"):
        open_inside(root, "a/b/c.png")


@pytest.mark.parametrize("swapped", ["a", "a/b"])
def test_a_folder_swapped_for_a_link_out_is_refused(root: Path, swapped: str) -> None:
    (root / swapped).rename(root / "old")
    (root.parent / "outside/b").mkdir()
    (root.parent / "outside/b/c.png").write_bytes(b"secret")
    (root / swapped).symlink_to(root.parent / "outside")
    with pytest.raises(OSError, match="leaves the source"):
        open_inside(root, "a/b/c.png")


def test_a_neighbour_whose_name_begins_alike_is_outside(root: Path) -> None:
    (root.parent / "root2").mkdir()
    (root.parent / "root2/x.png").write_bytes(b"secret")
    (root / "x.png").symlink_to("../root2/x.png")
    with pytest.raises(OSError, match="leaves the source"):
        open_inside(root, "x.png")


def test_links_inside_are_followed(root: Path) -> None:
    (root / "link.png").symlink_to("a/b/c.png")
    (root / "folder").symlink_to("a")
    for path in ("link.png", "folder/b/c.png"):
        with open_inside(root, path) as stream:
            assert stream.read() == b"inside"


def test_a_link_that_turns_outwards_while_it_is_resolved(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolved path is opened part by part again, so a swap after the check is refused too."""
    (root / "link.png").symlink_to("a/b/c.png")
    real = os.path.realpath

    def swap(path: str, *, strict: bool = False) -> str:
        resolved = real(path, strict=strict)
        (root / "a/b/c.png").unlink()
        (root / "a/b/c.png").symlink_to("/etc/passwd")
        return resolved

    monkeypatch.setattr(opening_module.os.path, "realpath", swap)
    with pytest.raises(OSError, match="leaves the source"):
        open_inside(root, "link.png")


@pytest.mark.parametrize("path", ["../outside/c.png", "a/../../outside/c.png", "/etc/passwd", "a//b/c.png", ""])
def test_paths_that_climb_are_refused(root: Path, path: str) -> None:
    with pytest.raises(OSError, match="leaves the source"):
        open_inside(root, path)


def test_no_waiting_for_a_fifo_that_took_the_place(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        open_inside(root, "pipe")


@pytest.mark.parametrize("path", ["a/none.png", "none/c.png", "a/b/c.png/d", "a"])
def test_missing_files_and_folders_are_os_errors(root: Path, path: str) -> None:
    with pytest.raises(OSError) as caught:
        open_inside(root, path)
    assert not isinstance(caught.value, opening_module.LinkOutside)


def test_without_dir_fd_it_is_checked_by_path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening_module.os, "supports_dir_fd", set())
    (root / "link.png").symlink_to("a/b/c.png")
    (root / "out.png").symlink_to("/etc/passwd")
    for path in ("a/b/c.png", "link.png"):
        with open_inside(root.resolve(), path) as stream:
            assert stream.read() == b"inside"
    with pytest.raises(OSError, match="leaves the source"):
        open_inside(root.resolve(), "out.png")


def test_no_descriptor_is_left_open(root: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("no /proc")
    (root / "out").symlink_to("/etc")
    before = len(list(descriptors.iterdir()))
    for path in ("a/b/c.png", "a", "out/passwd", "none/x", "a/b/none"):
        try:
            open_inside(root, path).close()
        except OSError:
            continue
    assert len(list(descriptors.iterdir())) == before
