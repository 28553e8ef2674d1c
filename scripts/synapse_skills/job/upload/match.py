"""Data units that are on the server already, from a job whose state is lost: found, not made again.

The first run of a state folder can't know whether it is the first run of the job. So it reads the collection once,
up to the newest id at that moment, and a planned unit whose prints agree with a row's takes that row.

A unit with converted files needs more thought. Its content is that of the results, and the same original may become
other bytes: another Pillow or zlib, another ffmpeg. So a content that agrees proves that a row is ours, and one that
does not agree proves nothing. Where path and metadata agree, the row is taken for ours, and the report names it: the
other mistake, a whole collection twice after a lost state, could not be mended. Results of ffmpeg, which take minutes,
are compared only where the names alone do not say it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

from synapse_skills.backend.api import NotThere, Refused
from synapse_skills.errors import OutOfReach, SkillsError
from synapse_skills.job.upload.before import Before
from synapse_skills.job.upload.create import Creator
from synapse_skills.job.upload.ledger import NOTHING, Ledger
from synapse_skills.job.upload.lookup import Server, prints_of
from synapse_skills.job.upload.staging import FFMPEG, REMOTE, Staged, Stager
from synapse_skills.report import Problems
from synapse_skills.units import Unit

PAGE = 1000
CHUNK = 1 << 20


class Matcher:
    """Finds planned data units among those that the collection held before.

    Args:
        stager: turns a file into what is sent: where the server shows checksums, contents have to agree too.
    """

    def __init__(
        self,
        ledger: Ledger,
        server: Server,
        creator: Creator,
        problems: Problems,
        stager: Stager,
        say: Callable[[str], None],
    ) -> None:
        self.ledger = ledger
        self.server = server
        self.creator = creator
        self.problems = problems
        self.stager = stager
        self.say = say
        self.before = Before(ledger)
        self._any = False

    async def prepare(self) -> None:
        """Read what the collection held before this job, unless that is known already."""
        newest = self.ledger.info("listed")
        try:
            if newest is None:
                newest = await self.server.newest_unit()
                await self.creator.record({"t": "listed", "newest": newest})
            if newest and not self.ledger.info("server_complete"):
                await self._list(int(newest))
        except (NotThere, Refused) as error:
            self.problems.add(
                "cannot-list-units",
                str(error),
                severity="warning",
                fix="Data units of an earlier run whose state is lost can't be recognised on this backend.",
            )
        self.ledger.set_info("server_complete", 1)
        self.ledger.commit()
        self._any, telling = self.before.look()
        if self._any and self.before.shows_content_only:
            self.problems.add(
                "cannot-recognise",
                "the rows of the collection show neither paths nor metadata",
                severity="warning",
                fix="Data units of an earlier job that share their content can't be told apart: look in Synapse.",
            )
        if self._any and not telling:
            self._any = False
            self.problems.add(
                "cannot-recognise",
                "the rows of the collection show neither paths nor checksums nor metadata",
                severity="warning",
                fix="If an earlier run's state was lost or set aside, look for doubled data units in Synapse.",
            )

    async def _list(self, newest: int) -> None:
        self.say("the collection is not empty: looking for data units of this job that are there already")
        page: list[tuple[int, dict[str, str]]] = []
        async for row in self.server.units_above(0):
            if row["id"] <= newest:
                page.append((row["id"], prints_of(row)))
            if len(page) >= PAGE:
                self.before.keep(page)
                page = []
        self.before.keep(page)
        self.before.blank_silent_parts()
        self.ledger.commit()

    async def match(self, unit: Unit, payload: dict[str, Any], basis: str) -> bool:
        """Whether a planned data unit is there already; if so the ledger and the journal say so."""
        if not self._any:
            return False
        prints = prints_of(payload)
        lanes = {self.stager.lane(spec, file) for spec, file in unit.files.items()} - {"", REMOTE}
        found: tuple[int, bool] | None = None
        unsure = None
        if self.before.shows_content:
            if not self.before.may_have(prints):
                return False
            if FFMPEG in lanes:
                unsure = self.before.find_by_name(prints)
            if unsure is None:
                prints["checksum"] = await self._checksum_print(unit)
                found = self.before.find(prints) if prints["checksum"] != NOTHING else None
                if found is None and lanes:
                    unsure = self.before.find_by_name(prints)
        else:
            found = self.before.find(prints)
        if found is None and unsure is not None:
            found = unsure, True
            self.problems.add(
                "matched-by-name",
                f"{unit.key}: data unit id {unsure}",
                severity="warning",
                fix="It is there with the same path and metadata; converted content can't be compared for sure. If the "
                "originals have changed since, look in Synapse.",
            )
        if found is None:
            return False
        identity, same = found
        await self.creator.record({"t": "matched", "units": [[unit.key, identity, basis]]})
        if not same:
            self.problems.add(
                "matched-in-part",
                f"{unit.key}: data unit id {identity}",
                severity="warning",
                fix="The content is in the collection already; its path or metadata there are others, and stay.",
            )
        return True

    async def _checksum_print(self, unit: Unit) -> str:
        sums = {}
        for spec, file in unit.files.items():
            target = self.stager.target(spec, file)
            known = self.ledger.checksum_of(file.source, file.path, file.size, file.mtime_ns, target)
            staged: Staged | None = None
            try:
                if known is None:
                    staged = await self.stager.stage(spec, file)
                    known = await asyncio.to_thread(_sha1, staged)
            except OutOfReach:
                raise
            except (OSError, SkillsError):
                # Whatever is wrong with the file, sending it will say so.
                return NOTHING
            finally:
                self.stager.release(staged)
            sums[spec] = {"checksum": known}
        return prints_of({"files": sums})["checksum"]


def _sha1(staged: Staged) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    with staged.open() as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
