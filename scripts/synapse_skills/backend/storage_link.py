"""Where the link to a file or a payload leads: to a storage of whatever host, which is sent no login."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

import aiohttp
from yarl import URL

from synapse_skills.backend.addresses import is_own_network
from synapse_skills.backend.trying import OWN_NETWORK, TransferFailed

_HOPS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


def storage_link(host: str, said: str) -> URL:
    """The address of a link as a row has it, signature and all unchanged.

    Args:
        host: of the backend: a link without a host is one of its own.
        said: what the row says.

    Raises:
        TransferFailed: nothing is fetched from there: no web address, or the address of this machine's own network
            alone, where clouds keep the keys of a machine.
    """
    return _address(f"{host}/", said)


@contextlib.asynccontextmanager
async def follow(
    session: aiohttp.ClientSession,
    link: URL,
    *,
    timeout: aiohttp.ClientTimeout,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """GET a link, and go on where it is redirected to: every address on the way is looked at as the first was.

    Args:
        session: one that sends no login.
        link: from `storage_link`.
        timeout: of each request.
        headers: sent everywhere on the way.

    Raises:
        TransferFailed: it leads to no address, to this machine's own network, or on and on.
    """
    for _ in range(_HOPS + 1):
        async with session.get(link, headers=headers, timeout=timeout, allow_redirects=False) as response:
            target = response.headers.get("Location") if response.status in _REDIRECTS else None
            if not target:
                yield response
                return
            link = _address(link, target)
    raise TransferFailed("its link leads from one address to the next and never to a file", again=False)


def _address(base: str | URL, said: str) -> URL:
    try:
        url = URL(said, encoded=said.isascii() and " " not in said)
        url = url if url.scheme else URL(base).join(url)
        is_web = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        return _refused("no address")
    if not is_web:
        return _refused("no web address")
    if is_own_network(url.host or ""):
        return _refused(OWN_NETWORK)
    return url


def _refused(why: str) -> URL:
    raise TransferFailed(f"its link is {why}", again=False)
