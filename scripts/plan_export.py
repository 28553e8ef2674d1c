"""Plan an export: takes what is known, finds out the rest, asks what is left; then renders and dry-runs the job."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synapse_skills.errors import UsageError, run

EPILOG = """\
Without arguments it asks the first questions. The folder of the job is synapse-jobs/NAME, NAME being the project's
title; it remembers all answers: run it again with the same --project and one more answer until it is ready.

examples:
  plan_export.py --project 12 --format coco yolo --filter '{"review": "confirmed"}' --split 80/20 --json
  plan_export.py --ground-truth-version 5 --format coco --originals required --classes classes.txt
  plan_export.py --project 12 --format coco --output s3://datasets/cars
  plan_export.py --project 12 --format coco --storage 11 --as plugin --set plugin.style=step

KEY is the `key` of a question, VALUE is JSON, or text if it isn't; null takes an answer back.

exit codes: 0 ready: planned, rendered and dry-run · 1 blocked: what was found is not fit · 2 wrong usage ·
  3 login, backend or disk out of reach · 4 more answers needed · 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="plan_export.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("--target", metavar="T", help="assignment, ground_truth or task")
    # Several words are read as one title, or refused by name; argparse alone would say "unrecognized arguments".
    command.add_argument(
        "--project", action="extend", nargs="+", metavar="ID", help="project to export: number or title; one only"
    )
    command.add_argument(
        "--ground-truth-version",
        action="extend",
        nargs="+",
        metavar="ID",
        help="version of a ground truth to export: its number; one only",
    )
    command.add_argument("--format", action="extend", nargs="+", default=[], metavar="F", help="formats to write")
    command.add_argument("--filter", metavar="JSON", help="filters as one JSON object: see --keys filters")
    command.add_argument("--split", metavar="R", help="parts, such as 80/20 or 70/20/10; none for no split")
    command.add_argument("--originals", metavar="M", help="the original files: none, optional or required")
    command.add_argument(
        "--classes", type=Path, metavar="FILE", help="the classes in order: a text with one a line, or JSON"
    )
    command.add_argument("--output", metavar="PATH", help="folder or URL (default: output in the job's folder)")
    command.add_argument("--storage", metavar="ID", help="a storage of the backend; --output is then a path in it")
    command.add_argument(
        "--as",
        dest="made_into",
        metavar="KIND",
        help="script (default), or plugin: an export plugin besides",
    )
    command.add_argument("--name", metavar="NAME", help="name of the job (default: the project's title)")
    command.add_argument("--set", action="append", default=[], metavar="K=V", help="answer one question; repeatable")
    command.add_argument(
        "--answers", type=Path, metavar="FILE", help="answers of an earlier plan: its file, or its job's folder"
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="folder of the job (default: synapse-jobs/NAME)")
    command.add_argument(
        "--keys",
        nargs="?",
        const="keys",
        choices=("keys", "filters", "formats"),
        help="print a reference (keys, filters or formats), and nothing else",
    )
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def flags_of(args: argparse.Namespace) -> dict[str, Any]:
    """Flags as answers.

    Raises:
        UsageError: --filter is no JSON object, or --classes names no list of classes.
    """
    from synapse_skills.planning import filter_flag, read_classes

    flags: dict[str, Any] = {}
    if args.filter is not None:
        try:
            filter = json.loads(args.filter)
        except (ValueError, RecursionError):
            filter = None
        if not isinstance(filter, dict):
            raise UsageError(
                "--filter is no JSON object.", hint='For example: --filter \'{"status": "done"}\'', code="bad-filter"
            )
        flags |= filter_flag(filter)
    if args.classes is not None:
        flags |= read_classes(args.classes)
    own = {
        "target": args.target,
        "project": " ".join(args.project) if args.project else None,
        "ground_truth_version": " ".join(args.ground_truth_version) if args.ground_truth_version else None,
        "formats": [part for word in args.format for part in word.split(",") if part] or None,
        "split.ratios": args.split,
        "originals": args.originals,
        "output": str(args.output) if args.output else None,
        "storage": args.storage,
        "name": args.name,
        "as": args.made_into,
    }
    return {**flags, **{key: value for key, value in own.items() if value is not None}}


def main(argv: Sequence[str] | None = None) -> int:
    """Hold one round of the conversation."""
    args = parser().parse_args(argv)
    if args.keys:
        from synapse_skills.planning.export_keys import PAGES

        print(PAGES[args.keys](), end="")
        return 0
    from synapse_skills.planning import Request, plan_export

    document = plan_export(Request(flags_of(args), args.set, args.answers, args.out))
    if args.json:
        print(json.dumps(document.as_dict(), ensure_ascii=False))
    else:
        from synapse_skills.planning.show import show_document

        show_document(document)
    return document.exit_code


if __name__ == "__main__":
    sys.exit(run(main))
