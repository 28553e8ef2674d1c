"""The page about a plan: true to the plan and the files, a fair sample of them, and safe whatever the names are."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import HOSTILE, Looked, check_harmless, plain
from PIL import Image
from plans import CASES, IMAGE, LABEL, MASK, plan

from job_fixture import Job
from synapse_skills.errors import FindingError, UsageError
from synapse_skills.plan import (
    Conversion,
    Expected,
    GroupingPlan,
    MetadataRule,
    SourcePlan,
    SpecPlan,
    UploadPlan,
    plan_bytes,
    plan_hash,
)  # fmt: skip
from synapse_skills.rendering import place_of, render_job
from synapse_skills.rendering import sample as sample_module
from synapse_skills.rendering.origins import origins
from synapse_skills.rendering.plan_page import plan_page
from synapse_skills.rendering.planned import PlannedUnit, PlannedUpload, read_planned
from synapse_skills.rendering.preview import preview
from synapse_skills.rendering.sample import Sample
from synapse_skills.report import FileCounts, Problem, UploadReport, write_json
from synapse_skills.sources import File, Inventory, Source
from synapse_skills.units import survey, write_table

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "preview.py"
STEM = GroupingPlan(by="stem", ignore=("img", "json"))


def picture() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 80, 40)).save(written, "JPEG")
    return written.getvalue()


JPG = picture()


class Home:
    """A job's home as the planner leaves it, made without a backend."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "home"
        self.source = folder / "data"
        self.folder.mkdir(parents=True)
        self.source.mkdir(parents=True)
        self.plan = plan(sources=(SourcePlan(path=str(self.source)),))

    def files(self, tree: Mapping[str, bytes]) -> None:
        for name, content in tree.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def units(self, count: int, files: int = 2) -> None:
        """So many folders, each with a picture and a label, and further files that fill nothing."""
        for number in range(count):
            more = {f"p{number:03}/{each}.txt": b"x" for each in range(files - 2)}
            self.files({f"p{number:03}/a.jpg": JPG, f"p{number:03}/a.json": b"{}", **more})

    def walk(self, *, place: UploadPlan | None = None, limit: int | None = None, where: str = "") -> None:
        """Make the inventory, and place its files as a plan says."""
        sources = [Source(each.path, recursive=each.recursive) for each in self.plan.sources]
        (self.folder / where).mkdir(exist_ok=True)
        with Inventory(self.folder / where / "inventory.sqlite") as inventory:
            inventory.walk(sources, limit=limit)
            if place is not None:
                found = place_of(place.grouping, place.specs, place.sources, folder=self.folder)
                list(survey(inventory, sources, found, place.specs, place.limits, guard=False).units())

    def write(self, **changes: Any) -> UploadPlan:
        """Write plan.json."""
        self.plan = self.plan.model_copy(update=changes)
        (self.folder / "plan.json").write_bytes(plan_bytes(self.plan))
        return self.plan

    def dry_run(self, **changes: Any) -> None:
        """Write dry_run.json, fitting the plan unless told otherwise."""
        expected = self.plan.expected
        fields: dict[str, Any] = {
            "name": "scans", "started": "2026-01-02T03:04:05+00:00", "seconds": 1, "exit_code": 0, "mode": "dry-run",
            "planned": expected.units, "pending": expected.units, "files": FileCounts(planned=expected.files),
        }  # fmt: skip
        write_json(self.folder / "dry_run.json", json.loads(UploadReport(**fields | changes).model_dump_json()))

    def left_out(self, *rows: dict[str, Any]) -> None:
        (self.folder / "left_out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def look(self, most: int = 24) -> tuple[PlannedUpload, Looked]:
        """Read it, and render it."""
        found = read_planned(self.folder, most=most)
        looked = Looked(plan_page(found).html)
        check_harmless(looked)
        return found, looked


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def ready(home: Home, count: int = 5, **changes: Any) -> Home:
    """A home with a plan, an inventory and a dry run that agree."""
    home.units(count)
    counts = Expected(
        units=count, files=2 * count, bytes=999, files_by_spec=dict.fromkeys(("image_1", "label_1"), count)
    )
    home.write(**{"expected": counts, **changes})
    home.walk(place=home.plan)
    home.dry_run()
    return home


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# -- what is on it -----------------------------------------------------------------------------------------------------


def test_the_page_says_what_is_approved(home: Home) -> None:
    ready(
        home, project=3, groups=("병원", "CT"), metadata=(MetadataRule(values={"site": "서울", "year": 2026}),),
        state="/mnt/state",
    )  # fmt: skip
    before = snapshot(home.folder)
    found, looked = home.look()
    assert found.hash == plan_hash((home.folder / "plan.json").read_bytes())
    for said in (
        "Planned and dry-run: nothing has been sent yet.", f"Hash to approve {found.hash}", f"--approve {found.hash}",
        "5data units", "10files", "data collection 57", "storage 11, the default one", "one in project 3 for every",
        "병원 / CT", "/mnt/state", str(home.source), "site서울", "year2026", "name the data unit’s own name",
        "Each folder directly below the source is one data unit", "The extension tells the spec.",
        "It makes 5 data units that are fit to be sent, and all have image_1 and label_1.",
        "All 10 files in the source are in them.", "p000/a.jpg image_1", "image_1 required, primary, image",
        ".png .jpg", "all 5", "Left out No data unit.", "largest file50 MB",
        "100 data units a request, at most 64 transfers at a time, settled after 120 s", "All 5.",
    ):  # fmt: skip
        assert said.replace(" ", "") in looked.text.replace(" ", "").replace("\n", ""), said
    assert len(looked.all("img")) == 5
    assert snapshot(home.folder) == before
    assert plan_page(read_planned(home.folder)).html == plan_page(read_planned(home.folder / "plan.json")).html


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("plain", "Each folder directly below the source is one data unit"),
        ("patterns_only", "Each folder 2 levels below the source is one data unit"),
        ("stem", "Files whose paths differ only by the extension are one data unit."),
        ("type_folders", "don't count: images masks labels. These ends of names tell the same: _mask."),
        ("batch_pattern", "A regular expression finds the data unit in the path of each file: (.+?)/(?:img|json)/."),
        ("batch_template", r"(?P<site>[^/]+)/(?P<id>\d+)_, and names it {site}-{id}."),
        ("table", "A table says for every file which data unit it belongs to and what it is there: placement.jsonl."),
        ("one_spec_a_source", "files of source 2: .json"),
        ("one_spec_a_source", "The source of a file tells the spec."),
        ("several_sources", "without the folders below it"),
        ("pattern", "files like mask/*.png"),
        ("pattern", "The first pattern that fits tells the spec, else the extension."),
        ("metadata", "the collection’s; every data unit was checked against it"),
    ],
)
def test_every_layout_is_told_in_a_sentence(case: str, said: str) -> None:
    looked = Looked(plan_page(PlannedUpload(CASES[case], "0" * 12, Path())).html)
    check_harmless(looked)
    assert said in looked.words


def test_a_layout_that_was_said_is_not_called_found(home: Home) -> None:
    ready(home)
    (home.folder / "answers.json").write_text('{"data_collection": 57}')
    assert "You chose it." not in home.look()[1].text
    (home.folder / "answers.json").write_text('{"grouping.depth": 1}')
    assert "You chose it." in home.look()[1].text


def test_coverage_is_100_only_of_all(home: Home) -> None:
    specs = (IMAGE, LABEL, MASK, SpecPlan(name="none_1", extensions=(".csv",)))
    by_spec = {"image_1": 1000, "label_1": 999, "mask_1": 1, "none_1": 0}
    home.write(specs=specs, expected=Expected(units=1000, files=2000, files_by_spec=by_spec))
    words = home.look()[1].words
    assert "all 1,000" in words
    assert "999 of 1,000, 99%" in words
    assert "1 of 1,000, 1%" in words
    assert "no files would take .csv 0 of 1,000, 0%" in words


def test_what_is_left_out_is_counted_by_code_and_named(home: Home) -> None:
    ready(home, expected=Expected(units=3, files=6, left_out=4))
    rows = [{"unit": f"p00{n}", "codes": ["empty-file"], "why": f"p00{n}: a.jpg is empty"} for n in range(22)]
    rows[1]["codes"] = ["empty-file", "key-too-long"]
    home.left_out(*rows[:4])
    found, looked = home.look()
    assert found.left_out.codes == {"empty-file": 4, "key-too-long": 1}
    assert "4 data units by consent, each named in left_out.jsonl." in looked.words
    listed = " ".join(f"p00{n}: a.jpg is empty" for n in range(4))
    assert f"empty-file × 4 {listed} key-too-long" in looked.words
    assert "4 more stay at home by consent." in looked.words
    assert [unit.key for unit in found.units] == ["p004"]
    home.left_out(*rows)
    assert "p0019: a.jpg is empty and more" in home.look()[1].words
    home.left_out(*rows[:2])
    assert "The plan counts 4." in home.look()[1].words


@pytest.mark.parametrize("line", ["nonsense", "[]", '"p1"', '{"codes": []}', '{"unit": "a", "codes": 1}'])
def test_a_damaged_left_out_is_an_error(home: Home, line: str) -> None:
    ready(home)
    (home.folder / "left_out.jsonl").write_text('{"unit": "p001", "codes": []}\n' + line + "\n")
    with pytest.raises(FindingError, match=r"Line 2 .* can't be read") as error:
        read_planned(home.folder)
    assert error.value.code == "bad-left-out"


def test_problems_have_their_examples_and_what_to_do(home: Home) -> None:
    ready(home)
    problem = Problem(code="no-spec", severity="warning", count=9, examples=["p001/a.txt"], fix="They stay at home.")
    home.dry_run(problems=[problem])
    words = home.look()[1].words
    assert "no-spec × 9 (warning) p001/a.txt and more What to do: They stay at home." in words


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_text(home: Home, text: str) -> None:
    name = text.replace("/", "∕").replace("\n", "")
    home.files({f"{name}/{name}.jpg": JPG, f"{name}/{name}.json": b"{}"})
    spec = SpecPlan(
        name=text, file_type=text, extensions=(".jpg", text), is_required=True, takes=(".jpg",), pattern=f"{text}*"
    )
    home.write(
        name=text, groups=(text,), state=text, specs=(spec, LABEL), metadata=(MetadataRule(values={text: text}),),
        sources=(*home.plan.sources, SourcePlan(path=f"/data/{text}", spec=text)),
        grouping=GroupingPlan(by="stem", ignore=(text,), endings=(text,)),
    )  # fmt: skip
    home.left_out({"unit": text, "codes": [text], "why": text})
    home.dry_run(planned=0, pending=0, problems=[Problem(code=text, examples=[text], fix=text)])
    _, looked = home.look()
    assert looked.text.count(plain(text)) >= 12
    # And as names of files, in the gallery.
    home.write(sources=home.plan.sources[:1], specs=(IMAGE, LABEL), grouping=GroupingPlan())
    home.left_out()
    home.walk(place=home.plan)
    found, looked = home.look()
    assert [unit.key for unit in found.units] == [name]
    assert plain(f"{name}.jpg") in looked.text
    assert len(looked.all("img")) == 1


@given(st.text(), st.text(min_size=1))
@settings(max_examples=40, deadline=None)
def test_any_text_at_all(text: str, regex: str) -> None:
    changed = plan(name=text, groups=(text,), grouping=GroupingPlan(by="pattern", regex=regex, template=text))
    units = [PlannedUnit(text, [(text, File(0, text, 1, 0))])]
    planned = PlannedUpload(changed, "0" * 12, Path(), sample=Sample(seen=1), units=units)
    check_harmless(Looked(plan_page(planned).html))


def test_a_page_about_very_much_stays_small(home: Home) -> None:
    specs = tuple(SpecPlan(name=f"spec_{n}", takes=tuple(f".e{n}x{m}" for m in range(50))) for n in range(300))
    home.write(
        specs=specs, sources=tuple(SourcePlan(path=f"/data/{n}") for n in range(300)),
        metadata=(MetadataRule(values={f"field_{n}": "x" * 5000 for n in range(300)}),),
        grouping=GroupingPlan(by="stem", ignore=tuple(f"folder_{n}" for n in range(500))),
    )  # fmt: skip
    found = read_planned(home.folder)
    html = plan_page(found).html
    assert len(html) < 150_000
    words = Looked(html).words
    assert words.count("and 260 more") == 3
    assert "and 488 more" in words


# -- whether it can be approved ----------------------------------------------------------------------------------------


def test_the_verdict(home: Home) -> None:
    ready(home)
    (home.folder / "dry_run.json").unlink()
    assert "Planned, but without a dry run" in home.look()[1].text
    home.dry_run(planned=4, pending=4)
    assert "The dry run counted 4 data units, the plan has 5." in home.look()[1].text
    home.dry_run(exit_code=1)
    looked = home.look()[1]
    assert "The dry run found something that stops the upload" in looked.text
    assert "--approve" not in looked.text
    home.dry_run()
    old = (home.folder / "plan.json").stat().st_mtime - 100
    os.utime(home.folder / "dry_run.json", (old, old))
    assert "the dry run is older than this plan" in home.look()[1].text
    # A later dry run by hand counts.
    (home.folder / "state").mkdir()
    shutil.copy(home.folder / "dry_run.json", home.folder / "state" / "report.json")
    assert "Planned and dry-run: nothing" in home.look()[1].text
    home.write(expected=Expected())
    assert "There is nothing to send." in home.look()[1].text


def test_another_plan_in_the_job_folder_is_said(home: Home) -> None:
    ready(home)
    render_job(home.plan, home.folder / "job")
    os.utime(home.folder / "dry_run.json")
    assert "nothing has been sent yet" in home.look()[1].text
    old = plan_hash(plan_bytes(home.plan))
    home.write(project=9)
    assert f"The job folder holds another plan ({old}): render this one" in home.look()[1].text


# -- the sample --------------------------------------------------------------------------------------------------------


def test_the_sample_is_the_same_whoever_placed_the_files(home: Home) -> None:
    ready(home, 60)
    placed = read_planned(home.folder, most=7)
    assert placed.sample.seen == 60
    assert len(placed.units) == 7
    # An earlier hypothesis of the conversation is in the inventory: every file is placed again, and nothing written.
    home.walk(place=home.plan.model_copy(update={"grouping": GroupingPlan(by="stem")}))
    before = snapshot(home.folder)
    again = read_planned(home.folder, most=7)
    assert again.sample.seen is None
    assert again.units == placed.units
    home.walk()
    assert read_planned(home.folder, most=7).units == placed.units
    assert {name: content for name, content in snapshot(home.folder).items() if "sqlite" not in name} == {
        name: content for name, content in before.items() if "sqlite" not in name
    }
    assert "A sample of 7, drawn by lot: each of the 60 had the same chance." in home.look(7)[1].words


def test_large_data_units_have_no_better_chance(tmp_path: Path) -> None:
    chosen = []
    for number, files in enumerate((2, 30)):
        home = Home(tmp_path / str(number))
        home.units(40)
        for unit in range(20):
            home.files({f"p{unit:03}/{each}.txt": b"x" for each in range(files)})
        home.write(expected=Expected(units=40))
        home.walk()
        chosen.append([unit.key for unit in read_planned(home.folder, most=8).units])
    assert chosen[0] == chosen[1]
    assert len(set(chosen[0])) == 8
    # Neither the first ones nor the last ones, but from all over.
    assert chosen[0][0] < "p020" < chosen[0][-1]


def test_files_from_different_folders_come_together(home: Home) -> None:
    home.files({f"img/{n:02}.jpg": JPG for n in range(30)} | {f"json/{n:02}.json": b"{}" for n in range(30)})
    home.write(grouping=STEM, expected=Expected(units=30, files=60))
    home.walk()
    units = read_planned(home.folder, most=5).units
    assert len(units) == 5
    for unit in units:
        paths = [(spec, file.path) for spec, file in unit.files]
        assert paths == [("image_1", f"img/{unit.key}.jpg"), ("label_1", f"json/{unit.key}.json")]


def test_a_table_places_the_sample_too(home: Home) -> None:
    home.units(6)
    home.write(grouping=GroupingPlan(by="table", table="placement.jsonl"), expected=Expected(units=6, files=6))
    found, looked = home.look()
    assert found.note.startswith("None are shown: there is no inventory")
    home.walk()
    assert "None are shown: The placement table" in home.look()[1].words
    write_table(home.folder / "placement.jsonl", [(0, f"p{n:03}/a.jpg", f"unit {n}", "image_1") for n in range(6)])
    found, looked = home.look()
    assert [unit.key for unit in found.units] == [f"unit {n}" for n in range(6)]
    assert "All 6." in looked.words


def test_more_files_than_a_page_goes_through(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.units(20)
    home.write(expected=Expected(units=20, files=40))
    home.walk()
    monkeypatch.setattr(sample_module, "MAX_PLACED", 10)
    found, looked = home.look(3)
    assert found.sample.looked_at == 10
    assert {unit.key for unit in found.units} < {f"p{n:03}" for n in range(5)}
    assert "A sample of 3, drawn by lot from the first 10 files alone" in looked.words


def test_a_data_unit_with_very_many_files(home: Home) -> None:
    home.files({f"all/{n:03}.jpg": JPG for n in range(150)})
    home.write()
    for place in (None, home.plan):
        home.walk(place=place)
        (unit,) = read_planned(home.folder).units
        assert len(unit.files) == sample_module.MOST_FILES


def test_inventories_that_say_nothing_about_this_plan(home: Home, tmp_path: Path) -> None:
    ready(home)
    other = tmp_path / "other"
    other.mkdir()
    home.write(sources=(SourcePlan(path=str(other)),))
    assert "those of other sources, or only a part" in home.look()[1].words
    home.write(sources=(SourcePlan(path=str(home.source)),))
    home.walk(limit=3)
    assert "those of other sources, or only a part" in home.look()[1].words
    # The dry run's own inventory will do.
    home.walk(where="state")
    assert len(home.look()[0].units) == 5
    (home.folder / "inventory.sqlite").write_bytes(b"no database at all" * 100)
    assert "None are shown: The inventory" in home.look()[1].words


def test_files_that_are_gone_and_units_that_have_come(home: Home) -> None:
    ready(home)
    shutil.rmtree(home.source / "p002")
    home.units(7)
    (home.source / "p003" / "a.jpg").unlink()
    looked = home.look()[1]
    assert len(looked.all("img")) == 4
    assert "a.jpg is no longer where it was" in looked.words
    home.walk(place=home.plan)
    assert "The plan counts 5: the files have changed since." in home.look()[1].words


def test_the_sample_of_an_edited_script_is_the_scripts(home: Home) -> None:
    ready(home)
    render_job(home.plan, home.folder / "job")
    os.utime(home.folder / "dry_run.json")
    with (home.folder / "job" / "upload.py").open("a") as script:
        script.write("# edited\n")
    home.walk(place=home.plan.model_copy(update={"grouping": GroupingPlan(by="stem")}), where="state")
    found, looked = home.look()
    assert [unit.key for unit in found.units] == [f"p00{n}/a" for n in range(5)]
    assert "They are those of the edited script." in looked.words
    assert "with an edited script" in looked.words
    assert found.named == []


# -- what is shown of what ---------------------------------------------------------------------------------------------


def test_a_home_shows_its_plan_until_an_upload_has_run(job: Job) -> None:
    job.units(3)
    assert preview(job.home).about["shows"] == "plan"
    job.run("--dry-run")
    assert preview(job.home).about["shows"] == preview(job.job).about["shows"] == "plan"
    job.run()
    assert preview(job.home).about == {"shows": "upload", "arrived": 3}
    assert preview(job.job).about["shows"] == "upload"
    shown = preview(job.job / "plan.json")
    assert shown.about["shows"] == "plan"
    with pytest.raises(FindingError, match="nothing has been run there"):
        preview(job.home, state=job.folder / "never")
    with pytest.raises(UsageError, match="--state goes with"):
        preview(job.job / "plan.json", state=job.state)


def test_a_job_folder_finds_its_home(home: Home) -> None:
    ready(home)
    render_job(home.plan, home.folder / "job")
    for path in (home.folder / "job", home.folder / "job" / "plan.json"):
        found = read_planned(path)
        assert (found.home, len(found.units)) == (home.folder, 5)


def test_a_plan_that_lies_alone(home: Home, tmp_path: Path) -> None:
    home.write()
    alone = tmp_path / "mailed.json"
    shutil.copy(home.folder / "plan.json", alone)
    made = preview(alone)
    assert "None are shown: there is no inventory" in Looked(made.page.html).words
    assert made.about["hash"] == hashlib.sha256(alone.read_bytes()).hexdigest()[:12]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)


def test_the_script(home: Home, tmp_path: Path) -> None:
    ready(home)
    out = tmp_path / "page.html"
    done = run(home.folder, "--out", out, "--most", "2", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "page": str(out), "bytes": out.stat().st_size, "units": 2, "pictures": 2,
        "shows": "plan", "planned": 5, "left_out": 0, "hash": plan_hash(plan_bytes(home.plan)),
    }  # fmt: skip
    (home.folder / "plan.json").write_text("{}")
    for arguments, code, said in (
        ([home.folder], 1, "not a plan"), ([tmp_path], 2, "neither a plan nor an upload"),
        ([tmp_path / "no.json"], 2, "No plan at"),
    ):  # fmt: skip
        done = run(*arguments, "--out", tmp_path / "none.html")
        assert done.returncode == code
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "none.html").exists()


def test_data_units_show_the_metadata_of_their_own(tmp_path: Path) -> None:
    from synapse_skills.rendering.described import apart, description, meta_of
    from synapse_skills.units.sidecars import SIDECAR

    (tmp_path / "u").mkdir()
    (tmp_path / "u/x.meta.json").write_text('{"age": 5}')
    rules = (
        MetadataRule(values={"site": "a"}),
        MetadataRule(kind="folders", folders={"patient": 1}),
        MetadataRule(kind="sidecars", pattern="*.meta.json"),
    )
    files = [("image_1", File(0, "u/x.png", 1, 1)), (SIDECAR, File(0, "u/x.meta.json", 1, 1))]
    described = description(plan(metadata=rules), tmp_path)
    meta = meta_of(described, "u", files, [tmp_path])
    assert meta == {"name": "u", "dataset_key": "u", "site": "a", "patient": "u", "age": 5}
    assert [spec for spec, _ in apart(files)[0]] == ["image_1"]
    # Rows that are gone: the page says what it can.
    gone = (MetadataRule(kind="table", table="metadata.jsonl"),)
    assert meta_of(description(plan(metadata=gone), tmp_path), "u", files, [tmp_path]) is None


def test_the_page_says_where_metadata_comes_from_and_what_is_converted(home: Home) -> None:
    rules = (
        MetadataRule(kind="folders", folders={"site": 1, "last": -1}),
        MetadataRule(kind="name", regex=r"(?P<day>\d{8})<b>"),
        MetadataRule(
            kind="table",
            table="metadata.jsonl",
            file="/data/meta.xlsx",
            sheet="환자",
            key="번호",
            rows=1234,
            fields={"나이": "age", "비고": "", "sex": "sex"},
        ),
        MetadataRule(kind="sidecars", pattern="*.meta.json"),
    )
    told = origins(plan(metadata=rules))
    assert [label for label, _ in told] == ["folders", "name", "table", "sidecars"]
    text = " | ".join(" ".join(word for _, word in words) for _, words in told)
    for said in ("site is folder 1 of", "last is folder 1 from the end", "(?P<day>", "sheet 환자 by the column 번호"):
        assert said in text
    assert "rows for 1,234 data units · 나이 is age · not taken: 비고" in text and "sex is sex" not in text
    tiff = Conversion(spec="image_1", source=".tiff", target=".png")
    _, looked = ready(home, 2, metadata=rules[:2], conversions=(tiff,)).look()
    assert "(?P<day>" in looked.text and "converted on the way" in looked.words


def test_a_long_list_of_fields_ends() -> None:
    rule = MetadataRule(kind="table", table="metadata.jsonl", fields={f"c{n}": f"f{n}" for n in range(30)})
    ((_, words),) = origins(plan(metadata=(rule,)))
    assert words[-1] == ("text", "and 18 more")
