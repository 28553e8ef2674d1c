"""The folder where all of one job lives, and its name (DESIGN.md, section 4)."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synapse_skills.errors import OutOfReach, SkillsError, UsageError, printable, redact
from synapse_skills.plan import METADATA_TABLE
from synapse_skills.planning.answers import read_answers
from synapse_skills.report import write_json
from synapse_skills.texts import parse_json

JOBS = "synapse-jobs"
MAX_SLUG_BYTES = 120


def slug(text: str) -> str:
    """A name that any file system takes: letters and digits of any language, `-`, `_` and `.`; the rest is a dash."""
    kept = "".join(
        char if char.isalnum() or char in "-_." else "-" for char in unicodedata.normalize("NFC", text)
    ).strip("-.")
    while "--" in kept:
        kept = kept.replace("--", "-")
    while len(kept.encode("utf-8", "replace")) > MAX_SLUG_BYTES:
        kept = kept[:-1]
    return kept.strip("-.") or "upload"


@dataclass(frozen=True)
class Home:
    """A job's folder.

    Attributes:
        folder: absolute.
        name: what the job is called unless the user says otherwise.
        because: why it is called so.
        own: the answers that an earlier round left in it.
        taken: it holds a job over these other sources, and nobody said that it should go on.
        beside: of an export, the job that `taken` tells of: this folder is the free one next to it, and is remembered
            in until the user has said which of the two is meant.
    """

    folder: Path
    name: str
    because: str
    own: dict[str, Any] = field(default_factory=dict)
    taken: tuple[str, ...] = ()
    beside: str = ""

    @property
    def answers(self) -> Path:
        """The memory of the conversation."""
        return self.folder / "answers.json"

    @property
    def plan(self) -> Path:
        """Where plan.json is."""
        return self.folder / "plan.json"

    @property
    def inventory(self) -> Path:
        """Where the inventory of files is."""
        return self.folder / "inventory.sqlite"

    @property
    def left_out(self) -> Path:
        """Where the data units that stay at home are named."""
        return self.folder / "left_out.jsonl"

    @property
    def metadata(self) -> Path:
        """Where the rows of a metadata table are, by data unit."""
        return self.folder / METADATA_TABLE

    @property
    def stays_home(self) -> Path:
        """Where every file is named that no data unit takes."""
        return self.folder / "stays_home.jsonl"

    @property
    def dry_run(self) -> Path:
        """Where the report of the last dry run is."""
        return self.folder / "dry_run.json"

    @property
    def job(self) -> Path:
        """The folder that ships."""
        return self.folder / "job"

    @property
    def state(self) -> Path:
        """Where a run here keeps what it has done."""
        return self.folder / "state"

    def make(self) -> None:
        """Make the folder, for its owner only: it names private paths.

        Raises:
            OutOfReach: it can't be made, or something else is there.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise OutOfReach(
                f"The job's folder {printable(str(self.folder))} can't be made: {error.strerror}.",
                hint="Name another folder with --out.",
                code="no-home",
            ) from None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from planning the same job at the same time; the lock goes with the process, however it ends.

        Raises:
            OutOfReach: somebody else is.
        """
        try:
            import fcntl
        except ImportError:  # Windows: the inventory's own lock is all there is
            yield
            return
        with (self.folder / ".planning.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutOfReach(
                    f"The job {printable(self.name)} is being planned by another process.",
                    hint="Wait until it has ended, or give this one its own folder with --out.",
                    code="in-use",
                ) from None
            yield

    def remember(self, answers: Mapping[str, Any]) -> None:
        """Keep the answers for the next round."""
        self.make()
        if not self.answers.exists() or read_answers(self.answers) != dict(answers):
            write_json(self.answers, dict(answers))

    def previous_plan(self) -> dict[str, Any] | None:
        """The plan of an earlier round, as it was written; None if there is none that can be read."""
        try:
            document = parse_json(self.plan.read_bytes())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def has_sent(self) -> bool:
        """Whether a run has begun here: then the job belongs to its collection."""
        journal = self.state / "journal"
        return journal.is_dir() and any(journal.iterdir())


def find_home(given: Mapping[str, Any], out: Path | None, *, fresh: bool) -> Home | None:
    """The home of the job that the answers speak of; None while nobody can know.

    Args:
        given: answers from flags, `--set` and `--answers`.
        out: `--out`.
        fresh: answers came in a file, which replaces those at home.

    Raises:
        UsageError: `--out` names something that is not a folder, or holds something else than a job.
    """
    sources = source_paths(given.get("sources"))
    if out is not None:
        folder = out.expanduser().resolve()
        _check_out(folder)
        name, because = slug(Path(sources[0]).name if sources else folder.name), "named after its folder"
        return Home(folder, name, because, {} if fresh else _own(folder))
    if given.get("name") is not None and not isinstance(given["name"], dict | list | bool):
        name = str(given["name"])
        folder = Path.cwd() / JOBS / slug(name)
        own = _own(folder)
        if not own and sources:
            # A conversation that began without a name goes on under the new one.
            own = _own(Path.cwd() / JOBS / slug(Path(sources[0]).name))
            own = own if source_paths(own.get("sources")) == sources else {}
        return Home(folder, name, "as you said", {} if fresh else own)
    if not sources:
        return None
    name = slug(Path(sources[0]).name)
    if "target" in _own(Path.cwd() / JOBS / name):  # an export's
        name += "-upload"
    folder = Path.cwd() / JOBS / name
    own = _own(folder)
    theirs = source_paths(own.get("sources"))
    taken = tuple(theirs) if theirs and theirs != sources else ()
    because = "the source folder's name; everything of this job is in " + printable(f"{JOBS}/{name}")
    return Home(folder, name, because, {} if fresh or taken else own, taken)


def source_paths(answer: Any) -> list[str]:
    """An answer to `sources` as absolute paths and URLs, unchecked; empty if it is none."""
    parts = [answer] if isinstance(answer, str) else answer
    if not isinstance(parts, Sequence) or not all(isinstance(part, str) and part.strip() for part in parts):
        return []
    return [_written(part.strip()) for part in parts]


def _written(place: str) -> str:
    """A folder resolved, a URL as it is always written; one that can't be is refused when it is looked at."""
    from synapse_skills.sources.address import is_url, parse_address

    if not is_url(place):
        place = os.path.expanduser(place)  # noqa: PTH111 - never raises
        with contextlib.suppress(ValueError):
            return os.path.realpath(place)
        # Half a surrogate pair, which is in no name of a file.
        return os.path.abspath(place)  # noqa: PTH100
    with contextlib.suppress(SkillsError):
        return str(parse_address(place))
    return redact(place)


def free_name(name: str) -> str:
    """The first of name-2, name-3… that no job here has."""
    number = 2
    while (Path.cwd() / JOBS / f"{name}-{number}").exists():
        number += 1
    return f"{name}-{number}"


def _own(folder: Path) -> dict[str, Any]:
    path = folder / "answers.json"
    return read_answers(path) if path.exists() else {}


def _check_out(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {printable(str(folder))} is not a folder.", hint="Name a folder of the job's own.")
    ours = ("answers.json", "plan.json", "inventory.sqlite", ".planning.lock")
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).exists() for name in ours):
        raise UsageError(
            f"--out {printable(str(folder))} holds something else than a job.",
            hint="Name an empty or new folder: everything of the job is written there.",
            code="out-not-ours",
        )
