"""What is still to be staged, told before anything is sent: is there a converter, and room on the disk?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synapse_skills.errors import OutOfReach
from synapse_skills.job.upload.ledger import Ledger
from synapse_skills.job.upload.staging import SPARE, Targets, free_bytes, no_room, room_for
from synapse_skills.media import NoFfmpeg, find_ffmpeg, needs_ffmpeg
from synapse_skills.plan import UploadPlan
from synapse_skills.report import MAX_EXAMPLES, Problems
from synapse_skills.sources import Access
from synapse_skills.units import Unit


@dataclass
class Outlook:
    """Counts the files that a run has to convert or copy; those that arrived in an earlier one are not among them."""

    plan: UploadPlan
    ways: Sequence[Access] = ()
    files: int = 0
    bytes: int = 0
    largest: int = 0
    ffmpeg: int = 0
    remote: int = 0
    examples: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._targets = Targets(self.plan)

    def see(self, unit: Unit, ledger: Ledger) -> None:
        """Take in a data unit that is to be sent."""
        if not self.plan.conversions and not any(way.is_remote for way in self.ways):
            return
        for spec, file in unit.files.items():
            target = self._targets.of(spec, file)
            is_remote = self.ways[file.source].is_remote
            if not target and not is_remote:
                continue
            if ledger.checksum_of(file.source, file.path, file.size, file.mtime_ns, target):
                continue
            size = room_for(file, target, is_remote=is_remote)
            self.files += 1
            self.remote += is_remote
            self.bytes += size
            self.largest = max(self.largest, size)
            if target and needs_ffmpeg(file.suffix, target):
                self.ffmpeg += 1
                if len(self.examples) < MAX_EXAMPLES:
                    self.examples.append(file.path)

    def tell_what_is_checked_later(self, problems: Problems) -> None:
        """A dry run does not fetch what lies elsewhere: which places those are."""
        places = sorted({f"{way.name} (login: {way.credentials})" for way in self.ways if way.is_remote})
        for number, place in enumerate(places):
            problems.add(
                "content-checked-later",
                place,
                severity="info",
                fix="Names and sizes are checked now, and what is in these files as each is fetched to be sent: a data "
                "unit with one that is not fit is quarantined then.",
                count=0 if number else self.remote,
            )

    def obstacle(self, folder: Path) -> OutOfReach | None:
        """Why the files can't be staged on this machine, with the state in this folder; None if they can."""
        if self.ffmpeg and find_ffmpeg() is None:
            return NoFfmpeg(
                f"{self.ffmpeg:,} files have to be converted by ffmpeg, and there is none on this machine "
                f"(such as {self.examples[0]})"
            )
        if self.files and (free := free_bytes(folder)) < self.largest + SPARE:
            return no_room(folder / "staging", free, self.largest, "The largest of the files to be staged may take")
        return None
