"""A page for people: what has been uploaded, with its pictures. No script, nothing from elsewhere, all text escaped."""

from __future__ import annotations

import json
import mimetypes
import sqlite3
from html import escape
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from synapse_sandbox.box import Box
from synapse_sandbox.files import media_url

UNITS_ON_A_PAGE = 24
_LONGEST = 400
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #3b6fd4; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 4rem; line-height: 1.45;
  font-family: system-ui, "Noto Sans KR", "Apple SD Gothic Neo", "Malgun Gothic", sans-serif; }
h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .75rem; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
.quiet { opacity: .7; font-size: .9rem; margin: .2rem 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
.size { white-space: nowrap; opacity: .7; }
.here { font-weight: 600; }
.units { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; }
.unit { border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; display: flex; flex-direction: column; }
.pictures { display: flex; gap: 1px; background: var(--soft); height: 11rem; }
.pictures a { flex: 1; min-width: 0; } .pictures img { width: 100%; height: 100%; object-fit: contain; display: block; }
.pictures .none { margin: auto; opacity: .6; font-size: .85rem; }
.unit header { padding: .5rem .75rem 0; font-weight: 600; overflow-wrap: anywhere; }
.unit dl { margin: 0; padding: .25rem .75rem .75rem; font-size: .82rem; display: grid;
  grid-template-columns: max-content 1fr; gap: .15rem .75rem; }
dt { opacity: .7; max-width: 9rem; overflow-wrap: anywhere; } dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
.pages { display: flex; gap: 1rem; margin: 1.25rem 0; align-items: baseline; }
"""


async def show(box: Box, request: Request) -> Response:
    """The collections, and one page of the data units of the chosen one."""
    counts = dict(box.store.db.execute("select collection, count(*) from data_unit group by collection").fetchall())
    collections = box.store.catalogue("collection")
    chosen = _number(request.query_params.get("collection"))
    if chosen is None:
        # What somebody wants to see first is what has something in it.
        chosen = next((row["id"] for row in collections if counts.get(row["id"])), None)
    body = [_head(box), _collections(collections, counts, chosen)]
    for row in collections:
        if row["id"] == chosen:
            body += _gallery(box, row, counts.get(chosen, 0), _number(request.query_params.get("page")) or 1)
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Synapse sandbox</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )
    return HTMLResponse(html, headers=_HEADERS)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 19 else None


def _head(box: Box) -> str:
    files, size = box.store.db.execute("select count(*), coalesce(sum(size), 0) from data_file").fetchone()
    tasks = box.store.db.execute("select count(*) from task").fetchone()[0]
    labelled = box.store.db.execute("select count(*) from assignment").fetchone()[0]
    truths = box.store.db.execute("select count(*) from ground_truth").fetchone()[0]
    about = (
        f"{_many(files, 'file')}, {_size(size)}, {_many(tasks, 'task')}, {_many(labelled, 'assignment')},"
        f" {_many(truths, 'ground truth')}. Tenant {escape(box.store.tenant)}."
    )
    return f'<h1>Synapse sandbox</h1><p class="quiet">A local stand-in for the backend. {about}</p>'


def _collections(collections: list[dict[str, Any]], counts: dict[int, int], chosen: int | None) -> str:
    rows = []
    for row in collections:
        here = ' class="here"' if row["id"] == chosen else ""
        specs = ", ".join(spec["name"] + ("" if spec["is_required"] else "?") for spec in row["file_specifications"])
        rows.append(
            f'<tr{here}><td class="number">{row["id"]}</td>'
            f'<td><a href="/?{urlencode({"collection": row["id"]})}">{escape(row["name"])}</a></td>'
            f'<td>{escape(specs)}</td><td class="number">{counts.get(row["id"], 0):,}</td></tr>'
        )
    return (
        '<table><thead><tr><th class="number">id</th><th>Data collection</th><th>Specs (? optional)</th>'
        f'<th class="number">Data units</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _gallery(box: Box, collection: dict[str, Any], count: int, page: int) -> list[str]:
    pages = max(1, -(-count // UNITS_ON_A_PAGE))
    page = min(max(page, 1), pages)
    found = box.store.db.execute(
        "select * from data_unit where collection = ? order by id limit ? offset ?",
        (collection["id"], UNITS_ON_A_PAGE, (page - 1) * UNITS_ON_A_PAGE),
    ).fetchall()
    title = f"<h2>{escape(collection['name'])}: {_many(count, 'data unit')}</h2>"
    turn = _pages(collection["id"], page, pages) if pages > 1 else ""
    if not found:
        return [title, '<p class="quiet">Nothing has been uploaded here yet.</p>']
    return [title, turn, '<div class="units">', *(_unit(box, row) for row in found), "</div>", turn]


def _pages(collection: int, page: int, pages: int) -> str:
    def link(to: int, text: str) -> str:
        if not 1 <= to <= pages:
            return ""
        return f'<a href="/?{escape(urlencode({"collection": collection, "page": to}))}">{text}</a>'

    turn = f"{link(page - 1, '← Previous')}<span>Page {page} of {pages}</span>{link(page + 1, 'Next →')}"
    return f'<nav class="pages">{turn}</nav>'


def _unit(box: Box, row: sqlite3.Row) -> str:
    pictures, lines = [], []
    for spec, entry in json.loads(row["files"]).items():
        file = box.store.db.execute("select * from data_file where id = ?", (entry["data_file"],)).fetchone()
        url = escape(media_url(box, "", file["key"], file["filename"]))
        name = escape(_short(str(entry["given"].get("path") or file["filename"])))
        lines.append((escape(spec), f'<a href="{url}">{name}</a> <span class="size">{_size(file["size"])}</span>'))
        if (mimetypes.guess_type(file["filename"])[0] or file["content_type"] or "").startswith("image/"):
            pictures.append(f'<a href="{url}"><img loading="lazy" src="{url}" alt="{escape(spec)}: {name}"></a>')
    meta = json.loads(row["meta"]) or {}
    lines += [(escape(_short(key)), escape(_value(value))) for key, value in meta.items()]
    if groups := json.loads(row["groups"]):
        lines.append(("groups", escape(" / ".join(groups))))
    shown = "".join(pictures) or '<span class="none">no picture</span>'
    listed = "".join(f"<dt>{key}</dt><dd>{value}</dd>" for key, value in lines)
    name = escape(_value(meta.get("name", "")))
    return (
        f'<article class="unit"><div class="pictures">{shown}</div>'
        f"<header>#{row['id']} {name}</header><dl>{listed}</dl></article>"
    )


def _value(value: Any) -> str:
    return _short(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _size(size: int) -> str:
    amount, unit = float(size), "bytes"
    for unit in ("bytes", "KB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:,.0f} {unit}" if unit == "bytes" or amount >= 10 else f"{amount:.1f} {unit}"
