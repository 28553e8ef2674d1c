"""Links that lead to where a cloud keeps the keys of a machine: at once, by a redirect, or by a name that means it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from canary import SIGNATURE, leaks
from export_fixture import ExportJob, boxes, row
from job.export.test_links_elsewhere import Elsewhere
from job_fixture import Job
from synapse_skills.backend import addresses
from synapse_skills.backend.addresses import OwnNetwork, Resolver, is_own_network
from synapse_skills.export_plan import FormatPlan

METADATA = "169.254.169.254"


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    storage = Elsewhere()
    yield storage
    storage.stop()


class Names:
    """What names mean, in the place of a server of names."""

    def __init__(self, known: dict[str, list[str]]) -> None:
        self.known = known

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[dict[str, Any]]:
        return [
            {"hostname": host, "host": each, "port": port, "family": 2, "proto": 0, "flags": 0}
            for each in self.known[host]
        ]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    monkeypatch.setattr(addresses.aiohttp, "DefaultResolver", lambda: Names(known))
    return known


@pytest.mark.parametrize(
    "host",
    [METADATA, "169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "fd00:ec2::254", "FD00:EC2::254",
     "2002:a9fe:a9fe::1", "2852039166", "0xa9fea9fe", "0251.0376.43518",
     "metadata.google.internal.", "Metadata.Google.Internal"],
)  # fmt: skip
def test_an_own_network(host: str) -> None:
    assert is_own_network(host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "172.17.0.1", "fd12::1", "s3.test", ""]
)
def test_private_networks_stay_open(host: str) -> None:
    assert not is_own_network(host)


def test_a_name_is_judged_by_what_it_means(names: dict[str, list[str]]) -> None:
    names |= {"bad.test": [METADATA], "both.test": [METADATA, "127.0.0.1"], "mine.test": [METADATA]}

    async def found(host: str) -> list[str]:
        return [each["host"] for each in await Resolver({"Mine.test"}).resolve(host)]

    assert asyncio.run(found("both.test")) == ["127.0.0.1"]
    assert asyncio.run(found("mine.test")) == [METADATA]
    with pytest.raises(OwnNetwork):
        asyncio.run(found("bad.test"))


OTHERS = ("[fe80::1]", "[::ffff:a9fe:a9fe]", "rebound.test", "2852039166")


@pytest.mark.parametrize("target", [METADATA, *(pytest.param(each, marks=pytest.mark.heavy) for each in OTHERS)])
def test_a_payload_is_not_followed_there(
    export_job: ExportJob, elsewhere: Elsewhere, names: dict[str, list[str]], target: str
) -> None:
    names |= {"rebound.test": [METADATA]}
    away = f"http://{target}/latest/meta-data/?X-Amz-Signature={SIGNATURE}"
    elsewhere.answers["/away"] = (302, {"Location": away}, b"")
    export_job.plan_with(formats=(FormatPlan(name="coco"),))
    link = f"{elsewhere.host}/away?X-Amz-Signature={SIGNATURE}"
    export_job.label(
        row(1, {"mode": "presigned", "presigned_url": link}),
        row(2, {"mode": "presigned", "presigned_url": away}),
        row(3),
    )
    began = time.monotonic()
    export_job.do(expect=5)
    assert time.monotonic() - began < 10  # refused, not tried again and again
    assert export_job.report()["records"] == {"read": 3, "exported": 1, "quarantined": 2, "left_out": 0}
    assert leaks([export_job.home, export_job.output], export_job.box.token) == []


@pytest.mark.heavy
def test_a_redirect_to_another_storage_is_followed_and_one_without_end_is_not(
    export_job: ExportJob, elsewhere: Elsewhere
) -> None:
    elsewhere.answers |= {
        "/one": (307, {"Location": f"{elsewhere.host.replace('127.0.0.1', 'localhost')}/two?a=b%2Bc"}, b""),
        "/two": (200, {}, json.dumps(boxes(2)).encode()),
        "/round": (302, {"Location": "/round"}, b""),
    }
    export_job.plan_with(formats=(FormatPlan(name="coco"),))
    export_job.label(
        *(row(1, {"mode": "presigned", "presigned_url": elsewhere.host + at}) for at in ("/one", "/round"))
    )
    export_job.do(expect=5)
    assert export_job.report()["records"]["exported"] == 1
    assert "/two?a=b%2Bc" in [path for path, _ in elsewhere.asked]
    assert [path for path, _ in elsewhere.asked].count("/round") <= 12


@pytest.mark.heavy
def test_nothing_is_sent_there(job: Job) -> None:
    """A backend that hands out places for files on the machine's own network: the bytes stay here."""

    def elsewhere() -> None:
        from dataclasses import replace

        from synapse_skills.backend import Transfer

        real = Transfer.presign

        async def presign(self: Any, files: Any) -> Any:
            url = f"http://{METADATA}/x?X-Amz-Signature={SIGNATURE}"
            return [ticket and replace(ticket, url=url) for ticket in await real(self, files)]

        Transfer.presign = presign  # type: ignore[method-assign]

    job.units(2)
    done = job.run(before=elsewhere, expect=5)
    assert job.report()["failed"] == 2 and job.box.units() == []
    assert "own network" in str(job.report()["problems"])
    assert leaks([job.home, done.stdout, done.stderr], job.box.token) == []


def test_every_session_of_ours_has_the_resolver() -> None:
    """Nothing else follows links: a new session would have to be looked at."""
    from synapse_skills.backend import Api, Login

    async def resolver() -> object:
        async with Api(Login("http://127.0.0.1:9", None, "access-token", {})) as api:
            connector = api.plain_session.connector
            assert isinstance(connector, aiohttp.TCPConnector)
            return connector._resolver

    assert isinstance(asyncio.run(resolver()), Resolver)
