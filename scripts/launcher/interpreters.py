"""Finding CPython 3.12 or newer, and uv, wherever people keep them.

A name on PATH proves nothing (pyenv shims answer "not installed", stubs open a shop), so every candidate is asked.
uv doesn't look into pyenv's folders by itself and stumbles over its shims: so this looks, and tells uv.
"""

import glob
import json
import os
import re
import sys
from typing import Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from launcher.messages import LaunchError, say
from launcher.processes import WINDOWS, ask

OLDEST = (3, 12)
# Where every dependency has wheels today; a newer one is taken only if there is none of these.
PREFERRED = ((3, 12), (3, 13), (3, 14))
PROBE_SECONDS = 10.0
OVERRIDE = "SYNAPSE_SKILLS_PYTHON"

_PROBE = (
    "import json,sys,sysconfig;"
    "print(json.dumps([sys.implementation.name,list(sys.version_info[:3]),"
    "bool(sysconfig.get_config_var('Py_GIL_DISABLED')),getattr(sys,'_base_executable',None) or sys.executable]))"
)
_VERSION = re.compile(r"^(?:c?python[-@]?)?(\d)\.(\d+)")

_WHAT_TO_INSTALL = (
    "Install Python 3.12 or 3.13 (python.org, `apt install python3.12 python3.12-venv`, `brew install python@3.13`, "
    "`pyenv install 3.12`), or uv, which brings one along; or point {}=/path/to/python3.12 at one.".format(OVERRIDE)
)


class Interpreter(NamedTuple):
    """A CPython that is really there."""

    path: str
    version: Tuple[int, int, int]

    @property
    def tag(self) -> str:
        """`cp312`: environments of different minor versions can't be shared."""
        return "cp{}{}".format(self.version[0], self.version[1])


def find_python(bring: bool = True) -> Interpreter:
    """The first CPython >= 3.12, one of the preferred versions if there is any.

    Args:
        bring: whether uv may be asked to download one.

    Raises:
        LaunchError: there is none and uv can't bring one.
    """
    named = os.environ.get(OVERRIDE)
    if named:
        found = probe(os.path.abspath(named))
        if found is None:
            raise LaunchError(
                "{}={} is not CPython 3.12 or newer.".format(OVERRIDE, named),
                "Point it at one, or unset it to have one found.",
            )
        return found
    found = _best(candidates())
    if found is None and bring:
        found = _from_uv()
    if found is None:
        raise LaunchError("This needs CPython 3.12 or newer, and there is none on this machine.", _WHAT_TO_INSTALL)
    return found


def _best(paths: Iterator[str]) -> Optional[Interpreter]:
    asked: Set[str] = set()
    second: Optional[Interpreter] = None
    for path in paths:
        real = os.path.realpath(path)
        if real in asked or _too_old_by_name(path):
            continue
        asked.add(real)
        found = probe(path)
        if found is None:
            continue
        if found.version[:2] in PREFERRED:
            return found
        second = second or found
    return second


def probe(path: str) -> Optional[Interpreter]:
    """Ask an executable whether it is CPython >= 3.12 with a GIL (the free-threaded build has few wheels)."""
    answer = ask([path, "-I", "-c", _PROBE], PROBE_SECONDS)
    if answer is None or answer.code != 0:
        return None
    try:
        name, version, free_threaded, base = json.loads(answer.text)
    except ValueError:
        return None
    if name != "cpython" or free_threaded or tuple(version[:2]) < OLDEST:
        return None
    # The base of a virtual environment outlives it: ours must not break when the user deletes theirs.
    return Interpreter(base if os.path.exists(base) else path, (version[0], version[1], version[2]))


def candidates() -> Iterator[str]:
    """Every place where a Python may be, the likeliest first. Existing files only."""
    if sys.version_info[:2] >= OLDEST and sys.executable:
        yield sys.executable
    for folder in _path_folders():
        for path in _pythons_in(folder):
            yield path
    for pattern in _patterns():
        for path in sorted(glob.glob(pattern), key=_preferred_first):
            if os.path.isfile(path):
                yield path
    if WINDOWS:
        for path in _windows_launcher():
            yield path


def _pythons_in(folder: str) -> Iterator[str]:
    end = ".exe" if WINDOWS else ""
    names = ["python{}.{}{}".format(major, minor, end) for major, minor in PREFERRED]
    for name in [*names, "python3" + end, "python" + end]:
        path = os.path.join(folder, name)
        # Apple's stub opens a dialog to install Xcode's tools, and is never new enough.
        if os.path.isfile(path) and not (sys.platform == "darwin" and folder == "/usr/bin"):
            yield path


def _path_folders() -> List[str]:
    return [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder and os.path.isabs(folder)]


def homes() -> List[str]:
    """$HOME, and the home that the system knows: tools live in the latter even when $HOME is a fresh folder."""
    found = [os.path.expanduser("~")]
    if not WINDOWS:
        import pwd

        try:
            found.append(pwd.getpwuid(os.getuid()).pw_dir)
        except KeyError:
            return found  # a container's user without an entry
    return [home for index, home in enumerate(found) if home not in found[:index]]


def _patterns() -> Iterator[str]:
    binary = "python.exe" if WINDOWS else os.path.join("bin", "python3")
    for root in _pyenv_roots():
        yield os.path.join(root, "versions", "3.*", binary)
    if os.environ.get("UV_PYTHON_INSTALL_DIR"):
        yield os.path.join(os.environ["UV_PYTHON_INSTALL_DIR"], "cpython-*", binary)
    for home in homes():
        data = os.path.join(home, ".local", "share")
        yield os.path.join(data, "uv", "python", "cpython-*", binary)
        yield os.path.join(home, "AppData", "Roaming", "uv", "python", "cpython-*", binary)
        yield os.path.join(data, "mise", "installs", "python", "3.*", binary)
        yield os.path.join(home, ".asdf", "installs", "python", "3.*", binary)
        for conda in ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba"):
            yield os.path.join(home, conda, binary)
            yield os.path.join(home, conda, "envs", "*", binary)
    conda_prefix = os.environ.get("CONDA_PREFIX")
    if conda_prefix:
        yield os.path.join(conda_prefix, binary)
    if WINDOWS:
        yield os.path.join(os.environ.get("LOCALAPPDATA", "C:\\"), "Programs", "Python", "Python3*", "python.exe")
        return
    yield from (
        "/opt/homebrew/bin/python3.[0-9]*", "/opt/homebrew/opt/python@3.*/bin/python3.[0-9]*",
        "/home/linuxbrew/.linuxbrew/bin/python3.[0-9]*", "/usr/local/bin/python3.[0-9]*",
        "/usr/local/opt/python@3.*/bin/python3.[0-9]*", "/usr/bin/python3.[0-9]*",
        "/Library/Frameworks/Python.framework/Versions/3.*/bin/python3",
        "/opt/python*/bin/python3", "/opt/python/*/bin/python3", "/opt/*conda*/bin/python3",
        "/opt/*conda*/envs/*/bin/python3", "/usr/local/python*/bin/python3",
    )  # fmt: skip


def _pyenv_roots() -> Iterator[str]:
    named = os.environ.get("PYENV_ROOT")
    if named:
        yield named
    for folder in _path_folders():
        # A shim on PATH tells where its pyenv is, also where neither $PYENV_ROOT nor $HOME does.
        if os.path.basename(folder.rstrip(os.sep)) == "shims":
            yield os.path.dirname(folder.rstrip(os.sep))
    for home in homes():
        yield os.path.join(home, ".pyenv")
        yield os.path.join(home, ".pyenv", "pyenv-win")


def _windows_launcher() -> Iterator[str]:
    answer = ask(["py", "-0p"], PROBE_SECONDS)
    for line in answer.text.splitlines() if answer else ():
        match = re.search(r"([A-Za-z]:\\.*python\.exe)", line)
        if match:
            yield match.group(1)


def _version_in(path: str) -> Tuple[int, int]:
    """What `bin/python3.11` or `versions/3.11.7/bin/python3` says of itself; (0, 0) if nothing."""
    prefix = os.path.dirname(path) if WINDOWS else os.path.dirname(os.path.dirname(path))
    for name in (os.path.basename(path), os.path.basename(prefix)):
        found = _VERSION.match(name)
        if found:
            return (int(found.group(1)), int(found.group(2)))
    return (0, 0)


def _preferred_first(path: str) -> Tuple[int, Tuple[int, int], str]:
    version = _version_in(path)
    return (PREFERRED.index(version) if version in PREFERRED else len(PREFERRED), version, path)


def _too_old_by_name(path: str) -> bool:
    """Whether the path itself says so: `versions/3.6.15/bin/python3` needn't be started."""
    return (3, 0) <= _version_in(path) < OLDEST and not WINDOWS


def find_uv(beside: Sequence[str] = ()) -> Optional[str]:
    """A uv that runs: from PATH, from where its installers put it, or beside an interpreter."""
    name = "uv.exe" if WINDOWS else "uv"
    folders = _path_folders()
    for home in homes():
        folders += [os.path.join(home, ".local", "bin"), os.path.join(home, ".cargo", "bin")]
    folders += ["/opt/homebrew/bin", "/usr/local/bin", "/home/linuxbrew/.linuxbrew/bin"]
    folders += [os.path.dirname(path) for path in beside]
    for index, folder in enumerate(folders):
        path = os.path.join(folder, name)
        if folder not in folders[:index] and os.path.isfile(path):
            answer = ask([path, "--version"], PROBE_SECONDS)
            if answer is not None and answer.code == 0 and answer.text.startswith("uv "):
                return path
    return None


def _from_uv() -> Optional[Interpreter]:
    """Let uv bring a Python along; without a network it can't, and then there is none."""
    uv = find_uv()
    if uv is None:
        return None
    say("no CPython 3.12 or newer found; asking uv for one")
    installed = ask([uv, "python", "install", "3.12"], 600.0)
    if installed is None or installed.code != 0:
        say("uv couldn't bring one (no network?)")
        return None
    where = ask([uv, "python", "find", "--managed-python", "3.12"], PROBE_SECONDS)
    return probe(where.text.strip()) if where is not None and where.code == 0 else None
