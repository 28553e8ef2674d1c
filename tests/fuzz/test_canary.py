"""A whole run of each direction with secrets that can be recognised: none is in anything written or printed."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from canary import SECRET, SIGNATURE, TOKEN, leaks, spellings
from export_fixture import ExportJob, row
from remote_fixture import SECRET as S3_SECRET
from remote_fixture import MixedJob
from synapse_skills.export_plan import FormatPlan

SIGNED = "X-Amz-Signature="
BUSY = {"kind": "status", "route": "api", "status": 503, "probability": 0.1}


@pytest.mark.parametrize(
    "content",
    [
        SECRET.encode(),
        f"https://s3.test/?k={SECRET.replace('/', '%2F').replace('+', '%2B')}".encode(),
        json.dumps({"k": SECRET}).replace("/", "\\/").encode(),
        base64.b64encode(b"ab" + SECRET.encode() + b"cd"),
        base64.b64encode(b"a" + TOKEN.encode()),
        base64.b64encode(SIGNATURE.encode()),
        TOKEN.encode("utf-16-le"),
    ],
)
def test_the_search_finds_every_spelling(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "some.sqlite").write_bytes(b"\0" * 99 + content + b"\0")
    assert len(leaks([tmp_path])) == 1
    assert len(leaks([content])) == 1
    assert leaks([gzip.compress(b"nothing")]) == []


def test_the_search_looks_at_names_and_at_what_it_is_told(tmp_path: Path) -> None:
    (tmp_path / f"{TOKEN}.txt").touch()
    assert leaks([tmp_path]) and leaks(["a word"], "word") == ["word… in what was printed"]
    assert spellings(TOKEN) >= {TOKEN.encode()}


@pytest.mark.heavy
def test_an_upload_from_several_places(mixed: MixedJob) -> None:
    """Files from S3 with a key in the environment, faults on every route, a login that ends half way."""
    for number in range(4):
        mixed.unit(f"unit_{number}")
    printed: list[str] = []
    keys = {"AWS_SECRET_ACCESS_KEY": S3_SECRET, "SYNAPSE_SKILLS_DEBUG": "1"}
    for flags, rules in (
        (["--dry-run"], []),
        ([], [{"kind": "status", "route": "api", "status": 401, "after": 4}]),
        ([], [BUSY, {"kind": "expired-links", "probability": 0.3}]),
        ([], []),
    ):
        mixed.box.set_faults(*rules)
        done = mixed.run(*flags, expect=None, **keys)
        assert done.returncode in (0, 3, 5), done
        printed += [done.stdout, done.stderr]
    assert mixed.there() == mixed.wanted()
    everything = [mixed.home, mixed.folder / "user", *printed]
    assert leaks(everything, mixed.box.token, S3_SECRET, SIGNED) == []


@pytest.mark.heavy
def test_an_export_with_originals_and_payloads_elsewhere(export_job: ExportJob) -> None:
    export_job.box.set(wrap_bytes=1)
    export_job.plan_with(
        formats=tuple(FormatPlan(name=name) for name in ("coco", "synapse_json", "csv", "jsonl")), originals="optional"
    )
    export_job.label(*(row(number) for number in range(4)))
    printed: list[str] = []
    for flags, rules in (
        (["--dry-run"], []),
        ([], [{"kind": "status", "route": "api", "status": 401, "after": 3}]),
        ([], [BUSY, {"kind": "expired-links", "probability": 0.3}]),
        ([], []),
    ):
        export_job.box.set_faults(*rules)
        done = export_job.run(*flags, expect=None, SYNAPSE_SKILLS_DEBUG="1")
        assert done.returncode in (0, 3, 5), done
        printed += [done.stdout, done.stderr]
    assert export_job.report()["records"]["exported"] == 4
    everything = [export_job.home, export_job.output, export_job.folder / "user", *printed]
    assert leaks(everything, export_job.box.token, SIGNED) == []
