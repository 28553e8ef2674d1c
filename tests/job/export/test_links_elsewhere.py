"""Links that lead to a storage of another host: followed as they are, and without the login."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from export_fixture import ExportJob, boxes, row
from synapse_skills.backend import TransferFailed
from synapse_skills.backend.storage_link import storage_link
from synapse_skills.export_plan import FormatPlan
from synapse_skills.job.export import payloads


class Elsewhere:
    """A storage of its own that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        asked, answers = self.asked, self.answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, dict(self.headers)))
                status, headers, body = answers.get(self.path.partition("?")[0], (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    storage = Elsewhere()
    yield storage
    storage.stop()


def test_a_payload_at_another_host_is_fetched_there_without_the_login(
    export_job: ExportJob, elsewhere: Elsewhere
) -> None:
    elsewhere.answers["/bucket/7%2B1.json"] = (200, {}, json.dumps(boxes(3)).encode())
    link = f"{elsewhere.host}/bucket/7%2B1.json?X-Amz-Credential=a%2Fb&X-Amz-Signature=s%2B1"
    export_job.plan_with(formats=(FormatPlan(name="coco"),))
    export_job.label(row(1, {"mode": "presigned", "presigned_url": link, "size": 9}))
    export_job.do()
    assert export_job.report()["annotations"]["read"] == 3
    (path, headers), *_ = elsewhere.asked
    assert path == "/bucket/7%2B1.json?X-Amz-Credential=a%2Fb&X-Amz-Signature=s%2B1"
    assert export_job.box.token not in json.dumps(headers)


@pytest.mark.parametrize(
    ("said", "leads_to"),
    [
        ("https://s3.test/b/k%20x.png?sig=a%2Bb%2F", "https://s3.test/b/k%20x.png?sig=a%2Bb%2F"),
        ("/media/1.png?sig=x", "http://backend.test:8000/media/1.png?sig=x"),
        ("//cdn.test/1.png", "http://cdn.test/1.png"),
        ("https://s3.test/그림 1.png", "https://s3.test/%EA%B7%B8%EB%A6%BC%201.png"),
    ],
)
def test_a_link_leads_where_it_says(said: str, leads_to: str) -> None:
    assert str(storage_link("http://backend.test:8000", said)) == leads_to


@pytest.mark.parametrize(
    "said",
    [
        *("file:///etc/passwd", "ftp://s3.test/1", "gopher://127.0.0.1/", "http://", "http://[::1", "http://a:99999/"),
        *("javascript:alert(1)", "data:text/plain,x", "http://169.254.169.254/latest/", "http://[fe80::1]/x"),
        "http://Metadata.Google.internal./computeMetadata/v1/",
    ],
)
def test_a_link_to_nowhere_is_not_followed(said: str) -> None:
    with pytest.raises(TransferFailed, match="its link is"):
        storage_link("http://backend.test", said)


def test_a_payload_that_no_memory_should_hold_is_left_alone(
    export_job: ExportJob, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is small until it is unpacked; and it is not asked for again at once."""
    monkeypatch.setattr(payloads, "MAX_BYTES", 1 << 20)
    elsewhere.answers["/bomb"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * (2 << 20)))
    export_job.plan_with(formats=(FormatPlan(name="coco"),))
    export_job.label(row(1, {"mode": "presigned", "presigned_url": f"{elsewhere.host}/bomb"}), row(2))
    export_job.do(expect=5)
    assert export_job.report()["records"] == {"read": 2, "exported": 1, "quarantined": 1, "left_out": 0}
    assert len(elsewhere.asked) == 2  # and once more for what was lacking
