"""Where an export goes: a folder, a URL, or a path in a storage of the backend; and whether there is room for it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from synapse_skills.errors import SkillsError, printable
from synapse_skills.job.export.delivery import check_place
from synapse_skills.job.export.output import MARKER, finished_formats
from synapse_skills.planning.answers import one_of, shown, text, text_list, whole
from synapse_skills.planning.document import shown_path
from synapse_skills.planning.export_facts import ExportFacts
from synapse_skills.planning.export_filters import RECORDS, sample_of
from synapse_skills.planning.export_shape import NONE
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Inferred, Option, Refuse, Settled, Stopped
from synapse_skills.sources.address import STORAGE as STORAGE_KIND
from synapse_skills.sources.address import Address, is_url, parse_address
from synapse_skills.texts import human_bytes, parse_json


def _nothing(facts: ExportFacts, settled: Settled) -> None:
    return None


# ---- where to


STORAGE = Decision(
    "storage",
    "Storage",
    "A storage of the backend, by its number: `output` is then a path in it.",
    _nothing,
    whole(1),
)


def _objection(folder: Path, facts: ExportFacts, settled: Settled) -> str:
    """Why nothing can be written to a folder."""
    assert facts.home is not None
    home = facts.home.folder
    if (
        folder == home
        or any(folder.is_relative_to(home / name) for name in ("job", "state"))
        or folder == folder.parent
    ):
        return f"{printable(str(folder))} is needed for something else"
    if folder.exists() and not folder.is_dir():
        return f"{printable(str(folder))} is not a folder"
    try:
        foreign = folder.is_dir() and any(folder.iterdir()) and not is_ours(folder, settled)
    except OSError as error:
        return f"{printable(str(folder))} can't be read: {error.strerror}"
    if foreign:
        return f"{printable(str(folder))} holds something else than this export"
    return ""


def is_ours(folder: Path, settled: Settled) -> bool:
    """Whether a folder holds an export of this job, finished or not: it says so itself."""
    try:
        theirs = parse_json((folder / MARKER).read_bytes())
    except (OSError, ValueError):
        return False
    mine = {key: settled.get(key) for key in ("name", "target", "project", "ground_truth_version")}
    return isinstance(theirs, dict) and {key: theirs.get(key) for key in mine} == mine


DEFAULT = "default"
_BESIDE_JOB = "In the job's folder"


def without_default(answers: dict[str, Any]) -> dict[str, Any]:
    """The answers, an output by default taken for what it is: no answer, which would go along to other jobs."""
    said = answers.get("output")
    words = (DEFAULT, _BESIDE_JOB.casefold())
    is_default = isinstance(said, str) and said.strip().casefold().removesuffix(" (recommended)") in words
    return {**answers, "output": None} if is_default else answers


def _decide_output(facts: ExportFacts, settled: Settled) -> Inferred | Ask | Refuse:
    assert facts.home is not None
    if "storage" in settled:
        return Inferred(f"exports/{settled['name']}", "a folder of the storage; --output names another one")
    folder = facts.home.folder / "output"
    if why := _objection(folder, facts, settled):
        return Refuse("output-not-ours", f"{why}.", "Name another folder with --output.")
    here = Path.cwd() / str(settled["name"])
    if "formats" not in settled and "formats" not in facts.answers and not here.exists():
        # Asked beside the formats, never alone: whoever has a folder in mind says so before the plan is made.
        options = (
            Option(_BESIDE_JOB, DEFAULT, shown_path(folder)),
            Option(here.name, here.name, "A new folder here; or name another one, or a URL"),
        )
        return Ask("Where shall the files go?", options)
    return Inferred(str(folder), "in the job's folder; --output names another one")


def _parse_output(answer: Any, facts: ExportFacts, settled: Settled) -> str:
    place: str = text(answer, facts, settled)
    if is_url(place):
        return _parse_url(place, settled)
    if "storage" in settled:
        return _url(f"{STORAGE_KIND}://{settled['storage']}/{place.strip('/')}").path or _bad_root()
    folder = Path(place).expanduser().absolute()
    if why := _objection(folder, facts, settled):
        raise BadAnswer(f"{why}: name an empty or new folder.")
    return str(folder)


OUTPUT = Decision(
    "output",
    "Output",
    "Where the export goes: a folder (`output` in the job's folder unless given), a URL (s3, gs, sftp, smb, "
    "storage://ID/path), or with `storage` a path in that.",
    _decide_output,
    _parse_output,
    needs=("name", "storage"),
)
ON_WORKER = Decision(
    "output_on_worker",
    "On a worker",
    "On the cluster an output on the worker's own disk: `refuse` (it goes with that machine), or `accept`.",
    _nothing,
    one_of("refuse", "accept"),
)


def _decide_replaces(facts: ExportFacts, settled: Settled) -> Inferred | Ask | None:
    gone = _would_go(settled)
    if not gone:
        return None
    return Ask(
        f"{printable(settled['output'])} holds a finished export as {', '.join(gone)}, which this one would remove. "
        "May it?",
        (
            Option("No, keep it", "keep", "Then name another folder with --output, or another job with --name"),
            Option("Yes, remove it", gone, "Only what this export writes is there afterwards"),
        ),
    )


def _would_go(settled: Settled) -> list[str]:
    """Formats of a finished export in the output that are not among those of this one."""
    if "storage" in settled or is_url(settled["output"]):
        return []
    return [name for name in finished_formats(Path(settled["output"])) if name not in settled["formats"]]


def _parse_replaces(answer: Any, facts: ExportFacts, settled: Settled) -> list[str]:
    words = text_list(answer, facts, settled)
    gone = _would_go(settled)
    if words == ["keep"] and gone:
        refusal = Refuse(
            "would-remove",
            f"The output holds a finished export as {', '.join(gone)}.",
            "Name another folder with --output, or another job with --name; and take this back: --set replaces=null.",
        )
        raise Stopped(refusal, "keep")
    if missing := [name for name in gone if name not in words]:
        raise BadAnswer(f"The output also holds a finished export as {', '.join(missing)}.")
    return sorted(words)


REPLACES = Decision(
    "replaces",
    "Replace",
    "Formats of a finished export in the output that this one may remove: a list.",
    _decide_replaces,
    _parse_replaces,
    needs=("formats", "output"),
)


def _parse_url(place: str, settled: Settled) -> str:
    address = _url(place)
    if "storage" in settled:
        raise BadAnswer(f"{shown(str(address))} is a URL, and there is a storage too: take one of them back with null.")
    return str(address)


def _url(place: str) -> Address:
    try:
        check_place(place)
        address = parse_address(place)
    except SkillsError as error:
        raise BadAnswer(f"{error} {error.hint}") from None
    if address.kind == STORAGE_KIND and not address.host.isdecimal():
        raise BadAnswer(f"{shown(str(address))} names no storage: they have numbers, such as storage://12/folder.")
    return address


def _bad_root() -> str:
    raise BadAnswer("An export takes a folder of its own in a storage: name one.")


def needed_bytes(facts: ExportFacts, settled: Settled) -> int:
    """About how much room the export takes: what is fetched, what each format writes of it, and the originals."""
    sample, count = sample_of(facts, settled), settled[RECORDS]
    files = (sample.file_bytes or 0.0) if settled["originals"] != NONE else 0.0
    return int(count * (sample.payload_bytes * (1 + len(settled["formats"])) + files))


def _decide_room(facts: ExportFacts, settled: Settled) -> Inferred | Refuse:
    needed = needed_bytes(facts, settled)
    # What goes to a storage is written here first, beside what the job remembers.
    assert facts.home is not None
    staged = "storage" in settled or is_url(settled["output"])
    place = facts.home.folder if staged else Path(settled["output"])
    while not place.exists():
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return Inferred(needed, f"about {human_bytes(needed)}; how much is free there is not known")
    if needed > free:
        return Refuse(
            "no-room",
            f"The export takes about {human_bytes(needed)}; {printable(str(place))} has {human_bytes(free)} free.",
            "Free some space, name another folder with --output, or leave the originals out.",
        )
    unknown = settled["originals"] != NONE and sample_of(facts, settled).file_bytes is None
    more = ", without the originals, whose sizes no record tells" if unknown else ""
    where = ", here, where it is made before it goes to its place" if staged else ""
    return Inferred(needed, f"about {human_bytes(needed)}{more}; {_rounded(free)} are free{where}")


def _rounded(count: int) -> str:
    """As exact as it stays the same from one round to the next."""
    return f"more than {2 ** (count.bit_length() - 1) / 2**30:,.0f} GB" if count >= 2**31 else "less than 2 GB"


def _counted(answer: Any, facts: ExportFacts, settled: Settled) -> int:
    raise BadAnswer("This is estimated, not said: take the answer back with null.")


ROOM = Decision(
    "expected.bytes",
    "Room",
    "About how many bytes the export takes: estimated, not said.",
    _decide_room,
    _counted,
    needs=("formats", RECORDS, "output", "originals"),
)
