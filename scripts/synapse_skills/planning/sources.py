"""The rows about where the files are: one folder or several, with or without what lies below, one spec each or all."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse_skills.errors import FindingError, SkillsError, UsageError, printable
from synapse_skills.plan import SpecPlan
from synapse_skills.planning.answers import shown
from synapse_skills.planning.evidence import takes
from synapse_skills.planning.facts import Facts
from synapse_skills.planning.interview import Ask, BadAnswer, Decision, Family, Inferred, Option, Settled
from synapse_skills.planning.on_agent import KEY, mirror_of, source_path

if TYPE_CHECKING:
    from synapse_skills.sources import Source

ANY = "any"
MAX_WAYS = 5_000
MEANT = {
    "image": ("image", "photo", "picture", "img", "사진", "이미지"),
    "video": ("video", "clip", "movie", "영상", "비디오", "동영상"),
    "label": ("label", "annotation", "라벨", "레이블"),
    "mask": ("mask", "마스크"),
}
"""Words that people have for what a specification holds."""
CORRECTED = (
    "source-missing",
    "source-not-a-folder",
    "source-undecodable",
    "source-not-supported",
    "source-outside",
    "no-storage",
)
"""What another answer mends; a login, a permission or a network has to be mended first."""
NOT_THERE = ("source-missing", "source-not-a-folder", "source-undecodable")
_YES = {"true", "yes", "y", "1", "on"}
_NO = {"false", "no", "n", "0", "off"}


def paths_of(settled: Settled) -> list[str]:
    """The sources as a list of absolute paths and URLs; `storage://ID/path` for one in a storage of the backend."""
    sources = settled["sources"]
    return [sources] if isinstance(sources, str) else list(sources)


def sources_of(settled: Settled) -> tuple[Source, ...]:
    """The sources as the plan and the job have them."""
    from synapse_skills.sources import source_at

    everywhere = settled.get("sources.recursive", True)
    found = []
    for number, path in enumerate(paths_of(settled), 1):
        spec = settled.get(f"sources.{number}.spec", ANY)
        recursive = bool(settled.get(f"sources.{number}.recursive", everywhere))
        mirror = mirror_of(settled, path)
        found.append(source_at(path, recursive=recursive, spec=None if spec == ANY else spec, mirror=mirror))
    return tuple(found)


# ---- sources


def _ask_sources(facts: Facts, settled: Settled) -> Ask:
    return Ask(
        "Which folder holds the files to upload? Give its path, or several paths; s3://, gs://, sftp://, smb:// and "
        "https:// URLs and storage://ID/folder will do as well."
    )


def _parse_sources(answer: Any, facts: Facts, settled: Settled) -> str | list[str]:
    parts = answer if isinstance(answer, list) else [answer]
    if not parts or not all(isinstance(part, str) and part.strip() for part in parts):
        raise BadAnswer(f"{shown(answer)} is not the path of a folder.")
    roots: list[str] = []
    for part in parts:
        if settled.get(KEY):
            roots.append(source_path(part))
            continue
        try:
            roots.append(_seen(part.strip()))
        except UsageError as error:
            # Not asked again with the answer repeated, and nothing of it is kept.
            raise FindingError(str(error), hint=error.hint, code=error.code) from None
        except SkillsError as error:
            if error.code not in CORRECTED:
                raise
            raise BadAnswer(f"{str(error).removesuffix('.')}. {error.hint}") from None
    for one in roots:
        if roots.count(one) > 1 or any(one != other and Path(one).is_relative_to(other) for other in roots):
            raise BadAnswer(
                f"{printable(one)} is named twice or lies inside another source: its files would count twice."
            )
    _check_home(facts, roots)
    try:
        found = facts.walk(_early(facts, roots, settled))
    except SkillsError as error:
        if error.code not in NOT_THERE or not settled.get(KEY):
            raise
        raise BadAnswer(f"{error}. {error.hint}") from None
    if not found.files:
        # Why there is nothing can matter more than that: every name undecodable, every folder closed.
        why = "; ".join(f"{each.code} {each.count}" for each in found.problems.as_list() if each.code != "empty-source")
        if not why and found.folders and any(not source.recursive for source in _early(facts, roots, settled)):
            why = f"all lies in {found.folders:,} folders below, and recursive is false"
        raise BadAnswer(f"{printable(', '.join(roots))} holds no file to upload{f' ({why})' if why else ''}.")
    return roots[0] if len(roots) == 1 else roots


def _seen(place: str) -> str:
    """A source as it is always written, after a look that it is there.

    Raises:
        OutOfReach: it is not, or can't be looked at. UsageError: `source-secret`: a URL with a password.
    """
    from synapse_skills.sources import reach, source_at

    with reach(source_at(place)) as way:
        return way.name


def _early(facts: Facts, roots: list[str], settled: Settled) -> tuple[Source, ...]:
    """The sources before their own rows are settled: an answer that can't be read counts as none, and is asked."""
    early: Settled = {**settled, "sources": roots}
    for key in ("sources.recursive", *(f"sources.{number}.recursive" for number in range(1, len(roots) + 1))):
        word = _yes_or_no(facts.answers.get(key))
        if word is not None:
            early[key] = word
    return sources_of(early)


def _check_home(facts: Facts, roots: list[str]) -> None:
    if facts.home is None:
        return
    home = Path(os.path.realpath(facts.home.folder))
    for root in roots:
        if home.is_relative_to(root):
            raise FindingError(
                f"The job's own folder {printable(str(home))} would lie inside the source.",
                hint="Run it from another folder, or name a folder elsewhere with --out.",
                code="home-in-source",
            )


SOURCES = Decision(
    "sources", "Folder", "The folder, or a list of the folders, with the files to upload.", _ask_sources, _parse_sources
)


# ---- recursion


def _yes_or_no(answer: Any) -> bool | None:
    word = str(answer).strip().lower()
    return True if word in _YES else False if word in _NO else None


def _parse_recursive(answer: Any, facts: Facts, settled: Settled) -> bool:
    word = _yes_or_no(answer)
    if word is None:
        raise BadAnswer(f"{shown(answer)} is neither true nor false.")
    return word


RECURSIVE = Decision(
    "sources.recursive",
    "Subfolders",
    "Whether what lies in folders below the sources counts; true unless said otherwise.",
    lambda facts, settled: None,
    _parse_recursive,
    needs=("sources",),
)


def _expand_recursive(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    for number, path in enumerate(paths_of(settled), 1):
        yield Decision(
            f"sources.{number}.recursive",
            "Subfolders",
            f"Whether what lies in folders below {printable(path)} counts.",
            lambda facts, settled: None,
            _parse_recursive,
        )


EACH_RECURSIVE = Family(
    "sources.*.recursive",
    "Subfolders",
    "The same for one source, counted from 1 in the order in which they are named.",
    _expand_recursive,
    needs=("sources", "sources.recursive"),
)


# ---- one spec for each source


def _expand_spec(facts: Facts, settled: Settled, answers: Mapping[str, Any]) -> Iterator[Decision]:
    for number, path in enumerate(paths_of(settled), 1):
        yield Decision(
            f"sources.{number}.spec",
            "Source",
            f"The spec that all files of {printable(path)} fill, or `any`.",
            lambda facts, settled, number=number: _decide_spec(facts, settled, number),  # type: ignore[misc]
            lambda answer, facts, settled, number=number: _parse_spec(answer, facts, settled, number),  # type: ignore[misc]
        )


def _specs(facts: Facts, settled: Settled) -> tuple[SpecPlan, ...]:
    return facts.collection(settled["data_collection"]).specs


def _decide_spec(facts: Facts, settled: Settled, number: int) -> Inferred | Ask | None:
    """Several sources may hold one spec each: then that is proposed, and asked where names and endings can't tell."""
    paths, specs = paths_of(settled), _specs(facts, settled)
    if len(paths) == 1:
        return None
    found = facts.extensions_by_source(sources_of(settled))
    said = {
        each: settled[f"sources.{each}.spec"] for each in range(1, len(paths) + 1) if f"sources.{each}.spec" in settled
    }
    if ANY in said.values():
        return None  # told to look at the files instead: so for all that was not said
    ways = _ways(found, specs, said)
    names = sorted({way[number - 1] for way in ways}, key=[spec.name for spec in specs].index)
    if not names:
        return None
    path = paths[number - 1]
    kinds = found[number - 1]
    holds = ", ".join(f"{count:,} {each or 'without extension'}" for each, count in sorted(kinds.items())[:4])
    if len(names) == 1:
        return Inferred(names[0], f"{printable(path)} holds {holds}, which fits {names[0]} alone; `any` if it does not")
    called = [name for name in names if _alike(Path(path).name, name)]
    if len(called) == 1:
        return Inferred(called[0], f"{printable(path)} is called like {called[0]} and holds {holds}; `any` if not")
    options = [Option(name, name, f"All {holds} of it are {name}") for name in names[:3]]
    options.append(Option("Several specs", ANY, "Each file's extension or name tells its spec"))
    return Ask(f"{printable(path)} holds {holds}. Which spec do its files fill?", tuple(options))


def _ways(found: list[dict[str, int]], specs: tuple[SpecPlan, ...], said: Mapping[int, str]) -> list[tuple[str, ...]]:
    """Every way to give each source a spec of its own that takes all that it holds, required specs all among them."""
    if len(found) > len(specs) or len(specs) > 8:
        return []
    taken = {extension for spec in specs for extension in takes(spec)}
    kinds = [{_known(each, taken) for each in held} & taken for held in found]
    needed = {spec.name for spec in specs if spec.is_required}
    ways: list[tuple[str, ...]] = []
    for way in permutations(specs, len(found)):
        if len(ways) > MAX_WAYS:
            return []
        fits = all(held and held <= set(takes(spec)) for spec, held in zip(way, kinds, strict=True))
        agrees = all(way[number - 1].name == name for number, name in said.items())
        if fits and agrees and needed <= {spec.name for spec in way}:
            ways.append(tuple(spec.name for spec in way))
    return ways


def _known(suffix: str, taken: set[str]) -> str:
    """`.gz` stands for `.nii.gz` where that is what is taken: names were counted by their last suffix."""
    return next((each for each in taken if each.count(".") > 1 and each.endswith(suffix) and suffix), suffix)


def _alike(folder: str, spec: str) -> bool:
    word = spec.rstrip("0123456789").rstrip("_- ").casefold()
    return len(word) > 1 and word in folder.casefold()


def _is_meant(word: str, spec: SpecPlan) -> bool:
    """Whether a word of the user's own, `photos` or `라벨`, is one for the kind of files that a spec holds."""
    plain, kind = word.casefold(), spec.name.casefold().rstrip("0123456789_- ")
    said = {meant for meant, words in MEANT.items() if any(each in plain for each in words)}
    return kind in said or (kind not in MEANT and spec.file_type in said)


def _takes(spec: SpecPlan, held: Mapping[str, int]) -> bool:
    taken = set(takes(spec))
    return any(_known(each, taken) in taken for each in held)


def _parse_spec(answer: Any, facts: Facts, settled: Settled, number: int) -> str:
    specs = _specs(facts, settled)
    word = str(answer).strip()
    for name in (*(spec.name for spec in specs), ANY):
        if word.casefold() == name.casefold():
            return name
    near = difflib.get_close_matches(word, [spec.name for spec in specs], n=1)
    held = facts.extensions_by_source(sources_of(settled))[number - 1]
    collection = settled["data_collection"]
    path = printable(paths_of(settled)[number - 1])
    # What the word means first, then what takes the files, then the collection's order.
    order = sorted(specs, key=lambda spec: (spec.name not in near, not _is_meant(word, spec), not _takes(spec, held)))
    names = [spec.name for spec in order]
    is_clear = bool(near) or _is_meant(word, order[0])
    raise BadAnswer(
        f"{shown(answer)} is no spec of data collection {collection}"
        + (f": did you mean {names[0]}?" if is_clear else "."),
        Ask(
            f"Which spec do the files of {path} fill?",
            (
                *(Option(name, name, f"All files of it are {name}") for name in names[:3]),
                Option("Several specs", ANY, "Each file's extension or name tells its spec"),
            ),
        ),
    )


EACH_SPEC = Family(
    "sources.*.spec",
    "Source",
    "The one spec that all files of a source fill (multi-path), counted from 1; `any` lets each file tell.",
    _expand_spec,
    needs=("sources", "sources.*.recursive", "data_collection"),
)
