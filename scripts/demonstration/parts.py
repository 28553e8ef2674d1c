"""What the demos share: a folder of their own, other programs run to their end, and what must be equal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import unicodedata
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from launcher import jobs
from launcher.messages import LaunchError
from synapse_skills.cluster.local_backend import LocalBackend
from synapse_skills.errors import (
    EXIT_ENVIRONMENT,
    EXIT_INTERRUPTED,
    FindingError,
    Interrupted,
    OutOfReach,
    SkillsError,
    UsageError,
    printable,
)

SCRIPTS = Path(__file__).resolve().parents[1]
EXAMPLES = SCRIPTS.parent / "examples"
PHOTOS = EXAMPLES / "everyday-photos"
MARKER = ".synapse-demo"
OURS = ("sandbox", "user", "synapse-jobs", "page.html", "dataset.html", "dataset", "again.json")
STOP_S = 10.0
STEP_S = 300.0

# Which files are there, by data unit and specification: SHA-1 of the bytes.
Contents = dict[str, dict[str, str]]


class Stage:
    """A folder, a backend that is up, and ways to run our programs and to ask the backend.

    Args:
        folder: everything lies in it.
        say: tells people what happens.
        backend: up while the stage is used.
    """

    step_s = STEP_S

    def __init__(self, folder: Path, say: Callable[[str], None], backend: LocalBackend) -> None:
        self.folder = folder
        self.say = say
        self.backend = backend
        # No proxy of the machine's may come between us and the loopback.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    # -- the backend ---------------------------------------------------------------------------------------------

    def rows(self, path: str) -> Iterator[dict[str, Any]]:
        """All rows of a list of the backend, page after page."""
        url: str | None = self.backend.host + path
        while url:
            page = json.loads(self.get(url, self._token()))
            yield from page["results"]
            url = page["next"]

    def ask(self, path: str) -> Any:
        """One answer of the backend."""
        return json.loads(self.get(self.backend.host + path, self._token()))

    def sha1(self, url: str) -> str:
        """Of what lies there."""
        return hashlib.sha1(self.get(url, {})).hexdigest()  # noqa: S324 - not for security, to tell bytes apart

    def get(self, url: str, headers: Mapping[str, str]) -> bytes:
        """What lies there."""
        return self._open(urllib.request.Request(url, headers=dict(headers)))  # noqa: S310 - our own backend

    def post(self, path: str, body: Any) -> Any:
        """The answer to a JSON document."""
        headers = {**self._token(), "Content-Type": "application/json"}
        return json.loads(
            self._open(urllib.request.Request(self.backend.host + path, json.dumps(body).encode(), headers))  # noqa: S310
        )

    def _open(self, request: urllib.request.Request) -> bytes:
        with self._opener.open(request, timeout=STOP_S) as answer:
            content: bytes = answer.read()
            return content

    def _token(self) -> dict[str, str]:
        return {"Synapse-Access-Token": f"Token {self.backend.token}"}

    # -- other programs ------------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """The user's, with another home and another login."""
        user = str(self.folder / "user")
        return self.backend.environment() | {"HOME": user, "USERPROFILE": user}

    def script(self, name: str, *arguments: str) -> dict[str, Any]:
        """Run one of our scripts; its document."""
        as_json = [] if "--json" in arguments else ["--json"]
        return self.call([str(SCRIPTS / name), *arguments, *as_json])

    def job(self, home: Path, *flags: str) -> dict[str, Any]:
        """Run a rendered job as `run.py job` does; its report."""
        try:
            # The gate of `run.py job`; its result is started with our own Python, which has what the job needs.
            command = jobs.prepare([str(home), *flags, "--json"])
        except LaunchError as error:
            raise FindingError(str(error), hint=error.hint, code=error.code) from None
        return self.call(command)

    def call(self, command: Sequence[str], code: int = 0) -> dict[str, Any]:
        """Run a script with `--json` to its end, which must be this one, and return its document."""
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and scripts
            [sys.executable, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.environment(), cwd=self.folder, start_new_session=True,
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=self.step_s)
        except subprocess.TimeoutExpired:
            raise SkillsError(f"{Path(command[0]).name} did not end.", hint="Run it again.", code="too-slow") from None
        finally:
            _end(process)
        if process.returncode == code:
            document: dict[str, Any] = json.loads(out)
            return document
        raise _failed(Path(command[0]).name, process.returncode, out, err)


def contents_on_disk(plan: Mapping[str, Any], folder: Path = PHOTOS) -> Contents:
    """What should be there: counted anew from the folder, with nothing of the library's."""
    takes = {extension: spec["name"] for spec in plan["specs"] for extension in spec["takes"]}
    found: Contents = {}
    for path in folder.glob("*/*"):
        key = unicodedata.normalize("NFC", path.parent.name)
        found.setdefault(key, {})[takes[path.suffix]] = hashlib.sha1(path.read_bytes()).hexdigest()  # noqa: S324
    return found


def constants() -> dict[str, Any]:
    """The metadata that the answers give to every data unit."""
    answers, start = json.loads((EXAMPLES / "answers.json").read_bytes()), "metadata.constants."
    return {key.removeprefix(start): value for key, value in answers.items() if key.startswith(start)}


def same(what: str, wanted: Any, there: Any) -> None:
    """Compare what should be there with what is."""
    if wanted != there:
        raise differs(f"{what}: {_short(there)} instead of {_short(wanted)}")


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:200]


def differs(what: str) -> FindingError:
    """What to raise where it isn't."""
    return FindingError(
        f"What arrived is not what was planned: {printable(what)}.",
        hint="This is a bug in synapse-skills: report it with the folder of the demo.",
        code="not-as-planned",
    )


def _failed(name: str, code: int, out: bytes, err: bytes) -> SkillsError:
    """A step that failed, as the error that it gave."""
    if code in (EXIT_INTERRUPTED, -signal.SIGINT, -signal.SIGTERM):
        return Interrupted("Interrupted.", hint="Run it again: a demo begins anew.")
    said, hint = err.decode(errors="replace").strip()[-600:], "Run it again; if that does not help, report it."
    with contextlib.suppress(ValueError, KeyError, TypeError):
        document = json.loads(out)
        if "error" in document:
            said, hint = document["error"]["message"], document["error"]["hint"]
        elif document.get("problems"):
            first = document["problems"][0]
            said, hint = f"{first['code']}: {'; '.join(first['examples'])}", first["fix"] or hint
    kind = OutOfReach if code == EXIT_ENVIRONMENT else FindingError
    return kind(f"{name} ended with exit code {code}. {said}", hint=hint, code="step-failed")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a program of ours if it still runs, gently first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


@contextlib.contextmanager
def own_folder(folder: Path, ours: Sequence[str] = OURS) -> Iterator[None]:
    """A folder that is empty, or holds nothing but an earlier demo, which goes; one demo at a time."""
    marker = folder / MARKER
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{printable(str(folder))} is not a folder.", hint="Name another one with --out.")
    if folder.is_dir() and any(folder.iterdir()) and not marker.is_file():
        raise UsageError(
            f"{printable(str(folder))} holds something else than a demo.",
            hint="Name an empty or new folder with --out.",
            code="folder-not-ours",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with marker.open("a") as held:
        _lock(held, folder)
        for name in ours:
            path = folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (folder / "user").mkdir()
        yield


def _lock(held: IO[str], folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows refuses to delete what another demo has open
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise OutOfReach(
            f"Another demo is running in {printable(str(folder))}.",
            hint="Wait for it, stop it with Ctrl-C, or name another folder with --out.",
            code="already-running",
        ) from None
