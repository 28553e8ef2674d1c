"""Secrets that can be recognised, and the search for them in everything that a run has written and printed."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

SIGNATURE = "canary-signature-5Jq9xT2mVw8"
"""For the query of a signed link."""
SECRET = "canary/secret+key-7Rk3pZ6nYb1"
"""For the key of a storage; with characters that a link writes in another way."""
TOKEN = "canary-token-4Hd8sC0fLg2"
"""For a login that nobody checks."""
ALL = (SIGNATURE, SECRET, TOKEN)


def spellings(secret: str) -> set[bytes]:
    """How a secret may stand in a file: as it is, as a link or JSON writes it, two bytes a letter, in base64."""
    plain = secret.encode()
    found = {plain, quote(secret, safe="").encode(), secret.replace("/", "\\/").encode(), secret.encode("utf-16-le")}
    for shift in range(3):
        # Base64 writes the same bytes in three ways, by where they begin; the ends depend on their neighbours.
        coded = base64.b64encode(b"\0" * shift + plain)
        found.add(coded[4 if shift else 0 : -4])
    return found


def leaks(places: Iterable[Path | str | bytes], *secrets: str) -> list[str]:
    """Where a secret stands: every file below a folder, its name included, or a text that was printed.

    Args:
        places: folders and files as `Path`, and texts.
        secrets: besides `ALL`.

    Returns:
        A line for each find; it names the place and which secret, by its first letters.
    """
    wanted = {spelling: secret for secret in (*ALL, *secrets) for spelling in spellings(secret)}
    found = []
    for name, content in _contents(places):
        for spelling, secret in wanted.items():
            if spelling in content:
                found.append(f"{secret[:10]}… in {name}")
    return sorted(set(found))


def _contents(places: Iterable[Path | str | bytes]) -> Iterable[tuple[str, bytes]]:
    for place in places:
        if isinstance(place, Path):
            for path in sorted([place, *place.rglob("*")]):
                yield f"the name of {path}", str(path).encode("utf-8", "surrogateescape")
                if path.is_file():
                    yield str(path), path.read_bytes()
        else:
            yield "what was printed", place if isinstance(place, bytes) else place.encode("utf-8", "surrogatepass")
