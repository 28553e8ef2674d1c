"""What is done with a lot of files, wherever that is: fetched, converted, sent, confirmed.

A lot goes the way of any file (`Sender`, `Stager`), with a login of its own out of the environment there. Nothing in
it makes a data unit. So it may be done twice, by a machine that was given up and by the one that took its place: at
worst an object is left that nothing refers to.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from synapse_skills.backend import Api, Pace, Transfer
from synapse_skills.backend.login import login_at
from synapse_skills.errors import FindingError, OutOfReach, SkillsError, printable
from synapse_skills.job.places import cache_of
from synapse_skills.job.running import seconds_said
from synapse_skills.job.upload.outlook import Outlook
from synapse_skills.job.upload.send import Job, Sender
from synapse_skills.job.upload.staging import CONVERSION_VARIABLE, Stager
from synapse_skills.plan import UploadPlan
from synapse_skills.report import Problem, Problems
from synapse_skills.sources import Access, File, Source, reach
from synapse_skills.sources.access import RemoteAccess
from synapse_skills.sources.remote import Entry
from synapse_skills.units import Unit

BESIDE = 1
"""Requests for links, and as many to confirm, that a lot has under way beside its transfers."""
MOST = 50_000
"""Entries of a folder that come in one answer."""
NOT_SEEN = "Mount the folder on all machines of the cluster under the same path, or plan again with engine=null."


@dataclass(frozen=True)
class Common:
    """What all lots of a run have in common.

    Attributes:
        where: the backend's host, and the tenant: whoever takes a lot must be logged in there.
        state: what the state is called: names the folders for what is staged.
        patience: seconds that a request goes on trying.
        requests: how many a lot may have under way at once.
        presigns: whether the default storage hands out links.
    """

    plan: UploadPlan
    sources: tuple[Source, ...]
    where: tuple[str, str | None]
    state: str
    patience: float
    requests: int = 1
    presigns: bool = True


@dataclass(frozen=True)
class Lot:
    """Files of some data units: the key of each, and its files by spec; `pace`: how many to send at once at first."""

    pace: int
    units: tuple[tuple[str, dict[str, File]], ...]


@dataclass(frozen=True)
class MovedUnit:
    """What came of a data unit's files: checksums of those that arrived by spec, and why another did not."""

    key: str
    checksums: dict[str, str]
    converted: list[tuple[int, int]]
    code: str
    error: str


@dataclass
class Moved:
    """What came of a lot; with an `error` that concerns more than one file it ended early."""

    units: list[MovedUnit] = field(default_factory=list)
    pace: int = 1
    problems: list[Problem] = field(default_factory=list)
    error: SkillsError | None = None


class _Forgetful:
    """No ledger: the one who handed out the lot has it."""

    def checksum_of(self, source: int, path: str, size: int, mtime_ns: int, target: str = "") -> str | None:
        return None

    def confirm(self, files: Iterable[tuple[File, str, str]]) -> None:
        """Forget them: they are in the answer."""


def look(common: Common, what: tuple[Sequence[File], Outlook | None]) -> None:
    """See whether this machine can do its part, before anything is handed out.

    Args:
        what: a file of each source, and what the files to be staged need, as far as that is known.

    Raises:
        FindingError: it does not see a source, or is logged in elsewhere. OutOfReach: a source refuses it, or there
            is no converter, or no room.
    """
    samples, outlook = what
    login_at(common.where)
    with ExitStack() as stack:
        ways = [stack.enter_context(_way(source)) for source in common.sources]
        for file in samples:
            if not ways[file.source].is_unchanged(file):
                raise _not_seen(f"{ways[file.source].name} as it was listed ({printable(file.path)})")
    obstacle = outlook.obstacle(_clean_folder(common)) if outlook else None
    if obstacle is not None:
        raise obstacle


def list_folder(common: Common, folder: Source) -> list[Entry] | None:
    """What lies in a folder of a source elsewhere; None if that is more than an answer should hold."""
    login_at(common.where)
    with reach(folder) as way:
        assert isinstance(way, RemoteAccess)
        found = list(islice(way.remote.list(), MOST + 1))
    return found if len(found) <= MOST else None


def move(common: Common, lot: Lot) -> Moved:
    """Fetch, convert, send and confirm the files of a lot."""
    return asyncio.run(_move(common, lot))


async def _move(common: Common, lot: Lot) -> Moved:
    moved, problems = Moved(), Problems()
    pace = Pace(common.requests - 2 * BESIDE, start=lot.pace)
    try:
        who = login_at(common.where)
        with ExitStack() as stack:
            ways = [stack.enter_context(_way(source)) for source in common.sources]
            folder = _folder(common) / secrets.token_hex(8)
            stager = Stager(
                common.plan, folder, ways=ways, problems=problems, timeout=seconds_said(CONVERSION_VARIABLE), cores=1
            )
            stack.callback(stager.close)
            stager.open()
            async with Api(who, patience=common.patience, connections=common.requests + 8) as api:
                await _send(Transfer(api, pace), stager, common.presigns, ways, lot, moved)
    except SkillsError as error:
        moved.error = error
    moved.pace, moved.problems = pace.limit, problems.as_list()
    return moved


async def _send(transfer: Transfer, stager: Stager, presigns: bool, ways: list[Access], lot: Lot, moved: Moved) -> None:
    ended = asyncio.Event()

    async def arrived(job: Job) -> None:
        moved.units.append(MovedUnit(job.unit.key, job.checksums, job.converted, job.code, job.error))
        if len(moved.units) == len(lot.units):
            ended.set()

    sender = Sender(
        transfer,
        _Forgetful(),
        presigns=presigns,
        beside=BESIDE,
        stager=stager,
        unchanged=lambda file: ways[file.source].is_unchanged(file),
        on_unit=arrived,
        on_bytes=lambda count: None,
    )
    for key, files in lot.units:
        await sender.send(Job(Unit(key, files), None, "", len(files)))
    work: list[asyncio.Task[Any]] = [asyncio.create_task(loop()) for loop in sender.loops()]
    work.append(asyncio.create_task(ended.wait()))
    try:
        # Only an error ends one of the loops.
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in work:
            each.cancel()
        await asyncio.gather(*work, return_exceptions=True)


def _way(source: Source) -> Access:
    try:
        return reach(source)
    except OutOfReach as error:
        if source.is_remote:
            raise
        raise _not_seen(f"{printable(source.path)}: {error}") from None


def _not_seen(what: str) -> FindingError:
    return FindingError(f"A machine of the cluster does not see {what}.", hint=NOT_SEEN, code="not-shared")


def _folder(common: Common) -> Path:
    """On this machine, for what lots stage."""
    folder = cache_of(common.state) / "lots"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _clean_folder(common: Common) -> Path:
    """Without what killed processes have left: only one run has this state, and it has handed out nothing yet."""
    folder = _folder(common)
    for left in folder.iterdir():
        # Another look on the same disk may be as far.
        shutil.rmtree(left, ignore_errors=True)
    return folder
