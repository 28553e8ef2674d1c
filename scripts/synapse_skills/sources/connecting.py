"""From an address to an open place: which class, with which login."""

from __future__ import annotations

from typing import Literal

from synapse_skills.sources.address import Address
from synapse_skills.sources.faults import Fault
from synapse_skills.sources.remote import Remote

Purpose = Literal["read", "write"]


def connect(address: Address, purpose: Purpose = "read") -> Remote:
    """Open a place with the login of the usual places, or of a storage session.

    Raises:
        Fault: no login. OutOfReach: the storage is not there.
    """
    # Clients are imported only for the kind that is there: botocore alone takes a third of a second.
    if address.kind == "s3":
        from synapse_skills.sources.s3 import S3, login_from_environment

        return S3(address, login_from_environment())
    if address.kind == "memory":
        from synapse_skills.sources.memory import Memory

        return Memory(address)
    raise Fault("other", "not yet")


def login_of(address: Address) -> str:
    """Which login `connect` would use, in words."""
    if address.kind == "s3":
        from synapse_skills.sources.s3 import login_from_environment

        return login_from_environment().credentials
    return "none"
