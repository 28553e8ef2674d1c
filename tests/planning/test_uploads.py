"""From a conversation to data units on the backend: what was planned is what arrives."""

from __future__ import annotations

import hashlib
from typing import Any

from forked import Forked
from planning.conversation import PNG, User, collection, spec, understood
from sandbox_fixture import Sandbox, SandboxFactory, seed_with

HOSTILE = ['it\'s "quoted"', "{{ plan.name }}", "back\\slash", "한글 사진", "🩻 \u2028 line", "new\nline", "#{x}%s"]


def run_job(user: User, box: Sandbox, name: str, *flags: str) -> int | None:
    environment = box.env(user.folder / "me")
    child = Forked(user.home(name) / "job/upload.py", list(flags), environment, user.folder)
    out, error = child.communicate()
    assert "Traceback" not in out + error
    return child.returncode


def arrived(box: Sandbox) -> dict[str, dict[str, str]]:
    """Data unit's key to spec to content's SHA-1."""
    rows: list[dict[str, Any]] = box.units(1)
    found = {row["meta"]["dataset_key"]: {s: f["checksum"] for s, f in row["files"].items()} for row in rows}
    assert len(found) == len(rows)
    return found


def test_hostile_names_are_planned_rendered_and_uploaded(
    user: User, sandbox_factory: SandboxFactory, monkeypatch: Any
) -> None:
    image, mask = "im'age \\ {{ 1 }}", "마스크 \u2028"
    specs = (
        spec(image, [".png"], required=True, primary=True, kind="image"),
        spec(mask, [".png"], kind="image"),
        spec("la\"bel", [".json"], required=True),
    )  # fmt: skip
    box = sandbox_factory(seed=seed_with(collections=[collection(1, "Hostile {x}", *specs)]))
    monkeypatch.setenv("SYNAPSE_HOST", box.host)
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", box.token)
    tree: dict[str, bytes | str] = {}
    for number, name in enumerate(HOSTILE):
        tree |= {f"{name}/img/a.png": PNG + b"\0" * number, f"{name}/mask/a.png": PNG, f"{name}/l.json": str(number)}
    source = user.files(tree, "so'urce {{ x }} 데이터")
    document = user.say(path=source.name)
    assert document.status == "ready"
    assert understood(document, f"specs.{mask}.pattern")["value"] == "mask/*.png"
    name = "so-urce-x-데이터"
    assert run_job(user, box, name) == 0
    expected = {
        key: {
            image: hashlib.sha1(PNG + b"\0" * number).hexdigest(),
            mask: hashlib.sha1(PNG).hexdigest(),
            'la"bel': hashlib.sha1(str(number).encode()).hexdigest(),
        }
        for number, key in enumerate(HOSTILE)
    }
    assert arrived(box) == expected
    assert run_job(user, box, name) == 0
    assert arrived(box) == expected


def test_what_is_left_out_by_consent_does_not_arrive(
    user: User, sandbox_factory: SandboxFactory, monkeypatch: Any
) -> None:
    specs = (spec("image_1", [".png"], required=True), spec("label_1", ["json"], required=True))
    box = sandbox_factory(seed=seed_with(collections=[collection(1, "Scans", *specs)]))
    monkeypatch.setenv("SYNAPSE_HOST", box.host)
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", box.token)
    user.files({f"p{n}/{name}": PNG if "png" in name else f"{n}" for n in range(5) for name in ("a.png", "a.json")})
    user.files({"p1/a.json": "", "p2/b.png": PNG})
    (user.folder / "scans/p3/a.png").unlink()
    document = user.say(
        "incomplete=leave_out", 'leave_out=["empty-file","several-candidates"]', path="scans", project=3
    )
    assert document.status == "ready" and document.dry_run is not None and document.dry_run["planned"] == 2
    assert run_job(user, box, "scans") == 0
    assert set(arrived(box)) == {"p0", "p4"} and len(box.tasks()) == 2
    again = user.say(path="scans")
    assert again.status == "ready" and again.dry_run is not None and again.dry_run["pending"] == 0
