"""A folder of real photos becomes data units on a local backend: planned, dry-run, uploaded, checked, shown."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from launcher import jobs
from launcher.messages import LaunchError
from synapse_skills.errors import (
    EXIT_ENVIRONMENT,
    EXIT_INTERRUPTED,
    FindingError,
    Interrupted,
    OutOfReach,
    SkillsError,
    UsageError,
    interruptible,
    printable,
    run,
)

SCRIPTS = Path(__file__).resolve().parent
EXAMPLES = SCRIPTS.parent / "examples"
PHOTOS = EXAMPLES / "everyday-photos"
MARKER = ".synapse-demo"
OURS = ("sandbox", "user", "synapse-jobs", "page.html", "again.json", "sandbox.log")
START_S = 30.0
STOP_S = 10.0
STEP_S = 300.0

EPILOG = """\
Nothing leaves this machine, no account is needed, and your own login is not looked at. Everything is written into DIR;
the next demo there replaces it.

examples:
  demo.py
  demo.py --out /tmp/look --keep

exit codes: 0 all that was planned has arrived, once · 1 it has not, or a step failed · 2 wrong usage, or DIR is
  somebody else's · 3 the sandbox or the disk is out of reach · 130 interrupted
"""

# Which files are there, by data unit and specification: SHA-1 of the bytes.
Contents = dict[str, dict[str, str]]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="demo.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument(
        "--out", type=Path, default=Path("synapse-demo"), metavar="DIR", help="where it works (default: synapse-demo)"
    )
    command.add_argument("--keep", action="store_true", help="keep the local backend running until Ctrl-C")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Show it."""
    args = parser().parse_args(argv)
    say: Callable[[str], None] = (lambda text: None) if args.json else (lambda text: print(text, flush=True))
    started = time.monotonic()
    folder = args.out.expanduser().absolute()
    with interruptible(), own_folder(folder):
        demo = Demo(folder, say)
        try:
            about = demo.show()
            about["seconds"] = round(time.monotonic() - started, 1)
            if args.json:
                print(json.dumps(about, ensure_ascii=False), flush=True)
            say(f"\nDone in {about['seconds']} s. Look at\n")
            say(f"  the page    {about['page']}")
            say(f"  the job     {about['job']}   (job/upload.py is the script that ran)")
            say(f"  the report  {about['report']}")
            if args.keep:
                demo.wait()
            return 0
        except KeyboardInterrupt:
            raise Interrupted("Interrupted.", hint="Run it again: a demo begins anew.") from None
        finally:
            demo.stop()


class Demo:
    """One demo in its folder."""

    step_s = STEP_S

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.say = say
        self.host = ""
        self.token = ""
        self._sandbox: subprocess.Popen[bytes] | None = None
        # No proxy of the machine's may come between us and the loopback.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def show(self) -> dict[str, Any]:
        """Every step, in order."""
        self._start_sandbox()
        self.say(f"1. A local Synapse backend is up at {self.host}; nothing leaves this machine.\n")
        plan = self._plan()
        home = (self.folder / plan["plan"]).parent
        report = self._upload(home, plan["hash"])
        self.say(
            f"3. Uploaded with the approval {plan['hash']}: {report['created']} data units, "
            f"{report['files']['sent']} files, {report['tasks']['created']} tasks, {report['seconds']:.1f} s."
        )
        units = self._check(home)
        self.say(
            f"4. Read back and compared with the folder: {units} data units, every file byte by byte, all metadata."
        )
        again = self._upload(home, plan["hash"], "--report", str(self.folder / "again.json"))
        self._check(home)
        self.say(
            f"5. The same command again: {again['created']} made, {again['already']} known. Nothing is there twice."
        )
        page = self.folder / "page.html"
        self._script("preview.py", str(home), "--out", str(page))
        self.say("6. A page shows every data unit with its picture, files and metadata.")
        return {
            "units": units,
            "files": report["files"]["sent"],
            "tasks": report["tasks"]["created"],
            "again": again["created"],
            "hash": plan["hash"],
            "page": str(page),
            "job": str(home),
            "report": str(home / "state" / "report.json"),
        }

    # -- steps ---------------------------------------------------------------------------------------------------

    def _start_sandbox(self) -> None:
        ready = self.folder / "sandbox" / "ready.json"
        command = [sys.executable, str(SCRIPTS / "sandbox.py"), "serve", "--state", str(ready.parent)]
        command += ["--seed", str(EXAMPLES / "seed.json")]
        with (self.folder / "sandbox.log").open("wb") as log:
            # A session of its own: Ctrl-C is for us, and the upload ends before its backend does.
            self._sandbox = subprocess.Popen(  # noqa: S603 - our own interpreter and script
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while not ready.exists():
            if self._sandbox.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "sandbox.log").read_text(errors="replace").strip()[-400:]
                raise OutOfReach(f"The local backend did not start. {said}", code="no-sandbox", hint="Run it again.")
            time.sleep(0.02)
        about = json.loads(ready.read_bytes())
        self.host, self.token = about["host"], about["token"]

    def _plan(self) -> dict[str, Any]:
        plan = self._script("plan_upload.py", str(PHOTOS), "--answers", str(EXAMPLES / "answers.json"), "--json")
        counts = plan["dry_run"]
        self.say("2. Planned, with the answers of examples/answers.json:\n")
        self.say("\n".join(f"     {line}" for line in plan["summary"].splitlines()))
        self.say(
            f"\n   Rendered, and dry-run: {counts['planned']} data units, {counts['files']['planned']} files, "
            f"{counts['left_out']} left out, {counts['quarantined']} unfit. Nothing has been sent yet.\n"
        )
        return plan

    def _upload(self, home: Path, approval: str, *flags: str) -> dict[str, Any]:
        try:
            # The gate of `run.py job`; its result is started with our own Python, which has what the job needs.
            command = jobs.prepare([str(home), "--approve", approval, *flags, "--json"])
        except LaunchError as error:
            raise FindingError(str(error), hint=error.hint, code=error.code) from None
        return self._call(command)

    def _check(self, home: Path) -> int:
        """Compare what the backend has with what is on disk; returns how many data units that is."""
        wanted = contents_on_disk(json.loads((home / "plan.json").read_bytes()))
        there: Contents = {}
        ids = []
        for unit in self._rows("/data_units/?data_collection=1&page_size=100"):
            key = str((unit["meta"] or {}).get("name"))
            if key in there:
                raise differs(f"{key} is there twice")
            there[key] = {spec: self._sha1(file["url"]) for spec, file in unit["files"].items()}
            ids.append(unit["id"])
            same(f"the metadata of {key}", {"name": key, "dataset_key": key, **constants()}, unit["meta"])
        same("the data units", sorted(wanted), sorted(there))
        for key, files in wanted.items():
            same(f"the files of {key}", files, there[key])
        tasks = [task["data_unit"]["id"] for task in self._rows("/sdk/tasks/?project=1&page_size=100")]
        same("the data units that have a task", sorted(ids), sorted(tasks))
        return len(there)

    # -- the backend ---------------------------------------------------------------------------------------------

    def _rows(self, path: str) -> Iterator[dict[str, Any]]:
        url: str | None = self.host + path
        while url:
            page = json.loads(self._get(url, {"Synapse-Access-Token": f"Token {self.token}"}))
            yield from page["results"]
            url = page["next"]

    def _sha1(self, url: str) -> str:
        return hashlib.sha1(self._get(url, {})).hexdigest()  # noqa: S324 - not for security, to tell bytes apart

    def _get(self, url: str, headers: Mapping[str, str]) -> bytes:
        with self._opener.open(urllib.request.Request(url, headers=dict(headers)), timeout=STOP_S) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content

    def wait(self) -> None:
        """Until Ctrl-C, or until the backend ends by itself."""
        assert self._sandbox is not None
        with contextlib.suppress(KeyboardInterrupt):
            self.say(f"\nThe local backend has a page of its own: {self.host}   Ctrl-C stops it.")
            self._sandbox.wait()

    def stop(self) -> None:
        """Stop the backend by its pid; a second Ctrl-C does not leave it behind."""
        if self._sandbox is not None:
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            _end(self._sandbox)
            signal.signal(signal.SIGINT, before)

    # -- other programs ------------------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        """The user's, with another home and another login."""
        hidden = ("SYNAPSE_", "RAY_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
        user = str(self.folder / "user")
        kept |= {"HOME": user, "USERPROFILE": user, "SYNAPSE_HOST": self.host, "SYNAPSE_ACCESS_TOKEN": self.token}
        kept |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
        if "PYTHONPYCACHEPREFIX" not in kept:
            # Bytecode beside the rendered script would ship with the job.
            kept["PYTHONDONTWRITEBYTECODE"] = "1"
        return kept

    def _script(self, name: str, *arguments: str) -> dict[str, Any]:
        as_json = [] if "--json" in arguments else ["--json"]
        return self._call([str(SCRIPTS / name), *arguments, *as_json])

    def _call(self, command: Sequence[str], code: int = 0) -> dict[str, Any]:
        """Run a script with `--json` to its end, which must be this one, and return its document."""
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and scripts
            [sys.executable, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self._environment(), cwd=self.folder, start_new_session=True,
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


if __name__ == "__main__":
    sys.exit(run(main))
