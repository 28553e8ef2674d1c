"""An export's way to a storage: written and verified here, then put there file by file, `COMPLETE` last of all.

What was put there is remembered in the state (`delivered.py`), so a run that was killed sends only the rest, and a
later one only what has changed. While files change there, `COMPLETE` is gone: whoever finds it finds a whole export.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import msgspec

from synapse_skills.errors import FindingError, OutOfReach, UsageError, printable
from synapse_skills.export_plan import ExportPlan
from synapse_skills.job.export.delivered import Delivered
from synapse_skills.job.export.output import (
    COMPLETE,
    EXTRA,
    MANIFEST,
    MARKER,
    METADATA,
    ORIGINALS,
    OURS,
    Output,
    marker_of,
    removal_refused,
    removed_by,
)
from synapse_skills.job.progress import Progress
from synapse_skills.job.state import State
from synapse_skills.report import Problems
from synapse_skills.sources import Store, open_store
from synapse_skills.sources.address import parse_address
from synapse_skills.texts import human_bytes, parse_json

MOST_THREADS = 16
READ_BACK_FILES = 100
READ_BACK_BYTES = 64 << 20
PROBE = ".synapse-export-probe"
CANT_BE_WRITTEN = ("http", "https")


class Listed(msgspec.Struct):
    """A file as a manifest names it."""

    path: str
    bytes: int
    sha256: str


class _Manifest(msgspec.Struct):
    files: list[Listed]


@dataclass
class _There:
    """What lies at the place: sizes by name, and what we know of the contents."""

    sizes: dict[str, int]
    known: dict[str, str] = field(default_factory=dict)
    complete: bytes | None = None
    manifest: bytes | None = None

    def has(self, each: Listed) -> bool:
        return self.sizes.get(each.path) == each.bytes and self.known.get(each.path) == each.sha256


def check_place(place: str) -> None:
    """See that an export can be written to a URL, as far as the URL tells.

    Raises:
        UsageError: nothing can be written there, or it holds a secret. OutOfReach: a kind that is not supported.
    """
    address = parse_address(place)
    if address.kind in CANT_BE_WRITTEN:
        raise UsageError(
            f"An export can't be written to {printable(str(address))}.",
            hint="Name a folder, or a URL of s3://, gs://, sftp://, smb:// or storage://ID/…",
            code="output-not-supported",
        )


class Delivery:
    """One export's place at a storage. A context manager that holds the connection.

    Args:
        plan: whose `place` is a URL.
        state: where it is remembered what was put there.
        problems: takes what is to be said.
    """

    def __init__(self, plan: ExportPlan, state: State, progress: Progress, problems: Problems, *, workers: int) -> None:
        self.name = str(parse_address(plan.place))
        self._plan = plan
        self._mine = marker_of(plan)
        self._state = state
        self._progress = progress
        self._problems = problems
        self._workers = max(1, min(workers, MOST_THREADS))
        self._opened: Store | None = None

    @property
    def store(self) -> Store:
        """The place, opened when it is first needed."""
        if self._opened is None:
            self._opened = open_store(self.name)
        return self._opened

    def close(self) -> None:
        """Let go of the connection."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    # -- whose it is -----------------------------------------------------------------------------------------------

    def claim(self) -> None:
        """Make the place ours, or find that it is somebody else's.

        Raises:
            FindingError: it holds something else than this job's output. OutOfReach: it can't be opened or written.
        """
        if not self._is_empty_or_ours():
            self._keeps()
            return
        if not self.store.create(MARKER, _json(self._mine)) and not self._is_ours():
            raise self._not_ours()

    def look(self) -> None:
        """What `claim` would find, and whether the login may write; nothing stays there.

        Raises:
            FindingError, OutOfReach: as `claim`.
        """
        self._is_empty_or_ours()
        self.store.write(PROBE, b"")
        self.store.delete(PROBE)

    def _keeps(self) -> None:
        """Refuse to remove what an earlier export has finished there, without a word about it in the plan."""
        if self.store.exists(COMPLETE) and (manifest := self.store.read(MANIFEST)) is not None:
            folders = {each.path.partition("/")[0] for each in _files(manifest)} - {METADATA, ORIGINALS, EXTRA}
            if gone := removed_by(self._plan, sorted(folders)):
                raise removal_refused(self.name, gone)

    def _is_empty_or_ours(self) -> bool:
        """Whether it is empty, and not ours yet."""
        if self._is_ours():
            return False
        if next(iter(self.store.list()), None) is not None:
            raise self._not_ours()
        return True

    def _is_ours(self) -> bool:
        theirs = self._marker()
        return all(theirs.get(key) == value for key, value in self._mine.items())

    def _marker(self) -> dict[str, Any]:
        try:
            document = parse_json(self.store.read(MARKER) or b"")
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def _not_ours(self) -> FindingError:
        return FindingError(
            f"{printable(self.name)} is not empty, and what is in it is not this job's.",
            hint="Name an empty or new place with --output (or plan another output).",
            code="output-not-ours",
        )

    # -- sending ---------------------------------------------------------------------------------------------------

    def deliver(self, output: Output) -> None:
        """Put a complete output there, and see that it has arrived.

        Raises:
            FindingError: files there were changed since they were put there. OutOfReach: the place is away, or lost
                something.
        """
        self._progress.stage("looking at the output")
        manifest = (output.folder / MANIFEST).read_bytes()
        complete = (output.folder / COMPLETE).read_bytes()
        wanted = _files(manifest)
        delivered = Delivered(self._state, self.name)
        there = self._look(delivered)
        stale = sorted(set(there.known) & set(there.sizes) - {each.path for each in wanted})
        rest = [each for each in wanted if not there.has(each)]
        if not rest and not stale and (there.complete, there.manifest) == (complete, manifest):
            self._say(0, 0, len(wanted))
            return
        if there.complete is not None:
            delivered.start(there.known)
        elif not delivered.belongs_to(self._marker().get("transfer")):
            delivered.start({})
        self.store.write(MARKER, _json(self._mine | {"transfer": delivered.transfer}))
        for name in (COMPLETE, MANIFEST):
            self.store.delete(name)
        self._progress.stage("sending", len(rest), what="files")
        try:
            self._all(rest, lambda each: self.store.write(each.path, output.folder / each.path), delivered.put)
            self._arrived(wanted, rest, stale)
            self._all(stale, self.store.delete, delivered.gone)
        finally:
            delivered.flush()
        for name, content in ((MANIFEST, manifest), (COMPLETE, complete)):
            self.store.write(name, content)
            if self.store.read(name) != content:
                raise self._lost(name)
        self._say(len(rest), sum(each.bytes for each in rest), len(wanted) - len(rest))

    def _look(self, delivered: Delivered) -> _There:
        there = _There({stored.name: stored.size for stored in self.store.list()})
        if COMPLETE in there.sizes and MANIFEST in there.sizes:
            complete, manifest = self.store.read(COMPLETE), self.store.read(MANIFEST)
            if manifest is not None and complete == f"{hashlib.sha256(manifest).hexdigest()}\n".encode():
                there.complete, there.manifest = complete, manifest
                theirs = _files(manifest)
                there.known = {each.path: each.sha256 for each in theirs}
                edited = [each.path for each in theirs if there.sizes.get(each.path, each.bytes) != each.bytes]
                if edited:
                    raise FindingError(
                        f"Files of the output were changed since it was complete: {printable(', '.join(edited[:3]))}",
                        hint="Move it away, or name another place with --output: edits are not written over.",
                        code="output-edited",
                    )
                return there
        if delivered.belongs_to(self._marker().get("transfer")):
            there.known = delivered.known()
        return there

    def _all[T](self, each_of: Iterable[T], do: Callable[[T], None], note: Callable[[T], None]) -> None:
        """Do something with each, several at a time, and note what is done; what is under way ends before an error."""
        under_way: dict[Future[None], T] = {}

        def take(done: Iterable[Future[None]]) -> None:
            for future in done:
                each = under_way.pop(future)
                future.result()
                note(each)
                self._progress.created(1)
                if isinstance(each, Listed):
                    self._progress.moved(each.bytes)
            self._progress.tick()

        with ThreadPoolExecutor(self._workers) as pool:
            try:
                for each in each_of:
                    if len(under_way) >= 2 * self._workers:
                        take(wait(under_way, return_when=FIRST_COMPLETED).done)
                    under_way[pool.submit(do, each)] = each
                while under_way:
                    take(wait(under_way, return_when=FIRST_COMPLETED).done)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                for future, each in under_way.items():
                    if not future.cancelled() and future.exception() is None:
                        note(each)
                raise

    def _arrived(self, wanted: list[Listed], sent: list[Listed], stale: list[str]) -> None:
        """Every file has its size there; some of those just sent are read back."""
        sizes = {stored.name: stored.size for stored in self.store.list()}
        wrong = [each.path for each in wanted if sizes.get(each.path) != each.bytes]
        if wrong:
            raise self._lost(", ".join(wrong[:3]))
        self._progress.stage("reading back")
        with ThreadPoolExecutor(self._workers) as pool:
            for each, content in pool.map(lambda each: (each, self.store.read(each.path)), _sample(sent)):
                if content is None or hashlib.sha256(content).hexdigest() != each.sha256:
                    raise self._lost(each.path)
        for name in sorted(set(sizes) - {each.path for each in wanted} - {*OURS, *stale, PROBE}):
            self._problems.add("unknown-file", name, severity="warning", fix="It is none of the export's.")

    def _lost(self, what: str) -> OutOfReach:
        return OutOfReach(
            f"{printable(self.name)} does not give back what was put there: {printable(what)}",
            hint="See whether somebody else writes there, then run it again: what is missing is sent.",
            code="output-not-kept",
        )

    def _say(self, files: int, size: int, already: int) -> None:
        told = f"{files:,} files ({human_bytes(size)}) put to {self.name}"
        self._problems.add("delivered", f"{told}, {already:,} were there already", severity="info")


def _files(manifest: bytes) -> list[Listed]:
    """What a manifest names; nothing if it is none."""
    try:
        return msgspec.json.decode(manifest, type=_Manifest).files
    except (msgspec.MsgspecError, UnicodeError):
        return []


def _sample(sent: list[Listed]) -> Iterator[Listed]:
    """Files evenly from all of them, as many as are cheap to read."""
    budget = READ_BACK_BYTES
    for each in sent[:: max(1, len(sent) // READ_BACK_FILES)]:
        if each.bytes <= budget:
            budget -= each.bytes
            yield each


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
