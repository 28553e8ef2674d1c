"""Plan an upload: takes what is known, finds out the rest, asks what is left; then renders and dry-runs the job."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synapse_skills.errors import run

EPILOG = """\
Without arguments it asks the first questions. The folder of the job is synapse-jobs/NAME, which remembers all
answers: run it again with one more answer until it is ready.

examples:
  plan_upload.py ./scans --collection 57 --excel patients.xlsx --set 'specs.mask_1.pattern=mask/*.png' --json
  plan_upload.py --source image_1=/mnt/images --source label_1=/data/labels --set sources.2.recursive=false

KEY is the `key` of a question, VALUE is JSON, or text if it isn't; null takes an answer back.

exit codes: 0 ready: planned, rendered and dry-run · 1 blocked: what was found is not fit · 2 wrong usage ·
  3 login, backend, source or disk out of reach · 4 more answers needed · 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="plan_upload.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("paths", nargs="*", metavar="PATH", help="folder with the files; several are several sources")
    command.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="SPEC=PATH",
        help="a folder whose files all fill one spec; repeatable, after the PATHs",
    )
    command.add_argument(
        "--no-recursive",
        action="store_true",
        help="only what lies directly in the folders; for the second alone: --set sources.2.recursive=false",
    )
    command.add_argument("--collection", metavar="ID", help="data collection that the files go to: number or name")
    command.add_argument("--storage", metavar="ID", help="must be the default storage: uploads always land there")
    command.add_argument("--project", metavar="ID", help="make a task in it for every data unit; `list` shows them")
    command.add_argument(
        "--excel",
        "--metadata",
        metavar="FILE",
        help="table with metadata, a row for each data unit: .xlsx, .xls, .csv, .tsv, .json, .jsonl",
    )
    command.add_argument("--batch-size", metavar="N", help="data units created with one request (default: 100)")
    command.add_argument("--name", metavar="NAME", help="name of the job (default: the folder's)")
    command.add_argument("--set", action="append", default=[], metavar="K=V", help="answer one question; repeatable")
    command.add_argument(
        "--answers", type=Path, metavar="FILE", help="answers of an earlier plan: its file, or its job's folder"
    )
    command.add_argument(
        "--params", type=Path, metavar="FILE", help="upload parameters as JSON: path or assets, storage, …"
    )
    command.add_argument(
        "--pattern", type=Path, metavar="FILE", help="batch pattern as JSON: root, file_rules, group_key_regex, …"
    )
    command.add_argument(
        "--rescan", action="store_true", help="look at every file now, whatever an earlier round found"
    )
    command.add_argument(
        "--on-agent",
        action="store_true",
        help="the paths are those of the cluster: it lists the files, and the dry run runs there; remembered",
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="folder of the job (default: synapse-jobs/NAME)")
    command.add_argument("--keys", action="store_true", help="print the reference of keys, and nothing else")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Hold one round of the conversation."""
    args = parser().parse_args(argv)
    if args.keys:
        from synapse_skills.planning.keys import keys_page

        print(keys_page(), end="")
        return 0
    from synapse_skills.planning import Request, plan_upload, source_flags

    flags: dict[str, Any] = {
        **source_flags(args.paths, args.source, recursive=False if args.no_recursive else None),
        "on_agent": True if args.on_agent else None,
        "data_collection": args.collection,
        "storage": args.storage,
        "project": args.project,
        "metadata.table": args.excel,
        "limits.batch_size": args.batch_size,
        "name": args.name,
    }
    given = {key: value for key, value in flags.items() if value is not None}
    document = plan_upload(Request(given, args.set, args.answers, args.out, args.params, args.pattern, args.rescan))
    if args.json:
        print(json.dumps(document.as_dict(), ensure_ascii=False))
    else:
        from synapse_skills.planning.show import show_document

        show_document(document)
    return document.exit_code


if __name__ == "__main__":
    sys.exit(run(main))
