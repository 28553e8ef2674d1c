"""Each layout from the tree to the backend: understood, rendered, uploaded by the job, compared by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import synapse_skills.job.upload.engine  # noqa: F401 - before the child is forked
from forked import Forked
from sandbox_fixture import COLLECTION, STORAGE, Sandbox, seed_with
from synapse_skills.plan import Expected, GroupingPlan, Limits, SourcePlan, SpecPlan, UploadPlan
from synapse_skills.rendering import place_of, render_job
from synapse_skills.sources import Inventory, Source
from synapse_skills.units import best, freeze_table, hypotheses, parse_pattern, survey
from units import trees
from units.trees import MASK_SPECS, SEED_SPECS, Units

ALL = {spec.name: spec for spec in (*MASK_SPECS, *SEED_SPECS)}


def seed(specs: tuple[SpecPlan, ...]) -> dict[str, Any]:
    rows = [
        {
            "id": number,
            "name": spec.name,
            "file_type": spec.file_type,
            "extensions": list(spec.extensions),
            "is_required": spec.is_required,
            "is_primary": spec.is_primary,
        }
        for number, spec in enumerate(specs, 1)
    ]
    return seed_with(collections=[{"id": COLLECTION, "name": "Seed", "meta": None, "file_specifications": rows}])


def upload(
    tmp_path: Path,
    box: Sandbox,
    grouping: GroupingPlan,
    specs: tuple[SpecPlan, ...],
    sources: tuple[SourcePlan, ...],
    placement: Path | None = None,
) -> None:
    """Count as the planner does, render, run the script."""
    walked = [Source(each.path, recursive=each.recursive, spec=each.spec) for each in sources]
    with Inventory(tmp_path / "count.sqlite") as inventory:
        inventory.walk(walked)
        place = place_of(grouping, specs, sources, folder=tmp_path)
        counted = survey(inventory, walked, place, specs, Limits())
        assert all(not unit.findings for unit in counted.units())
    plan = UploadPlan(
        name="layout",
        data_collection=COLLECTION,
        storage=STORAGE,
        sources=sources,
        grouping=grouping,
        specs=specs,
        limits=Limits(settle_after_s=0.4),
        expected=Expected(
            units=counted.unit_count,
            files=counted.files,
            bytes=counted.bytes,
            files_by_spec=counted.files_by_spec,
        ),
    )
    done = render_job(plan, tmp_path / "home" / "job", placement=placement)
    process = Forked(done.script, [], box.env(tmp_path / "user", SYNAPSE_SKILLS_PATIENCE_S="3"), tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, f"{out}\n{err}"
    report = json.loads((tmp_path / "home" / "state" / "report.json").read_text())
    assert report["created"] == counted.unit_count


def there(box: Sandbox) -> dict[str, dict[str, str]]:
    """data unit → spec → checksum, as the backend has them."""
    units: dict[str, dict[str, str]] = {}
    for unit in box.units():
        files = {spec: row["checksum"] for spec, row in unit["files"].items()}
        assert units.setdefault(unit["meta"]["dataset_key"], files) is files
    return units


def sums(units: Units, contents: Callable[[str, str], bytes] | None = None) -> dict[str, dict[str, str]]:
    """The same from the paths."""
    read = contents or (lambda spec, path: trees.content_of(path))
    return {
        key: {spec: hashlib.sha1(read(spec, path)).hexdigest() for spec, path in files.items()}
        for key, files in units.items()
    }


@pytest.mark.parametrize(
    ("tree", "specs"),
    [
        (trees.nested, SEED_SPECS),
        (trees.type_folders, SEED_SPECS),
        (trees.flat, SEED_SPECS),
        (trees.deep, MASK_SPECS),
    ],
    ids=["nested", "type_folders", "flat", "deep"],
)
def test_one_source(
    tmp_path: Path, sandbox_factory: Callable[..., Sandbox], tree: Any, specs: tuple[SpecPlan, ...]
) -> None:
    wanted: Units = tree()
    root = trees.write_tree(tmp_path / "data", trees.paths_of(wanted))
    box = sandbox_factory(seed=seed(specs))
    with Inventory(tmp_path / "inventory.sqlite") as inventory:
        inventory.walk([Source(str(root))])
        found = best(hypotheses(inventory, specs, [Source(str(root))])).winner
    assert found is not None
    upload(tmp_path, box, found.grouping, found.specs, found.sources)
    assert there(box) == sums(wanted)


def test_a_source_for_each_spec(tmp_path: Path, sandbox_factory: Callable[..., Sandbox]) -> None:
    parts = trees.sources()
    sources = []
    for spec, paths in parts:
        root = tmp_path / f"source of {spec}"
        trees.write_tree(root, paths, {path: trees.content_of(path) + spec.encode() for path in paths})
        (root / "README.md").write_text("not data")
        trees.write_tree(root / "deeper", paths)
        sources.append(SourcePlan(path=str(root), recursive=False, spec=spec))
    box = sandbox_factory(seed=seed(MASK_SPECS))
    with Inventory(tmp_path / "inventory.sqlite") as inventory:
        inventory.walk([Source(each.path, recursive=False) for each in sources])
        found = best(hypotheses(inventory, MASK_SPECS, sources)).winner
    assert found is not None
    upload(tmp_path, box, found.grouping, found.specs, found.sources)
    wanted: Units = {}
    for spec, paths in parts:
        for path in paths:
            wanted.setdefault(path.partition(".")[0], {})[spec] = path
    assert there(box) == sums(wanted, lambda spec, path: trees.content_of(path) + spec.encode())


def test_the_batch_pattern(tmp_path: Path, sandbox_factory: Callable[..., Sandbox]) -> None:
    wanted = trees.deep(4)
    root = trees.write_tree(tmp_path / "data", trees.paths_of(wanted))
    del wanted["patient_001"]["mask_1"]
    box = sandbox_factory(seed=seed(SEED_SPECS))
    pattern = parse_pattern(trees.SEED_PATTERN)
    upload(tmp_path, box, pattern.grouping, pattern.specs(SEED_SPECS), (SourcePlan(path=str(root)),))
    assert there(box) == sums(wanted)


def test_a_table(tmp_path: Path, sandbox_factory: Callable[..., Sandbox]) -> None:
    wanted: Units = {
        "첫째": {"image_1": "한글/하나.png", "label_1": "b/uno.json"},
        "second/one": {"image_1": "a.PNG", "label_1": "b/dos.json", "dicom_1": "b/c/scan.dcm"},
    }
    root = trees.write_tree(tmp_path / "data", [*trees.paths_of(wanted), "left/over.png"])
    lines = [f"{path},{key},{spec}" for key, files in wanted.items() for spec, path in files.items()]
    (tmp_path / "table.csv").write_text("\n".join(["file,unit,spec", *lines]), encoding="cp949")
    box = sandbox_factory(seed=seed(SEED_SPECS))
    table = tmp_path / "placement.jsonl"
    with Inventory(tmp_path / "inventory.sqlite") as inventory:
        inventory.walk([Source(str(root))])
        freeze_table(tmp_path / "table.csv", inventory, [Source(str(root))], SEED_SPECS, table)
    grouping = GroupingPlan(by="table", table="placement.jsonl")
    upload(tmp_path, box, grouping, SEED_SPECS, (SourcePlan(path=str(root)),), table)
    assert there(box) == sums(wanted)
