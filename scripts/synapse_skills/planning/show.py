"""Documents as people read them in a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from synapse_skills.errors import printable, printable_lines, redact
from synapse_skills.planning.brief import brief
from synapse_skills.planning.document import Document

MAX_CELL = 80


def show_document(document: Document) -> None:
    """Print what a round came to: what was understood, problems, questions with how to answer, and the plan."""
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False, markup=False)
    if document.understood and document.status != "ready":
        console.print("Understood", style="bold")
        for item in brief(document.understood):
            value = item["value"]
            if isinstance(value, list) and value and isinstance(value[0], dict):
                show_rows(value, title=f"  {item['key']}: {item['because']}")
            else:
                console.print(Text(f"  {item['key']} = {_cell(value)}  ({printable(item['because'])})"))
    for problem in document.problems:
        console.print(Text(f"{problem['severity']}: {problem['code']} ({problem['count']:,})"))
        for example in problem["examples"]:
            console.print(Text(f"  {printable(example)}"))
        if problem["fix"]:
            console.print(Text(f"  next: {printable(problem['fix'])}"))
    for question in document.questions:
        console.print()
        console.print(Text(f"{question['header']}: {printable_lines(question['question'])}", style="bold"))
        if question["error"]:
            console.print(Text(f"  not taken: {printable(question['error'])}"))
        for option in question["options"]:
            console.print(Text(f"  - {printable(option['label'])}: {printable(option['description'])}"))
            console.print(Text(f"    --set {question['key']}={json.dumps(option['value'], ensure_ascii=False)}"))
        if not question["options"]:
            console.print(Text(f"    --set {question['key']}=…"))
    if document.summary:
        console.print()
        console.print(Text(document.summary))
    if document.dry_run is not None:
        console.print(Text(_counts(document.dry_run)))
    console.print(
        Text({"ready": "Ready.", "blocked": "Blocked.", "questions": "More answers needed."}[document.status])
    )


def _counts(counts: dict[str, Any]) -> str:
    """What a dry run has counted, in one sentence."""
    if "records" not in counts:
        return f"Dry run: {counts['planned']:,} data units planned, {counts['left_out']:,} left out."
    records, read = counts["records"], counts["annotations"]["read"]
    aside = records["quarantined"]
    return f"Dry run: {records['read']:,} records read, {read:,} annotations, {aside:,} records set aside."


def show_rows(rows: Sequence[dict[str, Any]], *, title: str = "") -> None:
    """Print rows as a table; all have the first one's columns."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(title)) if title else None, title_justify="left", box=None)
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in rows[0]))
    Console(highlight=False, markup=False).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    written = redact(printable(written))
    return written if len(written) <= MAX_CELL else written[: MAX_CELL - 1] + "…"
