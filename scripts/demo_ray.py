"""The demo on a real Ray cluster of this one machine: submitted, stopped, killed, and every data unit is there once."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from demonstration.parts import EXAMPLES, PHOTOS, SCRIPTS, Contents, Stage, contents_on_disk, differs, own_folder, same
from demonstration.uploading import check
from synapse_skills.cluster.local_backend import LocalBackend
from synapse_skills.cluster.local_ray import LocalRay
from synapse_skills.errors import EXIT_INCOMPLETE, FindingError, Interrupted, SkillsError, interruptible, run

OURS = ("sandbox", "user", "synapse-jobs", "cluster-state", "boxes")
MANY = 150
SLOW_S = 0.3
WAIT_S = 180.0

EPILOG = """\
Nothing leaves this machine: Ray and the backend listen on the loopback only. It takes two to five minutes, about 2 GB
of memory and 2 GB of disk while it runs; nothing of Ray stays behind. Everything else is written into DIR.

examples:
  demo_ray.py
  demo_ray.py --out /tmp/look

exit codes: 0 everything has arrived, once, whatever was stopped or killed · 1 it has not, or a step failed ·
  2 wrong usage, or DIR is somebody else's · 3 Ray, the sandbox or the disk is out of reach · 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="demo_ray.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument(
        "--out",
        type=Path,
        default=Path("synapse-demo-ray"),
        metavar="DIR",
        help="where it works (default: synapse-demo-ray)",
    )
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Show it."""
    args = parser().parse_args(argv)
    say: Callable[[str], None] = (lambda text: None) if args.json else (lambda text: print(text, flush=True))
    folder = args.out.expanduser().absolute()
    with interruptible(), own_folder(folder, OURS):
        say("0. Starting a Ray cluster of this machine and a local Synapse backend …")
        seed = json.loads((EXAMPLES / "seed.json").read_bytes())
        backend = LocalBackend(SCRIPTS / "sandbox.py", folder / "sandbox", seed)
        try:
            with LocalRay() as ray, backend:
                shown = RayDemo(folder, say, ray, backend)
                about = shown.show()
                say("\nStopping Ray …")
        except KeyboardInterrupt:
            raise Interrupted("Interrupted.", hint="Run it again: a demo begins anew.") from None
    about["seconds"] = round(shown.since_start(), 1)
    if args.json:
        print(json.dumps(about, ensure_ascii=False), flush=True)
    say(f"Done in {about['seconds']:.0f} s. Look at\n")
    say(f"  the jobs      {folder / 'synapse-jobs'}   (submission.json, report.json: what came home)")
    say(f"  their state   {folder / 'cluster-state'}   (journal, lease: what a killed job goes on from)")
    return 0


class RayDemo(Stage):
    """One demo in its folder."""

    step_s = 600.0

    def __init__(self, folder: Path, say: Callable[[str], None], ray: LocalRay, backend: LocalBackend) -> None:
        super().__init__(folder, say, backend)
        self.ray = ray
        self._began = time.monotonic() - ray.seconds
        config = self.folder / "user" / ".synapse" / "config.json"
        config.parent.mkdir()
        login = {"host": backend.host, "access_token": backend.token, "agent": ray.agent(1, "Demo agent")}
        config.touch(0o600)
        config.write_text(json.dumps(login), encoding="utf-8")

    def since_start(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def show(self) -> dict[str, Any]:
        """Every step, in order."""
        self._say(
            f"1. Ray is up at {self.ray.dashboard}, the backend at {self.backend.host}; both on this machine only."
        )
        photos = self._photos()
        boxes = self._boxes()
        return photos | boxes

    # -- the photos: there and back ------------------------------------------------------------------------------

    def _photos(self) -> dict[str, Any]:
        home, plan = self._planned(PHOTOS)
        counts = plan["dry_run"]
        self._say(
            f"2. Planned: {counts['planned']} data units, {counts['files']['planned']} files. What the job remembers "
            f"goes to cluster-state/, outside of the job."
        )
        dry = self._submit(home, "--dry-run", "--wait")["job"]
        worker = dry["report"]["worker"]
        self._say(f"3. Dry run on the worker (submit --dry-run --wait): {dry['report']['planned']} data units counted.")
        self.say(
            f"       {dry['job_id']}, Python {worker['python']}, synapse-sdk {worker['synapse-sdk']}, "
            f"{dry['elapsed_s']:.0f} s, most of them Ray's for the packages. Its report opens the gate."
        )
        job_id = self._submit(home, "--approve", plan["hash"])["submission"]["job_id"]
        self._say(f"4. submit --approve {plan['hash']}: {job_id}. job_status --follow says:")
        done = self._follow(home, 0)
        report = json.loads((home / "report.json").read_bytes())
        self.say(
            f"       {done['status']}: {report['created']} data units, {report['files']['sent']} files, "
            f"{report['tasks']['created']} tasks, {report['seconds']:.1f} s. The report came home."
        )
        units = check(self, home)
        self._say(f"5. Read back and compared: {units} data units, every file byte by byte, all metadata.")
        again = self._submit(home, "--approve", plan["hash"], "--wait")["job"]["report"]
        check(self, home)
        self._say(f"6. Submitted again: {again['created']} made, {again['already']} known. Nothing is there twice.")
        self._log(job_id)
        return {"units": units, "files": report["files"]["sent"], "again": again["created"], "hash": plan["hash"]}

    def _log(self, job_id: str) -> None:
        """The log as the SDK's own command shows it."""
        said = self._synapse("script", "logs", job_id)
        lines = [line for line in said.splitlines() if line.strip()]
        plain = [line for line in lines if "synapse-skills:" not in line]
        if any("[" in line for line in plain):
            raise differs(f"the log holds brackets: {plain}")
        self._say(f"7. `synapse script logs` of it, {len(lines) - len(plain)} coded lines left out:")
        for line in plain[-6:]:
            self.say(f"       {line.rstrip()}")

    # -- many units over a slow line: stopped, killed, finished --------------------------------------------------

    def _boxes(self) -> dict[str, Any]:
        folder = self.folder / "boxes"
        make_boxes(folder, MANY)
        home, plan = self._planned(
            folder, "limits.batch_size=5", "limits.workers=2", "metadata.constants.batch=2", "limits.settle_after_s=5"
        )
        before = self._there()
        self._submit(home, "--dry-run", "--wait")
        self._slow(SLOW_S)
        job_id = self._submit(home, "--approve", plan["hash"])["submission"]["job_id"]
        self._say(f"8. {MANY} data units more, over a slow line: {job_id}.")
        refused = self._submit(home, "--approve", plan["hash"], code=1)
        codes = ", ".join(row["code"] for row in refused["refusals"])
        self.say(f"       submitted a second time while it runs: refused ({codes}).")
        self._until(before + MANY // 5)
        stopped = self._status(home, "--stop", code=0)
        self._say(f"9. Stopped in the middle with job_status --stop: {stopped['status']}, {_told(stopped['report'])}.")
        self._counted(before, stopped["report"])
        job_id = self._submit(home, "--approve", plan["hash"])["submission"]["job_id"]
        self._until(before + MANY // 2)
        killed = self.ray.kill_drivers()
        if not killed:
            raise FindingError("The job was over before it could be killed.", hint="Run it again.", code="too-quick")
        failed = self._follow(home, EXIT_INCOMPLETE, quiet=True)
        there = self._there() - before
        self._say(
            f"10. Submitted again as {job_id}; process {killed[0]} killed with {there} there: {failed['status']}."
        )
        self.say(f"       job_status, exit 5: {failed['next']}")
        self._slow(0)
        last = self._submit(home, "--approve", plan["hash"], "--wait")["job"]["report"]
        self._counted(before, last)
        units = self._check_boxes(home)
        self._say(f"11. Submitted once more: {_told(last)}.")
        self.say(f"       Read back: {units} data units, each of them once, every file byte by byte.")
        return {
            "many": MANY,
            "stopped": stopped["report"]["created"],
            "last": last["created"],
            "known": last["already"],
        }

    def _until(self, count: int) -> None:
        """Until so many data units are there."""
        deadline = time.monotonic() + WAIT_S
        while self._there() < count:
            if time.monotonic() > deadline:
                raise SkillsError("The upload does not get on.", hint="Run it again.", code="too-slow")
            time.sleep(0.2)

    def _slow(self, seconds: float) -> None:
        """Let every file take its time, so that nothing is over before it can be stopped."""
        rules = [{"kind": "slow", "route": "files.put", "seconds": seconds}] if seconds else []
        self.post("/_sandbox/faults", {"faults": rules})

    def _there(self) -> int:
        return int(self.ask("/data_units/?data_collection=1&page_size=1")["count"])

    def _counted(self, before: int, report: Mapping[str, Any]) -> None:
        there = self._there() - before
        if there != report["created"] + report["already"]:
            raise differs(f"{there} data units are there, the report says {_told(report)}")

    def _check_boxes(self, home: Path) -> int:
        wanted = contents_on_disk(json.loads((home / "plan.json").read_bytes()), self.folder / "boxes")
        there: Contents = {}
        for unit in self.rows("/data_units/?data_collection=1&page_size=100"):
            if (unit["meta"] or {}).get("batch") != 2:
                continue
            key = str(unit["meta"]["name"])
            if key in there:
                raise differs(f"{key} is there twice")
            there[key] = {spec: self.sha1(file["url"]) for spec, file in unit["files"].items()}
        same("the data units", wanted, there)
        return len(there)

    # -- other programs ------------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        head, _, rest = text.partition(" ")
        self.say(f"{head} ({self.since_start():.0f} s) {rest}")

    def _planned(self, source: Path, *settings: str) -> tuple[Path, dict[str, Any]]:
        state = self.folder / "cluster-state" / source.name
        chosen = [word for setting in (f"state={state}", *settings) for word in ("--set", setting)]
        answers = str(EXAMPLES / "answers.json")
        plan = self.script("plan_upload.py", str(source), "--answers", answers, *chosen, "--json")
        return (self.folder / plan["plan"]).parent, plan

    def _submit(self, home: Path, *flags: str, code: int = 0) -> dict[str, Any]:
        return self.call([str(SCRIPTS / "submit.py"), str(home), *flags, "--json"], code)

    def _status(self, home: Path, *flags: str, code: int) -> dict[str, Any]:
        return self.call([str(SCRIPTS / "job_status.py"), str(home), *flags, "--json"], code)

    def _follow(self, home: Path, code: int, *, quiet: bool = False) -> dict[str, Any]:
        document = self._status(home, "--follow", code=code)
        if not quiet:
            for line in document["log_tail"][-5:]:
                self.say(f"       | {line}")
        return document

    def _synapse(self, *words: str) -> str:
        from synapse_skills.cluster.submit import cli_command

        done = subprocess.run(  # noqa: S603 - the SDK of our own environment
            [*cli_command(), *words], capture_output=True, text=True, errors="replace", timeout=self.step_s,
            env=self.environment(), cwd=self.folder, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SkillsError(f"synapse {' '.join(words)} failed: {done.stdout[-300:]}", code="step-failed")
        return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)

    def environment(self) -> dict[str, str]:
        """As on a stage, with Ray's address."""
        known = super().environment()
        # As a user has it: login and agent are in ~/.synapse/config.json.
        known.pop("SYNAPSE_HOST")
        known.pop("SYNAPSE_ACCESS_TOKEN")
        hosts = f"127.0.0.1,localhost,{self.ray.host}"
        return known | {"NO_PROXY": hosts, "no_proxy": hosts}


def make_boxes(folder: Path, count: int) -> None:
    """So many small pictures, each with its label, each in a folder of its own."""
    from PIL import Image

    for number in range(count):
        unit = folder / f"box-{number:03}"
        unit.mkdir(parents=True)
        Image.new("RGB", (24, 16), (number % 256, 40 + number // 2, 200 - number)).save(unit / "picture.png")
        (unit / "label.json").write_text(json.dumps({"box": number}), encoding="utf-8")


def _told(report: Mapping[str, Any] | None) -> str:
    if report is None:
        raise differs("the job's report did not come home")
    names = {"created": "made", "already": "known", "pending": "pending", "failed": "failed"}
    return ", ".join(f"{report[key]} {word}" for key, word in names.items() if report[key] or key == "created")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(run(main))
