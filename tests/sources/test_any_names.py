"""Whatever the names are: each file on disk is in the inventory, or counted in a problem."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from synapse_skills.sources import File, Inventory, Source
from synapse_skills.sources.walk import fold

# Bytes, as a file system sees names: UTF-8 of any kind, CP949, junk, and what looks like a path but is not.
_NAMES = st.one_of(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).map(
        str.encode
    ),
    st.text("가각병원aA.", min_size=1, max_size=6).map(lambda name: unicodedata.normalize("NFD", name).encode()),
    st.text("한글환자", min_size=1, max_size=6).map(lambda name: name.encode("cp949")),
    st.binary(min_size=1, max_size=12).filter(lambda name: b"/" not in name and b"\0" not in name),
    st.sampled_from([b".DS_Store", b"a'b\"c", b"a\\b", b"{{ x }}", b"-rf", b"*", b" ", b"a\xe2\x80\xa8b", b"IMG.PNG"]),
).filter(lambda name: name not in (b".", b"..") and len(name) < 200)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(_NAMES, min_size=1, max_size=3), max_size=12))
@example([[b"a", b"b"], [b"A", b"b"], [b"\xff", b"b"], [b".x", b"b"]])
def test_every_file_is_found_or_counted(paths: list[list[bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Inventory(Path(folder) / "i.sqlite") as inventory:
        root = os.fsencode(folder) + b"/tree"
        os.mkdir(root)  # noqa: PTH102
        files: set[bytes] = set()
        for parts in paths:
            path = b"/".join(parts)
            try:
                os.makedirs(os.path.dirname(root + b"/" + path), exist_ok=True)  # noqa: PTH103, PTH120
                with open(root + b"/" + path, "xb"):  # noqa: PTH123
                    files.add(path)
            except OSError:
                continue  # a file is where a folder should be, or the other way round
        walk = inventory.walk([Source(folder + "/tree")])
        stored = [file.path for file in inventory.files()]
        counted = {problem.code: problem.count for problem in walk.problems.as_list()}
        assert {os.fsencode(path) for path in stored} <= files
        assert len(stored) == len(set(stored)) == walk.files
        # What is missing lies at, or below, a name that was set aside or can't be stored: as many as were counted.
        set_aside = {_set_aside(path) for path in files - {os.fsencode(path) for path in stored}}
        assert None not in set_aside
        assert len(set_aside) == counted.get("junk-set-aside", 0) + counted.get("undecodable-name", 0)
        assert sorted(stored) == stored
        for file in inventory.files():
            file.key.encode()
            assert "/".join([*file.folders, file.name]) == file.key
            assert file.stem + file.name[len(file.stem) :] == file.name
            assert unicodedata.is_normalized("NFC", file.key)


def _set_aside(path: bytes) -> bytes | None:
    """The first part of a path that the walk does not enter."""
    parts = path.split(b"/")
    for number, part in enumerate(parts, 1):
        try:
            name = part.decode()
        except UnicodeDecodeError:
            return b"/".join(parts[:number])
        if name.startswith(".") or name in ("Thumbs.db", "desktop.ini"):
            return b"/".join(parts[:number])
    return None


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing_for_names_that_compare(name: str) -> None:
    assert fold(fold(name)) == fold(fold(fold(name)))
    assert fold(unicodedata.normalize("NFD", name)) == fold(unicodedata.normalize("NFC", name))


def test_parts_of_a_name() -> None:
    def parts(path: str) -> tuple[str, str, str]:
        file = File(0, path, 1, 1)
        return file.name, file.stem, file.suffix

    assert parts("a/b/Scan.PNG") == ("Scan.PNG", "Scan", ".png")
    assert parts("v1.2/README") == ("README", "README", "")
    assert parts("brain.nii.gz") == ("brain.nii.gz", "brain.nii", ".gz")
    assert parts("ends.") == ("ends.", "ends.", "")
    assert parts("..png") == ("..png", "..png", "")
    assert File(0, "a/b/c.png", 1, 1).folders == ("a", "b")
    assert File(0, "c.png", 1, 1).folders == ()
