"""An export at a storage read back: every file is fetched into a folder here, and verified as any other."""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from synapse_skills.errors import OutOfReach, UsageError, printable
from synapse_skills.job.export.delivery import MOST_THREADS
from synapse_skills.job.export.verify import Inspected, verify_output
from synapse_skills.sources import Store, Stored, open_store
from synapse_skills.sources.address import is_url
from synapse_skills.texts import human_bytes


def verify_place(place: str) -> Inspected:
    """Read an export back, wherever it is.

    Raises:
        UsageError: there is nothing. OutOfReach: a storage can't be opened, or there is no room for a copy.
    """
    if not is_url(place):
        return verify_output(Path(place))
    with open_store(place) as store, tempfile.TemporaryDirectory(prefix="synapse-skills-") as temporary:
        folder = Path(temporary) / "output"
        folder.mkdir()
        _fetch(store, folder)
        return verify_output(folder)


def _fetch(store: Store, folder: Path) -> None:
    # The copy has their names, so only those that stay in the folder are fetched; what else is there is no export's.
    there = [each for each in store.list() if (folder / each.name).resolve().is_relative_to(folder.resolve())]
    if not there:
        raise UsageError(
            f"There is nothing at {printable(store.name)}.", hint="Name the output of an export.", code="nothing-there"
        )
    size, free = sum(each.size for each in there), shutil.disk_usage(folder).free
    if size > free:
        raise OutOfReach(
            f"A copy of {printable(store.name)} takes {human_bytes(size)}; there is room for {human_bytes(free)}.",
            hint="Set TMPDIR to a folder on a larger disk, or verify it from a machine that has room.",
            code="disk-full",
        )

    def one(each: Stored) -> None:
        target = folder / each.name
        target.parent.mkdir(parents=True, exist_ok=True)
        store.fetch(each.name, target)

    with ThreadPoolExecutor(MOST_THREADS) as pool:
        # Whatever went wrong with one of them is raised here.
        list(pool.map(one, there))
