"""Say what is at a path before an upload is planned: reachable or not, how many files, of which kinds, what is odd."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from synapse_skills.arguments import whole_number
from synapse_skills.errors import UsageError, run

EPILOG = """\
examples:
  check_path.py ~/scans
  check_path.py /mnt/nas/project --limit 10000 --json
  check_path.py s3://bucket/scans --limit 5000
  check_path.py batch_42/images --storage 11
  check_path.py /mnt/cluster/scans --on-agent

Shows how many files there are by extension (.nii.gz is one), how deep they lie, and the first names in the folder.
Folders are read, files are not opened. PATH is a folder, or s3://bucket/folder, gs://bucket/folder,
sftp://user@host/folder, smb://host/share/folder, or https://host/folder/manifest.json; with --storage ID it is relative
to that storage of the backend. Logins come from where such tools look for them, or from SYNAPSE_S3_…, SYNAPSE_GCS_…,
SYNAPSE_SFTP_…, SYNAPSE_SMB_…, SYNAPSE_HTTP_… variables; a missing one is named with the places that were looked at.
With --on-agent a small job on the cluster looks, and says what it sees; that takes half a minute or more.

exit codes: 0 files found, nothing wrong · 1 no file, or something is wrong (unreadable folders, colliding names) ·
  2 wrong usage · 3 the path is out of reach: missing, not a folder, no permission, no login,
  not supported; or the cluster is ·
  130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="check_path.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("path", metavar="PATH", help="a folder or URL")
    command.add_argument(
        "--storage", type=whole_number(), metavar="ID", help="the path is relative to this storage of the backend"
    )
    command.add_argument("--no-recursive", action="store_true", help="leave out the folders below it")
    command.add_argument(
        "--limit", type=whole_number(), metavar="N", help="stop after N files: a sample, and said to be one"
    )
    command.add_argument("--on-agent", action="store_true", help="look from the cluster, where jobs run, not from here")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Look, and show."""
    args = parser().parse_args(argv)
    from synapse_skills.sources.address import is_url
    from synapse_skills.sources.check import check_path, counting, show_report
    from synapse_skills.units import extension_of

    if args.on_agent and (args.storage is not None or is_url(args.path)):
        raise UsageError(
            "--on-agent looks at folders: a URL or a storage is the same from everywhere.", hint="Leave --on-agent out."
        )
    if args.on_agent:
        return _on_agent(args)
    with counting(quiet=args.json) as progress:
        report = check_path(
            args.path,
            storage=args.storage,
            recursive=not args.no_recursive,
            limit=args.limit,
            progress=progress,
            extension_of=extension_of,
        )
    if args.json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        show_report(report)
    return report.exit_code


def _on_agent(args: argparse.Namespace) -> int:
    from synapse_skills.cluster import check_on_agent
    from synapse_skills.sources.check import show_report

    report = check_on_agent(
        args.path,
        recursive=not args.no_recursive,
        limit=args.limit,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    if args.json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        show_report(report)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(run(main))
