"""Convert pictures, video, audio and Pascal VOC files to what a data collection takes; the originals stay untouched."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from synapse_skills.arguments import whole_number
from synapse_skills.errors import run

EPILOG = """\
examples:
  convert_files.py ~/scans --to .png --out ~/scans-png
  convert_files.py clip.avi --to .mp4 --out converted --json

tiff, bmp, webp, gif (the first frame), png and jpg become .png or .jpg; mov, avi, mkv, webm, flv and wmv .mp4 (H.264);
wav, flac, ogg, m4a and wma .mp3, .m4a or .aac; Pascal VOC .xml becomes .json. Video and audio need ffmpeg on PATH, or
named by SYNAPSE_SKILLS_FFMPEG; a video may take 600 s, a recording 300 s. The tree of folders is kept below --out. No
file is written over: a.tiff and a.bmp become a.tiff.png and a.bmp.png. Run it again after a kill: it goes on.

exit codes: 0 all are converted · 1 nothing here can become that · 2 wrong usage · 3 out of reach: no source, no ffmpeg,
  no room on the disk, no permission, another run · 5 some could not be converted, each named with the reason ·
  130 interrupted (Ctrl-C, SIGTERM)
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="convert_files.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("source", metavar="SRC", type=Path, help="a file, or a folder with all that is below it")
    command.add_argument("--to", required=True, metavar="EXT", help=".png .jpg .mp4 .mp3 .m4a .aac .json")
    command.add_argument("--out", required=True, metavar="DIR", type=Path, help="the folder for the results")
    command.add_argument(
        "--workers", type=whole_number(1, 64), metavar="N", help="how many at once (one for each processor)"
    )
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Convert, and say what became of each."""
    args = parser().parse_args(argv)
    from synapse_skills.media.folder import convert_folder, target_named
    from synapse_skills.media.shown import converting, show_report

    with converting(quiet=args.json) as progress:
        report = convert_folder(
            args.source.expanduser(),
            target_named(args.to),
            args.out.expanduser(),
            workers=args.workers,
            progress=progress,
        )
    if args.json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        show_report(report)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(run(main))
