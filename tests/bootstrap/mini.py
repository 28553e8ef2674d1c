"""A plugin folder as small as can be, for starting `run.py` for real: its one dependency is a wheel made here.

So no test of the launcher needs a network, and an installation takes a fraction of a second.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASE_PYTHON = Path(getattr(sys, "_base_executable", None) or sys.executable)

HELLO = '''\
"""Say where this runs; exits with its first argument."""
import json, os, signal, sys, time
import tiny
print(json.dumps({"version": sys.version_info[:2], "prefix": sys.prefix, "path": sys.path[0], "tiny": tiny.__file__,
                  "pid": os.getpid(), "arguments": sys.argv[1:], "optimize": sys.flags.optimize}), flush=True)
if sys.argv[1:] == ["wait"]:
    def stop(*_):
        print("stopped", flush=True)
        sys.exit(130)
    signal.signal(signal.SIGTERM, stop)
    time.sleep(30)
sys.exit(int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 0)
'''


def find_uv() -> str | None:
    """The uv of the development environment, or any."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


@dataclass
class Mini:
    """A copy of the launcher with a tiny lock, and a machine of its own: home, cache, PATH."""

    folder: Path
    plugin: Path
    path: list[str] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        return self.folder / "cache" / "synapse-skills"

    def env(self) -> dict[str, str]:
        env = {
            "PATH": os.pathsep.join([*self.path, "/usr/bin", "/bin"]),
            "HOME": str(self.folder / "home"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "UV_CACHE_DIR": str(self.folder / "uv-cache"),
            "UV_OFFLINE": "1",
            "UV_FIND_LINKS": str(self.folder / "wheels"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.folder / "wheels"),
            "PIP_CONFIG_FILE": os.devnull,
        }
        return env | self.extra

    def command(self, *arguments: str, python: str | Path | None = None) -> list[str]:
        return [str(python or BASE_PYTHON), str(self.plugin / "scripts" / "run.py"), *arguments]

    def run(self, *arguments: str, python: str | Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, python=python),
            env=self.env(), cwd=self.folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.env(), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def without_pythons(self, *arguments: str, python: str | Path | None = None) -> subprocess.CompletedProcess[str]:
        """The launcher on a machine that has no Python 3.12 anywhere."""
        driver = (
            "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, sys.argv[1]);"
            "import launcher.interpreters as found; found.candidates = lambda: iter(());"
            "from launcher.commands import main; sys.exit(main(sys.argv[2:]))"
        )
        return subprocess.run(
            [str(python or BASE_PYTHON), "-c", driver, str(self.plugin / "scripts"), *arguments],
            env=self.env(), cwd=self.folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def environments(self) -> list[Path]:
        return sorted(path for path in self.cache.glob("env-*") if path.is_dir())

    def offline(self) -> None:
        """Take away everything that an installation needs."""
        shutil.rmtree(self.folder / "wheels")
        shutil.rmtree(self.folder / "uv-cache", ignore_errors=True)
        self.path = []


def make(folder: Path, *, uv: bool) -> Mini:
    """A mini plugin in `folder`, with uv on PATH or not; the interpreter of the tests is always on it."""
    plugin = folder / "plugin folder"
    (plugin / "scripts").mkdir(parents=True)
    (folder / "home").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts" / "run.py", plugin / "scripts")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "scripts" / "launcher", plugin / "scripts" / "launcher", ignore=ignored)
    (plugin / "scripts" / "hello.py").write_text(HELLO)
    digest = wheel(folder / "wheels")
    (plugin / "requirements.lock").write_text(f"tiny-thing==1.0 \\\n    --hash=sha256:{digest}\n")
    mini = Mini(folder, plugin, [])
    # Only these two names: the folder that holds the interpreter may hold a uv as well.
    tools = folder / "tools"
    tools.mkdir()
    (tools / "python3.12").symlink_to(BASE_PYTHON)
    if uv:
        (tools / "uv").symlink_to(str(find_uv()))
    mini.path.append(str(tools))
    return mini


def wheel(folder: Path) -> str:
    """Write a wheel with one module, `tiny`; returns its SHA-256."""
    folder.mkdir()
    files = {
        "tiny.py": "NAME = 'tiny'\n",
        "tiny_thing-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n",
        "tiny_thing-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text)}\n"
        for name, text in files.items()
    )
    files["tiny_thing-1.0.dist-info/RECORD"] = record + "tiny_thing-1.0.dist-info/RECORD,,\n"
    path = folder / "tiny_thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def executable(path: Path, text: str) -> Path:
    """A shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def pythons() -> dict[str, Path]:
    """Other Pythons on this machine by their version, from pyenv and PATH."""
    found: dict[tuple[int, ...], Path] = {}
    roots = {os.environ.get("PYENV_ROOT", ""), str(Path.home() / ".pyenv")}
    candidates = [path for root in roots if root for path in Path(root).glob("versions/*/bin/python")]
    for minor in range(6, 12):
        on_path = shutil.which(f"python3.{minor}")
        candidates += [Path(on_path)] if on_path else []
    candidates += [Path(path) for path in (shutil.which("python2"), "/usr/bin/python3") if path]
    for candidate in candidates:
        answer = subprocess.run(
            [str(candidate), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True, text=True, check=False, timeout=20,
        ) if candidate.is_file() else None  # fmt: skip
        if answer and answer.returncode == 0:
            found.setdefault(tuple(int(part) for part in answer.stdout.split(".")), candidate)
    return {".".join(map(str, version)): found[version] for version in sorted(found)}
