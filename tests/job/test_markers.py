"""Documents through a log: whatever colours, wraps or doubles its lines, they come back whole or as missing."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich._emoji_codes import EMOJI
from rich.console import Console

from synapse_skills.errors import FindingError
from synapse_skills.job.markers import (
    MarkersIncomplete,
    ProgressSaid,
    marker_lines,
    progress_line,
    read_markers,
    read_progress,
    without_markers,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=30,
)
DOCUMENTS = st.dictionaries(st.text(max_size=8), JSON, max_size=6)
KINDS = st.sampled_from(["report", "probe", "listing"])
# Anything another program may print, also what looks a little like ours.
NOISE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\x1b"), max_size=90) | st.sampled_from(
    [
        "synapse-skills:",
        "synapse-skills:report:",
        "s",
        "2026-11-22 INFO s",
        "x" * 200,
        "",
        "synapse-skills:report:000000:001/002:",
    ]
)
PREFIXES = st.sampled_from(["", "(pid=123) ", "(upload pid=4711, ip=10.0.0.12) ", "2026-11-22 01:02:03,456 INFO -- "])
REPORT: dict[str, Any] = {"kind": "report", "problems": [f"patient_{n:03d}: no label [image_1]" for n in range(40)]}


def through_rich(lines: list[str], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print("\n".join(lines))
    return console.file.getvalue()  # type: ignore[attr-defined]


def coloured(line: str, rng: random.Random) -> str:
    at = sorted(rng.sample(range(len(line) + 1), 2))
    return line[: at[0]] + "\x1b[1;36m" + line[at[0] : at[1]] + "\x1b[0m" + line[at[1] :]


def wrapped(line: str, width: int) -> list[str]:
    return [line[at : at + width] for at in range(0, len(line), width)] or [""]


@settings(max_examples=80)
@given(
    documents=st.lists(st.tuples(KINDS, DOCUMENTS), min_size=1, max_size=3),
    noise=st.lists(NOISE, max_size=12),
    prefix=PREFIXES,
    width=st.sampled_from([40, 72, 80, 81, 400]),
    newline=st.sampled_from(["\n", "\r\n"]),
    seed=st.integers(0, 2**32),
)
def test_any_document_survives_what_a_log_does(
    documents: list[tuple[str, dict[str, Any]]], noise: list[str], prefix: str, width: int, newline: str, seed: int
) -> None:
    rng = random.Random(seed)
    lines = [line for kind, document in documents for line in marker_lines(kind, document)]
    mangled: list[str] = []
    for line in lines:
        pieces = wrapped(prefix + line, width)
        for _ in range(rng.choice([1, 1, 1, 2])):
            mangled += [coloured(piece, rng) if rng.random() < 0.3 else piece for piece in pieces]
        if noise and rng.random() < 0.5:
            mangled.append(rng.choice(noise))
    found = read_markers(newline.join(mangled))
    wanted: dict[str, list[dict[str, Any]]] = {}
    for kind, document in documents:
        if document not in wanted.setdefault(kind, []):
            wanted[kind].append(document)
    assert {kind: sorted(map(repr, got)) for kind, got in found.items()} == {
        kind: sorted(map(repr, got)) for kind, got in wanted.items()
    }


@settings(max_examples=30)
@given(document=DOCUMENTS, kind=KINDS, width=st.integers(60, 120))
def test_the_cli_may_show_it_through_rich(document: dict[str, Any], kind: str, width: int) -> None:
    log = through_rich(["before [image_1]", *marker_lines(kind, document), "after [red]"], width)
    assert read_markers(log)[kind] == [document]


@settings(max_examples=50)
@given(document=DOCUMENTS, seed=st.integers(0, 2**32))
def test_what_is_missing_is_said_and_never_guessed(document: dict[str, Any], seed: int) -> None:
    lines = list(marker_lines("report", {**document, "long": list(range(60))}))
    lost = random.Random(seed).sample(range(len(lines)), random.Random(seed).randint(1, len(lines) - 1))
    found = read_markers("\n".join(line for number, line in enumerate(lines) if number not in lost))
    assert not found
    assert [(error.missing, error.of) for error in found.incomplete] == [(len(lost), len(lines))]
    with pytest.raises(MarkersIncomplete, match=f"{len(lost)} of {len(lines)} lines"):
        found.last("report")


def test_one_wrong_character_is_a_missing_line() -> None:
    lines = list(marker_lines("report", REPORT))
    lines[1] = lines[1][:50] + ("A" if lines[1][50] != "A" else "B") + lines[1][51:]
    assert [error.missing for error in read_markers("\n".join(lines)).incomplete] == [1]


def test_half_of_a_line_is_not_completed_with_somebody_elses() -> None:
    lines = list(marker_lines("report", REPORT))
    log = "\n".join([*lines[:-1], lines[-1][:60], "A" * 40])
    assert read_markers(log).incomplete[0].missing == 1


def test_lines_that_fit_80_columns_without_brackets_or_emoji() -> None:
    for kind in ("report", "listing"):
        lines = list(marker_lines(kind, REPORT))
        assert len(lines) > 3
        assert all(len(line) < 79 and "[" not in line and " " not in line for line in lines)
    # rich turns `:name:` into a picture: no such name may stand between two of our colons.
    assert not [name for name in EMOJI if len(name) == 6 and set(name) <= set("0123456789abcdef")]
    assert not {"report", "probe", "listing", "progress"} & set(EMOJI)


def test_the_last_document_counts_and_incomplete_ones_do_not_hide_it() -> None:
    first, second = list(marker_lines("report", {"n": 1})), list(marker_lines("report", {"n": 2}))
    found = read_markers("\n".join([*first, *list(marker_lines("report", REPORT))[:2], *second]))
    assert found.last("report") == {"n": 2} and len(found.incomplete) == 1 and found.last("probe") is None


def test_a_document_that_is_none_or_a_bomb_is_said() -> None:
    import base64
    import gzip

    from synapse_skills.job import markers

    for payload in (b"[1, 2]", b"{broken", b'{"a": "' + b"a" * (65 << 20) + b'"}'):
        letters = base64.urlsafe_b64encode(gzip.compress(payload, mtime=0)).decode()
        parts = [letters[at : at + 32].ljust(32, "=") for at in range(0, len(letters), 32)]
        name = markers._name_of("".join(parts))
        heads = [f"synapse-skills:report:{name}:{n:05}/{len(parts):05}:" for n in range(1, len(parts) + 1)]
        log = "\n".join(head + part + markers._check(head, part) for head, part in zip(heads, parts, strict=True))
        found = read_markers(log)
        assert not found and "don't belong together" in str(found.incomplete[0])


def test_too_large_and_wrong_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="no kind"):
        list(marker_lines("a report", {}))
    with pytest.raises(FindingError, match="too large"):
        list(marker_lines("report", {"x": random.Random(1).randbytes(2_600_000).hex()}))


@pytest.mark.parametrize("width", [30, 40, 80, 400])
@pytest.mark.parametrize("prefix", ["", "(pid=9) "])
def test_progress_is_the_last_whole_line(width: int, prefix: str) -> None:
    lines = [progress_line(n, 5000, n / 7, 2 * n, n * 123_456_789) for n in (1, 1247, 4999)]
    log = "\n".join(piece for line in lines for piece in [*wrapped(prefix + line, width), "something else"])
    assert read_progress(log) == ProgressSaid(4999, 5000, 714, 9998, 4999 * 123_456_789)
    # Cut off in the middle of a number: the one before it counts.
    assert read_progress("\n".join([*lines[:2], lines[2][:-3]])) == ProgressSaid(1247, 5000, 178, 2494, 153950615883)
    assert read_progress("nothing") is None


def test_people_see_the_log_without_our_lines() -> None:
    log = "\n".join(["\x1b[31mstart\x1b[0m", *marker_lines("report", REPORT), progress_line(1, 2, 3, 4, 5), "end"])
    assert without_markers(log) == "start\nend"


def test_a_log_full_of_half_lines_is_read_quickly() -> None:
    import time

    log = "\n".join(["synapse-skills:report:000000:001/002:AAAA", "A", "synapse-skills:", "s"] * 20_000)
    began = time.process_time()
    assert not read_markers(log)
    assert time.process_time() - began < 10
