"""The commands of the evals: world, stage, grade, emit."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from eval_cases import CASES, Case, emitting, staging
from eval_cases.case import Place
from eval_cases.wrong import Wrong


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="evals", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    world = commands.add_parser("world", help="write the world of a case into an empty folder; starts nothing")
    world.add_argument("case", nargs="?", help="without it the cases are listed")
    world.add_argument("dir", nargs="?", type=Path)
    world.add_argument("--size", type=int, help="for cases that come in sizes, such as the number of files on S3")
    stage = commands.add_parser("stage", help="start what a world needs; afterwards env.sh is there")
    stage.add_argument("dir", type=Path)
    stage.add_argument("--for", dest="seconds", type=int, metavar="S", help="the servers end after so many seconds")
    stage.add_argument("--stop", action="store_true", help="stop it again")
    grade = commands.add_parser("grade", help="exit 0: all expectations met; 1: some are not")
    grade.add_argument("case")
    grade.add_argument("dir", type=Path)
    emit = commands.add_parser("emit", help="write what is made from the cases")
    emit.add_argument("--check", action="store_true", help="only say whether it is up to date")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    args = parser().parse_args(argv)
    try:
        return int({"world": _world, "stage": _stage, "grade": _grade, "emit": _emit}[args.command](args))
    except Wrong as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _known(name: str) -> Case:
    if name not in CASES:
        raise Wrong(f"there is no case {name}; there are: {', '.join(CASES)}")
    return CASES[name]


def _of(place: Place) -> Case:
    try:
        return _known(json.loads((place.root / "case.json").read_bytes())["case"])
    except (OSError, ValueError, LookupError):
        raise Wrong(f"{place.root} is no world of a case") from None


def _world(args: argparse.Namespace) -> int:
    if args.case is None:
        for case in CASES.values():
            print(f"{case.name:32} {case.prompt}")
        return 0
    if args.dir is None:
        raise Wrong("world needs a folder too: world CASE DIR")
    case = _known(args.case)
    case.make(Place(args.dir.absolute()), args.size)
    print(case.sheet())
    return 0


def _stage(args: argparse.Namespace) -> int:
    place = Place(args.dir.absolute())
    if args.stop:
        staging.stop(place)
        return 0
    staging.start(_of(place), place, args.seconds)
    print(f". {place.root / 'env.sh'}   # before every command; it also goes to {place.user}")
    return 0


def _grade(args: argparse.Namespace) -> int:
    place = Place(args.dir.absolute())
    case = _known(args.case)
    if _of(place) is not case:
        raise Wrong(f"{place.root} is the world of another case")
    grading = case.grade(place)
    print(json.dumps(grading, ensure_ascii=False, indent=1))
    return 1 if grading["summary"]["failed"] else 0


def _emit(args: argparse.Namespace) -> int:
    stale = emitting.stale() if args.check else emitting.write()
    for path in stale:
        print(f"{'not up to date' if args.check else 'written'}: {path}")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
