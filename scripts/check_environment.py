"""Check Python, synapse-sdk, login and backend; with --for submit also agent, dashboard and Ray.

Runs on a bare Python 3.6 too: it is there to say what is missing.
"""

import argparse
import json
import os
import sys
from typing import List, Optional, Sequence

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from launcher.environments import LOCKS, ROOT, find_ready, lock_digest  # noqa: E402
from launcher.interpreters import find_python  # noqa: E402
from launcher.messages import ENVIRONMENT, INTERRUPTED, LaunchError, fail  # noqa: E402
from synapse_skills import environment as env  # noqa: E402

EPILOG = """\
examples:
  run.py check_environment
  run.py check_environment --for submit --json

exit codes: 0 everything is there · 2 wrong usage · 3 something is missing: each line says what mends it
"""


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(
        prog="check_environment",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--for", dest="purpose", choices=["upload", "export", "submit"], help="what it has to be fit for")
    made.add_argument("--json", action="store_true", help="one JSON document on stdout: checks, and whether all is ok")
    return made


def check(purpose: Optional[str]) -> List[env.Check]:
    """Everything in order; what can't be asked because something before it is missing says so."""
    ours = {kind: _prefix(kind) for kind in ("normal", "ray")}
    prefixes = [prefix for prefix in ours.values() if prefix]
    checks = [_check_python(), _check_packages(ours["ray" if purpose == "submit" else "normal"])]
    checks.append(env.check_sdk(env.minimum_sdk(str(ROOT / "pyproject.toml")), prefixes))
    config, checked = env.read_config(env.config_path())
    login, found = env.resolve_login(os.environ, config)
    if login is not None and checked.status == env.ERROR:
        checked = checked._replace(status=env.WARNING)  # the environment alone is enough
    checks += [checked, found]
    agents = None
    if login is None:
        checks.append(env.Check("backend", env.ERROR, "not asked: there is no login", "Mend the login first."))
    else:
        rows, checked = env.check_backend(login)
        agents = rows if checked.status == env.OK else None
        checks.append(checked)
    if purpose == "submit":
        host, checked = env.check_agent(config, agents)
        checks.append(checked)
        if host:
            checks.append(env.check_dashboard(host))
        checks.append(env.check_ray([ours["ray"]] if ours["ray"] else []))
    return checks


def _prefix(kind: str) -> Optional[str]:
    python = find_ready(lock_digest(ROOT / LOCKS[kind]))
    return os.path.dirname(os.path.dirname(python)) if python else None


def _check_python() -> env.Check:
    try:
        found = find_python(bring=False)
    except LaunchError as error:
        return env.Check("python", env.ERROR, str(error), error.hint)
    return env.Check("python", env.OK, "CPython {} ({})".format(".".join(map(str, found.version)), found.path))


def _check_packages(prefix: Optional[str]) -> env.Check:
    if prefix:
        return env.Check("packages", env.OK, prefix)
    return env.Check("packages", env.WARNING, "not installed yet", "run.py installs them at the first start (network).")


def show(checks: Sequence[env.Check], as_json: bool) -> int:
    """Print what was found; the exit code says whether it is enough."""
    fine = all(one.status != env.ERROR for one in checks)
    if as_json:
        print(json.dumps({"checks": [dict(one._asdict()) for one in checks], "ok": fine}))
    elif not _table(checks):
        for one in checks:
            _print("{:<8} {:<12} {}".format(one.status, one.name, one.detail))
            if one.status != env.OK and one.fix:
                _print("{:<21} -> {}".format("", one.fix))
    return 0 if fine else ENVIRONMENT


def _table(checks: Sequence[env.Check]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(box=None, pad_edge=False)
    for title in ("check", "", "detail"):
        table.add_column(title, overflow="fold")
    colours = {env.OK: "green", env.WARNING: "yellow", env.ERROR: "red"}
    for one in checks:
        fix = "\n-> {}".format(one.fix) if one.status != env.OK and one.fix else ""
        table.add_row(Text(one.name), Text(one.status, style=colours[one.status]), Text(one.detail + fix))
    # In a pipe nothing says how wide the reader is: wide enough that paths stay in one piece.
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)
    return True


def _print(text: str) -> None:
    encoding = sys.stdout.encoding or "ascii"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Check and show."""
    arguments = parser().parse_args(argv)
    try:
        return show(check(arguments.purpose), arguments.json)
    except LaunchError as error:
        return fail(error, arguments.json)
    except KeyboardInterrupt:
        return fail(LaunchError("Interrupted.", "", "interrupted", INTERRUPTED), arguments.json)


if __name__ == "__main__":
    sys.exit(main())
