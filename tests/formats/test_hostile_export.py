"""What nobody would wish for, through every format at once: names, classes, cells, numbers and shapes that attack."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.worlds import WIDTH, encoded, place, row, said, v1
from synapse_skills.export_plan import ClassesPlan, ExportPlan, FormatPlan, SplitPlan
from synapse_skills.formats import FORMATS
from synapse_skills.formats.custom import CustomRecord, Entry, File, Line
from synapse_skills.job.export.decide import Decider
from synapse_skills.job.export.index import Index
from synapse_skills.job.export.reporting import Outcome, make_report
from synapse_skills.job.export.rows import read_page
from synapse_skills.job.export.spool import Kept, Spool
from synapse_skills.job.export.verify import check_format
from synapse_skills.job.export.write import Export

ROUNDS = 200 if "SYNAPSE_SKILLS_ROUNDS" in os.environ else 12

TEXTS = st.one_of(
    st.sampled_from(
        (
            *("../../escaped", "..", ".", "/etc/passwd", "C:\\Windows\\x", "\\\\host\\share", "a/b/../../../c", "~/x"),
            *("con", "NUL.txt", "lpt1.jpg", "COM¹", "aux.", "x" * 300, "가" * 150 + ".jpg", "." * 40, " ", "-rf", "a."),
            *("caf\u00e9", "cafe\u0301", "CAFÉ", "ＣＯＮ", "ﬁ", "ß", "İ", "k\u212a"),
            *("=1+1", "@SUM(A1)", "+cmd|'/c calc'!A0", "-2", "\t=1", "\r=1", "\n=1", "'=1", "a,b\"c;d", "\ufeff=1"),
            *("\x00", "a\x00b", "a\ufffe\uffff.jpg", "\ud800", "a\udfffb", "\u202egpj.exe", "\u2028", "a\nb"),
            *("<b>&amp;</b>", "&lt;", "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>"),
            *("]]>", '"', "`id`", "${x}", "%s{0}"),
            *("nan", "null", "true", "0", "1e999", "train", "val", "images", "records.jsonl", "_records.jsonl"),
        )
    ),
    st.text(st.characters(codec="utf-16", categories=None), min_size=1, max_size=40),
)  # fmt: skip
NUMBERS = st.one_of(
    st.sampled_from(
        (0, -1, 1e308, -1e308, float("nan"), float("inf"), 2**70, 1e-320, "12", "x", None, True, [], 63.999)
    ),
    st.floats(-20, WIDTH + 20),
    st.floats(),
)


def nested(depth: int) -> Any:
    value: Any = "leaf"
    for turn in range(depth):
        value = {"k": value} if turn % 2 else [value]
    return value


POINTS = st.one_of(
    st.lists(st.tuples(NUMBERS, NUMBERS).map(list), max_size=6),
    st.lists(st.fixed_dictionaries({"x": NUMBERS, "y": NUMBERS}), max_size=6),
    st.integers(500, 3000).map(lambda count: [[(n * 37) % 64, (n * 11) % 48] for n in range(count)]),
)
PLACES = st.one_of(
    st.fixed_dictionaries(dict.fromkeys(("x", "y", "width", "height"), NUMBERS), optional={"rotation": NUMBERS}),
    st.fixed_dictionaries({"x": NUMBERS, "y": NUMBERS}),
    POINTS,
    st.lists(st.integers(-5, 4000), max_size=40),
    st.none(),
)  # fmt: skip
ATTRIBUTES = st.dictionaries(
    TEXTS.filter(lambda name: name != "class"),
    st.one_of(TEXTS, NUMBERS, st.sampled_from((5, 40, 90)).map(nested)),
    max_size=3,
)
SOUND = ("bounding_box", "polygon", "polyline", "keypoint", "segmentation", "classification")
TOOLS = st.sampled_from((*SOUND, *SOUND, "../x", ""))


@st.composite
def hostile_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of a project in which nothing can be trusted."""
    made = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        pairs = []
        for _ in range(draw(st.integers(0, 4))):
            tool = draw(TOOLS)
            about = said(draw(TEXTS), tool, draw(st.one_of(TEXTS, st.none())))
            about["classification"] = {"class": about["classification"]["class"] if about["classification"] else None}
            about["classification"] |= draw(ATTRIBUTES)
            # Half of the shapes are what their tool draws: what hangs on them is to get far into the formats.
            is_sound = tool in SOUND and draw(st.booleans())
            given = place(draw(st.randoms(use_true_random=False)), tool) if is_sound else {"coordinate": draw(PLACES)}
            pairs.append((about, {"section": draw(PLACES)} | given))
        each = row(v1(*pairs), "assignment", number)
        each["data_unit"]["files"]["image_1"]["file_name_original"] = draw(TEXTS)
        each["data_unit"]["files"]["image_1"]["checksum"] = draw(TEXTS)
        each["data_unit"]["meta"] = {"group": draw(TEXTS), "category": draw(TEXTS), "filename": draw(TEXTS)}
        made.append(each)
    return made


def options() -> st.SearchStrategy[tuple[FormatPlan, ...]]:
    """All formats, each in any of its ways."""

    def of(name: str) -> st.SearchStrategy[FormatPlan]:
        choices = {
            option.name: st.sampled_from((*option.choices, *((1, 2) if option.is_count else ())))
            for option in FORMATS[name].options
        }
        return st.fixed_dictionaries(choices).map(lambda chosen: FormatPlan(name=name, options=chosen))

    return st.tuples(*map(of, FORMATS))


SPLITS = st.sampled_from(
    (
        None,
        SplitPlan(ratios={"train": 0.5, "val": 0.5}, by="meta.group"),
        SplitPlan(ratios={"train": 0.5, "val": 0.5}, by="checksum", stratify="class"),
    )
)


def convert(record: CustomRecord) -> Iterator[File | Line | Entry]:
    """Paths out of whatever the record says."""
    for each in record.annotations:
        yield File(f"{each.label}/{each.id}", str(each.attributes))
        yield Line(f"{each.tool}.jsonl", each.attributes)
        yield Entry(f"{record.meta['group']}", each.attributes)
    yield File(record.name, record.meta)


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


@settings(max_examples=ROUNDS, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(hostile_rows(), options(), SPLITS, st.sampled_from(("clamp", "drop", "fail")))
def test_nothing_gets_out_and_everything_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    formats: tuple[FormatPlan, ...],
    split: SplitPlan | None,
    geometry: Any,
) -> None:
    root = tmp_path_factory.mktemp("hostile")
    work, out = root / "work", root / "out"
    work.mkdir()
    spool = Spool(work / "spool")
    page = read_page(b'{"results": [' + b",".join(map(encoded, rows)) + b"]}", "assignment")
    spool.append({"t": "some"}, [Kept(each.key, each.as_kept(), each.id) for each in page.rows])
    plan = ExportPlan(
        name="x\x00]]>=1",
        target="assignment",
        project=1,
        formats=formats,
        classes=ClassesPlan(unknown="add", unlabelled="drop"),
        split=split,
        geometry=geometry,
        output=str(out),
    )
    index = Index(work / "index.sqlite", spool)
    decider = Decider(plan, index, needs_meta=True)
    decider.look()
    decided = decider.decide()
    folders = {each.name: out / each.name for each in formats}
    for folder in folders.values():
        folder.mkdir(parents=True)
    before = files_of(root)
    export = Export(
        plan,
        index,
        folders,
        metadata=out / "metadata",
        quarantine=work / "quarantine.jsonl",
        seen=decided.classes,
        convert=convert,
    )
    done = export.run()
    index.close()
    spool.close()
    # Nothing beside the formats, the list and the quarantine; no name that some file system would not take.
    allowed = (*folders.values(), out / "metadata")
    for path in files_of(root) - before:
        assert path == work / "quarantine.jsonl" or any(path.is_relative_to(folder) for folder in allowed), path
        assert not path.is_symlink()
    for path in out.rglob("*"):
        assert len(path.name.encode()) <= 255 and path.name not in (".", "..")
        assert not set(path.name) & set('\\<>:"|?*\n\r\x00'), path.name
    # The report refuses to be built unless it adds up, for every format.
    report = make_report(
        plan, Outcome(decided=decided, written=done), None, dry_run=False, interrupted=False, started=0
    )
    assert report.records.read == len(rows)
    for name, counts in report.annotations.formats.items():
        assert "writer-failed" not in counts.lost, done.formats[name].examples
        problems = [
            each for each in check_format(name, folders[name], done.rows[name]).problems if each.severity == "error"
        ]
        assert problems == [], name
    check_readers(out)


def check_readers(out: Path) -> None:
    """What others make of it: no cell that a spreadsheet would run, no file that an XML parser refuses."""
    for path in (out / "csv").rglob("*.csv"):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for cells in csv.reader(stream):
                # An id of letters, digits, _ and - stays as it is, to be joined by: it can call nothing.
                is_plain_id = re.fullmatch(r"[\w-]+", cells[5], re.ASCII) is not None
                for cell in cells[:5] + cells[5 + is_plain_id :]:
                    is_number = (
                        cell.lstrip("-+").replace(".", "").replace("e", "").replace("+", "").replace("-", "").isdigit()
                    )
                    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) or is_number, cell
    for path in (out / "voc" / "Annotations").glob("*.xml"):
        assert ElementTree.parse(path).getroot().tag == "annotation"
