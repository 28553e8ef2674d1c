"""Files from several places at once: byte for byte what is there arrives, and what is unfit or gone is named."""

from __future__ import annotations

import signal

import pytest

from job_fixture import PNG, killing
from remote_fixture import SECRET, MixedJob
from sources.trees import Fault, Front, s3_error

# Slow, each with a quicker neighbour that runs every day.
pytestmark = pytest.mark.heavy

UNITS = 7
STAGER = "synapse_skills.job.upload.staging:Stager"
POST = "synapse_skills.backend.api:Api.post_once"


def test_mixed_sources_arrive_byte_by_byte(mixed: MixedJob) -> None:
    mixed.units(UNITS)
    mixed.run("--dry-run")
    told = mixed.problem("content-checked-later")
    assert told["severity"] == "info"
    assert told["count"] == UNITS
    assert mixed.tree.url in told["examples"][0]
    done = mixed.run()
    assert mixed.there() == mixed.wanted()
    report = mixed.report()
    assert report["created"] == UNITS
    assert report["files"]["sent"] == 3 * UNITS
    assert not mixed.staged
    assert "again" not in done.stderr


def test_a_storage_of_the_backend_needs_no_login_but_synapses(mixed: MixedJob) -> None:
    mixed.units(UNITS)
    mixed.plan_with(sources=mixed.sources(through_backend=True))
    nothing = {f"SYNAPSE_S3_{name}": "" for name in ("ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}
    mixed.run(before=killing(POST, 2, when="after"), expect=-signal.SIGKILL, **nothing)
    done = mixed.run(**nothing, SYNAPSE_SKILLS_DEBUG="1")
    assert mixed.there() == mixed.wanted()
    assert SECRET not in done.stdout + done.stderr
    assert all(SECRET.encode() not in path.read_bytes() for path in mixed.folder.rglob("*") if path.is_file())


@pytest.mark.heavy
def test_what_has_arrived_is_not_fetched_again(mixed: MixedJob, s3: Front) -> None:
    mixed.units(UNITS)
    mixed.run("--limit", "4")
    s3.asked.clear()
    mixed.run()
    assert mixed.there() == mixed.wanted()
    assert sum(asked.startswith("GET") and ".json" in asked for asked in s3.asked) == UNITS - 4


@pytest.mark.parametrize(
    ("target", "nth", "when"),
    [
        pytest.param(POST, 2, "after", marks=pytest.mark.heavy),
        pytest.param(f"{STAGER}._fetch", 4, "after", marks=pytest.mark.heavy),
        pytest.param(f"{STAGER}._fetch", 1, "before", marks=pytest.mark.heavy),
        pytest.param(POST, 1, "before", marks=pytest.mark.heavy),
        pytest.param(POST, 1, "after", marks=pytest.mark.heavy),
        pytest.param(POST, 3, "before", marks=pytest.mark.heavy),
    ],
)
def test_killed_in_the_middle_it_goes_on(mixed: MixedJob, target: str, nth: int, when: str) -> None:
    mixed.units(UNITS)
    mixed.run(before=killing(target, nth, when=when), expect=-signal.SIGKILL)
    mixed.run()
    assert mixed.there() == mixed.wanted()
    assert not mixed.staged


@pytest.mark.heavy
def test_what_is_unfit_is_quarantined_when_it_is_here(mixed: MixedJob) -> None:
    mixed.units(3)
    mixed.tree.put("labels/patient_001.json", b'{"note": "<script>alert(1)</script>"}')
    mixed.run("--dry-run")
    mixed.run(expect=5)
    assert mixed.report()["quarantined"] == 1
    assert "patient_001" in mixed.problem("refused-by-guard")["examples"][0]
    del mixed.files["patient_001"]
    assert mixed.there() == mixed.wanted()


@pytest.mark.heavy
def test_names_that_the_guard_refuses_are_known_before_anything_is_sent(mixed: MixedJob) -> None:
    mixed.units(2)
    mixed.tree.put("labels/credentials.json", b"{}")
    (mixed.images / "credentials.png").write_bytes(PNG)
    mixed.run("--dry-run", expect=1)
    assert "credentials" in mixed.problem("refused-by-guard")["examples"][0]


@pytest.mark.parametrize(
    ("content", "code"),
    [(b'{"another": 1}', "changed-while-reading"), pytest.param(None, "vanished", marks=pytest.mark.heavy)],
)
def test_what_changes_after_the_listing_is_named(mixed: MixedJob, content: bytes | None, code: str) -> None:
    mixed.units(3)
    listed = mixed.folder / "listed"

    def change_after_the_walk() -> None:
        import time

        from synapse_skills.sources import Inventory

        walk = Inventory.walk

        def walked(self: Inventory, *args: object, **more: object) -> object:
            found = walk(self, *args, **more)  # type: ignore[arg-type]
            listed.touch()
            while listed.exists():
                time.sleep(0.01)
            return found

        Inventory.walk = walked  # type: ignore[method-assign,assignment]

    process = mixed.start(before=change_after_the_walk)
    while not listed.exists():
        assert process.poll() is None
    if content is None:
        mixed.tree.drop("labels/patient_001.json")
    else:
        mixed.tree.put("labels/patient_001.json", content)
    listed.unlink()
    _, err = process.communicate()
    assert process.returncode == 5, err
    assert "patient_001" in mixed.problem(code)["examples"][0]
    del mixed.files["patient_001"]
    assert mixed.there() == mixed.wanted()


def test_a_token_that_expires_in_the_middle_ends_the_run_and_the_next_goes_on(mixed: MixedJob, s3: Front) -> None:
    mixed.units(UNITS)
    fetched: set[str] = set()

    def expired_after_three(asked: str) -> Fault | None:
        if len(fetched) == 3:
            return s3_error(400, "ExpiredToken")
        if asked.startswith("GET") and ".json" in asked:
            fetched.add(asked)
        return None

    s3.refuse = expired_after_three
    try:
        mixed.run(expect=3)
    finally:
        s3.refuse = lambda asked: None
    told = mixed.problem("source-login")
    assert "ExpiredToken" in told["examples"][0]
    report = mixed.report()
    assert (report["quarantined"], report["failed"]) == (0, 0)
    assert report["created"] + report["pending"] == UNITS
    mixed.run()
    assert mixed.there() == mixed.wanted()


@pytest.mark.heavy
def test_access_that_is_lost_ends_the_run_and_the_next_goes_on(mixed: MixedJob, s3: Front) -> None:
    mixed.units(UNITS)

    def revoked_after_two() -> None:
        from synapse_skills.errors import OutOfReach
        from synapse_skills.sources.access import RemoteAccess

        fetch, count = RemoteAccess.fetch, iter(range(100))

        def fetched(self: RemoteAccess, *args: object) -> None:
            if next(count) >= 2:
                raise OutOfReach("it may not be read with this login", code="source-denied")
            fetch(self, *args)  # type: ignore[arg-type]

        RemoteAccess.fetch = fetched  # type: ignore[method-assign,assignment]
        RemoteAccess.open = fetched  # type: ignore[method-assign,assignment]

    mixed.run(before=revoked_after_two, expect=3)
    report = mixed.report()
    assert mixed.problem("source-denied")
    assert report["quarantined"] == 0
    mixed.run()
    assert mixed.there() == mixed.wanted()


@pytest.mark.heavy
def test_one_closed_file_costs_its_data_unit_alone(mixed: MixedJob) -> None:
    mixed.units(4)

    def one_is_closed() -> None:
        from synapse_skills.errors import OutOfReach
        from synapse_skills.job.upload import staging
        from synapse_skills.sources import File
        from synapse_skills.sources.access import RemoteAccess

        staging.FETCHES = 1
        fetch = RemoteAccess.fetch

        def fetched(self: RemoteAccess, file: File, *args: object) -> None:
            if "patient_002" in file.path:
                raise OutOfReach("it may not be read with this login", code="source-denied")
            fetch(self, file, *args)  # type: ignore[arg-type]

        RemoteAccess.fetch = fetched  # type: ignore[method-assign,assignment]

    mixed.run(before=one_is_closed, expect=5)
    assert "patient_002" in mixed.problem("unreadable-file")["examples"][0]
    del mixed.files["patient_002"]
    assert mixed.there() == mixed.wanted()


@pytest.mark.heavy
def test_bursts_of_503_are_waited_for(mixed: MixedJob, s3: Front) -> None:
    mixed.units(3)
    s3.faults.extend([s3_error(503, "SlowDown")] * 3)
    mixed.run()
    assert mixed.there() == mixed.wanted()


@pytest.mark.heavy
def test_a_wrong_login_is_said_before_anything_is_sent(mixed: MixedJob) -> None:
    mixed.units(1)
    done = mixed.run(expect=3, SYNAPSE_S3_SECRET_ACCESS_KEY="", AWS_EC2_METADATA_DISABLED="true")
    assert "SYNAPSE_S3_SECRET_ACCESS_KEY" in done.stderr
    assert not mixed.box.units()


def test_no_key_is_in_anything_written_or_printed(mixed: MixedJob) -> None:
    mixed.units(2)
    mixed.plan_with(state=f"{mixed.tree.url}/state")
    printed = []
    for flags in (["--dry-run"], ["--json"]):
        done = mixed.run(*flags, expect=None, SYNAPSE_SKILLS_DEBUG="1")
        printed.append(done.stdout + done.stderr)
    written = [path.read_bytes() for path in mixed.folder.rglob("*") if path.is_file()]
    written += [each.value for each in mixed.tree._backend.get_bucket(mixed.tree.bucket).keys.values()]
    assert len(written) > 20
    assert all(SECRET not in text for text in printed)
    assert all(SECRET.encode() not in content for content in written)


@pytest.mark.heavy
def test_no_key_is_in_what_an_unreachable_place_says(mixed: MixedJob) -> None:
    mixed.units(1)
    nowhere = {"SYNAPSE_S3_ENDPOINT_URL": "http://127.0.0.1:9", "SYNAPSE_SKILLS_DEBUG": "1"}
    done = mixed.run(expect=3, SYNAPSE_SOURCE_TIMEOUT_S="0.2", **nowhere)
    assert mixed.problem("source-unreachable")
    assert SECRET not in done.stdout + done.stderr + (mixed.state / "report.json").read_text()
