"""A table's report for people: sheets, columns, problems, bounded."""

from __future__ import annotations

from synapse_skills.errors import printable
from synapse_skills.metadata.check import TableReport

_MOST_COLUMNS = 40
_MOST_SHEETS = 10
_CELL = 32


def show_table(report: TableReport) -> None:
    """Print it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(Text(printable(report.path), style="bold"))
    if report.sheet is not None:
        named = [
            f"{_cut(sheet.name)} ({sheet.rows:,} rows{', hidden' if sheet.hidden else ''})"
            for sheet in report.sheets[:_MOST_SHEETS]
        ]
        more = len(report.sheets) - len(named)
        console.print(Text(f"  sheets: {', '.join(named)}{f' and {more:,} more' if more > 0 else ''}"))
        console.print(Text(f"  read: {_cut(report.sheet)}"))
    header = f", names of the columns in row {report.header_row:,}" if report.header_row else ""
    console.print(Text(f"  {report.rows:,} row{'' if report.rows == 1 else 's'} with values{header}"))
    table = Table("", "column", "holds", box=None, padding=(0, 2))
    table.add_column("filled", justify="right")
    table.add_column("for example")
    for column in report.columns[:_MOST_COLUMNS]:
        kinds = ", ".join(
            kind if len(column.kinds) == 1 else f"{kind} {count:,}" for kind, count in column.kinds.items()
        )
        table.add_row(
            column.letter,
            Text(_cut(column.name)),
            kinds or "nothing",
            f"{report.rows - column.empty:,}",
            Text(_cut(", ".join(column.examples), 2 * _CELL)),
        )
    console.print(table)
    if len(report.columns) > _MOST_COLUMNS:
        console.print(Text(f"  and {len(report.columns) - _MOST_COLUMNS:,} more columns"))
    if report.key is None:
        could = (
            ", ".join(_cut(name) for name in report.keys[:10]) or "none: no column has a different value in every row"
        )
        console.print(Text(f"  key: none named (--key); it could be {could}"))
    else:
        console.print(Text(f"  key: {_cut(report.key)}"))
    if report.checked:
        fit = report.rows - report.unfit
        console.print(Text(f"  schema: {fit:,} of {report.rows:,} rows fit"))
    for problem in report.problems:
        console.print(Text(f"{problem.severity}: {problem.code} ({problem.count:,})"))
        for example in problem.examples:
            console.print(Text(f"  {printable(example)}"))
        if problem.fix:
            console.print(Text(f"  next: {printable(problem.fix)}"))


def _cut(text: str, most: int = _CELL) -> str:
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
