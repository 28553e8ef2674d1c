"""What a user brings along as a file: the upload parameters and the batch pattern of the older workflow.

Each parameter becomes the answer that says the same, or is refused with why: none is silently without effect. The
answers are recorded as ordinary keys, so the next round needs no file.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import SkillsError, UsageError, printable
from synapse_skills.planning.answers import read_object, shown
from synapse_skills.planning.home import Home, source_paths
from synapse_skills.planning.metadata_evidence import found_tables, resolve_table
from synapse_skills.report import write_json
from synapse_skills.texts import parse_json

if TYPE_CHECKING:
    from synapse_skills.sources import Source

Answers = dict[str, Any]
OTHERS = "specs.others"
_MEMORY = ".given.json"
_ASSET = ("path", "is_recursive")


class Given:
    """The answers that files of parameters hold.

    Attributes:
        answers: key to answer.
        notes: what a parameter came to where that is not plain, as rows of `understood`.
    """

    def __init__(self, params: Path | None, pattern: Path | None) -> None:
        self.answers: Answers = {}
        self.notes: list[dict[str, Any]] = []
        if pattern is not None:
            self.answers |= _pattern(pattern)
        if params is not None:
            # The parameters name the target, the pattern the layout; both may name the folder: then the pattern's
            # `root` is the one that its rules are written for.
            self.answers = _params(params, self.notes) | self.answers

    def changed(self, home: Home | None) -> Answers:
        """The answers that differ from what the files said last time: somebody has edited the file since."""
        before = _remembered(home)
        return {key: value for key, value in self.answers.items() if key in before and before[key] != value}

    def remember(self, home: Home) -> None:
        """Keep what the files said, to notice when they say something else."""
        if self.answers and _remembered(home) != self.answers:
            write_json(home.folder / _MEMORY, {**_remembered(home), **self.answers})


def _remembered(home: Home | None) -> Answers:
    if home is None:
        return {}
    try:
        kept = parse_json((home.folder / _MEMORY).read_bytes())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def without_spare_sources(answers: Mapping[str, Any], said_now: frozenset[str]) -> Answers:
    """Drop what an earlier batch said about its third source where this one has two, unless it was said just now."""
    sources = answers.get("sources")
    count = len(sources) if isinstance(sources, list) else 1 if isinstance(sources, str) else None

    def is_spare(key: str) -> bool:
        parts = key.split(".")
        numbered = len(parts) == 3 and parts[0] == "sources" and parts[1].isdigit()
        return numbered and count is not None and int(parts[1]) > count and key not in said_now

    return {key: value for key, value in answers.items() if not is_spare(key)}


def without_stale_table(
    answers: Mapping[str, Any], own: Mapping[str, Any], said_now: Mapping[str, Any]
) -> tuple[Answers, list[dict[str, Any]]]:
    """Another table than before takes back what was said about the columns of that one, and says so.

    Args:
        answers: all answers.
        own: those of earlier rounds.
        said_now: those of this round.

    Returns:
        The answers that hold, and what was taken back, as rows of `understood`.
    """
    now = said_now.get("metadata.table")
    gone = sorted(key for key in answers if key.startswith(_OF_TABLE) and key not in said_now)
    if now is None or not gone:
        return dict(answers), []
    before, after = _table_before(answers, own), _place_of(now, answers)
    if before == after:
        return dict(answers), []
    told = f"they were said about {printable(before)}" if before else "they were said before there was a table"
    because = f"{told}, and now the table is {printable(after)}: what still matters is asked again"
    note = {"key": "metadata.table.before", "value": gone, "because": because}
    return {key: value for key, value in answers.items() if key not in gone}, [note]


_OF_TABLE = ("metadata.sheet", "metadata.key", "metadata.rows", "metadata.field.")


def _table_before(answers: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """The table of the last round: the one that was named, or the only one that lies in the source."""
    if own.get("metadata.table") is not None:
        return _place_of(own["metadata.table"], answers)
    with suppress(SkillsError, OSError):
        found = found_tables(_sources(answers))
        return str(found[0]) if len(found) == 1 else ""
    return ""


def _place_of(word: Any, answers: Mapping[str, Any]) -> str:
    """Where a table is, however it is spelt; what is not to be found stays as it was typed."""
    text = str(word).strip()
    with suppress(SkillsError, OSError, ValueError):
        return str(resolve_table(text, _sources(answers))[0])
    return text


def _sources(answers: Mapping[str, Any]) -> list[Source]:
    from synapse_skills.sources import source_at

    if answers.get("on_agent"):
        return []  # they are not here, and a table in them is named as the cluster names it
    return [source_at(path) for path in source_paths(answers.get("sources"))]


def source_flags(paths: list[str], pairs: list[str], *, recursive: bool | None) -> Answers:
    """`PATH … --source SPEC=PATH … --no-recursive` as answers; a number goes with each source that names a spec.

    Raises:
        UsageError: a pair has no `=`, no spec or no path.
    """
    answers: Answers = {}
    named: list[str] = list(paths)
    for pair in pairs:
        spec, equals, path = pair.partition("=")
        if not equals or not spec.strip() or not path.strip():
            raise UsageError(
                f"--source wants SPEC=PATH, not {printable(pair)!r}.",
                hint="For example: --source image_1=/data/images --source label_1=/data/labels",
            )
        named.append(path.strip())
        answers[f"sources.{len(named)}.spec"] = spec.strip()
    if named:
        answers["sources"] = named[0] if len(named) == 1 else named
    if recursive is not None:
        answers["sources.recursive"] = recursive
    return answers


# ---- --params


def _params(path: Path, notes: list[dict[str, Any]]) -> Answers:
    """Read upload parameters.

    Raises:
        UsageError: the file can't be read, a key is unknown, or a parameter can't mean what it says here.
    """
    given = read_object(path, "--params", '{"path": "/data/scans", "data_collection": 42}')
    _known(given, (*_PLAIN, *_OTHERS), f"{printable(path.name)}")
    answers: Answers = {}
    refused: list[str] = []
    for name, value in given.items():
        if value is None:
            continue
        if name in _PLAIN:
            answers[_PLAIN[name]] = value
        else:
            refused += _OTHERS[name](value, answers, notes, given)
    if refused:
        raise UsageError(
            f"{printable(str(path))}: {'; '.join(refused)}.",
            hint="Take it out of the file, or mend it; all other parameters are understood.",
            code="parameter-refused",
        )
    return answers


def _single(value: Any, answers: Answers, notes: list[dict[str, Any]], given: Mapping[str, Any]) -> list[str]:
    """`use_single_path`: which of `path` and `assets` counts."""
    if not isinstance(value, bool):
        return [f"use_single_path is {shown(value)}, neither true nor false"]
    unused = "assets" if value else "path"
    if given.get(unused) is not None:
        because = f"use_single_path is {str(value).lower()}, so `{unused}` has no effect"
        notes.append({"key": f"params.{unused}", "value": given[unused], "because": because})
    return []


def _path(value: Any, answers: Answers, notes: list[dict[str, Any]], given: Mapping[str, Any]) -> list[str]:
    if _is_multi(given):
        return []
    if given.get("use_single_path") is None and given.get("assets") is not None:
        return ["there are both path and assets: say which counts with use_single_path"]
    answers["sources"] = value
    return []


def _recursive(value: Any, answers: Answers, notes: list[dict[str, Any]], given: Mapping[str, Any]) -> list[str]:
    answers["sources.recursive"] = value
    return []


def _assets(value: Any, answers: Answers, notes: list[dict[str, Any]], given: Mapping[str, Any]) -> list[str]:
    """One source for each spec; one folder for all of them is a single path."""
    if not _is_multi(given):
        return []
    if not isinstance(value, dict) or not value:
        return ["assets is no object of {spec: {path, is_recursive}}"]
    refused: list[str] = []
    for spec, asset in value.items():
        if not isinstance(asset, dict) or not isinstance(asset.get("path"), str) or not asset["path"].strip():
            refused.append(f'assets.{printable(spec)} needs a path, such as {{"path": "/data/images"}}')
            continue
        _known(asset, _ASSET, f"assets.{printable(spec)}")
    if refused:
        return refused
    places = {(asset["path"], asset.get("is_recursive", True)) for asset in value.values()}
    if len(places) == 1:
        path, recursive = places.pop()
        answers["sources"], answers["sources.recursive"] = path, recursive
        if len(value) > 1:
            because = "all specs have the same folder, so it is one source and each file's name tells its spec"
            notes.append({"key": "params.assets", "value": path, "because": because})
            return []
    else:
        answers["sources"] = [asset["path"] for asset in value.values()]
    for number, (spec, asset) in enumerate(value.items(), 1):
        answers[f"sources.{number}.spec"] = spec
        if asset.get("is_recursive") is not None:
            answers[f"sources.{number}.recursive"] = asset["is_recursive"]
    return []


def _asynchronous(value: Any, answers: Answers, notes: list[dict[str, Any]], given: Mapping[str, Any]) -> list[str]:
    """true is how every upload works; false is one transfer at a time."""
    if not isinstance(value, bool):
        return [f"use_async_upload is {shown(value)}, neither true nor false"]
    if not value:
        answers["limits.workers"] = 1
    because = "many transfers at a time, as always" if value else "one transfer at a time: limits.workers is 1"
    notes.append({"key": "params.use_async_upload", "value": value, "because": because})
    return []


def _extra(value: Any, answers: Answers, notes: list[dict[str, Any]], given: Mapping[str, Any]) -> list[str]:
    if value in ({}, []):
        return []
    return ["extra_params are for the action of an upload plugin, and none runs here; what they ask for has no effect"]


def _is_multi(given: Mapping[str, Any]) -> bool:
    single = given.get("use_single_path")
    return single is False or (single is None and given.get("path") is None and given.get("assets") is not None)


_PLAIN = {
    "name": "name",
    "storage": "storage",
    "data_collection": "data_collection",
    "project": "project",
    "max_file_size_mb": "limits.max_file_size_mb",
    "creating_data_unit_batch_size": "limits.batch_size",
    "excel_metadata_path": "metadata.table",
}
_Reader = Callable[[Any, Answers, list[dict[str, Any]], Mapping[str, Any]], list[str]]
_OTHERS: dict[str, _Reader] = {
    "use_single_path": _single,
    "path": _path,
    "is_recursive": _recursive,
    "assets": _assets,
    "use_async_upload": _asynchronous,
    "extra_params": _extra,
}


PARAMETERS = {
    **{name: f"`{key}`" for name, key in _PLAIN.items()},
    "use_single_path": "true: `path` counts; false: `assets` does",
    "path": "`sources`",
    "is_recursive": "`sources.recursive`",
    "assets": "one of `sources` each, with `sources.N.spec` and `sources.N.recursive`; the same folder for all is one",
    "use_async_upload": "true: as always; false: `limits.workers=1`",
    "extra_params": "refused unless empty: they are for an upload plugin, and none runs here",
}
"""What each parameter comes to, for the reference."""
if set(PARAMETERS) != {*_PLAIN, *_OTHERS}:
    raise TypeError("every parameter needs its line in the reference")


def _known(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise UsageError(
                f"{where} has an unknown key {printable(key)!r}.", hint=f"Did you mean {near[0]}?", code="unknown-key"
            )


# ---- --pattern


def _pattern(path: Path) -> Answers:
    """Read a batch pattern: its rules say which files count, and nothing else does.

    Raises:
        UsageError, FindingError: it can't be read, or a rule, regex or template can't be one.
    """
    from synapse_skills.units import read_pattern_file

    found = read_pattern_file(path)
    answers: Answers = {f"specs.{spec}.pattern": pattern for spec, pattern in found.patterns.items()}
    answers |= {"grouping.by": "pattern", "grouping.regex": found.grouping.regex, OTHERS: "nothing"}
    answers["grouping.template"] = found.grouping.template
    if found.root:
        answers["sources"] = found.root
    return answers
