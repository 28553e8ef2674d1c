"""Draws what million.py and plan_million.py have kept as curves of memory over time, or peaks by size: SVG, by hand.

Grey text and saturated lines on no background: they are read on a light page and on a dark one.

examples:
  python benchmarks/curves.py time /data/million docs/images/export-memory.svg --title "1,000,000 records"
  python benchmarks/curves.py sizes /data/10k /data/100k /data/million docs/images/export-peaks.svg
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path

WIDTH, HEIGHT = 860, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 84, 52
GREY, COLOURS = "#7d8590", ("#2f81f7", "#e8710a", "#1a9c4b", "#a371f7")
FONT = "font-family=\"-apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\""
JOB, WORKER, ALL = "the job", "its largest worker", "all of its processes"


@dataclass
class Chart:
    """A chart: lines, what happens meanwhile, and a limit that is not to be reached.

    Attributes:
        lines: by name, points of x and y.
        spans: what goes on from one x to another.
        kills: where a run was killed.
        x_ticks: numbers on the axis, with their words.
        limit: drawn as a line of its own, with what it is.
        dots: whether the points are marked.
    """

    title: str
    x_label: str
    lines: dict[str, list[tuple[float, float]]]
    x_ticks: list[tuple[float, str]]
    x_range: tuple[float, float]
    spans: list[tuple[float, float, str]] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    limit: tuple[float, str] | None = None
    dots: bool = False

    def svg(self) -> str:
        """The whole picture."""
        top = max(y for points in self.lines.values() for _, y in points)
        step = nice(max(top, self.limit[0] if self.limit else 0) * 1.05 / 5)
        self._most = step * math.ceil(max(top, self.limit[0] if self.limit else 0) * 1.02 / step)
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT} font-size="13">'
        parts = [
            head,
            text(LEFT, 22, self.title, size=16, weight="600"),
            *self._legend(),
            *self._spans(),
            *self._kills(),
        ]
        parts += self._axes(step)
        for (name, points), colour in zip(self.lines.items(), COLOURS, strict=False):
            parts += self._line(name, points, colour)
        return "\n".join([*parts, "</svg>\n"])

    def _x(self, value: float) -> float:
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self._most * (HEIGHT - TOP - BOTTOM)

    def _legend(self) -> list[str]:
        parts, x = [], float(LEFT)
        for name, colour in zip(self.lines, COLOURS, strict=False):
            parts += [line(x, 42, x + 22, 42, colour, width=3), text(x + 28, 46.5, name)]
            x += 46 + 7.0 * len(name)
        return parts

    def _spans(self) -> list[str]:
        parts = []
        for number, (start, end, name) in enumerate(self.spans):
            x, width = self._x(start), self._x(end) - self._x(start)
            opacity = 0.14 if number % 2 else 0.06
            shape = f'x="{x:.1f}" y="{TOP - 20}" width="{width:.1f}" height="{HEIGHT - TOP - BOTTOM + 20}"'
            parts.append(f'<rect {shape} fill="{GREY}" fill-opacity="{opacity}"/>')
            if width > 5.5 * len(name):
                parts.append(text(x + width / 2, TOP - 7, name, anchor="middle", size=10.5))
        return parts

    def _kills(self) -> list[str]:
        parts = []
        for at in self.kills:
            x = self._x(at)
            parts.append(line(x, TOP - 20, x, self._y(0), "#d1242f", width=1.5, dash="2 3"))
            parts.append(text(x + 4, self._y(0) - 6, "killed", size=10.5, colour="#e5534b"))
        return parts

    def _axes(self, step: float) -> list[str]:
        parts, bottom = [], self._y(0)
        for number in range(round(self._most / step) + 1):
            y = self._y(number * step)
            parts += [line(LEFT, y, WIDTH - RIGHT, y, GREY, opacity=0.25)]
            parts += [text(LEFT - 8, y + 4, f"{number * step:,.0f}", anchor="end")]
        for x, words in self.x_ticks:
            parts += [line(self._x(x), bottom, self._x(x), bottom + 5, GREY)]
            parts += [text(self._x(x), bottom + 20, words, anchor="middle")]
        parts.append(line(LEFT, bottom, WIDTH - RIGHT, bottom, GREY))
        parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, self.x_label, anchor="middle"))
        parts.append(text(16, (TOP + bottom) / 2, "MB", anchor="middle"))
        if self.limit is not None:
            y = self._y(self.limit[0])
            parts += [line(LEFT, y, WIDTH - RIGHT, y, "#d1242f", dash="6 4")]
            parts += [text(WIDTH - RIGHT - 4, y + 15, self.limit[1], anchor="end", colour="#e5534b")]
        return parts

    def _line(self, name: str, points: list[tuple[float, float]], colour: str) -> list[str]:
        parts = []
        for is_there, some in groupby(points, key=lambda point: point[1] > 0):
            if is_there:
                path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in some)
                parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if self.dots:
            for x, y in points:
                parts.append(f'<circle cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="4" fill="{colour}"/>')
                parts.append(text(self._x(x), self._y(y) - 9, f"{y:.0f}", anchor="middle", colour=colour))
        return parts


def text(
    x: float, y: float, words: str, *, anchor: str = "start", size: float = 13, weight: str = "400", colour: str = GREY
) -> str:
    """Words at a place."""
    about = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {about}>{escape(words)}</text>'


def line(
    x: float, y: float, to_x: float, to_y: float, colour: str, *, width: float = 1, opacity: float = 1, dash: str = ""
) -> str:
    """A straight line."""
    about = f'stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity}"'
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" {about}{dashed}/>'


def nice(step: float) -> float:
    """The next round number: 1, 2 or 5 with zeros."""
    power: float = 10 ** math.floor(math.log10(step))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= step)


def thinned(points: Sequence[tuple[float, float]], most: int = 400) -> list[tuple[float, float]]:
    """The highest of every few points: a curve has no more of them than a screen."""
    lot = max(1, len(points) // most)
    return [max(points[at : at + lot], key=lambda point: point[1]) for at in range(0, len(points), lot)]


def over_time(folder: Path, title: str, limit: float) -> Chart:
    """What memory.csv says."""
    with (folder / "memory.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if float(row["job_mb"])]
    seconds = [float(row["seconds"]) for row in rows]
    unit, name = (60.0, "minutes") if seconds[-1] > 300 else (1.0, "seconds")
    keys = {"job_mb": JOB, "largest_worker_mb": WORKER, "together_mb": ALL}
    if not any(int(row["workers"]) for row in rows):
        keys = {"job_mb": JOB}
    lines = {
        words: thinned([(at / unit, float(row[key])) for at, row in zip(seconds, rows, strict=True)])
        for key, words in keys.items()
    }
    ends = {row["run"]: at / unit for at, row in zip(seconds, rows, strict=True)}
    kills = [end for run, end in ends.items() if run.startswith("killed")]
    last = seconds[-1] / unit
    step = nice(last / 10)
    ticks = [(number * step, f"{number * step:g}") for number in range(int(last / step) + 1)]
    return Chart(title, name, lines, ticks, (0, last), spans_of(rows, unit), kills, (limit, f"aim: below {limit:g} MB"))


def spans_of(rows: Sequence[dict[str, str]], unit: float) -> list[tuple[float, float, str]]:
    """From when to when each stage of each run goes; a run that tells no stages is one."""
    spans = []
    for (run, stage), some in groupby(rows, key=lambda row: (row["run"], row["stage"])):
        times = [float(row["seconds"]) / unit for row in some]
        spans.append((times[0], times[-1], stage or run))
    return spans


def by_size(folders: Sequence[Path], title: str, limit: float) -> Chart:
    """What figures.json says of several sizes."""
    found = [json.loads((folder / "figures.json").read_bytes()) for folder in folders]
    sizes = [math.log10(each["records"]) for each in found]
    keys = {"peak_mb": JOB, "worker_peak_mb": WORKER, "together_mb": ALL}
    lines = {
        words: [(size, each[key]) for size, each in zip(sizes, found, strict=True) if each[key]]
        for key, words in keys.items()
    }
    ticks = [(size, f"{each['records']:,}") for size, each in zip(sizes, found, strict=True)]
    ends = (sizes[0] - 0.15, sizes[-1] + 0.15)
    return Chart(
        title, "records of 10 boxes", lines, ticks, ends, [], [], (limit, f"aim: below {limit:g} MB"), dots=True
    )


def main() -> int:
    """Draw what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("time", "sizes"))
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="what a benchmark has kept")
    parser.add_argument("out", type=Path, metavar="OUT.svg")
    parser.add_argument("--title", default="Memory", metavar="TEXT")
    parser.add_argument("--limit", type=float, default=400, metavar="MB", help="the aim (400)")
    args = parser.parse_args()
    chart = (
        over_time(args.folders[0], args.title, args.limit)
        if args.kind == "time"
        else by_size(args.folders, args.title, args.limit)
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(chart.svg(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
