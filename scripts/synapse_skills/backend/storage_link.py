"""Where the link to a file or a payload leads: to a storage of whatever host, which is sent no login."""

from __future__ import annotations

import ipaddress

from yarl import URL

from synapse_skills.backend.trying import TransferFailed


def storage_link(host: str, said: str) -> URL:
    """The address of a link as a row has it, signature and all unchanged.

    Args:
        host: of the backend: a link without a host is one of its own.
        said: what the row says.

    Raises:
        TransferFailed: nothing is fetched from there: no web address, or the address of this machine's own network
            alone, where clouds keep the keys of a machine.
    """
    try:
        url = URL(said, encoded=said.isascii() and " " not in said)
        url = url if url.scheme else URL(f"{host}/").join(url)
        is_web = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        return _refused("no address")
    if not is_web:
        return _refused("no web address")
    if _is_link_local(url.host or ""):
        return _refused("an address of this machine's own network")
    return url


def _is_link_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return host.rstrip(".").lower() == "metadata.google.internal"


def _refused(why: str) -> URL:
    raise TransferFailed(f"its link is {why}", again=False)
