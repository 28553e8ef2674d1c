"""Which Python is taken, and that asking one can't hang."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.mini import BASE_PYTHON, executable
from launcher import interpreters
from launcher.processes import ask, installer_environment, script_environment


def speaking(path: Path, version: str, name: str = "cpython", free_threaded: str = "false") -> Path:
    """A program that answers the probe like a Python of this version."""
    numbers = version.replace(".", ", ")
    return executable(path, f"""echo '["{name}", [{numbers}], {free_threaded}, "{path}"]'""")


def test_a_real_one_is_known() -> None:
    found = interpreters.probe(str(BASE_PYTHON))
    assert found is not None
    assert found.version >= (3, 12)
    assert found.tag.startswith("cp3")


@pytest.mark.parametrize(
    ("version", "name", "free_threaded"),
    [("3.11.9", "cpython", "false"), ("3.12.1", "pypy", "false"), ("3.13.0", "cpython", "true")],
)
def test_what_is_refused(tmp_path: Path, version: str, name: str, free_threaded: str) -> None:
    assert interpreters.probe(str(speaking(tmp_path / "python3", version, name, free_threaded))) is None


def test_gibberish_and_missing_files_are_no_interpreter(tmp_path: Path) -> None:
    assert interpreters.probe(str(executable(tmp_path / "python3", "echo Python 3.12.1"))) is None
    assert interpreters.probe(str(tmp_path / "none")) is None


def test_a_version_with_wheels_is_preferred_to_a_newer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [speaking(tmp_path / version / "python3", version) for version in ("3.17.0", "3.13.2", "3.12.9")]
    monkeypatch.delenv(interpreters.OVERRIDE, raising=False)

    def candidates() -> Iterator[str]:
        yield from map(str, paths)

    monkeypatch.setattr(interpreters, "candidates", candidates)
    assert interpreters.find_python().version == (3, 13, 2)
    paths[1:] = []
    assert interpreters.find_python().version == (3, 17, 0)


def test_a_shim_that_hangs_is_given_up_with_its_children(tmp_path: Path) -> None:
    # The child keeps the shim's output open: waiting for the end of that would wait for the child.
    shim = executable(tmp_path / "python3", f"sh -c 'echo $$ > {tmp_path}/pid; sleep 60' & wait")
    started = time.monotonic()
    assert ask([str(shim)], 0.5) is None
    assert time.monotonic() - started < 5
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}/status").exists() and "(zombie)" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < deadline, "the shim's child is still running"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/bin/python3", False),
        ("/usr/bin/python3.11", True),
        ("/usr/bin/python3.12", False),
        ("/home/a/.pyenv/versions/3.6.15/bin/python3", True),
        ("/home/a/.pyenv/versions/3.13.0/bin/python3", False),
        ("/data/uv/python/cpython-3.9.2-linux-x86_64-gnu/bin/python3", True),
        ("/home/a/project-3.1/bin/python3", False),
    ],
)
def test_what_a_path_says_of_itself(path: str, expected: bool) -> None:
    assert interpreters._too_old_by_name(path) is expected


def test_environments_of_scripts_and_installers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "__PYVENV_LAUNCHER__"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("VIRTUAL_ENV", "/users/own")
    monkeypatch.setenv("PIP_INDEX_URL", "file:///index")
    script, installer = script_environment("/cache"), installer_environment()
    for env in (script, installer):
        assert not {"PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "__PYVENV_LAUNCHER__"} & set(env)
    assert script["VIRTUAL_ENV"] == "/users/own", "check_environment looks there for the user's own SDK"
    assert script["PYTHONPYCACHEPREFIX"] == "/cache/pycache"
    assert "VIRTUAL_ENV" not in installer
    assert installer["PIP_INDEX_URL"] == "file:///index"
