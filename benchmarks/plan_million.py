"""Plans an upload of a million files, dry-runs the job, and prints seconds and peak memory of each.

The rounds of the conversation are `first` (its first question), `plan` (all is answered) and `again` (an answer is
another one). The files are hard links to a few small ones, so a million of them take inodes for their folders only.
What is held second by second is kept in DIR/memory.csv.

examples:
  python benchmarks/plan_million.py --files 200000
  python benchmarks/plan_million.py --files 1000000 --layout types --keep /data/million
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from watch import Ended, Watch

ROOT = Path(__file__).resolve().parents[1]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c636060606000000005"
    "0001a5f645400000000049454e44ae426082"
)
LINKS = 30_000  # file systems bound how many names one file may have
CHOICE = {"files": 2}
SPECS = [
    {"id": 1, "name": "image_1", "file_type": "image", "extensions": [".png"], "is_required": True, "is_primary": True},
    {"id": 2, "name": "label_1", "file_type": "data", "extensions": [".json"], "is_required": True},
]
SEED = {
    "collections": [
        {"id": number, "name": f"Collection {number}", "meta": None, "file_specifications": SPECS} for number in (1, 2)
    ]
}


class Maker:
    """Makes names for one small file, and a new one when it has enough of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = dict.fromkeys((".png", ".json"), 0)

    def __call__(self, path: str, suffix: str) -> None:
        number = self.made[suffix]
        self.made[suffix] += 1
        first = self.folder / f"{number // LINKS}{suffix}"
        if number % LINKS == 0:
            first.write_bytes(PNG if suffix == ".png" else b"{}")
        os.link(first, path)


def make_tree(root: Path, files: int, layout: str) -> None:
    """`folders`: one .png and one .json in each · `types`: all .png in images/, all .json in labels/."""
    (root / "data").mkdir(parents=True)
    (root / "originals").mkdir()
    make = Maker(root / "originals")
    if layout == "types":
        for name in ("images", "labels"):
            (root / "data" / name).mkdir()
    for number in range(files // CHOICE["files"]):
        if layout == "types":
            make(f"{root}/data/images/{number:07}.png", ".png")
            make(f"{root}/data/labels/{number:07}.json", ".json")
        else:
            folder = f"{root}/data/u{number:07}"
            Path(folder).mkdir()
            make(f"{folder}/image.png", ".png")
            make(f"{folder}/label.json", ".json")


class Rounds:
    """Rounds of a conversation, and the job's dry run, each a process of its own.

    Args:
        home: holds the tree, and what comes of it.
        box: what a sandbox says of itself.
        watch: looks at what they hold.
    """

    def __init__(self, home: Path, box: dict[str, Any], watch: Watch) -> None:
        self.home = home
        self.watch = watch
        known = {"SYNAPSE_HOST": box["host"], "SYNAPSE_ACCESS_TOKEN": box["token"], "HOME": str(home)}
        self.env = {**os.environ, **known}

    def plan(self, name: str, *flags: str) -> dict[str, Any]:
        """One round: its document."""
        out = self.home / f"{name}.json"
        command = [str(ROOT / "scripts/plan_upload.py"), str(self.home / "data"), "--json", *flags]
        ended = self.watch.run(name, [*command, "--out", str(self.home / "job-home")], env=self.env, out=out)
        document: dict[str, Any] = json.loads(out.read_bytes())
        asked = [question["key"] for question in document.get("questions", [])]
        show(ended, f"{document.get('status', 'error')}, asked {asked}")
        for item in document.get("understood", []):
            if item["key"] in ("sample", "grouping.by"):
                print(f"    {item['key']} = {item['value']}: {item['because']}")
        if "error" in document or document.get("status") == "blocked":
            print(json.dumps(document.get("error") or document["problems"], ensure_ascii=False, indent=1))
        return document

    def dry_run(self) -> int:
        """The job's dry run: its exit code."""
        out = self.home / "dry-run.txt"
        ended = self.watch.run(
            "dry run", [str(self.home / "job-home/job/upload.py"), "--dry-run"], env=self.env, out=out
        )
        show(ended, f"exit code {ended.code}")
        print(out.read_text()[-2000:])
        return ended.code


def show(ended: Ended, outcome: str) -> None:
    """A line for people."""
    print(
        f"{ended.run:10} {ended.seconds:7.1f} s  {ended.cpu:7.1f} s of CPU  "
        f"peak {max(ended.peak_mb, ended.worker_peak_mb):6.0f} MB  {outcome}",
        flush=True,
    )


def main() -> int:
    """Make the tree, start a sandbox, hold the conversation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--layout", choices=("folders", "types"), default="folders")
    parser.add_argument("--keep", type=Path, help="make the tree here, or use the one that is here already")
    parser.add_argument("--short", action="store_true", help="leave out the round `again`")
    args = parser.parse_args()
    home = args.keep or Path(tempfile.mkdtemp(prefix="plan-million-"))
    box: subprocess.Popen[bytes] | None = None
    try:
        started = time.monotonic()
        if not (home / "data").is_dir():
            make_tree(home, args.files, args.layout)
        print(f"{args.files:,} files, layout {args.layout}: made in {time.monotonic() - started:.0f} s", flush=True)
        shutil.rmtree(home / "job-home", ignore_errors=True)
        (home / "seed.json").write_text(json.dumps(SEED))
        ready = home / "ready.json"
        ready.unlink(missing_ok=True)
        sandbox = [sys.executable, str(ROOT / "scripts/sandbox.py"), "serve", "--state", str(home / "box")]
        box = subprocess.Popen([*sandbox, "--seed", str(home / "seed.json"), "--ready-file", str(ready)])
        while not ready.exists():
            time.sleep(0.05)
        about = json.loads(ready.read_text())
        rounds = Rounds(home, about, Watch(home / "memory.csv"))
        rounds.plan("first")
        document = rounds.plan("plan", "--collection", "1")
        print(document.get("summary", ""))
        if not args.short:
            rounds.plan("again", "--batch-size", "50")
        if document.get("status") != "ready":
            return 1
        return rounds.dry_run()
    finally:
        if box is not None:
            box.terminate()
            box.wait()
        if args.keep is None:
            shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
