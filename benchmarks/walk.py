"""Walks a folder three ways in turn, and prints the ratios.

inventory  the walk of this project: looks at every name, leaves out junk, compares twins, writes all to SQLite
baseline   what people write today: rglob, is_file and stat; it keeps nothing
bare       os.scandir and stat, folder by folder; it keeps nothing either

The files are hard links to a few small ones, so that many of them cost inodes for their folders only. All sides find
the folder in the system's cache, which a walk before the first round has filled. The clock is the wall's, since the
inventory alone writes to a disk; the seconds of CPU, which other work on the machine bends less, are told beside it.

examples:
  python benchmarks/walk.py
  python benchmarks/walk.py --files 1000000 --a-folder 3 --rounds 5
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from common import Side, Table, clocked, in_turn, parser_of, show

from synapse_skills.sources import Inventory, Source

LINKS = 30_000  # file systems bound how many names one file may have


def make_tree(root: Path, files: int, a_folder: int) -> None:
    """`a_folder` names in each folder, a hundred folders in each folder above them."""
    (root / "data").mkdir(parents=True)
    first = root / "first"
    for number in range(files):
        if number % LINKS == 0:
            first.unlink(missing_ok=True)
            first.write_bytes(b"{}")
        unit, at = divmod(number, a_folder)
        folder = f"{root}/data/site_{unit // 100:04}/scan_{unit:06}"
        if at == 0:
            Path(folder).mkdir(parents=True)
        os.link(first, f"{folder}/slice_{at:04}.json")


def scanned(folder: str) -> Iterator[tuple[str, int, int]]:
    """Every file below a folder: path, size, time of change."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from scanned(entry.path)
            else:
                found = entry.stat(follow_symlinks=False)
                yield entry.path, found.st_size, found.st_mtime_ns


def sides(root: Path, files: int) -> dict[str, Callable[[int], None]]:
    """What is compared; each counts the files, so that none has gone without."""
    data = root / "data"

    def inventory(number: int) -> None:
        with Inventory(root / f"inventory-{number}.sqlite") as kept:
            assert kept.walk([Source(str(data))]).files == files

    def baseline(_: int) -> None:
        assert sum(path.stat().st_size >= 0 for path in data.rglob("*") if path.is_file()) == files

    def bare(_: int) -> None:
        assert sum(1 for _ in scanned(str(data))) == files

    return {"inventory": inventory, "baseline": baseline, "bare": bare}


def timed(work: Callable[[int], None], cpu: list[float]) -> Side:
    """A side by the clock; its seconds of CPU go to `cpu`."""

    def side(number: int) -> float:
        started = time.process_time()
        seconds = clocked(lambda: work(number))
        cpu.append(time.process_time() - started)
        return seconds

    return side


def measure(files: int, a_folder: int, rounds: int, root: Path) -> Table:
    """All sides, in turn."""
    make_tree(root, files, a_folder)
    compared = sides(root, files)
    compared["bare"](0)
    cpu: dict[str, list[float]] = {name: [] for name in compared}
    found = in_turn({name: timed(work, cpu[name]) for name, work in compared.items()}, rounds)
    table = Table(f"Walk of {files:,} files, {a_folder} in a folder", found)
    table.compare("faster than the baseline", "baseline", "inventory", 1.4)
    table.compare("of the bare walk's time", "inventory", "bare", 2, at_least=False)
    seconds = {name: statistics.median(values) for name, values in cpu.items()}
    table.facts["CPU of the baseline / inventory"] = round(seconds["baseline"] / seconds["inventory"], 2)
    table.facts["CPU of the inventory / bare walk"] = round(seconds["inventory"] / seconds["bare"], 2)
    return table


def main() -> int:
    """Measure what was asked for."""
    parser = parser_of(__doc__)
    parser.add_argument("--files", type=int, default=200_000, metavar="N", help="in all (200000)")
    parser.add_argument("--a-folder", type=int, default=100, metavar="N", help="files in each folder (100)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="walk-") as folder:
        table = measure(args.files, args.a_folder, args.rounds, Path(folder))
    return show([table], as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
