"""`run.py` on the machines that people have: old Pythons, broken shims, no uv, no network, a read-only folder."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from bootstrap.mini import BASE_PYTHON, ROOT, Mini, executable


def installed(stderr: str) -> int:
    return stderr.count("installed in")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_installs_once_says_so_on_stderr_and_hands_over(mini: Mini) -> None:
    first = mini.run("hello", "--json", "a b")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert told["arguments"] == ["--json", "a b"]
    assert told["path"] == str(mini.plugin / "scripts")
    (environment,) = mini.environments()
    assert told["prefix"] == str(environment)
    assert told["tiny"].startswith(str(environment))
    assert installed(first.stderr) == 1
    assert "installing up to 1 packages" in first.stderr

    again = mini.run("hello")
    assert again.returncode == 0
    assert again.stderr == ""


def test_environment_is_named_by_lock_and_version(mini: Mini) -> None:
    mini.run("hello")
    (environment,) = mini.environments()
    digest = hashlib.sha256((mini.plugin / "requirements.lock").read_bytes()).hexdigest()[:12]
    assert environment.name.startswith(f"env-{digest}-cp3")

    with (mini.plugin / "requirements.lock").open("a") as lock:
        lock.write("# another lock\n")
    assert installed(mini.run("hello").stderr) == 1
    assert len(mini.environments()) == 2


def test_oldest_python_here_starts_it(mini: Mini, pythons: dict[str, Path]) -> None:
    old = {version: path for version, path in pythons.items() if version.startswith("3.")}
    if not old:
        pytest.skip("no other Python 3 on this machine")
    version, python = next(iter(old.items()))
    result = mini.run("hello", "7", python=python)
    assert result.returncode == 7, f"started with {version}: {result.stderr}"
    assert json.loads(result.stdout)["version"] >= [3, 12]


def test_python_2_is_told_what_to_do(mini: Mini, pythons: dict[str, Path]) -> None:
    if "2.7" not in pythons:
        pytest.skip("no Python 2.7 on this machine")
    result = mini.run("hello", python=pythons["2.7"])
    assert result.returncode == 3
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: synapse-skills can't be started with Python 2.7.",
        "  next: Start it with python3 (3.6 or newer); it then looks for CPython 3.12 or newer by itself.",
    ]


def test_broken_shims_in_the_way(mini: Mini) -> None:
    shims = mini.folder / ".pyenv" / "shims"
    for name in ("python", "python3", "python3.12", "python3.13", "uv"):
        executable(shims / name, f"echo 'pyenv: {name}: command not found' >&2\nexit 127")
    mini.path.insert(0, str(shims))
    result = mini.run("hello")
    assert result.returncode == 0, result.stderr
    assert "pyenv" not in result.stderr


def test_pyenv_is_found_through_its_shims(mini: Mini, tmp_path: Path) -> None:
    """uv doesn't look there: only the shims on PATH say where the versions are."""
    root = tmp_path / "elsewhere"
    executable(root / "shims" / "python3", "exit 127")
    (root / "versions" / "3.12.1" / "bin").mkdir(parents=True)
    (root / "versions" / "3.12.1" / "bin" / "python3").symlink_to(BASE_PYTHON)
    executable(root / "versions" / "3.6.15" / "bin" / "python3", f"touch {tmp_path}/asked; exit 1")
    (tmp_path / "tools" / "python3.12").unlink()
    mini.path.insert(0, str(root / "shims"))
    assert mini.run("hello").returncode == 0
    assert not (tmp_path / "asked").exists(), "3.6 needn't be started to know that it is too old"


def test_hostile_environment_variables(mini: Mini, tmp_path: Path) -> None:
    (tmp_path / "evil").mkdir()
    for module in ("tiny", "json", "launcher", "typing_extensions"):
        (tmp_path / "evil" / f"{module}.py").write_text("raise SystemExit('another Python is in the way')\n")
    mini.run("hello")
    mini.extra |= {
        "PYTHONPATH": str(tmp_path / "evil"),
        "PYTHONHOME": sys.base_prefix,
        "PYTHONSAFEPATH": "1",
        "PYTHONOPTIMIZE": "2",
        "PYTHONINSPECT": "1",
        "VIRTUAL_ENV": str(tmp_path / "nowhere"),
        "PIP_TARGET": str(tmp_path / "target"),
        "UV_SYSTEM_PYTHON": "1",
        "UV_PYTHON": "3.6",
    }
    # json is what the launcher itself imports: a hostile one would end it before it could do anything.
    (tmp_path / "evil" / "json.py").unlink()
    for started in ("ready", "installing"):
        result = mini.run("hello")
        assert result.returncode == 0, f"{started}: {result.stderr}"
        told = json.loads(result.stdout)
        assert told["path"] == str(mini.plugin / "scripts")
        assert told["optimize"] == 0
        assert told["tiny"].startswith(str(mini.cache))
        for environment in mini.environments():
            (environment / ".complete").unlink()
    assert not (tmp_path / "target").exists()


def test_offline_after_the_first_time(mini: Mini) -> None:
    assert mini.run("hello").returncode == 0
    mini.offline()
    result = mini.run("hello")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def test_plugin_folder_is_never_written_to(mini: Mini) -> None:
    for path in [mini.plugin, *mini.plugin.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = tree(mini.plugin)
    try:
        assert mini.run("hello").returncode == 0
        assert mini.run().returncode == 0
    finally:
        for path in [mini.plugin, *(path for path in mini.plugin.rglob("*") if path.is_dir())]:
            path.chmod(0o755)
    # Also where root ignores the modes: nothing new, nothing changed, no bytecode.
    assert tree(mini.plugin) == before


def test_interrupted_installation_is_done_again(mini: Mini) -> None:
    mini.run("hello")
    (environment,) = mini.environments()
    (environment / ".complete").unlink()
    for module in environment.rglob("tiny.py"):
        module.unlink()
    result = mini.run("hello")
    assert result.returncode == 0, result.stderr
    assert "interrupted" in result.stderr
    assert installed(result.stderr) == 1


def test_python_replaced_underneath(mini: Mini) -> None:
    """A patch release in the same place goes on; one that was uninstalled is noticed."""
    mini.run("hello")
    (environment,) = mini.environments()
    (environment / ".complete").write_text(json.dumps(["/somewhere/python3", 1, 1]))
    same_minor = mini.run("hello")
    assert (same_minor.returncode, installed(same_minor.stderr)) == (0, 0)

    for name in ("python", "python3"):
        (environment / "bin" / name).unlink(missing_ok=True)
        (environment / "bin" / name).symlink_to("/nowhere/python3")
    gone = mini.run("hello")
    assert (gone.returncode, installed(gone.stderr)) == (0, 1), gone.stderr


def test_two_at_once_install_once(mini: Mini) -> None:
    both = [mini.start("hello"), mini.start("hello")]
    ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert sum(installed(stderr) for _, stderr in ended) == 1


def test_the_second_waits_and_says_so(mini: Mini) -> None:
    mini.run("hello")
    (environment,) = mini.environments()
    (environment / ".complete").unlink()
    with (mini.cache / f"{environment.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = mini.start("hello")
        assert second.stderr is not None
        assert "waiting" in second.stderr.readline()
        assert second.poll() is None
    stdout, stderr = second.communicate(timeout=60)
    assert second.returncode == 0, stderr
    assert json.loads(stdout)["tiny"]


def test_cache_that_cannot_be_written(mini: Mini) -> None:
    (mini.folder / "cache").write_text("a file, where a folder is wanted")
    result = mini.run("hello")
    assert result.returncode == 3
    assert "XDG_CACHE_HOME" in result.stderr
    assert "Traceback" not in result.stderr
    as_json = mini.run("hello", "--json")
    assert as_json.returncode == 3
    assert json.loads(as_json.stdout)["error"]["code"] == "cache-not-writable"


@pytest.mark.parametrize("code", [0, 1, 3, 4, 5])
def test_exit_code_is_the_scripts(mini: Mini, code: int) -> None:
    assert mini.run("hello", str(code)).returncode == code


def test_signals_reach_the_script(mini: Mini) -> None:
    mini.run("hello")
    process = mini.start("hello", "wait")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["pid"] == process.pid, "the script took the launcher's place"
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    stdout, _ = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (130, "stopped\n")


@pytest.mark.parametrize("arguments", [("hello",), ("hello", "--json")])
def test_no_interpreter_is_one_message(bare: Mini, arguments: tuple[str, ...]) -> None:
    result = bare.without_pythons(*arguments)
    assert result.returncode == 3
    if "--json" in arguments:
        error = json.loads(result.stdout)["error"]
        said = f"{error['message']} {error['hint']}"
        assert result.stderr == ""
    else:
        said = result.stderr
        assert result.stdout == ""
        assert said.count("error:") == 1
        assert len(said.splitlines()) == 2
    for what in ("3.12", "apt install python3.12", "brew install", "uv", "SYNAPSE_SKILLS_PYTHON"):
        assert what in said


@pytest.mark.heavy
def test_uv_alone_brings_a_python(bare: Mini) -> None:
    executable(
        Path(bare.path[0]) / "uv",
        f'case "$*" in --version) echo uv 0.9.9;; *install*) echo "$@" >> {bare.folder}/asked;; '
        f"*find*) echo {BASE_PYTHON};; *) echo pretending >&2; exit 1;; esac",
    )
    result = bare.without_pythons("hello")
    assert (bare.folder / "asked").read_text() == "python install 3.12\n"
    # This uv can only bring Python, so pip installs; that there was one to go on with is what counts.
    assert result.returncode == 0, result.stderr
    assert "asking uv for one" in result.stderr
    assert "trying pip" in result.stderr


def test_uv_that_cannot_bring_a_python_ends_in_the_same_message(bare: Mini) -> None:
    executable(Path(bare.path[0]) / "uv", 'case "$*" in --version) echo uv 0.9.9;; *) exit 2;; esac')
    result = bare.without_pythons("hello")
    assert result.returncode == 3
    assert result.stderr.count("error:") == 1
    assert "apt install python3.12" in result.stderr


def test_named_python_that_is_none(mini: Mini) -> None:
    mini.extra["SYNAPSE_SKILLS_PYTHON"] = "/nowhere/python3.12"
    result = mini.run("hello")
    assert result.returncode == 3
    assert "SYNAPSE_SKILLS_PYTHON=/nowhere/python3.12" in result.stderr
    mini.extra["SYNAPSE_SKILLS_PYTHON"] = str(BASE_PYTHON)
    assert mini.run("hello").returncode == 0


@pytest.mark.heavy
def test_without_uv_pip_installs(bare: Mini) -> None:
    result = bare.run("hello", "4")
    assert result.returncode == 4, result.stderr
    assert "without uv" in result.stderr
    assert json.loads(result.stdout)["tiny"].startswith(str(bare.cache))


@pytest.mark.heavy
def test_without_uv_pip_brings_one_first(bare: Mini) -> None:
    """The real lock of uv, from the real index; what it then installs is ours, offline."""
    shutil.copy(ROOT / "requirements-uv.lock", bare.plugin)
    bare.extra |= {"PIP_NO_INDEX": "", "PIP_CONFIG_FILE": ""}
    bare.extra |= {name: value for name, value in os.environ.items() if name in ("PIP_INDEX_URL", "HTTPS_PROXY")}
    result = bare.run("hello", "4")
    assert result.returncode == 4, result.stderr
    assert "without uv" not in result.stderr
    assert list(bare.cache.glob("uv-*/.complete"))


@pytest.mark.heavy
def test_wrong_hash_is_refused_and_leaves_nothing_that_looks_finished(mini: Mini) -> None:
    lock = mini.plugin / "requirements.lock"
    lock.write_text(f"tiny-thing==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    result = mini.run("hello", "--json")
    assert result.returncode == 3
    assert json.loads(result.stdout)["error"]["code"] == "install-failed"
    assert not list(mini.cache.glob("env-*/.complete"))


def test_missing_venv_module_says_what_to_install(bare: Mini, tmp_path: Path) -> None:
    """Debian's python3 without python3-venv."""
    probe = f'"{BASE_PYTHON}" "$@"'
    crippled = executable(
        tmp_path / "debian" / "python3.12",
        f'case "$*" in *"-m venv"*) echo "The virtual environment was not created successfully because ensurepip is '
        f'not available." ; exit 1;; *) {probe} | sed "s#{BASE_PYTHON}#{tmp_path}/debian/python3.12#";; esac',
    )
    bare.extra["SYNAPSE_SKILLS_PYTHON"] = str(crippled)
    result = bare.run("hello")
    assert result.returncode == 3
    assert "ensurepip is not available" in result.stderr
    assert "-venv`" in result.stderr
