"""Addresses that no link of a backend may lead to: a machine's own link, where clouds keep the keys of the machine.

Everything else stays open: backends and storages on private networks, and on this machine, are common.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254")))
_NAMES = ("metadata.google.internal", "metadata.goog", "instance-data")


class OwnNetwork(Exception):
    """A name leads to this machine's own network."""


def is_own_network(host: str) -> bool:
    """Whether a host is link-local (169.254.0.0/16, fe80::/10) or where a cloud keeps a machine's keys.

    Args:
        host: an address in any of the usual spellings, or a name: of those only the well-known ones are refused here.
    """
    name = host.rstrip(".").lower()
    try:
        # As a system reads it: 2852039166 and 0251.0376.43518 are addresses too, and never looked up.
        address = ipaddress.ip_address(socket.inet_aton(name))
    except OSError:
        try:
            address = ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return name in _NAMES
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
    return inner.is_link_local or address in _METADATA


def host_of(url: str) -> str:
    """The host that an address names; "" if it names none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class Resolver(AbstractResolver):
    """Looks names up as aiohttp does, and leaves out what `is_own_network`: a name may lead anywhere.

    Args:
        trusted: hosts that the user has configured (the backend, a proxy): they may be wherever they are.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = {host.lower() for host in trusted}
        self._inner = aiohttp.DefaultResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        """The addresses of a name.

        Raises:
            OwnNetwork: it has none but those.
        """
        found = await self._inner.resolve(host, port, family)
        if host.lower() in self._trusted:
            return list(found)
        fit = [each for each in found if not is_own_network(each["host"])]
        if found and not fit:
            raise OwnNetwork
        return fit

    async def close(self) -> None:
        """Close what looks names up."""
        await self._inner.close()
