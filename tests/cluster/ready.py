"""A job that may be submitted, and a command line that does what it is told."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from rendering.plans import plan
from synapse_skills.cluster.submission import JobHome
from synapse_skills.job.content import content_hash
from synapse_skills.plan import UploadPlan, plan_bytes, plan_hash
from synapse_skills.report import UploadReport

TOKEN = "secret-access-token-0123456789"

CLI = """\
#!{python}
import json, os, sys, time, urllib.request
how = open({how!r}).read()
open({seen!r}, "w").write(json.dumps([sys.argv[1:], dict(os.environ)]))
def post():
    env = {{k: v for k, v in os.environ.items() if k.startswith(("SYNAPSE_", "RAY_"))}}
    body = json.dumps({{"entrypoint": "python3 upload.py", "runtime_env": {{"env_vars": env}}}}).encode()
    return json.load(urllib.request.urlopen(urllib.request.Request({url!r} + "/api/jobs/", data=body)))["job_id"]
print("\\x1b[2mAgent:\\x1b[0m local-ray", flush=True)
if how == "ok":
    print("\\x1b[2mJob submitted:\\x1b[0m " + post())
elif how == "show-token":
    home = os.environ["HOME"]
    config = json.load(open(home + "/.synapse/config.json"))
    token = open(home + "/.ray/auth_token").read()
    body = json.dumps({{"entrypoint": "python3 upload.py", "runtime_env": {{}}}}).encode()
    headers = {{"Authorization": "Bearer " + token}}
    asked = urllib.request.Request({url!r} + "/api/jobs/", data=body, headers=headers)
    print("Job submitted: " + json.load(urllib.request.urlopen(asked))["job_id"], config["agent"]["name"])
elif how == "markup-error":
    post()
    print("Unexpected error: closing tag '[/nope]' at position 12 doesn't match any open tag")
    sys.exit(1)
elif how == "silent-but-done":
    post()
elif how == "silent":
    pass
elif how == "no-ray":
    print("Unexpected error: No module named 'ray'")
    sys.exit(1)
elif how == "hang":
    time.sleep(60)
elif how == "hang-after-post":
    post()
    time.sleep(60)
elif how == "too-large":
    print("Unexpected error: Request failed with status code 413: Maximum request body size 104857600 exceeded")
    sys.exit(1)
elif how == "token":
    print("Unexpected error: Authentication required: Missing authentication token")
    sys.exit(1)
elif how == "invented":
    print("Job submitted: raysubmit_inventedinvented")
else:
    print("Unexpected error: " + how + " " + os.environ.get("SYNAPSE_ACCESS_TOKEN", ""))
    sys.exit(1)
"""


def write_config(path: Path, **changes: Any) -> None:
    document = {
        "host": "http://127.0.0.1:9",
        "access_token": TOKEN,
        "agent": {"id": 7, "name": "local-ray", "url": "http://127.0.0.1:8000"},
    } | changes
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
    path.chmod(0o600)


def report(**changes: Any) -> UploadReport:
    fields: dict[str, Any] = {
        "name": "scans", "started": "2026-11-22T01:00:00+00:00", "seconds": 12.5, "exit_code": 0, "mode": "upload",
        "planned": 3, "created": 3,
    }  # fmt: skip
    return UploadReport(**fields | changes)


class Ready:
    """A job that has passed everything: `home`, `hash`, and ways to spoil it."""

    def __init__(self, folder: Path, state: Path, rendered: Path) -> None:
        self.home = JobHome(folder)
        self.state = state
        shutil.copytree(rendered, folder / "job")
        self.render(plan(state=str(state)))

    def render(self, made: UploadPlan) -> None:
        self.home.folder.mkdir(parents=True, exist_ok=True)
        content = plan_bytes(made)
        (self.home.folder / "plan.json").write_bytes(content)
        (self.home.job / "plan.json").write_bytes(content)
        self.plan = made
        self.hash = plan_hash(content)
        self.dry_run()

    def change(self, **changes: Any) -> None:
        self.render(UploadPlan.model_validate({**self.plan.model_dump(mode="json"), **changes}))

    def dry_run(self, **changes: Any) -> None:
        fields = {"mode": "dry-run", "created": 0, "pending": 3, "content": content_hash(self.home.job)}
        self.home.dry_run.write_text(report(**fields | changes).model_dump_json())


class Cli:
    """The SDK's command line as it may behave: `how`; `seen()` are its arguments and environment."""

    def __init__(self, folder: Path, url: str) -> None:
        self._how, self._seen = folder / "how", folder / "seen.json"
        self.script = folder / "synapse"
        folder.mkdir()
        self.script.write_text(CLI.format(python=sys.executable, how=str(self._how), seen=str(self._seen), url=url))
        self.script.chmod(0o755)
        self.how("ok")

    def how(self, name: str) -> None:
        self._how.write_text(name)

    def seen(self) -> tuple[list[str], dict[str, str]]:
        arguments, env = json.loads(self._seen.read_text())
        return arguments, env
