"""Files that lie where only the cluster sees them: their names are brought here once, and planned with as if walked.

A probe lists the folders; the listing fills the inventory, so that layout, specifications, counts and every finding by
name and size come from the same code as for files here. A few small files (tables, sidecars for their fields) are
brought too, into a folder of the job's home that mirrors the cluster's paths. What needs the content of every file is
left to the dry run, which runs there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import (
    EXIT_ENVIRONMENT,
    EXIT_FINDINGS,
    EXIT_INTERRUPTED,
    FindingError,
    Interrupted,
    OutOfReach,
    SkillsError,
    printable,
)
from synapse_skills.planning.answers import shown
from synapse_skills.planning.counted import UNFIT
from synapse_skills.planning.home import Home
from synapse_skills.planning.interview import BadAnswer, Decision, Settled
from synapse_skills.planning.looking import Look, Seen
from synapse_skills.report import UploadReport, write_bytes, write_json
from synapse_skills.sources.source import BROUGHT
from synapse_skills.texts import parse_json

if TYPE_CHECKING:
    from synapse_skills.planning.facts import Facts
    from synapse_skills.sources import File, Inventory, Source, Walk
    from synapse_skills.units import Described, Survey, Unit

KEY = "on_agent"
MIRROR = "on_agent.mirror"
DRY_RUN_SECONDS = 4 * 3_600.0
_LISTED = "brought"
_UNFIT = "unfit.json"
_YES, _NO = {"true", "yes", "1", "on"}, {"false", "no", "0", "off"}


# ---- the row


def is_on(answers: Mapping[str, Any]) -> bool:
    """Whether somebody has said that the files are the cluster's."""
    return str(answers.get(KEY, "")).strip().lower() in _YES


def _parse(answer: Any, facts: Facts, settled: Settled) -> bool:
    word = str(answer).strip().lower()
    if word not in _YES | _NO:
        raise BadAnswer(f"{shown(answer)} is neither true nor false.")
    if word in _YES and facts.home is not None:
        # No decision of anybody's, so no row: where the sources' functions find what was brought.
        settled[MIRROR] = mirror_in(facts.home)
    return word in _YES


ON_AGENT = Decision(
    KEY,
    "Cluster",
    "`true` if the sources are folders that only the cluster sees: it lists them, and the dry run runs there.",
    lambda facts, settled: None,
    _parse,
)


def mirror_in(home: Home) -> str:
    """The folder of a job's home that mirrors the cluster's paths."""
    return str(Path(os.path.realpath(home.folder)) / BROUGHT)


def mirror_of(settled: Mapping[str, Any], path: str) -> str | None:
    """Where copies of a cluster folder's small files lie; None if the sources are here."""
    base = settled.get(MIRROR)
    return f"{base}{path}" if base is not None else None


def is_there(sources: Sequence[Source]) -> bool:
    """Whether these sources are the cluster's."""
    return any(source.mirror is not None for source in sources)


def source_path(text: str) -> str:
    """A source as somebody names it on the cluster.

    Raises:
        BadAnswer: no absolute path.
    """
    from synapse_skills.cluster.probe import absolute

    try:
        return absolute(text)
    except OutOfReach as error:
        raise BadAnswer(f"{error} {error.hint}") from None


# ---- the files


def look_there(
    inventory: Inventory, sources: tuple[Source, ...], how: Look, progress: Callable[[int], None]
) -> tuple[Walk, Seen]:
    """The files as the cluster has listed them; asked once, and again only where somebody says so (`how`: fresh).

    Raises:
        SkillsError: the cluster can't be asked, or says no.
    """
    from synapse_skills.cluster import list_on_agent
    from synapse_skills.metadata import STANDARD_NAMES
    from synapse_skills.sources import Walk

    last = inventory.last_walk(sources) if how != "fresh" else None
    for source in sources:
        # Gone if somebody has tidied up: then what was brought is asked for again, one by one.
        source.root().mkdir(mode=0o700, parents=True, exist_ok=True)
    if last is not None:
        return last, "now"
    tables = [f"{source.path.rstrip('/')}/{name}" for source in sources for name in STANDARD_NAMES]
    (inventory.path.parent / _UNFIT).unlink(missing_ok=True)
    listing, files = list_on_agent([(source.path, source.recursive) for source in sources], tables, say=say)
    _refuse_twice(sources, listing.roots)
    for source in sources:
        shutil.rmtree(source.root(), ignore_errors=True)
        source.root().mkdir(mode=0o700, parents=True, exist_ok=True)
    walk = Walk(listing.files, listing.bytes, listing.folders)
    for problem in listing.problems:
        walk.problems.merge(problem)
    refused = set()
    for path, one in zip(tables, files, strict=True):
        if one.error is None:
            _keep(_base(sources), path, one)
        elif one.error.code not in ("no-file", "markers-too-long"):
            refused.add(path)
            walk.problems.add(one.error.code, str(one.error), severity="warning", fix=one.error.hint)
    inventory.fill(sources, listing.rows(), walk)
    # Names in capitals, and what found no room beside the listing: a job of their own.
    bring_paths(_base(sources), [path for path in _tables_among(inventory, sources) if path not in refused])
    inventory.keep_state(_LISTED, json.dumps({"at": listing.at, "roots": listing.roots}))
    progress(walk.files)
    return walk, "now"


def _tables_among(inventory: Inventory, sources: Sequence[Source]) -> list[str]:
    """Paths of the files right in the sources that are called like a table of metadata."""
    from synapse_skills.metadata import STANDARD_NAMES

    marks = ",".join("?" * len(STANDARD_NAMES))
    query = f"SELECT source, path FROM file WHERE lower(path) IN ({marks}) ORDER BY source, path"  # noqa: S608
    return [f"{sources[source].path.rstrip('/')}/{path}" for source, path in inventory.rows(query, STANDARD_NAMES)]


def _refuse_twice(sources: Sequence[Source], roots: Sequence[str]) -> None:
    for one, root in zip(sources, roots, strict=True):
        for other, above in zip(sources, roots, strict=True):
            if one is not other and Path(root).is_relative_to(above):
                raise FindingError(
                    f"On the cluster {printable(one.path)} leads into {printable(other.path)}: its files would count "
                    "twice.",
                    hint="Name each folder once.",
                    code="source-twice",
                )


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def understood(facts: Facts) -> dict[str, Any] | None:
    """Of when the listing is, and what it can't tell; None for files that are here."""
    if facts.walked is None or not is_on(facts.answers):
        return None
    text = facts.inventory().state(_LISTED)
    if not text:
        return None
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(json.loads(text)["at"]))
    return {
        "key": KEY + ".listing",
        "value": at,
        "because": f"{facts.walked.files:,} files as the cluster saw them then; --rescan asks it again. Only the "
        "cluster can open the files: whether each is what it seems (content guard, DICOM, sidecars, conversions) is "
        "found by the dry run, which runs there",
    }


def tell_rescan(problems: list[dict[str, Any]]) -> None:
    """Other counts on the cluster than in the listing: the files have changed since."""
    for problem in problems:
        if problem["code"] == "differs-from-plan":
            problem["fix"] = (
                "The files on the cluster, or the script, have changed since they were listed: plan again with "
                "--rescan, which lists them anew (--set expected=dry-run accepts what an edited script counts)."
            )


# ---- small files


def bring(sources: Sequence[Source], files: Iterable[File]) -> None:
    """Bring the contents of a few files of the listing, those that are not here yet, with one job."""
    if not is_there(sources):
        return
    bring_paths(_base(sources), [f"{sources[file.source].path.rstrip('/')}/{file.path}" for file in files])


def bring_table(word: str, sources: Sequence[Source]) -> None:
    """Bring a table that somebody has named, unless it is here; that it is not there either is told by who reads it."""
    if not is_there(sources) or "://" in word or Path(word).expanduser().is_file():
        return
    paths = [word] if word.startswith("/") else [f"{source.path.rstrip('/')}/{word}" for source in sources]
    bring_paths(_base(sources), paths)


def bring_paths(base: Path, paths: Sequence[str]) -> None:
    """Copy files of the cluster below `base`.

    Raises:
        SkillsError: the cluster can't be asked, or a file is too large to be brought.
    """
    from synapse_skills.cluster import files_on_agent

    wanted = [path for path in dict.fromkeys(paths) if not _copy_of(base, path).exists()]
    if not wanted:
        return
    for path, one in zip(wanted, files_on_agent(wanted, say=say), strict=True):
        if one.error is None:
            _keep(base, path, one)
        elif one.error.code == "file-too-large":
            raise one.error


def in_mirror(word: str, sources: Sequence[Source]) -> Path | None:
    """The copy of a file of the cluster that is named by an absolute path; None if there is none."""
    if not is_there(sources):
        return None
    path = _copy_of(_base(sources), word)
    return path if path.is_file() else None


def true_path(path: Path, sources: Sequence[Source]) -> str:
    """How a file is called where it came from."""
    if is_there(sources) and path.is_relative_to(_base(sources)):
        return "/" + path.relative_to(_base(sources)).as_posix()
    return str(path)


def _base(sources: Sequence[Source]) -> Path:
    first = next(source for source in sources if source.mirror is not None)
    assert first.mirror is not None
    return Path(first.mirror.removesuffix(first.path))


def _copy_of(base: Path, path: str) -> Path:
    from synapse_skills.cluster.probe import absolute

    return Path(f"{base}{absolute(path)}")


def _keep(base: Path, path: str, one: Any) -> None:
    from synapse_skills.cluster.probe import content

    copy = _copy_of(base, path)
    try:
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(copy, content(one))
    except OSError as error:
        raise OutOfReach(
            f"What was brought from the cluster can't be kept in {printable(str(base))}: {error.strerror or error}.",
            hint="Check its permissions and the free space on the disk.",
            code="no-home",
        ) from None


# ---- what a dry run there has found


def units_of(facts: Facts, survey: Survey, described: Described | None) -> Iterator[Unit]:
    """The data units of a survey, with what the last dry run on the cluster has found in those that are unchanged."""
    rows = _unfit(facts.home) if facts.home is not None and is_there(survey.sources) else {}
    if not rows:
        yield from survey.units()
        return
    from synapse_skills.job.upload.checking import files_print
    from synapse_skills.units import FIXES, Finding

    for unit in survey.units():
        codes, why, files = rows.get(unit.key, ((), "", ""))
        if codes and files == files_print(unit):
            # What is found here too is told here; metadata is judged here wherever all of it is known here.
            known = {*unit.codes, *([UNFIT] if described is not None else [])}
            unit.findings += [Finding(code, unit.key, why) for code in codes if code in FIXES and code not in known]
        yield unit


def unfit_count(home: Home) -> int:
    """How many data units are known not to be fit."""
    return len(_unfit(home))


def _unfit(home: Home) -> dict[str, tuple[list[str], str, str]]:
    try:
        rows = parse_json((home.folder / _UNFIT).read_bytes())
        return {key: (list(codes), str(why), str(files)) for key, codes, why, files in rows}
    except (OSError, ValueError, TypeError):
        return {}  # none, or damaged: the next dry run finds it again


def _remember_unfit(home: Home, rows: Sequence[Sequence[Any]]) -> None:
    """Add to what is known: data units that stay at home by now were not looked at again."""
    known = _unfit(home) | {row[0]: (row[1], row[2], row[3]) for row in rows}
    write_json(home.folder / _UNFIT, [[key, *row] for key, row in sorted(known.items())])


# ---- the dry run


def dry_run_there(home: Home) -> tuple[UploadReport | None, SkillsError | None, list[dict[str, Any]]]:
    """The dry run on the cluster, through the gate; its report is kept as the gate wants it.

    Returns:
        The report, or why there is none, and what the gate has warned of.
    """
    from synapse_skills.cluster import JobHome, RayJobs, bring_home, gate, submit_job, wait
    from synapse_skills.cluster.probe import need_ray
    from synapse_skills.job.markers import read_markers

    try:
        need_ray()
    except OutOfReach as error:
        return None, error, []
    job = JobHome(home.folder)
    found = gate(job, approve=None, dry_run=True)
    told = [
        {"code": each.code, "severity": "warning", "count": 1, "examples": [each.message], "fix": each.fix}
        for each in found.warnings
    ]
    if not found.open:
        first, *rest = found.refusals
        also = "".join(f" Also {each.code}: {each.message}" for each in rest)
        refused = SkillsError(first.message + also, hint=first.fix, code=first.code)
        refused.exit_code = found.exit_code
        return None, refused, told
    try:
        submission = submit_job(job, mode="dry-run", plan=found.plan, content=found.content)
        job_id = str(submission.job_id)
        say(f"the dry run is on the cluster as {printable(job_id)}: it opens the files and sends nothing")
        try:
            ended = wait(RayJobs(submission.dashboard), job_id, timeout=DRY_RUN_SECONDS)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Interrupted; the dry run {job_id} goes on.",
                hint=f"Stop it with job_status {job_id} --stop; planning again begins another.",
            ) from None
    except SkillsError as error:
        if error.exit_code == EXIT_INTERRUPTED:
            raise
        return None, error, told
    bring_home(job, submission, ended)
    report = ended.report if isinstance(ended.report, UploadReport) else None
    if report is not None and report.quarantined:
        log = RayJobs(submission.dashboard).logs(job_id)
        _remember_unfit(home, [row for part in read_markers(log).get("unfit", []) for row in part["units"]])
    if report is None:
        why = " ".join(filter(None, (ended.info.message, ended.note, *ended.log_tail[-3:])))
        failed = SkillsError(
            f"The dry run {job_id} on the cluster gave no report: {printable(why)[-600:]}",
            hint=ended.next_step(),
            code="no-report",
        )
        failed.exit_code = EXIT_ENVIRONMENT
        return None, failed, told
    if report.exit_code not in (0, EXIT_FINDINGS, EXIT_ENVIRONMENT):
        report.exit_code = EXIT_FINDINGS
    return report, None, told
