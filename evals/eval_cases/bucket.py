"""An S3 on this machine with a case's objects in it, as a process of its own: `CASE DIR READY_FILE`."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from pathlib import Path

BUCKET = "fleet"


def main(name: str, root: str, ready: str) -> None:
    """Serve until SIGTERM."""
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    from eval_cases import CASES
    from eval_cases.case import Place

    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    # Straight into moto's memory: a PUT over HTTP takes 6 ms.
    backend = s3_backends["123456789012"]["aws"]
    backend.create_bucket(BUCKET, "us-east-1")
    make = CASES[name].bucket
    assert make is not None
    for key, content in make(Place(Path(root)).size).items():
        backend.put_object(BUCKET, key, content)
    _, port = server.get_host_and_port()
    beside = Path(ready + ".new")
    beside.write_text(json.dumps({"url": f"http://127.0.0.1:{port}"}))
    beside.replace(ready)
    ended.wait()
    server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:4])
