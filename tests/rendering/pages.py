"""What a browser would make of a page, and that nothing in it can do harm."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from synapse_skills.rendering.script import templates

TEMPLATES = "".join(path.read_text(encoding="utf-8") for path in sorted((templates() / "preview").iterdir()))
KNOWN = frozenset(re.findall(r"<(\w+)", TEMPLATES))
HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7*7 }}{% raw %}",
    "line\u2028separator and \u202eright to left",
    "javascript:alert(1)//\\\n--><!--",
    "&lt;b&gt; & 한글 📷",
]


INLINE = {"code", "span", "strong"}


class Looked(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in INLINE:
            self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def words(self) -> str:
        """The text with single spaces."""
        return " ".join(self.text.split())


def check_harmless(looked: Looked) -> None:
    assert KNOWN.issuperset(tag for tag, _ in looked.tags)
    for _, attrs in looked.tags:
        assert not [name for name in attrs if name.startswith("on") or name in ("href", "action", "srcset")]
        assert re.fullmatch(r"((flex|width): \d+( 0 0|%))?", attrs.get("style", "")), attrs
    assert all(attrs["src"].startswith("data:image/jpeg;base64,") for attrs in looked.all("img"))
    assert not KNOWN & {"script", "a", "iframe", "object", "embed", "link", "form", "base"}
    policy = [attrs["content"] for attrs in looked.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy
    assert policy[0].startswith("default-src 'none'")


def plain(text: str) -> str:
    """A hostile text as a page shows it."""
    return text.replace("\u2028", "\\u2028").replace("\u202e", "\\u202e").replace("\n", "\\n")
