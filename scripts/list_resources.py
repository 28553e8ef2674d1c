"""List what there is on the Synapse backend: data collections, specs, storages, projects, ground truths, agents."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from synapse_skills.errors import EXIT_FINDINGS, EXIT_OK, run

EPILOG = """\
examples:
  list_resources.py projects --search scans
  list_resources.py collection 57 --json

exit codes: 0 listed · 1 nothing found, or no such collection · 2 wrong usage · 3 login or backend out of reach
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="list_resources.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = ("collections", "collection", "storages", "projects", "ground-truths", "agents")
    plural = {"project": "projects", "storage": "storages", "agent": "agents", "ground-truth": "ground-truths"}
    command.add_argument(
        "kind",
        type=lambda word: plural.get(word, word),
        choices=kinds,
        help="what to list; `collection ID` lists its file specifications",
    )
    command.add_argument("id", nargs="?", metavar="ID", help="number of the collection")
    command.add_argument("--search", default="", metavar="TEXT", help="only those whose name holds TEXT")
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """List one kind."""
    args = parser().parse_args(argv)
    from synapse_skills.planning.resources import list_resources

    rows = list_resources(args.kind, args.id, search=args.search)
    if args.json:
        print(json.dumps({"kind": args.kind, "count": len(rows), "rows": rows}, ensure_ascii=False))
    elif rows:
        from synapse_skills.planning.show import show_rows

        show_rows(rows)
    else:
        print(f"No {args.kind} found.", file=sys.stderr)
    return EXIT_OK if rows else EXIT_FINDINGS


if __name__ == "__main__":
    sys.exit(run(main))
